"""A guarantee: the job's answers agree with one strong model's at a level, with a confidence. Pure.

Every item is put to the cheap voices; their score is the share of the council that gave the winning answer. Where the
score reaches the threshold the cheap answer stands, else the strong model decides. An accepted answer that the strong
model would have given otherwise is *lost*; the promise is that of all the job's items at most ``1 - level`` are lost.

Some items, drawn at random before anybody has answered (``audited``), are put to both and take the strong answer. The
job goes in blocks, and what is not audited of a block waits, with its cheap votes in, for the block's own audit: so
a drift of the items or of the models, even in the middle of a block, is in the sample that releases it.

The first block's threshold is learned and tested on its own audit: Learn then Test (Angelopoulos et al. 2021,
arXiv:2110.01052) with fixed-sequence testing, the strictest threshold first, so that looking at several costs nothing.
The test is exact: Clopper and Pearson's bound in its form for a finite population (hypergeometric). Each later block's
threshold is learned from the audits before it, and tested on its own audit together with those since the first block:
the bound holds at every look at once, whatever the losses drift to and however the thresholds were chosen (a test
martingale and Ville's inequality: Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference").
The error that may be made is spent half on the first block and half on all looks that follow.

Where the bound is broken nothing further is accepted: the rest of the job goes to the strong model. The promise is
then kept at a price that is known, whereas a job that stopped would keep nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from app.core.ballots import Ballot
from app.core.plan import Plan
from app.core.table import Table

NEVER = 2.0
"""A threshold that no score reaches: the strong model decides."""
AUDIT, REST = "a", "r"
"""What a lane's arm ends in, after the number of its block: ``00a``. What is audited comes first."""
TOO_SMALL, DRIFT = "too small", "drift"
"""Why nothing is accepted any more."""

_BLOCK_ITEMS = 5_000
_MOST_BLOCKS = 10
_HOPED_SHARE = 0.35
"""Of the losses that are allowed: the audit is made large enough to prove the promise where no more are lost."""
_RATES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.18, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
_BETS = ((0.0, 0.4), (0.1, 0.12), (0.2, 0.12), (0.35, 0.12), (0.5, 0.12), (0.7, 0.12))
"""What the martingale bets on, with the weight of each: the factor by which an audited loss shrinks the evidence."""
_RECENT_BLOCKS = 3


@dataclass(frozen=True, slots=True)
class Promise:
    """``level``: share of the items that agree with ``against`` at least; ``confidence``: that this is so."""

    level: float
    confidence: float
    against: str

    @property
    def delta(self) -> float:
        """The chance of an error that may be made."""
        return 1 - self.confidence

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level, "confidence": self.confidence, "against": self.against}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Promise:
        return cls(data["level"], data["confidence"], data["against"])

    def allowed(self, items: int) -> int:
        """How many of them may be lost. In whole numbers: a float may lie a hair below the item that is still fine."""
        return math.floor((1 - Fraction(str(self.level))) * items)


@dataclass(frozen=True, slots=True)
class Course:
    """How a job of so many ``items`` goes: the sizes of its ``blocks``, the ``rate`` at which items are audited (1:
    there are too few of them to prove anything by a sample, the strong model answers them all)."""

    blocks: tuple[int, ...]
    rate: float
    council: int

    @property
    def items(self) -> int:
        return sum(self.blocks)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """All that make a difference, the strictest first. A single voice in a larger council proves nothing."""
        least = 1 if self.council == 1 else 2
        return tuple(score(votes, self.council) for votes in range(self.council, least - 1, -1))

    def to_json(self) -> dict[str, Any]:
        return {"blocks": list(self.blocks), "rate": self.rate, "council": self.council}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Course:
        return cls(tuple(data["blocks"]), data["rate"], data["council"])


