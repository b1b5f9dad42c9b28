"""Other recipes over votes that were bought: what they say is what they would have said, or it is unknown."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ballots import Ballot, Verdict
from app.core.plan import Plan, Seat
from app.core.recipe import Recipe, parse
from app.core.strategies import decide
from app.core.tuning import Search, candidates, ranking
from app.core.values import FailureKind
from app.core.whatif import Bought, Case, Player, score

_RECIPES = ("single-query", "majority-vote", "majority-vote(council=5, full=true)", "ranked-fallback(council=4)")

bought = st.builds(
    Bought,
    st.sampled_from(("x", "y", "z", None)),
    tries=st.just(1),
    cost_micro=st.sampled_from((0.0, 7.0, None)),
).map(lambda b: b if b.answer else replace(b, failure=FailureKind.TIMEOUT))


def panel(n: int) -> tuple[Seat, ...]:
    return tuple(Seat(f"p{i}/m", f"F{i}", 0.5 + i / 100) for i in range(n))


def straight(plan: Plan, said: dict[str, Bought]) -> tuple[Verdict, list[str]]:
    """Played by hand, everyone there: a seat that was not bought says that it was never asked."""
    heard: list[Ballot] = []
    asked: list[str] = []
    while not isinstance(move := decide(plan, heard), Verdict):
        if not move:
            plan = plan.ended("nobody_left")
        for ask in move:
            name = plan.seats[ask.seat].deployment
            asked.append(name)
            of = said.get(name, Bought("never"))
            heard.append(Ballot(ask.seat, of.answer, of.failure, tries=of.tries, flags=of.flags))
    return move, asked


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(_RECIPES), st.lists(bought, min_size=1, max_size=6), st.sets(st.integers(0, 5)), st.booleans())
def test_what_is_claimed_is_what_would_have_been(
    recipe: str, votes: list[Bought], missing: set[int], equal: bool
) -> None:
    plan = Plan(parse(recipe), panel(len(votes)))
    said = {f"p{n}/m": vote for n, vote in enumerate(votes) if n not in missing}
    played = Player(plan, equal=equal).play(Case("i", said))
    truth, asked = straight(plan, said)
    if not set(asked) <= set(said):
        assert played is None, "a vote it needs was never bought"
        return
    assert played is not None
    assert played.verdict.to_bytes() == truth.to_bytes()
    assert sorted(played.asked) == sorted(asked)
    costs = [said[name].cost_micro for name in asked]
    assert played.cost_micro == (None if None in costs else sum(c or 0.0 for c in costs))


def test_cases_alike_but_for_their_labels_share_their_moves_and_keep_their_labels() -> None:
    player = Player(Plan(parse("majority-vote"), panel(3)), equal=True)
    for one, other in (("cat", "dog"), ("zebra", "ant")):
        case = Case("i", {"p0/m": Bought(one), "p1/m": Bought(other), "p2/m": Bought(other)})
        played = player.play(case)
        assert played is not None
        assert played.verdict.answer == other


def test_a_score_counts_what_is_unknown_and_what_is_wrong() -> None:
    player = Player(Plan(parse("single-query"), panel(1)), equal=True)
    cases = [
        Case("right", {"p0/m": Bought("a", cost_micro=4.0)}, "a"),
        Case("wrong", {"p0/m": Bought("b", cost_micro=2.0)}, "a"),
        Case("never bought", {}, "a"),
        Case("nobody knows", {"p0/m": Bought("b", cost_micro=0.0)}),
    ]
    made = score("single-query", player, cases)
    assert (made.cases, made.unknown, made.with_truth, made.right) == (3, 1, 2, 1)
    assert (made.accuracy, made.calls, made.cost_micro) == (0.5, 1.0, 2.0)


# Tuning


def council(n: int, accuracy: dict[str, float], seed: int) -> list[Case]:
    dice = random.Random(seed)
    cases = []
    for number in range(n):
        truth = dice.choice("abcd")
        said = {
            name: Bought(
                truth if dice.random() < right else dice.choice("abcd"),
                cost_micro=100.0 if name.startswith("dear") else 1.0,
            )
            for name, right in accuracy.items()
        }
        cases.append(Case(f"item-{number}", said, truth))
    return cases


def search(known: tuple[str, ...]) -> Search:
    def player(recipe: Recipe) -> Player | None:
        rungs = (0, 0, 1) if recipe.strategy == "cheap-first" else (0,) * len(recipe.models)
        seats = tuple(Seat(name, name, 0.5, rung=rung) for name, rung in zip(recipe.models, rungs, strict=True))
        return Player(Plan(recipe, seats), equal=True) if set(recipe.models) <= set(known) else None

    return Search(player)


_PANEL = {"dear/strong": 0.85, "p1/m": 0.7, "p2/m": 0.7, "p3/m": 0.65, "p4/m": 0.4}


def test_the_frontier_rises_with_its_cost_and_the_best_stands_on_what_was_held_out() -> None:
    tuned = search(tuple(_PANEL)).run(council(1_200, _PANEL, 3))
    prices = [c.found.cost_micro or 0.0 for c in tuned.frontier]
    heights = [c.found.accuracy or 0.0 for c in tuned.frontier]
    assert tuned.by_cost
    assert prices == sorted(prices)
    assert heights == sorted(heights)
    singles = [c for c in tuned.candidates if c.recipe.startswith("single-query")]
    assert len(singles) == len(_PANEL)
    strongest = max(c.held_out.accuracy or 0.0 for c in singles)
    assert (tuned.best.held_out.accuracy or 0.0) >= strongest - 0.02
    assert tuned.models[0][0] == "dear/strong"
    assert tuned.cases + tuned.held_out == 1_200


def test_the_same_items_are_held_out_whatever_their_order() -> None:
    cases = council(300, _PANEL, 5)
    mixed = random.Random(1).sample(cases, len(cases))
    assert search(tuple(_PANEL)).run(cases).best == search(tuple(_PANEL)).run(mixed).best


def test_what_nobody_bought_is_no_candidate() -> None:
    cases = [replace(c, bought={k: v for k, v in c.bought.items() if k != "p4/m"}) for c in council(200, _PANEL, 7)]
    assert "p4/m" not in [name for name, _ in ranking(cases)]
    assert all("p4/m" not in c.recipe for c in search(tuple(_PANEL)).run(cases).candidates)


def test_too_little_to_tell_recipes_apart_is_said() -> None:
    with pytest.raises(ValueError, match="19 items have a known answer"):
        search(tuple(_PANEL)).run(council(19, _PANEL, 1))
    with pytest.raises(ValueError, match="no model"):
        search(()).run([Case(f"i{n}", {}, "a") for n in range(40)])


def test_every_candidate_names_its_models_and_reads_back() -> None:
    recipes = list(candidates(["a/1", "b/2", "c/3", "d/4"], []))
    assert len({str(r) for r in recipes}) == len(recipes)
    assert all(parse(str(r)) == r and r.models for r in recipes)
