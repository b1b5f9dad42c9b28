"""The guarantee: its bounds are exact, and over many simulated runs the promise is kept, drift or none."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.guarantee import (
    NEVER,
    Course,
    Evidence,
    Promise,
    course,
    interval,
    most_lost,
    most_lost_so_far,
    rulings,
    score,
)

PROMISE = Promise(0.98, 0.95, "strong/m")


@dataclass(frozen=True)
class World:
    """A simulated job. ``right``: of each cheap voice, how often it says what the strong model says; ``shared``: how
    often all voices fall for the same trap; ``drift``: from this part of the job on, ``after`` holds instead."""

    items: int
    labels: int
    right: float
    shared: float
    level: float
    council: int = 3
    drift: float = 1.0
    after: float = 0.0
    shared_after: float = 0.0

    def item(self, rng: random.Random, at: int) -> tuple[int, bool]:
        """(votes for the winner, is it what the strong model says)"""
        late = at >= self.drift * self.items
        right, shared = (self.after, self.shared_after) if late else (self.right, self.shared)
        if rng.random() < shared:
            return self.council, False
        said = Counter(
            0 if rng.random() < right else rng.randint(1, self.labels - 1) for _ in range(self.council)
        ).most_common(1)[0]
        return said[1], said[0] == 0


@dataclass(frozen=True)
class Played:
    agreement: float
    strong_calls: float
    """Share of the items for which the strong model was asked."""
    stopped: bool


def play(world: World, rng: random.Random) -> Played:
    promise = Promise(world.level, 0.95, "strong/m")
    plan = course(promise, world.items, world.council)
    drawn = [(*world.item(rng, at), rng.random() < plan.rate) for at in range(world.items)]
    audits: list[Evidence] = []
    lost = strong = start = 0
    stopped = False
    for size in plan.blocks:
        block, start = drawn[start : start + size], start + size
        audits.append(evidence([(votes, agrees) for votes, agrees, audited in block if audited], world.council))
        ruling = rulings(promise, plan, audits)[-1]
        stopped = stopped or ruling.stopped
        for votes, agrees, audited in block:
            accepted = not audited and score(votes, world.council) >= ruling.threshold
            lost += accepted and not agrees
            strong += not accepted
    return Played(1 - lost / world.items, strong / world.items, stopped)


def evidence(items: list[tuple[int, bool]], council: int) -> Evidence:
    heard, differ = [0] * (council + 1), [0] * (council + 1)
    for votes, agrees in items:
        heard[votes] += 1
        differ[votes] += not agrees
    return Evidence(tuple(heard), tuple(differ))


def worlds(count: int) -> list[World]:
    """Accuracies, correlations, label counts, levels and sizes of all sorts; every third one drifts."""
    rng = random.Random(4)
    made = []
    for n in range(count):
        drifts = n % 3 == 0
        made.append(
            World(
                items=rng.randint(500, 5_000),
                labels=rng.choice((2, 3, 5, 10, 77)),
                right=rng.uniform(0.6, 0.98),
                shared=rng.choice((0.0, 0.005, 0.01, 0.02, 0.03, 0.05)),
                level=rng.choice((0.9, 0.95, 0.98)),
                council=rng.choice((1, 2, 3, 5)),
                drift=rng.uniform(0.2, 0.95) if drifts else 1.0,
                after=rng.uniform(0.3, 0.9),
                shared_after=rng.uniform(0.0, 0.4),
            )
        )
    return made


def test_over_many_runs_the_promise_holds_and_is_cheaper_than_all_strong() -> None:
    rng = random.Random(17)
    runs = [(world, play(world, rng)) for world in worlds(200)]
    broken = [world for world, played in runs if played.agreement < world.level]
    assert len(broken) <= 0.05 * len(runs), broken
    drifting = [(world, played) for world, played in runs if world.drift < 1]
    assert sum(played.agreement < world.level for world, played in drifting) <= 0.05 * len(drifting)
    good = [w for w in runs if w[0].right > 0.9 and w[0].shared <= 0.005 and w[0].drift == 1 and w[0].council > 1]
    strong = [played.strong_calls for _, played in good]
    assert sum(strong) / len(strong) < 0.4, "where the cheap voices are good, most items never see the strong model"


@pytest.mark.parametrize(
    ("world", "what"),
    [
        (World(1_000, 5, 0.9, 0.021, 0.98), "losses just above what is allowed"),
        (World(3_000, 2, 0.8, 0.0, 0.98), "two labels: the voices err together by chance"),
        (World(10_000, 10, 0.95, 0.0, 0.98, drift=0.55, after=0.9, shared_after=0.3), "the second block drifts"),
        (World(20_000, 10, 0.95, 0.0, 0.98, drift=0.8, after=0.9, shared_after=0.5), "the last block drifts"),
    ],
)
def test_where_it_is_hardest_the_promise_is_broken_no_more_often_than_said(world: World, what: str) -> None:
    rng = random.Random(5)
    runs = [play(world, rng) for _ in range(60)]
    broken = sum(played.agreement < world.level for played in runs)
    assert broken <= 0.05 * len(runs) + 3, what  # 3: two standard errors of 5 % in 60


def test_a_drift_after_the_first_block_stops_it() -> None:
    rng = random.Random(6)
    world = World(15_000, 10, 0.95, 0.0, 0.98, drift=0.5, after=0.9, shared_after=0.3)
    runs = [play(world, rng) for _ in range(12)]
    assert all(played.stopped for played in runs)
    assert all(played.agreement >= 0.98 for played in runs)


# The bounds


@settings(max_examples=200, deadline=None)
@given(st.integers(5, 60), st.data())
def test_the_bound_for_a_finite_population_is_exact(items: int, data: st.DataObject) -> None:
    """By counting all samples: the bound is below the truth in at most delta of them."""
    audited = data.draw(st.integers(1, items))
    total = data.draw(st.integers(0, items))
    chances = _hypergeometric(items, total, audited)
    missed = sum(p for lost, p in chances.items() if most_lost(lost, audited, items, 0.05) < total)
    assert missed <= 0.05 + 1e-9


def _hypergeometric(items: int, total: int, audited: int) -> dict[int, float]:
    from math import comb

    least, most = max(0, audited - (items - total)), min(total, audited)
    return {x: comb(total, x) * comb(items - total, audited - x) / comb(items, audited) for x in range(least, most + 1)}


def test_the_running_bound_holds_at_every_look_at_once() -> None:
    rng = random.Random(8)
    bounds = [most_lost_so_far(lost, 0.2, 0.05) for lost in range(200)]
    runs, missed = 400, 0
    for _ in range(runs):
        lost, below = 0, False
        for total in range(1, 401):
            lost += rng.random() < 0.2
            below = below or bounds[lost] < total
        missed += below
    assert missed <= 0.05 * runs


@given(st.integers(0, 30), st.sampled_from((0.02, 0.1, 0.3)), st.sampled_from((0.05, 0.01)))
def test_more_losses_more_audits_and_more_certainty_move_the_running_bound_as_they_should(
    lost: int, rate: float, delta: float
) -> None:
    bound = most_lost_so_far(lost, rate, delta)
    assert bound >= lost / rate
    assert bound < most_lost_so_far(lost + 1, rate, delta)
    assert bound >= most_lost_so_far(lost, rate + 0.1, delta)
    assert bound <= most_lost_so_far(lost, rate, delta / 10)


@pytest.mark.parametrize(
    ("lost", "audited", "low", "high"),
    # R's binom.test(audited - lost, audited)$conf.int
    [(0, 100, 0.9637833, 1.0), (3, 100, 0.9148239, 0.9937700), (10, 20, 0.2719578, 0.7280422)],
)
def test_the_interval_is_clopper_and_pearsons(lost: int, audited: int, low: float, high: float) -> None:
    assert interval(lost, audited, 0.95) == pytest.approx((low, high), abs=1e-6)


# Rulings


def test_what_is_allowed_is_counted_in_whole_numbers() -> None:
    assert PROMISE.allowed(1_000) == 20
    assert Promise(0.9, 0.95, "s/m").allowed(10) == 1


def test_a_job_too_small_to_prove_anything_goes_to_the_strong_model_whole() -> None:
    small = course(PROMISE, 40, 3)
    assert small.rate == 1.0
    [ruling] = rulings(PROMISE, small, [Evidence((0, 0, 0, 40), (0, 0, 0, 0))])
    assert (ruling.threshold, ruling.stopped) == (NEVER, True)


def test_a_laxer_threshold_is_taken_only_where_every_stricter_one_has_passed() -> None:
    plan = Course((1_000,), 0.3, 3)
    fine = Evidence((0, 0, 100, 200), (0, 0, 0, 0))
    assert rulings(PROMISE, plan, [fine])[0].threshold == score(2, 3)
    only_unanimous = Evidence((0, 0, 100, 200), (0, 0, 30, 0))
    assert rulings(PROMISE, plan, [only_unanimous])[0].threshold == score(3, 3)
    unanimous_are_wrong = Evidence((0, 0, 100, 200), (0, 0, 0, 30))
    assert rulings(PROMISE, plan, [unanimous_are_wrong])[0].threshold == NEVER


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 300), st.integers(0, 12)), min_size=1, max_size=4))
def test_a_ruling_never_depends_on_what_comes_after_it(blocks: list[tuple[int, int, int]]) -> None:
    plan = Course((2_500,) * 4, 0.12, 2)
    audits = [Evidence((0, one, two), (0, one // 2, min(two, lost))) for one, two, lost in blocks]
    made = rulings(PROMISE, plan, audits)
    for at in range(len(audits)):
        assert rulings(PROMISE, plan, audits[: at + 1])[-1] == made[at]
    for ruling in made:
        assert ruling.stopped or ruling.threshold == NEVER or ruling.bound <= PROMISE.allowed(plan.items)
