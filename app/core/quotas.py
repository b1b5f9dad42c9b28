"""Daily and monthly quotas, planned over their day and month: the strong one's is kept for those that need it. Pure.

A strong model's free quota is soon gone when easy items take what is free first: by ten in the morning, say, and the
hard ones of the evening find nobody. So a quota that is scarce (what waits for it, and at the pace of the period so far
what will, is more than is left) is spread over its period as a line that says how much ought to be left at a time:

    of the limit, 70 % times the share of the period that is still to come     (the easy ones: an even pace)
             plus 30 % until the last sixth of the period, where it melts away  (kept for the hard ones)

and never less than the hard items that wait now will take. What is left above the line is spare: easy first voices may
have it. Below the line they pass the deployment by, where somebody else is free; below half of it late voices of easy
items do as well, or those of a large job would leave nothing. Hard items and what climbs a ladder never do. At the
reset the line is at nothing, so no quota is kept until it is worthless.

Only a strong deployment's quota is kept: one that at least half of the others are weaker than. Where demand fits into
what is left nothing is planned, and nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_KEPT = 0.3
_OPENING = 1 / 6
"""Share of the period before its end in which the kept part melts: the last four hours of a day."""
_STRONGER = 0.05
"""A smaller difference in quality is none: it is learned, and moves a little from day to day."""
_LATE = 0.5
"""Share of the line below which late voices of easy items pass by, too."""
_BY_PACE = 0.8
"""No more is kept than could still be called until the reset at this share of the deployment's pace."""
_EARLY = 1 / 24
"""Before this share of a period has passed, its pace so far says little: it is taken as if so much had."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Of one rule (``rpd``, ``tpd``, ``rpmo``, ``tpmo``), in calls; tokens at what a call takes. ``resets_s``: until it
    starts anew; ``period_s``: its day or month."""

    rule: str
    limit: float
    left: float
    resets_s: float
    period_s: float

    @property
    def ahead(self) -> float:
        """The share of the period that is still to come."""
        return min(1.0, max(0.0, self.resets_s / self.period_s))

    @property
    def expected(self) -> float:
        """Calls until the reset, at the pace of the period so far."""
        return (self.limit - self.left) / max(1 - self.ahead, _EARLY) * self.ahead

    def line(self, pace: float = math.inf) -> float:
        """Calls that ought to be left now. ``pace``: calls a second that are possible at all."""
        kept = (1 - _KEPT) * self.ahead + _KEPT * min(1.0, self.ahead / _OPENING)
        return min(self.limit * kept, pace * _BY_PACE * self.resets_s)


@dataclass(frozen=True, slots=True)
class Stock:
    """A deployment with its quotas. ``pace``: calls a second at most; ``queued``: calls waiting or under way."""

    deployment: str
    quality: float
    quotas: tuple[Quota, ...] = ()
    pace: float = math.inf
    queued: float = 0.0


@dataclass(frozen=True, slots=True)
class Demand:
    """Calls that items in the yard may want of a deployment: first voices of easy ones, their late ones, hard ones."""

    easy: float = 0.0
    late: float = 0.0
    hard: float = 0.0


@dataclass(frozen=True, slots=True)
class Ration:
    """What one quota of a deployment means for it now; of several the one that leaves least to spare.

    ``spare``: calls for easy first voices now, ``spare_late`` for their late ones; infinite where nothing is planned.
    ``kept``: calls that wait for hard items and late votes. ``per_hour``: calls an hour for easy first voices from now
    to the reset. ``why``: a sentence.
    """

    deployment: str
    quota: Quota
    demand: Demand
    spare: float
    spare_late: float
    kept: float
    per_hour: float
    why: str

    @property
    def planned(self) -> bool:
        return not math.isinf(self.spare)


def rations(stocks: Sequence[Stock], demand: Mapping[str, Demand]) -> list[Ration]:
    """For each of the stocks that has a quota what it may give to easy first voices, in their order."""
    return [
        min((_ration(stock, quota, demand, _strong(stock, stocks)) for quota in stock.quotas), key=lambda r: r.spare)
        for stock in stocks
        if stock.quotas
    ]


def _strong(stock: Stock, stocks: Sequence[Stock]) -> bool:
    others = [other for other in stocks if other.deployment != stock.deployment]
    weaker = sum(other.quality <= stock.quality - _STRONGER for other in others)
    return weaker > 0 and 2 * weaker >= len(others)


def _ration(stock: Stock, quota: Quota, demands: Mapping[str, Demand], strong: bool) -> Ration:
    demand = demands.get(stock.deployment, Demand())
    hours = max(quota.resets_s / 3600, 1e-9)
    left = max(0.0, quota.left - stock.queued)
    wanted = demand.easy + demand.late + demand.hard + quota.expected

    def free(why: str) -> Ration:
        return Ration(stock.deployment, quota, demand, math.inf, math.inf, 0.0, left / hours, why)

    if not strong:
        return free("not among the stronger half: whoever is free first takes it")
    if wanted <= left:
        return free(f"about {wanted:,.0f} calls are expected until the reset, and {left:,.0f} are left")
    line = quota.line(stock.pace)
    spare = left - min(left, max(line, demand.hard))
    spare_late = left - min(left, max(_LATE * line, demand.hard))
    # Of the line only the kept part is for hard items and late votes; the rest is for the easy ones of later hours.
    kept = min(left - spare, max(quota.limit * _KEPT * min(1.0, quota.ahead / _OPENING), demand.hard))
    until = "easy first voices pass it by" if spare < 1 else f"{spare:,.0f} of them for easy first voices now"
    why = f"about {wanted:,.0f} calls are expected until the reset, and {left:,.0f} are left: {until}"
    return Ration(stock.deployment, quota, demand, spare, spare_late, kept, (left - kept) / hours, why)
