"""A bandit over recipes: Thompson sampling that forgets, explores a little for ever, and knows its own odds. Pure.

The reward of an item is 1 where its answer is right (accepted), less what it cost: ``COST_WEIGHT`` times its arm's mean
cost over the dearest arm's. So a right answer is worth ten times what the dearest arm takes for one, whatever the
prices are; a ratio of right answers to money would sell ten right answers for a cheap wrong one.

An arm's evidence fades by half in ``HALF_LIFE_DAYS``: models change behind their names. With ``FLOOR`` an arm is chosen
at random, so that every arm keeps a chance that off-policy estimates (``core.policies``) can divide by. For the rest
each arm has the share of ``DRAWS`` draws from the posteriors in which it was the best, and the arm is drawn by those
very shares: the propensity that is written down is exact, not an estimate of it.

Weakness: the unit of choice is a chunk, and rewards come late; until the first ones are in, the arms are nearly even.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HALF_LIFE_DAYS = 7.0
FLOOR = 0.1
DRAWS = 400
COST_WEIGHT = 0.1
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Arm:
    """What is known of an arm, faded: ``right`` and ``wrong`` items, ``cost``: mean micro-dollars of an item; None:
    unknown, and taken for as dear as the dearest."""

    right: float = 0.0
    wrong: float = 0.0
    cost: float | None = None

    @property
    def mean(self) -> float:
        """Of the posterior, from an even prior: Beta(1, 1)."""
        return (self.right + 1) / (self.right + self.wrong + 2)

    def to_json(self) -> list[float | None]:
        return [self.right, self.wrong, self.cost]

    @classmethod
    def faded(cls, right: float, wrong: float, cost: float | None) -> Arm:
        """Rounded, as it is written down: what is drawn from the written one is drawn again at a replay."""
        return cls(round(right, _DIGITS), round(wrong, _DIGITS), None if cost is None else round(cost, _DIGITS))


@dataclass(frozen=True, slots=True)
class Pick:
    """``propensities``: of every arm that might have been chosen, in their order; ``seed``: of the draws."""

    arm: str
    propensities: dict[str, float]
    seed: int
    known: dict[str, Arm]
    frozen: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "bandit",
            "arm": self.arm,
            "propensity": self.propensities[self.arm],
            "propensities": self.propensities,
            "seed": self.seed,
            "known": {name: arm.to_json() for name, arm in self.known.items()},
            **({"frozen": True} if self.frozen else {}),
        }


def pick(known: Mapping[str, Arm], seed: int, *, frozen: bool = False) -> Pick:
    """The arm for a chunk: a function of what is known and the seed. Frozen: the best so far, surely."""
    names = sorted(known)  # JSONB keeps its keys in an order of its own
    if frozen or len(names) == 1:
        best = max(names, key=lambda name: utility(known, name, known[name].mean))
        return Pick(best, {name: float(name == best) for name in names}, seed, dict(known), frozen)
    rng = random.Random(seed)
    shares = _shares(known, names, rng)
    arm = rng.choices(names, [shares[name] for name in names])[0]
    return Pick(arm, shares, seed, dict(known))


def again(written: Mapping[str, Any]) -> Pick:
    """The pick that a plan's ``choice`` tells of, made once more from what it was made of."""
    known = {name: Arm(*row) for name, row in written["known"].items()}
    return pick(known, written["seed"], frozen=written.get("frozen", False))


def utility(known: Mapping[str, Arm], name: str, accuracy: float) -> float:
    dearest = max((arm.cost for arm in known.values() if arm.cost is not None), default=0.0)
    cost = known[name].cost
    return accuracy - (COST_WEIGHT * (dearest if cost is None else cost) / dearest if dearest else 0.0)


def _shares(known: Mapping[str, Arm], names: Sequence[str], rng: random.Random) -> dict[str, float]:
    best = _wins(known, names, rng)
    even = FLOOR / len(names)
    return {name: round(even + (1 - FLOOR) * best[name] / DRAWS, 6) for name in names}


def _wins(known: Mapping[str, Arm], names: Sequence[str], rng: random.Random) -> dict[str, int]:
    wins = dict.fromkeys(names, 0)
    less = {name: utility(known, name, 0.0) for name in names}
    for _ in range(DRAWS):
        drawn = {n: rng.betavariate(known[n].right + 1, known[n].wrong + 1) + less[n] for n in names}
        wins[max(names, key=drawn.__getitem__)] += 1
    return wins
