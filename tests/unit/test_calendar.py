"""When editions are due: each date once, whatever clocks, beats and nights do."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.newspaper.calendar import Due, coming, due, dues, moment
from app.newspaper.paper import Paper

ZONES = sorted(available_timezones() - {"localtime", "Factory"})
# Days on which some zone's clock was or will be put forward or back, by an hour, half of one, or a whole day.
TURNS = [
    ("Europe/Berlin", dt.date(2026, 3, 29)), ("Europe/Berlin", dt.date(2026, 10, 25)),
    ("America/Havana", dt.date(2026, 3, 8)), ("America/Havana", dt.date(2026, 11, 1)),
    ("America/Sao_Paulo", dt.date(2018, 11, 4)), ("America/Sao_Paulo", dt.date(2019, 2, 17)),
    ("Australia/Lord_Howe", dt.date(2026, 4, 5)), ("Australia/Lord_Howe", dt.date(2026, 10, 4)),
    ("Pacific/Apia", dt.date(2011, 12, 30)), ("Asia/Beirut", dt.date(2026, 3, 29)),
    ("Africa/Casablanca", dt.date(2026, 3, 22)), ("Antarctica/Troll", dt.date(2026, 3, 29)),
]  # fmt: skip

zones = st.sampled_from(ZONES)
dates = st.dates(dt.date(1975, 1, 1), dt.date(2037, 12, 31))
hours = st.times().map(lambda at: at.replace(microsecond=0))
days = st.tuples(zones, dates) | st.sampled_from(TURNS).flatmap(
    lambda turn: st.tuples(st.just(turn[0]), st.integers(-2, 2).map(lambda n: turn[1] + dt.timedelta(days=n)))
)


def paper(zone: str = "UTC", **kinds: Any) -> Paper:
    return Paper.model_validate(
        {
            "title": "t",
            "time_zone": zone,
            "desk": [{"name": "d", "title": "D", "description": "d"}],
            "feed": [{"name": "f", "path": "f"}],
            **kinds,
        }
    )


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type, misc]


def run(made: Paper, looks: list[dt.datetime], latest: dict[str, dt.date] | None = None) -> list[Due]:
    """What is opened by somebody who looks at these moments and remembers."""
    known, opened = dict(latest or {}), []
    for now in looks:
        for each in due(made, now, known):
            known[each.kind] = max(each.date, known.get(each.kind, dt.date.min))
            opened.append(each)
    return opened


@pytest.mark.parametrize(
    ("zone", "date", "at", "expected"),
    [
        ("Europe/Berlin", dt.date(2026, 3, 29), dt.time(2, 30), utc(2026, 3, 29, 1, 0)),  # 02:00 to 03:00 is left out
        ("Europe/Berlin", dt.date(2026, 10, 25), dt.time(2, 30), utc(2026, 10, 25, 0, 30)),  # 02:30 twice
        (
            "Australia/Lord_Howe",
            dt.date(2026, 10, 4),
            dt.time(2, 10),
            utc(2026, 10, 3, 15, 30),
        ),  # half an hour left out
        ("America/Sao_Paulo", dt.date(2018, 11, 4), dt.time(0, 0), utc(2018, 11, 4, 3, 0)),  # no midnight
        ("Pacific/Apia", dt.date(2011, 12, 30), dt.time(5, 0), utc(2011, 12, 30, 10, 0)),  # the date was left out
        ("UTC", dt.date(2026, 11, 20), dt.time(5, 0), utc(2026, 11, 20, 5, 0)),
    ],
)
def test_a_time_that_is_left_out_is_the_first_moment_after_it_and_one_that_comes_twice_the_first(
    zone: str, date: dt.date, at: dt.time, expected: dt.datetime
) -> None:
    assert moment(date, at, ZoneInfo(zone)) == expected


@given(days, hours)
@example(("Pacific/Apia", dt.date(2011, 12, 30)), dt.time(23, 59, 59))
def test_the_moment_is_the_first_at_which_the_clock_says_so(day: tuple[str, dt.date], at: dt.time) -> None:
    zone, date = ZoneInfo(day[0]), day[1]
    wanted = dt.datetime.combine(date, at)

    def says(instant: dt.datetime) -> dt.datetime:
        return instant.astimezone(zone).replace(tzinfo=None)

    found = moment(date, at, zone)
    assert says(found) >= wanted
    assert says(found) == wanted or says(found - dt.timedelta(seconds=1)) < wanted
    # Not the second of two: nowhere in the day before does the clock say it.
    assert all(says(found - dt.timedelta(minutes=15 * n)) != wanted for n in range(1, 97))


@given(zones, dates, hours)
def test_moments_follow_one_another_as_dates_do(zone: str, date: dt.date, at: dt.time) -> None:
    moments = [moment(date + dt.timedelta(days=n), at, ZoneInfo(zone)) for n in range(5)]
    assert all(one <= other for one, other in pairwise(moments))


@given(
    day=days,
    at=hours,
    minutes=st.floats(1, 24 * 60),
    catch_up_hours=st.floats(0, 7 * 24),
    gaps_min=st.lists(st.integers(1, 3 * 24 * 60), min_size=1, max_size=30),
    skews_s=st.lists(st.integers(-600, 600), min_size=1, max_size=3),
)
def test_each_date_is_opened_at_most_once_and_in_order_whoever_looks_whenever_by_whatever_clock(
    day: tuple[str, dt.date],
    at: dt.time,
    minutes: float,
    catch_up_hours: float,
    gaps_min: list[int],
    skews_s: list[int],
) -> None:
    made = paper(day[0], daily={"at": at, "minutes": minutes, "catch_up_hours": catch_up_hours})
    now = dt.datetime.combine(day[1], dt.time(), tzinfo=dt.UTC)
    looks = []
    for n, gap in enumerate(gaps_min):
        now += dt.timedelta(minutes=gap)
        looks.append(now + dt.timedelta(seconds=skews_s[n % len(skews_s)]))
    found = [each.date for each in run(made, looks)]
    assert found == sorted(set(found))


@given(day=days, at=hours, every_min=st.integers(10, 120), start=st.integers(0, 1439), skew_s=st.integers(-300, 300))
def test_no_date_is_left_out_while_somebody_looks(
    day: tuple[str, dt.date], at: dt.time, every_min: int, start: int, skew_s: int
) -> None:
    zone, first = ZoneInfo(day[0]), day[1]
    made = paper(day[0], daily={"at": at, "minutes": 60, "catch_up_hours": 12})
    begin = moment(first, at, zone) - dt.timedelta(minutes=start)
    looks = [begin + dt.timedelta(minutes=every_min * n) for n in range(6 * 1440 // every_min)]
    looks = [now + dt.timedelta(seconds=skew_s * (n % 2)) for n, now in enumerate(looks)]
    latest = {"daily": first - dt.timedelta(days=1)}
    found = [each.date for each in run(made, looks, latest)]
    assert found[:4] == [first + dt.timedelta(days=n) for n in range(4)]
    assert found == sorted(set(found))


@given(zone=zones, date=dates, weekday=st.sampled_from([0, 3, 6]), at=hours)
def test_a_weekly_one_appears_on_its_day_and_once_a_week(zone: str, date: dt.date, weekday: int, at: dt.time) -> None:
    names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    made = paper(zone, daily=None, weekly={"at": at, "on": names[weekday]}, growth={"at": at, "on": names[weekday]})
    begin = moment(date, dt.time(12), ZoneInfo(zone))
    looks = [begin + dt.timedelta(hours=6 * n) for n in range(4 * 22)]
    latest = {"weekly": date, "growth": date}
    found = run(made, looks, latest)
    for kind in ("weekly", "growth"):
        of_kind = [each.date for each in found if each.kind == kind]
        assert len(of_kind) in (3, 4)
        assert all(each.weekday() == weekday for each in of_kind)
        assert all(other - one == dt.timedelta(days=7) for one, other in pairwise(of_kind))


FIVE = {"at": dt.time(5), "minutes": 60.0, "catch_up_hours": 12.0}
YESTERDAY = {"daily": dt.date(2026, 11, 19)}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (utc(2026, 11, 20, 4, 59, 59), None),
        (utc(2026, 11, 20, 5, 0), (utc(2026, 11, 20, 6, 0), False)),
        (utc(2026, 11, 20, 5, 30), (utc(2026, 11, 20, 6, 0), False)),
        (utc(2026, 11, 20, 5, 31), (utc(2026, 11, 20, 6, 31), True)),
        (utc(2026, 11, 20, 18, 0), (utc(2026, 11, 20, 19, 0), True)),
        (utc(2026, 11, 20, 18, 0, 1), None),
    ],
)
def test_an_edition_keeps_its_deadline_with_half_of_its_minutes_left_and_is_caught_up_late_within_the_window(
    now: dt.datetime, expected: tuple[dt.datetime, bool] | None
) -> None:
    found = due(paper(daily=FIVE), now, YESTERDAY)
    assert [(each.deadline_at, each.late) for each in found] == ([] if expected is None else [expected])


def test_nights_that_were_missed_are_caught_up_the_oldest_first() -> None:
    made = paper(daily={**FIVE, "catch_up_hours": 48.0})
    found = due(made, utc(2026, 11, 20, 5, 10), {"daily": dt.date(2026, 11, 15)})
    assert [(each.date.day, each.late) for each in found] == [(18, True), (19, True), (20, False)]


def test_a_paper_that_has_never_appeared_begins_with_its_latest_date() -> None:
    made = paper(daily={**FIVE, "catch_up_hours": 168.0})
    assert [each.date.day for each in due(made, utc(2026, 11, 20, 4, 0), {})] == [19]


def test_a_date_that_was_opened_by_hand_is_not_due_again_nor_is_an_earlier_one() -> None:
    now = utc(2026, 11, 20, 5, 0)
    assert due(paper(daily=FIVE), now, {"daily": dt.date(2026, 11, 20)}) == ()
    assert due(paper(daily=FIVE), now, {"daily": dt.date(2026, 11, 21)}) == ()


@given(day=days, at=hours, start=st.integers(-3000, 3000))
def test_what_is_said_to_come_next_is_what_is_opened_next(day: tuple[str, dt.date], at: dt.time, start: int) -> None:
    made = paper(day[0], daily={"at": at}, weekly={"at": at, "on": "sunday"})
    now = moment(day[1], at, ZoneInfo(day[0])) + dt.timedelta(minutes=start)
    latest = {each.kind: each.date for each in due(made, now, {})}
    found = coming(made, now, latest)
    assert found is not None
    assert found.opens_at > now
    assert due(made, found.opens_at - dt.timedelta(seconds=1), latest) == ()
    assert found in due(made, found.opens_at, latest)


def test_a_paper_without_editions_has_none_to_come() -> None:
    made = paper(daily=None)
    assert coming(made, utc(2026, 11, 20), {}) is None
    assert due(made, utc(2026, 11, 20), {}) == ()


@pytest.mark.parametrize("kind", ["daily", "weekly", "growth"])
def test_the_moments_of_a_making_follow_one_another_and_leave_time_to_print(kind: str) -> None:
    opened, deadline = utc(2026, 11, 20, 5, 0), utc(2026, 11, 20, 6, 40)
    found = dues(opened, deadline, kind)
    desks, lead = found.desks, found.lead
    order = [
        opened, found.merge, found.sort, desks.write, desks.check, desks.rewrite, desks.recheck,
        lead.write, lead.check, lead.rewrite, lead.recheck, found.ship, deadline,
    ]  # fmt: skip
    assert order == sorted(order)
    assert lead.recheck < found.ship < deadline
    minutes = [(each - opened).total_seconds() / 60 for each in order]
    if kind == "daily":
        assert minutes == pytest.approx([0, 10, 28, 66, 78, 85, 90, 93, 95, 96.5, 97.5, 98.5, 100])
    else:
        assert minutes == pytest.approx([0, 0, 0, 0, 0, 0, 0, 55, 72, 84, 95, 98.5, 100])
