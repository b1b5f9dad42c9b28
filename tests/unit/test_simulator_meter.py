"""The judge's windows are judged by the plainest model of them there is: look at every call ever let in."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.simulator.fleet import Limits
from app.simulator.meter import Meter

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


def let_in(meter: Meter, now: float, tokens: int, limits: Limits, wall: float = NOON) -> str | None:
    refusal = meter.refusal(now, wall, tokens, limits)
    if refusal is not None:
        return refusal.rule
    meter.settle(meter.admit(now, wall, tokens, limits), 0)
    return None


def test_a_call_counts_until_sixty_seconds_after_it_came_and_not_at_that_moment():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(rpm=2)
    assert let_in(meter, 0.0, 1, limits) is None
    assert let_in(meter, 10.0, 1, limits) is None
    assert let_in(meter, 59.999, 1, limits) == "rpm"
    assert let_in(meter, 60.0, 1, limits) is None
    assert let_in(meter, 69.999, 1, limits) == "rpm"
    assert let_in(meter, 70.0, 1, limits) is None


def test_a_refusal_says_when_the_call_would_be_let_in():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(rpm=3, tpm=100)
    for now, tokens in ((0.0, 30), (5.0, 30), (9.0, 40)):
        assert let_in(meter, now, tokens, limits) is None
    by_requests = meter.refusal(20.0, NOON, 1, limits)
    assert by_requests is not None
    assert (by_requests.rule, by_requests.used, by_requests.wait_s) == ("rpm", 3, 40.0)
    by_tokens = meter.refusal(20.0, NOON, 50, Limits(tpm=100))
    assert by_tokens is not None
    assert (by_tokens.rule, by_tokens.used, by_tokens.wait_s) == ("tpm", 100, 45.0)
    assert let_in(meter, 65.0, 50, Limits(tpm=100)) is None


def test_output_tokens_count_from_the_moment_the_call_arrived():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(tpm=100)
    entry = meter.admit(0.0, NOON, 40, limits)
    assert meter.refusal(30.0, NOON, 60, limits) is None
    meter.settle(entry, 50)
    assert meter.refusal(59.9, NOON, 11, limits) is not None
    assert meter.refusal(59.9, NOON, 10, limits) is None
    assert meter.refusal(60.0, NOON, 100, limits) is None


def test_output_that_comes_after_its_window_is_gone_changes_no_window():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(tpm=100)
    entry = meter.admit(0.0, NOON, 40, limits)
    assert meter.refusal(61.0, NOON, 100, limits) is None
    meter.settle(entry, 500)
    assert meter.refusal(61.0, NOON, 100, limits) is None
    assert meter.max_tokens == 540
    assert meter.overruns == 1


def test_a_failed_call_keeps_its_place_and_gives_its_tokens_back():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(rpm=1, tpm=100)
    meter.settle(meter.admit(0.0, NOON, 80, limits), None)
    assert meter.refusal(1.0, NOON, 100, Limits(tpm=100)) is None
    assert meter.refusal(1.0, NOON, 1, limits) is not None


def test_the_day_ends_at_midnight_where_the_provider_lives():
    zone = ZoneInfo("America/Los_Angeles")
    meter, limits = Meter(zone), Limits(rpd=1, tpd=1000)
    before = datetime(2026, 3, 8, 23, 59, 59, tzinfo=zone).timestamp()  # the day the clocks go forward there
    assert let_in(meter, 0.0, 1, limits, before) is None
    refusal = meter.refusal(0.5, before + 0.5, 1, limits)
    assert refusal is not None
    assert refusal.rule == "rpd"
    assert refusal.wait_s == pytest.approx(0.5)
    assert let_in(meter, 1.0, 1, limits, before + 1) is None


def test_concurrency_counts_calls_in_progress():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(concurrency=2)
    first = meter.admit(0.0, NOON, 1, limits)
    meter.admit(0.0, NOON, 1, limits)
    refusal = meter.refusal(0.0, NOON, 1, limits)
    assert refusal is not None
    assert refusal.rule == "concurrency"
    meter.settle(first, 1)
    assert meter.refusal(0.0, NOON, 1, limits) is None
    assert meter.max_in_flight == 2


knocks = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40), st.integers(0, 40)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(knocks, st.integers(1, 6), st.integers(30, 120))
def test_agrees_with_looking_at_every_call(calls: list[tuple[int, int, int]], rpm: int, tpm: int):
    meter, limits = Meter(ZoneInfo("UTC")), Limits(rpm=rpm, tpm=tpm)
    let_in: list[tuple[int, int, int]] = []
    arrived = sorted(at for at, _, _ in calls)
    for at, (_, prompt, output) in zip(arrived, calls, strict=True):
        window = [call for call in let_in if at - 60 < call[0]]
        used = sum(tokens + said for _, tokens, said in window)
        expected = "rpm" if len(window) >= rpm else "tpm" if used + prompt > tpm else None
        meter.arrive(at)
        refusal = meter.refusal(at, NOON, prompt, limits)
        assert (refusal.rule if refusal else None) == expected
        if refusal is None:
            meter.settle(meter.admit(at, NOON, prompt, limits), output)
            let_in.append((at, prompt, output))
    ends = [[call for call in let_in[: place + 1] if let_in[place][0] - 60 < call[0]] for place in range(len(let_in))]
    assert meter.max_requests == max(map(len, ends), default=0)
    assert meter.max_tokens == max((sum(a + b for _, a, b in window) for window in ends), default=0)
    assert meter.max_arrivals == max((sum(at - 60 < other <= at for other in arrived) for at in arrived), default=0)


def test_an_hour_rolls_and_a_refusal_says_when_it_has_room_again():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(rph=2, tph=100)
    assert let_in(meter, 0.0, 40, limits) is None
    assert let_in(meter, 600.0, 40, limits) is None
    by_requests = meter.refusal(1000.0, NOON, 1, limits)
    assert by_requests is not None
    assert (by_requests.rule, by_requests.used, by_requests.wait_s) == ("rph", 2, 2600.0)
    by_tokens = meter.refusal(1000.0, NOON, 50, Limits(tph=100))
    assert by_tokens is not None
    assert (by_tokens.rule, by_tokens.used, by_tokens.wait_s) == ("tph", 80, 2600.0)
    assert let_in(meter, 3599.9, 1, limits) == "rph"
    assert let_in(meter, 3600.0, 1, limits) is None


def test_output_counts_in_the_hour_and_the_month_too():
    meter, limits = Meter(ZoneInfo("UTC")), Limits(tph=100, tpmo=1000)
    meter.settle(meter.admit(0.0, NOON, 40, limits), 50)
    assert {rule: s.remaining for rule, s in meter.standings(1.0, NOON, limits).items()} == {"tph": 10, "tpmo": 910}
    meter.settle(meter.admit(2.0, NOON, 5, limits), None)
    assert {rule: s.remaining for rule, s in meter.standings(3.0, NOON, limits).items()} == {"tph": 10, "tpmo": 910}


@pytest.mark.parametrize(
    ("zone", "last_day", "days"),
    [
        ("Europe/Berlin", date(2026, 3, 31), 31),  # with the day the clocks go forward there
        ("America/Los_Angeles", date(2026, 12, 31), 31),
        ("Asia/Kolkata", date(2028, 2, 29), 29),
    ],
)
def test_a_month_ends_at_midnight_where_the_provider_lives(zone: str, last_day: date, days: int):
    home = ZoneInfo(zone)
    meter, limits = Meter(home), Limits(rpmo=2)
    first = datetime.combine(last_day.replace(day=1), time(), home).timestamp()
    last = datetime.combine(last_day, time(23, 59, 59), home).timestamp()
    assert let_in(meter, 0.0, 1, limits, first) is None
    assert meter.month_left_s(first) == last + 1 - first
    assert round(meter.month_left_s(first) / 86_400) == days
    assert let_in(meter, 1.0, 1, limits, last) is None
    refusal = meter.refusal(1.5, last + 0.5, 1, limits)
    assert refusal is not None
    assert (refusal.rule, refusal.wait_s) == ("rpmo", 0.5)
    assert let_in(meter, 2.0, 1, limits, last + 1) is None


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 40)), max_size=40), st.integers(1, 5), st.integers(30, 90)
)
def test_an_hour_agrees_with_looking_at_every_call(calls: list[tuple[int, int]], rph: int, tph: int):
    meter, limits = Meter(ZoneInfo("UTC")), Limits(rph=rph, tph=tph)
    inside: list[tuple[int, int]] = []
    for at, prompt in sorted(calls):
        window = [call for call in inside if at - 3600 < call[0]]
        used = sum(tokens for _, tokens in window)
        expected = "rph" if len(window) >= rph else "tph" if used + prompt > tph else None
        assert let_in(meter, at, prompt, limits) == expected
        if expected is None:
            inside.append((at, prompt))
