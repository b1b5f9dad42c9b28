"""How often each deployment is right: counts with intervals for people, and what routing and votes may rest on it.

The two differ. A report tells what happened. What is to move a weight has to withstand those who would buy one: a
flood of easy items on which their model is right, one question said a thousand times, one team's outcomes that are
lies. So of the evidence that is weighed

- one question counts once for each voter, however often it was asked;
- one job counts as ``JOB_CAP`` questions of a voter at most;
- questions that all answered alike, or that one voter alone answered, carry at most ``EASY_SHARE`` of what weighs in a
  vote: who is always agreed with has not shown that it is the better one;
- of other teams' evidence one team counts as ``TEAM_CAP`` questions, all of them together as ``POOL_CAP``, against
  ``POOL_PRIOR`` for the fleet file: one team moves what another rests on by a fifth of the way at most, any number of
  teams by half;
- what follows from agreement alone counts ``AGREED`` as much as what is known, and nothing where fewer than
  ``LEAST_VOICES`` took part: of three voices two that share their errors look like the good ones.

Whoever may submit under a team and a use case is believed there, as that team: a thousand jobs of true contested
answers are no flood but evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import add, attrgetter

JOB_CAP = 100.0
TEAM_CAP = 10.0
POOL_CAP = 40.0
POOL_PRIOR = 40.0
OWN_PRIOR = 20.0
"""Questions that what is known elsewhere counts for, against a use case's own."""
LABEL_PRIOR = 20.0
EASY_SHARE = 0.2
AGREED = 0.5
LEAST_VOICES = 5
"""On recorded answers of 13 models, weights from agreement cost 6 points in the worst council of three, and gained 2 to
4 points from five on, none of them below plain majority beyond noise."""
_Z = 1.959963984540054
"""95 %."""


