"""Reading what a person submits: CSV, JSONL, OpenAI batch JSONL; one row at a time, so memory stays flat.

A row that is wrong raises ``InputError`` with its line number (the first line of the row, from 1) and the reason.
Where ``on_bad`` is given, it gets both instead and the reading goes on.

Formats: by the file's ending (``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson``, ``.json``), else by the first byte that is
not blank: ``{`` begins JSONL, anything else a table. Text is UTF-8, with or without a byte order mark; lines end in LF
or CRLF. Blank lines are passed over.

Tables: the first row names the columns; the delimiter is comma, semicolon or TAB, whichever divides that row the most.
Quoting is that of RFC 4180, held to strictly: a quote that is never closed is an error, not a text of the rest of the
file.

OpenAI batch lines (platform.openai.com/docs/guides/batch): ``body.messages`` becomes the text. One user message stands
as it is; several messages, or system messages, are joined by blank lines, system content first as it stands, and where
there is an assistant's turn each turn begins with its role. Lines may differ in their system message, so it belongs to
the item, not to the job. ``model`` and sampling parameters of the line are ignored: choosing those is the yard's work.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal

from app.core.errors import InputError
from app.ledger.door import Row

MAX_TEXT_CHARS = 1_000_000
MAX_ID_CHARS = 256
_MAX_LINE_BYTES = 8_000_000
_TEXT_NAMES = ("text", "input", "question")
_ID_NAMES = ("custom_id", "id")
_SKIP_HINT = "correct the row, or go on without such rows with --skip-bad-rows"

OnBad = Callable[[int, str], None]
Format = Literal["table", "jsonl"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns (or keys) hold what; None: by the usual names. ``labels``: what a gold label may be."""

    text: str | None = None
    id: str | None = None
    gold: str | None = None
    labels: Collection[str] = ()


class BadRow(Exception):
    """One row is wrong; the message says how."""


def read(stream: BinaryIO, columns: Columns, *, name: str = "-", on_bad: OnBad | None = None) -> Iterator[Row]:
    """The rows of a file or of stdin. ``name`` is only looked at for its ending.

    Sets the process-wide field limit of the ``csv`` module. Raises ``InputError``, never anything else, whatever the
    bytes are; an error of the stream itself (``OSError``) passes.
    """
    lines = _Lines(stream)
    first = lines.first()
    columns = Columns(columns.text, columns.id, columns.gold, frozenset(columns.labels))
    bad = _Bad(on_bad)
    if _format(name, first) == "jsonl":
        yield from _read_jsonl(lines, first, columns, bad)
    else:
        yield from _read_table(lines, first, columns, bad)


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
            raise BadRow(f"the gold label {_short(gold)} is not one of the labels")


