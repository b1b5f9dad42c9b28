"""What a 200's body is: one JSON document, a stream of server-sent events, or nothing that can be read.

Sources: RFC 8259; the WHATWG's HTML standard, "server-sent events". Shared by dialects whose answers stream as events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STREAM_STARTS = (b"data:", b"event:", b":", b"id:", b"retry:")


@dataclass(frozen=True, slots=True)
class Body:
    """Just one of ``doc`` and ``events`` is filled; where neither is, ``trouble`` says why, in words fit to store."""

    doc: dict[str, Any] | None = None
    events: tuple[dict[str, Any], ...] = ()
    broken: bool = False
    """An event of the stream could not be read: it was cut, or is not what it says."""
    trouble: str = ""


def open_body(body: bytes) -> Body:
    """Reads ``body`` whatever it is. A list counts as its first element (Google's habit, kept by some gateways)."""
    stripped = body.removeprefix(_BYTE_ORDER_MARK).strip()
    if not stripped:
        return Body(trouble="the body is empty")
    if stripped.startswith(_STREAM_STARTS):
        return _open_stream(stripped)
    try:
        doc = orjson.loads(stripped)
    except ValueError:
        start = stripped[:1]
        what = "an HTML page" if start == b"<" else "cut or broken JSON" if start in b"{[" else "no JSON"
        return Body(trouble=f"the body is {what}")
    if isinstance(doc, list) and doc:
        doc = doc[0]
    return Body(doc) if isinstance(doc, dict) else Body(trouble="the body is no JSON object")


def _open_stream(body: bytes) -> Body:
    """An event's data may span lines; an event without a ``type`` of its own takes the name it was sent under."""
    events: list[dict[str, Any]] = []
    broken = False
    pending: list[bytes] = []
    name = ""
    for line in (*body.splitlines(), b""):
        if line.startswith(b"event:"):
            name = line[6:].strip().decode("utf-8", "replace")
        elif line.startswith(b"data:"):
            pending.append(line[5:])
            if pending[-1].strip() in (b"[DONE]", b""):
                pending.pop()
                continue
            try:
                event = orjson.loads(b"\n".join(pending))
            except ValueError:
                continue
            pending.clear()
            if isinstance(event, dict):
                events.append(event if event.get("type") or not name else {**event, "type": name})
        elif not line.strip():
            broken = broken or bool(pending)
            pending.clear()
            name = ""
    if not events:
        return Body(broken=broken, trouble="the stream is cut or broken" if broken else "the stream holds no events")
    return Body(events=tuple(events), broken=broken)


def text_of(value: object) -> str:
    """``value`` where it is text, without NUL, which Postgres does not store; else nothing."""
    return value.replace("\x00", "") if isinstance(value, str) else ""


def count_of(value: object) -> int:
    """A vendor's count of tokens where it is one; else 0."""
    return value if type(value) is int and value > 0 else 0


def stated(value: object) -> int | None:
    """A headline count as the vendor gave it, for bug reports; None where it gave none."""
    return value if type(value) is int and value >= 0 else None


def dicts_of(value: object) -> list[dict[str, Any]]:
    """The objects of a list, of anything else none."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
