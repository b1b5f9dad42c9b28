"""``cheap-first`` and ``specialist``: any ladder, any fates, any order."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ballots import ACCEPT, REJECT, Status, about
from app.core.climbing import CHEAP, STRONG
from app.core.plan import VERIFIER, Plan, Seat
from app.core.recipe import CHECKS, JUDGED, parse
from tests.unit.test_strategies import Fate, World, fates, play, played_in_any_order, replays, seats, stands

on_a_rung = st.builds(lambda seat, rung: replace(seat, rung=rung), seats, st.sampled_from((CHEAP, CHEAP, STRONG)))
opinions = st.builds(
    Fate,
    st.builds(
        about, st.integers(0, 8), st.sampled_from((ACCEPT, REJECT)), st.none() | st.sampled_from((0.3, 0.7, 0.95))
    ),
    st.none(),
    st.integers(1, 2),
)


@st.composite
def ladders(draw: st.DrawFn, check: str | None = None) -> World:
    check = check or draw(st.sampled_from(CHECKS))
    recipe = parse(f"cheap-first(check={check}, attempts={draw(st.integers(3, 12))})")
    panel = draw(st.lists(on_a_rung, min_size=1, max_size=8))
    later = draw(st.lists(on_a_rung, max_size=3))
    said = draw(st.lists(fates, min_size=len(panel), max_size=len(panel)))
    if check == JUDGED:
        judges = [replace(s, role=VERIFIER) for s in draw(st.lists(seats, max_size=2))]
        panel, said = panel + judges, said + draw(st.lists(st.one_of(opinions, opinions, fates.filter(
            lambda f: f.answer is None)), min_size=len(judges), max_size=len(judges)))  # fmt: skip
    said += draw(st.lists(fates, min_size=len(later), max_size=len(later)))
    return World(
        Plan(recipe, tuple(panel)), tuple(said), tuple(later), draw(st.sampled_from(("nobody_left", "overdue")))
    )


@settings(max_examples=400, deadline=None)
@given(ladders(), st.integers(0, 2**32))
def test_what_is_answered_was_accepted_or_comes_from_above(world: World, seed: int) -> None:
    played = play(world, random.Random(seed))
    plan, verdict, recipe = played.plan, played.verdict, played.plan.recipe
    cast = [b for b in played.ballots if b.is_vote and plan.seats[b.seat].role == "voice"]
    low = [b for b in cast if plan.seats[b.seat].rung == CHEAP]
    strong = [b for b in cast if plan.seats[b.seat].rung == STRONG]
    assert len(strong) <= 1
    assert len(low) <= (2 if recipe.check == "agreement" else 1)
    if verdict.status is not Status.DECIDED:
        assert verdict.answer is None and verdict.reason
        assert not strong, "who is asked from above decides"
    elif "escalated" in verdict.flags:
        assert verdict.answer == strong[0].answer
    elif recipe.check == "agreement":
        assert [b.answer for b in low] == [verdict.answer] * 2
    else:
        assert not strong and [b.answer for b in low] == [verdict.answer]
    if verdict.status is Status.DECIDED and not strong and recipe.check == JUDGED:
        said = {b.answer for b in played.ballots if plan.seats[b.seat].role == VERIFIER}
        assert said & {about(low[0].seat, ACCEPT, sure) for sure in (None, 0.7, 0.95)}


@settings(max_examples=300, deadline=None)
@given(ladders(), st.integers(0, 2**32), st.lists(on_a_rung, max_size=3))
def test_order_changes_nothing_and_a_verdict_stands(world: World, seed: int, more: list[Seat]) -> None:
    stands(played_in_any_order(world, seed), more)


@settings(max_examples=200, deadline=None)
@given(ladders(), st.integers(0, 2**32))
def test_it_replays_from_what_is_written_down(world: World, seed: int) -> None:
    replays(play(world, random.Random(seed)))


@settings(max_examples=300, deadline=None)
@given(ladders("agreement"))
def test_the_strong_one_is_called_only_where_the_cheap_ones_leave_a_doubt(world: World) -> None:
    played = play(replace(world, later=()))
    asked = {played.plan.seats[s].rung for s in played.asked}
    low = [b.answer for b in played.ballots if played.plan.seats[b.seat].rung == CHEAP and b.is_vote]
    if STRONG in asked:
        assert len(low) < 2 or low[0] != low[1]


@settings(max_examples=300, deadline=None)
@given(st.lists(on_a_rung, min_size=1, max_size=6), st.data(), st.integers(0, 2**32))
def test_a_specialist_is_asked_before_the_strongest(panel: list[Seat], data: st.DataObject, seed: int) -> None:
    """Seating puts specialists first; whoever answers, the flag tells whether it was one."""
    panel = sorted(panel, key=lambda s: s.rung)
    said = tuple(data.draw(st.lists(fates, min_size=len(panel), max_size=len(panel))))
    world = World(Plan(parse("specialist"), tuple(panel)), said)
    played = play(world, random.Random(seed))
    assert played.verdict.to_bytes() == play(world).verdict.to_bytes()
    cast = [b for b in played.ballots if b.is_vote]
    assert len(cast) <= 1
    if cast:
        assert played.verdict.answer == cast[0].answer
        assert ("no_specialist" in played.verdict.flags) == (panel[cast[0].seat].rung > 0)
