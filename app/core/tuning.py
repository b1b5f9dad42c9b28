"""Which recipe would have served a job best: a search over the votes it bought, and the frontier of cost and accuracy.

Recipes are found on one part of the items and judged on the other, split by a hash of their ids, so that what is told
of a recipe is not what it was chosen for. Every candidate names its models, best first by their accuracy on the first
part; a candidate that wants votes nobody bought is left out.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.core import weights
from app.core.recipe import MAX_COUNCIL, Recipe, parse
from app.core.weights import Question
from app.core.whatif import Case, Player, Score, score

LEAST_CASES = 20
"""Fewer items with a known truth tell recipes apart by luck."""
_LEAST_SEEN = 0.9
"""Of the items that a model must have voted on: a recipe cannot be judged by votes that are not there."""
_STRONG, _CHEAP = 3, 5
_THRESHOLDS = (0.8, 0.9, 0.99, 1)
_LEAST_WEIGHT = 0.05
"""In nats: a voice that weighs less turns no decision that a fit of some hundred questions could vouch for."""


@dataclass(frozen=True, slots=True)
class Found:
    """One candidate: how it did where it was found, and on what was held out."""

    recipe: str
    found: Score
    held_out: Score
    frontier: bool = False
    best: bool = False


@dataclass(frozen=True, slots=True)
class Tuned:
    """``by_cost``: the frontier is of cost in money; otherwise (a price is unknown, or all are free) of calls."""

    candidates: tuple[Found, ...]
    by_cost: bool
    cases: int
    held_out: int
    models: tuple[tuple[str, float], ...]
    """With their accuracy where the recipes were found, best first."""

    @property
    def best(self) -> Found:
        return next(c for c in self.candidates if c.best)

    @property
    def frontier(self) -> list[Found]:
        return [c for c in self.candidates if c.frontier]


@dataclass(frozen=True, slots=True)
class Search:
    """``player``: makes the player of a recipe; None where its models never sat there. ``share``: of the items on which
    recipes are found."""

    player: Callable[[Recipe], Player | None]
    share: float = 0.5

    def run(self, cases: Sequence[Case]) -> Tuned:
        """Raises ``ValueError`` where too little is known to tell recipes apart."""
        known = [case for case in cases if case.truth is not None]
        if len(known) < LEAST_CASES:
            raise ValueError(f"{len(known)} items have a known answer, {LEAST_CASES} are the least")
        first = [case for case in known if part(case.custom_id) < self.share]
        other = [case for case in known if part(case.custom_id) >= self.share]
        if not first or not other:
            raise ValueError("the split leaves nothing on one of its sides")
        ranked = ranking(first)
        if not ranked:
            raise ValueError("no model has voted on most of the items")
        found = []
        for recipe in candidates([name for name, _ in ranked], first):
            player = self.player(recipe)
            if player is None:
                continue
            here, there = score(str(recipe), player, first), score(str(recipe), player, other)
            if here.cases and there.cases and not here.unknown and not there.unknown:
                found.append(Found(str(recipe), here, there))
        if not found:
            raise ValueError("no recipe could be judged by the votes that were bought")
        by_cost = any(c.found.cost_micro for c in found) and all(c.found.cost_micro is not None for c in found)
        marked = _marked(found, by_cost)
        return Tuned(tuple(marked), by_cost, len(first), len(other), tuple(ranked))


def ranking(cases: Sequence[Case]) -> list[tuple[str, float]]:
    """The models that voted on nearly all items, with the share they had right; best first."""
    seen: dict[str, int] = {}
    right: dict[str, int] = {}
    for case in cases:
        for name, said in case.bought.items():
            seen[name] = seen.get(name, 0) + 1
            right[name] = right.get(name, 0) + (said.answer == case.truth)
    often = [(name, right[name] / len(cases)) for name in seen if seen[name] >= _LEAST_SEEN * len(cases)]
    return sorted(often, key=lambda pair: (-pair[1], pair[0]))


def candidates(models: Sequence[str], cases: Sequence[Case]) -> Iterator[Recipe]:
    """Recipes over these models, best first: every one alone, councils of the best so many, ladders with the strongest
    at their top. The weights of a council are fitted to the cases, for all its voices together."""
    for name in models:
        yield parse(f"single-query(models={name})")
    for size in range(2, min(len(models), MAX_COUNCIL) + 1):
        council = "+".join(models[:size])
        if size % 2:
            yield parse(f"majority-vote(council={size}, models={council})")
        if size > 2:
            yield parse(f"first-ahead(council={size}, ahead=2, models={council})")
    yield from _weighed(models, cases)
    for strong in models[:_STRONG]:
        others = [name for name in models if name != strong][:_CHEAP]
        for pair in itertools.combinations(others, 2):
            yield parse(f"cheap-first(check=agreement, models={'+'.join((*pair, strong))})")


def _weighed(models: Sequence[str], cases: Sequence[Case]) -> Iterator[Recipe]:
    """Councils with weights of their own; who would weigh next to nothing is not asked."""
    questions = [Question(_votes(case), case.truth) for case in cases if case.truth is not None]
    councils: set[str] = set()
    for size in range(3, min(len(models), MAX_COUNCIL) + 1):
        fitted = weights.fit(questions, models[:size])
        heard = [(name, weight) for name, weight in fitted.items() if weight >= _LEAST_WEIGHT]
        names = "+".join(name for name, _ in heard)
        told = "+".join(f"{weight:.2f}" for _, weight in heard)
        if len(heard) > 1 and names not in councils:
            councils.add(names)
            for threshold in _THRESHOLDS:
                yield parse(
                    f"weighted-vote(council={len(heard)}, threshold={threshold}, models={names}, weights={told})"
                )


def _marked(found: Sequence[Found], by_cost: bool) -> list[Found]:
    """The candidates, cheapest first, with the frontier and the best marked."""

    def price(candidate: Found) -> float:
        at = candidate.found
        return at.cost_micro or 0.0 if by_cost else at.calls

    best = _best(found, price)
    marked = []
    top = -1.0
    for candidate in sorted(found, key=lambda c: (price(c), -_accuracy(c.found), c.recipe)):
        ahead = _accuracy(candidate.found) > top
        top = max(top, _accuracy(candidate.found))
        marked.append(Found(candidate.recipe, candidate.found, candidate.held_out, ahead, candidate.recipe == best))
    return marked


def _best(found: Sequence[Found], price: Callable[[Found], float]) -> str:
    """The most accurate where it was found; but of those that are ahead of the widest weighted council by less than a
    standard error that council is taken, or a weighted one that is as accurate and cheaper. It holds the others as
    special cases, and dozens of candidates that differ by luck alone have a luckiest."""
    most = max(found, key=lambda c: (_accuracy(c.found), -price(c), c.recipe))
    weighted = [c for c in found if c.recipe.startswith("weighted-vote")]
    if weighted:
        widest = max(weighted, key=lambda c: (parse(c.recipe).council, parse(c.recipe).threshold))
        share = _accuracy(most.found)
        error = math.sqrt(share * (1 - share) / most.found.with_truth)
        if _accuracy(widest.found) >= share - error:
            as_good = [c for c in weighted if _accuracy(c.found) >= _accuracy(widest.found)]
            return min(as_good, key=lambda c: (price(c), c.recipe)).recipe
    return most.recipe


def _accuracy(at: Score) -> float:
    return at.accuracy or 0.0


def _votes(case: Case) -> dict[str, str]:
    return {name: said.answer for name, said in case.bought.items() if said.answer is not None}


def part(custom_id: str) -> float:
    """Where an item stands between 0 and 1, always in the same place."""
    return int.from_bytes(hashlib.blake2b(custom_id.encode(), digest_size=8).digest()) / 2**64
