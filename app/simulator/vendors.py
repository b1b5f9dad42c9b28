"""How each vendor of the chat-completions protocol words its refusals and its rate-limit headers. A provider takes the
manners of the vendor it is named after (``groq``, ``groq-free``); any other name has OpenAI's. The manners of the other
protocols stand in their files.

Shapes and names after recorded traffic and the vendors' public documentation. The traps in them are theirs: Groq's
``-requests`` is per day and its ``-tokens`` per minute, OpenRouter counts its reset in epoch milliseconds and
SambaNova in epoch seconds, Mistral names no reset at all, NVIDIA sends no header.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from app.simulator.manners import (
    RULES,
    Body,
    Fault,
    Headers,
    Standings,
    Vendor,
    duration,
    is_long,
    is_tokens,
    no_standing,
    nothing_more,
    pairs,
    retry_after,
    span_of,
)
from app.simulator.meter import Refusal


def _counts(refusal: Refusal) -> str:
    return f"Limit {refusal.limit}, Used {refusal.used}, Requested {refusal.requested}"


def _words(fault: Fault) -> tuple[str, str, str | None]:
    """Message, type and code as OpenAI has them; the others borrow what they have no words for."""
    if fault.kind == "limit" and fault.refusal is not None:
        refusal = fault.refusal
        message = (
            f"Rate limit reached for {fault.model} in organization org-simulated on {RULES[refusal.rule]}: "
            f"{_counts(refusal)}. Please try again in {duration(refusal.wait_s)}. "
            "Visit https://platform.openai.com/account/rate-limits to learn more."
        )
        return message, "tokens" if is_tokens(refusal) else "requests", "rate_limit_exceeded"
    if fault.kind == "auth":
        return "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"
    if fault.kind == "billing":
        if fault.status == 402:
            return "Insufficient Balance", "unknown_error", "invalid_request_error"
        if fault.status == 400:
            return "Billing hard limit has been reached", "invalid_request_error", "billing_hard_limit_reached"
        if fault.status == 403:
            message = "Your account is not active, please check your billing details on our website."
            return message, "billing_not_active", "billing_not_active"
        message = "You exceeded your current quota, please check your plan and billing details."
        return message, "insufficient_quota", "insufficient_quota"
    if fault.kind == "model":
        message = f"The model `{fault.model}` does not exist or you do not have access to it."
        return message, "invalid_request_error", "model_not_found"
    if fault.kind == "context":
        message = (
            f"This model's maximum context length is {fault.window} tokens. However, your messages resulted in "
            f"{fault.asked} tokens. Please reduce the length of the messages."
        )
        return message, "invalid_request_error", "context_length_exceeded"
    if fault.kind == "invalid":
        return fault.message, "invalid_request_error", None
    if fault.kind == "filter":
        message = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
        return message, "invalid_request_error", "invalid_prompt"
    if fault.kind in ("server", "overloaded"):
        if fault.status in (503, 529):
            return "The engine is currently overloaded, please try again later", "server_error", None
        return "The server had an error while processing your request. Sorry about that!", "server_error", None
    return fault.message, "invalid_request_error", "unknown_url"


def _openai_body(fault: Fault) -> Body:
    message, kind, code = _words(fault)
    return {"error": {"message": message, "type": kind, "param": fault.param, "code": code}}


def _groq_body(fault: Fault) -> Body:
    message, kind, code = _words(fault)
    if fault.refusal is not None:
        message = (
            f"Rate limit reached for model `{fault.model}` in organization `org_simulated` service tier `on_demand` "
            f"on {RULES[fault.refusal.rule]}: {_counts(fault.refusal)}. "
            f"Please try again in {duration(fault.refusal.wait_s)}. Need more tokens? Upgrade to Dev Tier today at "
            "https://console.groq.com/settings/billing"
        )
    elif fault.kind == "auth":
        message = "Invalid API Key"
    elif fault.kind in ("server", "overloaded"):
        kind = "internal_server_error"
    error: Body = {"message": message, "type": kind}
    return {"error": error | ({"code": code} if code else {})}


def _cerebras_body(fault: Fault) -> Body:
    message, kind, code = _words(fault)
    if fault.refusal is not None:
        noun = "tokens" if is_tokens(fault.refusal) else "requests"
        span = f"per {span_of(fault.refusal)}"
        if fault.refusal.rule == "concurrency":
            return {
                "message": "We're experiencing high traffic right now! Please try again soon.",
                "type": "too_many_requests_error",
                "param": "queue",
                "code": "queue_exceeded",
            }
        return {
            "message": f"{noun.capitalize()} {span} limit exceeded - too many {noun} "
            f"{'processed' if noun == 'tokens' else 'sent'}.",
            "type": f"too_many_{noun}_error",
            "param": "quota",
            "code": f"{noun.removesuffix('s')}_quota_exceeded",
        }
    if fault.kind == "auth":
        message, code = "Wrong API Key", "wrong_api_key"
    elif fault.kind == "model":
        message, kind = f"Model {fault.model} does not exist or you do not have access to it.", "not_found_error"
    return {"message": message, "type": kind, "param": fault.param, "code": code}


def _mistral_body(fault: Fault) -> Body:
    message, kind, code = _words(fault)
    if fault.refusal is not None:
        if fault.refusal.rule == "rpm":
            return {"message": "Requests rate limit exceeded"}
        kind, code = "rate_limited", "1300"
        message = f"Rate limit exceeded on {RULES[fault.refusal.rule]}"
    elif fault.kind == "auth":
        return {"detail": "Invalid API Key"}
    elif fault.kind == "model":
        message, kind, code = f"Invalid model: {fault.model}", "invalid_model", "1500"
    body: Body = {"object": "error", "message": message, "type": kind, "param": fault.param, "code": code}
    return body | {"raw_status_code": fault.status}


def _openrouter_body(fault: Fault) -> Body:
    message, _, _ = _words(fault)
    metadata: Body = {"provider_name": None}
    if fault.refusal is not None:
        if is_long(fault.refusal):
            message = f"Rate limit exceeded: free-models-per-{span_of(fault.refusal)}. Add 10 credits to unlock more"
        else:
            message = f"Rate limit exceeded: limit_{fault.refusal.rule}/{fault.model}. Please retry shortly."
    elif fault.kind == "billing":
        message = "Insufficient credits. To increase, visit https://openrouter.ai/settings/credits"
    elif fault.kind == "auth":
        message = "User not found."
    elif fault.kind == "model":
        message = f"No endpoints found for {fault.model}."
    elif fault.kind in ("server", "overloaded"):
        message = "Provider returned error"
        metadata = {"raw": f"error code: {fault.status}", "provider_name": "Simulated"}
    return {"error": {"message": message, "code": fault.status, "metadata": metadata}, "user_id": "user_simulated"}


def _sambanova_body(fault: Fault) -> Body:
    if fault.refusal is None:
        return _openai_body(fault)
    message = f"Rate limit exceeded on {RULES[fault.refusal.rule]}"
    return {"error": {"code": None, "message": message, "param": None, "type": "rate_limit_exceeded"}}


def _nvidia_body(fault: Fault) -> Body:
    titles = {401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found"}
    titles |= {400: "Bad Request", 429: "Too Many Requests"}
    body: Body = {"status": fault.status, "title": titles.get(fault.status, "Internal Server Error")}
    if fault.refusal is not None:
        return body | ({"detail": f"Exceeded {RULES[fault.refusal.rule]}"} if is_long(fault.refusal) else {})
    if fault.kind == "billing" and fault.status == 402:
        return body | {"detail": "Account simulated: Cloud credits expired - Please contact NVIDIA representatives"}
    return body | {"detail": _words(fault)[0]}


def _two_buckets(requests_rule: str) -> Callable[[Standings, float], Headers]:
    """Groq's and OpenAI's headers; they differ in whether ``-requests`` is the day's or the minute's."""
    buckets = ((requests_rule, "requests"), ("tpm", "tokens"))
    names = {rule: (f"x-ratelimit-limit-{noun}", f"x-ratelimit-remaining-{noun}") for rule, noun in buckets}

    def headers(standings: Standings, wall: float) -> Headers:
        found = pairs(standings, names)
        for rule, noun in buckets:
            if rule in standings:
                found[f"x-ratelimit-reset-{noun}"] = duration(standings[rule].reset_s)
        return found

    return headers


_CEREBRAS = {
    rule: (f"x-ratelimit-limit-{name}", f"x-ratelimit-remaining-{name}")
    for rule, name in {
        "rpm": "requests-minute",
        "tpm": "tokens-minute",
        "rph": "requests-hour",
        "tph": "tokens-hour",
        "rpd": "requests-day",
        "tpd": "tokens-day",
    }.items()
}
_MISTRAL = {
    "rpm": ("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute"),
    "tpm": ("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute"),
}
_SAMBANOVA = {
    "rpm": ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"),
    "rpd": ("x-ratelimit-limit-requests-day", "x-ratelimit-remaining-requests-day"),
}


def _cerebras_headers(standings: Standings, wall: float) -> Headers:
    return pairs(standings, _CEREBRAS)


def _mistral_headers(standings: Standings, wall: float) -> Headers:
    return pairs(standings, _MISTRAL)


def _sambanova_headers(standings: Standings, wall: float) -> Headers:
    headers = pairs(standings, _SAMBANOVA)
    if "rpm" in standings:
        headers["x-ratelimit-reset-requests"] = str(math.ceil(wall + standings["rpm"].reset_s))
    return headers


def _openrouter_refused(refusal: Refusal, wall: float) -> Headers:
    reset_ms = math.ceil((wall + refusal.wait_s) * 1000)
    return {
        "x-ratelimit-limit": str(refusal.limit),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(reset_ms),
    }


OPENAI = Vendor(_openai_body, _two_buckets("rpm"), retry_after)
VENDORS: dict[str, Vendor] = {
    "openai": OPENAI,
    "groq": Vendor(_groq_body, _two_buckets("rpd"), retry_after, "reasoning"),
    "cerebras": Vendor(_cerebras_body, _cerebras_headers, nothing_more, "reasoning"),
    "mistral": Vendor(_mistral_body, _mistral_headers, nothing_more),
    "openrouter": Vendor(_openrouter_body, no_standing, _openrouter_refused, "reasoning"),
    "sambanova": Vendor(_sambanova_body, _sambanova_headers, nothing_more),
    "nvidia": Vendor(_nvidia_body, no_standing, nothing_more),
}


def vendor_of(provider: str) -> Vendor:
    """By the name's first word: ``groq-free`` and ``groq_2`` are Groq."""
    return VENDORS.get(provider.replace("_", "-").split("-", 1)[0].lower(), OPENAI)
