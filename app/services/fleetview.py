"""The fleet as it is now: one look at registry, health, breakers, gates and averages, as tracks for the core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from app.core import pricing
from app.core.seating import Track
from app.core.values import Deployment, Limits, Usage
from app.gates.breaker import Breaker, BreakerView
from app.gates.limits import Gates, Scope, ScopeUsage
from app.gates.pulse import Pulse, Pulses
from app.ledger import history
from app.registry.fleet import Fleet, FleetFile
from app.services.warming import scopes_of

_UNKNOWN_LATENCY_MS = 1_000.0
_UNKNOWN_TOKENS = 200.0
# A provider that names no limit of concurrency gets this many of our calls at once.
UNBOUNDED_CALLS = 64
# Nothing floods a queue: whatever the pace, no track holds more asks than this.
MOST_ASKS = 24


@dataclass(frozen=True, slots=True)
class Seen:
    """One deployment with everything that is known of it."""

    deployment: Deployment
    health: history.Health | None
    breaker: BreakerView
    pulse: Pulse
    usage: tuple[ScopeUsage, ...]

    @property
    def usable(self) -> bool:
        """May it be seated? Only the healthy; an open breaker is out, a half-open one wants its probe."""
        return self.health is not None and self.health.state == "healthy" and self.breaker.state != "open"


@dataclass(slots=True)
class FleetView:
    engine: Engine
    fleet: FleetFile
    gates: Gates
    breaker: Breaker
    pulses: Pulses

    def look(self, kind: str = "all") -> list[Seen]:
        fleet = self.fleet.current()
        deployments = fleet.deployments
        names = [d.name for d in deployments]
        health = history.health(self.engine)
        breakers = self.breaker.states(names)
        pulses = self.pulses.estimates(names, kind)
        scopes = {s.name: s for d in deployments for s in scopes_of(fleet, d)}
        usage = self.gates.usage_many(list(scopes.values()))
        return [
            Seen(d, health.get(d.name), breakers[d.name], pulses[d.name],
                 tuple(usage[s.name] for s in scopes_of(fleet, d)))
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
    deployment, pulse = seen.deployment, seen.pulse
    latency_ms = pulse.latency_ms or (seen.health and seen.health.latency_ms) or _UNKNOWN_LATENCY_MS
    tokens = pulse.tokens_per_call or _UNKNOWN_TOKENS
    shared = [d.name for d in fleet.deployments if d.provider == deployment.provider]
    names = shared if _any(deployment.provider_limits) else [deployment.name]
    calls = sum(queued.get(name, (0, 0))[0] for name in names)
    asks = queued.get(deployment.name, (0, 0))[1]
    pace = min(_pace(limits, latency_ms, tokens) for limits in (deployment.provider_limits, deployment.limits))
    if seen.breaker.state == "half_open":
        pace = min(pace, 0.1)  # a probe, not a load
    opens_s = max(usage.ready_s for usage in seen.usage)
    if asks >= MOST_ASKS:
        opens_s = float("inf")
    room = 0.0 if seen.breaker.state == "half_open" else _room(seen.usage, tokens, opens_s, pace)
    half_half = Usage(input_tokens=int(tokens / 2), output_tokens=int(tokens / 2))
    return Track(
        deployment, pace, queued=calls, room=room, opens_s=opens_s, latency_ms=latency_ms,
        cost_micro=pricing.cost_micro(half_half, deployment.price),
    )  # fmt: skip


def _pace(limits: Limits, latency_ms: float, tokens: float) -> float:
    """Calls a second: the least of request limit, token limit and concurrency over latency."""
    paces = [(limits.concurrency or UNBOUNDED_CALLS) * 1000 / max(latency_ms, 1.0)]
    if limits.rpm is not None:
        paces.append(limits.rpm / 60)
    if limits.tpm is not None:
        paces.append(limits.tpm / 60 / max(tokens, 1.0))
    return max(min(paces), 0.001)


def _room(usages: Iterable[ScopeUsage], tokens: float, opens_s: float, pace: float) -> float:
    """Calls that the windows would let through within a moment, whatever the pace."""
    if opens_s > 0:
        return 0.0
    rooms = [pace]
    for usage in usages:
        for rule in usage.rules:
            if rule.limit is not None and rule.rule in ("rpm", "tpm"):
                left = max(0, rule.limit - rule.used)
                rooms.append(left if rule.rule == "rpm" else left / max(tokens, 1.0))
    return max(0.0, min(rooms[1:], default=pace))


def _any(limits: Limits) -> bool:
    return limits != Limits()


def scopes_of_fleet(fleet: Fleet) -> list[Scope]:
    return list({s.name: s for d in fleet.deployments for s in scopes_of(fleet, d)}.values())