def _storable(value: str, what: str) -> None:
    """Postgres holds neither NUL nor half a surrogate pair in its text."""
    if "\0" in value:
        raise BadRow(f"{what} holds a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadRow(f"{what} holds half of a surrogate pair, which is no character") from None


class _Bad:
    """What to do with a wrong row: raise, or tell the callback and go on."""

    def __init__(self, on_bad: OnBad | None) -> None:
        self._on_bad = on_bad

    def __call__(self, line: int, reason: str) -> None:
        if self._on_bad is None:
            raise InputError(f"line {line}: {reason}", hint=_SKIP_HINT)
        self._on_bad(line, reason)


class _Lines:
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


def _format(name: str, first: str) -> Format:
    match Path(name).suffix.lower():
        case ".csv" | ".tsv":
            return "table"
        case ".jsonl" | ".ndjson" | ".json":
            return "jsonl"
    start = first.lstrip()[:1]
    if start == "[":
        raise InputError(
            "line 1: the input begins with [: it is neither a table nor JSON lines",
            hint="write one JSON object a line (jq -c '.[]' does it)",
        )
    return "jsonl" if start == "{" else "table"


# Tables


def _read_table(lines: _Lines, first: str, columns: Columns, bad: _Bad) -> Iterator[Row]:
    if lines.take_wrong() is not None:
        raise InputError(f"line {lines.number}: this is not UTF-8 text", hint="save the file as UTF-8")
    csv.field_size_limit(MAX_TEXT_CHARS)
    begun_at = lines.number - 1
    reader = csv.reader(chain([first], lines), delimiter=_delimiter(first), strict=True)
    header = _header(reader, begun_at + 1)
    text_at, id_at, gold_at = _columns(header, columns)
    width = len(header)
    labels = columns.labels
    number = 0
    while True:
        line = begun_at + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            lines.take_wrong()
            number += 1
            bad(line, _csv_reason(error, begun_at + reader.line_num))
            continue
        if cells is None:
            return
        wrong = lines.take_wrong() if lines.wrong else None
        if not cells and wrong is None:
            continue
        number += 1
        if wrong is None and len(cells) != width:
            wrong = f"{_count(len(cells), 'cell')}, but the header names {width}"
            if len(cells) > width:
                wrong += " (a text that holds the delimiter must stand in quotes)"
        if wrong is not None:
            bad(line, wrong)
            continue
        text = cells[text_at]
        custom_id = str(number) if id_at is None else cells[id_at]
        gold = (cells[gold_at] or None) if gold_at is not None else None
        try:
            check_row(custom_id, text, gold, labels)
        except BadRow as reason:
            bad(line, str(reason))
            continue
        yield Row(line, custom_id, text, gold)


def _delimiter(header: str) -> str:
    def cells(delimiter: str) -> int:
        try:
            return len(next(csv.reader(io.StringIO(header), delimiter=delimiter), ()))
        except csv.Error:
            return 0

    return max(",;\t", key=cells)


def _header(reader: Iterator[list[str]], line: int) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InputError(f"line {line}: {_csv_reason(error, line)}") from None
    if not header:
        raise InputError("the input is empty", hint="a table needs a header and at least one row")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"line {line}: two columns are named {_short(twice)}")
    return header


def _columns(header: list[str], columns: Columns) -> tuple[int, int | None, int | None]:
    """Where text, id and gold stand. Raises ``InputError`` for a column that is not there."""

    def given(name: str | None, option: str) -> int | None:
        if name is None:
            return None
        if name not in header:
            raise InputError(f"line 1: there is no column {_short(name)}", hint=f"{option} must be {_among(header)}")
        return header.index(name)

    text, id_, gold = given(columns.text, "--text"), given(columns.id, "--id"), given(columns.gold, "--gold")
    if id_ is None:
        id_ = next((header.index(name) for name in _ID_NAMES if name in header and header.index(name) != text), None)
    if text is None:
        text = next((header.index(name) for name in _TEXT_NAMES if name in header), None)
    if text is None:
        others = [at for at in range(len(header)) if at not in (id_, gold)]
        if len(others) != 1:
            raise InputError(
                "line 1: which column holds the text? None is named text, input or question",
                hint=f"name it with --text: {_among(header)}",
            )
        text = others[0]
    return text, id_, gold


def _csv_reason(error: csv.Error, last_line: int) -> str:
    said = str(error)
    if "field larger" in said:
        return (
            f"a cell is longer than {MAX_TEXT_CHARS:,} characters: is a quote left open? (read up to line {last_line})"
        )
    if "unexpected end" in said:
        return "a quote is opened here and never closed"
    if "new-line character" in said:
        return "a carriage return stands alone: lines must end in LF or CRLF"
    if "expected after" in said:
        return 'text stands after a closing quote (a quote within quotes is written "")'
    return f"not CSV: {said}"


# JSON lines


@dataclass(slots=True)
class _Keys:
    """What the first good object has settled for all: the keys that hold text and id, or that it is batch lines."""

    batch: bool
    text: str = ""
    id: str | None = None


def _read_jsonl(lines: _Lines, first: str, columns: Columns, bad: _Bad) -> Iterator[Row]:
    keys: _Keys | None = None
    number = 0
    for line in chain([first], lines):
        wrong = lines.take_wrong() if lines.wrong else None
        if wrong is None and not line.strip():
            continue
        number += 1
        if wrong is not None:
            bad(lines.number, wrong)
            continue
        try:
            row = _object(line)
            if keys is None:
                keys = _keys(row, columns, lines.number)
            if keys.batch:
                custom_id, text = _batch(row)
            else:
                custom_id, text = _plain(row, keys, number)
            gold = _gold(row, columns.gold)
            check_row(custom_id, text, gold, columns.labels)
        except BadRow as reason:
            bad(lines.number, str(reason))
            continue
        yield Row(lines.number, custom_id, text, gold)


