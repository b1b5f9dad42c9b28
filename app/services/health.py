"""The health monitor: who may be seated. Live traffic is proof enough; only a silent deployment is pinged."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from sqlalchemy import Engine

from app.core import pricing, prompts
from app.core.matrix import PUTS_OUT
from app.core.values import Answer, Deployment, FailureKind
from app.gates.breaker import Breaker
from app.gates.limits import Denied, Gates, Grant
from app.gates.pulse import Pulses
from app.ledger import history, journal, upkeep
from app.ledger.history import Checkup
from app.registry.fleet import Fleet, FleetFile
from app.registry.secrets import missing
from app.services.calls import Caller
from app.services.warming import Warmer, scopes_of
from app.wire import Heard, Unsent, Wire

log = structlog.get_logger(__name__)

_PING_SHARE_OF_DAY = 0.02
_PING_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Monitor:
    engine: Engine
    fleet: FleetFile
    gates: Gates
    breaker: Breaker
    pulses: Pulses
    wire: Wire
    warmer: Warmer
    every_s: float
    margin_s: float

    def check(self, *, everyone: bool = False) -> list[Checkup]:
        """Look at each deployment once and write down what was found. ``everyone``: ping also the proven ones.

        Pings are calls like any other: reserved at the gates, written in the ledger, and never more than 2 % of a
        day's quota. One that the gates would hold up is not made; the deployment keeps the state it had.
        """
        fleet = self.fleet.current()
        known = history.health(self.engine)
        proved = {} if everyone else history.proved(self.engine, self.every_s)
        out = {name for name, health in known.items() if health.state == "out"}
        pings = history.pings_today(self.engine)
        checkups: list[Checkup] = []
        silent: list[Deployment] = []
        for deployment in fleet.deployments:
            if deployment.name in proved and deployment.name not in out:
                checkups.append(Checkup(deployment.name, "healthy", latency_ms=proved[deployment.name]))
            elif _may_ping(deployment, pings.get(deployment.name, 0)):
                silent.append(deployment)
        self._write(checkups)
        for checkup in self._ping_all(fleet, silent):
            self._write([checkup])  # one by one: a provider that hangs holds up nobody else's seat
            checkups.append(checkup)
        return checkups

    def _write(self, checkups: Sequence[Checkup]) -> None:
        changes = history.write_health(self.engine, checkups)
        if any(now == "healthy" for _, _, now, _ in changes):
            upkeep.wake_parked(self.engine)
        for name, before, now, reason in changes:
            level = log.info if now == "healthy" else log.error
            level("health changed", action="health.change", deployment=name, before=before, now=now, reason=reason)

    def _ping_all(self, fleet: Fleet, deployments: Sequence[Deployment]) -> Iterator[Checkup]:
        self.warmer.warm_fleet(fleet)
        inbox: SimpleQueue[Any] = SimpleQueue()
        flying: dict[int, tuple[Deployment, Caller, Grant]] = {}
        for deployment in deployments:
            row = fleet.provider(deployment.provider)
            if without := missing([row]):
                yield Checkup(deployment.name, "out", f"no key: {without[row.name]}")
                continue
            request = prompts.ping(deployment)
            tokens = pricing.estimate_input_tokens(request.messages) + request.max_tokens
            asked_at = time.monotonic()
            grant = self.gates.reserve(scopes_of(fleet, deployment), 1, tokens, lease_s=_PING_TIMEOUT_S + self.margin_s)
            if isinstance(grant, Denied):
                log.info("no room for a ping", action="health.no_room", rule=grant.rule, wait_ms=grant.wait_ms)
                continue
            attempt_id = journal.open_ping(self.engine, deployment, tokens)
            caller = Caller(row, deployment)
            flying[attempt_id] = (deployment, caller, grant)
            timeout_s = min(deployment.timeout_s, _PING_TIMEOUT_S)
            not_after = asked_at + self.margin_s / 2
            self.wire.start([caller.outgoing(attempt_id, request, not_after=not_after, timeout_s=timeout_s)], inbox)
        until = time.monotonic() + _PING_TIMEOUT_S + 5
        while flying:
            try:
                attempt_id, heard = inbox.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            checkup = self._take_in(*flying.pop(attempt_id), attempt_id, heard)
            if checkup is not None:
                yield checkup

    def _take_in(
        self, deployment: Deployment, caller: Caller, grant: Grant, attempt_id: int, heard: Heard
    ) -> Checkup | None:
        result, name = heard.result, deployment.name
        journal.close(self.engine, journal.ping_parameters(caller.closing(attempt_id, heard)))
        if isinstance(result, Unsent):
            self.gates.give_back(grant, calls=1, tokens=grant.tokens)
            return None
        self.gates.true_up(grant, calls=1, reserved_tokens=grant.tokens, actual_tokens=result.usage.total)
        if isinstance(result, Answer):
            self.breaker.record(name, 1, 0)
            self.pulses.observe(name, "ping", calls=1, latency_ms_sum=heard.latency_ms, tokens_sum=result.usage.total)
            if "OK" in result.text.upper():
                return Checkup(name, "healthy", latency_ms=heard.latency_ms)
            return Checkup(name, "down", f"did not answer OK but {result.text[:60]!r}", heard.latency_ms)
        if result.kind in (FailureKind.RATE_LIMIT, FailureKind.QUOTA_EXHAUSTED):
            self.gates.hold(f"deployment:{name}", result.retry_after_s or 60.0)
            return Checkup(name, "healthy", f"{result.kind.value}: {result.message}")  # alive, only busy
        return Checkup(name, "out" if result.kind in PUTS_OUT else "down", f"{result.kind.value}: {result.message}")


def _may_ping(deployment: Deployment, pings_today: int) -> bool:
    daily = [limits.rpd for limits in (deployment.limits, deployment.provider_limits) if limits.rpd is not None]
    return not daily or pings_today < max(1, int(min(daily) * _PING_SHARE_OF_DAY))
