"""The OpenAI chat-completions protocol, from the provider's side of the wire.

Source of the shapes: the public API reference of ``POST /v1/chat/completions``, its streaming events and
``GET /v1/models``. More than one choice, tools and images are not offered.
"""

from __future__ import annotations

from typing import Any

from app.simulator.ask import Ask, BadRequest, Reply, Stamp, bits
from app.simulator.bodies import DONE, event, first_key, joined, read_object, strings, whole_number
from app.simulator.fleet import Provider
from app.simulator.heading import Heading, Target, bearer
from app.simulator.manners import Vendor

CALL_PATH = "v1/chat/completions"
MODELS_PATH = "v1/models"
STREAM_TYPE = "text/event-stream"

_HERE = Target()

key_of = bearer


def find(path: str, heading: Heading) -> Target | None:
    return _HERE if path == CALL_PATH else None


def read(body: bytes, target: Target) -> Ask:
    """Raises ``BadRequest``."""
    data = read_object(body)
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", "model")
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("Missing required parameter: 'messages'.", "messages")
    options = data.get("stream_options")
    return Ask(
        model=model,
        messages=tuple(_message(message, place) for place, message in enumerate(messages)),
        max_tokens=whole_number(data, "max_completion_tokens") or whole_number(data, "max_tokens"),
        json_key=_json_key(data.get("response_format")),
        stop=strings(data.get("stop")),
        stream=data.get("stream") is True,
        count_stream=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _message(message: Any, place: int) -> tuple[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequest(f"Missing required parameter: 'messages[{place}].role'.", f"messages[{place}].role")
    content = message.get("content")
    if not isinstance(content, str):
        content = joined(content)
    if content is None:
        raise BadRequest(f"Invalid type for 'messages[{place}].content': expected a string.", f"messages[{place}]")
    return message["role"], content


def _json_key(response_format: Any) -> str | None:
    """The key to answer under, where JSON is demanded."""
    if not isinstance(response_format, dict) or response_format.get("type") not in ("json_object", "json_schema"):
        return None
    named = response_format.get("json_schema")
    return first_key(named.get("schema") if isinstance(named, dict) else None)


def write(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> dict[str, Any]:
    """The body of a 200."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message[vendor.reasoning_field] = reply.reasoning
    return {
        "id": f"chatcmpl-sim{stamp.number:08d}",
        "object": "chat.completion",
        "created": int(stamp.wall),
        "model": ask.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}],
        "usage": usage(reply),
    }


def hollow(data: dict[str, Any]) -> None:
    """Leave the answer out of a body."""
    data["choices"] = []


def _finish(reply: Reply) -> str:
    return "content_filter" if reply.filtered else "length" if reply.cut else "stop"


def usage(reply: Reply) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
    if reply.cached_tokens:
        counts["prompt_tokens_details"] = {"cached_tokens": reply.cached_tokens}
    if reply.reasoning_tokens:
        counts["completion_tokens_details"] = {"reasoning_tokens": reply.reasoning_tokens}
    return counts


def stream(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> tuple[str, list[bytes]]:
    """The events of a streamed answer. The one with the usage has no choice in it, and comes only if asked for."""
    head = {
        "id": f"chatcmpl-sim{stamp.number:08d}",
        "object": "chat.completion.chunk",
        "created": int(stamp.wall),
        "model": ask.model,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(head | {"choices": [choice]} | ({"usage": None} if ask.count_stream else {}))

    said = [chunk({"role": "assistant", "content": ""})]
    said += [chunk({vendor.reasoning_field: bit}) for bit in bits(reply.reasoning)]
    said += [chunk({"content": bit}) for bit in bits(reply.text)]
    said.append(chunk({}, _finish(reply)))
    if ask.count_stream:
        said.append(event(head | {"choices": [], "usage": usage(reply)}))
    return STREAM_TYPE, [*said, DONE]


def listing(path: str, provider: Provider) -> dict[str, Any] | None:
    """The models, or one of them; ``None`` where the path is another."""
    rows = {name: {"id": name, "object": "model", "created": 0, "owned_by": provider.name} for name in provider.models}
    if path == MODELS_PATH:
        return {"object": "list", "data": list(rows.values())}
    return rows.get(path.removeprefix(f"{MODELS_PATH}/"))
