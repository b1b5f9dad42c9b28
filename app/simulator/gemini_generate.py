"""Google's generateContent protocol, from the provider's side of the wire.

Source of the shapes: the public API reference (``models.generateContent``, ``models.streamGenerateContent``,
``models.list``), google.rpc's error details, and Google's pages on errors and rate limits. Candidates beyond the first,
tools and images are not offered. Without ``alt=sse`` a stream is one JSON array.

Two things are stricter or kinder than Google: a key in the URL is refused, since URLs are logged; and the delay asked
for when a day's quota is spent is the true one, where Google's is often that of a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from app.simulator.ask import Ask, BadRequest, Reply, Stamp, bits
from app.simulator.bodies import event, first_key, joined, read_object, strings, whole_number
from app.simulator.fleet import Model, Provider
from app.simulator.heading import Heading, Target
from app.simulator.manners import Body, Fault, Vendor, is_tokens, no_standing, nothing_more, span_of

STREAM_TYPE = "text/event-stream"
ARRAY_TYPE = "application/json"

_CALL = re.compile(r"v1(?:beta|alpha)?/models/(.+):(generateContent|streamGenerateContent)")
_MODELS = re.compile(r"v1(?:beta|alpha)?/models(?:/(.+))?")
_MOST_STOPS = 5


def find(path: str, heading: Heading) -> Target | None:
    match = _CALL.fullmatch(path)
    if match is None:
        return None
    flaw = ""
    if "key" in heading.query:
        flaw = "A key in the URL is refused here, since URLs are logged: send it in the header x-goog-api-key."
    streams = match[2] == "streamGenerateContent"
    return Target(match[1], streams, streams and heading.query.get("alt") != "sse", flaw)


def key_of(headers: Mapping[str, str]) -> str:
    return headers.get("x-goog-api-key", "").strip()


def read(body: bytes, target: Target) -> Ask:
    """Raises ``BadRequest``. Names of fields are understood in camel case and in snake case, as Google does."""
    data = read_object(body, "Invalid JSON payload received. Parser Error")
    contents = data.get("contents")
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        raise BadRequest("* GenerateContentRequest.contents: contents is not specified")
    config = _field(data, "generationConfig")
    config = config if isinstance(config, dict) else {}
    stops = strings(_field(config, "stopSequences"))
    if len(stops) > _MOST_STOPS:
        raise BadRequest(f"Unable to submit request because it has more than {_MOST_STOPS} stop sequences.")
    system = _parts(_field(data, "systemInstruction"))
    thinking = _field(config, "thinkingConfig")
    room = _field(config, "maxOutputTokens")
    return Ask(
        model=target.model,
        messages=((("system", system),) if system else ()) + tuple(map(_message, contents)),
        max_tokens=whole_number({"maxOutputTokens": room}, "maxOutputTokens"),
        json_key=_json_key(config),
        stop=stops,
        stream=target.stream,
        array=target.array,
        show_thoughts=isinstance(thinking, dict) and _field(thinking, "includeThoughts") is True,
    )


def _field(data: dict[str, Any], name: str) -> Any:
    value = data.get(name)
    return value if value is not None else data.get(re.sub(r"([A-Z])", lambda upper: f"_{upper[1].lower()}", name))


def _parts(content: Any) -> str | None:
    return joined(content.get("parts")) if isinstance(content, dict) else None


def _message(content: Any) -> tuple[str, str]:
    text = _parts(content)
    if not text:
        raise BadRequest("* GenerateContentRequest.contents: contents.parts must not be empty.")
    role = content.get("role", "user")
    if role not in ("user", "model"):
        raise BadRequest("Please use a valid role: user, model.")
    return "assistant" if role == "model" else "user", text


def _json_key(config: dict[str, Any]) -> str | None:
    if _field(config, "responseMimeType") != "application/json":
        return None
    return first_key(_field(config, "responseSchema") or _field(config, "responseJsonSchema"))


def write(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> dict[str, Any]:
    """The body of a 200."""
    parts = [{"text": reply.text}] if reply.text else []
    if reply.reasoning and ask.show_thoughts:
        parts.insert(0, _thought(reply.reasoning))
    return _piece(ask, reply, stamp, parts, _reason(reply))


def hollow(data: dict[str, Any]) -> None:
    """Leave the answer out of a body."""
    del data["candidates"]


def _thought(text: str) -> dict[str, Any]:
    return {"text": text, "thought": True}


def _reason(reply: Reply) -> str:
    return "SAFETY" if reply.filtered else "MAX_TOKENS" if reply.cut else "STOP"


def _piece(ask: Ask, reply: Reply, stamp: Stamp, parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    """A response, or one of those that a stream is made of: only the last has a reason and all the counts."""
    candidate: dict[str, Any] = {"index": 0}
    if not reply.filtered:
        candidate["content"] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    if reason:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(reply, whole=reason is not None),
        "modelVersion": ask.model,
        "responseId": f"sim{stamp.number:08d}",
    }


def _usage(reply: Reply, *, whole: bool) -> dict[str, Any]:
    """What was cached is part of the prompt; thoughts stand beside the candidates."""
    counts: dict[str, Any] = {
        "promptTokenCount": reply.prompt_tokens,
        "totalTokenCount": reply.total_tokens if whole else reply.prompt_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.prompt_tokens}],
    }
    if reply.cached_tokens:
        counts["cachedContentTokenCount"] = reply.cached_tokens
    if whole:
        counts["candidatesTokenCount"] = reply.completion_tokens - reply.apart_tokens
        if reply.apart_tokens:
            counts["thoughtsTokenCount"] = reply.apart_tokens
    return counts


def stream(ask: Ask, reply: Reply, stamp: Stamp, vendor: Vendor) -> tuple[str, list[bytes]]:
    """A streamed answer is made of responses: as events, or as the members of one array."""
    parts = [_thought(bit) for bit in bits(reply.reasoning)] if ask.show_thoughts else []
    parts += [{"text": bit} for bit in bits(reply.text)]
    said = [_piece(ask, reply, stamp, [part], None) for part in parts[:-1]]
    said.append(_piece(ask, reply, stamp, parts[-1:], _reason(reply)))
    if not ask.array:
        return STREAM_TYPE, [event(piece) for piece in said]
    return ARRAY_TYPE, [(b",\r\n" if place else b"[") + orjson.dumps(piece) for place, piece in enumerate(said)] + [
        b"]"
    ]


def listing(path: str, provider: Provider) -> dict[str, Any] | None:
    """The models, or one of them; ``None`` where the path is another."""
    match = _MODELS.fullmatch(path)
    if match is None:
        return None
    if match[1] is None:
        return {"models": [_row(model) for model in provider.models.values()]}
    known = provider.models.get(match[1])
    return _row(known) if known else None


def _row(model: Model) -> dict[str, Any]:
    row = {"name": f"models/{model.id}", "version": "001", "displayName": model.id}
    window = {} if model.context_window is None else {"inputTokenLimit": model.context_window}
    return row | window | {"supportedGenerationMethods": ["generateContent"]}


# Manners

_NAMES = {
    400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_RPC = "type.googleapis.com/google.rpc."
_DOMAIN = "generativelanguage.googleapis.com"


def _status(fault: Fault) -> int:
    """A key that is no key is a 400 at Google, a call without one a 403, and a blocked prompt is answered."""
    if fault.kind == "filter":
        return 200
    if fault.kind == "auth":
        return 403 if fault.keyless else 400
    if fault.kind == "billing":
        return fault.status if fault.status == 429 else 403
    if fault.kind in ("server", "overloaded"):
        return 503 if fault.status == 529 else fault.status
    return fault.status


def _body(fault: Fault) -> Body:
    if fault.kind == "filter":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": fault.model}
    status = _status(fault)
    error: Body = {"code": status, "message": _words(fault), "status": _NAMES.get(status, "INTERNAL")}
    details = _details(fault)
    return {"error": error | ({"details": details} if details else {})}


def _words(fault: Fault) -> str:
    refusal = fault.refusal
    if refusal is not None:
        metric = _quota(fault)[0]
        return (
            "You exceeded your current quota, please check your plan and billing details. For more information on "
            f"this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: "
            f"{metric}, limit: {refusal.limit}, model: {fault.model}\nPlease retry in {refusal.wait_s:.9f}s."
        )
    if fault.kind == "auth" and fault.keyless:
        return (
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
            "other form of API consumer identity to call this API."
        )
    if fault.kind == "billing" and fault.status == 429:
        return "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing."
    if fault.kind in ("server", "overloaded"):
        return {
            503: "The model is overloaded. Please try again later.",
            504: "The request timed out. Please try again.",
        }.get(_status(fault), "An internal error has occurred. Please retry.")
    return {
        "auth": "API key not valid. Please pass a valid API key.",
        "billing": "This API method requires billing to be enabled. Please enable billing on project #simulated.",
        "model": f"models/{fault.model} is not found for API version v1beta, or is not supported for generateContent. "
        "Call ModelService.ListModels to see the list of available models and their supported methods.",
        "context": f"The input token count ({fault.asked}) exceeds the maximum number of tokens allowed "
        f"({fault.window}).",
        "route": "Requested entity was not found.",
    }.get(fault.kind, fault.message)


def _quota(fault: Fault) -> tuple[str, str]:
    """The metric and the id of the quota that a refusal is about."""
    if fault.refusal is None:
        return "", ""
    span = (span_of(fault.refusal) or "minute").capitalize()
    if is_tokens(fault.refusal):
        metric = "generate_content_free_tier_input_token_count"
        return f"{_DOMAIN}/{metric}", f"GenerateContentInputTokensPerModelPer{span}-FreeTier"
    return f"{_DOMAIN}/generate_content_free_tier_requests", f"GenerateRequestsPer{span}PerProjectPerModel-FreeTier"


def _details(fault: Fault) -> list[Body]:
    if fault.refusal is not None:
        metric, quota = _quota(fault)
        violation = {
            "quotaMetric": metric,
            "quotaId": quota,
            "quotaDimensions": {"location": "global", "model": fault.model},
            "quotaValue": str(fault.refusal.limit),
        }
        return [
            {"@type": f"{_RPC}QuotaFailure", "violations": [violation]},
            {"@type": f"{_RPC}RetryInfo", "retryDelay": f"{fault.refusal.wait_s:.3f}s"},
        ]
    reason = {"auth": "API_KEY_INVALID", "billing": "BILLING_DISABLED"}.get(fault.kind)
    if reason is None or fault.keyless or _status(fault) == 429:
        return []
    return [
        {"@type": f"{_RPC}ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": {"service": _DOMAIN}}
    ]


MANNERS = Vendor(_body, no_standing, nothing_more, status=_status)
