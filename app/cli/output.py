"""Writing: data to stdout, words to stderr. What came from an item or a model is never let loose on a terminal."""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import typer

_PIPE_CLOSED = 141
# Control characters (ANSI sequences begin with one), and marks that turn the direction of writing around.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe(text: str) -> str:
    """Text for a terminal: control characters are shown as ``\\x1b``, not obeyed. Line feeds stay."""
    return _UNSAFE.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), text)


def one_line(value: object, most: int = 80) -> str:
    text = " ".join(safe(str(value)).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def cell(value: object) -> str:
    """A value for a CSV cell. Spreadsheets run what begins like a formula: OWASP, "CSV Injection"."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA) and not isinstance(value, int | float) else text


def say(text: str) -> None:
    """Words for a person, to stderr."""
    try:
        sys.stderr.write(safe(text) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        return


def put(text: str) -> None:
    """Data, to stdout; the text must be safe already. Ends the command quietly where the reader went away."""
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_PIPE_CLOSED) from None


def put_json(value: Any) -> None:
    """One JSON document on one line."""
    import orjson

    put(orjson.dumps(value, default=_json_default).decode() + "\n")


def _json_default(value: Any) -> Any:
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(type(value).__name__)


def put_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns, two blanks apart; numbers to the right."""
    texts = [[("" if value is None else one_line(value, 120)) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[at]) for row in texts)]) for at, name in enumerate(header)]
    right = [bool(rows) and all(isinstance(row[at], int | float) for row in rows) for at in range(len(header))]
    for line in ([name.upper() for name in header], *texts):
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        put("  ".join(cells).rstrip() + "\n")


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``, ``2.1 days``; never, where it is infinite."""
    if seconds == float("inf"):
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def clock(in_s: float) -> str:
    """The moment in so many seconds, by this machine's clock: ``14:05:20``, ``14:05``, ``Nov 21 14:05``."""
    moment = dt.datetime.now().astimezone() + dt.timedelta(seconds=in_s)
    if in_s < 120:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%H:%M}" if in_s < 64_800 else f"{moment:%b %d %H:%M}"


def usd(amount: float | None) -> str:
    """Money with as many decimals as it takes to see it; None is a cost that nobody knows."""
    if amount is None:
        return "unknown"
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.6f}".rstrip("0").ljust(5, "0")


def cost(amount: float | None, unpriced: int, what: str) -> str:
    """``$0.0310, and 12 calls of unknown cost``. ``unpriced``: how many of ``what`` are not in the sum."""
    if not unpriced:
        return usd(amount)
    return f"{usd(amount)}, and {unpriced:,} {what} of unknown cost" if amount else f"unknown for {unpriced:,} {what}"
