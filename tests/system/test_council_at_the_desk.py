"""A real council at the desk: what the README says of the strategies, on a part of the recorded questions.

Every model, threshold and split comes from the folder or from a seed: nothing is fitted to these models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.core.plan import Plan
from bench import council
from bench.council import Learned, Question

SIGMAS = 3.0


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    if not council.data().is_dir():
        pytest.skip(f"no recorded answers: set SWITCHYARD_SHARED_DATA ({council.data()} is not there)")
    return council.questions(council.data())


def differences(one: Plan, other: Plan, test: Sequence[Question]) -> tuple[int, int]:
    """Questions that only the first answers rightly, and that only the other does."""
    right = [[council.play(plan, q)[0].answer == q.truth for q in test] for plan in (one, other)]
    pairs = list(zip(*right, strict=True))
    return pairs.count((True, False)), pairs.count((False, True))


@pytest.mark.parametrize("seed", [1, 2])
def test_cheap_first_is_as_good_as_the_strongest_for_a_third_of_its_calls(asked: list[Question], seed: int) -> None:
    before, test = council.split(asked, 500, seed)
    known = council.learned(before)
    strongest = max(known.quality, key=lambda m: known.quality[m])
    alone = council.score("alone", council.seated(known.only([strongest]), "single-query"), test, strongest)
    ladder = council.score("cheap-first", council.seated(known, "cheap-first"), test, strongest)
    assert ladder.accuracy >= alone.accuracy
    assert ladder.strong_calls <= 0.37


@pytest.mark.parametrize("size", [3, 5, 9])
def test_a_weighed_vote_is_not_below_the_majority_of_the_same_council(asked: list[Question], size: int) -> None:
    """Of any models, in any order: McNemar's test on the questions that only one of the two answers rightly."""
    before, test = council.split(asked, 500, size)
    known, dice = council.learned(before), random.Random(size)
    for _ in range(3):
        some = known.only(dice.sample(sorted(known.quality), size))
        majority = council.seated(some, f"majority-vote(council={size})")
        order = dice.sample(majority.seats, len(majority.seats))
        for skilled in (True, False):
            weighed = council.seated(some, f"weighted-vote(council={size})", skilled)
            up, down = differences(
                replace(weighed, seats=tuple(order)), replace(majority, seats=tuple(order)), test[:600]
            )
            assert up - down >= -SIGMAS * max(1, up + down) ** 0.5


def test_weak_models_that_vote_are_worse_than_the_best_of_them(asked: list[Question]) -> None:
    """And weights that were measured mend most of it."""
    before, test = council.split(asked, 500, 0)
    known = council.learned(before)
    best = max(known.quality, key=lambda m: known.quality[m])
    size = min(len(known.quality), 15)
    alone = council.score("alone", council.seated(known.only([best]), "single-query"), test, best)
    majority = council.score("majority", council.seated(known, f"majority-vote(council={size})"), test, best)
    weighed = council.score("weighted", council.seated(known, f"weighted-vote(council={size})", True), test, best)
    assert majority.accuracy < alone.accuracy
    assert weighed.accuracy > majority.accuracy
    assert weighed.calls < majority.calls


def test_what_is_learned_counts_silence_against_a_model_s_quality_and_not_against_its_votes() -> None:
    said = [Question(n, "A", {"mute": "A" if n % 2 else None, "wrong": "B"}) for n in range(400)]
    known: Learned = council.learned(said)
    assert known.quality["mute"] == pytest.approx(0.5, abs=0.02)
    assert known.skill["mute"] > 0.9
    assert known.quality["wrong"] < 0.05
