"""The OpenAI chat-completions protocol, from the provider's side of the wire.

Source of the shapes: the public API reference of ``POST /v1/chat/completions`` and ``GET /v1/models``. Streaming, more
than one choice, tools and images are not offered.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.simulator.ask import Ask, BadRequest, Reply
from app.simulator.fleet import Provider

CALL_PATH = "v1/chat/completions"
MODELS_PATH = "v1/models"


def read(body: bytes) -> Ask:
    """Raises ``BadRequest``."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest("We could not parse the JSON body of your request.") from error
    if not isinstance(data, dict):
        raise BadRequest("The body must be a JSON object.")
    model = data.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", "model")
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("Missing required parameter: 'messages'.", "messages")
    if data.get("stream"):
        raise BadRequest("Unsupported value: 'stream' does not support true with this model.", "stream")
    return Ask(
        model=model,
        messages=tuple(_message(message, place) for place, message in enumerate(messages)),
        max_tokens=_max_tokens(data),
        json_key=_json_key(data.get("response_format")),
    )


def _message(message: Any, place: int) -> tuple[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequest(f"Missing required parameter: 'messages[{place}].role'.", f"messages[{place}].role")
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise BadRequest(f"Invalid type for 'messages[{place}].content': expected a string.", f"messages[{place}]")
    return message["role"], content


def _max_tokens(data: dict[str, Any]) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        value = data.get(key)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BadRequest(f"Invalid '{key}': expected an integer of at least 1.", key)
            return value
    return None


def _json_key(response_format: Any) -> str | None:
    """The key to answer under: the first property of the schema, ``label`` where there is no schema."""
    if not isinstance(response_format, dict) or response_format.get("type") not in ("json_object", "json_schema"):
        return None
    try:
        return str(next(iter(response_format["json_schema"]["schema"]["properties"])))
    except (KeyError, TypeError, StopIteration):
        return "label"


def write(ask: Ask, reply: Reply, *, number: int, created: int, reasoning_field: str) -> dict[str, Any]:
    """The body of a 200. ``reasoning_field`` is what the vendor calls thoughts given apart."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.reasoning:
        message[reasoning_field] = reply.reasoning
    usage: dict[str, Any] = {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
    if reply.reasoning_tokens:
        usage["completion_tokens_details"] = {"reasoning_tokens": reply.reasoning_tokens}
    return {
        "id": f"chatcmpl-sim{number:08d}",
        "object": "chat.completion",
        "created": created,
        "model": ask.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "length" if reply.cut else "stop",
            }
        ],
        "usage": usage,
    }


def models(provider: Provider) -> dict[str, Any]:
    rows = [{"id": name, "object": "model", "created": 0, "owned_by": provider.name} for name in provider.models]
    return {"object": "list", "data": rows}
