"""Experiments: two recipes on one job, compared while it runs. Pure.

The intervals are always valid (Robbins' mixture in the form of Johari, Pekelis and Walsh 2017, "Peeking at A/B tests",
arXiv:1512.04922, the mixture sequential probability ratio test): they hold at all looks at once, so a look costs
nothing and may come at any time. The normal approximation behind them asks for ``LEAST`` items an arm.

What decides is accuracy: by the true labels, or by what was said of the answers afterwards (outcomes). Where nothing
is known of the truth nothing is decided: agreement is no judge between strategies, a single voice always agrees with
itself. An arm wins where the interval of the difference of accuracies leaves zero out; where it lies within
``EQUAL`` both ways and one is surely cheaper, the cheaper wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from app.core.choices import FIRST, SECOND

ALPHA = 0.05
LEAST = 50
"""Judged items that each arm has before anything is decided."""
EQUAL = 0.02
_EXPECTED = {"accuracy": 0.05, "agreement": 0.05}
"""Differences of about this size are found soonest: the mixture's standard deviation. Any is valid."""
_RELATIVE = 0.2
"""Likewise for cost and calls, as a share of their mean."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one quantity in one arm: how many items have it, their sum, their sum of squares."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.total / self.n if self.n else None

    def variance_of_mean(self) -> float:
        """With half an item of either extreme added where it is a share: no arm is certain after a few items."""
        mean = self.total / self.n
        spread = max(self.squares / self.n - mean * mean, 0.0)
        if 0 <= self.total <= self.n and self.squares == self.total:
            share = (self.total + 1) / (self.n + 2)
            spread = max(spread, share * (1 - share))
        return spread / self.n


@dataclass(frozen=True, slots=True)
class Arm:
    """``judged``: right or wrong, where that is known. ``cost``: micro-dollars, where it is known."""

    items: int
    judged: Sums
    agreement: Sums
    cost: Sums
    calls: Sums


@dataclass(frozen=True, slots=True)
class Difference:
    """The second arm less the first, with its interval at ``1 - ALPHA`` for all looks at once; None: not known."""

    first: float | None
    second: float | None
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first

    @property
    def settled(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def to_json(self) -> dict[str, Any]:
        return {key: None if value is None else round(value, 6) for key, value in self._fields().items()}

    def _fields(self) -> dict[str, float | None]:
        return {"a": self.first, "b": self.second, "difference": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Report:
    arms: dict[str, Arm]
    accuracy: Difference
    agreement: Difference
    cost: Difference
    calls: Difference
    winner: str | None
    why: str


def compare(first: Arm, second: Arm) -> Report:
    accuracy = difference(first.judged, second.judged, _EXPECTED["accuracy"])
    agreement = difference(first.agreement, second.agreement, _EXPECTED["agreement"])
    cost = difference(first.cost, second.cost, _typical(first.cost, second.cost))
    calls = difference(first.calls, second.calls, _typical(first.calls, second.calls))
    winner, why = _winner(first, second, accuracy, cost)
    return Report({FIRST: first, SECOND: second}, accuracy, agreement, cost, calls, winner, why)


def difference(first: Sums, second: Sums, expected: float) -> Difference:
    """The always-valid interval: |estimate - truth| stays within ``width`` at all looks, but for a chance of ALPHA.

    With V the variance of the estimate and T that of the mixture, the likelihood ratio against a difference d is
    sqrt(V / (V + T)) exp(T (estimate - d)^2 / (2 V (V + T))); the interval is where it is below 1 / ALPHA.
    """
    if min(first.n, second.n) < LEAST or expected <= 0:
        return Difference(first.mean, second.mean)
    variance = first.variance_of_mean() + second.variance_of_mean()
    assert first.mean is not None and second.mean is not None
    value = second.mean - first.mean
    if variance == 0:
        return Difference(first.mean, second.mean, value, value)
    mixture = expected * expected
    width = math.sqrt(
        2 * variance * (variance + mixture) / mixture * (math.log(1 / ALPHA) + math.log1p(mixture / variance) / 2)
    )
    return Difference(first.mean, second.mean, value - width, value + width)


def _winner(first: Arm, second: Arm, accuracy: Difference, cost: Difference) -> tuple[str | None, str]:
    if min(first.judged.n, second.judged.n) < LEAST:
        return None, (
            f"not decided: {first.judged.n} and {second.judged.n} items have a true label or an outcome, "
            f"each arm needs {LEAST}"
        )
    assert accuracy.low is not None and accuracy.high is not None
    if accuracy.settled:
        winner = SECOND if accuracy.low > 0 else FIRST
        return winner, f"arm {winner} is more accurate"
    if accuracy.low >= -EQUAL and accuracy.high <= EQUAL and cost.settled and cost.high is not None:
        winner = SECOND if cost.high < 0 else FIRST
        return winner, f"both are equally accurate within {EQUAL:.0%}, and arm {winner} is cheaper"
    return None, "not decided: the difference may yet be either way"


def _typical(first: Sums, second: Sums) -> float:
    n = first.n + second.n
    return _RELATIVE * (first.total + second.total) / n if n else 0.0
