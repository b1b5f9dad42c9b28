"""The fleet as it is now: one look at registry, health, breakers, gates and averages, as tracks for the core."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from app.core import pricing
from app.core.health import State
from app.core.plan import Plan
from app.core.quotas import Quota
from app.core.selection import ORDINARY_TOKENS, ordinary_call
from app.core.task import Task
from app.core.tracks import Track
from app.core.values import Deployment, Limits
from app.gates.breaker import Breaker, BreakerView
from app.gates.limits import Gates, RuleUsage, ScopeUsage
from app.gates.pulse import Pulse, Pulses
from app.ledger.health import Health, current
from app.ledger.keys import out
from app.registry.fleet import Fleet, FleetFile
from app.services.reputation import Reputation
from app.services.scopes import UNNAMED_CONCURRENCY, capacity, key_scopes

UNKNOWN_LATENCY_MS = 1_000.0
# Nothing floods a queue: whatever the pace, no track holds more asks than this.
MOST_ASKS = 40
_PROBING_PACE = 0.1
DEGRADED_BEHIND_S = 10.0
"""A degraded deployment is passed by while a healthy one is free within so many seconds more: half of the horizon."""
_WINDOWS_S = {"pm": 60.0, "ph": 3600.0}
"""Length of a rolling rule by its name without its first letter."""
_PERIODS_S = {"pd": 86_400.0, "pmo": 30 * 86_400.0}
"""Length of a calendar rule's period, about: a day has 23 hours at times, a month 31 days."""
BURST = 0.1
"""Share of a minute's quota that may leave within one second, see ``Gates``."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One deployment with everything that is known of it."""

    deployment: Deployment
    health: Health | None
    breaker: BreakerView
    pulse: Pulse
    by_key: tuple[tuple[ScopeUsage, ...], ...]
    """Of the provider's scope and its own, once for each key that has limits of its own."""

    @property
    def usage(self) -> tuple[ScopeUsage, ...]:
        """Of all its scopes, of every key."""
        return tuple(usage for of_key in self.by_key for usage in of_key)

    @property
    def opens_s(self) -> float:
        """Seconds until the gates let one small call through, with whichever key; infinite if never."""
        return min(_opens_s(of_key) for of_key in self.by_key)

    @property
    def latency_ms(self) -> float | None:
        """Of an ordinary call lately, else of its last ping; None: it was never measured."""
        return self.pulse.latency_ms or (self.health.latency_ms if self.health is not None else None) or None

    @property
    def tokens(self) -> float:
        """Of an ordinary call, input and output together."""
        return self.pulse.tokens_per_call or ORDINARY_TOKENS

    @property
    def cost_micro(self) -> int | None:
        """Of an ordinary call; None: its price is unknown."""
        return pricing.cost_micro(ordinary_call(self.tokens), self.deployment.price)

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """Of its day and month, in ordinary calls: those of the account and its own, of all keys together."""
        found: dict[tuple[int, str], list[RuleUsage]] = {}
        for of_key in self.by_key:
            for scope, usage in enumerate(of_key):
                for rule in usage.rules:
                    if rule.limit is not None and rule.rule[1:] in _PERIODS_S:
                        found.setdefault((scope, rule.rule), []).append(rule)
        return tuple(_quota(rules, self.tokens) for rules in found.values() if len(rules) == len(self.by_key))

    @property
    def usable(self) -> bool:
        """May it be seated? The healthy and the degraded; an open breaker is out, a half-open one wants its probe."""
        return self.health is not None and self.health.state.usable and self.breaker.state != "open"

    @property
    def behind_s(self) -> float:
        """How much longer a healthy one's queue may be before this one is preferred."""
        return DEGRADED_BEHIND_S if self.health is not None and self.health.state is State.DEGRADED else 0.0


@dataclass(slots=True)
class FleetView:
    engine: Engine
    fleet: FleetFile
    gates: Gates
    breaker: Breaker
    pulses: Pulses
    reputation: Reputation | None = None
    """What was learned of the deployments; None: learning is switched off, the fleet file alone holds."""

    def dress(self, tracks: Iterable[Track], job_id: str) -> None:
        """Let tracks show their deployments as the job's use case knows them."""
        if self.reputation is not None:
            self.reputation.dress(tracks, job_id, self.fleet.current().deployments)

    def deployment(self, name: str, job_id: str) -> Deployment | None:
        """One of the fleet file's, as the job's use case knows it; None: it is not there any more."""
        deployments = self.fleet.current().deployments
        known = {} if self.reputation is None else self.reputation.of(deployments, job_id)
        return known.get(name) or next((d for d in deployments if d.name == name), None)

    def inform(self, plan: Plan, job_id: str, task: Task) -> Plan:
        """The plan with what its recipe has to know of those it seats."""
        if self.reputation is None:
            return plan
        return self.reputation.inform(plan, job_id, self.fleet.current().deployments, task.labels)

    def look(self, kind: str = "all") -> list[Seen]:
        fleet = self.fleet.current()
        deployments = fleet.deployments
        names = [d.name for d in deployments]
        health = current(self.engine)
        breakers = self.breaker.states(names)
        pulses = self.pulses.estimates(names, kind)
        without = out(self.engine)
        keys = {d.name: key_scopes(fleet, d, without.get(d.provider, ())) for d in deployments}
        scopes = {s.name: s for of_deployment in keys.values() for of_key in of_deployment for s in of_key}
        usage = self.gates.usage_many(list(scopes.values()))
        return [
            Seen(d, health.get(d.name), breakers[d.name], pulses[d.name],
                 tuple(tuple(usage[s.name] for s in of_key) for of_key in keys[d.name]))
            for d in deployments
        ]  # fmt: skip

    def tracks(self, queued: Mapping[str, tuple[int, int]]) -> list[Track]:
        """The usable deployments as tracks, with what is queued on them: deployment → (calls, asks)."""
        fleet = self.fleet.current()
        tracks = [_track(fleet, seen, queued) for seen in self.look() if seen.usable]
        for track in tracks:
            if _any(track.deployment.provider_limits):
                mine = track.deployment
                track.siblings = [
                    t for t in tracks if t.deployment.provider == mine.provider and t.deployment.name != mine.name
                ]
        return tracks


