"""Cohere's chat protocol, version 2: two pure functions. Answers of version 1 are understood too.

Sources: docs.cohere.com/v2/reference/chat, docs.cohere.com/v2/reference/errors, and recorded responses.

Warning: Cohere counts twice. ``tokens`` is what the model read and wrote, its own preamble included, and is what
stands in ``Usage``; ``billed_units`` is less, and what the invoice follows. Money reckoned from ``Usage`` is
therefore an upper bound. Thinking is not counted apart. A ``tool_plan`` is no part of the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.core.masking import safe_message
from app.core.reasoning import split_reasoning
from app.core.values import Answer, Failure, FailureKind, Finish, Request, Usage
from app.dialects.events import documents
from app.dialects.fields import stated
from app.dialects.manners import Manners
from app.dialects.schemas import bare
from app.dialects.trouble import failure_of, refusal
from app.dialects.turns import in_line
from app.dialects.vendors import manners_of
from app.dialects.wireform import Said

PATH = "/v2/chat"
"""After the host alone, as Cohere's own clients have it: the base URL names no version."""
HEADERS = {"content-type": "application/json", "accept": "application/json"}
_SEEDS = 2**64
_DENIED = 498
"""Cohere's own status for a request or answer with a deny-listed token; elsewhere it means other things."""

_FINISH = {
    "COMPLETE": Finish.STOP, "STOP_SEQUENCE": Finish.STOP, "MAX_TOKENS": Finish.LENGTH,
    "ERROR_LIMIT": Finish.LENGTH, "TOOL_CALL": Finish.TOOL_CALLS, "ERROR_TOXIC": Finish.CONTENT_FILTER,
    "ERROR": Finish.ERROR, "TIMEOUT": Finish.ERROR,
}  # fmt: skip


def authorize(key: str) -> dict[str, str]:
    """The header that carries the key."""
    return {"authorization": f"Bearer {key}"}


def say(request: Request, manners: Manners | None = None) -> Said:
    """The HTTP request for ``request``; only fields that are set, and that the model takes, are sent.

    Stop sequences beyond what is taken are left out; a seed is folded into 64 bits without a sign. A budget to think
    that would leave no room for the answer is not asked for.
    """
    manners = manners or manners_of("cohere", model=request.model)
    turns = in_line(request.messages, manners)
    payload: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        "max_tokens": request.max_tokens,
    }
    if manners.temperature:
        payload["temperature"] = min(request.temperature, manners.hottest)
    payload["stream"] = False
    if request.seed is not None and manners.seed:
        payload["seed"] = request.seed % _SEEDS
    if stop := request.stop[: manners.most_stops]:
        payload["stop_sequences"] = list(stop)
    if request.schema is not None and manners.json_schema:
        payload["response_format"] = {"type": "json_object", "json_schema": bare(request.schema)}
    elif request.wants_json and manners.json_object:
        payload["response_format"] = {"type": "json_object"}
    if request.effort is not None:
        asked = manners.effort.get(request.effort, {})
        if asked.get("thinking", {}).get("token_budget", 0) < request.max_tokens:
            payload |= asked
    return Said("POST", PATH, {**HEADERS, **manners.headers}, orjson.dumps(payload))