@dataclass(frozen=True, slots=True)
class Evidence:
    """A block's audit: by votes for the winning cheap answer (0 to the council's size) how many items, and how many of
    them the strong model answered otherwise."""

    heard: tuple[int, ...]
    differ: tuple[int, ...]

    @property
    def audited(self) -> int:
        return sum(self.heard)

    def lost(self, threshold: float) -> int:
        """Of the audited, those that the threshold would have lost."""
        council = len(self.heard) - 1
        return sum(n for votes, n in enumerate(self.differ) if votes and score(votes, council) >= threshold)

    def accepted(self, threshold: float) -> int:
        council = len(self.heard) - 1
        return sum(n for votes, n in enumerate(self.heard) if votes and score(votes, council) >= threshold)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a block's items that were not audited. ``lost``: audited items that the thresholds tried so far
    would have lost, of ``audited``; ``bound``: of the items that were not audited, how many may be lost at most.

    ``stopped``: the bound was broken, here or before: nothing is accepted any more.
    """

    threshold: float
    audited: int
    lost: int
    bound: int
    stopped: bool = False


def evidence(council: int, items: Iterable[tuple[Plan, Sequence[Ballot], str | None]]) -> Evidence:
    """Of a block's audited items: the plan of each, what it heard, and its answer, which is the strong model's.

    A short council accepts nothing, so it loses nothing. Where the strong model gave no answer nobody knows whether the
    cheap one would have been lost: it counts as lost.
    """
    said, differ = [0] * (council + 1), [0] * (council + 1)
    for plan, ballots, answer in items:
        table = Table(plan, tuple(sorted(ballots, key=lambda b: b.seat)))
        voices = table.votes()
        best = table.winner(voices) if len(voices) >= council else None
        votes = 0 if best is None else table.tally(voices)[best]
        said[votes] += 1
        differ[votes] += best is not None and best != answer
    return Evidence(tuple(said), tuple(differ))


def score(votes: int, council: int) -> float:
    return round(votes / council, 4)


def course(promise: Promise, items: int, council: int) -> Course:
    """The blocks and the rate for a job of so many items."""
    count = min(_MOST_BLOCKS, max(1, items // _BLOCK_ITEMS))
    blocks = tuple(items * (n + 1) // count - items * n // count for n in range(count))
    rate = next((rate for rate in _RATES if _provable(promise, blocks, rate)), 1.0)
    return Course(blocks, rate, council)


def rulings(promise: Promise, course: Course, audits: Sequence[Evidence]) -> list[Ruling]:
    """One for each block whose audit is in, in their order; the same audits always give the same rulings."""
    allowed = promise.allowed(course.items)
    if course.rate >= 1:
        return [Ruling(NEVER, audit.audited, 0, 0, stopped=True) for audit in audits]
    alone = len(course.blocks) == 1
    first_delta = promise.delta if alone else promise.delta / 2
    made: list[Ruling] = []
    spent = audited = lost = running = 0
    stopped = False
    for at, audit in enumerate(audits):
        if stopped:
            made.append(Ruling(NEVER, audited, lost, made[-1].bound, stopped))
            continue
        audited += audit.audited
        if at == 0:
            threshold, spent = _learn(course, audit, allowed if alone else allowed // 2, first_delta)
            lost, bound = audit.lost(threshold), spent
        else:
            threshold = _project(promise, course, audits[:at], running, allowed - spent)
            running, lost = running + audit.lost(threshold), lost + audit.lost(threshold)
            bound = spent + most_lost_so_far(running, course.rate, promise.delta / 2) - running
            if bound > allowed and threshold < NEVER:
                # What the blocks before may have lost is as it was; this one is not released.
                stopped, threshold, bound = True, NEVER, made[-1].bound
        made.append(Ruling(threshold, audited, lost, bound, stopped))
    return made


def most_lost(lost: int, audited: int, items: int, delta: float) -> int:
    """Of all ``items`` (the audited among them) at most so many are lost, but for a chance of ``delta``, where of
    ``audited`` ones, drawn at random without replacement, ``lost`` are."""
    low, high = lost, items - (audited - lost)
    while low < high:
        middle = (low + high + 1) // 2
        if _at_most(lost, middle, audited, items) > delta:
            low = middle
        else:
            high = middle - 1
    return low


def most_lost_so_far(lost: int, rate: float, delta: float) -> int:
    """Of all items seen so far, each audited by a throw of its own at that ``rate``, at most so many are lost: at no
    look ever is it more, but for a chance of ``delta`` for all looks together."""

    def rejected(total: int) -> bool:
        evidence = 0.0
        for bet, weight in _BETS:
            if bet or not lost:
                audited = lost * math.log(bet) if lost else 0.0
                evidence += weight * math.exp(min(700.0, audited - total * math.log(1 - rate * (1 - bet))))
        return evidence >= 1 / delta

    low, high = lost, lost + 1
    while not rejected(high):
        low, high = high, 2 * high
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (low, middle) if rejected(middle) else (middle, high)
    return low


def interval(lost: int, audited: int, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval of the share that agrees."""
    if not audited:
        return (0.0, 1.0)
    tail = (1 - confidence) / 2
    kept = audited - lost
    low = 0.0 if kept == 0 else _solve(lambda p: 1 - _binomial_at_most(kept - 1, audited, p) - tail)
    high = 1.0 if lost == 0 else _solve(lambda p: tail - _binomial_at_most(kept, audited, p))
    return (low, high)


