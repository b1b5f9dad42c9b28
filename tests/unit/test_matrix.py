"""The decision matrix: one row a failure kind, and what no step may ever do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.matrix import (
    BENCH_S,
    GROWS_LOAD,
    JITTER,
    MATRIX,
    PASSES,
    PUTS_OUT,
    SPOILT,
    VENDOR_WIDE,
    WAIT_AT_MOST_S,
    Here,
    Mark,
    Next,
    after_abstention,
    step,
)
from app.core.values import Failure, FailureKind

ONCE = frozenset({Here.RESTATE, Here.TRIM, Here.YIELD, Here.REKEY})

KEYED = (FailureKind.AUTH, FailureKind.BILLING)

# kind: (the first time, with everything possible; then, with nothing new to try; the deployment; whom next)
TABLE = {
    "rate_limit": ("wait", "wait", "hold", "anyone"),
    "quota_exhausted": ("leave", "leave", "bench", "anyone"),
    "timeout": ("leave", "leave", "none", "faster"),
    "server_error": ("again", "again", "none", "anyone"),
    "overloaded": ("again", "again", "none", "anyone"),
    "malformed": ("restate", "leave", "none", "anyone"),
    "context_length": ("trim", "leave", "none", "wider"),
    "content_filter": ("leave", "leave", "none", "other_vendor"),
    "auth": ("rekey", "leave", "out", "other_vendor"),
    "billing": ("rekey", "leave", "out", "other_vendor"),
    "model_not_found": ("leave", "leave", "out", "anyone"),
    "invalid_request": ("yield", "leave", "none", "nobody"),
    "breaker_open": ("leave", "leave", "none", "anyone"),
    "budget": ("leave", "leave", "none", "anyone"),
    "overdue": ("leave", "leave", "none", "anyone"),
    "ambiguous": ("leave", "leave", "none", "anyone"),
    "privacy": ("leave", "leave", "none", "local"),
}


def test_the_table_has_a_row_for_every_kind() -> None:
    assert set(TABLE) == {kind.value for kind in FailureKind} == {kind.value for kind in MATRIX}


@pytest.mark.parametrize("kind", FailureKind)
def test_each_kind_does_what_its_row_says(kind: FailureKind) -> None:
    first, then, mark, whom = TABLE[kind.value]
    assert step(Failure(kind), 1, 3, able=ONCE).here == first
    now = step(Failure(kind), 2, 3)
    assert (now.here, now.mark, now.next) == (then, mark, whom)
    spent = step(Failure(kind), 3, 3, able=ONCE - {Here.REKEY})
    assert (spent.here, spent.mark, spent.next) == ("leave", mark, whom)


@pytest.mark.parametrize("kind", ["auth", "billing"])
def test_where_there_is_another_key_only_the_key_is_out(kind: str) -> None:
    for used in (1, 3):
        assert step(Failure(FailureKind(kind)), used, 3, able=frozenset({Here.REKEY})).mark is Mark.NONE


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "overloaded"])
def test_the_wait_doubles_from_one_second(kind: str) -> None:
    waits = [step(Failure(FailureKind(kind)), used, 9).delay_s for used in (1, 2, 3)]
    assert waits == [1.0, 2.0, 4.0]


def test_jitter_only_ever_adds_to_a_wait() -> None:
    assert step(Failure(FailureKind.OVERLOADED), 2, 3, jitter=1.0).delay_s == 2.0 * (1 + JITTER)
    assert step(Failure(FailureKind.RATE_LIMIT, retry_after_s=4.0), 1, 3, jitter=0.5).delay_s == 4.0 * (1 + JITTER / 2)


def test_a_vendor_that_says_when_is_taken_at_its_word() -> None:
    assert step(Failure(FailureKind.RATE_LIMIT, retry_after_s=0.2), 1, 3).delay_s == 0.2
    assert step(Failure(FailureKind.RATE_LIMIT, retry_after_s=0.0), 2, 3).delay_s == 0.0
    assert step(Failure(FailureKind.OVERLOADED, retry_after_s=7.0), 1, 3).delay_s == 7.0
    assert step(Failure(FailureKind.SERVER_ERROR, retry_after_s=0.1), 2, 3).delay_s == 2.0


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "overloaded"])
def test_a_vendor_that_wants_too_much_patience_loses_the_seat(kind: str) -> None:
    asked = step(Failure(FailureKind(kind), retry_after_s=WAIT_AT_MOST_S + 1), 1, 3)
    assert (asked.here, asked.delay_s) == (Here.LEAVE, 0.0)


def test_a_hold_lasts_as_long_as_was_asked_for_and_a_bench_until_the_reset() -> None:
    assert step(Failure(FailureKind.RATE_LIMIT, retry_after_s=90.0), 1, 3).mark_s == 90.0
    assert step(Failure(FailureKind.RATE_LIMIT), 1, 3).mark_s == 1.0
    assert step(Failure(FailureKind.QUOTA_EXHAUSTED, retry_after_s=500.0), 1, 3, until_reset_s=9.0).mark_s == 500.0
    assert step(Failure(FailureKind.QUOTA_EXHAUSTED), 1, 3, until_reset_s=40_000.0).mark_s == 40_000.0
    assert step(Failure(FailureKind.QUOTA_EXHAUSTED), 1, 3).mark_s == BENCH_S


def test_what_concerns_the_whole_vendor_and_what_puts_out() -> None:
    assert {kind.value for kind in VENDOR_WIDE} == {"auth", "billing", "content_filter"}
    passing = {"rate_limit", "quota_exhausted", "timeout", "server_error", "overloaded", "breaker_open"}
    assert {kind.value for kind in PASSES} == passing
    assert {kind.value for kind in SPOILT} == {"timeout", "server_error", "overloaded", "malformed"}
    assert {kind.value for kind in GROWS_LOAD} == passing - {"breaker_open"} | {"malformed", "ambiguous"}
    assert {kind.value for kind in PUTS_OUT} == {"auth", "billing", "model_not_found"}


def test_an_answer_that_was_cut_is_asked_for_once_more() -> None:
    assert [after_abstention(used, 3, cut=True) for used in (1, 2, 3)] == [Here.RESTATE, Here.LEAVE, Here.LEAVE]
    assert after_abstention(1, 1, cut=True) is Here.LEAVE
    assert after_abstention(1, 3, cut=False) is Here.LEAVE


@given(
    st.sampled_from(FailureKind),
    st.integers(1, 20),
    st.integers(1, 3),
    st.none() | st.floats(allow_nan=True, allow_infinity=True),
    st.frozensets(st.sampled_from(sorted(ONCE))),
    st.floats(0, 1),
)
def test_no_step_goes_beyond_the_grant_or_waits_without_bound(
    kind: FailureKind, used: int, granted: int, retry_after_s: float | None, able: frozenset[Here], jitter: float
) -> None:
    taken = step(Failure(kind, retry_after_s=retry_after_s), used, granted, able=able, jitter=jitter)
    if used >= granted:
        assert taken.here is Here.LEAVE
    assert taken.here not in ONCE or taken.here in able
    assert 0.0 <= taken.delay_s <= WAIT_AT_MOST_S * (1 + JITTER)
    assert taken.here in (Here.WAIT, Here.AGAIN) or taken.delay_s == 0.0
    if kind in PUTS_OUT or kind is FailureKind.QUOTA_EXHAUSTED:
        assert taken.here in (Here.LEAVE, Here.REKEY)
    assert (taken.mark is Mark.OUT) == (kind in PUTS_OUT and (Here.REKEY not in able or kind not in KEYED))
    assert (taken.next is Next.NOBODY) == (kind is FailureKind.INVALID_REQUEST)
