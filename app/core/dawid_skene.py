"""What is true, and how often each voter says it, from votes alone: Dawid and Skene (1979), by expectation maximising.

Two models of a voter. ``confusion``: how often it says each label where another is true; for few labels. Coins: how
often it is right where a label is true, its errors spread evenly over the others; for many labels, and exact for two.
Coins may be tied to one a voter (``tied``), which is all that can be known where every question has answers of its
own. What is known (gold, outcomes) is clamped, and a label that is known to be wrong is ruled out.

Sparse: a round of coins costs as much as there are votes, however many labels there are. Of the labels that nobody
named, all items with the same voters have the same belief but for a factor, so it is worked out once a panel.

Warning: voters are taken for independent. Those who copy each other confirm each other: count clones once before
(``core.kinship``). Where most voters are wrong together, no model of votes alone can know it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add

CONFUSION_UP_TO = 5
"""Labels, beyond which a confusion has more cells than most ledgers have votes."""
OPEN_ANSWERS = 16
"""Answers that are thought possible where there is no list of labels."""
SMOOTHING = 2.0
"""Votes that every coin is taken to have been seen for beforehand, at its voter's mean."""
_MOST_ROUNDS = 60
_ENOUGH = 1e-4
_LEAST, _MOST = 1e-6, 1 - 1e-6
_MEAN_FIRST = 0.7
"""A voter's accuracy before it has been seen."""


@dataclass(frozen=True, slots=True)
class Question:
    """``votes``: voter → label. ``truth``: where it is known; ``barred``: a label that is known to be wrong."""

    votes: Mapping[str, str]
    truth: str | None = None
    barred: str | None = None


@dataclass(frozen=True, slots=True)
class Belief:
    """``truths``: of each question, label → chance that it is true, for the labels that were named (and the known
    truth). ``accuracy``: voter → how often it is right, over all its questions. ``rounds`` it took."""

    truths: tuple[dict[str, float], ...]
    accuracy: dict[str, float]
    rounds: int


def infer(
    questions: Sequence[Question],
    labels: Sequence[str] = (),
    *,
    confusion: bool | None = None,
    tied: bool = False,
    smoothing: float = SMOOTHING,
    most_rounds: int = _MOST_ROUNDS,
    enough: float = _ENOUGH,
) -> Belief:
    """Believe the votes. ``labels``: those that are possible; none: every question has answers of its own.

    ``confusion``: None leaves the model to the number of labels. ``enough``: it ends where no belief changes more in a
    round. Starts from the shares of votes, so the same
    questions give the same belief in any order, but for rounding. Raises ``ValueError`` for a vote or a truth that is
    not one of the labels, and for fewer than two labels.
    """
    table = _Table(questions, labels)
    if confusion is None:
        confusion = bool(labels) and not tied and len(labels) <= CONFUSION_UP_TO
    model: _Coins | _Confusions = (
        _Confusions(table, smoothing) if confusion else _Coins(table, smoothing, tied or not labels)
    )
    rounds = 0
    for rounds in range(1, most_rounds + 1):  # noqa: B007 - how many it took is told
        if model.round() < enough:
            break
    named = tuple(
        {table.names[n][place]: chance for place, chance in belief.items()} for n, belief in enumerate(model.beliefs)
    )
    return Belief(named, _accuracy(questions, named), rounds)


def _accuracy(questions: Sequence[Question], truths: Sequence[Mapping[str, float]]) -> dict[str, float]:
    said: dict[str, list[float]] = {}
    for question, truth in zip(questions, truths, strict=True):
        for voter, label in question.votes.items():
            said.setdefault(voter, []).append(truth.get(label, 0.0))
    return {voter: sum(rights) / len(rights) for voter, rights in sorted(said.items())}


