"""What several voices together make of an item: the chance of each label, from how often each voice is right.

Bayes' rule over independent voices, with a uniform prior over the labels: a voice of accuracy ``a`` gives ``a`` to the
label it names and shares ``1 - a`` out among the others. Voices are not independent, though. Of two models that are
both wrong, more than half give the same wrong answer, however many there were to choose from (Kim et al. 2025,
"Correlated Errors in Large Language Models", arXiv:2506.07962). So a wrong voice is reckoned to be spread over two
other labels at most: a third voice that agrees tells less than it would tell of ten labels, and weak voices that
share their errors do not outvote a strong one.

Warning: what errors are shared beyond that is not reckoned with; of clones the posterior is too sure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_OTHERS = 2
LEAST_WEIGHT = 0.5
"""Of any voice, in nats of log-odds: 0.45 of three labels. Below, some hundred answers hardly tell voices apart, and of
a council of such voices one would speak for all."""
_MOST_ACCURACY = 0.99
"""Nobody is surer than that: one voice is never the end of the matter where others contradict it."""
_CLAIMED = (0.9, 1.0)
"""Weights of the quality 0 and 1 that a fleet file claims and nobody has measured. They are so close that in a council
of fifteen seven of the best do not outvote eight of the worst: a claim breaks ties, it overrules no majority."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How often one voice is right. ``rates``: true label → share, ``""``: over all labels; None: never measured.

    ``quality``: what the fleet file claims, 0 to 1. ``weight``: where the recipe itself says what it weighs, which
    comes before both: fitted together with the others', it may be next to nothing.
    """

    quality: float
    rates: Mapping[str, float] | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Reckoning:
    """For a task of so many ``labels``; None: they are not known beforehand."""

    labels: int | None = None
    others: int = field(init=False)
    """Labels over which a wrong voice is reckoned to be spread."""

    def __post_init__(self) -> None:
        others = _OTHERS if self.labels is None else max(1, min(_OTHERS, self.labels - 1))
        object.__setattr__(self, "others", others)

    def accuracy(self, voice: Voice, label: str = "") -> float:
        """Its chance to name ``label`` where that is the true one; what was not measured of a label is taken of all."""
        if voice.weight is not None:
            return min(self.worth(voice.weight), _MOST_ACCURACY)
        rate = None if voice.rates is None else voice.rates.get(label, voice.rates.get(""))
        if rate is None:
            least, most = _CLAIMED
            return self.worth(least + (most - least) * min(max(voice.quality, 0.0), 1.0))
        return min(max(rate, self.worth(LEAST_WEIGHT)), _MOST_ACCURACY)

    def worth(self, weight: float) -> float:
        """The accuracy that stands for a weight: the inverse of ``weight``."""
        odds = math.exp(min(weight, 50.0))
        return odds / (odds + self.others)

    def weight(self, accuracy: float) -> float:
        """Log-odds that one voice of this accuracy gives to the label it names, over any other label."""
        return math.log(accuracy * self.others / (1 - accuracy))

    def heaviest(self, skills: Mapping[str, Mapping[str, float]] | None) -> float:
        """No voice moves the log-odds of two labels by more, whoever is called in."""
        known = [rate for rates in (skills or {}).values() for rate in rates.values()]
        top = min(max(known, default=0.0), _MOST_ACCURACY)
        return max(_CLAIMED[1], self.weight(max(top, self.worth(LEAST_WEIGHT))))

    def scores(self, votes: Sequence[tuple[str, Voice]]) -> dict[str, float]:
        """Log-likelihood of each label that was named, in the order of the votes; then ``""`` for any one that was not.

        Sums are exact, so that the order of the votes makes no difference.
        """
        named = list(dict.fromkeys(label for label, _ in votes))
        return {truth: math.fsum(self._told(truth, label, voice) for label, voice in votes) for truth in (*named, "")}

    def _told(self, truth: str, label: str, voice: Voice) -> float:
        right = self.accuracy(voice, truth)
        return math.log(right) if label == truth else math.log((1 - right) / self.others)

    def shares(self, votes: Sequence[tuple[str, Voice]]) -> dict[str, float]:
        """The posterior of each label that was named. What is missing to 1 belongs to those that nobody named."""
        scores = self.scores(votes)
        unnamed = scores.pop("")
        top = max(scores.values(), default=0.0)
        parts = {label: math.exp(score - top) for label, score in scores.items()}
        beyond = max(0, self.others + 1 - len(parts)) * math.exp(unnamed - top)
        whole = math.fsum([*parts.values(), beyond])
        return {label: part / whole for label, part in parts.items()}
