"""Quotas over their day: scarce and strong ones last until the evening, none is kept until it is worthless, and where
there is enough nothing is planned.

The day is a model in steps of five minutes: the seating itself seats easy and hard items on a strong deployment with a
daily quota and on two weak ones without, and what is seated is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.quotas import Demand, Quota, Ration, Stock, rations
from app.core.recipe import parse
from app.core.routing import Lane, Wanted
from app.core.tracks import Track
from app.core.values import Tier
from tests.unit.test_seating import chunk_of, deployment

DAY_S = 86_400.0
STEP_S = 300.0
WEAK_PACE = 0.1
STRONG = deployment("top/strong", Tier.STANDARD, quality=0.85)
WEAK = [deployment(f"w{n}/weak", Tier.STANDARD, quality=0.6) for n in range(4)]
EASY = Wanted(Tier.STANDARD, parse("single-query"))
HARD = Wanted(Tier.STANDARD, parse("single-query"), lane=Lane(hard=True))


def quota(left: float, resets_s: float, limit: float = 1_000, period_s: float = DAY_S) -> Quota:
    return Quota("rpd", limit, left, resets_s, period_s)


def ration(left: float, resets_s: float, demand: Demand, *, quality: float = 0.85, queued: float = 0.0) -> Ration:
    stocks = [
        Stock("top/strong", quality, (quota(left, resets_s),), pace=0.5, queued=queued),
        Stock("w0/weak", 0.6),
        Stock("w1/weak", 0.6),
    ]
    (made,) = rations(stocks, {"top/strong": demand})
    return made


@dataclass
class Day:
    """``easy``, ``hard``: items that arrive in the step that begins at this hour. What was done stands in the hours."""

    easy: Callable[[float], float]
    hard: Callable[[float], float]
    planned: bool
    limit: float = 1_000.0
    strong_rpm: float = 30.0
    wish: Wanted = EASY
    """Of the easy items."""
    differ: float = 0.0
    """Share of the items whose first voices differ, so that the first on the bench is asked."""
    left: float = field(init=False)
    waiting_easy: float = 0.0
    waiting_hard: float = 0.0
    hard_on_strong: dict[int, float] = field(default_factory=dict)
    hard_elsewhere: dict[int, float] = field(default_factory=dict)
    easy_on_strong: dict[int, float] = field(default_factory=dict)
    passed_by: int = 0
    """Steps in which easy items had to pass the strong one by."""

    def __post_init__(self) -> None:
        self.left = self.limit

    def run(self) -> Day:
        for step in range(round(DAY_S / STEP_S)):
            now_s = step * STEP_S
            self.waiting_easy += self.easy(now_s / 3600)
            self.waiting_hard += self.hard(now_s / 3600)
            self._dispatch(now_s)
        return self

    def _dispatch(self, now_s: float) -> None:
        day = quota(self.left, DAY_S - now_s, self.limit)
        pace = self.strong_rpm / 60
        open_ = self.left >= 1
        strong = Track(STRONG, pace, room=min(self.left, pace * STEP_S), opens_s=0.0 if open_ else DAY_S - now_s,
                       quotas=(day,))  # fmt: skip
        tracks = [strong, *(Track(d, WEAK_PACE, room=WEAK_PACE * STEP_S) for d in WEAK)]
        if self.planned:
            stocks = [Stock(t.deployment.name, t.deployment.quality, t.quotas, pace=t.pace) for t in tracks]
            (made,) = rations(stocks, {STRONG.name: Demand(self.waiting_easy, hard=self.waiting_hard)})
            strong.spare, strong.spare_late = made.spare, made.spare_late
            self.passed_by += made.spare < 1
        hour = int(now_s // 3600)
        self.waiting_hard = self._seat(tracks, HARD, self.waiting_hard, self.hard_on_strong, hour)
        self.waiting_easy = self._seat(tracks, self.wish, self.waiting_easy, self.easy_on_strong, hour)

    def _seat(self, tracks: list[Track], wish: Wanted, waiting: float, on_strong: dict[int, float], hour: int) -> float:
        while waiting >= 1:
            chunk = chunk_of(tracks, wish, available=int(waiting))
            if chunk is None:
                break
            late = chunk.plan.seats[self.wish.recipe.quorum].deployment if self.differ and wish is not HARD else ""
            if late == STRONG.name:
                self.left -= min(self.left, self.differ * chunk.size)
            called = float(chunk.size)
            if chunk.plan.seats[0].deployment == STRONG.name:
                called = min(called, self.left)  # what its gate refuses goes to the next on the bench
                self.left -= called
                on_strong[hour] = on_strong.get(hour, 0.0) + called
                called = chunk.size - called
            if wish is HARD and called:
                self.hard_elsewhere[hour] = self.hard_elsewhere.get(hour, 0.0) + called
            waiting -= chunk.size
        return waiting


def busy(hour: float) -> float:
    """More easy items than all of them can answer."""
    return 200.0


def evening(hour: float) -> float:
    """Ten hard items an hour, and fifty at eleven at night."""
    return 50.0 if hour == 23.0 else 10.0 if hour == int(hour) else 0.0


def test_the_strong_one_is_there_for_hard_items_at_eleven_at_night() -> None:
    without = Day(busy, evening, planned=False).run()
    assert max(without.easy_on_strong) < 2, "gone by two in the morning"
    assert 23 not in without.hard_on_strong and without.hard_elsewhere[23] == 50
    planned = Day(busy, evening, planned=True).run()
    assert planned.hard_on_strong[23] == 50
    assert sum(planned.hard_elsewhere.values()) == 0, "every hard item of the day had it"
    assert planned.left <= 10, "and next to nothing is left unused"
    shares = [planned.easy_on_strong.get(hour, 0.0) for hour in range(24)]
    print(f"easy ones an hour: {shares}; left at midnight: {planned.left}")
    assert shares[0] <= 150, "no more than one look lets through before the pace of the day is known"
    assert max(shares[1:20]) <= 30, "from then on the easy ones have theirs at an even pace"
    assert sum(shares) >= 600


def test_late_voices_of_a_large_job_leave_something_for_hard_items() -> None:
    """A third of all items come back for a third voice, and the strong one, passed by, is always free first."""
    council = Wanted(Tier.STANDARD, parse("majority-vote"))
    day = Day(busy, evening, planned=True, wish=council, differ=0.35).run()
    assert day.hard_on_strong[23] == 50 and not day.hard_elsewhere
    assert day.left <= 30


def test_with_no_hard_item_all_day_the_kept_part_goes_to_easy_ones_before_the_reset() -> None:
    day = Day(busy, lambda _: 0.0, planned=True).run()
    assert day.left <= 10
    assert sum(day.easy_on_strong.get(hour, 0.0) for hour in range(20, 24)) >= 300


@settings(max_examples=12, deadline=None)
@given(st.integers(50, 3_000), st.integers(0, 40), st.integers(0, 22))
def test_hard_items_of_any_late_hour_find_it_and_nothing_much_is_left(limit: int, an_hour: int, late: int) -> None:
    """However large the quota, as long as it can be called in a day, and the hard ones are fewer than what is kept."""
    hard = min(an_hour, limit // 120)
    day = Day(
        busy, lambda hour: float(hard if hour == int(hour) and hour >= late else 0), planned=True, limit=limit
    ).run()
    assert not day.hard_elsewhere
    assert day.left <= max(5, 0.03 * limit)


@settings(max_examples=12, deadline=None)
@given(st.integers(100, 2_000), st.lists(st.floats(0.5, 1.0), min_size=24, max_size=24))
def test_with_demand_below_the_quota_the_plan_changes_nothing(limit: int, weather: list[float]) -> None:
    steps = DAY_S / STEP_S

    def easy(hour: float) -> float:
        return 0.8 * limit / steps * weather[int(hour)] / max(weather)

    with_plan, without = (Day(easy, lambda _: 0.0, planned, limit=limit).run() for planned in (True, False))
    assert with_plan.passed_by == 0
    assert with_plan.easy_on_strong == without.easy_on_strong


# The line itself

moments = st.floats(1.0, DAY_S)


@given(moments, moments)
def test_the_line_only_falls_and_ends_at_nothing(one: float, other: float) -> None:
    sooner, later = max(one, other), min(one, other)
    assert quota(0, sooner).line() >= quota(0, later).line() >= 0
    assert quota(0, 0.0).line() == 0
    assert quota(0, DAY_S).line() == pytest.approx(1_000)
    assert quota(0, later).line(pace=0.001) <= 0.001 * later, "nothing is kept that could not be called any more"


@given(st.floats(0, 1_000), moments, st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 100))
def test_a_ration_gives_no_more_than_there_is(
    left: float, resets_s: float, easy: float, late: float, hard: float, queued: float
) -> None:
    made = ration(left, resets_s, Demand(easy, late, hard), queued=queued)
    there = max(0.0, left - queued)
    wanted = easy + late + hard + made.quota.expected
    assert made.planned == (wanted > there)
    assert 0 <= made.kept <= there and made.per_hour >= 0
    if made.planned:
        assert 0 <= made.spare <= made.spare_late <= there - min(there, hard)


def test_only_a_strong_ones_quota_is_kept() -> None:
    demand = Demand(easy=50_000)
    assert ration(500, 40_000, demand).planned
    assert not ration(500, 40_000, demand, quality=0.6).planned, "no one is weaker"
    assert not ration(500, 40_000, demand, quality=0.64).planned, "nor by enough to tell"
    assert not ration(500, 40_000, demand, quality=0.3).planned
    alone = Stock("top/strong", 0.85, (quota(500, 40_000),))
    assert not rations([alone], {"top/strong": demand})[0].planned, "nobody else could take the easy ones"


def test_of_several_quotas_the_tightest_counts() -> None:
    month = Quota("rpmo", 9_000, 20, 10 * DAY_S, 30 * DAY_S)
    stocks = [Stock("top/strong", 0.85, (quota(900, 40_000), month)), Stock("w/weak", 0.5)]
    (made,) = rations(stocks, {"top/strong": Demand(easy=10_000)})
    assert made.quota is month and made.spare < 1


def test_what_waits_and_is_hard_is_kept_beyond_the_ordinary_share() -> None:
    many = ration(700, 40_000, Demand(easy=5_000, hard=650))
    few = ration(700, 40_000, Demand(easy=5_000, hard=5))
    assert many.spare <= 50 < few.spare
    assert many.kept >= 650 > few.kept


def test_deployments_without_a_quota_have_no_ration() -> None:
    assert rations([Stock("a/m", 0.5), Stock("b/m", 0.9)], {}) == []
    assert math.isinf(ration(1_000, DAY_S, Demand()).spare)
