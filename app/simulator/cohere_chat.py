"""Cohere's chat protocol, version 2, from the provider's side of the wire.

Source of the shapes: the public API reference of ``POST /v2/chat``, its streaming events and ``GET /v1/models``, and
Cohere's page on errors. Tools, documents and images are not offered. What is billed is what was counted: Cohere's own
``billed_units`` leave its preamble out, and the simulator has none.
"""

from __future__ import annotations

from typing import Any

from app.simulator.ask import Ask, BadRequest, Reply, Stamp, bits
from app.simulator.bodies import DONE, event, first_key, joined, read_object, strings, whole_number
from app.simulator.fleet import Model, Provider
from app.simulator.heading import Heading, Target, bearer
from app.simulator.manners import Body, Fault, Headers, Standings, Vendor, is_tokens, nothing_more, pairs, span_of

CALL_PATH = "v2/chat"
MODELS_PATH = "v1/models"
STREAM_TYPE = "text/event-stream"

_HERE = Target()
_ROLES = ("system", "developer", "user", "assistant", "tool")
_MOST_STOPS = 5

key_of = bearer


def find(path: str, heading: Heading) -> Target | None:
    return _HERE if path == CALL_PATH else None


def read(body: bytes, target: Target) -> Ask:
    """Raises ``BadRequest``."""
    data = read_object(body, "invalid request: could not parse the body as JSON")
    model, messages = data.get("model"), data.get("messages")
    if not isinstance(model, str) or not model:
        raise BadRequest("invalid request: model is required")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("invalid request: list of messages must not be empty")
    stops = strings(data.get("stop_sequences"))
    if len(stops) > _MOST_STOPS:
        raise BadRequest(f"invalid request: stop_sequences must have at most {_MOST_STOPS} elements")
    thinking = data.get("thinking")
    return Ask(
        model=model,
        messages=tuple(map(_message, messages)),
        max_tokens=whole_number(data, "max_tokens"),
        json_key=_json_key(data.get("response_format")),
        stop=stops,
        stream=data.get("stream") is True,
        show_thoughts=not (isinstance(thinking, dict) and thinking.get("type") == "disabled"),
    )


def _message(message: Any) -> tuple[str, str]:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in _ROLES:
        raise BadRequest("invalid request: every message must have a role")
    content = joined(message.get("content"))
    if not content:
        raise BadRequest("invalid request: all elements in messages must have content")
    return role, content


def _json_key(response_format: Any) -> str | None:
    if not isinstance(response_format, dict) or response_format.get("type") != "json_object":
        return None
    return first_key(response_format.get("json_schema") or response_format.get("schema"))


def write(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> dict[str, Any]:
    """The body of a 200."""
    content = [{"type": kind, kind: text} for kind, text in _blocks(ask, reply)]
    return {
        "id": _id(stamp),
        "message": {"role": "assistant", "content": content},
        "finish_reason": _reason(reply),
        "usage": _usage(reply),
    }


def hollow(data: dict[str, Any]) -> None:
    """Leave the answer out of a body."""
    del data["message"]


def _blocks(ask: Ask, reply: Reply) -> list[tuple[str, str]]:
    thoughts = reply.reasoning if ask.show_thoughts else ""
    return [(kind, text) for kind, text in (("thinking", thoughts), ("text", reply.text)) if text]


def _id(stamp: Stamp) -> str:
    return f"00000000-0000-4000-8000-{stamp.number:012d}"


def _reason(reply: Reply) -> str:
    if reply.filtered:
        return "ERROR_TOXIC"  # a word of version 1, which version 2's reference no longer lists and has no other for
    return "MAX_TOKENS" if reply.cut else "STOP_SEQUENCE" if reply.stopped else "COMPLETE"


def _usage(reply: Reply) -> dict[str, Any]:
    counts = {"input_tokens": reply.prompt_tokens, "output_tokens": reply.completion_tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": reply.cached_tokens}


def stream(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> tuple[str, list[bytes]]:
    """The events of a streamed answer; the last one has the reason and the counts."""
    said: list[bytes] = []

    def tell(kind: str, **more: Any) -> None:
        said.append(event({"type": kind, **more}, kind))

    began = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    tell("message-start", id=_id(stamp), delta={"message": began})
    for at, (kind, text) in enumerate(_blocks(ask, reply)):
        tell("content-start", index=at, delta={"message": {"content": {"type": kind, kind: ""}}})
        for bit in bits(text):
            tell("content-delta", index=at, delta={"message": {"content": {kind: bit}}})
        tell("content-end", index=at)
    tell("message-end", delta={"finish_reason": _reason(reply), "usage": _usage(reply)})
    return STREAM_TYPE, [*said, DONE]


def listing(path: str, provider: Provider) -> dict[str, Any] | None:
    """The models, or one of them; ``None`` where the path is another."""
    if path == MODELS_PATH:
        return {"models": [_row(model) for model in provider.models.values()]}
    known = provider.models.get(path.removeprefix(f"{MODELS_PATH}/"))
    return _row(known) if known else None


def _row(model: Model) -> dict[str, Any]:
    row = {"name": model.id, "endpoints": ["chat"], "default_endpoints": [], "finetuned": False}
    return row | ({} if model.context_window is None else {"context_length": model.context_window})


# Manners


def _status(fault: Fault) -> int:
    if fault.kind == "filter":
        return 498  # "a deny-listed token", Cohere's own
    if fault.kind == "billing":
        return 402
    if fault.kind in ("server", "overloaded"):
        return 503 if fault.status == 529 else fault.status
    return fault.status


def _body(fault: Fault) -> Body:
    return {"id": fault.request_id, "message": _words(fault)}


def _words(fault: Fault) -> str:
    if fault.refusal is not None:
        span = span_of(fault.refusal)
        if not span:
            return "too many concurrent requests, please retry shortly"
        if is_tokens(fault.refusal):
            return f"trial token rate limit exceeded, limit is {fault.refusal.limit} tokens per {span}"
        return (
            f"You are using a Trial key, which is limited to {fault.refusal.limit} API calls / {span}. You can "
            "continue to use the Trial key for free or upgrade to a Production key with higher rate limits at "
            "'https://dashboard.cohere.com/api-keys'. Contact us on 'https://discord.gg/XW44jPfYJu' or email us at "
            "support@cohere.com with any questions"
        )
    if fault.kind in ("server", "overloaded"):
        return {
            503: "service unavailable: the model is overloaded, please try again later",
            504: "gateway timeout: the request timed out",
        }.get(_status(fault), "internal server error, this has been reported to our developers")
    return {
        "auth": "no api key supplied" if fault.keyless else "invalid api token",
        "billing": "Please add or update your payment method at https://dashboard.cohere.com/billing to continue",
        "model": f"model '{fault.model}' not found, make sure the correct model ID was used and that you have access "
        "to the model.",
        "context": f"too many tokens: size limit exceeded by {fault.asked - fault.window} tokens. Try using shorter or "
        f"fewer inputs. The limit for this model is {fault.window} tokens.",
        "filter": "invalid request: the message contains a deny-listed token",
        "route": "not found",
    }.get(fault.kind, f"invalid request: {fault.message.removeprefix('invalid request: ')}")


_CALLS = {"rpm": ("x-trial-endpoint-call-limit", "x-trial-endpoint-call-remaining")}
_MONTH = "x-endpoint-monthly-call-limit"


def _standing(standings: Standings, wall: float) -> Headers:
    headers = pairs(standings, _CALLS)
    return headers | ({_MONTH: str(standings["rpmo"].limit)} if "rpmo" in standings else {})


MANNERS = Vendor(_body, _standing, nothing_more, status=_status)
