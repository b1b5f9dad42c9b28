"""What every protocol's manners are made of: the fault, the words for limits, the shapes of headers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.simulator.meter import Refusal, Standing

Body = dict[str, Any]
Headers = dict[str, str]
Standings = Mapping[str, Standing]

RULES = {
    "rpm": "requests per minute (RPM)",
    "tpm": "tokens per minute (TPM)",
    "rph": "requests per hour (RPH)",
    "tph": "tokens per hour (TPH)",
    "rpd": "requests per day (RPD)",
    "tpd": "tokens per day (TPD)",
    "rpmo": "requests per month",
    "tpmo": "tokens per month",
    "concurrency": "concurrent requests",
}
SPANS = {"m": "minute", "h": "hour", "d": "day", "mo": "month"}
"""What stands for the span in a rule, after ``rp`` or ``tp``."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a call gets no answer.

    ``kind``: limit, auth, billing, model, context, filter, invalid, overloaded, server, route.
    """

    kind: str
    status: int
    model: str = ""
    message: str = ""
    """Replaces the vendor's own words where they depend on the request."""
    param: str | None = None
    refusal: Refusal | None = None
    """Set with ``limit``."""
    asked: int = 0
    window: int = 0
    """Tokens; set with ``context``."""
    keyless: bool = False
    """Set with ``auth``: there was no key at all."""
    request_id: str = ""


def own_status(fault: Fault) -> int:
    return fault.status


@dataclass(frozen=True, slots=True)
class Vendor:
    body: Callable[[Fault], Body]
    standing: Callable[[Standings, float], Headers]
    """Headers of every response that was counted; the second argument is epoch seconds."""
    refused: Callable[[Refusal, float], Headers]
    """Headers of a refusal by a limit, on top of the others."""
    reasoning_field: str = "reasoning_content"
    status: Callable[[Fault], int] = own_status
    """The HTTP status that the vendor gives a fault."""
    id_header: str = "x-request-id"
    filters_answers: bool = True
    """A 200 can say that a filter took the answer away; else the filter is at the door."""


def duration(seconds: float) -> str:
    """As Groq and OpenAI write it: ``11ms``, ``7.66s``, ``2m59.56s``, ``1h0m3s``."""
    ms = max(0, math.ceil(seconds * 1000))
    if ms < 1000:
        return f"{ms}ms"
    hours, rest = divmod(ms, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def is_tokens(refusal: Refusal) -> bool:
    return refusal.rule.startswith("tp")


def span_of(refusal: Refusal) -> str:
    """``minute``, ``hour``, ``day`` or ``month``; empty for calls at once."""
    return SPANS.get(refusal.rule[2:], "")


def is_long(refusal: Refusal) -> bool:
    """Is it a quota, of a day or a month, not a rate?"""
    return span_of(refusal) in ("day", "month")


def pairs(standings: Standings, names: Mapping[str, tuple[str, str]]) -> Headers:
    """``names``: rule -> (header of the limit, header of what remains)."""
    headers: Headers = {}
    for rule, (limit, remaining) in names.items():
        standing = standings.get(rule)
        if standing is not None:
            headers[limit] = str(standing.limit)
            headers[remaining] = str(standing.remaining)
    return headers


def retry_after(refusal: Refusal, wall: float) -> Headers:
    return {"retry-after": str(max(1, math.ceil(refusal.wait_s)))}


def no_standing(standings: Standings, wall: float) -> Headers:
    return {}


def nothing_more(refusal: Refusal, wall: float) -> Headers:
    return {}
