"""Balancing: every mode keeps the constraints, loses nobody, shares as it promises, and fills the tracks."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import balancing
from app.core.balancing import MODES, in_order
from app.core.quotas import Quota
from app.core.recipe import parse
from app.core.routing import Lane, Routing, Wanted
from app.core.seating import serving
from app.core.selection import Preset
from app.core.tracks import Track
from app.core.values import Deployment, Tier
from tests.unit.test_seating import HORIZON_S, RPM, Provider, Yard, chunk_of, deployment, names


def track(name: str, pace: float = 1.0, **more: Any) -> Track:
    ours = {key: more.pop(key) for key in ("quality", "capabilities", "local", "tier") if key in more}
    return Track(deployment(name, **ours), pace, **more)


def wanted(balance: str = "", recipe: str = "single-query", lane: Lane | None = None, **routing: Any) -> Wanted:
    return Wanted(Tier.CHEAP, parse(recipe), routing=Routing(balance=balance, **routing), lane=lane or Lane())


def firsts(tracks: list[Track], wish: Wanted, seeds: range) -> Counter[str]:
    """Who comes first, over the seeds; the tracks stay as they are."""
    return Counter(in_order(tracks, wish, horizon_s=HORIZON_S, seed=n)[0].deployment.name for n in seeds)


# Properties of every mode

offers = st.lists(
    st.builds(
        lambda family, tier, local, skills, quality, pace, queued, latency_ms, cost, spare, behind_s: (
            {"tier": tier, "local": local, "capabilities": skills, "quality": quality, "family": family},
            {"pace": pace, "queued": queued, "latency_ms": latency_ms, "cost_micro": cost, "spare": spare,
             "behind_s": behind_s},
        ),
        st.sampled_from("ABCD"),
        st.sampled_from([Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX]),
        st.booleans(),
        st.frozensets(st.sampled_from(["json", "code"])),
        st.floats(0, 1),
        st.floats(0.01, 50),
        st.floats(0, 60),
        st.floats(1, 10_000),
        st.sampled_from([None, 0.0, 10.0, 900.0]),
        st.sampled_from([float("inf"), 0.0, 5.0]),
        st.sampled_from([0.0, 10.0]),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip
wishes = st.builds(
    Wanted,
    st.sampled_from(Tier),
    st.sampled_from([parse("single-query"), parse("majority-vote"), parse("ranked-fallback")]),
    st.frozensets(st.sampled_from(["json"])),
    routing=st.builds(
        Routing,
        st.sampled_from([(), ("p1",), ("p0/m", "p2")]),
        optimise=st.sampled_from(["", *get_args(Preset)]),
        balance=st.sampled_from(["", *MODES]),
    ),
    lane=st.builds(Lane, hard=st.booleans(), domain=st.sampled_from(["", "code"])),
)


def tracks_of(drawn: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[Track]:
    found = []
    for n, (ours, more) in enumerate(drawn):
        offered = Deployment(f"p{n}", "m", context_window=8_000, max_output=1_000, **ours)
        found.append(Track(offered, **more))
    return found


@settings(max_examples=300)
@given(offers, wishes, st.integers(0, 10**9), st.randoms(use_true_random=False))
def test_an_order_holds_everybody_once_and_hangs_on_nothing_but_tracks_and_seed(
    drawn: list[tuple[dict[str, Any], dict[str, Any]]], wish: Wanted, seed: int, shuffle: random.Random
) -> None:
    tracks = tracks_of(drawn)
    ordered = in_order(tracks, wish, horizon_s=HORIZON_S, seed=seed)
    assert sorted(names(ordered)) == sorted(names(tracks))
    again = tracks_of(drawn)
    shuffle.shuffle(again)
    assert names(in_order(again, wish, horizon_s=HORIZON_S, seed=seed)) == names(ordered)


@settings(max_examples=300)
@given(offers, wishes, st.integers(0, 10**6))
def test_no_mode_seats_anybody_who_may_not_serve_nor_loses_a_seat(
    drawn: list[tuple[dict[str, Any], dict[str, Any]]], wish: Wanted, seed: int
) -> None:
    tracks = tracks_of(drawn)
    may = {t.deployment.name for t in tracks if t.refusal(wish) is None}
    chunk = chunk_of(tracks, wish, seed=seed)
    if chunk is None:
        return
    seated = [s.deployment for s in chunk.plan.seats]
    assert len(set(seated)) == len(seated)
    assert set(seated) <= may
    by_name = {t.deployment.name: t.deployment for t in tracks}
    assert all(by_name[name].local for name in seated) or wish.tier is not Tier.PRIVATE
    assert len(seated) == min(len(serving(tracks, wish)), wish.recipe.attempts)


@given(offers, st.sampled_from(MODES), st.booleans(), st.integers(0, 10**6))
def test_whoever_has_room_comes_before_those_who_have_none(
    drawn: list[tuple[dict[str, Any], dict[str, Any]]], mode: str, hard: bool, seed: int
) -> None:
    tracks = [t for t in tracks_of(drawn) if t.spare >= 1 and not t.behind_s]
    ordered = in_order(tracks, wanted(mode, lane=Lane(hard=hard)), horizon_s=HORIZON_S, seed=seed)
    full = [t.free_in_s() > HORIZON_S for t in ordered]
    assert full == sorted(full)


# Each mode


def test_round_robin_gives_everybody_a_turn_and_then_again() -> None:
    fleet = [track(f"p{n}/m", pace=n + 1.0, quality=n / 10) for n in range(7)]
    wish = wanted("round-robin")
    assert set(firsts(fleet, wish, range(7 * 30)).values()) == {30}
    assert set(firsts(fleet, wish, range(70, 77)).values()) == {1}


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_round_robin_stays_even_for_a_job_that_gets_every_second_number(count: int) -> None:
    fleet = [track(f"p{n}/m") for n in range(count)]
    counted = firsts(fleet, wanted("round-robin"), range(0, 6_000, 2))
    assert all(abs(counted[name] / 3_000 - 1 / count) < 0.05 for name in names(fleet)), counted


def test_weighted_goes_by_what_is_left_of_the_limits() -> None:
    fleet = [track("a/m", 1.0), track("b/m", 2.0), track("c/m", 5.0), track("d/m", 9.0, queued=180.0)]
    shares = [balancing.left(t) for t in fleet]
    assert shares == [60.0, 120.0, 300.0, 360.0]
    counted = firsts(fleet, wanted("weighted"), range(20_000))
    for one, share in zip(fleet, shares, strict=True):
        assert abs(counted[one.deployment.name] / 20_000 - share / 840) < 0.02


def test_weighted_sees_the_end_of_a_day() -> None:
    day = Quota("rpd", limit=1_000, left=6, resets_s=3_600, period_s=86_400)
    fleet = [track("a/m", 1.0, quotas=(day,)), track("b/m", 1.0)]
    counted = firsts(fleet, wanted("weighted"), range(10_000))
    assert abs(counted["a/m"] / 10_000 - 6 / 66) < 0.02


def test_the_other_modes_go_by_what_they_are_called_after() -> None:
    fleet = [
        track("a/m", queued=3.0, latency_ms=100.0, cost_micro=None),
        track("b/m", queued=1.0, latency_ms=900.0, cost_micro=50.0),
        track("c/m", queued=2.0, latency_ms=500.0, cost_micro=10.0),
    ]
    order = {mode: names(in_order(fleet, wanted(mode))) for mode in MODES}
    assert order["least-busy"] == ["b/m", "c/m", "a/m"] == order["soonest-free"]
    assert order["latency"] == ["a/m", "c/m", "b/m"]
    assert order["cost"] == ["c/m", "b/m", "a/m"]


def test_a_degraded_one_is_passed_by_in_every_mode() -> None:
    for mode in MODES:
        fleet = [track("best/m", latency_ms=1.0, cost_micro=0.0, behind_s=10.0), track("other/m", latency_ms=5.0)]
        assert names(in_order(fleet, wanted(mode), horizon_s=HORIZON_S)) == ["other/m", "best/m"], mode


# Specialists and the strongest


def test_specialists_come_first_while_they_have_room() -> None:
    coder = track("z/coder", capabilities=frozenset({"code"}), queued=15.0)
    fleet = [track("a/m"), coder, track("b/m")]
    code = wanted(lane=Lane(domain="code"))
    assert names(in_order(fleet, code, horizon_s=HORIZON_S)) == ["z/coder", "a/m", "b/m"]
    assert names(in_order(fleet, wanted(), horizon_s=HORIZON_S)) == ["a/m", "b/m", "z/coder"]
    coder.queued = 21.0
    assert names(in_order(fleet, code, horizon_s=HORIZON_S))[-1] == "z/coder"


def test_hard_items_go_to_the_strongest_of_any_tier_while_it_has_room() -> None:
    strong = track("top/m", tier=Tier.COMPLEX, quality=0.9, cost_micro=900.0, latency_ms=2_000.0, queued=15.0)
    fleet = [track("a/m", quality=0.6, cost_micro=10.0), strong, track("b/m", quality=0.5, cost_micro=10.0)]
    hard = chunk_of(fleet, wanted(lane=Lane(hard=True)))
    assert hard is not None and hard.plan.seats[0].deployment == "top/m"
    easy = chunk_of(fleet, wanted())
    assert easy is not None and {s.deployment for s in easy.plan.seats} == {"a/m", "b/m"}, (
        "and what is cheap stays cheap"
    )
    thrifty = chunk_of(fleet, wanted(lane=Lane(hard=True), optimise="cost"))
    assert thrifty is not None and "top/m" not in {s.deployment for s in thrifty.plan.seats}


@pytest.mark.parametrize(
    ("preset", "first"), [("quality", "best/m"), ("cost", "cheap/m"), ("latency", "fast/m"), ("balanced", "idle/m")]
)
def test_a_preset_decides_among_those_with_room(preset: str, first: str) -> None:
    fleet = [
        track("best/m", quality=0.95, cost_micro=500.0, latency_ms=2_000.0, queued=5.0),
        track("cheap/m", quality=0.6, cost_micro=1.0, latency_ms=2_000.0, queued=5.0),
        track("fast/m", quality=0.6, cost_micro=500.0, latency_ms=100.0, queued=5.0),
        track("idle/m", quality=0.5, cost_micro=1_000.0, latency_ms=4_000.0),
    ]
    assert names(in_order(fleet, wanted(optimise=preset), horizon_s=HORIZON_S))[0] == first


# Quotas that are kept


def test_easy_first_voices_pass_a_kept_quota_by_and_all_else_does_not() -> None:
    def fleet() -> list[Track]:
        return [track("strong/m", quality=0.9, spare=0.0), track("a/m", queued=19.0), track("b/m", queued=15.0)]

    assert names(in_order(fleet(), wanted(), horizon_s=HORIZON_S)) == ["b/m", "a/m", "strong/m"]
    assert names(in_order(fleet(), wanted(), horizon_s=HORIZON_S, late=True))[0] == "strong/m"
    worn = [track("strong/m", quality=0.9, spare=0.0, spare_late=0.0), *fleet()[1:]]
    assert names(in_order(worn, wanted(), horizon_s=HORIZON_S, late=True))[-1] == "strong/m"
    assert names(in_order(worn, wanted(lane=Lane(hard=True)), horizon_s=HORIZON_S, late=True))[0] == "strong/m"
    assert names(in_order(fleet(), wanted(lane=Lane(hard=True)), horizon_s=HORIZON_S))[0] == "strong/m"
    chunk = chunk_of(fleet(), wanted(recipe="majority-vote"))
    assert chunk is not None
    assert [s.deployment for s in chunk.plan.seats] == ["b/m", "a/m", "strong/m"], "the third voice may be the strong"


def test_a_full_queue_is_waited_for_and_one_that_is_shut_for_hours_is_not() -> None:
    strong = track("strong/m", quality=0.9, spare=0.0)
    assert chunk_of([strong, track("busy/m", queued=25.0)], wanted()) is None, "the next dispatch finds room there"
    chunk = chunk_of([strong, track("shut/m", opens_s=7_200.0)], wanted())
    assert chunk is not None and chunk.plan.seats[0].deployment == "strong/m"


def test_no_chunk_of_easy_items_takes_more_than_can_be_spared() -> None:
    strong = track("strong/m", 50.0, spare=7.0)
    chunk = chunk_of([strong, track("a/m", queued=5.0)], wanted())
    assert chunk is not None and chunk.size == 7
    assert strong.spare < 1
    hard = chunk_of([track("strong/m", 50.0, spare=7.0)], wanted(lane=Lane(hard=True)))
    assert hard is not None and hard.size == 25


# Throughput


@pytest.mark.parametrize("bursts", [False, True], ids=["even", "bursts"])
@pytest.mark.parametrize(
    "wish",
    [
        *(wanted(mode) for mode in MODES),
        *(wanted(optimise=preset) for preset in ("cost", "quality", "latency")),
        wanted(lane=Lane(hard=True, domain="code")),
    ],
    ids=lambda wish: " ".join(filter(None, (wish.routing.balance, wish.routing.optimise, str(wish.lane)))),
)
def test_whatever_the_mode_the_limits_are_used(wish: Wanted, bursts: bool) -> None:
    providers = [
        Provider(
            deployment(f"p{n:02}/m", quality=0.5 + 0.03 * (n % 7), capabilities=frozenset({"code"} if n % 5 else ())),
            rpm,
            bursts,
        )
        for n, rpm in enumerate(RPM["fast"])
    ]
    yard = Yard(providers, wish.recipe, 0.0, wish=wish)
    yard.run(60 * 3)
    use = sum(p.done for p in providers) / (sum(p.pace for p in providers) * 60 * 3)
    print(f"{use:.3f} of the limits")
    assert use >= 0.95