def wilson(right: float, n: float, z: float = _Z) -> tuple[float, float]:
    """Interval of a share (Wilson, 1927): of ``n`` with ``right`` of them right. Nothing is known without any."""
    if n <= 0:
        return 0.0, 1.0
    share, square = right / n, z * z / n
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(max(0.0, share * (1 - share) / n + square / (4 * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Questions, and those of them that were answered rightly. ``hard``: voters differed; ``easy``: they did not, or
    there was one alone. ``known``: by outcome or true label; ``agreed``: by what the voters make likely."""

    known_hard: float = 0.0
    known_hard_right: float = 0.0
    known_easy: float = 0.0
    known_easy_right: float = 0.0
    agreed_hard: float = 0.0
    agreed_hard_right: float = 0.0
    agreed_easy: float = 0.0
    agreed_easy_right: float = 0.0

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(*map(add, _values(self), _values(other)))

    def scaled(self, factor: float) -> Evidence:
        return Evidence(*(value * factor for value in _values(self)))

    def to_list(self) -> list[float]:
        return [round(value, 4) for value in _values(self)]

    @property
    def questions(self) -> float:
        return self.known_hard + self.known_easy + AGREED * (self.agreed_hard + self.agreed_easy)

    def capped(self, most: float) -> Evidence:
        """No more of it than so many questions."""
        return self if self.questions <= most else self.scaled(most / self.questions)

    def quality(self, prior: float, weight: float) -> float:
        """For who is to be asked: all that is known counts, of what is only agreed upon the easy is held back."""
        full = self.known_hard + self.known_easy + AGREED * self.agreed_hard
        right = self.known_hard_right + self.known_easy_right + AGREED * self.agreed_hard_right
        return _shrunk(full, right, AGREED * self.agreed_easy, AGREED * self.agreed_easy_right, prior, weight)

    def voice(self, prior: float, weight: float) -> float:
        """For how much a vote weighs: what tells voters apart counts, all that is easy is held back."""
        full = self.known_hard + AGREED * self.agreed_hard
        right = self.known_hard_right + AGREED * self.agreed_hard_right
        easy = self.known_easy + AGREED * self.agreed_easy
        return _shrunk(full, right, easy, self.known_easy_right + AGREED * self.agreed_easy_right, prior, weight)


_FIELDS = tuple(field.name for field in fields(Evidence))
_values = attrgetter(*_FIELDS)


def _shrunk(full: float, right: float, easy: float, easy_right: float, prior: float, weight: float) -> float:
    """The share, with ``weight`` questions for the prior; of the easy no more than their share of all."""
    kept = min(easy, (weight + full) * EASY_SHARE / (1 - EASY_SHARE))
    easy_right = easy_right / easy * kept if easy else 0.0
    total = weight + full + kept
    return prior if not total else (weight * prior + right + easy_right) / total


@dataclass(frozen=True, slots=True)
class Answered:
    """One voter's answer to one question. ``chances``: label → how likely it is the true one (1.0 where it is known);
    what is not in it is not. ``source``: ``outcomes`` or ``gold`` where it is known, else ``agreement``.

    ``refused``: an outcome said that this very answer is wrong, and not which one is right. ``weighed``: else it is
    told, and moves nothing.
    """

    voter: str
    answer: str
    job: str
    chances: Mapping[str, float]
    source: str = "agreement"
    hard: bool = False
    refused: bool = False
    weighed: bool = True

    @property
    def known(self) -> bool:
        return self.refused or self.source != "agreement"


@dataclass(slots=True)
class Record:
    """What one voter did: ``counts``: source → [questions, right]; ``evidence``: what of it may be weighed."""

    counts: dict[str, list[float]]
    evidence: Evidence

    def add(self, counts: Mapping[str, Sequence[float]]) -> None:
        """Count further questions: source → (questions, right)."""
        for source, (n, right) in counts.items():
            if n:
                into = self.counts.setdefault(source, [0.0, 0.0])
                into[0] += n
                into[1] += right

    @property
    def source(self) -> str:
        """Where its accuracy comes from: what is known where anything is, else agreement."""
        return source_of({source: n for source, (n, _) in self.counts.items()})

    @property
    def n(self) -> float:
        return sum(self.counts[s][0] for s in self.source.split("+") if s in self.counts)

    @property
    def right(self) -> float:
        return sum(self.counts[s][1] for s in self.source.split("+") if s in self.counts)

    @property
    def accuracy(self) -> float | None:
        return self.right / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.n)


def source_of(counts: Mapping[str, float]) -> str:
    """``outcomes``, ``gold``, ``outcomes+gold``, or ``agreement`` where nothing is known."""
    return "+".join(source for source in ("outcomes", "gold") if counts.get(source)) or "agreement"


def records(answers: Iterable[Answered], *, by_label: bool = True) -> dict[tuple[str, str], Record]:
    """(voter, label) → its record; label "" is all of them, another those questions of which it is the true one.

    ``answers`` hold each question once for a voter.
    """
    by_job: dict[str, dict[tuple[str, str], _Tally]] = {}
    for answer in answers:
        found = by_job.setdefault(answer.job, {})
        right = 0.0 if answer.refused else answer.chances.get(answer.answer, 0.0)
        found.setdefault((answer.voter, ""), _Tally()).count(answer, 1.0, right)
        if by_label and not answer.refused:
            for label, chance in answer.chances.items():
                if chance > 0.01:
                    tally = found.setdefault((answer.voter, label), _Tally())
                    tally.count(answer, chance, chance * (label == answer.answer))
    total: dict[tuple[str, str], Record] = {}
    for found in by_job.values():
        for key, tally in found.items():
            whole = found[key[0], ""].evidence.questions
            share = tally.evidence.scaled(min(1.0, JOB_CAP / whole)) if whole else tally.evidence
            into = total.setdefault(key, Record({}, Evidence()))
            into.evidence = into.evidence + share
            into.add(tally.counts)
    return total


class _Tally:
    """One voter's answers in one job. ``counts``: source → [questions, right]."""

    def __init__(self) -> None:
        self.counts: dict[str, list[float]] = {}
        self._weighed = [0.0] * len(_FIELDS)

    def count(self, answer: Answered, n: float, right: float) -> None:
        counts = self.counts.setdefault("outcomes" if answer.refused else answer.source, [0.0, 0.0])
        counts[0] += n
        counts[1] += right
        if answer.weighed:
            place = (0 if answer.known else 4) + (0 if answer.hard else 2)
            self._weighed[place] += n
            self._weighed[place + 1] += right

    @property
    def evidence(self) -> Evidence:
        """In the order of its fields: known before agreed, hard before easy, each with those that were right."""
        return Evidence(*self._weighed)


def pooled(teams: Iterable[Evidence]) -> Evidence:
    """What all teams have seen of a voter, no team and not all of them beyond their caps."""
    total = sum((team.capped(TEAM_CAP) for team in teams), Evidence())
    return total.capped(POOL_CAP)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one deployment for one use case. ``prior``: the fleet file's quality; ``pool``: all teams';
    ``own``: the use case's; ``labels``: label → of that label alone."""

    prior: float
    pool: Evidence = Evidence()
    own: Evidence = Evidence()
    labels: Mapping[str, Evidence] | None = None

    @property
    def quality(self) -> float:
        return self.own.quality(self.pool.quality(self.prior, POOL_PRIOR), OWN_PRIOR)

    @property
    def voice(self) -> float:
        return self.own.voice(self.pool.voice(self.prior, POOL_PRIOR), OWN_PRIOR)

    def voice_of(self, label: str) -> float:
        """How often it says that label where it is true."""
        seen = (self.labels or {}).get(label)
        return self.voice if seen is None else seen.voice(self.voice, LABEL_PRIOR)
