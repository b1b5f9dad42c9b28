"""What the files that people write have in common: TOML in, and whatever is wrong with its line and without a value.

An error repeats no value out of a file, since a value may be a key pasted into the wrong place; it speaks in keys,
lines and known words.
"""

from __future__ import annotations

import logging
import re
import threading
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from app.core.errors import UsageError
from app.registry.rows import nearest

LARGEST_BYTES = 5_000_000
SHOWN = 20
"""Problems named in one error; the rest are counted."""

log = logging.getLogger(__name__)

Problem = tuple[int, str]
"""Line (from 1) and what is wrong there."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class FileKind:
    """``what``: ``fleet file``. ``hint`` goes with what is wrong inside one, ``absent_hint`` with one that is not
    there. ``error`` is what is raised."""

    what: str
    error: type[UsageError]
    hint: str
    absent_hint: str

    def read(self, path: Path) -> bytes:
        """Its bytes, one more than ``LARGEST_BYTES`` at most."""
        try:
            with path.open("rb") as file:
                return file.read(LARGEST_BYTES + 1)
        except FileNotFoundError:
            raise self.error(f"{path}: there is no such file", hint=self.absent_hint) from None
        except IsADirectoryError:
            raise self.error(f"{path}: this is a directory, not a {self.what}") from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            raise self.error(f"{path}: cannot be read ({type(error).__name__})") from error

    def text(self, raw: bytes, path: Path) -> str:
        if len(raw) > LARGEST_BYTES:
            raise self.error_of(path, [(1, f"larger than {LARGEST_BYTES // 1_000_000} MB: this is no {self.what}")])
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.error_of(path, [(raw.count(b"\n", 0, error.start) + 1, "this is not UTF-8 text")]) from None

    def document(self, text: str, path: Path, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
        try:
            return tomllib.loads(text, parse_float=parse_float)
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            at = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
            line = int(at[1]) if at and at[1] else text.rstrip("\n").count("\n") + 1
            where = f" at column {at[2]}" if at and at[2] else ""
            what = message[: at.start()] if at else message
            raise self.error_of(path, [(line, f"not TOML{where}: {what[:200]}")]) from None
        except RecursionError:
            line = _first_line(text, r"^.*[\[{](?:\s*[\[{]){20}")
            raise self.error_of(path, [(line, "not TOML: brackets nested too deep")]) from None
        except ValueError:  # Python refuses to read integers of more than 4,300 digits; the parser lets that through
            line = _first_line(text, r"^.*\d[\d_]{4000}")
            raise self.error_of(path, [(line, "not TOML: a number of too many digits")]) from None

    def error_of(self, path: Path, problems: list[Problem]) -> UsageError:
        """One problem a line: ``file:line: what``."""
        lines = [f"{path}:{line}: {what}" for line, what in problems[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"… and {len(problems) - SHOWN} more")
        return self.error("\n".join(lines), hint=self.hint)


class LastGood(Generic[_T]):
    """A file that may change while a process runs; the last good reading stays in force. Safe to share between threads.

    Warning: a change is seen by modification time, size and inode. An edit in place that keeps the
    size, within the file system's clock tick of the last reading, goes unseen until the next one.
    """

    def __init__(self, path: Path, kind: FileKind, load: Callable[[Path], _T]) -> None:
        self._path, self._kind, self._load = path, kind, load
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._good: _T | None = None

    def current(self) -> _T:
        """What stands in the file now, or the last good reading where the file is broken or gone.

        Costs one ``stat``. Broken content is logged once for each change. Raises the kind's error as long as there
        has been no good reading at all.
        """
        with self._lock:
            # Before reading: if the file changes in between, the next call reads again.
            stamp = self._look()
            if self._good is None or stamp != self._stamp:
                try:
                    self._good = self._load(self._path)
                except self._kind.error as error:
                    if self._good is None:
                        raise
                    log.error("%s not taken over, the last good one stays in force: %s", self._kind.what, error)
                self._stamp = stamp
            return self._good

    def _look(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except (OSError, ValueError):
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def secretive(word: str) -> bool:
    """Does it look like a key? Someone pastes one where a word should stand."""
    prefixed = re.match(r"(sk|gsk|pk|xai|nvapi|hf|csk|whsec)[-_]", word)
    return bool(prefixed or (len(word) >= 16 and re.search(r"\d", word)))


def unknown(key: str, known: Iterable[str]) -> str:
    """``unknown key "titel"; did you mean "title"?``"""
    if near := nearest(key, known):
        return f'{quoted(key)}; did you mean "{near}"?'
    return f"{quoted(key)}; known are {', '.join(known)}"


def quoted(key: str) -> str:
    """``unknown key "titel"``, or without it where the key itself may be a secret."""
    showable = re.fullmatch(r"[A-Za-z0-9_.-]{1,32}", key) and not secretive(key)
    return f'unknown key "{key}"' if showable else "unknown key (not shown)"


def _first_line(text: str, pattern: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1