def _object(line: str) -> dict[str, Any]:
    try:
        row = _DECODER.decode(line.strip())
    except json.JSONDecodeError as error:
        raise BadRow(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise BadRow("not JSON: brackets nested too deep") from None
    except ValueError as error:
        # Python refuses integers of more than 4,300 digits with a message about itself.
        raise BadRow("a number of too many digits" if "digits" in str(error) else str(error)) from None
    if not isinstance(row, dict):
        raise BadRow("not a JSON object; write one object a line")
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {_short(twice)} stands twice")
    return row


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _keys(row: dict[str, Any], columns: Columns, line: int) -> _Keys:
    body = row.get("body")
    if columns.text is None and isinstance(body, dict) and "messages" in body:
        return _Keys(batch=True)
    id_ = columns.id or next((name for name in _ID_NAMES if name in row and name != columns.text), None)
    text = columns.text or next((name for name in _TEXT_NAMES if name in row), None)
    if text is None:
        others = [name for name in row if name not in (id_, columns.gold)]
        if len(others) != 1:
            # Not one bad row: without knowing where the text stands none can be read.
            raise InputError(
                f"line {line}: which key holds the text? None is named text, input or question",
                hint=f"name it with --text: {_among(list(row))}",
            )
        text = others[0]
    return _Keys(batch=False, text=text, id=id_)


def _plain(row: dict[str, Any], keys: _Keys, number: int) -> tuple[str, str]:
    if keys.text not in row:
        raise BadRow(f"the key {_short(keys.text)} is missing")
    text = row[keys.text]
    if not isinstance(text, str):
        raise BadRow(f"{_short(keys.text)} must be a string")
    if keys.id is not None:
        return _id(row, keys.id), text
    late = next((name for name in _ID_NAMES if name in row), None)
    if late is not None and late != keys.text:
        raise BadRow(f"has the key {_short(late)}, which the first line has not")
    return str(number), text


def _id(row: dict[str, Any], key: str) -> str:
    if key not in row:
        raise BadRow(f"the key {_short(key)} is missing")
    return _word(row[key], key)


def _gold(row: dict[str, Any], key: str | None) -> str | None:
    if key is None or row.get(key) is None or row[key] == "":
        return None
    return _word(row[key], key)


def _word(value: Any, key: str) -> str:
    """Ids and labels are strings; whole numbers are taken as they are written."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadRow(f"{_short(key)} must be a string or a whole number")


def _batch(row: dict[str, Any]) -> tuple[str, str]:
    if row.get("method", "POST") != "POST" or row.get("url", "/v1/chat/completions") != "/v1/chat/completions":
        raise BadRow("only POST /v1/chat/completions can be asked in a batch line")
    body = row.get("body")
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages:
        raise BadRow("body.messages must be a list of messages")
    turns = [_turn(message) for message in messages]
    if not any(role == "user" and content.strip() for role, content in turns):
        raise BadRow("there is no user message with text")
    conversation = any(role == "assistant" for role, _ in turns)
    parts = [content for role, content in turns if role == "system"]
    for role, content in turns:
        if role != "system":
            parts.append(f"{role.capitalize()}: {content}" if conversation else content)
    return _id(row, "custom_id"), "\n\n".join(parts)


def _turn(message: Any) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise BadRow("a message must be an object with role and content")
    role, content = message.get("role"), message.get("content")
    if role == "developer":  # the newer name of system
        role = "system"
    if role not in ("system", "user", "assistant"):
        raise BadRow("the role of a message must be system, user or assistant")
    if isinstance(content, list):
        if not all(isinstance(p, dict) and p.get("type") == "text" and isinstance(p.get("text"), str) for p in content):
            raise BadRow("a message holds something other than text")
        content = "".join(p["text"] for p in content)
    if not isinstance(content, str):
        raise BadRow("the content of a message must be text")
    return role, content


# Words for messages


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:57] + "…")


def _among(names: list[str]) -> str:
    shown = ", ".join(_short(name) for name in names[:12])
    return f"one of {shown}" + (" …" if len(names) > 12 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
