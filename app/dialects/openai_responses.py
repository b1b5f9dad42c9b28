"""OpenAI's Responses API, as OpenAI, Azure, xAI, OpenRouter, vLLM and mistral.rs speak it.

Sources: platform.openai.com/docs/api-reference/responses and /responses-streaming; recorded responses.

An answer that came whole but says nothing is an Answer with an empty text; to the output contract it is an abstention.

Warning: the protocol has no seed and no stop sequences; a request's are not sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.core.masking import safe_message
from app.core.reasoning import split_reasoning
from app.core.values import Answer, Failure, FailureKind, Finish, Request, Usage
from app.dialects.events import documents
from app.dialects.fields import count_of, dicts_of, stated, text_of
from app.dialects.manners import Manners
from app.dialects.schemas import NAME, bare, strict
from app.dialects.trouble import failure_of, refusal
from app.dialects.turns import in_line
from app.dialects.vendors import manners_of
from app.dialects.wireform import Said

PATH = "/responses"
HEADERS = {"content-type": "application/json", "accept": "application/json"}
LEAST_MAX_OUTPUT = 16
"""Tokens; the API refuses a smaller ``max_output_tokens``."""

_FINISH_OF_STATUS = {"completed": Finish.STOP, "failed": Finish.ERROR, "cancelled": Finish.ERROR}
_FINISH_OF_CUT = {
    "max_output_tokens": Finish.LENGTH, "max_tokens": Finish.LENGTH, "length": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH, "content_filter": Finish.CONTENT_FILTER,
}  # fmt: skip
_NOT_YET = ("queued", "in_progress")
_NO_USAGE = Usage()


def say(request: Request, manners: Manners | None = None) -> Said:
    """The HTTP request for ``request``; only fields that are set, and that the vendor takes, are sent.

    System messages stand in the input, which is where the API puts what is given as ``instructions``. Nothing is to be
    stored at the vendor.
    """
    manners = manners or manners_of("openai_responses", model=request.model)
    turns = in_line(request.messages, manners)
    payload: dict[str, Any] = {
        "model": request.model,
        "input": [{"role": turn.role, "content": turn.content} for turn in turns],
        "max_output_tokens": max(request.max_tokens, LEAST_MAX_OUTPUT),
    }
    if manners.temperature:
        payload["temperature"] = min(request.temperature, manners.hottest)
    payload["store"] = False
    if request.schema is not None and manners.json_schema:
        held = {"type": "json_schema", "name": NAME, "schema": bare(request.schema), "strict": strict(request.schema)}
        payload["text"] = {"format": held}
    elif request.wants_json and manners.json_object:
        payload["text"] = {"format": {"type": "json_object"}}
    if request.effort is not None:
        payload |= manners.effort.get(request.effort, {})
    return Said("POST", PATH, {**HEADERS, **manners.headers}, orjson.dumps(payload))


def authorize(key: str) -> dict[str, str]:
    """The headers that carry ``key``."""
    return {"authorization": f"Bearer {key}"}


def hear(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
    """The answer in a response, or why there is none. Never raises for what a provider sent."""
    refused = refusal(status, headers, body)
    if refused is not None:
        return refused
    found, flaw = documents(body)
    docs = dicts_of(found)
    if not docs:
        return _malformed(flaw or "the body is no JSON object", _NO_USAGE)
    if any(text_of(doc.get("type")).startswith("response.") for doc in docs):
        return _hear_events(headers, docs)
    return hear_document(headers, docs[0])


def hear_document(headers: Mapping[str, str], doc: dict[str, Any]) -> Answer | Failure:
    """As ``hear``, for the parsed body of a 200 that is no stream; other vendors' envelopes hold such documents too."""
    usage = _usage(doc.get("usage"))
    if doc.get("error"):
        return failure_of(200, headers, {"error": doc["error"], "code": doc.get("code")}, usage=usage)
    items = doc.get("output")
    if not isinstance(items, list) and not isinstance(doc.get("output_text"), str):
        if any(doc.get(name) for name in ("message", "msg", "detail", "errors")):
            return failure_of(200, headers, doc, usage=usage)
        if doc.get("status") not in ("failed", "cancelled"):
            return _malformed("no output in the answer", usage)
    output = dicts_of(items)
    text, declined = _spoken(output)
    text, leaked_thought, leaked = split_reasoning(text or text_of(doc.get("output_text")))
    finish = _finish(doc, output)
    if finish is Finish.CONTENT_FILTER or (declined and not text.strip()):
        why = safe_message(declined) or "stopped by a content filter"
        return Failure(FailureKind.CONTENT_FILTER, why, 200, usage=usage, finish=finish)
    if finish is Finish.ERROR:
        why = safe_message(f"generation ended with status {doc.get('status')}")
        return Failure(FailureKind.SERVER_ERROR, why, 200, usage=usage, finish=finish)
    if doc.get("status") in _NOT_YET or (finish is Finish.OTHER and not output and not text):
        return _malformed("no output in the answer", usage)
    thought = _thought(output) or text_of(doc.get("reasoning")).strip()
    return Answer(
        text,
        usage,
        f"{thought}\n{leaked_thought}".strip() if leaked else thought,
        finish,
        text_of(doc.get("model")),
        text_of(doc.get("id")),
        ("reasoning_leak",) if leaked else (),
    )