class _Table:
    """The questions in numbers: voters and labels by their places."""

    def __init__(self, questions: Sequence[Question], labels: Sequence[str]) -> None:
        if labels and len(set(labels)) < 2:
            raise ValueError("there must be two labels or more")
        self.voters = sorted({voter for q in questions for voter in q.votes})
        place = {voter: n for n, voter in enumerate(self.voters)}
        shared = {label: n for n, label in enumerate(labels)}
        self.size = len(labels) or OPEN_ANSWERS
        self.open = not labels
        self.votes: list[list[tuple[int, int]]] = []
        self.names: list[Sequence[str]] = []
        self.truths: list[int | None] = []
        self.barred: list[int | None] = []
        for q in questions:
            places = shared or _own(q, self.size)
            unknown = next((label for label in (*q.votes.values(), q.truth) if label not in (*places, None)), None)
            if unknown is not None:
                raise ValueError(f"{unknown[:80]!r} is not one of the labels")
            self.votes.append(sorted((place[voter], places[label]) for voter, label in q.votes.items()))
            self.names.append(labels or list(places))
            self.truths.append(None if q.truth is None else places[q.truth])
            self.barred.append(None if q.barred is None else places.get(q.barred))

    def shares(self) -> list[dict[int, float]]:
        """The first belief: what is known, else the shares of votes."""
        first = []
        for votes, truth, barred in zip(self.votes, self.truths, self.barred, strict=True):
            counts: dict[int, float] = {}
            for _, label in votes:
                counts[label] = counts.get(label, 0.0) + (label != barred)
            total = sum(counts.values()) or 1.0
            first.append({label: n / total for label, n in counts.items()} if truth is None else {truth: 1.0})
        return first


def _own(question: Question, most: int) -> dict[str, int]:
    """Places for the answers of a question that shares them with no other."""
    named = {label for label in (*question.votes.values(), question.truth) if label is not None}
    if len(named) > most:
        raise ValueError(f"more than {most} different answers to one question")
    return {label: n for n, label in enumerate(sorted(named))}


def _change(before: Sequence[Mapping[int, float]], after: Sequence[Mapping[int, float]]) -> float:
    """The largest, of any belief."""
    return max(
        (abs(p - old.get(label, 0.0)) for new, old in zip(after, before, strict=True) for label, p in new.items()),
        default=0.0,
    )


class _Coins:
    """``coins``: voter → label → how often it is right where that label is true."""

    def __init__(self, table: _Table, smoothing: float, tied: bool) -> None:
        self.table, self.smoothing, self.tied = table, smoothing, tied
        panels: dict[tuple[int, ...], list[int]] = {}
        for n, votes in enumerate(table.votes):
            panels.setdefault(tuple(voter for voter, _ in votes), []).append(n)
        self.panels = panels
        self.beliefs = table.shares()
        self.even: dict[tuple[int, ...], list[float]] = {}
        self.factors = [0.0] * len(table.votes)
        self._learn()

    def round(self) -> float:
        """Believe by the coins, then learn the coins from it; the largest change of a belief."""
        before, size = self.beliefs, self.table.size
        errors = [[math.log((1 - coin) / (size - 1)) for coin in coins] for coins in self.coins]
        odds = [[coin / (1 - coin) * (size - 1) for coin in coins] for coins in self.coins]
        logs = [math.log(p) for p in self.prior]
        self.beliefs = list(before)
        for panel, members in self.panels.items():
            base = logs
            for voter in panel:
                base = list(map(add, base, errors[voter]))
            top = max(base)
            even = self.even[panel] = [math.exp(b - top) for b in base]
            total = sum(even)
            for n in members:
                if self.table.truths[n] is None:
                    self.beliefs[n], self.factors[n] = self._believe(n, even, total, odds)
        self._learn()
        return _change(before, self.beliefs)

    def _believe(
        self, n: int, even: list[float], total: float, odds: list[list[float]]
    ) -> tuple[dict[int, float], float]:
        """Of the labels named, and the factor by which ``even`` is the belief in the others."""
        named: dict[int, float] = {}
        for voter, label in self.table.votes[n]:
            named[label] = named.get(label, even[label]) * odds[voter][label]
        barred = self.table.barred[n]
        if barred is not None:
            named[barred] = 0.0
        rest = max(0.0, total - sum(even[label] for label in named))
        factor = 1 / max(rest + sum(named.values()), 1e-300)
        return {label: weight * factor for label, weight in named.items()}, factor

    def _learn(self) -> None:
        table, size = self.table, self.table.size
        asked = [[0.0] * size for _ in table.voters]
        right = [[0.0] * size for _ in table.voters]
        seen = [0.0] * size
        for panel, members in self.panels.items():
            even = self.even.get(panel, seen)
            mass = sum(self.factors[n] for n in members)
            held = [mass * e for e in even] if mass else [0.0] * size
            for n in members:
                belief, factor = self.beliefs[n], self.factors[n]
                for label, chance in belief.items():
                    held[label] += chance - factor * even[label]
                for voter, label in table.votes[n]:
                    right[voter][label] += belief.get(label, 0.0)
            held = [max(0.0, h) for h in held]
            seen = list(map(add, seen, held))
            for voter in panel:
                asked[voter] = list(map(add, asked[voter], held))
        self.prior = self._prior(seen)
        self.coins = [self._coin(r, a) for r, a in zip(right, asked, strict=True)]

    def _prior(self, seen: Sequence[float]) -> list[float]:
        if self.table.open:
            return [1 / len(seen)] * len(seen)
        total = sum(seen) + self.smoothing
        return [max((n + self.smoothing / len(seen)) / max(total, 1e-300), 1e-12) for n in seen]

    def _coin(self, right: list[float], asked: list[float]) -> list[float]:
        said, total = sum(right), sum(asked)
        mean = (said + self.smoothing * _MEAN_FIRST) / max(total + self.smoothing, 1e-300)
        if self.tied:
            return [min(max(mean, _LEAST), _MOST)] * len(right)
        coins = [
            (r + self.smoothing * mean) / (a + self.smoothing) if a + self.smoothing else mean
            for r, a in zip(right, asked, strict=True)
        ]
        return [min(max(coin, _LEAST), _MOST) for coin in coins]


