"""Anthropic's Messages API, as Anthropic itself and the "Anthropic-compatible" doors of other vendors speak it.

Sources: docs.claude.com/en/api/messages, /en/api/errors, /en/api/rate-limits, /en/docs/build-with-claude/streaming
and /handling-stop-reasons; recorded responses.

An answer that came whole but says nothing is an Answer with an empty text: the documentation says that the same
request would only be answered so again. To the output contract it is an abstention.

Warning: the protocol has no seed and no plain JSON mode; what a request asks of these is left to its prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.core.masking import safe_message
from app.core.reasoning import split_reasoning
from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.events import documents
from app.dialects.fields import count_of, dicts_of, stated, text_of
from app.dialects.manners import Manners
from app.dialects.schemas import bare, closed
from app.dialects.trouble import failure_of, refusal
from app.dialects.turns import apart, runs
from app.dialects.vendors import manners_of
from app.dialects.wireform import Said

PATH = "/v1/messages"
HEADERS = {"content-type": "application/json", "accept": "application/json", "anthropic-version": "2023-06-01"}

_FINISH = {
    "end_turn": Finish.STOP, "stop_sequence": Finish.STOP, "stop": Finish.STOP, "max_tokens": Finish.LENGTH,
    "length": Finish.LENGTH, "model_context_window_exceeded": Finish.LENGTH, "tool_use": Finish.TOOL_CALLS,
    "tool_calls": Finish.TOOL_CALLS, "refusal": Finish.CONTENT_FILTER, "content_filter": Finish.CONTENT_FILTER,
    "sensitive": Finish.CONTENT_FILTER, "error": Finish.ERROR, "network_error": Finish.ERROR,
}  # fmt: skip
_STATUS_OF_ERROR = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504,
    "overloaded_error": 529,
}  # fmt: skip
"""The status that an error would have come with, had the answer not begun already (docs: errors)."""
_ERRORS = ("error", "message", "msg", "detail")
"""Fields that hold an error in bodies without content; the last three are of other vendors' gateways."""
_OF_A_STREAM = ("message_", "content_block_", "ping")
_DELTAS = {"text_delta": "text", "thinking_delta": "thinking"}
_NO_USAGE = Usage()


def say(request: Request, manners: Manners | None = None) -> Said:
    """The HTTP request for ``request``; only fields that are set, and that the model takes, are sent.

    System messages stand beside the conversation, which may not be empty; turns of one role in a row become blocks of
    one. The API takes temperatures from 0 to 1, none beside thinking, and refuses stop sequences that are all white
    space. A budget to think is at least 1,024 tokens and less than ``max_tokens``: where that leaves none, none is
    asked for. A schema holds closed objects only; another is left to the prompt.
    """
    manners = manners or manners_of("anthropic", model=request.model)
    system, turns = apart(request.messages, manners)
    payload: dict[str, Any] = {"model": request.model, "max_tokens": request.max_tokens, "messages": _spoken(turns)}
    asked = manners.effort.get(request.effort, {}) if request.effort is not None else {}
    if asked.get("thinking", {}).get("budget_tokens", 0) < request.max_tokens:
        payload |= asked
    if manners.temperature and "thinking" not in payload:
        payload["temperature"] = min(max(request.temperature, 0.0), manners.hottest)
    if system:
        payload["system"] = "\n\n".join(system)
    if stop := [text for text in request.stop if text.strip()][: manners.most_stops]:
        payload["stop_sequences"] = stop
    if request.schema is not None and manners.json_schema and closed(request.schema):
        held = {"format": {"type": "json_schema", "schema": bare(request.schema)}}
        payload["output_config"] = payload.get("output_config", {}) | held
    return Said("POST", PATH, {**HEADERS, **manners.headers}, orjson.dumps(payload))


def _spoken(turns: Sequence[Message]) -> list[dict[str, Any]]:
    """One text stands as it is, several as blocks."""
    spoken: list[dict[str, Any]] = []
    for role, texts in runs([Message("assistant" if t.role == "assistant" else "user", t.content) for t in turns]):
        content = texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts]
        spoken.append({"role": role, "content": content})
    return spoken


def authorize(key: str) -> dict[str, str]:
    """The headers that carry ``key``."""
    return {"x-api-key": key}


