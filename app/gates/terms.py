"""What is said to the gates and what they answer: scopes, grants, denials, usage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from app.core.values import Limits

Rule = Literal["rpm", "tpm", "rph", "tph", "rpd", "tpd", "rpmo", "tpmo", "concurrency"]
"""Requests and tokens in a rolling minute, a rolling hour, a calendar day and month of the provider's zone."""
RULES: tuple[Rule, ...] = get_args(Rule)
Reason = Literal[
    "rate", "tokens", "hour_requests", "hour_tokens", "day_requests", "day_tokens", "month_requests", "month_tokens",
    "concurrency", "money", "hold", "retries", "breaker_open", "cold",
]  # fmt: skip

REASONS: dict[str, Reason] = {reason: reason for reason in get_args(Reason)}


@dataclass(frozen=True, slots=True)
class Scope:
    """Something with limits of its own: ``provider:groq``, or one deployment, ``deployment:groq/llama-3.1``."""

    name: str
    limits: Limits
    zone: str = "UTC"
    """IANA zone whose midnight resets the daily and monthly limits."""
    learn_upwards: bool = False
    """May what is learned be above the limits given here?"""
    key_ref: str | None = None
    """Which key it is about, where each has limits of its own; its name ends in ``#`` and this."""

    @property
    def kind(self) -> str:
        """``provider`` or ``deployment``."""
        return self.name.partition(":")[0]

    @property
    def subject(self) -> str:
        """The provider's or deployment's name."""
        name = self.name.partition(":")[2]
        return name if self.key_ref is None else name.removesuffix(f"#{self.key_ref}")


@dataclass(frozen=True, slots=True)
class Money:
    """``amount_micro`` of a job that may spend ``limit_micro`` in all (millionths of a US dollar)."""

    job_id: str
    limit_micro: int
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Grant:
    """Calls that may be made. They must leave for the provider within the margin after ``at_ms``."""

    id: str
    calls: int
    tokens: int
    at_ms: int
    """Redis's clock, ms since 1970."""
    scopes: tuple[str, ...]
    days: tuple[str, ...]
    """The day on which each scope counted it."""
    months: tuple[str, ...]
    """The month in which each scope counted it."""
    money: Money | None = None
    breaker: str | None = None
    probe: bool = False
    """The one call that finds out whether an open breaker may close."""
    retries: int = 0
    """How many of the calls were counted as retries."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was charged. First try again with ``room`` calls, if any; else wait, if that helps; else give up."""

    reason: Reason
    rule: str
    """The rule that blocks longest: ``provider:groq rpm``, ``job:7 money``, ``breaker:groq/llama-3.1``."""
    wait_ms: int
    """Until the reservation fits if nobody else reserves; or, where it is larger than the rules ever allow, until the
    largest part they do allow fits. -1: waiting gains nothing over ``room``. Exact for rate, tokens, hour, day, month,
    hold, retries and an open breaker; for concurrency, slow start and a probe under way, when to look again (at most
    50, 50 and 500 ms). For ``cold``: how long to wait before the ledger is read, see ``Gates``."""
    room: int
    """How many of the calls, each with its share ``tokens/calls`` (the sum rounded up), fit now. First calls come
    before retries in this count: whoever takes a part leaves the retries to the last."""
    cold: tuple[str, ...] = ()
    """Names of all that is cold: scopes, or ``job:<id>``."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows about a scope. Times are ms of Redis's clock, as in ``Grant.at_ms``.

    Calls still open count in all of them, with the tokens that were reserved for them.
    """

    window: tuple[tuple[int, int, int], ...] = ()
    """(at_ms, calls, tokens) of the last minute and the margin."""
    day_calls: int = 0
    day_tokens: int = 0
    in_flight: tuple[tuple[int, int], ...] = ()
    """(lease end ms, calls)"""
    hour: tuple[tuple[int, int, int], ...] | None = None
    """(at_ms, calls, tokens) of the last hour and the margin; None: it was not looked up."""
    month: tuple[int, int] | None = None
    """(calls, tokens) of this month; None: it was not looked up."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A limit that the provider showed to have. Times are ms of Redis's clock."""

    value: int
    until_ms: int
    at_ms: int
    """When it was learned."""
    inferred: bool
    """From refusals; else the provider stated it."""


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """``limit`` is the one in force; None: there is none. ``configured`` is the fleet file's, ``learned`` what stands
    against it, whether or not it is the tighter one. ``resets_ms``: from now until some (of a day or month: all) is
    free again."""

    rule: Rule
    used: int
    limit: int | None
    resets_ms: int
    configured: int | None = None
    learned: Learned | None = None


@dataclass(frozen=True, slots=True)
class ScopeUsage:
    name: str
    warm: bool
    rules: tuple[RuleUsage, ...]
    """Those of hours and months only where one is in force: they are not counted otherwise."""
    in_flight: int
    hold_ms: int
    """How long the provider still wants us to stay away; 0: it does not."""
    ready_s: float
    """Until one small call is possible; infinite if never. Breaker and money are not asked."""


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Retries granted in the last minute, by whomever and to whomever, and how many that minute allows in all."""

    used: int
    allowed: int