def _track(fleet: Fleet, seen: Seen, queued: Mapping[str, tuple[int, int]]) -> Track:
    deployment = seen.deployment
    latency_ms = seen.latency_ms or UNKNOWN_LATENCY_MS
    tokens = seen.tokens
    shared = [d.name for d in fleet.deployments if d.provider == deployment.provider]
    names = shared if _any(deployment.provider_limits) else [deployment.name]
    calls = sum(queued.get(name, (0, 0))[0] for name in names)
    asks = queued.get(deployment.name, (0, 0))[1]
    pace = sum(min(_pace(usage, tokens) for usage in of_key) for of_key in seen.by_key)
    speed = sum(min(_speed(usage, latency_ms) for usage in of_key) for of_key in seen.by_key)
    speed = min(speed, _slow_start(seen, latency_ms))
    room = sum(_room(of_key, tokens) for of_key in seen.by_key if not _opens_s(of_key))
    if seen.breaker.state == "half_open":
        pace, room = min(pace, _PROBING_PACE), 0.0  # a probe, not a load
    opens_s = seen.opens_s
    return Track(
        deployment,
        pace=min(pace, speed),
        speed=speed,
        queued=calls,
        room=room,
        opens_s=opens_s,
        latency_ms=latency_ms,
        cost_micro=seen.cost_micro,
        asks=MOST_ASKS - asks,
        behind_s=seen.behind_s,
        measured_ms=seen.latency_ms,
        quotas=seen.quotas,
    )


def _pace(usage: ScopeUsage, tokens: float) -> float:
    """Calls a second that the limits in force allow from now on, days and months aside.

    An hour's limit is no bound as long as more than its average minute is left of it.
    """
    paces = [math.inf]
    for rule in usage.rules:
        window_s = _WINDOWS_S.get(rule.rule[1:])
        if rule.limit is None or window_s is None:
            continue
        if window_s > 60 and rule.limit - rule.used > rule.limit * 60 / window_s:
            continue
        paces.append(rule.limit / window_s / _each(rule, tokens))
    return max(min(paces), 0.001)


def _speed(usage: ScopeUsage, latency_ms: float) -> float:
    """Calls a second that fit into its concurrency, and that the gate lets leave."""
    limits = {rule.rule: rule.limit for rule in usage.rules}
    answered = (limits["concurrency"] or UNNAMED_CONCURRENCY) * 1000 / max(latency_ms, 1.0)
    rpm = limits["rpm"]
    return answered if rpm is None else min(answered, max(1.0, rpm * BURST))


def _slow_start(seen: Seen, latency_ms: float) -> float:
    """Calls a second that fit into what its breaker lets be in flight after a recovery."""
    share = seen.breaker.share
    return math.inf if share >= 1 else max(1.0, capacity(seen.deployment) * share) * 1000 / max(latency_ms, 1.0)


def _opens_s(usages: Iterable[ScopeUsage]) -> float:
    """Seconds until all of these scopes let one small call through."""
    return max(usage.ready_s for usage in usages)


def _room(usages: Iterable[ScopeUsage], tokens: float) -> float:
    """Calls that the windows would let through at once; infinite where nothing limits them."""
    return min(
        (
            max(0, rule.limit - rule.used) / _each(rule, tokens)
            for usage in usages
            for rule in usage.rules
            if rule.limit is not None and rule.rule[1:] in _WINDOWS_S
        ),
        default=math.inf,
    )


def _quota(rules: Sequence[RuleUsage], tokens: float) -> Quota:
    """One rule of every key, added up; it starts anew when the last of them does."""
    calls = 1 / _each(rules[0], tokens)
    limit = sum(rule.limit or 0 for rule in rules)
    left = sum(max(0, (rule.limit or 0) - rule.used) for rule in rules)
    resets_s = max(rule.resets_ms for rule in rules) / 1000
    return Quota(rules[0].rule, limit * calls, left * calls, resets_s, _PERIODS_S[rules[0].rule[1:]])


def _each(rule: RuleUsage, tokens: float) -> float:
    """What one call takes of a rule."""
    return 1.0 if rule.rule.startswith("r") else max(tokens, 1.0)


def _any(limits: Limits) -> bool:
    return limits != Limits()