class _Confusions:
    """``errors``: voter → label said → label true → log of how often."""

    def __init__(self, table: _Table, smoothing: float) -> None:
        self.table, self.smoothing = table, smoothing
        self.beliefs = table.shares()
        self._learn([[belief.get(label, 0.0) for label in range(table.size)] for belief in self.beliefs])

    def round(self) -> float:
        before, table = self.beliefs, self.table
        prior = [math.log(p) for p in self.prior]
        whole = []
        for n, votes in enumerate(table.votes):
            truth, barred = table.truths[n], table.barred[n]
            if truth is not None:
                whole.append([float(label == truth) for label in range(table.size)])
                continue
            score = prior
            for voter, said in votes:
                score = list(map(add, score, self.errors[voter][said]))
            top = max(score)
            chances = [0.0 if label == barred else math.exp(s - top) for label, s in enumerate(score)]
            total = sum(chances) or 1.0
            whole.append([chance / total for chance in chances])
        self._learn(whole)
        self.beliefs = [
            {label: chances[label] for label in {said for _, said in votes} | ({truth} if truth is not None else set())}
            for votes, truth, chances in zip(table.votes, table.truths, whole, strict=True)
        ]
        return _change(before, self.beliefs)

    def _learn(self, whole: Sequence[Sequence[float]]) -> None:
        size = self.table.size
        counts = [[[0.0] * size for _ in range(size)] for _ in self.table.voters]
        seen = [0.0] * size
        for votes, chances in zip(self.table.votes, whole, strict=True):
            seen = list(map(add, seen, chances))
            for voter, said in votes:
                row = counts[voter]
                row[said] = list(map(add, row[said], chances))
        total = sum(seen) or 1.0
        self.prior = [max(n / total, 1e-12) for n in seen]
        self.errors = [self._shares(row) for row in counts]

    def _shares(self, counts: list[list[float]]) -> list[list[float]]:
        size = self.table.size
        off = (1 - _MEAN_FIRST) / (size - 1)
        smoothed = [
            [n + self.smoothing * (_MEAN_FIRST if said == true else off) for true, n in enumerate(row)]
            for said, row in enumerate(counts)
        ]
        totals = [max(sum(row[true] for row in smoothed), 1e-12) for true in range(size)]
        return [[math.log(max(n / totals[true], 1e-10)) for true, n in enumerate(row)] for row in smoothed]