def hear(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """The answer in a response, or why there is none. Never raises for what a provider sent."""
    refused = refusal(status, headers, body)
    if refused is not None:
        return refused
    found, flaw = documents(body)
    docs = dicts_of(found)
    if not docs:
        return _malformed(flaw or "the body is no JSON object", _NO_USAGE)
    if any(text_of(doc.get("type")).startswith(_OF_A_STREAM) for doc in docs):
        return _hear_events(headers, docs)
    return _hear_message(headers, docs[0])


def _hear_message(headers: Mapping[str, str], doc: dict[str, Any]) -> Answer | Failure:
    usage = _usage(doc.get("usage"))
    content = doc.get("content")
    if not content and (doc.get("type") == "error" or any(doc.get(name) for name in _ERRORS)):
        return _refused(headers, doc, usage)
    if "content" not in doc:
        return _malformed("no content in the answer", usage)
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else dicts_of(content)
    reason = doc.get("stop_reason")
    finish = _FINISH.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER
    if finish is Finish.CONTENT_FILTER:
        details = doc.get("stop_details")
        why = text_of(details.get("explanation")) if isinstance(details, dict) else ""
        return Failure(FailureKind.CONTENT_FILTER, safe_message(why) or "refused", 200, usage=usage, finish=finish)
    if finish is Finish.ERROR:
        why = safe_message(f"generation ended with {reason}")
        return Failure(FailureKind.SERVER_ERROR, why, 200, usage=usage, finish=finish)

    text, leaked_thought, leaked = split_reasoning("".join(text_of(block.get("text")) for block in _of(blocks, "text")))
    thought = "".join(text_of(block.get("thinking")) for block in _of(blocks, "thinking"))
    if not blocks and finish is Finish.OTHER:
        return _malformed("no content in the answer", usage)
    return Answer(
        text,
        usage,
        f"{thought}\n{leaked_thought}".strip() if leaked else thought,
        finish,
        text_of(doc.get("model")),
        text_of(doc.get("id")),
        ("reasoning_leak",) if leaked else (),
    )


def _of(blocks: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [block for block in blocks if block.get("type") == kind]


def _refused(headers: Mapping[str, str], doc: dict[str, Any], usage: Usage) -> Failure:
    """An error that came with a 200: its type stands for the status."""
    error = doc.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    status = _STATUS_OF_ERROR.get(kind) if isinstance(kind, str) else None
    return failure_of(200, headers, doc if status is None else {"error": error, "status": status}, usage=usage)


def _malformed(why: str, usage: Usage) -> Failure:
    return Failure(FailureKind.MALFORMED, why, 200, usage=usage)


def _hear_events(headers: Mapping[str, str], events: Sequence[dict[str, Any]]) -> Answer | Failure:
    """Server-sent events folded into the message they are the pieces of.

    A stream that ends before it gave a reason to was cut, and what it said so far is no answer.
    """
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    usage: dict[str, Any] = {}
    ended = False
    for event in events:
        kind = event.get("type")
        if kind == "error" or event.get("error"):
            return _refused(headers, event, _usage(usage))
        if kind == "message_start" and isinstance(event.get("message"), dict):
            message = dict(event["message"])
            usage = _later_usage({}, message.get("usage"))
            blocks = dict(enumerate(dicts_of(message.get("content"))))
            pieces.clear()
        elif kind in ("content_block_start", "content_block_delta"):
            _add(event, blocks, pieces)
        elif kind == "message_delta":
            delta = event.get("delta")
            if isinstance(delta, dict):
                message |= {name: delta[name] for name in ("stop_reason", "stop_details") if delta.get(name)}
            usage = _later_usage(usage, event.get("usage"))
        ended = ended or kind == "message_stop" or bool(message.get("stop_reason"))
    if not ended:
        return _malformed("the stream is cut or broken", _usage(usage))
    for (at, name), said in pieces.items():
        blocks[at][name] = text_of(blocks[at].get(name)) + "".join(said)
    return _hear_message(headers, message | {"content": list(blocks.values()), "usage": usage})


def _add(event: dict[str, Any], blocks: dict[int, dict[str, Any]], pieces: dict[tuple[int, str], list[str]]) -> None:
    """Notes a block that begins, or what one block's field goes on with."""
    index = event.get("index")
    at = index if type(index) is int else 0
    started, delta = event.get("content_block"), event.get("delta")
    if isinstance(started, dict):
        blocks[at] = dict(started)
    elif isinstance(delta, dict):
        name = _DELTAS.get(text_of(delta.get("type")))
        if name is not None:
            blocks.setdefault(at, {"type": name})
            pieces.setdefault((at, name), []).append(text_of(delta.get(name)))


_INPUT_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def _later_usage(sofar: dict[str, Any], later: Any) -> dict[str, Any]:
    """Output counts are running totals. Input counts are the first that were given.

    Later ones differ only by what server-side tools and compaction added, of which we use none; compatible vendors
    begin with zeros and give the counts at the end.
    """
    if not isinstance(later, dict):
        return sofar
    known = any(count_of(sofar.get(name)) for name in _INPUT_COUNTS)
    given = {name: value for name, value in later.items() if value is not None}
    return sofar | {name: value for name, value in given.items() if not (known and name in _INPUT_COUNTS)}


def _usage(raw: Any) -> Usage:
    """``input_tokens`` leaves out what a cache read or wrote; writing is input all the same.

    Thinking is part of ``output_tokens``, and told apart by newer models only.
    """
    if not isinstance(raw, dict):
        return _NO_USAGE
    output = count_of(raw.get("output_tokens"))
    details = raw.get("output_tokens_details")
    thought = min(count_of(details.get("thinking_tokens")), output) if isinstance(details, dict) else 0
    return Usage(
        input_tokens=count_of(raw.get("input_tokens")) + count_of(raw.get("cache_creation_input_tokens")),
        cached_tokens=count_of(raw.get("cache_read_input_tokens")),
        output_tokens=output - thought,
        reasoning_tokens=thought,
        stated_input=stated(raw.get("input_tokens")),
        stated_output=stated(raw.get("output_tokens")),
    )
