"""Opening cold gates with what the ledger knows, after Redis was lost (and once at the very first start)."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from typing import cast

from sqlalchemy import Engine

from app.gates.day import day_of, month_of
from app.gates.limits import Gates, Known, Rule, Scope
from app.gates.terms import RULES
from app.ledger import history, learned
from app.registry.fleet import Fleet
from app.services.scopes import key_scopes

_WINDOW_S = 60.0
_HOUR_S = 3600.0


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
                # What was learned first: no call is to go out under the limits of the file in between.
                for limit in learned.in_force(self._engine, name):
                    self._gates.learn(name, cast(Rule, limit.rule), limit.value, limit.for_s)
                self._gates.warm(by_name[name], self._known(by_name[name], timeout_s))

    def warm_fleet(self, fleet: Fleet) -> None:
        """Open whatever is cold of the whole fleet, with one wait for all."""
        scopes = {s.name: s for d in fleet.deployments for of_key in key_scopes(fleet, d) for s in of_key}
        cold = [name for name, usage in self._gates.usage_many(list(scopes.values())).items() if not usage.warm]
        if cold:
            slowest_s = max(d.timeout_s for d in fleet.deployments)
            self.warm(cold, list(scopes.values()), int(self._margin_s * 1000), slowest_s)

    def _known(self, scope: Scope, timeout_s: float) -> Known:
        now_ms = self._gates.now_ms()
        limited = self._limited(scope)
        past = history.past(
            self._engine,
            name=scope.subject,
            deployment=scope.kind == "deployment",
            day_start=_moment(day_of(scope.zone, now_ms).start_ms),
            window_s=_WINDOW_S + self._margin_s,
            hour_s=_HOUR_S + self._margin_s if limited & {"rph", "tph"} else 0.0,
            month_start=_moment(month_of(scope.zone, now_ms).start_ms) if limited & {"rpmo", "tpmo"} else None,
            key_ref=scope.key_ref,
        )
        now_ms = self._gates.now_ms()

        def dated(calls: Iterable[tuple[float, int, int]]) -> tuple[tuple[int, int, int], ...]:
            return tuple(sorted((now_ms - int(age * 1000), n, tokens) for age, n, tokens in calls))

        return Known(
            window=dated(past.recent),
            day_calls=past.day[0],
            day_tokens=past.day[1],
            in_flight=tuple(
                (now_ms + int((timeout_s + self._margin_s - age) * 1000), calls)
                for age, calls in past.flying
                if age < timeout_s + self._margin_s
            ),
            hour=dated(past.hour) if limited & {"rph", "tph"} else None,
            month=past.month if limited & {"rpmo", "tpmo"} else None,
        )

    def _limited(self, scope: Scope) -> set[str]:
        """The rules that limit a scope, by the fleet file or by what was learned."""
        now_ms = self._gates.now_ms()
        lessons = {rule for rule, lesson in self._gates.lessons(scope.name).items() if lesson.until_ms > now_ms}
        return lessons | {rule for rule in RULES if getattr(scope.limits, rule) is not None}


def _moment(at_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
