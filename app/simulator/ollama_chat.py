"""Ollama's native chat, from the server's side of the wire: streams by default, one JSON document a line.

Source of the shapes: Ollama's API documentation (chat, streaming, errors, thinking, tags) and its ``api/types.go``.
Tools and images are not offered.

Warning: a server of one's own knows no keys, limits, bills or filters, and cuts a prompt that is too long without a
word. The words for these are those of ollama.com, or made up after them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from app.simulator.ask import Ask, BadRequest, Reply, Stamp, bits
from app.simulator.bodies import first_key, joined, read_object, strings
from app.simulator.fleet import Provider
from app.simulator.heading import Heading, Target, bearer
from app.simulator.manners import RULES, Body, Fault, Vendor, is_long, no_standing, retry_after, span_of

CALL_PATH = "api/chat"
STREAM_TYPE = "application/x-ndjson"

_HERE = Target()

key_of = bearer


def find(path: str, heading: Heading) -> Target | None:
    return _HERE if path == CALL_PATH else None


def read(body: bytes, target: Target) -> Ask:
    """Raises ``BadRequest``. ``num_predict`` below 1 means as much as there is."""
    data = read_object(body, "invalid character in the body: it is no JSON object")
    model, messages, options = data.get("model"), data.get("messages"), data.get("options")
    if not isinstance(model, str) or not model:
        raise BadRequest("model is required")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages is required")
    options = options if isinstance(options, dict) else {}
    room = options.get("num_predict")
    if room is not None and (isinstance(room, bool) or not isinstance(room, int)):
        raise BadRequest('option "num_predict" must be of type integer')
    form = data.get("format")
    return Ask(
        model=model,
        messages=tuple(map(_message, messages)),
        max_tokens=room if room and room > 0 else None,
        json_key=first_key(form) if form else None,
        stop=strings(options.get("stop")),
        stream=data.get("stream") is not False,
        show_thoughts=data.get("think") is not False,
    )


def _message(message: Any) -> tuple[str, str]:
    content = joined(message.get("content")) if isinstance(message, dict) else None
    if content is None or not isinstance(message.get("role"), str):
        raise BadRequest("invalid message: role and content are required")
    return message["role"], content


def write(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> dict[str, Any]:
    """The body of a 200."""
    message = {"role": "assistant", "content": reply.text}
    if reply.reasoning and ask.show_thoughts:
        message["thinking"] = reply.reasoning
    return _line(ask, stamp, message) | _end(reply)


def hollow(data: dict[str, Any]) -> None:
    """Leave the answer out of a body."""
    del data["message"]
    data["done"] = False


def _line(ask: Ask, stamp: Stamp, message: dict[str, str]) -> dict[str, Any]:
    moment = datetime.fromtimestamp(stamp.wall, UTC).isoformat().replace("+00:00", "Z")
    return {"model": ask.model, "created_at": moment, "message": message, "done": False}


def _end(reply: Reply) -> dict[str, Any]:
    """What the last line has: durations in nanoseconds, and counts, thinking among the answer's."""
    return {
        "done": True,
        "done_reason": "length" if reply.cut else "stop",
        "total_duration": 1_000_000 * (reply.total_tokens + 1),
        "load_duration": 1_000_000,
        "prompt_eval_count": reply.prompt_tokens,
        "prompt_eval_duration": 1_000_000 * reply.prompt_tokens,
        "eval_count": reply.completion_tokens,
        "eval_duration": 1_000_000 * reply.completion_tokens,
    }


def stream(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> tuple[str, list[bytes]]:
    """The lines of a streamed answer."""
    thoughts = bits(reply.reasoning) if ask.show_thoughts else []
    messages = [{"role": "assistant", "content": "", "thinking": bit} for bit in thoughts]
    messages += [{"role": "assistant", "content": bit} for bit in bits(reply.text)]
    lines = [_line(ask, stamp, message) for message in messages]
    lines.append(_line(ask, stamp, {"role": "assistant", "content": ""}) | _end(reply))
    return STREAM_TYPE, [orjson.dumps(line) + b"\n" for line in lines]


def listing(path: str, provider: Provider) -> dict[str, Any] | None:
    """The models, and the version of the server; ``None`` where the path is another."""
    if path == "api/version":
        return {"version": "0.0.0-simulated"}
    if path != "api/tags":
        return None
    row = {"modified_at": "2025-01-01T00:00:00Z", "size": 0, "digest": "0" * 64, "details": {}}
    return {"models": [{"name": name, "model": name, **row} for name in provider.models]}


# Manners


def _status(fault: Fault) -> int:
    if fault.kind == "billing":
        return 402
    if fault.kind in ("server", "overloaded"):
        return 503 if fault.status == 529 else fault.status
    return fault.status


def _body(fault: Fault) -> Body:
    return {"error": _words(fault)}


def _words(fault: Fault) -> str:
    if fault.refusal is not None:
        span = span_of(fault.refusal)
        if not span:
            return "too many concurrent requests"
        if is_long(fault.refusal):
            return (
                f"you've reached your usage limit of {fault.refusal.limit} {RULES[fault.refusal.rule]}, please upgrade"
            )
        return f"too many requests: {fault.refusal.limit} {RULES[fault.refusal.rule]}"
    if fault.kind in ("server", "overloaded"):
        return {
            503: "server busy, please try again.  maximum pending requests exceeded",
            504: "gateway timeout",
        }.get(_status(fault), "llama runner process has terminated: exit status 2")
    return {
        "auth": "unauthorized",
        "billing": "payment required: this model requires a subscription, upgrade for access",
        "model": f"model '{fault.model}' not found",
        "context": f"the input length of {fault.asked} tokens exceeds the context length of {fault.window}",
        "filter": "the prompt was refused by the content filter",
        "route": "404 page not found",
    }.get(fault.kind, fault.message)


MANNERS = Vendor(_body, no_standing, retry_after, status=_status, filters_answers=False)
