"""The OpenAI Chat Completions protocol, as some thirty vendors speak it: two pure functions.

Sources: platform.openai.com/docs/api-reference/chat, and recorded responses of the vendors where they differ.

Warning: an answer may be empty, with its finish reason as the vendor gave it: a model that spent all its room on
thinking says ``length``. It is an Answer here because that is what came; whoever asked decides what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.core.masking import safe_message
from app.core.reasoning import split_reasoning
from app.core.values import Answer, Failure, FailureKind, Finish, Request, Usage
from app.dialects.events import stream_of
from app.dialects.fields import count_of, dicts_of, stated, text_of
from app.dialects.manners import Manners
from app.dialects.schemas import NAME, bare, strict
from app.dialects.trouble import failure_of, refusal
from app.dialects.turns import in_line
from app.dialects.vendors import manners_of
from app.dialects.wireform import Said

PATH = "/chat/completions"
HEADERS = {"content-type": "application/json", "accept": "application/json"}

EMPTY = "empty answer"

_FINISH = {
    "stop": Finish.STOP, "eos": Finish.STOP, "eos_token": Finish.STOP, "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP, "complete": Finish.STOP, "completed": Finish.STOP, "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH, "max_output_tokens": Finish.LENGTH, "max_completion_tokens": Finish.LENGTH,
    "max_new_tokens": Finish.LENGTH, "model_length": Finish.LENGTH, "model_context_window_exceeded": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS, "tool_call": Finish.TOOL_CALLS, "function_call": Finish.TOOL_CALLS,
    "tool_use": Finish.TOOL_CALLS, "content_filter": Finish.CONTENT_FILTER, "refusal": Finish.CONTENT_FILTER,
    "sensitive": Finish.CONTENT_FILTER, "safety": Finish.CONTENT_FILTER, "recitation": Finish.CONTENT_FILTER,
    "prohibited_content": Finish.CONTENT_FILTER, "blocklist": Finish.CONTENT_FILTER, "spii": Finish.CONTENT_FILTER,
    "error": Finish.ERROR, "abort": Finish.ERROR, "network_error": Finish.ERROR,
    "insufficient_system_resource": Finish.ERROR,
}  # fmt: skip
_NO_USAGE = Usage()


def authorize(key: str) -> dict[str, str]:
    """The header that carries the key."""
    return {"authorization": f"Bearer {key}"}


def say(request: Request, manners: Manners | None = None) -> Said:
    """The HTTP request for ``request``; only fields that are set, and that the vendor takes, are sent."""
    manners = manners or manners_of("openai", model=request.model)
    turns = in_line(request.messages, manners)
    payload: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        manners.max_tokens: request.max_tokens,
    }
    if manners.temperature:
        payload["temperature"] = min(request.temperature, manners.hottest)
    if request.seed is not None and manners.seed:
        payload[manners.seed] = request.seed
    if stop := request.stop[: manners.most_stops]:
        payload["stop"] = list(stop)
    if request.schema is not None and manners.json_schema:
        held = {"name": NAME, "schema": bare(request.schema), "strict": strict(request.schema)}
        payload["response_format"] = {"type": "json_schema", "json_schema": held}
    elif request.wants_json and manners.json_object:
        payload["response_format"] = {"type": "json_object"}
    payload |= manners.extra
    if request.effort is not None:
        payload |= manners.effort.get(request.effort, {})
    return Said("POST", PATH, {**HEADERS, **manners.headers}, orjson.dumps(payload))


def hear(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """The answer in a response, or why there is none. Never raises for what a provider sent."""
    refused = refusal(status, headers, body)
    if refused is not None:
        return refused
    try:
        doc = orjson.loads(body)
    except ValueError:
        return hear_unusual(headers, body)
    return hear_document(headers, doc)


def hear_document(headers: Mapping[str, str], doc: Any) -> Answer | Failure:
    """As ``hear``, for the parsed body of a 200; other vendors' envelopes hold such documents too."""
    if isinstance(doc, list) and doc:
        doc = doc[0]
    if not isinstance(doc, dict):
        return _malformed("the body is no JSON object", _NO_USAGE)
    choices = doc.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return _without_choice(headers, doc)
    choice = choices[0]
    usage = usage_of(doc.get("usage"))
    if choice.get("error"):
        return failure_of(200, headers, {"error": choice["error"]}, usage=usage)
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        message = {"content": text} if isinstance(text, str) else {}
    answer = answer_of(message, choice.get("finish_reason"), usage, doc)
    if doc.get("error") and (isinstance(answer, Failure) or not answer.text.strip()):
        return failure_of(200, headers, doc, usage=usage)
    return answer


