"""The drill book: what a drill does to the yard while it stands, and what it did when it is over."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine

from app.core.drills import Standing
from app.ledger import reports, routing
from app.ledger.routing import Items, Traffic
from app.services.fleetview import FleetView, Seen

_MOST_BEFORE_S = 60.0


@dataclass(frozen=True, slots=True)
class Change:
    """``what``: ``breaker`` or ``health`` of a deployment, ``at_s`` seconds after the drill began."""

    at_s: float
    deployment: str
    what: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Look:
    """So far: calls to what the drill aims at, those struck, and calls elsewhere; items since it began."""

    elapsed_s: float
    aimed: int
    struck: int
    elsewhere: int
    decided: int
    waiting: int
    changes: list[Change]
    """Since the last look."""


class DrillBook:
    """Opened just before the drill, which stands for ``for_s`` seconds. ``look`` about once a second.

    Warning: a breaker that opens and closes between two looks goes unseen.
    """

    def __init__(self, engine: Engine, view: FleetView, *, for_s: float) -> None:
        self._engine = engine
        self._view = view
        self._started = time.monotonic()
        self.started_at = reports.now(engine)
        self._before_from = self.started_at - dt.timedelta(seconds=min(for_s, _MOST_BEFORE_S))
        self._ended_at: dt.datetime | None = None
        self._items_before = routing.items(engine, self.started_at)
        self._states = _states(view.look())
        self._changes: list[Change] = []

    def look(self, standing: Standing) -> Look:
        now = reports.now(self._engine)
        found = routing.traffic(self._engine, self.started_at, now).values()
        items = self._items()
        return Look(
            elapsed_s=time.monotonic() - self._started,
            aimed=sum(t.calls for t in found if standing.aims_at(t.deployment)),
            struck=sum(t.struck for t in found),
            elsewhere=sum(t.calls for t in found if not standing.aims_at(t.deployment)),
            decided=items.decided,
            waiting=items.waiting,
            changes=self._changed(),
        )

    def over(self) -> None:
        """The drill has ended; what begins from now on came after it."""
        self._ended_at = reports.now(self._engine)

    def report(self, standing: Standing, ended_by: str) -> dict[str, Any]:
        """Everything as plain JSON values: what ``drill --json`` says."""
        now = reports.now(self._engine)
        ended_at = self._ended_at or now
        self._changed()
        spans = {
            "before": (self._before_from, self.started_at),
            "during": (self.started_at, ended_at),
            "after": (ended_at, now),
        }
        traffic = {name: routing.traffic(self._engine, *span) for name, span in spans.items()}
        seen = self._view.look()
        return {
            "drill": standing.drill.name,
            "target": standing.target,
            "share": standing.share,
            "started_at": self.started_at.isoformat(),
            "ended_by": ended_by,
            "spans_s": {name: round((until - since).total_seconds(), 1) for name, (since, until) in spans.items()},
            "deployments": [_row(s, standing, traffic) for s in seen],
            "stood_in": [
                {"for": lost, "by": other, "items": count}
                for lost, other, count in routing.stood_in(self._engine, self.started_at, now)
            ],
            "changes": [asdict(change) for change in self._changes],
            "items": asdict(self._items()),
        }

    def _items(self) -> Items:
        """Decisions since the drill began; what waits now."""
        now, before = routing.items(self._engine, self.started_at), self._items_before
        return Items(
            now.decided - before.decided, now.undecided - before.undecided, now.failed - before.failed, now.waiting
        )

    def _changed(self) -> list[Change]:
        states = _states(self._view.look())
        at_s = round(time.monotonic() - self._started, 1)
        found = [
            Change(at_s, *key, self._states.get(key, "unknown"), state)
            for key, state in states.items()
            if self._states.get(key) != state
        ]
        self._states = states
        self._changes += found
        return found


def _states(seen: list[Seen]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for s in seen:
        found[s.deployment.name, "breaker"] = s.breaker.state
        found[s.deployment.name, "health"] = s.health.state if s.health else "unknown"
    return found


def _row(seen: Seen, standing: Standing, traffic: dict[str, dict[str, Traffic]]) -> dict[str, Any]:
    name = seen.deployment.name
    spans = {span: found.get(name, Traffic(name)) for span, found in traffic.items()}
    return {
        "deployment": name,
        "provider": seen.deployment.provider,
        "aimed_at": standing.aims_at(name),
        **{span: {"calls": t.calls, "answered": t.answered, "failed": t.failed} for span, t in spans.items()},
        "struck": spans["during"].struck + spans["after"].struck,
        "breaker": seen.breaker.state,
        "health": seen.health.state if seen.health else "unknown",
        "held_s": round(max((usage.hold_ms for usage in seen.usage), default=0) / 1000, 1),
    }
