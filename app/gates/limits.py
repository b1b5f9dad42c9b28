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
from typing import Any

import redis

from app.gates.day import Period, day_of, month_of
from app.gates.scripts import Clock, Lua, reaching_redis, stem, text
from app.gates.terms import (
    REASONS,
    RULES,
    Denied,
    Grant,
    Known,
    Learned,
    Money,
    Reason,
    RetryBudget,
    Rule,
    RuleUsage,
    Scope,
    ScopeUsage,
)

__all__ = [
    "Denied", "Gates", "Grant", "Known", "Learned", "Money", "Reason", "RetryBudget", "Rule", "RuleUsage", "Scope",
    "ScopeUsage",
]  # fmt: skip

_WINDOW_MS = 60_000
_LONGEST_HOLD_S = 86_400.0
_RETRIES = stem("retries")
# A lesson is remembered after its end: if it has to be learned again it lasts longer.
_REMEMBERED_MS = 7_200_000
_LONGEST_LESSON_S = 32 * 86_400.0
_COUNTED_WHERE_LIMITED = frozenset({"rph", "tph", "rpmo", "tpmo"})


@dataclass(frozen=True, slots=True)
class _Told:
    """A scope as the scripts are told it, on one day."""

    day: Period
    month: Period
    text: str


class Gates:
    """Reservations under the limits of scopes, shared by all processes.

    ``margin_s`` widens the rolling minute. A provider counts a call when it arrives, we when it is reserved; two calls
    reserved a minute apart may arrive closer together than that if the first was longer on its way. With every call
    sent so that it arrives within ``margin_s`` of its reservation no window of 60 s at the provider holds more than
    its limit. Calls that cannot leave in time are to be given back and reserved again. For the same reason the last
    ``margin_s`` before a daily reset are closed to scopes that have a daily limit, and so with months. An hour rolls in
    steps of ten seconds: its quota comes back up to ten seconds late, never early.

    ``burst`` is the share of a minute's requests and tokens that may leave within one second: a whole minute's quota at
    once would queue up on its way, and arrive later than the margin allows for.

    A scope is *cold* when this run of the Redis server has not been told what the ledger knows: after a flush, a
    restart (also one that restored a snapshot) or a failover. ``reserve`` then charges nothing and answers ``cold``
    with the names. Wait ``wait_ms`` (calls granted just before the loss are in the ledger by then, or were given up),
    read the ledger, ``warm`` them, try again. A warm scope is cold again when a limit for its hour or month is first in
    force, since these are not counted for scopes without one.

    ``learn`` takes down what a provider shows to allow, in Redis, for all processes at once: while it lasts the smaller
    of it and the limit given holds (the learned one in any case, where the scope may learn upwards).

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
        self._client = client
        self.clock = Clock(client)
        self._burst = burst
        self._margin_ms = int(margin_s * 1000)
        self._window_ms = _WINDOW_MS + self._margin_ms
        self._told: dict[Scope, _Told] = {}
        self._reserve = Lua(client, "reserve", self.clock)
        self._adjust = Lua(client, "adjust", self.clock)
        self._warm = Lua(client, "warm", self.clock)
        self._hold = Lua(client, "hold", self.clock)
        self._usage = Lua(client, "usage", self.clock)
        self._retries = Lua(client, "retries", self.clock)
        self._learn = Lua(client, "learn", self.clock)

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
        reply, told = self._today(scopes, lambda rules: self._reserve(keys, *head, *rules))
        outcome, now_ms, *rest = reply
        match text(outcome):
            case "granted":
                return Grant(
                    grant_id,
                    calls,
                    tokens,
                    int(now_ms),
                    tuple(scope.name for scope in scopes),
                    tuple(t.day.id for t in told),
                    tuple(t.month.id for t in told),
                    money,
                    breaker,
                    bool(rest[0]),
                    retries,
                )
            case "cold":
                names = tuple(text(name) for name in rest[1:])
                return Denied("cold", f"{names[0]} cold", max(0, int(rest[0])), 0, names)
            case _:
                return Denied(REASONS[text(rest[0])], text(rest[1]), int(rest[2]), int(rest[3]))

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

    def learn(self, scope_name: str, rule: Rule, value: int, for_s: float, *, refused_at_ms: int | None = None) -> bool:
        """The provider showed that it allows ``value`` (0 or more): for ``for_s`` (32 days at most) that is the limit.

        ``refused_at_ms`` is ``Grant.at_ms`` of the calls that it refused, where the value is only inferred from that.
        False where nothing changed: calls granted before the last lesson prove nothing about it, and a stated limit
        does not lift an inferred one. Holds from the next reservation on, of whichever process; lost with Redis.
        """
        if rule not in RULES or value < 0:
            raise ValueError("a lesson is about one of the rules, and no limit is negative")
        for_ms = int(min(max(0.0, for_s), _LONGEST_LESSON_S) * 1000)
        granted = "" if refused_at_ms is None else refused_at_ms
        return bool(self._learn([stem(scope_name)], rule, value, for_ms, granted, _REMEMBERED_MS))

    def lessons(self, scope_name: str) -> dict[Rule, Learned]:
        """What has been learned of a scope, also what ended within the last two hours."""
        with reaching_redis():
            stored = self._client.hgetall(stem(scope_name) + ":learned")
        said = {text(rule): text(lesson).split() for rule, lesson in stored.items()}
        return {rule: _lesson(*said[rule]) for rule in RULES if rule in said}

    def warm(self, scope: Scope, known: Known) -> bool:
        """Opens a cold scope with what the ledger knows. False: another was first, and nothing changed."""
        body = json.dumps(asdict(known))

        def load(rules: list[str]) -> Any:
            return self._warm([stem(scope.name)], "scope", self._window_ms, *rules, self._margin_ms, body)

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
        periods = [name for pair in zip(grant.days, grant.months, strict=True) for name in pair]
        again = (calls + retries, -retries, grant.at_ms, self._margin_ms)
        self._adjust(keys, grant.id, *sizes, *flags, *again, *periods)

    def _today(self, scopes: Sequence[Scope], run: Callable[[list[str]], Any]) -> tuple[Any, list[_Told]]:
        """Runs a script with each scope as it is today; again where Redis says that a new day has begun."""
        for _ in range(3):
            told = [self._told.get(scope) or self._tell(scope, self.now_ms()) for scope in scopes]
            reply = run([each.text for each in told])
            if text(reply[0]) != "rollover":
                return reply, told
            self._told.clear()
            for scope in scopes:
                self._tell(scope, int(reply[1]))
        raise RuntimeError("Redis's clock does not stay within one day")

    def _tell(self, scope: Scope, now_ms: int) -> _Told:
        """One text, see ``scope_at`` in common.lua: it is sent with every reservation and made once a day."""
        day, month = day_of(scope.zone, now_ms), month_of(scope.zone, now_ms)
        limits = (getattr(scope.limits, rule) for rule in RULES)
        said = (
            *("" if limit is None else limit for limit in limits),
            "" if self._burst is None else self._burst,
            "1" if scope.learn_upwards else "",
            *(day.id, day.start_ms, day.end_ms, month.id, month.start_ms, month.end_ms),
        )
        told = self._told[scope] = _Told(day, month, ",".join(str(part) for part in said))
        return told


def _purse(job_id: str) -> str:
    return stem(f"job:{job_id}")


def _usage(scope: Scope, row: Sequence[Any]) -> ScopeUsage:
    warm, flying, hold_ms, ready_ms, used, limits, lessons = row
    learned = {
        text(rule): _lesson(*(text(part) for part in lesson))
        for rule, *lesson in zip(*(lessons[n::5] for n in range(5)), strict=True)
    }
    rules = []
    for n, rule in enumerate(RULES):
        of_period = 3 * (n // 2)
        spent, resets_ms = (flying, 0) if rule == "concurrency" else (used[of_period + n % 2], used[of_period + 2])
        limit = None if limits[n] < 0 else limits[n]
        if limit is not None or rule not in _COUNTED_WHERE_LIMITED:
            configured = getattr(scope.limits, rule)
            rules.append(RuleUsage(rule, spent, limit, resets_ms, configured, learned.get(rule)))
    return ScopeUsage(
        scope.name, bool(warm), tuple(rules), flying, hold_ms, math.inf if ready_ms < 0 else ready_ms / 1000
    )


def _lesson(value: str, until: str, at: str, how: str) -> Learned:
    return Learned(int(value), int(until), int(at), how == "i")
