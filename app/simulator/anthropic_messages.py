"""Anthropic's Messages protocol, from the provider's side of the wire.

Source of the shapes: the public API reference of ``POST /v1/messages`` and ``GET /v1/models``, and Anthropic's pages on
errors, rate limits, streaming and stop reasons. Tools and images are not offered. A model with the capability
``reasoning`` thinks whether it is told to or not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.simulator.ask import Ask, BadRequest, Reply, Stamp, bits
from app.simulator.bodies import event, first_key, joined, read_object, strings
from app.simulator.fleet import Provider
from app.simulator.heading import Heading, Target, bearer
from app.simulator.manners import (
    RULES,
    Body,
    Fault,
    Headers,
    Standings,
    Vendor,
    pairs,
    retry_after,
    span_of,
)

CALL_PATH = "v1/messages"
MODELS_PATH = "v1/models"
STREAM_TYPE = "text/event-stream; charset=utf-8"

_SIGNATURE = "EqQBCkYIBRgCKkBzaW11bGF0ZWQ="
_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


def find(path: str, heading: Heading) -> Target | None:
    if path != CALL_PATH:
        return None
    return Target(flaw="" if heading.headers.get("anthropic-version") else "anthropic-version: header is required")


def key_of(headers: Mapping[str, str]) -> str:
    return headers.get("x-api-key", "").strip() or bearer(headers)


def read(body: bytes, target: Target) -> Ask:
    """Raises ``BadRequest``."""
    data = read_object(body, "The request body is not valid JSON")
    model, messages, room = data.get("model"), data.get("messages"), data.get("max_tokens")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: Field required")
    if isinstance(room, bool) or not isinstance(room, int):
        raise BadRequest("max_tokens: Field required" if room is None else "max_tokens: Input should be an integer")
    if room < 1:
        raise BadRequest("max_tokens: Input should be greater than or equal to 1")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: at least one message is required")
    temperature = data.get("temperature")
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= 1):
        raise BadRequest("temperature: range: 0..1")
    stops = strings(data.get("stop_sequences"))
    if any(not stop.strip() for stop in stops):
        raise BadRequest("stop_sequences: each stop sequence must contain non-whitespace")
    system = joined(data.get("system"))
    config = data.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    return Ask(
        model=model,
        messages=((("system", system),) if system else ()) + tuple(map(_message, messages)),
        max_tokens=room,
        json_key=first_key(form.get("schema")) if isinstance(form, dict) else None,
        stop=stops,
        stream=data.get("stream") is True,
    )


def _message(message: Any) -> tuple[str, str]:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ("user", "assistant"):
        raise BadRequest(f'messages: Unexpected role "{role}". The Messages API accepts a top-level `system` parameter')
    content = joined(message.get("content"))
    if not content:
        raise BadRequest("messages: text content blocks must be non-empty")
    return role, content


def write(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> dict[str, Any]:
    """The body of a 200."""
    content: list[dict[str, Any]] = []
    if reply.reasoning:
        content.append({"type": "thinking", "thinking": reply.reasoning, "signature": _SIGNATURE})
    if reply.text:
        content.append({"type": "text", "text": reply.text})
    return _message_of(ask, stamp) | {
        "content": content,
        "stop_reason": _reason(reply),
        "stop_sequence": reply.stopped,
        "usage": _usage(reply, reply.completion_tokens),
    }


def hollow(data: dict[str, Any]) -> None:
    """Leave the answer out of a body."""
    del data["content"]


def _reason(reply: Reply) -> str:
    if reply.filtered:
        return "refusal"
    return "max_tokens" if reply.cut else "stop_sequence" if reply.stopped else "end_turn"


def _message_of(ask: Ask, stamp: Stamp) -> dict[str, Any]:
    return {
        "id": f"msg_sim{stamp.number:08d}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _usage(reply: Reply, output_tokens: int) -> dict[str, Any]:
    """What a cache gave is no part of ``input_tokens``; thinking is part of ``output_tokens``."""
    counts: dict[str, Any] = {
        "input_tokens": reply.prompt_tokens - reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
    if reply.apart_tokens and output_tokens >= reply.apart_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": reply.apart_tokens}
    return counts


def stream(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> tuple[str, list[bytes]]:
    """The events of a streamed answer; the counts of output are running totals."""
    said: list[bytes] = []

    def tell(kind: str, **more: Any) -> None:
        said.append(event({"type": kind, **more}, kind))

    tell("message_start", message=_message_of(ask, stamp) | {"usage": _usage(reply, min(1, reply.completion_tokens))})
    for at, block in enumerate(write(ask, reply, stamp, vendor)["content"]):
        field = block["type"]
        empty = {"thinking": "", "signature": ""} if field == "thinking" else {"text": ""}
        tell("content_block_start", index=at, content_block={"type": field, **empty})
        if at == 0:
            tell("ping")
        for bit in bits(block[field]):
            tell("content_block_delta", index=at, delta={"type": f"{field}_delta", field: bit})
        if field == "thinking":
            tell("content_block_delta", index=at, delta={"type": "signature_delta", "signature": _SIGNATURE})
        tell("content_block_stop", index=at)
    ended = {"stop_reason": _reason(reply), "stop_sequence": reply.stopped}
    tell("message_delta", delta=ended, usage=_usage(reply, reply.completion_tokens))
    tell("message_stop")
    return STREAM_TYPE, said


def listing(path: str, provider: Provider) -> dict[str, Any] | None:
    """The models, or one of them; ``None`` where the path is another."""
    rows = {
        name: {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z"}
        for name in provider.models
    }
    if path == MODELS_PATH:
        ends = {"first_id": next(iter(rows), None), "last_id": next(reversed(rows), None)}
        return {"data": list(rows.values()), "has_more": False, **ends}
    return rows.get(path.removeprefix(f"{MODELS_PATH}/"))


# Manners


def _status(fault: Fault) -> int:
    if fault.kind == "billing":
        return fault.status if fault.status in (402, 403) else 400
    if fault.kind == "overloaded" or (fault.kind == "server" and fault.status == 503):
        return 529
    return fault.status


def _body(fault: Fault) -> Body:
    kind = _TYPES.get(_status(fault), "api_error")
    return {"type": "error", "error": {"type": kind, "message": _words(fault)}, "request_id": fault.request_id}


def _words(fault: Fault) -> str:
    if fault.refusal is not None:
        if not span_of(fault.refusal):
            return "Number of concurrent connections has exceeded your rate limit. Please try again later."
        return (
            f"This request would exceed your organization's rate limit of {fault.refusal.limit:,} "
            f"{RULES[fault.refusal.rule].partition(' (')[0].replace('tokens', 'input tokens')} (org: simulated, model: "
            f"{fault.model}). For details, refer to: https://docs.claude.com/en/api/rate-limits."
        )
    if fault.kind == "server":
        fallback = {504: "Request timed out", 503: "Overloaded", 529: "Overloaded"}
        return fallback.get(fault.status, "Internal server error")
    return {
        "auth": "invalid x-api-key",
        "billing": "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
        "upgrade or purchase credits.",
        "model": f"model: {fault.model}",
        "context": f"prompt is too long: {fault.asked} tokens > {fault.window} maximum",
        "filter": "Output blocked by content filtering policy",
        "overloaded": "Overloaded",
        "route": "Not Found",
    }.get(fault.kind, fault.message)


_HEADERS = {
    rule: (f"anthropic-ratelimit-{noun}-limit", f"anthropic-ratelimit-{noun}-remaining")
    for rule, noun in {"rpm": "requests", "tpm": "tokens"}.items()
}


def _standing(standings: Standings, wall: float) -> Headers:
    """Anthropic tells of the minute alone; its resets are moments."""
    headers = pairs(standings, _HEADERS)
    for rule, (limit, _) in _HEADERS.items():
        if rule in standings:
            moment = datetime.fromtimestamp(math.ceil(wall + standings[rule].reset_s), UTC)
            headers[limit.removesuffix("limit") + "reset"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return headers


MANNERS = Vendor(_body, _standing, retry_after, status=_status, id_header="request-id")
