"""What a row must keep, whichever format it came in, and the lines that all formats are read from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from app.core.errors import InputError

MAX_TEXT_CHARS = 1_000_000
MAX_ID_CHARS = 256
_MAX_LINE_BYTES = 8_000_000
TEXT_NAMES = ("text", "input", "question")
ID_NAMES = ("custom_id", "id")
_SKIP_HINT = "correct the row, or go on without such rows with --skip-bad-rows"

OnBad = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns (or keys) hold what; None: by the usual names. ``labels``: what a gold label may be."""

    text: str | None = None
    id: str | None = None
    gold: str | None = None
    labels: Collection[str] = ()


class BadRow(Exception):
    """One row is wrong; the message says how."""


def check_row(custom_id: str, text: str, gold: str | None, labels: Collection[str]) -> None:
    """What every item must keep, from whichever door it came. Raises ``BadRow``."""
    if not text or text.isspace():
        raise BadRow("the text is empty")
    if len(text) > MAX_TEXT_CHARS:
        raise BadRow(f"the text is longer than {MAX_TEXT_CHARS:,} characters")
    if not custom_id or custom_id.isspace():
        raise BadRow("the id is empty")
    if len(custom_id) > MAX_ID_CHARS:
        raise BadRow(f"the id is longer than {MAX_ID_CHARS} characters")
    _storable(text, "the text")
    _storable(custom_id, "the id")
    if gold is not None:
        _storable(gold, "the gold label")
        if labels and gold not in labels:
            raise BadRow(f"the gold label {short(gold)} is not one of the labels")


def _storable(value: str, what: str) -> None:
    """Postgres holds neither NUL nor half a surrogate pair in its text."""
    if "\0" in value:
        raise BadRow(f"{what} holds a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadRow(f"{what} holds half of a surrogate pair, which is no character") from None


class Bad:
    """What to do with a wrong row: raise, or tell the callback and go on."""

    def __init__(self, on_bad: OnBad | None) -> None:
        self._on_bad = on_bad

    def __call__(self, line: int, reason: str) -> None:
        if self._on_bad is None:
            raise InputError(f"line {line}: {reason}", hint=_SKIP_HINT)
        self._on_bad(line, reason)


class Lines:
    """The decoded lines of a stream, with their ends. ``number``: of the last one given; ``wrong``: what was the
    matter with any line since it was last cleared."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0
        self.wrong: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(_MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        self.number += 1
        if len(raw) >= _MAX_LINE_BYTES and not raw.endswith(b"\n"):
            self._rest_of_line()
            self.wrong = f"the line is longer than {_MAX_LINE_BYTES:,} bytes"
            return "\n"
        if self.number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            # The row is given up as a whole, once it is known where it ends: half a row would be another text.
            self.wrong = "this is not UTF-8 text"
            return raw.decode(errors="replace")

    def first(self) -> str:
        """The first line that is not blank; '' where there is none."""
        return next((line for line in self if line.strip()), "")

    def take_wrong(self) -> str | None:
        wrong, self.wrong = self.wrong, None
        return wrong

    def _rest_of_line(self) -> None:
        while raw := self._stream.readline(_MAX_LINE_BYTES):
            if raw.endswith(b"\n"):
                return


def short(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:57] + "…")


def among(names: list[str]) -> str:
    shown = ", ".join(short(name) for name in names[:12])
    return f"one of {shown}" + (" …" if len(names) > 12 else "")


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