def _finish(doc: dict[str, Any], output: list[dict[str, Any]]) -> Finish:
    """Where a status is missing (OpenRouter), only calls and a named cut tell why it ended."""
    status, cut = doc.get("status"), doc.get("incomplete_details")
    reason = cut.get("reason") if isinstance(cut, dict) else None
    if isinstance(reason, str) and status not in ("completed", "failed", "cancelled"):
        return _FINISH_OF_CUT.get(reason, Finish.OTHER)
    finish = _FINISH_OF_STATUS.get(status, Finish.OTHER) if isinstance(status, str) else Finish.OTHER
    called = any(item.get("type") in ("function_call", "custom_tool_call") for item in output)
    return Finish.TOOL_CALLS if called and (finish is Finish.STOP or not status) else finish


def _spoken(output: list[dict[str, Any]]) -> tuple[str, str]:
    """(text, refusal) of the messages; of those that a model names commentary and final, only the final ones."""
    messages = [item for item in output if item.get("type", "message") == "message"]
    if any(message.get("phase") == "final_answer" for message in messages):
        messages = [message for message in messages if message.get("phase") != "commentary"]
    said: list[str] = []
    refused: list[str] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            said.append(text_of(content))
        for part in dicts_of(content):
            if part.get("type") == "refusal":
                refused.append(text_of(part.get("refusal")))
            elif part.get("type") in ("output_text", "text"):
                said.append(text_of(part.get("text")))
    return "".join(said), "".join(refused)


def _thought(output: list[dict[str, Any]]) -> str:
    """The reasoning itself where it is given, else its summary."""
    parts: list[str] = []
    for item in output:
        if item.get("type") == "reasoning":
            whole = [text_of(part.get("text")) for part in dicts_of(item.get("content"))]
            parts += whole if any(whole) else [text_of(part.get("text")) for part in dicts_of(item.get("summary"))]
    return "\n".join(part for part in parts if part)


def _malformed(why: str, usage: Usage) -> Failure:
    return Failure(FailureKind.MALFORMED, why, 200, usage=usage)


def _hear_events(headers: Mapping[str, str], events: Sequence[dict[str, Any]]) -> Answer | Failure:
    """The last state of the response that the stream gives, with the output that came before it where it has none.

    A stream that ends before the response did was cut, and what it said so far is no answer.
    """
    last: dict[str, Any] = {}
    ended = False
    items: dict[int, dict[str, Any]] = {}
    error: dict[str, Any] | None = None
    for event in events:
        kind = event.get("type")
        if kind == "error" or (event.get("error") and "response" not in event):
            error = event
        response = event.get("response")
        if isinstance(response, dict):
            last = response
            status = str(kind).rpartition(".")[2] if isinstance(kind, str) else ""
            ended = ended or status in ("completed", "incomplete", "failed", "cancelled", "done")
        else:
            _add(items, event)
    usage = _usage(last.get("usage"))
    if error is not None:
        # Flat in the reference, nested in recorded streams.
        flat = {name: error.get(name) for name in ("code", "message")}
        return failure_of(200, headers, error if error.get("error") else {"error": flat}, usage=usage)
    if not ended:
        return _malformed("the stream is cut or broken", usage)
    if not last.get("output"):
        last = last | {"output": [items[at] for at in sorted(items)]}
    return hear_document(headers, last)


def _add(items: dict[int, dict[str, Any]], event: dict[str, Any]) -> None:
    """Notes one piece of output: a finished item is the whole of it, and replaces the pieces."""
    kind, index = event.get("type"), event.get("output_index")
    at = index if type(index) is int else 0
    item, piece = event.get("item"), text_of(event.get("delta"))
    if isinstance(item, dict):
        if kind == "response.output_item.done" or at not in items:
            items[at] = item | {"content": dicts_of(item.get("content"))}
    elif kind in ("response.output_text.delta", "response.refusal.delta") and piece:
        name, field = ("output_text", "text") if kind == "response.output_text.delta" else ("refusal", "refusal")
        items.setdefault(at, {"type": "message", "content": []})["content"].append({"type": name, field: piece})


def _usage(raw: Any) -> Usage:
    """Cached tokens are part of the input and reasoning part of the output, unless it is greater than its whole.

    A total above both that the reasoning explains says that it was counted beside the output.
    """
    if not isinstance(raw, dict):
        return _NO_USAGE
    given = count_of(raw.get("input_tokens")) or count_of(raw.get("prompt_tokens"))
    output = count_of(raw.get("output_tokens")) or count_of(raw.get("completion_tokens"))
    details = raw.get("input_tokens_details")
    cached = count_of(details.get("cached_tokens")) if isinstance(details, dict) else 0
    details = raw.get("output_tokens_details")
    thought = count_of(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    beside = count_of(raw.get("total_tokens")) - given - output
    return Usage(
        input_tokens=given - cached if cached <= given else given,
        cached_tokens=cached,
        output_tokens=output if thought > output or beside == thought else output - thought,
        reasoning_tokens=thought,
        stated_input=stated(raw.get("input_tokens")),
        stated_output=stated(raw.get("output_tokens")),
    )
