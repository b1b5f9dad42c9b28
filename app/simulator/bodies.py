"""Reading and writing that several protocols share: JSON bodies, contents in parts, schemas, server-sent events."""

from __future__ import annotations

from typing import Any

import orjson

from app.simulator.ask import BadRequest


def read_object(body: bytes, words: str = "We could not parse the JSON body of your request.") -> dict[str, Any]:
    """The body as a JSON object. Raises ``BadRequest`` with the vendor's ``words``."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(words) from error
    if not isinstance(data, dict):
        raise BadRequest(words)
    return data


def joined(content: Any) -> str | None:
    """The text of a content that is a string or a list of parts; ``None``: it is neither."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))


def first_key(schema: Any) -> str:
    """The key to answer under: the schema's first property, ``label`` where there is none."""
    try:
        return str(next(iter(schema["properties"])))
    except (KeyError, TypeError, StopIteration):
        return "label"


def whole_number(data: dict[str, Any], key: str, least: int = 1) -> int | None:
    """``data[key]``, or ``None`` where it is left out. Raises ``BadRequest``."""
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadRequest(f"Invalid '{key}': expected an integer of at least {least}.", key)
    return value


def strings(value: Any) -> tuple[str, ...]:
    """Stop sequences, given as one or as a list."""
    if isinstance(value, str):
        return (value,)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def event(data: Any, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + orjson.dumps(data) + b"\n\n"


DONE = b"data: [DONE]\n\n"
