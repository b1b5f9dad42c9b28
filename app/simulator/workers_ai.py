"""Cloudflare Workers AI, from the provider's side of the wire: one path a model, every body in an envelope.

Source of the shapes: the schema pages of the models, Cloudflare's pages on errors, JSON mode and streaming, and
recorded traffic. A model with the capability ``reasoning`` answers as the newer ones do, with a chat completion of
OpenAI's for its ``result``; the others with ``result.response``, which is an object where JSON was asked for.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from app.simulator import openai_chat
from app.simulator.ask import Ask, BadRequest, Reply, Stamp, bits
from app.simulator.bodies import DONE, event, first_key, joined, read_object, whole_number
from app.simulator.fleet import Provider
from app.simulator.heading import Heading, Target, bearer
from app.simulator.manners import RULES, Body, Fault, Vendor, is_long, no_standing, nothing_more

STREAM_TYPE = "text/event-stream"

_ACCOUNT = r"client/v4/accounts/[^/]+/ai"
_CALL = re.compile(rf"{_ACCOUNT}/run/(.+)")
_MODELS = re.compile(rf"{_ACCOUNT}/models/search")

key_of = bearer


def find(path: str, heading: Heading) -> Target | None:
    match = _CALL.fullmatch(path)
    return Target(match[1]) if match else None


def read(body: bytes, target: Target) -> Ask:
    """Raises ``BadRequest``."""
    data = read_object(body, "Bad input: the body is not valid JSON")
    messages, prompt = data.get("messages"), data.get("prompt")
    if isinstance(prompt, str) and prompt:
        messages = [{"role": "user", "content": prompt}]
    if not isinstance(messages, list) or not messages:
        raise BadRequest("Bad input: Error: oneOf at '/' not met: required properties at '/' are 'prompt', 'messages'")
    form = data.get("response_format")
    key = None
    if isinstance(form, dict) and form.get("type") in ("json_object", "json_schema"):
        key = first_key(form.get("json_schema"))
    return Ask(
        model=target.model,
        messages=tuple(map(_message, messages)),
        max_tokens=whole_number(data, "max_tokens"),
        json_key=key,
        stream=data.get("stream") is True,
    )


def _message(message: Any) -> tuple[str, str]:
    content = joined(message.get("content")) if isinstance(message, dict) else None
    if content is None or not isinstance(message.get("role"), str):
        raise BadRequest("Bad input: Error: required properties at '/messages/0' are 'role,content'")
    return message["role"], content


def write(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> dict[str, Any]:
    """The body of a 200."""
    if reply.reasoning or reply.filtered:
        return _envelope(openai_chat.write(ask, reply, stamp, vendor))
    response: Any = reply.text
    if ask.json_key:
        try:
            response = orjson.loads(reply.text)
        except orjson.JSONDecodeError:
            response = reply.text
    return _envelope({"response": response, "tool_calls": [], "usage": openai_chat.usage(reply)})


def _envelope(result: Any) -> dict[str, Any]:
    return {"result": result, "success": True, "errors": [], "messages": []}


def hollow(data: dict[str, Any]) -> None:
    """Leave the answer out of a body."""
    data["result"] = {}


def stream(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> tuple[str, list[bytes]]:
    """The events of a streamed answer, without the envelope; the last one has the counts."""
    if reply.reasoning or reply.filtered:
        return openai_chat.stream(ask, reply, stamp, vendor)
    said = [event({"response": bit, "p": "abdefghijklmn"}) for bit in bits(reply.text)]
    return STREAM_TYPE, [*said, event({"response": "", "usage": openai_chat.usage(reply)}), DONE]


def listing(path: str, provider: Provider) -> dict[str, Any] | None:
    """The models; ``None`` where the path is another."""
    if not _MODELS.fullmatch(path):
        return None
    task = {"name": "Text Generation"}
    return _envelope([{"id": name, "name": name, "task": task, "properties": []} for name in provider.models])


# Manners


def _status(fault: Fault) -> int:
    """By Cloudflare's table of errors, where an unknown model is a 400 and a full house a 429."""
    match fault.kind:
        case "model" | "filter":
            return 400
        case "context":
            return 413
        case "overloaded":
            return 429
        case "billing":
            return 403
        case "server":
            return {503: 429, 529: 429, 504: 408}.get(fault.status, fault.status)
        case _:
            return fault.status


def _body(fault: Fault) -> Body:
    code, words = _words(fault)
    result: Body | None = {} if words.startswith("AiError") else None
    return {"errors": [{"message": words, "code": code}], "success": False, "result": result, "messages": []}


def _words(fault: Fault) -> tuple[int, str]:
    if fault.refusal is not None:
        if is_long(fault.refusal):
            return 4006, (
                "AiError: you have used up your daily free allocation of 10,000 neurons, please upgrade to "
                "Cloudflare's Workers Paid plan"
            )
        return 3051, f"AiError: Rate limit exceeded: {fault.refusal.limit} {RULES[fault.refusal.rule]}"
    if fault.kind == "server":
        if _status(fault) == 408:
            return 3007, "AiError: Request timeout"
        if _status(fault) != 429:
            return 3043, "AiError: Internal server error"
    return {
        "auth": (10000, "Authentication error"),
        "billing": (3023, "AiError: Service unavailable for account: billing is not active, payment required"),
        "model": (5007, f"AiError: No such model {fault.model} or task"),
        "context": (
            5021,
            f"AiError: The estimated number of input and maximum output tokens ({fault.asked}) exceeded this model "
            f"context window limit ({fault.window}).",
        ),
        "filter": (3030, "AiError: Your input has been flagged. Please choose another prompt."),
        "overloaded": (3040, "AiError: Capacity temporarily exceeded, please try again."),
        "server": (3040, "AiError: Capacity temporarily exceeded, please try again."),
        "route": (7000, "No route for that URI"),
    }.get(fault.kind, (5006, f"AiError: {fault.message}"))


MANNERS = Vendor(_body, no_standing, nothing_more, status=_status, id_header="cf-ray")
