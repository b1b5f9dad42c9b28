"""The decision matrix: what each kind of trouble asks for, as one table and one pure function over it.

Three questions are answered for a failed call: what happens to the item at this seat (``Here``), what becomes of the
deployment (``Mark``), and whom the item is put to if the seat has nothing more to offer (``Next``). The ask service
acts on the first, the feedback on the second, the strategies on the third: each by this table, none by its own.

A step never leaves the deployment by itself, and never goes beyond the tries that the strategy granted: there is one
attempt budget an item, and it is the strategy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.values import Failure, FailureKind

BACKOFF_FIRST_S = 1.0
WAIT_AT_MOST_S = 20.0
"""A provider that asks for more patience than this loses the seat: the next on the bench is faster."""
JITTER = 0.5
"""Share of a wait that may be added to it, so that calls that failed together do not come back together."""
BENCH_S = 3600.0
"""How long a quota of unknown period is believed to be used up at most, before one call asks again."""


class Here(StrEnum):
    """What happens to the item at this seat."""

    WAIT = "wait"
    """Ask again as soon as the provider said."""
    AGAIN = "again"
    """Ask again after a backoff."""
    RESTATE = "restate"
    """Ask again with the output contract restated and, where the answer was cut, more room."""
    TRIM = "trim"
    """Ask again with the item cut to fit."""
    YIELD = "yield"
    """Ask again without the parameter that the model does not take."""
    REKEY = "rekey"
    """Ask again with another key of the provider."""
    LEAVE = "leave"


class Mark(StrEnum):
    """What becomes of the deployment."""

    NONE = "none"
    HOLD = "hold"
    """Nothing is sent until the time that it named."""
    BENCH = "bench"
    """Nothing is sent until its quota starts anew."""
    OUT = "out"
    """Nothing is sent until a ping succeeds."""


class Next(StrEnum):
    """Whom the item is put to next."""

    ANYONE = "anyone"
    FASTER = "faster"
    """Anyone, those first that answer sooner than the one that did not in time."""
    WIDER = "wider"
    """Only those with room for the question."""
    OTHER_VENDOR = "other_vendor"
    LOCAL = "local"
    """Only those that run in the house: the question holds what must not leave it."""
    NOBODY = "nobody"
    """The request itself is wrong: it is not sent to others unchanged, and the item fails."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. ``once``: steps that may be taken once an item at this seat, the first that applies; then ``here``."""

    mark: Mark
    next: Next
    here: Here = Here.LEAVE
    once: tuple[Here, ...] = ()
    passes: bool = False
    """Trouble that passes: once nobody else is left, the same deployment may be asked again for the item, later."""
    spoilt: bool = False
    """The server's side has spoilt the call: it counts towards the breaker and against the deployment's health."""


MATRIX: dict[FailureKind, Rule] = {
    FailureKind.RATE_LIMIT: Rule(Mark.HOLD, Next.ANYONE, Here.WAIT, passes=True),
    FailureKind.QUOTA_EXHAUSTED: Rule(Mark.BENCH, Next.ANYONE, passes=True),
    FailureKind.TIMEOUT: Rule(Mark.NONE, Next.FASTER, passes=True, spoilt=True),
    FailureKind.SERVER_ERROR: Rule(Mark.NONE, Next.ANYONE, Here.AGAIN, passes=True, spoilt=True),
    FailureKind.OVERLOADED: Rule(Mark.NONE, Next.ANYONE, Here.AGAIN, passes=True, spoilt=True),
    FailureKind.MALFORMED: Rule(Mark.NONE, Next.ANYONE, once=(Here.RESTATE,), spoilt=True),
    FailureKind.CONTEXT_LENGTH: Rule(Mark.NONE, Next.WIDER, once=(Here.TRIM,)),
    FailureKind.CONTENT_FILTER: Rule(Mark.NONE, Next.OTHER_VENDOR),
    FailureKind.AUTH: Rule(Mark.OUT, Next.OTHER_VENDOR, once=(Here.REKEY,)),
    FailureKind.BILLING: Rule(Mark.OUT, Next.OTHER_VENDOR, once=(Here.REKEY,)),
    FailureKind.MODEL_NOT_FOUND: Rule(Mark.OUT, Next.ANYONE),
    FailureKind.INVALID_REQUEST: Rule(Mark.NONE, Next.NOBODY, once=(Here.YIELD,)),
    FailureKind.BREAKER_OPEN: Rule(Mark.NONE, Next.ANYONE, passes=True),
    FailureKind.BUDGET: Rule(Mark.NONE, Next.ANYONE),
    FailureKind.OVERDUE: Rule(Mark.NONE, Next.ANYONE),
    FailureKind.AMBIGUOUS: Rule(Mark.NONE, Next.ANYONE),
    FailureKind.PRIVACY: Rule(Mark.NONE, Next.LOCAL),
}


