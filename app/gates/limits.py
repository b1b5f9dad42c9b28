"""What may be called now: requests, tokens, daily quota, concurrency and money, reserved in one step.

Every rule is kept in Redis and counted by Redis's clock, for all processes together. The Lua scripts beside this file
say which keys they touch; this file gives them their arguments.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import redis

from app.core.values import Limits
from app.gates.day import Day, day_of
from app.gates.scripts import Clock, Lua, stem, text

Reason = Literal[
    "rate", "tokens", "day_requests", "day_tokens", "concurrency", "money", "hold", "retries", "breaker_open", "cold"
]

_REASONS: dict[str, Reason] = {reason: reason for reason in get_args(Reason)}
_WINDOW_MS = 60_000
_LONGEST_HOLD_S = 86_400.0
_RETRIES = stem("retries")


@dataclass(frozen=True, slots=True)
class Scope:
    """Something with limits of its own: ``provider:groq``, or one deployment, ``deployment:groq/llama-3.1``."""

    name: str
    limits: Limits
    zone: str = "UTC"
    """IANA zone whose midnight resets the daily limits."""


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
    largest part they do allow fits. -1: waiting gains nothing over ``room``. Exact for rate, tokens, day, hold,
    retries and an open breaker; for concurrency, slow start and a probe under way, when to look again (at most 50, 50
    and 500 ms). For ``cold``: how long to wait before the ledger is read, see ``Gates``."""
    room: int
    """How many of the calls, each with its share ``tokens/calls`` (the sum rounded up), fit now. First calls come
    before retries in this count: whoever takes a part leaves the retries to the last."""
    cold: tuple[str, ...] = ()
    """Names of all that is cold: scopes, or ``job:<id>``."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows about a scope. Times are ms of Redis's clock, as in ``Grant.at_ms``.

    Calls still open count in all four, with the tokens that were reserved for them.
    """

    window: tuple[tuple[int, int, int], ...] = ()
    """(at_ms, calls, tokens) of the last minute and the margin."""
    day_calls: int = 0
    day_tokens: int = 0
    in_flight: tuple[tuple[int, int], ...] = ()
    """(lease end ms, calls)"""


@dataclass(frozen=True, slots=True)
class RuleUsage:
    """``limit`` None: the provider names none. ``resets_ms``: from now until some (of a day: all) is free again."""

    rule: Literal["rpm", "tpm", "rpd", "tpd", "concurrency"]
    used: int
    limit: int | None
    resets_ms: int


@dataclass(frozen=True, slots=True)
class ScopeUsage:
    name: str
    warm: bool
    rules: tuple[RuleUsage, ...]
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


