"""Votes at hand: the strategy hears of them what it would have bought, and decides what it would have decided."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.core.ballots import Ballot, Verdict
from app.core.commons import REUSED, Bought, as_ballot, lay, serve
from app.core.plan import VOICE, Plan, Seat
from app.core.recipe import parse
from app.core.strategies import decide

NAMES = [f"p{n}/m" for n in range(6)]
RECIPES = ["single-query", "majority-vote", "majority-vote(council=5)", "majority-vote(full=true)", "ranked-fallback"]


def seat(name: str, family: str | None = None) -> Seat:
    return Seat(name, family or f"family of {name}", 0.5 + NAMES.index(name) / 100, VOICE, 8000, 100)


def hand(answers: dict[str, str]) -> dict[str, Bought]:
    return {name: Bought(seat(name), answer, (), n) for n, (name, answer) in enumerate(answers.items())}


def bought(plan: Plan, answers: dict[str, str]) -> Verdict:
    """What the strategy comes to where every seat answers, and all is asked."""
    table: list[Ballot] = []
    while not isinstance(move := decide(plan, table), Verdict):
        assert move
        table += [Ballot(ask.seat, answers[plan.seats[ask.seat].deployment]) for ask in move]
    return move


@given(
    st.sampled_from(RECIPES),
    st.permutations(NAMES),
    st.lists(st.sampled_from("ab"), min_size=6, max_size=6),
    st.sets(st.sampled_from(NAMES)),
)
def test_a_vote_at_hand_is_worth_a_call(recipe: str, order: list[str], said: list[str], known: set[str]) -> None:
    """With everything at hand nothing is bought; with some, never more votes are on the table than without any."""
    answers = dict(zip(NAMES, said, strict=True))
    plan = Plan(parse(recipe), tuple(seat(name) for name in order))
    longer, laid = lay(plan, (), hand({name: answers[name] for name in known}))
    assert longer == plan, "everybody has a seat already"
    table = [as_ballot(at, vote) for at, vote in laid.items()]
    assert all(plan.seats[at].deployment in known and ballot.tries == 0 for at, ballot in zip(laid, table, strict=True))
    calls = 0
    while not isinstance(move := decide(plan, table), Verdict):
        calls += len(move)
        table += [Ballot(ask.seat, answers[plan.seats[ask.seat].deployment]) for ask in move]
    assert len(laid) + calls == move.votes <= plan.recipe.council
    assert (REUSED in move.flags) == bool(laid)
    if known == set(NAMES):
        assert calls == 0


@given(st.permutations(NAMES), st.lists(st.sampled_from("ab"), min_size=6, max_size=6), st.sets(st.sampled_from(NAMES)))
def test_where_the_order_matters_only_whom_it_wishes_for_counts(
    order: list[str], said: list[str], known: set[str]
) -> None:
    answers = dict(zip(NAMES, said, strict=True))
    plan = Plan(parse("ranked-fallback"), tuple(seat(name) for name in order))
    _, laid = lay(plan, (), hand({name: answers[name] for name in known}))
    assert list(laid) == ([0] if order[0] in known else [])
    if laid:
        assert bought(plan, answers).answer == laid[0].answer


def test_a_deployment_without_a_seat_gets_one() -> None:
    plan = Plan(parse("majority-vote"), tuple(seat(name) for name in NAMES[:3]))
    longer, laid = lay(plan, (), hand({NAMES[4]: "a", NAMES[5]: "b"}))
    assert [s.deployment for s in longer.seats] == [*NAMES[:3], NAMES[5], NAMES[4]], "the stronger first"
    assert {at: vote.answer for at, vote in laid.items()} == {3: "b", 4: "a"}
    move = decide(longer, [as_ballot(at, vote) for at, vote in laid.items()])
    assert not isinstance(move, Verdict)
    assert [ask.seat for ask in move] == [0], "the two differ: a third is bought"


def test_a_family_speaks_once() -> None:
    plan = Plan(parse("majority-vote"), (seat(NAMES[0], "kin"), seat(NAMES[1])))
    kin = {name: Bought(seat(name, "kin"), "a", (), 7) for name in (NAMES[0], NAMES[3], NAMES[4])}
    _, laid = lay(plan, (), kin)
    assert list(laid) == [0]


def test_nothing_is_laid_before_a_wave_is_heard_nor_for_who_was_asked_in_vain() -> None:
    plan = Plan(parse("single-query"), tuple(seat(name) for name in NAMES[:2]))
    seats = {name: seat(name) for name in NAMES}
    assert serve(plan, (Ballot(0, open=True),), seats) == (plan, {})
    assert serve(plan, (Ballot(0, "a"),), seats) == (plan, {})
    assert serve(plan, (Ballot(0),), {NAMES[0]: seats[NAMES[0]]}) == (plan, {})
    assert serve(plan, (Ballot(0),), seats)[1] == {1: NAMES[1]}


def test_whoever_hears_of_the_others_is_asked_anew() -> None:
    """The strong one of a ladder is told why it is asked; the cheap ones below are asked like anybody."""
    low, strong = [seat(name) for name in NAMES[:2]], replace(seat(NAMES[5]), rung=1)
    plan = Plan(parse("cheap-first"), (*low, strong))
    longer, laid = lay(plan, (), hand({NAMES[0]: "a", NAMES[1]: "b", NAMES[4]: "a", NAMES[5]: "a"}))
    assert (longer, list(laid)) == (plan, [0, 1])
    move = decide(plan, [as_ballot(at, vote) for at, vote in laid.items()])
    assert not isinstance(move, Verdict)
    assert [ask.seat for ask in move] == [2]


def test_one_who_finds_nobody_to_ask_takes_what_is_at_hand() -> None:
    plan = Plan(parse("single-query"), (seat(NAMES[0]),))
    longer, laid = lay(plan, (Ballot(0),), hand({NAMES[2]: "a"}))
    assert [vote.answer for vote in laid.values()] == ["a"]
    assert len(longer.seats) == 2