@dataclass(frozen=True, slots=True)
class Step:
    """``delay_s``: before the call that ``here`` asks for. ``mark_s``: how long a hold or a bench lasts."""

    here: Here
    delay_s: float
    mark: Mark
    mark_s: float
    next: Next


def step(
    failure: Failure,
    tries_used: int,
    tries_granted: int,
    *,
    able: frozenset[Here] = frozenset(),
    jitter: float = 0.0,
    until_reset_s: float | None = None,
) -> Step:
    """What to do once this call has failed.

    ``able``: which of the steps that are taken once can be taken (again) now: the contract was not restated yet, the
    item can be cut, the parameter that was refused can be left out, the provider has another key (then the trouble is
    the key's alone, and the deployment is not marked). ``jitter``: 0 to 1, thrown by the caller.
    ``until_reset_s``: until the deployment's quota that is used up starts anew, where that is known.
    """
    rule = MATRIX[failure.kind]
    here, delay_s = _here(rule, failure, tries_used, able, jitter) if tries_used < tries_granted else (Here.LEAVE, 0.0)
    mark = Mark.NONE if Here.REKEY in able and Here.REKEY in rule.once else rule.mark
    return Step(here, delay_s, mark, _mark_s(mark, failure, until_reset_s), rule.next)


def _here(rule: Rule, failure: Failure, tries_used: int, able: frozenset[Here], jitter: float) -> tuple[Here, float]:
    for once in rule.once:
        if once in able:
            return once, 0.0
    backoff_s = BACKOFF_FIRST_S * 2 ** (tries_used - 1)
    told_s = failure.retry_after_s
    match rule.here:
        case Here.WAIT:
            wait_s = backoff_s if told_s is None else max(0.0, told_s)
        case Here.AGAIN:
            wait_s = max(backoff_s, told_s or 0.0)  # a server in trouble gets its backoff even if it says sooner
        case _:
            return Here.LEAVE, 0.0
    if not wait_s <= WAIT_AT_MOST_S:
        return Here.LEAVE, 0.0
    return rule.here, wait_s * (1 + JITTER * jitter)


def _mark_s(mark: Mark, failure: Failure, until_reset_s: float | None) -> float:
    told_s = failure.retry_after_s
    match mark:
        case Mark.HOLD:
            return BACKOFF_FIRST_S if told_s is None else max(0.0, told_s)
        case Mark.BENCH if told_s is not None:
            return max(0.0, told_s)
        case Mark.BENCH:
            return BENCH_S if until_reset_s is None else until_reset_s
        case _:
            return 0.0


def after_abstention(tries_used: int, tries_granted: int, *, cut: bool) -> Here:
    """An answer that was cut off before it could be read is asked for once more, with more room.

    One that came whole and cannot be read is an abstention: another voice costs the same call and may say more.
    """
    return Here.RESTATE if cut and tries_used == 1 and tries_granted > 1 else Here.LEAVE


VENDOR_WIDE = frozenset(kind for kind, rule in MATRIX.items() if rule.next is Next.OTHER_VENDOR)
"""Trouble with the account or the vendor's filter: another model of the same vendor would fare no better."""
KEYED = frozenset(kind for kind, rule in MATRIX.items() if Here.REKEY in rule.once)
"""Trouble that another key of the provider may not have."""
PASSES = frozenset(kind for kind, rule in MATRIX.items() if rule.passes)
SPOILT = frozenset(kind for kind, rule in MATRIX.items() if rule.spoilt)
GROWS_LOAD = (PASSES - {FailureKind.BREAKER_OPEN}) | {FailureKind.MALFORMED, FailureKind.AMBIGUOUS}
"""Trouble that comes over a whole fleet at once: a call after it draws on the retry budget. A filter, a bad key or a
question that is too long are one vendor's or one item's, and asking another is no storm."""
PUTS_OUT = frozenset(kind for kind, rule in MATRIX.items() if rule.mark is Mark.OUT)
"""A deployment that fails like this is out until a ping succeeds."""
