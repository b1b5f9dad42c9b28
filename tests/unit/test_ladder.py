"""Who is seated on which rung, who is called in late, and who counts as a specialist."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import ladder
from app.core.ballots import Ballot, Verdict
from app.core.ladder import CHEAP, STRONG
from app.core.plan import Plan
from app.core.recipe import CHECKS, parse
from app.core.routing import Lane, Routing, Wanted
from app.core.seating import Chunk, Track, further_seats, seat_chunk
from app.core.strategies import decide
from app.core.values import Deployment, Tier

HORIZON_S = 20.0


def track(name: str, quality: float, cost: float | None = 1.0, tier: Tier = Tier.CHEAP, **more: Any) -> Track:
    family = more.pop("family", name)
    known = Deployment(name, "m", tier, family, 8_000, 1_000, quality=quality, **more.pop("known", {}))
    return Track(known, more.pop("pace", 10.0), cost_micro=cost, **more)


def wanted(recipe: str = "cheap-first", **more: Any) -> Wanted:
    return Wanted(more.pop("tier", Tier.CHEAP), parse(recipe), **more)


def chunk_of(tracks: list[Track], wish: Wanted) -> Chunk | None:
    return seat_chunk(tracks, wish, available=1_000, chunk_size=25, horizon_s=HORIZON_S, seed=0)


def rungs(plan: Plan) -> list[tuple[str, int]]:
    return [(s.provider, s.rung) for s in plan.seats if s.role == "voice"]


def first(tracks: list[Track], wish: Wanted) -> list[tuple[str, int]]:
    chunk = chunk_of(tracks, wish)
    assert chunk is not None
    return rungs(chunk.plan)


def test_the_two_best_below_the_strongest_come_first_where_all_cost_the_same() -> None:
    fleet = [track("a", 0.4), track("b", 0.6), track("c", 0.7), track("d", 0.65)]
    assert first(fleet, wanted())[:3] == [("d", CHEAP), ("b", CHEAP), ("c", STRONG)]
    assert first([replace(t, cost_micro=None) for t in fleet], wanted())[:3] == [("d", 0), ("b", 0), ("c", 1)]


def test_of_those_that_save_money_the_ones_that_leave_the_fewest_doubts() -> None:
    fleet = [track("s", 0.9, 100.0), track("dear", 0.85, 90.0), track("mid", 0.8, 10.0), track("low", 0.6, 1.0)]
    assert first(fleet, wanted())[:3] == [("mid", CHEAP), ("low", CHEAP), ("s", STRONG)], (
        "dear + mid cost 132, s alone 100"
    )
    fleet[1].cost_micro = 50.0
    assert first(fleet, wanted())[:2] == [("dear", CHEAP), ("mid", CHEAP)], "50 + 10 + 0.32 * 100 is less than 100"
    assert first(fleet, wanted(routing=Routing(optimise="cost")))[:2] == [("mid", CHEAP), ("low", CHEAP)]


def test_cheap_ones_come_from_the_job_s_tier_and_the_strong_one_from_any_above() -> None:
    fleet = [track("a", 0.5), track("b", 0.6), track("m", 0.8, tier=Tier.STANDARD), track("s", 0.9, tier=Tier.COMPLEX)]
    assert first(fleet, wanted())[:3] == [("b", CHEAP), ("a", CHEAP), ("s", STRONG)]
    assert first(fleet, wanted(tier=Tier.STANDARD))[:2] == [("m", CHEAP), ("s", STRONG)]
    assert first(fleet[1:], wanted())[:2] == [("m", CHEAP), ("b", CHEAP)], "one family of the tier is too few"


def test_where_prices_tell_who_is_cheap_the_tier_does_not() -> None:
    tiers = {"a": Tier.CHEAP, "b": Tier.CHEAP, "m": Tier.STANDARD, "n": Tier.STANDARD, "s": Tier.COMPLEX}
    costs = {"a": 1.0, "b": 1.0, "m": 6.0, "n": 5.0, "s": 50.0}
    quality = {"a": 0.5, "b": 0.55, "m": 0.7, "n": 0.75, "s": 0.9}
    fleet = [track(name, quality[name], costs[name], tier=tier) for name, tier in tiers.items()]
    assert first(fleet, wanted())[:3] == [("n", CHEAP), ("m", CHEAP), ("s", STRONG)]
    unpriced = [replace(t, cost_micro=None) for t in fleet]
    assert first(unpriced, wanted())[:3] == [("b", CHEAP), ("a", CHEAP), ("s", STRONG)]


def test_one_voice_is_no_second_opinion_of_itself() -> None:
    twins = [track("a", 0.7, family="X"), track("b", 0.6, family="X")]
    fleet = [*twins, track("c", 0.5), track("s", 0.9), track("t", 0.8, family="s")]
    assert first(fleet, wanted())[:3] == [("a", CHEAP), ("c", CHEAP), ("s", STRONG)]


def test_models_that_are_named_stand_in_their_order() -> None:
    fleet = [track("a", 0.9), track("b", 0.6), track("c", 0.7)]
    assert first(fleet, wanted("cheap-first(models=a/m+b/m+c/m)"))[:3] == [("a", CHEAP), ("b", CHEAP), ("c", STRONG)]


def test_a_strong_one_that_opens_only_tomorrow_is_not_waited_for() -> None:
    fleet = [track("a", 0.5), track("b", 0.6), track("c", 0.7), track("s", 0.9, opens_s=40_000.0)]
    assert first(fleet, wanted())[:3] == [("b", CHEAP), ("a", CHEAP), ("c", STRONG)]


def test_a_chunk_is_no_larger_than_what_the_strong_one_can_take_of_it() -> None:
    fleet = [track("a", 0.5, pace=100.0), track("b", 0.6, pace=100.0), track("s", 0.9, pace=0.25)]
    chunk = chunk_of(fleet, wanted())
    assert chunk is not None
    assert chunk.size == int(0.25 * HORIZON_S / (1 - 0.5 * 0.6))
    fleet[2].queued = 100.0
    assert chunk_of(fleet, wanted()) is None, "what is not accepted would pile up before it"


fleets = st.lists(
    st.builds(
        track,
        st.sampled_from("abcdefgh"),
        st.floats(0, 1),
        st.none() | st.floats(0, 100),
        st.sampled_from([Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX]),
        family=st.sampled_from("VWXYZ"),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda t: t.deployment.name,
)


@settings(max_examples=300, deadline=None)
@given(fleets, st.sampled_from(CHECKS), st.sampled_from(["", "cost"]), st.booleans())
def test_a_ladder_ends_with_the_strongest_and_begins_with_others(
    fleet: list[Track], check: str, optimise: str, priced: bool
) -> None:
    wish = wanted(f"cheap-first(check={check})", routing=Routing(optimise=optimise), priced=priced)
    allowed = [t for t in fleet if t.refusal(wish) is None]
    places = ladder.places(allowed, wish, HORIZON_S)
    assert bool(places) == bool(allowed)
    if not places:
        return
    low = [t for t, rung in places[: 2 if check == "agreement" else 1] if rung == CHEAP]
    top = next(t for t, rung in places if rung == STRONG)
    assert top.deployment.quality == max(t.deployment.quality for t in allowed)
    kin = [t.deployment.family for t in low]
    assert top.deployment.family not in [t.deployment.family for t, rung in places if rung == CHEAP]
    assert len(set(kin)) == len(kin) or check != "agreement"


@settings(max_examples=200, deadline=None)
@given(fleets, st.sampled_from(CHECKS))
def test_seats_that_are_appended_carry_the_item_on(fleet: list[Track], check: str) -> None:
    """Whoever of the fleet is left can decide an item whose first seats have all failed without being called."""
    wish = wanted(f"cheap-first(check={check})")
    chunk = chunk_of(fleet, wish)
    assert chunk is not None
    later = further_seats(fleet, wish, chunk.plan, frozenset())
    plan = chunk.plan.extended(later).ended("nobody_left")
    heard: list[Ballot] = []
    while not isinstance(move := decide(plan, heard), Verdict):
        heard += [Ballot(ask.seat, "x" if plan.seats[ask.seat].role == "voice" else None) for ask in move]
    assert move.answer == "x"


def test_late_voices_come_from_the_strongest_that_are_free() -> None:
    def fleet() -> list[Track]:
        busy = {"c": 10.0, "d": 60.0, "s": 300.0}
        qualities = {"a": 0.6, "b": 0.6, "c": 0.5, "d": 0.9, "s": 0.95}
        return [track(name, quality, queued=busy.get(name, 0.0)) for name, quality in qualities.items()]

    def third(recipe: str) -> str:
        return first(fleet(), wanted(recipe))[2][0]

    assert third("majority-vote") == "c", "whoever is free soonest"
    assert third("majority-vote(late=strongest)") == "d", "s is stronger, and not free within the horizon"
    assert third("weighted-vote") == third("first-ahead") == "d"


def test_a_specialist_of_the_lowest_tier_that_has_one_comes_first_then_the_strongest() -> None:
    code = {"known": {"capabilities": frozenset({"code"})}}
    fleet = [
        track("a", 0.5),
        track("b", 0.4, **code),
        track("m", 0.8, tier=Tier.STANDARD, known={"capabilities": frozenset({"code"})}),
        track("s", 0.9, tier=Tier.COMPLEX),
    ]
    in_code = wanted("specialist", lane=Lane(domain="code"))
    assert first(fleet, in_code) == [("b", 0), ("s", 1), ("m", 1), ("a", 1)]
    assert first(fleet[2:], in_code) == [("m", 0), ("s", 1)]
    assert first(fleet, wanted("specialist"))[0] == ("s", 1), "without a domain nobody is a specialist"
