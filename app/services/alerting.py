"""Alerting: look at what was measured, write down what changed, and carry each notice to every sink.

A notice is written in the transaction of its change and sent after it, at least once: a process that dies between
sending and writing that down sends again, under the same id. What cannot be sent is tried again for a day.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from app.carriers.trouble import Trouble
from app.core import alerts as core
from app.core.alerts import Facts, Notice, Quota, Standing, Thresholds
from app.core.errors import ServiceMissing
from app.gates.limits import Gates
from app.ledger import alerts, health
from app.ledger.alerts import Waiting
from app.registry.fleet import FleetFile
from app.services.scopes import key_scopes
from app.sinks.letter import Letter, Sink

log = structlog.get_logger(__name__)

# Limits of a minute fill and empty all the time; these are gone until their day or month is over.
_SHORT_RULES = frozenset({"rpm", "tpm", "rph", "tph", "concurrency"})
_LEASE_S = 90.0
"""Longer than any sink takes for one letter."""
_MOST_AT_ONCE = 50
_FIRST_RETRY_S, _LONGEST_RETRY_S = 5.0, 3600.0


@dataclass(frozen=True, slots=True)
class Delivered:
    sent: int = 0
    failed: int = 0
    given_up: int = 0


@dataclass(slots=True)
class Alerting:
    engine: Engine
    fleet: FleetFile
    gates: Gates
    thresholds: Thresholds
    sinks: Sequence[Sink]
    window_s: float = core.WINDOW_S
    """What rates, latency and quality are measured over."""

    def look(self) -> list[Notice]:
        """Measure, and write down what changed. Nothing where another process is looking just now."""
        quotas, blind = self._quotas()
        standings = self._standings()
        with alerts.looking(self.engine) as connection:
            if connection is None:
                return []
            facts = Facts(
                calls=alerts.calls(connection, self.window_s),
                fallback=alerts.fallback(connection, self.window_s),
                costs=alerts.costs(connection, self.window_s),
                qualities=alerts.qualities(connection, self.window_s),
                health=standings,
                keys=alerts.refused_keys(connection, [row.name for row in self.fleet.current().providers]),
                quotas=quotas,
                blind=blind,
                idle_s=alerts.idle_s(connection, self.window_s),
                drifts=alerts.drifts(connection),
            )
            found = core.conditions(facts, self.thresholds)
            notices = core.changes(alerts.firing_keys(connection), found, core.unmeasured(facts))
            alerts.write(connection, notices, [sink.name for sink in self.sinks])
        return notices

    def deliver(self) -> Delivered:
        """Send what is due. A sink in trouble is left alone until the next time."""
        sent = failed = 0
        for sink in self.sinks:
            for _ in range(_MOST_AT_ONCE):
                waiting = alerts.claim(self.engine, sink.name, _LEASE_S)
                if waiting is None:
                    break
                trouble = sink.send(_letter(waiting))
                if trouble is not None:
                    self._again(sink, waiting, trouble)
                    failed += 1
                    break
                alerts.sent(self.engine, waiting.id)
                sent += 1
        gone = alerts.give_up(self.engine)
        for notice_id, sink_name, name, subject, error in gone:
            _say_given_up(notice_id, sink_name, name, subject, error)
        return Delivered(sent, failed, len(gone))

    def _again(self, sink: Sink, waiting: Waiting, trouble: Trouble) -> None:
        again_s = retry_in_s(waiting.tries, random.random())
        if trouble.retry_after_s is not None:
            again_s = max(again_s, trouble.retry_after_s)
        alerts.failed(self.engine, waiting.id, trouble.said, None if trouble.final else again_s)
        if trouble.final:
            _say_given_up(waiting.id, sink.name, waiting.notice.name, waiting.notice.subject, trouble.said)
            return
        log.warning(
            "a notice was not taken; it is tried again",
            action="alert.retry",
            notice=waiting.id,
            sink=sink.name,
            error=trouble.said,
            tries=waiting.tries,
            again_s=round(again_s),
        )

    def _standings(self) -> tuple[Standing, ...]:
        known = health.current(self.engine)
        names = [d.name for d in self.fleet.current().deployments]
        return tuple(Standing(name, known[name].state, known[name].reason) for name in names if name in known)

    def _quotas(self) -> tuple[tuple[Quota, ...], bool]:
        """The longer limits of all warm scopes, and whether there are others: what a cold gate says is not to be
        trusted."""
        fleet = self.fleet.current()
        scopes = {s.name: s for d in fleet.deployments for of_key in key_scopes(fleet, d) for s in of_key}
        try:
            usage = self.gates.usage_many(list(scopes.values())).values()
        except ServiceMissing:
            return (), True
        quotas = tuple(
            Quota(scope.name, rule.rule, rule.used, rule.limit)
            for scope in usage
            if scope.warm
            for rule in scope.rules
            if rule.limit is not None and rule.rule not in _SHORT_RULES
        )
        return quotas, not all(scope.warm for scope in usage)


def test(sinks: Sequence[Sink]) -> list[tuple[Sink, Trouble | None]]:
    """A notice to each sink, now; nothing of it is written down."""
    at = dt.datetime.now(dt.UTC)
    notice = Notice("test", "switchyard", True, None, None, "this is a test; nothing is wrong")
    letter = Letter(f"alert-test-{at:%Y%m%dT%H%M%S%f}", at, notice)
    return [(sink, sink.send(letter)) for sink in sinks]


def retry_in_s(tries: int, luck: float) -> float:
    """After so many tries: from 5 s, threefold each time, an hour at most; half of it left to ``luck`` (0 to 1)."""
    return float(min(_FIRST_RETRY_S * 3 ** min(tries - 1, 10), _LONGEST_RETRY_S) * (0.5 + luck / 2))


def _letter(waiting: Waiting) -> Letter:
    # With the moment, so that two yards that write to one receiver do not share ids.
    return Letter(
        f"alert-{waiting.id}-{int(waiting.created_at.timestamp() * 1000)}", waiting.created_at, waiting.notice
    )


def _say_given_up(notice_id: int, sink: str, name: str, subject: str, error: str) -> None:
    log.error(
        "a notice was never taken and is given up",
        action="alert.given_up",
        notice=notice_id,
        sink=sink,
        alert=name,
        subject=subject,
        error=error,
    )
