"""``guaranteed``: any panel, any fates, any order; audited, waiting for a threshold, or with one."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ballots import Ask, Ballot, Status, Verdict
from app.core.guarantee import NEVER, score
from app.core.plan import STRONG, VOICE, Plan, Seat
from app.core.recipe import parse
from app.core.strategies import decide
from tests.unit.test_strategies import World, fates, play, played_in_any_order, replays, seats, stands

REST = {"kind": "guarantee", "part": "rest"}
_STRONG = Seat("s/big", "S", 0.95, STRONG)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    council = draw(st.integers(1, 5))
    recipe = parse(f"guaranteed(council={council}, against=s/big, attempts={draw(st.integers(council, 20))})")
    panel = draw(st.lists(seats, max_size=8)) + [_STRONG] * draw(st.integers(0, 2))
    later = [*draw(st.lists(seats, max_size=3)), *([_STRONG] * draw(st.integers(0, 1)))]
    count = len(panel) + len(later)
    threshold = draw(st.none() | st.sampled_from([score(n, council) for n in range(1, council + 1)] + [NEVER]))
    plan = Plan(recipe, tuple(panel), threshold=threshold, choice=draw(st.sampled_from((None, REST))))
    return World(plan, tuple(draw(st.lists(fates, min_size=count, max_size=count))), tuple(later))


@settings(max_examples=500, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_a_cheap_answer_stands_only_with_a_full_council_and_a_threshold_it_reaches(world: World, seed: int) -> None:
    played = play(world, random.Random(seed))
    plan, verdict = played.plan, played.verdict
    strong = [b.answer for b in played.ballots if b.is_vote and plan.seats[b.seat].role == STRONG]
    voices = [b.answer for b in played.ballots if b.is_vote and plan.seats[b.seat].role == VOICE]
    assert len(strong) <= 1
    assert verdict.votes == len(voices)
    if verdict.status is not Status.DECIDED:
        assert verdict.answer is None and verdict.reason
    elif strong:
        assert verdict.answer == strong[0]
    else:
        assert plan.threshold is not None and len(voices) == plan.recipe.council
        assert score(voices.count(verdict.answer), plan.recipe.council) >= plan.threshold
    if plan.threshold == NEVER:
        assert not voices, "once nothing is accepted nobody cheap is paid"


@settings(max_examples=400, deadline=None)
@given(worlds(), st.integers(0, 2**32), st.lists(seats, max_size=3))
def test_order_changes_nothing_and_a_verdict_stands(world: World, seed: int, more: list[Seat]) -> None:
    stands(played_in_any_order(world, seed), more)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_it_replays_from_what_is_written_down(world: World, seed: int) -> None:
    replays(play(world, random.Random(seed)))


def _panel(threshold: float | None, *, rest: bool) -> Plan:
    cheap = tuple(Seat(f"p{n}/m", f"F{n}", 0.5) for n in range(4))
    recipe = parse("guaranteed(council=2, against=s/big)")
    return Plan(recipe, (*cheap, _STRONG), threshold=threshold, choice=REST if rest else None)


def test_an_audited_item_is_put_to_both_and_takes_the_strong_answer() -> None:
    plan = _panel(None, rest=False)
    agreed = [Ballot(0, "x"), Ballot(1, "x")]
    assert decide(plan, agreed) == frozenset({Ask(4, 3)})
    verdict = decide(plan, [*agreed, Ballot(4, "y")])
    assert isinstance(verdict, Verdict)
    assert (verdict.answer, verdict.agreement) == ("y", None)


def test_the_rest_waits_for_its_threshold_with_its_votes_in() -> None:
    waiting = _panel(None, rest=True)
    agreed, torn = [Ballot(0, "x"), Ballot(1, "x")], [Ballot(0, "x"), Ballot(1, "y")]
    assert decide(waiting, agreed) == decide(waiting, torn) == frozenset()
    released = replace(waiting, threshold=1.0)
    verdict = decide(released, agreed)
    assert isinstance(verdict, Verdict)
    assert (verdict.answer, verdict.agreement) == ("x", 1.0)
    assert decide(released, torn) == frozenset({Ask(4, 3)})
    assert decide(replace(waiting, threshold=NEVER), agreed) == frozenset({Ask(4, 3)})


def test_audit_and_rest_ask_the_same_cheap_voices_where_one_fails() -> None:
    """What the audit proves holds for the others because they are asked alike, failures and all."""
    failed = [Ballot(0, "x"), Ballot(1)]
    for plan in (_panel(None, rest=False), _panel(None, rest=True), _panel(0.5, rest=True)):
        move = decide(plan, failed)
        assert isinstance(move, frozenset)
        assert {ask.seat for ask in move} == {2}
    nobody_left = [Ballot(n) for n in range(4)]
    assert decide(_panel(0.5, rest=True), nobody_left) == frozenset({Ask(4, 3)})


def test_without_the_strong_model_there_is_no_verdict() -> None:
    plan = _panel(1.0, rest=True).ended("nobody_left")
    verdict = decide(plan, [Ballot(0, "x"), Ballot(1, "y"), Ballot(4)])
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.reason) == (Status.UNDECIDED, "strong_lost")
