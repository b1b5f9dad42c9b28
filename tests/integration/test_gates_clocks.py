"""Daily and monthly quotas with the clock moved over midnights, clock changes, month ends and leap days.

The judge is an independent count: every granted call is put into the local day and month that ``zoneinfo`` shows on the
wall clock at its moment.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.values import Limits
from app.gates.day import day_of, month_of
from app.gates.limits import Denied, Gates, Grant, Known, Scope

_EXAMPLE = Path(__file__).parents[2] / "fleet.example.toml"
EXAMPLE_ZONES = sorted({row.get("quota_reset", "UTC") for row in tomllib.loads(_EXAMPLE.read_text())["provider"]})
# Clocks change at 2, at 3, by half an hour, and at midnight itself, so that a day begins at 1 or has 23 o'clock twice.
CHANGING = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Tehran"]
ZONES = sorted({*EXAMPLE_ZONES, *CHANGING, "Pacific/Apia", "Asia/Kolkata"})
MARGIN = 1_000
HOUR = 3_600_000
QUOTA = 5


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def wall(zone: str, at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))


def next_change(zone: str, after: datetime, months: bool = False) -> int:
    """The first ms at which the wall clock shows another date (or month) than just before, found by bisection."""

    def shown(at_ms: int) -> str:
        return wall(zone, at_ms).strftime("%Y-%m" if months else "%Y-%m-%d")

    low = ms(after)
    high = low
    while shown(high) == shown(low):
        high += HOUR
    low = high - HOUR
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if shown(middle) == shown(low) else (low, middle)
    return high


def offset_changes(zone: str, year: int) -> list[datetime]:
    """Noon of the day before each change of the clock in that year."""
    found = []
    for day in range(365):
        noon = datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        if wall(zone, ms(noon)).utcoffset() != wall(zone, ms(noon) + 24 * HOUR).utcoffset():
            found.append(noon)
    return found


@pytest.fixture
def gates(redis_client: redis.Redis) -> Gates:
    gates = Gates(redis_client)
    gates.clock.test_ms = 0
    return gates


def open_scope(gates: Gates, zone: str, **limits: int) -> Scope:
    scope = Scope(f"provider:{uuid4().hex[:8]}", Limits(**limits), zone)
    assert gates.warm(scope, Known(month=(0, 0)))
    return scope


def ask(gates: Gates, scope: Scope, calls: int = 1) -> Grant | Denied:
    return gates.reserve([scope], calls, calls, lease_s=1)


def full_and_full_again(gates: Gates, zone: str, start: int, rule: str, end: int) -> None:
    """From ``start`` the quota is spent; not one call more goes out before ``end``; then all of it is back."""
    gates.clock.test_ms = start
    scope = open_scope(gates, zone, **{rule: QUOTA})
    assert isinstance(ask(gates, scope, QUOTA), Grant)
    denied = ask(gates, scope)
    assert isinstance(denied, Denied)
    assert start + denied.wait_ms == end, f"{zone}: told {wall(zone, start + denied.wait_ms)}, not {wall(zone, end)}"
    for before in (2 * HOUR, HOUR, HOUR // 2, MARGIN + 1, MARGIN, 1):
        if end - before > start:
            gates.clock.test_ms = end - before
            assert isinstance(ask(gates, scope), Denied)
    gates.clock.test_ms = end
    assert isinstance(ask(gates, scope, QUOTA), Grant)
    assert isinstance(ask(gates, scope), Denied)


_ORDINARY = datetime(2026, 11, 20, 12, tzinfo=UTC)
_DAYS = [
    *((zone, _ORDINARY) for zone in ZONES),
    # The years of their last changes: Iran's clocks stood still from 2022, Samoa's from 2021.
    *((zone, day) for zone in CHANGING for day in offset_changes(zone, 2021 if zone == "Asia/Tehran" else 2026)),
    ("Pacific/Apia", datetime(2011, 12, 29, 20, tzinfo=UTC)),  # the 30th did not exist there
    ("Europe/Berlin", datetime(2028, 2, 28, 12, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2028, 2, 29, 12, tzinfo=UTC)),
]


def test_there_are_clock_changes_to_test() -> None:
    assert len(_DAYS) == len(ZONES) + 2 * len(CHANGING) + 3
    assert {"UTC", "America/Los_Angeles", "Asia/Shanghai"} <= set(EXAMPLE_ZONES)


@pytest.mark.parametrize(("zone", "noon"), _DAYS)
def test_a_days_quota_is_spent_once_and_comes_back_whole_at_midnight(gates: Gates, zone: str, noon: datetime) -> None:
    midnight = next_change(zone, noon)
    full_and_full_again(gates, zone, ms(noon), "rpd", midnight)
    # And the day after, from its first ms to its own end.
    full_and_full_again(gates, zone, midnight, "rpd", next_change(zone, datetime.fromtimestamp(midnight / 1000, UTC)))


_MONTHS = [
    *((zone, _ORDINARY) for zone in ZONES),
    *((zone, datetime(2026, month, 15, tzinfo=UTC)) for zone in ("Europe/Berlin", "UTC") for month in range(1, 13)),
    ("America/Los_Angeles", datetime(2028, 2, 10, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2028, 2, 10, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 2, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 20, tzinfo=UTC)),
]


@pytest.mark.parametrize(("zone", "within"), _MONTHS)
def test_a_months_quota_comes_back_whole_with_the_new_month(gates: Gates, zone: str, within: datetime) -> None:
    full_and_full_again(gates, zone, ms(within), "rpmo", next_change(zone, within, months=True))


def test_a_true_up_over_midnight_leaves_the_new_day_and_month_alone(gates: Gates) -> None:
    end = ms(datetime(2026, 12, 1, tzinfo=ZoneInfo("America/New_York")))
    gates.clock.test_ms = end - 5_000
    scope = open_scope(gates, "America/New_York", tpd=100, tpmo=100)
    old = gates.reserve([scope], 1, 80, lease_s=60)
    assert isinstance(old, Grant)
    assert (old.days, old.months) == (("2026-11-30",), ("2026-11",))
    gates.clock.test_ms = end
    assert isinstance(gates.reserve([scope], 1, 100, lease_s=60), Grant)
    gates.true_up(old, calls=1, reserved_tokens=80, actual_tokens=0)
    assert isinstance(gates.reserve([scope], 1, 1, lease_s=60), Denied)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(ZONES),
    # From 2012: what is tested here is what wall clocks can still do.
    start=st.integers(ms(datetime(2012, 1, 1, tzinfo=UTC)), ms(datetime(2036, 1, 1, tzinfo=UTC))),
    steps=st.lists(
        st.tuples(st.sampled_from([1, 900, 59_000, HOUR // 2, 5 * HOUR, 11 * HOUR, 23 * HOUR]), st.integers(1, 4)),
        min_size=5,
        max_size=40,
    ),
)
def test_no_local_day_or_month_ever_holds_more_than_the_quota(
    gates: Gates, zone: str, start: int, steps: list[tuple[int, int]]
) -> None:
    gates.clock.test_ms = start
    scope = open_scope(gates, zone, rpd=QUOTA, rpmo=12)
    days: Counter[str] = Counter()
    months: Counter[str] = Counter()
    for pause, calls in steps:
        gates.clock.test_ms = now = gates.now_ms() + pause
        # What leaves now may arrive up to the margin later: it is counted there, too.
        dates = {wall(zone, now).date(), wall(zone, now + MARGIN - 1).date()}
        reply = ask(gates, scope, calls)
        fits = all(
            days[str(date)] + calls <= QUOTA and months[f"{date:%Y-%m}"] + calls <= 12 for date in dates
        ) and len(dates) == 1  # fmt: skip
        assert isinstance(reply, Grant) == fits, (wall(zone, now), reply)
        if isinstance(reply, Grant):
            (date,) = dates
            days[str(date)] += calls
            months[f"{date:%Y-%m}"] += calls
    assert max(days.values(), default=0) <= QUOTA
    assert max(months.values(), default=0) <= 12


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ZONES), st.integers(ms(datetime(1975, 1, 1, tzinfo=UTC)), ms(datetime(2036, 1, 1, tzinfo=UTC))))
def test_periods_are_what_the_wall_shows_and_join_without_a_gap(zone: str, now: int) -> None:
    for period, form in ((day_of(zone, now), "%Y-%m-%d"), (month_of(zone, now), "%Y-%m")):
        assert period.start_ms <= now < period.end_ms
        for at in (period.start_ms, now, period.end_ms - 1):
            assert wall(zone, at).strftime(form) == period.id
        assert wall(zone, period.start_ms - 1).strftime(form) < period.id < wall(zone, period.end_ms).strftime(form)
