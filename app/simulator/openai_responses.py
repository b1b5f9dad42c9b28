"""OpenAI's Responses protocol, from the provider's side of the wire.

Source of the shapes: the public API reference of ``POST /v1/responses`` and of its streaming events. Nothing is stored,
so ``previous_response_id`` is refused; tools and images are not offered. Thoughts are told as a summary, and only where
one is asked for, as OpenAI does it. Errors and headers are those of chat completions.
"""

from __future__ import annotations

from typing import Any

from app.simulator import openai_chat
from app.simulator.ask import Ask, BadRequest, Reply, Stamp, bits
from app.simulator.bodies import event, first_key, joined, read_object
from app.simulator.heading import Heading, Target, bearer
from app.simulator.manners import Vendor

CALL_PATH = "v1/responses"
STREAM_TYPE = "text/event-stream"
LEAST_MAX_OUTPUT = 16

_HERE = Target()

key_of = bearer
listing = openai_chat.listing


def find(path: str, heading: Heading) -> Target | None:
    return _HERE if path == CALL_PATH else None


def read(body: bytes, target: Target) -> Ask:
    """Raises ``BadRequest``."""
    data = read_object(body)
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("Missing required parameter: 'model'.", "model")
    if data.get("previous_response_id"):
        raise BadRequest("Previous response not found.", "previous_response_id")
    messages = _messages(data.get("input"))
    instructions = data.get("instructions")
    if isinstance(instructions, str) and instructions:
        messages = (("system", instructions), *messages)
    reasoning = data.get("reasoning")
    return Ask(
        model=model,
        messages=messages,
        max_tokens=_max_tokens(data.get("max_output_tokens")),
        json_key=_json_key(data.get("text")),
        stream=data.get("stream") is True,
        show_thoughts=isinstance(reasoning, dict) and bool(reasoning.get("summary")),
    )


def _messages(given: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(given, str) and given:
        return (("user", given),)
    if not isinstance(given, list) or not given:
        raise BadRequest("Missing required parameter: 'input'.", "input")
    messages: list[tuple[str, str]] = []
    for place, item in enumerate(given):
        if isinstance(item, dict) and item.get("type", "message") != "message":
            continue  # reasoning and calls of earlier turns say nothing here
        content = joined(item.get("content")) if isinstance(item, dict) else None
        if content is None or not isinstance(item.get("role"), str):
            raise BadRequest(f"Invalid value: 'input[{place}]' is no message.", f"input[{place}]")
        messages.append((item["role"], content))
    return tuple(messages)


def _max_tokens(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < LEAST_MAX_OUTPUT:
        raise BadRequest(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {LEAST_MAX_OUTPUT}, "
            f"but got {value!r} instead.",
            "max_output_tokens",
        )
    return value


def _json_key(text: Any) -> str | None:
    form = text.get("format") if isinstance(text, dict) else None
    if not isinstance(form, dict) or form.get("type") not in ("json_object", "json_schema"):
        return None
    return first_key(form.get("schema"))


def write(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> dict[str, Any]:
    """The body of a 200."""
    output = [_thoughts(ask, reply, stamp)] if reply.apart_tokens else []
    if reply.text or not reply.cut:
        output.append(_message(reply.text, stamp, "incomplete" if _why_cut(reply) else "completed"))
    return _response(ask, stamp, _status(reply)) | {
        "output": output,
        "incomplete_details": {"reason": _why_cut(reply)} if _why_cut(reply) else None,
        "usage": {
            "input_tokens": reply.prompt_tokens,
            "input_tokens_details": {"cached_tokens": reply.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": reply.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": reply.apart_tokens},
            "total_tokens": reply.total_tokens,
        },
    }


def hollow(data: dict[str, Any]) -> None:
    """Leave the answer out of a body."""
    del data["output"]


def _why_cut(reply: Reply) -> str:
    return "content_filter" if reply.filtered else "max_output_tokens" if reply.cut else ""


def _status(reply: Reply) -> str:
    return "incomplete" if _why_cut(reply) else "completed"


def _response(ask: Ask, stamp: Stamp, status: str) -> dict[str, Any]:
    """A response without its output."""
    return {
        "id": f"resp_sim{stamp.number:08d}",
        "object": "response",
        "created_at": int(stamp.wall),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": ask.max_tokens,
        "metadata": {},
        "model": ask.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }


def _thoughts(ask: Ask, reply: Reply, stamp: Stamp) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": reply.reasoning}] if ask.show_thoughts else []
    return {"id": f"rs_sim{stamp.number:08d}", "type": "reasoning", "summary": summary}


def _message(text: str, stamp: Stamp, status: str) -> dict[str, Any]:
    return {
        "id": f"msg_sim{stamp.number:08d}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": text}],
    }


def stream(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> tuple[str, list[bytes]]:
    """The events of a streamed answer, numbered; the last one holds the whole response."""
    said: list[bytes] = []

    def tell(kind: str, **more: Any) -> None:
        said.append(event({"type": kind, "sequence_number": len(said), **more}, kind))

    whole = write(ask, reply, stamp, vendor)
    for kind in ("response.created", "response.in_progress"):
        tell(kind, response=_response(ask, stamp, "in_progress"))
    for at, item in enumerate(whole["output"]):
        place = {"item_id": item["id"], "output_index": at}
        empty = {"content": [], "status": "in_progress"} if item["type"] == "message" else {"summary": []}
        tell("response.output_item.added", output_index=at, item=item | empty)
        if item["type"] == "message":
            part = item["content"][0]
            place["content_index"] = 0
            tell("response.content_part.added", **place, part=part | {"text": ""})
            for bit in bits(part["text"]):
                tell("response.output_text.delta", **place, delta=bit, logprobs=[])
            tell("response.output_text.done", **place, text=part["text"], logprobs=[])
            tell("response.content_part.done", **place, part=part)
        for part in item.get("summary", ()):
            place["summary_index"] = 0
            tell("response.reasoning_summary_part.added", **place, part=part | {"text": ""})
            for bit in bits(part["text"]):
                tell("response.reasoning_summary_text.delta", **place, delta=bit)
            tell("response.reasoning_summary_text.done", **place, text=part["text"])
            tell("response.reasoning_summary_part.done", **place, part=part)
        tell("response.output_item.done", output_index=at, item=item)
    tell(f"response.{whole['status']}", response=whole)
    return STREAM_TYPE, said