def hear(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """The answer in a response, or why there is none. Never raises for what a provider sent."""
    refused = refusal(status, headers, body)
    if refused is not None:
        if status == _DENIED:
            return Failure(FailureKind.CONTENT_FILTER, refused.message, status)
        return refused
    docs, flaw = documents(body)
    pieces = [doc for doc in docs if isinstance(doc, dict)]
    streamed = any(_is_event(piece) for piece in pieces)
    whole = _folded(pieces) if streamed else next(iter(pieces), {})
    usage = _usage(whole)
    if whole.get("error"):
        return failure_of(200, headers, whole, usage=usage)
    if flaw:
        return Failure(FailureKind.MALFORMED, flaw, 200, usage=usage)
    if streamed and not (whole.get("finish_reason") or whole.get("ended")):
        return Failure(FailureKind.MALFORMED, "the stream is cut or broken", 200, usage=usage)
    message = whole.get("message")
    if isinstance(message, dict):
        return _answer(message, whole, usage)
    if isinstance(whole.get("text"), str):
        return _answer({"content": whole["text"], "tool_calls": whole.get("tool_calls")}, whole, usage)
    if message or whole.get("detail") or whole.get("errors"):
        return failure_of(200, headers, whole, usage=usage)
    return Failure(FailureKind.MALFORMED, "no message in the answer", 200, usage=usage)


def _is_event(piece: dict[str, Any]) -> bool:
    return "event_type" in piece or (isinstance(piece.get("type"), str) and "finish_reason" not in piece)


def _answer(message: dict[str, Any], whole: dict[str, Any], usage: Usage) -> Answer | Failure:
    text, thought = _join(message.get("content"))
    text, leaked_thought, leaked = split_reasoning(text)
    reason = whole.get("finish_reason")
    finish = _FINISH.get(reason.upper(), Finish.OTHER) if isinstance(reason, str) else Finish.OTHER
    if finish is Finish.CONTENT_FILTER:
        return Failure(FailureKind.CONTENT_FILTER, "stopped by a content filter", 200, usage=usage, finish=finish)
    if finish is Finish.ERROR:
        kind = FailureKind.TIMEOUT if reason == "TIMEOUT" else FailureKind.SERVER_ERROR
        return Failure(kind, safe_message(f"generation ended with {reason}"), 200, usage=usage, finish=finish)
    if (not text or text.isspace()) and not (reason or thought or leaked or message.get("tool_calls")):
        return Failure(FailureKind.MALFORMED, "empty answer", 200, usage=usage)
    model = whole.get("model")
    request_id = whole.get("id") or whole.get("response_id") or whole.get("generation_id")
    return Answer(
        text.replace("\x00", ""),  # Postgres stores no NUL
        usage,
        (f"{thought}\n{leaked_thought}".strip() if leaked else thought).replace("\x00", ""),
        finish,
        model if isinstance(model, str) else "",
        request_id if isinstance(request_id, str) else "",
        ("reasoning_leak",) if leaked else (),
    )


def _join(content: Any) -> tuple[str, str]:
    """(text, reasoning) of a content: a string, a part, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    said: list[str] = []
    thought: list[str] = []
    for part in content if isinstance(content, list) else (content,):
        if isinstance(part, dict):
            if isinstance(part.get("thinking"), str):
                thought.append(part["thinking"])
            if isinstance(part.get("text"), str):
                said.append(part["text"])
    return "".join(said), "".join(thought)


def _folded(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """The events of a stream as the one document they are the pieces of."""
    said: list[str] = []
    thought: list[str] = []
    message: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    for piece in pieces:
        if not _is_event(piece):
            # No event, so a complaint that came in the place of one.
            whole["error"] = piece.get("error") or piece.get("message") or whole.get("error")
            continue
        if isinstance(piece.get("id"), str):
            whole["id"] = piece["id"]
        if "event_type" in piece:
            _take_v1(piece, said, whole)
            continue
        delta = piece.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        inner = delta.get("message")
        if isinstance(inner, dict):
            text, thinking = _join(inner.get("content"))
            said.append(text)
            thought.append(thinking)
            if inner.get("tool_calls"):
                message["tool_calls"] = inner["tool_calls"]
        if piece["type"] == "error" or delta.get("error"):
            whole["error"] = delta.get("error") or piece.get("error") or piece.get("message") or "error"
        whole["ended"] = piece["type"] == "message-end"
        for name in ("finish_reason", "usage"):
            if delta.get(name):
                whole[name] = delta[name]
    message["content"] = [{"text": "".join(said), "thinking": "".join(thought)}]
    return whole | {"message": message}


def _take_v1(piece: dict[str, Any], said: list[str], whole: dict[str, Any]) -> None:
    """An event of version 1; its last one holds the whole answer again, and the counts."""
    if piece["event_type"] == "text-generation" and isinstance(piece.get("text"), str):
        said.append(piece["text"])
    if piece.get("error"):
        whole["error"] = piece["error"]
    whole["ended"] = piece["event_type"] == "stream-end"
    response = piece.get("response")
    if isinstance(response, dict):
        if not said and isinstance(response.get("text"), str):
            said.append(response["text"])
        whole |= {name: response[name] for name in ("response_id", "meta", "token_count") if response.get(name)}
    for name in ("generation_id", "finish_reason"):
        if isinstance(piece.get(name), str):
            whole[name] = piece[name]


def _usage(whole: dict[str, Any]) -> Usage:
    """The model's own counts, cached tokens out of the input; the billed ones where there are no others."""
    usage, meta = whole.get("usage"), whole.get("meta")
    counted = usage if isinstance(usage, dict) else meta if isinstance(meta, dict) else {}
    tokens, old, billed = counted.get("tokens"), whole.get("token_count"), counted.get("billed_units")
    cached = stated(counted.get("cached_tokens")) or 0
    if isinstance(tokens, dict):
        headline = stated(tokens.get("input_tokens")), stated(tokens.get("output_tokens"))
    else:
        headline = None, None
    prompt, output = headline
    if prompt is None and output is None:
        if isinstance(old, dict):
            prompt, output = stated(old.get("prompt_tokens")), stated(old.get("response_tokens"))
        elif isinstance(billed, dict):
            prompt, output = stated(billed.get("input_tokens")), stated(billed.get("output_tokens"))
    prompt, output = prompt or 0, output or 0
    return Usage(prompt - cached if cached <= prompt else prompt, cached, output, 0, *headline)
