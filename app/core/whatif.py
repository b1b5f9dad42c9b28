"""What another recipe would have said to the votes that were bought: without a call, and without a guess.

The recipe is played from an empty table and hears only the seats it asks; where it asks one whose vote was never
bought, what it would have said is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.core.accuracy import wilson
from app.core.ballots import Ask, Ballot, Status, Verdict
from app.core.plan import VOICE, Plan
from app.core.strategies import decide
from app.core.values import FailureKind


@dataclass(frozen=True, slots=True)
class Bought:
    """What one deployment said of one item, as a voice, and what that took. ``cost_micro``: None where unknown."""

    answer: str | None
    failure: FailureKind | None = None
    tries: int = 1
    flags: tuple[str, ...] = ()
    calls: float = 1.0
    cost_micro: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """One item with everything bought for it, by deployment. ``truth``: its true answer, where one is known."""

    custom_id: str
    bought: Mapping[str, Bought]
    truth: str | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """A verdict that never was, and what it would have taken. ``cost_micro``: None where a cost is unknown."""

    verdict: Verdict
    asked: tuple[str, ...]
    calls: float
    cost_micro: float | None


class Player:
    """Plays one plan over many cases. ``equal``: only whether answers are equal matters to the strategy, so that cases
    alike but for the labels' names share their moves."""

    def __init__(self, plan: Plan, *, equal: bool) -> None:
        self._plan = plan
        self._equal = equal and not any(set(of) - {""} for of in (plan.skills or {}).values())
        self._moves: dict[tuple[object, ...], Verdict | frozenset[Ask]] = {}

    def play(self, case: Case) -> Played | None:
        """None: it asks for a vote that was never bought."""
        heard: list[Ballot] = []
        while not isinstance(move := self._decide(heard), Verdict):
            seats = sorted(ask.seat for ask in move)
            for index in seats:
                seat = self._plan.seats[index]
                said = case.bought.get(seat.deployment) if seat.role in _AS_A_VOICE else None
                if said is None:
                    return None
                heard.append(Ballot(index, said.answer, said.failure, tries=said.tries, flags=said.flags))
        asked = tuple(self._plan.seats[ballot.seat].deployment for ballot in heard)
        costs = [case.bought[name].cost_micro for name in asked]
        cost = None if any(c is None for c in costs) else sum(c for c in costs if c is not None)
        return Played(move, asked, sum(case.bought[name].calls for name in asked), cost)

    def _decide(self, heard: Sequence[Ballot]) -> Verdict | frozenset[Ask]:
        if not self._equal:
            return self._move(heard)
        # In the order of their names: what breaks a tie by name breaks it alike.
        labels = sorted({b.answer for b in heard if b.answer is not None})
        number = {label: f"{n:03}" for n, label in enumerate(labels)}
        alike = tuple(replace(b, answer=number[b.answer]) if b.answer is not None else b for b in heard)
        move = self._moves.get(alike)
        if move is None:
            move = self._moves[alike] = self._move(alike)
        if isinstance(move, Verdict) and move.answer is not None:
            return replace(move, answer=labels[int(move.answer)])
        return move

    def _move(self, heard: Sequence[Ballot]) -> Verdict | frozenset[Ask]:
        move = decide(self._plan, heard)
        if isinstance(move, Verdict) or move:
            return move
        # Whoever could have been asked has been: no more seats would have come.
        return decide(self._plan.ended("nobody_left"), heard)


_AS_A_VOICE = frozenset({VOICE})
"""Roles that are put the item's own question: what a deployment said to it counts whatever the seat."""


@dataclass(frozen=True, slots=True)
class Score:
    """How a recipe does over cases. ``unknown``: cases for which it wants a vote that was never bought.

    ``accuracy`` is of the cases with a known truth, what is not decided counting as wrong, with a Wilson interval of
    95 %; None where no truth is known. ``calls`` and ``cost_micro`` are a case's mean.
    """

    recipe: str
    cases: int
    unknown: int
    undecided: int
    with_truth: int
    right: int
    calls: float
    cost_micro: float | None

    @property
    def accuracy(self) -> float | None:
        return self.right / self.with_truth if self.with_truth else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.right, self.with_truth) if self.with_truth else None


def score(recipe: str, player: Player, cases: Iterable[Case]) -> Score:
    """Play every case and add up."""
    count = unknown = undecided = with_truth = right = 0
    calls, cost, priced = 0.0, 0.0, True
    for case in cases:
        played = player.play(case)
        if played is None:
            unknown += 1
            continue
        count += 1
        calls += played.calls
        priced = priced and played.cost_micro is not None
        cost += played.cost_micro or 0.0
        undecided += played.verdict.status is not Status.DECIDED
        if case.truth is not None:
            with_truth += 1
            right += played.verdict.answer == case.truth
    known = max(count, 1)
    return Score(
        recipe, count, unknown, undecided, with_truth, right, calls / known, cost / known if priced and count else None
    )
