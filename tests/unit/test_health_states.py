"""The states of health: a table of what each look does, and what no run of looks may do."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.health import Evidence, Known, Sign, Spell, State, Traffic, by_slot, in_words, judge

H, D, X, O = State.HEALTHY, State.DEGRADED, State.DOWN, State.OUT  # noqa: E741
A, BUSY, F, R = Sign.ANSWERED, Sign.BUSY, Sign.FAILED, Sign.REFUSED


def failing(percent: float, calls: int = 1000) -> Traffic:
    return Traffic(calls, round(calls * percent / 100), 300.0, 1.0, 0.01)


def slow(times: float, p95_ms: float = 5000.0, of_timeout: float = 0.1) -> Traffic:
    return Traffic(100, 0, p95_ms, times, of_timeout)


FINE = failing(1)

TABLE: list[tuple[State | None, list[Evidence], State | None]] = [
    # who was never seen takes what the first look says
    (None, [A], H), (None, [F], X), (None, [R], O), (None, [BUSY], H), (None, [FINE], H), (None, [failing(20)], D),
    (None, [None], None),
    # for the worse: two looks, the milder of both; out at once
    (H, [failing(12)], H), (H, [failing(12), failing(12)], D), (H, [failing(12), failing(60)], D),
    (H, [failing(60), failing(12)], D), (H, [failing(60), failing(60)], X), (H, [F], H), (H, [F, F], X),
    (H, [failing(60), F], X), (H, [R], O), (D, [R], O), (X, [R], O), (D, [F, F], X),
    # a good look between begins anew
    (H, [failing(12), FINE, failing(12)], H), (H, [F, A, F], H),
    # no evidence neither helps nor harms
    (H, [F, None, F], X), (D, [None, None], D),
    # for the better: two looks, the more careful of both
    (D, [FINE], D), (D, [FINE, FINE], H), (D, [A, A], H), (X, [A], X), (X, [A, A], H), (X, [A, failing(12)], D),
    (X, [failing(12), A], D), (X, [FINE, FINE], H), (O, [A], O), (O, [A, A], H), (D, [F, A], D),
    # out: nothing but an answer
    (O, [FINE, FINE], O), (O, [BUSY, BUSY], O), (O, [F, F], O), (O, [A, F, A], H), (O, [A, R, A], O),
    # thresholds, and what lies between them changes nothing
    (H, [failing(9.9)] * 5, H), (H, [failing(10)] * 2, D), (D, [failing(5)] * 5, D), (D, [failing(4.9)] * 2, H),
    (H, [failing(49.9)] * 2, D), (H, [failing(50)] * 2, X), (X, [failing(7)] * 2, D),
    # slow: three times the usual, back under twice; never where it is quick all the same
    (H, [slow(3.0)] * 2, D), (H, [slow(2.9)] * 2, H), (D, [slow(2.5)] * 2, D), (D, [slow(1.9)] * 2, H),
    (H, [slow(9.0, p95_ms=900)] * 2, H), (H, [slow(1.0, of_timeout=0.5)] * 2, D),
    (H, [slow(1.0, of_timeout=0.4)] * 2, H),
    (D, [slow(1.0, of_timeout=0.4)] * 2, D), (H, [Traffic(100, 0)] * 2, H),
    # few calls: no rate
    (D, [Traffic(2, 0)] * 2, H), (H, [Traffic(3, 3)] * 2, X), (H, [Traffic(2, 2)] * 2, H), (H, [Traffic(9, 8)] * 2, H),
    (D, [Traffic(0, 0)] * 2, D),
]  # fmt: skip


@pytest.mark.parametrize(("before", "looks", "after"), TABLE)
def test_looks(before: State | None, looks: list[Evidence], after: State | None) -> None:
    known = Known(before)
    for evidence in looks:
        known = judge(known, evidence)
    assert known.state == after


def walk(evidence: list[Evidence], known: Known) -> list[State | None]:
    states = [known.state]
    for each in evidence:
        known = judge(known, each)
        states.append(known.state)
    return states


def changes(states: list[State | None]) -> list[int]:
    return [n for n in range(1, len(states)) if states[n] != states[n - 1]]


traffic = st.builds(
    lambda calls, share, p95, times, of: Traffic(calls, int(calls * share), p95, times, of),
    st.integers(0, 200), st.floats(0, 1), st.floats(1, 60_000), st.floats(0.1, 10), st.floats(0, 1),
)  # fmt: skip
anything = st.one_of(traffic, st.sampled_from(Sign), st.none())
some_state = st.sampled_from([H, D, X])


@given(st.lists(anything, max_size=40), st.sampled_from([None, *State]))
def test_only_a_refusal_puts_out_and_only_answers_bring_back(looks: list[Evidence], start: State | None) -> None:
    known = Known(start)
    for evidence in looks:
        after = judge(known, evidence)
        if after.state is O and known.state is not O:
            assert evidence is R
        if known.state is O and after.state is not O:
            assert evidence is A
        assert (after.leaning is None) == (after.streak == 0)
        assert after.leaning != after.state or after.leaning is None
        known = after


@given(st.lists(st.one_of(traffic, st.sampled_from([A, BUSY, F]), st.none()), max_size=60), some_state)
def test_between_two_changes_lie_two_looks(looks: list[Evidence], start: State) -> None:
    at = changes(walk(looks, Known(start)))
    assert all(b - a >= 2 for a, b in zip([0, *at], at, strict=False))


@given(st.lists(st.floats(5.0, 9.9), max_size=60), st.floats(2.0, 2.99), st.sampled_from([H, D]))
def test_noise_between_the_thresholds_changes_nothing(rates: list[float], times: float, start: State) -> None:
    looks: list[Evidence] = [Traffic(1000, max(50, int(r * 10)), 5000.0, times, 0.1) for r in rates]
    assert changes(walk(looks, Known(start))) == []


@given(st.lists(st.floats(6.0, 14.0), max_size=60))
def test_noise_around_one_threshold_changes_it_once(rates: list[float]) -> None:
    assert len(changes(walk([failing(r) for r in rates], Known(H)))) <= 1


@given(st.lists(st.tuples(st.floats(0, 4.9), st.floats(10, 49)), max_size=30), some_state)
def test_looks_that_contradict_each_other_change_nothing(rates: list[tuple[float, float]], start: State) -> None:
    looks = [failing(r) for pair in rates for r in pair]
    assert len(changes(walk(looks, Known(start)))) <= (1 if start is X else 0), "down, both say better than that"


def test_what_is_said_of_it() -> None:
    assert in_words(FINE) is None
    assert in_words(failing(14)) == "140 of 1000 calls failed (14%)"
    assert in_words(slow(3.4, 4100)) == "p95 latency 4.1 s, 3.4 times the usual"
    assert in_words(Traffic(100, 20, 40_000, None, 0.7)) == "20 of 100 calls failed (20%); p95 latency 40.0 s"


NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def at(hour: float) -> dt.datetime:
    return NOON + dt.timedelta(hours=hour)


def test_a_slot_shows_the_worst_that_was_in_it() -> None:
    spells = [Spell(at(1), at(2.4), H), Spell(at(2.4), at(2.6), O), Spell(at(2.6), at(4), X), Spell(at(4), at(9), D)]
    assert by_slot(spells, at(0), at(6), 6) == [None, H, O, X, D, D]
    assert by_slot([], at(0), at(6), 3) == [None] * 3
