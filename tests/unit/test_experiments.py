"""Experiments: arms that stay where they are, intervals that may be looked at all the time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import choices
from app.core.choices import FIRST, SECOND, Bandit, Experiment
from app.core.errors import RecipeError
from app.core.experiments import LEAST, Arm, Sums, compare
from app.core.recipe import Recipe, parse

# Reading a choice


def test_an_experiment_is_read_with_nested_parentheses() -> None:
    text = "experiment(majority-vote(council=5), single-query(models=a/x+b/y), 0.3)"
    read = choices.parse(text)
    assert isinstance(read, Experiment)
    assert read.arms == (parse("majority-vote(council=5)"), parse("single-query(models=a/x+b/y)"))
    assert read.share == 0.3
    assert choices.from_json(read.to_json()) == read
    assert choices.plain(read) == parse("majority-vote(council=5)")


def test_a_bandit_over_models_gives_each_its_turn_as_the_first() -> None:
    read = choices.parse("bandit(single-query, models=a/x+b/y+c/z)")
    assert isinstance(read, Bandit)
    assert [arm.models for arm in read.arms] == [
        ("a/x", "b/y", "c/z"),
        ("b/y", "c/z", "a/x"),
        ("c/z", "a/x", "b/y"),
    ]
    assert choices.from_json(read.to_json()) == read
    assert choices.parse("bandit(single-query(attempts=4), models=a/x+b/y)") == Bandit(
        (parse("single-query(attempts=4, models=a/x+b/y)"), parse("single-query(attempts=4, models=b/y+a/x)"))
    )


def test_a_plain_recipe_stays_one() -> None:
    assert isinstance(choices.parse("majority-vote", 5), Recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experiment(majority-vote)", "two recipes and a share"),
        ("experiment(majority-vote, single-query, 1)", "is no share"),
        ("experiment(majority-vote, single-query, 0.0)", "is no share"),
        ("experiment(majority-vote, majority-vote(council=3), 0.5)", "the same recipe"),
        ("experiment(majority-vote, nothing, 0.5)", "no strategy 'nothing'"),
        ("experiment(majority-vote(council=3, single-query, 0.5)", "do not close"),
        ("experiment(a)), single-query, 0.5)", "do not close"),
        ("bandit(majority-vote)", "2 to 12 arms, not 1"),
        ("bandit(single-query, majority-vote, models=a/x)", "has one recipe"),
        ("bandit()", "is not a recipe"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        choices.parse(text)


@given(st.text(max_size=80))
def test_anything_else_is_refused_and_never_crashes(text: str) -> None:
    for form in (f"experiment({text})", f"bandit({text})"):
        try:
            read = choices.parse(form)
        except RecipeError:
            continue
        assert not isinstance(read, Recipe)
        assert choices.from_json(read.to_json()) == read


@given(st.text(max_size=20), st.text(max_size=20))
def test_an_item_stays_in_its_arm(custom_id: str, use_case: str) -> None:
    half = Experiment((parse("majority-vote"), parse("single-query")), 0.5)
    more = Experiment(half.arms, 0.8)
    assert half.arm_of(custom_id, use_case) == half.arm_of(custom_id, use_case)
    if half.arm_of(custom_id, use_case) == SECOND:
        assert more.arm_of(custom_id, use_case) == SECOND, "a larger share takes none away"


def test_the_shares_are_those_asked_for() -> None:
    third = Experiment((parse("majority-vote"), parse("single-query")), 0.3)
    second = sum(third.arm_of(f"item-{n}", "desk") == SECOND for n in range(10_000))
    assert abs(second / 10_000 - 0.3) < 0.02


# The test that may be looked at all the time


def sums(values: list[float]) -> Sums:
    return Sums(len(values), sum(values), sum(v * v for v in values))


def arm(right: list[bool], cost: list[float]) -> Arm:
    judged = sums([float(r) for r in right])
    return Arm(len(right), judged, judged, sums(cost), sums([1.0] * len(right)))


class Running:
    """Two arms that grow by ten items a look."""

    def __init__(self, rng: random.Random, rates: tuple[float, float], costs: tuple[float, float]) -> None:
        self.rng, self.rates, self.costs = rng, rates, costs
        self.seen = [[0, 0.0, 0.0, 0.0], [0, 0.0, 0.0, 0.0]]

    def grow(self, items: int) -> None:
        for at in (0, 1):
            right = sum(self.rng.random() < self.rates[at] for _ in range(items))
            paid = [self.costs[at] * self.rng.uniform(0.5, 1.5) for _ in range(items)]
            now = self.seen[at]
            self.seen[at] = [now[0] + items, now[1] + right, now[2] + sum(paid), now[3] + sum(p * p for p in paid)]

    def arms(self) -> tuple[Arm, Arm]:
        made = []
        for n, right, paid, squares in self.seen:
            shares, calls = Sums(int(n), right, right), Sums(int(n), n, n)
            made.append(Arm(int(n), shares, shares, Sums(int(n), paid, squares), calls))
        return made[0], made[1]

    def verdict(self, most: int, every: int = 10) -> tuple[str | None, int]:
        """(winner, items an arm at that moment), looking at every ``every`` items."""
        for n in range(every, most + 1, every):
            self.grow(every)
            winner = compare(*self.arms()).winner
            if winner is not None:
                return winner, n
        return None, most


@pytest.mark.parametrize("rate", [0.6, 0.9, 0.985])
def test_two_equal_arms_are_told_apart_no_more_often_than_said_however_often_one_looks(rate: float) -> None:
    """2,000 A/A runs over the three rates, 60 looks each; their costs are equal, too."""
    rng, wrong, runs = random.Random(31), 0, 667
    for _ in range(runs):
        wrong += Running(rng, (rate, rate), (10.0, 10.0)).verdict(600)[0] is not None
    assert wrong <= 0.05 * runs, wrong


def test_a_real_difference_is_found_and_soon() -> None:
    rng = random.Random(32)
    found = [Running(rng, (0.8, 0.9), (10.0, 30.0)).verdict(3_000) for _ in range(60)]
    assert sum(winner == SECOND for winner, _ in found) >= 58
    assert sum(n for _, n in found) / len(found) < 1_200


def test_of_two_equally_good_the_cheaper_wins() -> None:
    winner, _ = Running(random.Random(33), (0.97, 0.97), (30.0, 10.0)).verdict(60_000, every=3_000)
    assert winner == SECOND
    winner, _ = Running(random.Random(34), (0.97, 0.97), (10.0, 30.0)).verdict(60_000, every=3_000)
    assert winner == FIRST


def test_where_nothing_is_known_of_the_truth_nothing_is_decided() -> None:
    shares, nothing = sums([1.0] * 500), Sums()
    blind = Arm(500, nothing, shares, shares, shares)
    report = compare(blind, Arm(500, nothing, sums([0.7] * 500), shares, shares))
    assert report.winner is None
    assert "true label or an outcome" in report.why
    assert report.agreement.value == pytest.approx(-0.3)


def test_few_items_decide_nothing() -> None:
    n = LEAST - 1
    report = compare(arm([True] * n, [1.0] * n), arm([False] * n, [1.0] * n))
    assert report.winner is None
    assert report.accuracy.low is None