def _learn(course: Course, audit: Evidence, allowed: int, delta: float) -> tuple[float, int]:
    """The laxest threshold that the first block's own audit proves, with what it may lose at most.

    A threshold is tested only where every stricter one has passed: so each may be tested at the full ``delta``."""
    items = course.blocks[0]
    proved, bound = NEVER, 0
    for threshold in course.thresholds:
        lost = audit.lost(threshold)
        may_be = most_lost(lost, audit.audited, items, delta) - lost
        if may_be > allowed or audit.audited == 0:
            break
        proved, bound = threshold, may_be
    return proved, bound


def _project(promise: Promise, course: Course, before: Sequence[Evidence], running: int, allowed: int) -> float:
    """The laxest threshold that, losing as the latest audits did, keeps the bound to the job's end."""
    recent = before[-_RECENT_BLOCKS:]
    audited = sum(audit.audited for audit in recent)
    left = sum(course.blocks[len(before) :])
    chosen = NEVER
    for threshold in course.thresholds:
        rate = (sum(audit.lost(threshold) for audit in recent) + 0.5) / (audited + 1)
        at_the_end = running + math.ceil(rate * course.rate * left)
        if most_lost_so_far(at_the_end, course.rate, promise.delta / 2) - at_the_end > allowed:
            break
        chosen = threshold
    return chosen


def _provable(promise: Promise, blocks: Sequence[int], rate: float) -> bool:
    """Would audits at that rate prove the promise, were the hoped-for share of the allowed losses lost?"""
    items = sum(blocks)
    allowed = promise.allowed(items)
    alone = len(blocks) == 1
    lost = math.ceil(_HOPED_SHARE * promise.allowed(blocks[0]) * rate)
    delta = promise.delta if alone else promise.delta / 2
    first = most_lost(lost, round(rate * blocks[0]), blocks[0], delta) - lost
    if first > (allowed if alone else allowed // 2):
        return False
    later = math.ceil(_HOPED_SHARE * promise.allowed(items - blocks[0]) * rate)
    return alone or first + most_lost_so_far(later, rate, delta) - later <= allowed


def _at_most(lost: int, total: int, audited: int, items: int) -> float:
    """P(X <= lost) where ``audited`` of ``items`` are drawn without replacement and ``total`` are lost."""
    least = max(0, audited - (items - total))
    whole = _choose(items, audited)
    return math.fsum(
        math.exp(_choose(total, x) + _choose(items - total, audited - x) - whole)
        for x in range(least, min(lost, total, audited) + 1)
    )


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _binomial_at_most(k: int, n: int, p: float) -> float:
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if k >= n else 0.0
    up, down = math.log(p), math.log(1 - p)
    return math.fsum(math.exp(_choose(n, x) + x * up + (n - x) * down) for x in range(k + 1))


def _solve(rises: Any) -> float:
    """Where a function of a share that rises through zero does so."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) > 0 else (middle, high)
    return (low + high) / 2
