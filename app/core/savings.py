"""What a job saved against a named baseline: measured on an audited slice, with an interval.

The slice is drawn at random before anybody has answered, and the baseline is really asked there, at its real price: its
mean cost an item, times the items, is what all of it would have cost. What was not measured is not claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any

LEAST_AUDITED = 10
"""Fewer say nothing of their own spread."""
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Saving:
    """Micro-dollars. ``cost``: of the whole job, the audit's own calls included. ``saved`` may be less than nothing."""

    baseline: str
    audited: int
    cost: int
    would_have_cost: float
    low: float
    high: float

    @property
    def saved(self) -> float:
        return self.would_have_cost - self.cost

    def to_json(self) -> dict[str, Any]:
        return {
            "baseline": self.baseline,
            "audited": self.audited,
            "confidence": _CONFIDENCE,
            "cost_usd": self.cost / 1e6,
            "would_have_cost_usd": self.would_have_cost / 1e6,
            "would_have_cost_interval_usd": [self.low / 1e6, self.high / 1e6],
            "saved_usd": self.saved / 1e6,
            "saved_interval_usd": [(self.low - self.cost) / 1e6, (self.high - self.cost) / 1e6],
        }


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """No saving is claimed, and why."""

    baseline: str
    why: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def saving(
    baseline: str, audited: Sequence[int | None], *, items: int, cost: int, unpriced: int
) -> Saving | Unmeasured:
    """``audited``: what the baseline took of each audited item, None at an unknown price; ``items``, ``cost``,
    ``unpriced``: the job's items that were asked, its cost, and its calls of unknown price.

    The interval is Student's, narrowed for a slice that is much of the whole (finite population correction).
    """
    costs = [micro for micro in audited if micro is not None]
    if unpriced or len(costs) < len(audited):
        return Unmeasured(baseline, "a price is unknown: nothing can be saved against it, nor said to have been")
    if len(costs) < LEAST_AUDITED:
        return Unmeasured(baseline, f"{len(costs)} items were audited, {LEAST_AUDITED} are the least")
    mean, n = fmean(costs), len(costs)
    error = stdev(costs) / math.sqrt(n) * math.sqrt(max(0.0, 1 - n / items))
    spread = _student(n - 1) * error * items
    whole = mean * items
    return Saving(baseline, n, cost, whole, max(0.0, whole - spread), whole + spread)


def _student(freedom: int) -> float:
    """The quantile of Student's t by the expansion of Cornish and Fisher; within 1 % from nine degrees up."""
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
