"""Retry policy at one seat: a pure function from a failure to the next step. Only the ask service acts on it.

A step never leaves the deployment: whom to ask next is the strategy's to say, and it is the strategy that
granted the tries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.values import Failure, FailureKind

BACKOFF_FIRST_S = 1.0
WAIT_AT_MOST_S = 20.0
"""A provider that asks for more patience than this loses the seat: the next on the bench is faster."""


class Action(StrEnum):
    GIVE_UP = "give_up"
    AGAIN = "again"
    RESTATE = "restate"
    """Ask again with the output contract restated and, where the answer was cut, more room."""


@dataclass(frozen=True, slots=True)
class Step:
    """``delay_s`` is the least wait: the caller spreads it by up to half as much again (jitter)."""

    action: Action
    delay_s: float = 0.0


def after_failure(failure: Failure, tries_used: int, tries_granted: int) -> Step:
    """What to do at this deployment once this call has failed."""
    if tries_used >= tries_granted:
        return Step(Action.GIVE_UP)
    backoff = BACKOFF_FIRST_S * 2 ** (tries_used - 1)
    match failure.kind:
        case FailureKind.RATE_LIMIT:
            wait = max(0.0, failure.retry_after_s) if failure.retry_after_s is not None else backoff
            return Step(Action.AGAIN, wait) if wait <= WAIT_AT_MOST_S else Step(Action.GIVE_UP)
        case FailureKind.SERVER_ERROR | FailureKind.OVERLOADED:
            wait = max(backoff, failure.retry_after_s or 0.0)
            return Step(Action.AGAIN, wait) if wait <= WAIT_AT_MOST_S else Step(Action.GIVE_UP)
        case FailureKind.MALFORMED if tries_used == 1:
            return Step(Action.RESTATE)
        case _:
            return Step(Action.GIVE_UP)


def after_abstention(tries_used: int, tries_granted: int, *, cut: bool) -> Step:
    """An answer that was cut off before it could be read is asked for once more, with more room.

    One that came whole and cannot be read is an abstention: another voice costs the same call and may say more.
    """
    return Step(Action.RESTATE if cut and tries_used == 1 and tries_granted > 1 else Action.GIVE_UP)
