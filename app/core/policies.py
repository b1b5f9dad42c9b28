"""Off-policy estimates: what each arm alone would have earned, from chunks whose arm a bandit chose. Pure.

All three weigh a chunk by one over the chance that its arm had (Horvitz and Thompson 1952). ``ips`` is unbiased and
wide; ``snips`` divides by the weights' own sum (Swaminathan and Joachims 2015): narrow, biased in small samples;
``dr`` adds the weighted surprise to a forecast (Dudik, Langford and Li 2011), which here is the arm's own mean over
the chunks before: never of what it forecasts, so that it stays unbiased while the bandit adapts. Intervals are normal
approximations over chunks (the unit of choice), at 95 %: with fewer than some thirty chunks of an arm take them as
a hint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_Z = 1.959964


@dataclass(frozen=True, slots=True)
class Logged:
    """One chunk: the ``arm`` it got, the chance each arm had, the sum of the ``reward`` of its ``items``."""

    arm: str
    propensities: dict[str, float]
    reward: float
    items: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Reward of an item, with its interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {key: round(value, 6) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Value:
    """What an arm alone would have earned an item. ``chunks``: that it really got; None: none, so nobody knows."""

    arm: str
    chunks: int
    ips: Estimate | None
    snips: Estimate | None
    dr: Estimate | None

    def to_json(self) -> dict[str, Any]:
        given = {"ips": self.ips, "snips": self.snips, "dr": self.dr}
        return {"arm": self.arm, "chunks": self.chunks, **{k: v.to_json() if v else None for k, v in given.items()}}


def value_of(arm: str, log: Sequence[Logged]) -> Value:
    """``log``: in the order in which the chunks were chosen; those in which the arm had no chance tell nothing."""
    usable = [chunk for chunk in log if chunk.items and chunk.propensities.get(arm, 0.0) > 0.0]
    got = sum(chunk.arm == arm for chunk in usable)
    if not got:
        return Value(arm, 0, None, None, None)
    mean_items = sum(chunk.items for chunk in usable) / len(usable)
    weights = [(c.arm == arm) / c.propensities[arm] for c in usable]
    sizes = [c.items / mean_items for c in usable]
    rewards = [c.reward / mean_items for c in usable]
    ips = [w * r for w, r in zip(weights, rewards, strict=True)]
    forecasts = _forecasts(arm, usable)
    dr = [f * size + w * (r - f * size) for f, w, r, size in zip(forecasts, weights, rewards, sizes, strict=True)]
    return Value(arm, got, _mean(ips), _ratio(ips, [w * s for w, s in zip(weights, sizes, strict=True)]), _mean(dr))


def _forecasts(arm: str, log: Sequence[Logged]) -> list[float]:
    """The arm's mean reward of an item before each chunk; a half before its first."""
    found, reward, items = [], 0.0, 0
    for chunk in log:
        found.append(reward / items if items else 0.5)
        if chunk.arm == arm:
            reward += chunk.reward
            items += chunk.items
    return found


def _mean(values: Sequence[float]) -> Estimate:
    n = len(values)
    mean = math.fsum(values) / n
    spread = math.fsum((value - mean) ** 2 for value in values) / max(n - 1, 1)
    return _around(mean, math.sqrt(spread / n))


def _ratio(values: Sequence[float], weights: Sequence[float]) -> Estimate:
    """The delta method's interval of a ratio of sums."""
    whole = math.fsum(weights)
    ratio = math.fsum(values) / whole
    spread = math.fsum((value - ratio * weight) ** 2 for value, weight in zip(values, weights, strict=True))
    return _around(ratio, math.sqrt(spread) / whole)


def _around(value: float, error: float) -> Estimate:
    return Estimate(value, value - _Z * error, value + _Z * error)
