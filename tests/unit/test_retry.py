"""Retry at one seat: which failures are worth another call, and how long to wait for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.retry import WAIT_AT_MOST_S, Action, Step, after_abstention, after_failure
from app.core.values import Failure, FailureKind

_WAITED_OUT = {FailureKind.RATE_LIMIT, FailureKind.SERVER_ERROR, FailureKind.OVERLOADED}
_RESTATED = {FailureKind.MALFORMED}


@pytest.mark.parametrize("kind", FailureKind)
def test_only_what_may_pass_is_tried_again(kind: FailureKind) -> None:
    step = after_failure(Failure(kind), 1, 3)
    expected = Action.AGAIN if kind in _WAITED_OUT else Action.RESTATE if kind in _RESTATED else Action.GIVE_UP
    assert step.action is expected


@pytest.mark.parametrize("kind", sorted(_WAITED_OUT))
def test_the_wait_doubles_from_one_second(kind: FailureKind) -> None:
    steps = [after_failure(Failure(kind), used, 9) for used in (1, 2, 3)]
    assert steps == [Step(Action.AGAIN, 1.0), Step(Action.AGAIN, 2.0), Step(Action.AGAIN, 4.0)]


def test_a_vendor_that_says_when_is_taken_at_its_word() -> None:
    assert after_failure(Failure(FailureKind.RATE_LIMIT, retry_after_s=0.2), 1, 3) == Step(Action.AGAIN, 0.2)
    assert after_failure(Failure(FailureKind.RATE_LIMIT, retry_after_s=0.0), 2, 3) == Step(Action.AGAIN, 0.0)
    assert after_failure(Failure(FailureKind.OVERLOADED, retry_after_s=7.0), 1, 3) == Step(Action.AGAIN, 7.0)
    # A server in trouble gets its backoff even if it says to come sooner.
    assert after_failure(Failure(FailureKind.SERVER_ERROR, retry_after_s=0.1), 2, 3) == Step(Action.AGAIN, 2.0)


@pytest.mark.parametrize("kind", sorted(_WAITED_OUT))
def test_a_vendor_that_wants_too_much_patience_loses_the_seat(kind: FailureKind) -> None:
    assert after_failure(Failure(kind, retry_after_s=WAIT_AT_MOST_S + 1), 1, 3).action is Action.GIVE_UP


def test_an_answer_that_cannot_be_read_is_asked_for_once_more() -> None:
    assert after_failure(Failure(FailureKind.MALFORMED), 2, 3).action is Action.GIVE_UP
    moves = [after_abstention(used, 3, cut=True).action for used in (1, 2, 3)]
    assert moves == [Action.RESTATE, Action.GIVE_UP, Action.GIVE_UP]
    assert after_abstention(1, 1, cut=True).action is Action.GIVE_UP
    assert after_abstention(1, 3, cut=False).action is Action.GIVE_UP


@given(
    st.sampled_from(FailureKind),
    st.integers(1, 20),
    st.integers(1, 3),
    st.none() | st.floats(allow_nan=True, allow_infinity=True),
)
def test_no_step_goes_beyond_the_grant_or_waits_without_bound(
    kind: FailureKind, used: int, granted: int, retry_after_s: float | None
) -> None:
    step = after_failure(Failure(kind, retry_after_s=retry_after_s), used, granted)
    if used >= granted:
        assert step.action is Action.GIVE_UP
    assert 0.0 <= step.delay_s <= WAIT_AT_MOST_S
    assert step.action is Action.AGAIN or step.delay_s == 0.0
