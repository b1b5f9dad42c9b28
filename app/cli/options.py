"""Options as people write them, into values: moments, files, lists. Raises ``UsageError`` that names the option."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

from app.core.errors import UsageError
from app.core.packing import MOST

_LONGEST_S = 366 * 86_400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_until(text: str) -> float:
    """``2h``, ``30m``, ``1d12h`` or a moment in ISO 8601 (without an offset: local time), as seconds from now.

    Raises ``UsageError`` for anything else, for moments that are past, and for more than a year.
    """
    span = _span(text)
    left = _seconds_to(text) if span is None else span
    if left <= 0:
        raise UsageError(f"--deadline: {text[:40]} is past")
    if left > _LONGEST_S:
        raise UsageError(f"--deadline: {text[:40]} is more than a year away")
    return left


def _span(text: str) -> float | None:
    """``2h`` or ``1d12h`` in seconds; None for anything else."""
    if not re.fullmatch(r"(?:\d{1,9}(?:\.\d{1,6})?[smhd])+", text):
        return None
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"([\d.]+)([smhd])", text))


def seconds_back(text: str) -> float:
    """``30d``, ``12h`` or ``1d12h`` in seconds, up to a year."""
    span = _span(text)
    if span is None or not 0 < span <= _LONGEST_S:
        raise UsageError(f"--reuse-votes: {text[:40]!r} is not a time of up to a year", hint="30d, 12h, 1d12h")
    return span


def _seconds_to(text: str) -> float:
    try:
        moment = dt.datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--deadline: {text[:40]!r} is neither a duration nor a date", hint="2h, 30m, 1d, 2027-01-31T18:00"
        ) from None
    return (moment - dt.datetime.now().astimezone()).total_seconds()


def pack_size(given: str) -> int | str:
    """A number of items, or ``auto``."""
    if given == "auto":
        return given
    if re.fullmatch(r"[0-9]{1,3}", given) and 1 <= int(given) <= MOST:
        return int(given)
    raise UsageError(f"--pack: {given[:20]!r} is not possible", hint=f"choose 1 to {MOST}, or auto")


def label_list(given: str | None, file: Path | None) -> list[str]:
    if given is not None and file is not None:
        raise UsageError("--labels and --labels-file are alternatives: keep one")
    if given is not None:
        if not given.strip():
            raise UsageError("--labels is empty", hint="name them as a,b,c, or leave the option out for free text")
        try:
            return [label.strip() for label in next(csv.reader([given], strict=True, skipinitialspace=True), [])]
        except csv.Error as error:
            raise UsageError(f"--labels: {error}", hint='quote a label that holds a comma: a,"b, c"') from None
    if file is not None:
        return [label.strip() for label in _read(file, "--labels-file").splitlines() if label.strip()]
    return []


def json_schema(given: str | None) -> Any:
    if given is None:
        return None
    text = given if given.lstrip().startswith("{") else _read(Path(given), "--schema")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--schema: not JSON: {str(error)[:200]}") from None


def or_file(given: str | None, option: str) -> str | None:
    """The text itself, or with ``@FILE`` what the file holds."""
    if given is None or not given.startswith("@"):
        return given
    return _read(Path(given[1:]), option).strip()


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{option}: {path} is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise UsageError(f"{option}: {path}: cannot be read ({reason})") from None
