"""JSON lines: one object a line, or OpenAI batch lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from app.core.errors import InputError
from app.core.trimming import Turns, flat
from app.ledger.door import Row
from app.services.rows import ID_NAMES, TEXT_NAMES, Bad, BadRow, Columns, Lines, among, check_row, short


@dataclass(slots=True)
class _Keys:
    """What the first good object has settled for all: the keys that hold text and id, or that it is batch lines."""

    batch: bool
    text: str = ""
    id: str | None = None


def read_jsonl(lines: Lines, first: str, columns: Columns, bad: Bad) -> Iterator[Row]:
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
            turns = None
            if keys.batch:
                custom_id, text, turns = _batch(row)
            else:
                custom_id, text = _plain(row, keys, number)
            gold = _gold(row, columns.gold)
            check_row(custom_id, text, gold, columns.labels)
        except BadRow as reason:
            bad(lines.number, str(reason))
            continue
        yield Row(lines.number, custom_id, text, gold, turns)


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
        raise ValueError(f"the key {short(twice)} stands twice")
    return row


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _keys(row: dict[str, Any], columns: Columns, line: int) -> _Keys:
    body = row.get("body")
    if columns.text is None and isinstance(body, dict) and "messages" in body:
        return _Keys(batch=True)
    id_ = columns.id or next((name for name in ID_NAMES if name in row and name != columns.text), None)
    text = columns.text or next((name for name in TEXT_NAMES if name in row), None)
    if text is None:
        others = [name for name in row if name not in (id_, columns.gold)]
        if len(others) != 1:
            # Not one bad row: without knowing where the text stands none can be read.
            raise InputError(
                f"line {line}: which key holds the text? None is named text, input or question",
                hint=f"name it with --text: {among(list(row))}",
            )
        text = others[0]
    return _Keys(batch=False, text=text, id=id_)


def _plain(row: dict[str, Any], keys: _Keys, number: int) -> tuple[str, str]:
    if keys.text not in row:
        raise BadRow(f"the key {short(keys.text)} is missing")
    text = row[keys.text]
    if not isinstance(text, str):
        raise BadRow(f"{short(keys.text)} must be a string")
    if keys.id is not None:
        return _id(row, keys.id), text
    late = next((name for name in ID_NAMES if name in row), None)
    if late is not None and late != keys.text:
        raise BadRow(f"has the key {short(late)}, which the first line has not")
    return str(number), text


def _id(row: dict[str, Any], key: str) -> str:
    if key not in row:
        raise BadRow(f"the key {short(key)} is missing")
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
    raise BadRow(f"{short(key)} must be a string or a whole number")


def _batch(row: dict[str, Any]) -> tuple[str, str, Turns | None]:
    """Id, text in one piece, and the turns where it is more than one question."""
    if row.get("method", "POST") != "POST" or row.get("url", "/v1/chat/completions") != "/v1/chat/completions":
        raise BadRow("only POST /v1/chat/completions can be asked in a batch line")
    body = row.get("body")
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages:
        raise BadRow("body.messages must be a list of messages")
    turns = [_turn(message) for message in messages]
    if not any(role == "user" and content.strip() for role, content in turns):
        raise BadRow("there is no user message with text")
    return _id(row, "custom_id"), flat(turns), None if len(turns) == 1 else tuple(turns)


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