def answer_of(message: dict[str, Any], reason: Any, usage: Usage, doc: dict[str, Any]) -> Answer | Failure:
    """The answer in a ``message``, with its finish reason; ``doc`` names the model and the response."""
    text = message.get("content")
    thought = message.get("reasoning_content") or message.get("reasoning") or _detailed(message)
    if not isinstance(text, str):
        text, parts_thought = _join(text)
        thought = thought or parts_thought
    if not isinstance(thought, str):
        thought = ""
    text, leaked_thought, leaked = split_reasoning(text)
    finish = _FINISH.get(reason, Finish.OTHER) if isinstance(reason, str) else Finish.OTHER
    if finish is Finish.OTHER and isinstance(reason, str):
        finish = _FINISH.get(reason.lower(), Finish.OTHER)
    refused = message.get("refusal")
    silent = not text or text.isspace()
    if finish is Finish.CONTENT_FILTER or (refused and silent):
        why = _words(refused) or "stopped by a content filter"
        return Failure(FailureKind.CONTENT_FILTER, why, 200, usage=usage, finish=finish)
    if finish is Finish.ERROR:
        kind = FailureKind.OVERLOADED if reason == "insufficient_system_resource" else FailureKind.SERVER_ERROR
        return Failure(kind, safe_message(f"generation ended with {reason}"), 200, usage=usage, finish=finish)
    if silent and not (reason or thought or leaked or usage.stated_output or _calls_tools(message)):
        return _malformed(EMPTY, usage)  # nothing was said, and nothing shows that anything was meant to be
    if "\x00" in text:
        text = text.replace("\x00", "")  # Postgres stores no NUL
    model, request_id = doc.get("model"), doc.get("id")
    return Answer(
        text,
        usage,
        (f"{thought}\n{leaked_thought}".strip() if leaked else thought).replace("\x00", ""),
        finish,
        model if isinstance(model, str) else "",
        request_id if isinstance(request_id, str) else "",
        ("reasoning_leak",) if leaked else (),
    )


def _detailed(message: dict[str, Any]) -> str:
    """OpenRouter's ``reasoning_details``, where it is all there is of the reasoning: its text, else its summary."""
    details = dicts_of(message.get("reasoning_details"))
    return "".join(text_of(detail.get("text")) or text_of(detail.get("summary")) for detail in details)


def _calls_tools(message: dict[str, Any]) -> bool:
    return bool(message.get("tool_calls") or message.get("function_call"))


def _words(refusal: Any) -> str:
    return safe_message(refusal) if isinstance(refusal, str) else ""


def _malformed(why: str, usage: Usage) -> Failure:
    return Failure(FailureKind.MALFORMED, why, 200, usage=usage)


def _join(parts: Any) -> tuple[str, str]:
    """(text, reasoning) of a content given as parts, as Mistral's reasoning models give it; ("", "") of none."""
    said: list[str] = []
    thought: list[str] = []
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, dict):
            inner = part.get("thinking") if part.get("thinking") is not None else part.get("reasoning")
            if isinstance(inner, list):
                thought.extend(_join(inner)[0:1])
            elif isinstance(inner, str):
                thought.append(inner)
            elif isinstance(part.get("text"), str):
                said.append(part["text"])
    return "".join(said), "".join(thought)


def _without_choice(headers: Mapping[str, str], doc: dict[str, Any]) -> Failure:
    """Errors that came with a 200: an ``error`` object, MiniMax's ``base_resp``, a bare message with a code."""
    usage = usage_of(doc.get("usage"))
    base = doc.get("base_resp")
    broken_base = isinstance(base, dict) and base.get("status_code") not in (0, None)
    bare = doc.get("message") or doc.get("msg") or doc.get("detail") or doc.get("errors")
    if doc.get("error") or broken_base or (bare and "choices" not in doc):
        return failure_of(200, headers, doc, usage=usage)
    return _malformed("no choices in the answer", usage)


def _stated(raw: dict[str, Any], *names: str) -> int | None:
    return next((count for name in names if (count := stated(raw.get(name))) is not None), None)


