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

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from app.core.errors import InputError
from app.ledger.door import Row
from app.services.jsonlines import read_jsonl
from app.services.rows import Bad, Columns, Lines, OnBad
from app.services.tables import read_table

Format = Literal["table", "jsonl"]


def read(stream: BinaryIO, columns: Columns, *, name: str = "-", on_bad: OnBad | None = None) -> Iterator[Row]:
    """The rows of a file or of stdin. ``name`` is only looked at for its ending.

    Sets the process-wide field limit of the ``csv`` module. Raises ``InputError``, never anything else, whatever the
    bytes are; an error of the stream itself (``OSError``) passes.
    """
    lines = Lines(stream)
    first = lines.first()
    columns = Columns(columns.text, columns.id, columns.gold, frozenset(columns.labels))
    bad = Bad(on_bad)
    if _format(name, first) == "jsonl":
        yield from read_jsonl(lines, first, columns, bad)
    else:
        yield from read_table(lines, first, columns, bad)


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
