"""A body as the JSON documents it holds: one, an array of them, a line each, or server-sent events.

Sources: WHATWG HTML §9.2 (server-sent events). Google sends a JSON array of pieces where ``alt=sse`` was not asked
for, Cohere's v1 a document a line; both may put a bare error object behind a stream that had begun well.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"event:", b"id:", b"retry:", b":")


def documents(body: bytes) -> tuple[list[Any], str]:
    """(documents, flaw). ``flaw`` is empty where the body is whole; else what is wrong, and the documents before it.

    An array at the top gives its elements. ``[DONE]`` is no document. Never raises.
    """
    try:
        doc = orjson.loads(body)
    except ValueError:
        return _unusual(body)
    return (doc if isinstance(doc, list) else [doc]), ""


@dataclass(frozen=True, slots=True)
class Stream:
    """The objects of ``data:`` lines, a line each, up to the first that cannot be read (``broken``). ``ended``: the
    stream said ``[DONE]``."""

    events: list[dict[str, Any]]
    ended: bool
    broken: bool


def stream_of(body: bytes) -> Stream:
    events: list[dict[str, Any]] = []
    ended = False
    for line in body.splitlines():
        if not line.startswith(b"data:"):
            continue
        if line[5:].strip() == b"[DONE]":
            ended = True
            continue
        try:
            event = orjson.loads(line[5:])
        except ValueError:
            return Stream(events, ended, broken=True)
        if isinstance(event, dict):
            events.append(event)
    return Stream(events, ended, broken=False)


def _unusual(body: bytes) -> tuple[list[Any], str]:
    stripped = body.removeprefix(_BOM).strip()
    if not stripped:
        return [], "the body is empty"
    if stripped[:1] == b"<":
        return [], "the body is an HTML page"
    if stripped.startswith((b"data:", *_FIELDS)):
        return _events(stripped)
    if len(stripped) != len(body):
        try:
            doc = orjson.loads(stripped)
        except ValueError:
            pass
        else:
            return (doc if isinstance(doc, list) else [doc]), ""
    if stripped[:1] == b"{" and b"\n" in stripped:
        found, whole = _parsed(stripped.splitlines())
        if found:
            return found, "" if whole else "the stream is cut or broken"
    return [], "the body is cut or broken JSON" if stripped[:1] in b"{[" else "the body is no JSON"


def _events(body: bytes) -> tuple[list[Any], str]:
    found: list[Any] = []
    data: list[bytes] = []
    bare: list[bytes] = []
    whole = True
    for line in [*body.splitlines(), b""]:
        if line.startswith(b"data:"):
            data.append(line[5:].strip())
        elif not line.strip():
            more, read = _one_event(data)
            found += more
            whole = whole and read
            data.clear()
        elif not line.startswith(_FIELDS):
            bare.append(line)
    if bare:
        # By the standard to be ignored; in fact where a server's error stands once the stream has begun.
        with suppress(ValueError):
            found.append(orjson.loads(b"\n".join(bare)))
    if not whole:
        return found, "the stream is cut or broken"
    return found, "" if found else "the stream holds no events"


def _one_event(data: list[bytes]) -> tuple[list[Any], bool]:
    """One document over several lines, as the standard has it; or a document a line, where blank lines were lost."""
    if len(data) > 1:
        try:
            return [orjson.loads(b"\n".join(data))], True
        except ValueError:
            pass
    return _parsed(data)


def _parsed(lines: list[bytes]) -> tuple[list[Any], bool]:
    """(the documents up to the first line that is none, whether all lines were read)."""
    found: list[Any] = []
    for line in lines:
        if not line.strip() or line == b"[DONE]":
            continue
        try:
            found.append(orjson.loads(line))
        except ValueError:
            return found, False
    return found, True
