"""Cloudflare Workers AI, native: one path a model, and every body in the API's envelope of result and errors.

Sources: developers.cloudflare.com/workers-ai (configuration/open-ai-compatibility, platform/errors, the schema page of
each model), and recorded responses. The base URL ends in ``/accounts/<account id>``.

The envelope holds ``result.response`` with ``usage``, without a finish reason; or, for newer models, a whole document
of OpenAI's, chat completion or response, as ``result``. Streams come without the envelope.

Warning: ``result.response`` is an object, not a text, where JSON was asked for; it is written as JSON again, so its
spaces are ours. The schemas name no ``stop``, so it is not sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import orjson

from app.core.values import Answer, Failure, FailureKind, Request, Usage
from app.dialects import openai, openai_responses
from app.dialects.events import stream_of
from app.dialects.manners import Manners
from app.dialects.schemas import bare
from app.dialects.trouble import failure_of, refusal
from app.dialects.turns import in_line
from app.dialects.vendors import manners_of
from app.dialects.wireform import Said

authorize = openai.authorize


def say(request: Request, manners: Manners | None = None) -> Said:
    """The HTTP request for ``request``; the model's name is part of the path."""
    manners = manners or manners_of("cloudflare", model=request.model)
    turns = in_line(request.messages, manners)
    payload: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        "max_tokens": request.max_tokens,
    }
    if manners.temperature:
        payload["temperature"] = min(request.temperature, manners.hottest)
    if request.seed and manners.seed:  # the schemas begin at 1
        payload["seed"] = request.seed
    if request.schema is not None and manners.json_schema:
        payload["response_format"] = {"type": "json_schema", "json_schema": bare(request.schema)}
    elif request.wants_json and manners.json_object:
        payload["response_format"] = {"type": "json_object"}
    if request.effort is not None:
        payload |= manners.effort.get(request.effort, {})
    path = f"/ai/run/{quote(request.model, safe='@/:')}"
    return Said("POST", path, {**openai.HEADERS, **manners.headers}, orjson.dumps(payload))


def hear(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """The answer in a response, or why there is none. Never raises for what a provider sent."""
    refused = refusal(status, headers, body)
    if refused is not None:
        return refused
    try:
        doc = orjson.loads(body)
    except ValueError:
        return _hear_unusual(headers, body)
    if isinstance(doc, dict) and "choices" not in doc:
        return _hear_envelope(headers, doc)
    return openai.hear_document(headers, doc)


def _hear_envelope(headers: Mapping[str, str], doc: dict[str, Any]) -> Answer | Failure:
    result = doc.get("result", doc)
    usage = openai.usage_of(result.get("usage")) if isinstance(result, dict) else Usage()
    if doc.get("success") is False or ((doc.get("errors") or doc.get("error")) and not _holds_answer(result)):
        return failure_of(200, headers, doc, usage=usage)
    if isinstance(result, str):
        return _answer({"response": result}, usage)
    if not isinstance(result, dict):
        return _malformed("no result in the answer", usage)
    if "choices" in result:
        return openai.hear_document(headers, result)
    if result.get("object") == "response":
        return openai_responses.hear_document(headers, result)
    if not _holds_answer(result):
        return _malformed("no response in the result", usage)
    return _answer(result, usage)


def _holds_answer(result: Any) -> bool:
    """``response`` may be null beside calls of tools; a result of neither is none."""
    if isinstance(result, dict):
        return any(result.get(name) is not None for name in ("response", "tool_calls", "choices", "output"))
    return isinstance(result, str)


def _answer(result: dict[str, Any], usage: Usage) -> Answer | Failure:
    message = {
        "content": _text(result.get("response")),
        "reasoning": result.get("reasoning_content") or result.get("reasoning"),
        "tool_calls": result.get("tool_calls"),
    }
    return openai.answer_of(message, result.get("finish_reason"), usage, result)


def _text(response: Any) -> str:
    """What JSON mode gives as a value, and streams as a number where the piece is one, is text all the same."""
    if response is None:
        return ""
    try:
        return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)
    except RecursionError:  # deeper than any answer
        return ""


def _hear_unusual(headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """A 200 whose body is no plain JSON: events with ``response`` are ours to fold, all else is as with OpenAI."""
    stripped = body.removeprefix(b"\xef\xbb\xbf").strip()
    if stripped[:1] == b"{" and stripped is not body:
        with suppress(ValueError):
            orjson.loads(stripped)
            return hear(200, headers, stripped)
    whole: dict[str, Any] = {}
    said: list[str] = []
    stream = stream_of(body)
    for event in stream.events:
        if event.get("choices") or event.get("error"):
            return openai.hear_unusual(headers, body)
        if event.get("errors"):
            return failure_of(200, headers, event, usage=openai.usage_of(whole.get("usage")))
        said.append(_text(event.get("response")))
        whole |= {name: value for name, value in event.items() if value}
    if stream.broken:
        return _malformed("the stream is cut or broken", openai.usage_of(whole.get("usage")))
    if not whole:
        return openai.hear_unusual(headers, body)
    if not (stream.ended or whole.get("usage") or whole.get("finish_reason")):
        return _malformed("the stream is cut or broken", Usage())
    return _answer(whole | {"response": "".join(said)}, openai.usage_of(whole.get("usage")))


def _malformed(why: str, usage: Usage) -> Failure:
    return Failure(FailureKind.MALFORMED, why, 200, usage=usage)
