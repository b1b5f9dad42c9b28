"""Who is turned away, and why: the look that a provider takes at a call before it does any work for it.

Order: key, body, model, billing, quota, refusals out of the blue, length, content, limits. Whoever is turned away
consumes nothing.
"""

from __future__ import annotations

from app.simulator.ask import Ask, BadRequest
from app.simulator.call import Call
from app.simulator.manners import Fault
from app.simulator.meter import Refusal

BAD_KEY = "bad-key"
"""The one key that every provider refuses."""

_QUOTA_TOKENS = 100_000
_RATE = 30
_WINDOW = 8192
"""What a refusal names where the fleet file names no such limit."""


def fault_at_the_door(call: Call, ask: Ask | BadRequest) -> Fault | None:
    """Why the call may not come in, or ``None``."""
    fault = _of_the_caller(call)
    if fault is not None:
        return fault
    if isinstance(ask, BadRequest):
        return Fault("invalid", 400, call.model, message=str(ask), param=ask.param)
    return _of_the_account(call) or _of_the_question(call) or _over_a_limit(call)


def _of_the_caller(call: Call) -> Fault | None:
    if call.provider.needs_key and not call.key:
        return Fault("auth", 401, keyless=True)
    if call.key == BAD_KEY or call.strike("auth"):
        return Fault("auth", 401)
    weather = call.house.weather
    if call.may("revoked_key") and weather.revoked(call.provider.name, call.model, call.arrived, call.mark):
        call.effect = "revoked_key"
        return Fault("auth", 401)
    if call.target.flaw:
        return Fault("invalid", 400, message=call.target.flaw)
    return None


def _of_the_account(call: Call) -> Fault | None:
    model = call.model
    if call.known is None or call.strike("deprecated"):
        return Fault("model", 404, model, param="model")
    billing = call.strike("billing")
    if billing:
        return Fault("billing", int(billing.params["status"]), model)
    limits = [scope.limits for scope in call.scopes]
    quota = call.strike("quota")
    if quota:
        daily = quota.params["span"] == "day"
        spent = next((n for limit in limits if (n := limit.tpd if daily else limit.tpmo)), _QUOTA_TOKENS)
        meter = call.scopes[0].meter
        left_s = meter.day_left_s(call.wall) if daily else meter.month_left_s(call.wall)
        refusal = Refusal("tpd" if daily else "tpmo", spent, spent, call.prompt_tokens, left_s)
        return Fault("limit", 429, model, refusal=refusal)
    sudden = call.strike("rate_limit")
    if sudden:
        rpm = next((limit.rpm for limit in limits if limit.rpm), _RATE)
        return Fault("limit", 429, model, refusal=Refusal("rpm", rpm, rpm, 1, float(sudden.params["retry_after"])))
    return None


def _of_the_question(call: Call) -> Fault | None:
    window = call.known.context_window if call.known else None
    asked = call.prompt_tokens
    if call.strike("context_length"):
        window = min(window or _WINDOW, asked - 1)
    if window is not None and asked > window:
        return Fault("context", 400, call.model, param="messages", asked=asked, window=window)
    if call.strike("invalid_request"):
        words = "Invalid value for 'temperature': expected another number."
        return Fault("invalid", 400, call.model, message=words, param="temperature")
    vendor = call.house.vendor(call.provider)
    filtered = call.strike("content_filter")
    if filtered and (filtered.params["stage"] == "prompt" or not vendor.filters_answers):
        return Fault("filter", 400, call.model, param="prompt")
    call.filtered = filtered is not None
    return None


def _over_a_limit(call: Call) -> Fault | None:
    for scope in call.scopes:
        refusal = scope.meter.refusal(call.arrived, call.wall, call.prompt_tokens, scope.limits)
        if refusal is not None:
            scope.meter.refusals[refusal.rule] += 1
            call.effect = f"limit:{refusal.rule}"
            return Fault("limit", 429, call.model, refusal=refusal)
    return None