def usage_of(raw: Any) -> Usage:
    """The vendor's counts in disjoint buckets; their sum is its ``total_tokens`` where that can be made to hold.

    Cached tokens are part of the prompt and reasoning part of the completion, unless the numbers say otherwise:
    a part greater than its whole, or a total that needs it on top (xAI; Gemini behind Vercel's gateway bills so).
    A total above all named parts is thinking that the vendor does not name (Gemini's OpenAI endpoint).
    """
    if not isinstance(raw, dict):
        return _NO_USAGE
    prompt = count_of(raw.get("prompt_tokens")) or count_of(raw.get("input_tokens"))
    completion = count_of(raw.get("completion_tokens")) or count_of(raw.get("output_tokens"))
    total = count_of(raw.get("total_tokens"))
    details = raw.get("prompt_tokens_details") or raw.get("input_tokens_details")
    cached = count_of(details.get("cached_tokens")) if isinstance(details, dict) else 0
    cached = cached or count_of(raw.get("prompt_cache_hit_tokens")) or count_of(raw.get("cached_tokens"))
    details = raw.get("completion_tokens_details") or raw.get("output_tokens_details")
    thought = count_of(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    thought = thought or count_of(raw.get("reasoning_tokens"))
    headline = (_stated(raw, "prompt_tokens", "input_tokens"), _stated(raw, "completion_tokens", "output_tokens"))
    if not cached and not thought and total <= prompt + completion:
        return Usage(prompt, 0, completion, 0, *headline)

    beside = total - prompt - completion
    if thought and (thought > completion or beside == thought):
        beside -= thought
    else:
        completion -= thought
    if cached and (cached > prompt or beside == cached):
        beside -= cached
    else:
        prompt -= cached
    return Usage(prompt, cached, completion, thought + max(beside, 0), *headline)


def hear_unusual(headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """A 200 whose body is no plain JSON: a stream of events nobody asked for, a byte order mark, a page, a cut."""
    stripped = body.removeprefix(b"\xef\xbb\xbf").strip()
    if stripped.startswith((b"data:", b"event:", b":", b"id:", b"retry:")):
        return _hear_events(headers, stripped)
    if not stripped:
        return _malformed("the body is empty", _NO_USAGE)
    if stripped is not body:
        try:
            return hear_document(headers, orjson.loads(stripped))
        except ValueError:
            pass
    what = "an HTML page" if stripped[:1] == b"<" else "cut or broken JSON" if stripped[:1] in b"{[" else "no JSON"
    return _malformed(f"the body is {what}", _NO_USAGE)


def _hear_events(headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """Server-sent events folded into the one document they are the pieces of. Only the first choice is read.

    A stream that has no end (a reason, the counts or ``[DONE]``) was cut, and what it said so far is no answer.
    """
    said: list[str] = []
    thought: list[str] = []
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    reason: Any = None
    stream = stream_of(body)
    for event in stream.events:
        if event.get("error") or _complains(event):
            return failure_of(200, headers, event, usage=usage_of(event.get("usage") or whole.get("usage")))
        _keep(event, whole)
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or choice.get("index", 0) != 0:
                continue
            if choice.get("error"):
                return failure_of(200, headers, {"error": choice["error"]}, usage=usage_of(whole.get("usage")))
            reason = choice.get("finish_reason") or reason
            if isinstance(choice.get("usage"), dict):
                whole["usage"] = choice["usage"]  # Moonshot's place for it
            delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
            if not isinstance(delta, dict):
                continue
            content = delta.get("content")
            text, parts_thought = (content, "") if isinstance(content, str) else _join(content)
            said.append(text)
            piece = delta.get("reasoning_content") or delta.get("reasoning") or _detailed(delta) or parts_thought
            thought.append(piece if isinstance(piece, str) else "")
            message |= {name: delta[name] for name in ("tool_calls", "function_call") if delta.get(name)}
            if isinstance(delta.get("refusal"), str):
                message["refusal"] = message.get("refusal", "") + delta["refusal"]
    if stream.broken:
        return _malformed("the stream is cut or broken", usage_of(whole.get("usage")))
    if not whole:
        return _malformed("the stream holds no events", _NO_USAGE)
    if not (stream.ended or reason or whole.get("usage")):
        return _malformed("the stream is cut or broken", _NO_USAGE)
    message |= {"content": "".join(said), "reasoning": "".join(thought)}
    return answer_of(message, reason, usage_of(whole.get("usage")), whole)


def _complains(event: dict[str, Any]) -> bool:
    """An error without an envelope, in the place of a piece of the answer."""
    return "choices" not in event and any(event.get(name) for name in ("message", "msg", "detail", "errors"))


def _keep(event: dict[str, Any], whole: dict[str, Any]) -> None:
    """The last usage counts: vendors that send it with every event send running totals."""
    for name in ("id", "model"):
        if event.get(name):
            whole[name] = event[name]
    own = event.get("x_groq")
    usage = event.get("usage") or (own.get("usage") if isinstance(own, dict) else None)
    if usage:
        whole["usage"] = usage
    whole.setdefault("id", "")
