"""Savings are measured or not claimed."""

from __future__ import annotations

import random

import pytest

from app.core.savings import Saving, Unmeasured, _student, saving


def test_a_saving_is_the_audited_mean_times_the_items_less_what_was_paid() -> None:
    made = saving("p/strong", [100] * 20, items=1_000, cost=30_000, unpriced=0)
    assert isinstance(made, Saving)
    assert (made.would_have_cost, made.saved, made.low, made.high) == (100_000, 70_000, 100_000, 100_000)
    assert made.to_json()["saved_usd"] == pytest.approx(0.07)


def test_what_was_dearer_than_the_baseline_is_a_loss() -> None:
    made = saving("p/strong", [1] * 50, items=100, cost=500, unpriced=0)
    assert isinstance(made, Saving)
    assert made.saved < 0


@pytest.mark.parametrize(
    ("audited", "unpriced", "why"),
    [([None] * 20, 0, "price is unknown"), ([5] * 20, 3, "price is unknown"), ([5] * 9, 0, "9 items were audited")],
)
def test_nothing_is_claimed_on_an_unknown_price_or_a_handful(
    audited: list[int | None], unpriced: int, why: str
) -> None:
    made = saving("p/strong", audited, items=500, cost=1, unpriced=unpriced)
    assert isinstance(made, Unmeasured)
    assert why in made.why


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    dice = random.Random(7)
    held = 0
    for _ in range(400):
        costs = [round(dice.lognormvariate(4, 0.4)) for _ in range(1_000)]
        audited = dice.sample(costs, 60)
        made = saving("p/strong", list(audited), items=1_000, cost=0, unpriced=0)
        assert isinstance(made, Saving)
        held += made.low <= sum(costs) <= made.high
    assert 0.92 <= held / 400 <= 0.98


def test_the_whole_audited_leaves_no_doubt() -> None:
    costs: list[int | None] = list(range(1, 101))
    made = saving("p/strong", costs, items=100, cost=0, unpriced=0)
    assert isinstance(made, Saving)
    assert made.low == made.high == 5_050


def test_students_quantiles() -> None:
    # From the tables: t(0.975; 9) = 2.262, t(0.975; 29) = 2.045, t(0.975; 120) = 1.980.
    assert [round(_student(n), 2) for n in (9, 29, 120)] == [2.26, 2.05, 1.98]
