"""Opening cold gates with what the ledger knows, after Redis was lost (and once at the very first start)."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from app.core.values import Deployment
from app.gates.limits import Gates, Known, Scope
from app.ledger import history
from app.registry.fleet import Fleet

_WINDOW_S = 60.0
UNNAMED_CONCURRENCY = 64
"""Calls at once for a provider that names no limit of its own: nobody is to be flooded."""


def capacity(deployment: Deployment) -> int:
    """Calls that it may have in flight at full load: the least concurrency that is named, else our own bound."""
    named = (deployment.limits.concurrency, deployment.provider_limits.concurrency)
    return min((limit for limit in named if limit is not None), default=UNNAMED_CONCURRENCY)


def scopes_of(fleet: Fleet, deployment: Deployment) -> tuple[Scope, ...]:
    """The scopes a call to this deployment counts in: its own, and its provider's."""
    zone = fleet.provider(deployment.provider).quota_reset
    account = deployment.provider_limits
    if account.concurrency is None and deployment.limits.concurrency is None:
        account = replace(account, concurrency=UNNAMED_CONCURRENCY)
    return (
        Scope(f"provider:{deployment.provider}", account, zone),
        Scope(f"deployment:{deployment.name}", deployment.limits, zone),
    )


class Warmer:
    """``margin_s`` as the gates': calls that were granted before the loss have left by then or never will."""

    def __init__(self, engine: Engine, gates: Gates, margin_s: float) -> None:
        self._engine = engine
        self._gates = gates
        self._margin_s = margin_s

    def warm(self, cold: Sequence[str], scopes: Sequence[Scope], wait_ms: int, timeout_s: float) -> None:
        """Open what is named in ``cold`` (scopes, or ``job:<id>``). Harmless if another process was first."""
        # Not a wait for an event: calls granted by the Redis that was lost may still be on their way into the
        # ledger, and nobody can say when the last of them is. After this long they are all in it or were given up.
        time.sleep(wait_ms / 1000)
        by_name = {scope.name: scope for scope in scopes}
        for name in cold:
            kind, _, rest = name.partition(":")
            if kind == "job":
                self._gates.warm_money(rest, history.spent_micro(self._engine, rest))
            else:
                self._gates.warm(by_name[name], self._known(by_name[name], timeout_s))

    def warm_fleet(self, fleet: Fleet) -> None:
        """Open whatever is cold of the whole fleet, with one wait for all."""
        scopes = {s.name: s for d in fleet.deployments for s in scopes_of(fleet, d)}
        cold = [name for name, usage in self._gates.usage_many(list(scopes.values())).items() if not usage.warm]
        if cold:
            slowest_s = max(d.timeout_s for d in fleet.deployments)
            self.warm(cold, list(scopes.values()), int(self._margin_s * 1000), slowest_s)

    def _known(self, scope: Scope, timeout_s: float) -> Known:
        kind, _, name = scope.name.partition(":")
        today = dt.datetime.now(ZoneInfo(scope.zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        past = history.past(
            self._engine,
            name=name,
            deployment=kind == "deployment",
            day_start=today,
            window_s=_WINDOW_S + self._margin_s,
        )
        now_ms = self._gates.now_ms()
        return Known(
            window=tuple(sorted((now_ms - int(age * 1000), calls, tokens) for age, calls, tokens in past.recent)),
            day_calls=past.day_calls,
            day_tokens=past.day_tokens,
            in_flight=tuple(
                (now_ms + int((timeout_s + self._margin_s - age) * 1000), calls)
                for age, calls in past.flying
                if age < timeout_s + self._margin_s
            ),
        )
