"""Tables: CSV with comma, semicolon or TAB, after RFC 4180. The first row names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain

from app.core.errors import InputError
from app.ledger.door import Row
from app.services.rows import (
    ID_NAMES,
    MAX_TEXT_CHARS,
    TEXT_NAMES,
    Bad,
    BadRow,
    Columns,
    Lines,
    among,
    check_row,
    count,
    short,
)


def read_table(lines: Lines, first: str, columns: Columns, bad: Bad) -> Iterator[Row]:
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
            wrong = f"{count(len(cells), 'cell')}, but the header names {width}"
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
        raise InputError(f"line {line}: two columns are named {short(twice)}")
    return header


def _columns(header: list[str], columns: Columns) -> tuple[int, int | None, int | None]:
    """Where text, id and gold stand. Raises ``InputError`` for a column that is not there."""

    def given(name: str | None, option: str) -> int | None:
        if name is None:
            return None
        if name not in header:
            raise InputError(f"line 1: there is no column {short(name)}", hint=f"{option} must be {among(header)}")
        return header.index(name)

    text, id_, gold = given(columns.text, "--text"), given(columns.id, "--id"), given(columns.gold, "--gold")
    if id_ is None:
        id_ = next((header.index(name) for name in ID_NAMES if name in header and header.index(name) != text), None)
    if text is None:
        text = next((header.index(name) for name in TEXT_NAMES if name in header), None)
    if text is None:
        others = [at for at in range(len(header)) if at not in (id_, gold)]
        if len(others) != 1:
            raise InputError(
                "line 1: which column holds the text? None is named text, input or question",
                hint=f"name it with --text: {among(header)}",
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
