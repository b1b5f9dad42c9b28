"""Who votes as somebody else does: errors that coincide beyond chance, measured from votes.

Two models may be right together for being good. What tells clones is to be wrong together, with the same wrong answer.
Of the questions that either got wrong, ``kinship`` is the share on which both gave the same wrong answer, less what
independent voters as often wrong as they would have: 0 strangers, 1 the same voice twice. Models are naturally somewhat
kin (the hard questions are hard for all), so only what is close to 1 with enough questions makes a clone.

What is right comes from gold and outcomes, else from what at least two *other* voters make almost sure: two clones of
which one word is the majority would else confirm each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from app.core.accuracy import wilson
from app.core.dawid_skene import OPEN_ANSWERS, Question

LEAST_ERRORS = 12
"""Questions that either got wrong, before two are called clones."""
CLONE = 0.6
"""Kinship whose lower bound makes a clone."""
_SURE = 0.9
_OTHERS = 2

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Kin:
    """Two voters, in the order of their names. ``n``: questions both answered and whose truth stands; ``first_wrong``,
    ``second_wrong``: of those, each alone; ``either``: at least one of them; ``same``: both, with the same answer."""

    first: str
    second: str
    n: int
    first_wrong: int
    second_wrong: int
    either: int
    same: int
    labels: int = 2

    @property
    def _by_chance(self) -> float:
        """The share of ``either`` that would be ``same``, were they independent."""
        one, two = self.first_wrong / max(self.n, 1), self.second_wrong / max(self.n, 1)
        either = one + two - one * two
        return one * two / max(self.labels - 1, 1) / either if either else 0.0

    def _beyond(self, share: float) -> float:
        chance = self._by_chance
        return max(0.0, (share - chance) / (1 - chance)) if chance < 1 else 0.0

    @property
    def kinship(self) -> float:
        return self._beyond(self.same / self.either) if self.either else 0.0

    @property
    def low(self) -> float:
        """The lower end of its 95 % interval."""
        return self._beyond(wilson(self.same, self.either)[0])

    @property
    def clones(self) -> bool:
        return self.either >= LEAST_ERRORS and self.low >= CLONE


def measure(questions: Iterable[Question], accuracy: Mapping[str, float], labels: int = OPEN_ANSWERS) -> list[Kin]:
    """The pairs that have answered anything together, by name. ``accuracy``: of each voter, as far as it is believed;
    ``labels``: how many there are."""
    odds = {voter: _log_odds(share, labels) for voter, share in accuracy.items()}
    seen: dict[tuple[str, str], list[int]] = {}
    for question in questions:
        votes = question.votes
        scores: dict[str, float] = {}
        for voter, label in votes.items():
            scores[label] = scores.get(label, 0.0) + odds.get(voter, 0.0)
        for pair in combinations(sorted(votes), 2):
            first, second = votes[pair[0]], votes[pair[1]]
            truth = question.truth
            if truth is None:
                others = [label for voter, label in votes.items() if voter not in pair]
                truth = _sure(scores, [(v, votes[v]) for v in pair], others, odds, labels)
            if truth is None:
                continue
            counts = seen.setdefault(pair, [0, 0, 0, 0, 0])
            one, two = first != truth, second != truth
            for place, true in enumerate((True, one, two, one or two, one and two and first == second)):
                counts[place] += true
    return [
        Kin(first, second, n, one, two, either, same, labels)
        for (first, second), (n, one, two, either, same) in sorted(seen.items())
    ]


def _log_odds(share: float, labels: int) -> float:
    kept = min(max(share, 0.02), 0.98)
    return math.log(kept / (1 - kept) * max(labels - 1, 1))


def _sure(
    scores: Mapping[str, float],
    pair: Iterable[tuple[str, str]],
    others: Sequence[str],
    odds: Mapping[str, float],
    labels: int,
) -> str | None:
    """What the others make almost sure; None where they are too few, or do not."""
    if len(others) < _OTHERS:
        return None
    left = dict(scores)
    for voter, label in pair:
        left[label] -= odds.get(voter, 0.0)
    best = max(set(others), key=lambda label: (left[label], label))
    top = left[best]
    total = sum(math.exp(score - top) for score in left.values()) + max(0, labels - len(left)) * math.exp(-top)
    return best if 1 / total >= _SURE else None


def one_voice(families: Mapping[str, str], clones: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Deployment → family, where those of clones are made one: the first of them by name."""
    found: dict[str, str] = {}

    def root(family: str) -> str:
        while found.get(family, family) != family:
            family = found[family]
        return family

    for first, second in clones:
        if first in families and second in families:
            low, high = sorted((root(families[first]), root(families[second])))
            found[high] = low
    return {deployment: root(family) for deployment, family in families.items()}


def diverse(ordered: Sequence[_T], equals: Callable[[_T, _T], bool], kinship: Callable[[_T, _T], float]) -> list[_T]:
    """The same ones, where of ``equals`` of the next in order the one that is least kin to those before it goes first.

    Nobody is passed by for one that is no equal: what is soonest free, or best, stays so.
    """
    left = list(ordered)
    chosen: list[_T] = []
    while left:
        level = [one for one in left if equals(left[0], one)]
        nearest = [max((kinship(one, before) for before in chosen), default=0.0) for one in level]
        pick = level[min(range(len(level)), key=lambda at: (round(nearest[at], 3), at))]
        chosen.append(pick)
        left.remove(pick)
    return chosen
