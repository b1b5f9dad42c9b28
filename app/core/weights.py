"""Weights of voices, fitted together to questions whose truth is known.

A voice's weight by its accuracy alone (its log-odds) takes voices for independent. They are not: models fail on the
same questions, and a crowd of weak ones that share their errors outvotes the strong one. So the weights are fitted
jointly, as a conditional logit (McFadden, 1974): of the labels that were named, the chance that one is true is the
softmax of the summed weights of those who named it. A voice that says only what others say adds little, and gets
little.

The penalty pulls all weights towards their common mean: with little evidence the weights are equal, which is plain
majority.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PENALTY = 2.0
"""Of a squared distance from the common mean, in questions: a voice is heard apart once some dozens tell it apart."""
_START = 1.0
_MOST_WEIGHT = 4.6
"""Right 99 times of 100: a sample on which one voice was never wrong says no more than that."""
_MOST_STEPS = 25
_STEP_ENOUGH = 1e-6
_MOST_QUESTIONS = 4_000
"""Later ones tell little that these have not; a fit stays below some seconds."""


@dataclass(frozen=True, slots=True)
class Question:
    """``votes``: voice → label; ``truth``: the true label."""

    votes: Mapping[str, str]
    truth: str


def fit(questions: Iterable[Question], voices: Sequence[str], penalty: float = PENALTY) -> dict[str, float]:
    """Voice → weight, never below zero. Only questions that the voices answer differently tell anything.

    Raises ``ValueError`` for a negative penalty.
    """
    if penalty < 0:
        raise ValueError(f"a penalty of {penalty} is negative")
    place = {voice: n for n, voice in enumerate(voices)}
    told = [ballot for q in questions if (ballot := _told(q, place)) is not None][:_MOST_QUESTIONS]
    weights = [_START] * len(voices)
    at = _likelihood(told, weights, penalty)
    for _ in range(_MOST_STEPS if told else 0):
        gradient, curvature = _slopes(told, weights, penalty)
        step = _solve(curvature, gradient)
        share = 1.0
        while share > 1e-4:
            tried = [min(max(0.0, w + share * s), _MOST_WEIGHT) for w, s in zip(weights, step, strict=True)]
            there = _likelihood(told, tried, penalty)
            if there >= at:
                break
            share /= 2
        else:
            break
        moved = max(abs(a - b) for a, b in zip(tried, weights, strict=True))
        weights, at = tried, there
        if moved < _STEP_ENOUGH:
            break
    return dict(zip(voices, weights, strict=True))


def winner(votes: Mapping[str, str], weights: Mapping[str, float]) -> str | None:
    """The label of the greatest weight; equal ones go to the label whose weightiest voice is the weightiest, then by
    name. None where nobody voted."""
    sums: dict[str, tuple[float, float]] = {}
    for voice, label in votes.items():
        weight = weights.get(voice, 0.0)
        total, most = sums.get(label, (0.0, 0.0))
        sums[label] = (total + weight, max(most, weight))
    return min(sums, key=lambda label: (-sums[label][0], -sums[label][1], label)) if sums else None


_Told = tuple[tuple[tuple[int, ...], ...], int]
"""Who named each of the labels, and which of them is true."""


def _told(question: Question, place: Mapping[str, int]) -> _Told | None:
    named: dict[str, list[int]] = {}
    for voice, label in question.votes.items():
        if voice in place:
            named.setdefault(label, []).append(place[voice])
    if len(named) < 2 or question.truth not in named:
        return None
    return tuple(tuple(sorted(who)) for who in named.values()), list(named).index(question.truth)


def _chances(groups: Sequence[Sequence[int]], weights: Sequence[float]) -> list[float]:
    scores = [sum(weights[n] for n in who) for who in groups]
    top = max(scores)
    parts = [math.exp(score - top) for score in scores]
    total = sum(parts)
    return [part / total for part in parts]


def _likelihood(told: Sequence[_Told], weights: Sequence[float], penalty: float) -> float:
    mean = sum(weights) / len(weights) if weights else 0.0
    fitted = sum(math.log(max(_chances(groups, weights)[truth], 1e-300)) for groups, truth in told)
    return fitted - penalty / 2 * sum((w - mean) ** 2 for w in weights)


def _slopes(told: Sequence[_Told], weights: Sequence[float], penalty: float) -> tuple[list[float], list[list[float]]]:
    """Gradient, and the negative of the matrix of second derivatives: the information."""
    size = len(weights)
    mean = sum(weights) / size
    gradient = [-penalty * (w - mean) for w in weights]
    information = [[penalty * ((i == j) - 1 / size) for j in range(size)] for i in range(size)]
    for groups, truth in told:
        chances = _chances(groups, weights)
        for place, who in enumerate(groups):
            chance = chances[place]
            off = (place == truth) - chance
            for i in who:
                gradient[i] += off
                row = information[i]
                for other, others in enumerate(groups):
                    covariance = chance * (1 - chance) if other == place else -chance * chances[other]
                    for j in others:
                        row[j] += covariance
    for i in range(size):
        information[i][i] += 1e-6  # the mean itself is free: nothing else holds it where votes tell nothing of it
    return gradient, information


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss with partial pivoting; a direction of which nothing is known is not moved in."""
    size = len(right)
    rows = [[*matrix[i], right[i]] for i in range(size)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda i: abs(rows[i][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        lead = rows[column][column]
        if abs(lead) < 1e-12:
            continue
        for i in range(column + 1, size):
            factor = rows[i][column] / lead
            if factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    found = [0.0] * size
    for i in reversed(range(size)):
        lead = rows[i][i]
        known = sum(rows[i][j] * found[j] for j in range(i + 1, size))
        found[i] = 0.0 if abs(lead) < 1e-12 else (rows[i][size] - known) / lead
    return found