class Gates:
    """Reservations under the limits of scopes, shared by all processes.

    ``margin_s`` widens the rolling minute. A provider counts a call when it arrives, we when it is reserved; two calls
    reserved a minute apart may arrive closer together than that if the first was longer on its way. With every call
    sent so that it arrives within ``margin_s`` of its reservation no window of 60 s at the provider holds more than
    its limit. Calls that cannot leave in time are to be given back and reserved again. For the same reason the last
    ``margin_s`` before a daily reset are closed to scopes that have a daily limit.

    ``burst`` is the share of a minute's requests and tokens that may leave within one second: a whole minute's quota at
    once would queue up on its way, and arrive later than the margin allows for.

    A scope is *cold* when this run of the Redis server has not been told what the ledger knows: after a flush, a
    restart (also one that restored a snapshot) or a failover. ``reserve`` then charges nothing and answers ``cold``
    with the names. Wait ``wait_ms`` (calls granted just before the loss are in the ledger by then, or were given up),
    read the ledger, ``warm`` them, try again.

    Retries have a budget of their own, over all providers and processes: within a minute no more than a tenth of the
    first calls, and 60 besides, so that a small job may retry at all. A fleet in trouble is then asked at most a tenth
    more than a fleet in health, where three tries a call would treble its load. (Finagle's ``RetryBudget`` has the
    share and the floor; Google's SRE book, chapter "Addressing Cascading Failures", and gRPC's proposal A6 the tenth.)
    When Redis is lost the budget starts anew, with nothing spent.

    Warning: tokens are counted where they were reserved, so a provider that counts them when it answers may see up to
    one call's tokens a window late. Redis is trusted to keep time: if its clock jumps ahead, a window opens early.
    Raises ``ServiceMissing`` where Redis does not answer.
    """

    def __init__(self, client: redis.Redis, *, margin_s: float = 1.0, burst: float | None = None) -> None:
        self.clock = Clock(client)
        self._burst = burst
        self._margin_ms = int(margin_s * 1000)
        self._window_ms = _WINDOW_MS + self._margin_ms
        self._days: dict[str, Day] = {}
        self._reserve = Lua(client, "reserve", self.clock)
        self._adjust = Lua(client, "adjust", self.clock)
        self._warm = Lua(client, "warm", self.clock)
        self._hold = Lua(client, "hold", self.clock)
        self._usage = Lua(client, "usage", self.clock)
        self._retries = Lua(client, "retries", self.clock)

    def reserve(
        self,
        scopes: Sequence[Scope],
        calls: int,
        tokens: int,
        *,
        money: Money | None = None,
        lease_s: float,
        breaker: str | None = None,
        retries: int = 0,
    ) -> Grant | Denied:
        """Reserves ``calls`` (at least 1) with ``tokens`` in all, under every rule, or nothing at all.

        ``lease_s`` is how long the calls hold their concurrency slots if nobody says that they ended (a killed
        worker), so it must be longer than they can last; requests, tokens and money stay counted. ``breaker`` is the
        name of the deployment whose breaker is asked. ``retries`` of the calls were made before and failed: they draw
        on the retry budget, the others fill it.
        """
        if calls < 1 or tokens < 0 or not scopes or len({scope.name for scope in scopes}) < len(scopes):
            raise ValueError("a reservation is of at least one call, no negative tokens, and scopes that differ")
        if not 0 <= retries <= calls:
            raise ValueError("retries are some of the calls")
        grant_id = os.urandom(8).hex()
        keys = [stem(scope.name) for scope in scopes]
        if money is not None:
            keys.append(_purse(money.job_id))
        keys.append(_RETRIES)
        if breaker is not None:
            keys.append(stem(f"breaker:{breaker}"))
        sizes = (calls, tokens, int(lease_s * 1000), self._window_ms, self._margin_ms, len(scopes))
        purse = (money.amount_micro, money.limit_micro) if money is not None else ("", "")
        asked = "" if breaker is None else "1"
        head = (grant_id, *sizes, *purse, asked, retries)
        reply, days = self._today(scopes, lambda rules: self._reserve(keys, *head, *rules))
        outcome, now_ms, *rest = reply
        match text(outcome):
            case "granted":
                names = tuple(scope.name for scope in scopes)
                ids = tuple(day.id for day in days)
                return Grant(grant_id, calls, tokens, int(now_ms), names, ids, money, breaker, bool(rest[0]), retries)
            case "cold":
                names = tuple(text(name) for name in rest[1:])
                return Denied("cold", f"{names[0]} cold", max(0, int(rest[0])), 0, names)
            case _:
                return Denied(_REASONS[text(rest[0])], text(rest[1]), int(rest[2]), int(rest[3]))

    def true_up(
        self,
        grant: Grant,
        *,
        calls: int,
        reserved_tokens: int,
        actual_tokens: int,
        reserved_micro: int = 0,
        actual_micro: int = 0,
    ) -> None:
        """``calls`` of the grant have ended: frees their slots and corrects tokens and money by the difference.

        The window is corrected only while the reservation is in it, the day only while it lasts. Not idempotent.
        """
        self._change(grant, calls, 0, actual_tokens - reserved_tokens, actual_micro - reserved_micro)

    def give_back(self, grant: Grant, *, calls: int, tokens: int, micro: int = 0, retries: int = 0) -> None:
        """``calls`` of the grant were never made: returns requests, tokens, quota, slots and money; and the probe.

        ``retries`` of them were reserved as such and go back to the retry budget; the others no longer fill it.
        """
        self._change(grant, calls, -calls, -tokens, -micro, unprobe=grant.probe, retries=retries)

    def hold(self, scope_name: str, for_s: float) -> int:
        """Shuts a scope for ``for_s`` (a provider's retry-after; a day at most); never shortens a hold.

        Returns the Redis ms until which it is held.
        """
        for_ms = int(min(max(0.0, for_s), _LONGEST_HOLD_S) * 1000)
        return int(self._hold([stem(scope_name)], for_ms))

    def warm(self, scope: Scope, known: Known) -> bool:
        """Opens a cold scope with what the ledger knows. False: another was first, and nothing changed."""
        body = json.dumps(asdict(known))

        def load(rules: list[int | str]) -> Any:
            return self._warm([stem(scope.name)], "scope", self._window_ms, *rules[-3:], body)

        reply, _ = self._today([scope], load)
        return text(reply[0]) == "warm"

    def warm_money(self, job_id: str, spent_micro: int) -> bool:
        """Opens a job's purse with what it has spent, or may have. False: another was first."""
        return text(self._warm([_purse(job_id)], "money", self._window_ms, spent_micro)[0]) == "warm"

    def retry_budget(self) -> RetryBudget:
        used, allowed = self._retries([_RETRIES])
        return RetryBudget(int(used), int(allowed))

    def now_ms(self) -> int:
        """Redis's clock."""
        return self.clock.now_ms()

    def usage(self, scope: Scope) -> ScopeUsage:
        return self.usage_many([scope])[scope.name]

    def usage_many(self, scopes: Sequence[Scope]) -> dict[str, ScopeUsage]:
        """What is used of every rule of each scope, by name, in one trip. A cold scope's is not to be trusted."""
        if not scopes:
            return {}
        keys = [stem(scope.name) for scope in scopes]
        reply, _ = self._today(scopes, lambda rules: self._usage(keys, self._window_ms, self._margin_ms, *rules))
        return {scope.name: _usage(scope, row) for scope, row in zip(scopes, reply[2:], strict=True)}

    def _change(
        self,
        grant: Grant,
        slots: int,
        calls: int,
        tokens: int,
        micro: int,
        *,
        unprobe: bool = False,
        retries: int = 0,
    ) -> None:
        keys = [stem(name) for name in grant.scopes]
        if grant.money is not None:
            keys.append(_purse(grant.money.job_id))
        keys.append(_RETRIES)
        if grant.breaker is not None:
            keys.append(stem(f"breaker:{grant.breaker}"))
        flags = ["1" if flag else "" for flag in (grant.money is not None, grant.breaker is not None, unprobe)]
        sizes = (self._window_ms, slots, calls, tokens, micro, len(grant.scopes))
        self._adjust(keys, grant.id, *sizes, *flags, calls + retries, -retries, grant.at_ms, *grant.days)

    def _today(self, scopes: Sequence[Scope], run: Callable[[list[int | str]], Any]) -> tuple[Any, list[Day]]:
        """Runs a script with each scope's limits and today's day; again where Redis says that a new day has begun."""
        for _ in range(3):
            days = [self._day(scope.zone) for scope in scopes]
            reply = run(
                [arg for scope, day in zip(scopes, days, strict=True) for arg in self._rules(scope.limits, day)]
            )
            if text(reply[0]) != "rollover":
                return reply, days
            self._days.update({scope.zone: day_of(scope.zone, int(reply[1])) for scope in scopes})
        raise RuntimeError("Redis's clock does not stay within one day")

    def _rules(self, limits: Limits, day: Day) -> list[int | str]:
        amounts = (limits.rpm, limits.tpm, limits.rpd, limits.tpd, limits.concurrency)
        burst = "" if self._burst is None else str(self._burst)
        return ["" if amount is None else amount for amount in amounts] + [burst, day.id, day.start_ms, day.end_ms]

    def _day(self, zone: str) -> Day:
        if zone not in self._days:
            self._days[zone] = day_of(zone, self.now_ms())
        return self._days[zone]


def _purse(job_id: str) -> str:
    return stem(f"job:{job_id}")


def _usage(scope: Scope, row: Sequence[int]) -> ScopeUsage:
    warm, calls, tokens, oldest_ms, day_calls, day_tokens, day_ms, flying, hold_ms, ready_ms = row
    limits = scope.limits
    rules = (
        RuleUsage("rpm", calls, limits.rpm, oldest_ms),
        RuleUsage("tpm", tokens, limits.tpm, oldest_ms),
        RuleUsage("rpd", day_calls, limits.rpd, day_ms),
        RuleUsage("tpd", day_tokens, limits.tpd, day_ms),
        RuleUsage("concurrency", flying, limits.concurrency, 0),
    )
    return ScopeUsage(scope.name, bool(warm), rules, flying, hold_ms, math.inf if ready_ms < 0 else ready_ms / 1000)
