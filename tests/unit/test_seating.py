"""Seating: who may serve, how large a chunk is, and that the fleet's limits are used to the full.

The fleet here is a model in discrete time, without a clock: providers work off their queues at their pace, either
evenly or in bursts as a rolling window of a minute lets them, and the dispatcher seats chunks whenever it is rung.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ballots import Ballot, Verdict
from app.core.plan import SYNTHESISER, VOICE, Plan
from app.core.recipe import Recipe, parse
from app.core.routing import Wanted
from app.core.seating import Chunk, further_seats, seat_chunk, serving
from app.core.selection import eligible
from app.core.strategies import decide
from app.core.tracks import Track
from app.core.values import Deployment, Price, Tier
from tests.unit.recipes import SHORTEST

HORIZON_S = 20.0


def deployment(name: str, tier: Tier = Tier.CHEAP, family: str = "", **more: Any) -> Deployment:
    provider, _, model = name.partition("/")
    plain = Deployment(provider, model, tier, family or name, context_window=8_000, max_output=1_000)
    return replace(plain, **more)


def track(name: str, pace: float = 1.0, tier: Tier = Tier.CHEAP, family: str = "", **more: Any) -> Track:
    return Track(deployment(name, tier, family), pace, **more)


def wanted(recipe: str = "single-query", tier: Tier = Tier.CHEAP) -> Wanted:
    return Wanted(tier, parse(recipe))


def chunk_of(tracks: Sequence[Track], wish: Wanted, **more: int) -> Chunk | None:
    given = {"available": 1_000, "chunk_size": 25, "seed": 0, **more}
    return seat_chunk(tracks, wish, horizon_s=HORIZON_S, **given)


# Who may serve


@pytest.mark.parametrize(
    ("offered", "wish", "why_not"),
    [
        (deployment("p/m", Tier.CHEAP), wanted(tier=Tier.CHEAP), None),
        (deployment("p/m", Tier.COMPLEX), wanted(tier=Tier.CHEAP), None),
        (deployment("p/m", Tier.CHEAP), wanted(tier=Tier.STANDARD), "tier"),
        (deployment("p/m", Tier.STANDARD), wanted(tier=Tier.COMPLEX), "tier"),
        (deployment("p/m", Tier.COMPLEX), wanted(tier=Tier.PRIVATE), "privacy"),
        (deployment("p/m", Tier.CHEAP, local=True), wanted(tier=Tier.PRIVATE), None),
        (deployment("p/m"), replace(wanted(), needs=frozenset({"json"})), "capabilities"),
        (
            deployment("p/m", capabilities=frozenset({"json", "code"})),
            replace(wanted(), needs=frozenset({"json"})),
            None,
        ),
        (deployment("p/m"), replace(wanted(), min_context=8_001), "context"),
        (deployment("p/m"), replace(wanted(), min_context=8_000), None),
        (deployment("p/m"), replace(wanted(), priced=True), "unpriced"),
        (deployment("p/m", price=Price(0, 0)), replace(wanted(), priced=True), None),
    ],
)
def test_a_constraint_that_forbids_is_named(offered: Deployment, wish: Wanted, why_not: str | None) -> None:
    assert eligible(offered, wish) == why_not


def names(tracks: Sequence[Track]) -> list[str]:
    return [t.deployment.name for t in tracks]


def test_higher_tiers_serve_only_where_families_are_short() -> None:
    cheap = [track("a/1", family="A"), track("b/1", family="A"), track("c/1", family="C")]
    standard, complex_ = track("d/1", tier=Tier.STANDARD), track("e/1", tier=Tier.COMPLEX)
    fleet = [complex_, standard, *cheap]
    assert names(serving(fleet, wanted("majority-vote(council=2)"))) == names(cheap)
    assert names(serving(fleet, wanted("majority-vote(council=3)"))) == names([*cheap, standard])
    assert names(serving(fleet, wanted("majority-vote(council=4)"))) == names([*cheap, standard, complex_])
    assert names(serving(fleet, wanted(tier=Tier.STANDARD))) == names([standard])


private_fleets = st.lists(
    st.tuples(st.booleans(), st.sampled_from([Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX])), max_size=8
)


@given(private_fleets, st.sampled_from(SHORTEST))
def test_a_private_item_never_leaves_the_house(offers: list[tuple[bool, Tier]], strategy: str) -> None:
    fleet = [Track(deployment(f"p{n}/m", tier, local=local), 1.0) for n, (local, tier) in enumerate(offers)]
    local = {t.deployment.name for t in fleet if t.deployment.local}
    wish = wanted(strategy, Tier.PRIVATE)
    chunk = chunk_of(fleet, wish)
    assert (chunk is None) == (not local)
    if chunk is not None:
        later = further_seats(fleet, wish, chunk.plan, frozenset())
        assert {s.deployment for s in (*chunk.plan.seats, *later)} == local


# How large a chunk is


@pytest.mark.parametrize(
    ("pace", "size"),
    [(5 / 60, 1), (6 / 60, 2), (0.5, 10), (1.0, 20), (1.25, 25), (100.0, 25)],
)
def test_a_chunk_is_what_its_slowest_seat_answers_within_the_horizon(pace: float, size: int) -> None:
    fleet = [track("slow/m", pace), track("fast/m", 50.0)]
    chunk = chunk_of(fleet, wanted("majority-vote(council=2)"))
    assert chunk is not None
    assert chunk.size == size


def test_a_chunk_is_never_larger_than_what_is_there() -> None:
    chunk = chunk_of([track("fast/m", 50.0)], wanted(), available=3)
    assert chunk is not None
    assert chunk.size == 3


def test_room_in_the_window_counts_whatever_the_pace() -> None:
    slow = track("slow/m", 0.1, room=18.0, queued=6.0)
    chunk = chunk_of([slow], wanted())
    assert chunk is not None
    assert chunk.size == 12


def test_no_chunk_where_no_track_has_room_within_the_horizon() -> None:
    assert chunk_of([], wanted()) is None
    assert chunk_of([track("full/m", 1.0, queued=20.0)], wanted()) is not None
    assert chunk_of([track("full/m", 1.0, queued=20.5)], wanted()) is None
    assert chunk_of([track("shut/m", 1.0, opens_s=float("inf"))], wanted()) is None
    assert chunk_of([track("full/m", 1.0, queued=21.0), track("free/m")], wanted("majority-vote")) is None


def test_a_track_takes_no_more_than_its_horizon_and_one_chunk() -> None:
    for pace in (0.05, 0.2, 1.0, 7.0):
        only = track("only/m", pace)
        while (chunk := chunk_of([only], wanted())) is not None:
            assert only.queued <= pace * HORIZON_S + chunk.size
        assert only.queued > pace * HORIZON_S


def test_siblings_share_the_load_of_their_account() -> None:
    one, two = track("p/1"), track("p/2")
    one.siblings, two.siblings = [two], [one]
    assert chunk_of([one, two], wanted()) is not None
    assert one.queued == two.queued == 20.0


# Who is seated


def test_the_soonest_free_is_asked_first_and_the_rest_is_the_bench() -> None:
    fleet = [track("busy/m", queued=9.0), track("idle/m"), track("half/m", queued=4.0)]
    chunk = chunk_of(fleet, wanted())
    assert chunk is not None
    assert [s.deployment for s in chunk.plan.seats] == ["idle/m", "half/m", "busy/m"]


def test_of_equally_free_the_better_the_cheaper_and_the_faster() -> None:
    better = Track(deployment("z/better", quality=0.9), 1.0)
    plain, dear = Track(deployment("a/plain"), 1.0), track("a/dear", cost_micro=900.0)
    slow = track("a/slow", latency_ms=9_000.0)
    chunk = chunk_of([dear, slow, plain, better], wanted())
    assert chunk is not None
    assert [s.deployment for s in chunk.plan.seats] == ["z/better", "a/plain", "a/slow", "a/dear"]


def test_a_slow_seat_is_not_first_on_the_bench_of_a_large_chunk() -> None:
    """It is free now, but would need a minute for the third voices of a chunk of 25."""
    fleet = [track("a/1", 10.0), track("b/1", 10.0), track("slow/m", 0.15), track("quick/m", 10.0, queued=10.0)]
    chunk = chunk_of(fleet, wanted("majority-vote"))
    assert chunk is not None and chunk.size == 25
    assert [s.deployment for s in chunk.plan.seats] == ["a/1", "b/1", "quick/m", "slow/m"]


def test_a_ranking_goes_by_quality_whatever_the_load() -> None:
    best = Track(deployment("best/m", quality=0.9), 1.0, queued=15.0)
    chunk = chunk_of([track("idle/m"), best], wanted("ranked-fallback"))
    assert chunk is not None
    assert [s.deployment for s in chunk.plan.seats] == ["best/m", "idle/m"]


def test_the_writers_are_the_strongest_and_sit_behind_the_voices() -> None:
    fleet = [Track(deployment(f"p{n}/m", quality=n / 10), 1.0) for n in range(5)]
    fleet.append(Track(deployment("top/m", Tier.COMPLEX, quality=0.95), 1.0))
    chunk = chunk_of(fleet, wanted("synthesize-best"))
    assert chunk is not None
    writers = [s.deployment for s in chunk.plan.seats if s.role == SYNTHESISER]
    assert writers == ["top/m", "p4/m", "p3/m"]
    assert [s.role for s in chunk.plan.seats] == [VOICE] * 5 + [SYNTHESISER] * 3


fleets = st.lists(
    st.tuples(st.sampled_from("ABCDEF"), st.floats(0.01, 50.0), st.floats(0.0, 100.0), st.floats(0.0, 50.0)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300)
@given(fleets, st.sampled_from(SHORTEST), st.integers(1, 7), st.booleans())
def test_the_first_wave_is_of_distinct_families_with_room(
    offers: list[tuple[str, float, float, float]], strategy: str, council: int, full: bool
) -> None:
    fleet = [track(f"p{n}/m", pace, family=f, queued=q, room=r) for n, (f, pace, q, r) in enumerate(offers)]
    before = {t.deployment.name: (t.free_in_s(), t.queued) for t in fleet}
    recipe = parse(strategy, council, full)
    chunk = chunk_of(fleet, Wanted(Tier.CHEAP, recipe))
    if chunk is None:
        return
    move = decide(chunk.plan, ())
    assert not isinstance(move, Verdict)
    first = [chunk.plan.seats[ask.seat] for ask in move]
    assert len({s.family for s in first}) == len(first)
    assert all(before[s.deployment][0] <= HORIZON_S for s in first)
    assert 1 <= chunk.size <= 25
    for seat in first:
        taken = next(t for t in fleet if t.deployment.name == seat.deployment)
        assert taken.queued >= before[seat.deployment][1] + chunk.size


def test_a_longer_bench_leaves_out_those_that_were_called() -> None:
    fleet = [Track(deployment(f"p{n}/m", quality=n / 10), 1.0) for n in range(4)]
    wish = wanted("synthesize-best")
    chunk = chunk_of(fleet, wish)
    assert chunk is not None
    more = further_seats(fleet, wish, chunk.plan, frozenset({"p3/m", "p0/m"}))
    assert [s.deployment for s in more if s.role == VOICE] == ["p2/m", "p1/m"]
    assert [s.deployment for s in more if s.role == SYNTHESISER] == ["p2/m", "p1/m"]


# How much of the limits is used


@dataclass
class Provider:
    """``rpm`` calls a minute: evenly, or, with ``bursts``, as many at once as a rolling window lets through."""

    deployment: Deployment
    rpm: int
    bursts: bool
    queue: deque[list[int]] = field(default_factory=deque)
    """[group, seat, calls left]"""
    sent: deque[tuple[float, int]] = field(default_factory=deque)
    credit: float = 0.0
    done: int = 0

    @property
    def pace(self) -> float:
        return self.rpm / 60

    @property
    def used(self) -> int:
        return sum(calls for _, calls in self.sent)

    def track(self, now: float) -> Track:
        left = self.rpm - self.used
        opens_s = 0.0 if left or not self.bursts else self.sent[0][0] + 60 - now
        return Track(
            self.deployment, self.pace, queued=sum(calls for *_, calls in self.queue),
            room=float(left) if self.bursts else 0.0, opens_s=opens_s,
        )  # fmt: skip

    def work(self, now: float, step_s: float) -> list[list[int]]:
        """The asks that were answered to their end in this step."""
        while self.sent and self.sent[0][0] <= now - 60:
            self.sent.popleft()
        # What an idle provider does not use is lost to it.
        self.credit = (self.credit if self.queue else min(self.credit, 1.0)) + self.pace * step_s
        allowed = left = self.rpm - self.used if self.bursts else int(self.credit)
        finished = []
        while self.queue and left:
            ask = self.queue[0]
            calls = min(ask[2], left)
            ask[2] -= calls
            left -= calls
            if not ask[2]:
                finished.append(self.queue.popleft())
        calls = allowed - left
        self.credit -= calls
        self.done += calls
        if calls and self.bursts:
            self.sent.append((now, calls))
        return finished


@dataclass
class Yard:
    """A job that never runs dry, on those providers; two voices differ with the chance ``differ``."""

    providers: list[Provider]
    recipe: Recipe
    differ: float
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    groups: list[tuple[Plan, int, set[int]]] = field(default_factory=list)
    """Plan, items, seats that are still open."""
    wish: Wanted | None = None
    """What the job wants; else no more than its recipe."""
    deepest_s: float = 0.0
    """The longest that any provider needed for its queue, just after the dispatcher had been there."""

    def run(self, seconds: int, *, step_s: float = 0.25, bell_s: float = 1.0) -> None:
        bells = round(bell_s / step_s)
        for step in range(round(seconds / step_s)):
            now = step * step_s
            if step % bells == 0:
                self._dispatch(now)
            for provider in self.providers:
                for group, seat, _ in provider.work(now, step_s):
                    self._heard(group, seat)

    def _dispatch(self, now: float) -> None:
        tracks = [p.track(now) for p in self.providers]
        wish = self.wish or Wanted(Tier.CHEAP, self.recipe)
        while (chunk := chunk_of(tracks, wish, seed=len(self.groups))) is not None:
            self._ask(chunk.plan, chunk.size, ())
        self.deepest_s = max(self.deepest_s, *(p.track(now).queued / p.pace for p in self.providers))

    def _ask(self, plan: Plan, items: int, ballots: Sequence[Ballot]) -> None:
        move = decide(plan, ballots)
        assert not isinstance(move, Verdict)
        seats = sorted(ask.seat for ask in move)
        for seat in seats:
            provider = next(p for p in self.providers if p.deployment.name == plan.seats[seat].deployment)
            provider.queue.append([len(self.groups), seat, items])
        self.groups.append((plan, 0 if ballots else items, set(seats)))

    def _heard(self, group: int, seat: int) -> None:
        plan, items, still_open = self.groups[group]
        still_open.remove(seat)
        if still_open or plan.recipe.full or plan.recipe.strategy != "majority-vote":
            return
        differing = sum(self.rng.random() < self.differ for _ in range(items))
        if differing:
            move = decide(plan, ())
            assert not isinstance(move, Verdict)
            asked = sorted(ask.seat for ask in move)
            self._ask(plan, differing, [Ballot(s, f"label {s}") for s in asked])


def most_calls_per_s(paces: Sequence[float], voices: float) -> float:
    """The bound that distinct voices leave: T items a second need ``voices`` * T calls, and no provider can give an
    item more than one; so the largest T with sum(min(pace, T)) >= voices * T."""
    low, high = 0.0, sum(paces)
    for _ in range(60):
        middle = (low + high) / 2
        if sum(min(pace, middle) for pace in paces) >= voices * middle:
            low = middle
        else:
            high = middle
    return min(sum(paces), voices * low)


RPM = {
    "free tiers": (5, 10, 10, 15, 20, 20, 30, 30, 30, 30, 60, 60),
    "one far ahead": (5, 10, 15, 20, 30, 30, 60, 60, 100, 300, 600, 1_000),
    "fast": (60, 60, 120, 120, 180, 240, 300, 300, 480, 600, 600, 900),
}


@pytest.mark.parametrize("bursts", [False, True], ids=["even", "bursts"])
@pytest.mark.parametrize("fleet", RPM)
@pytest.mark.parametrize(
    ("recipe", "differ", "voices"),
    [
        ("single-query", 0.0, 1.0),
        ("majority-vote", 0.0, 2.0),
        ("majority-vote", 0.15, 2.15),
        ("majority-vote", 0.35, 2.35),
        ("majority-vote(full=true)", 0.0, 3.0),
    ],
)
def test_the_limits_are_used(fleet: str, recipe: str, differ: float, voices: float, bursts: bool) -> None:
    """Ninety-five in a hundred of the bound at the least, from the first second of five minutes on.

    A little more than all of it is calls whose items are not yet finished when the five minutes are over. And nobody
    waits long: a queue may pass the horizon by a chunk and the third voices that come back, not by more.
    """
    minutes = 5
    providers = [
        Provider(deployment(f"p{n:02}/m", quality=0.5 + 0.03 * (n % 7)), rpm, bursts)
        for n, rpm in enumerate(RPM[fleet])
    ]
    yard = Yard(providers, parse(recipe), differ)
    yard.run(60 * minutes)
    bound = most_calls_per_s([p.pace for p in providers], voices)
    use = sum(p.done for p in providers) / (bound * 60 * minutes)
    share = bound / sum(p.pace for p in providers)
    print(
        f"{recipe}, {differ} differ: {use:.3f} of the bound, itself {share:.2f} of the limits; {yard.deepest_s:.0f} s"
    )
    assert use >= 0.95
    assert bursts or yard.deepest_s <= 3 * HORIZON_S
    assert all(p.done <= p.rpm * minutes for p in providers)


@pytest.mark.parametrize("voices", [1.0, 2.0, 2.35, 3.0])
def test_the_bound_is_one_voice_a_council(voices: float) -> None:
    assert most_calls_per_s([1.0] * 12, voices) == pytest.approx(12.0)
    # Two can only agree as fast as the slower of them speaks.
    assert most_calls_per_s([1.0, 100.0], 2.0) == pytest.approx(2.0)
    assert most_calls_per_s([1.0, 100.0], 1.0) == pytest.approx(101.0)
