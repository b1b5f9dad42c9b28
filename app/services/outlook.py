"""What a job waits for: the fleet as it stands now, in the words of ``app.core.outlook``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine

from app.core.outlook import Outlook, Standing, outlook
from app.core.routing import Wanted
from app.core.selection import eligible
from app.gates.limits import ScopeUsage
from app.ledger import yard
from app.services.fleetview import FleetView, Seen

_RULES = {
    "rpm": "its requests of this minute are used up",
    "tpm": "its tokens of this minute are used up",
    "rph": "its requests of this hour are used up",
    "tph": "its tokens of this hour are used up",
    "rpd": "its requests of today are used up",
    "tpd": "its tokens of today are used up",
    "rpmo": "its requests of this month are used up",
    "tpmo": "its tokens of this month are used up",
    "concurrency": "as many calls as it takes at once are under way",
}
_DUE_S = 10.0
"""A look that is due has begun, or will in a moment."""
_WINDOW_S = 60.0
"""Of the retry budget: some of it is free again sooner, all of it by then."""
_QUOTAS = ("rpd", "tpd", "rpmo", "tpmo")


@dataclass(frozen=True, slots=True)
class Lookout:
    """Looks out for jobs. ``look_every_s``: of the health monitor."""

    engine: Engine
    view: FleetView
    look_every_s: float

    def of_job(self, job_id: str) -> Outlook | None:
        """What a running job with items left waits for; None where it moves, or nothing of it is left.

        Raises ``NotFound`` and ``ServiceMissing``.
        """
        waits = yard.waits(self.engine, job_id)
        if waits is None:
            return None
        wants = waits.terms.wanted(waits.recipe)
        now_ms = self.view.gates.now_ms()
        shut = outlook_of(self.view.look(), wants, now_ms=now_ms, look_every_s=self.look_every_s)
        return shut or self._retries()

    def _retries(self) -> Outlook | None:
        budget = self.view.gates.retry_budget()
        if budget.used < budget.allowed:
            return None
        why = f"the fleet's retries of this minute are used up ({budget.used} of {budget.allowed}); first calls go on"
        return Outlook((Standing("the retry budget", why, _WINDOW_S),))


def outlook_of(seen: Iterable[Seen], wanted: Wanted, *, now_ms: int, look_every_s: float) -> Outlook | None:
    """For a job that wants so; None while it moves. ``now_ms``: Redis's clock; ``look_every_s``: of the monitor."""
    return outlook(
        _beyond_wishes(s, wanted, look_every_s) or _standing(s, now_ms, look_every_s)
        for s in seen
        if eligible(s.deployment, wanted) is None
    )


def _beyond_wishes(seen: Seen, wanted: Wanted, look_every_s: float) -> Standing | None:
    """Who is too slow or too dear for the job by what was measured lately; both may have changed at the next look."""
    match eligible(seen.deployment, wanted, latency_ms=seen.latency_ms, cost_micro=seen.cost_micro):
        case "latency":
            limit = f"{wanted.routing.max_latency_ms:,} at most"
            why = f"a call to it takes about {seen.latency_ms:,.0f} ms, and the job wants {limit}"
        case "cost":
            limit = f"{(wanted.routing.max_call_micro or 0) / 1e6:g} at most"
            why = f"a call to it costs about ${(seen.cost_micro or 0) / 1e6:g} by now, and the job wants {limit}"
        case _:
            return None
    return Standing(seen.deployment.name, why, look_every_s)


def _standing(seen: Seen, now_ms: int, look_every_s: float) -> Standing:
    name, health = seen.deployment.name, seen.health
    if health is None:
        return Standing(name, "not checked yet", look_every_s)
    if not health.state.usable:
        age_s = (dt.datetime.now(dt.UTC) - health.checked_at).total_seconds()
        reason = f" ({health.reason})" if health.reason else ""
        return Standing(name, f"{health.state.value}{reason}; pinged again then", max(look_every_s - age_s, _DUE_S))
    shut = min((_shut(name, of_key) for of_key in seen.by_key), key=lambda s: s.opens_s)
    if seen.breaker.state == "open" and (open_s := (seen.breaker.until_ms - now_ms) / 1000) > shut.opens_s:
        return Standing(name, "its breaker is open", open_s)
    return shut


def _shut(name: str, usages: Iterable[ScopeUsage]) -> Standing:
    """Until the gates let a call through with one key."""
    waits = [Standing(name, "", 0.0)]
    for usage in usages:
        if usage.hold_ms > 0:
            waits.append(Standing(name, "the provider asked us to stay away", usage.hold_ms / 1000, sure=True))
        full = [rule for rule in usage.rules if rule.limit is not None and rule.used >= rule.limit]
        if usage.ready_s > 0 and full:
            last = max(full, key=lambda rule: rule.resets_ms)
            waits.append(Standing(name, _RULES[last.rule], usage.ready_s, sure=last.rule in _QUOTAS))
        elif usage.ready_s > 0 and usage.hold_ms <= 0:
            waits.append(Standing(name, "its limits leave no room", usage.ready_s))
    return max(waits, key=lambda s: s.opens_s)
