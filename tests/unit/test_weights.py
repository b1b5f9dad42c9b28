"""Weights of voices: equal without evidence, jointly fitted with it, and never more than the evidence warrants."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.weights import Question, fit, winner

LABELS = ("a", "b", "c", "d")


def council(n: int, accuracy: dict[str, float], seed: int, clones: tuple[str, ...] = ()) -> list[Question]:
    """Questions to independent voices; the ``clones`` all say what the first of them says."""
    dice = random.Random(seed)
    asked = []
    for _ in range(n):
        truth = dice.choice(LABELS)
        votes = {
            voice: truth if dice.random() < right else dice.choice([label for label in LABELS if label != truth])
            for voice, right in accuracy.items()
        }
        for clone in clones:
            votes[clone] = votes[clones[0]]
        asked.append(Question(votes, truth))
    return asked


def right(questions: list[Question], weights: dict[str, float]) -> float:
    return sum(winner(q.votes, weights) == q.truth for q in questions) / len(questions)


def test_without_evidence_every_voice_weighs_the_same() -> None:
    assert fit([], ["x", "y", "z"]) == {"x": 1.0, "y": 1.0, "z": 1.0}
    unanimous = [Question({"x": "a", "y": "a"}, "a")] * 50
    assert fit(unanimous, ["x", "y"]) == {"x": 1.0, "y": 1.0}, "who only agrees tells nothing of who is better"


def test_the_better_voice_weighs_more_and_its_word_stands_against_two_weak_ones() -> None:
    said = council(600, {"strong": 0.9, "weak": 0.45, "weaker": 0.4}, seed=1)
    weights = fit(said, ["strong", "weak", "weaker"])
    assert weights["strong"] > weights["weak"] + weights["weaker"]
    assert winner({"strong": "a", "weak": "b", "weaker": "b"}, weights) == "a"


def test_clones_together_weigh_about_what_one_of_them_would() -> None:
    accuracy = {"one": 0.7, "two": 0.7, "three": 0.7}
    alone = fit(council(800, accuracy, seed=3), list(accuracy))
    cloned = council(800, {**accuracy, "copy": 0.7, "copy2": 0.7}, seed=3, clones=("one", "copy", "copy2"))
    weights = fit(cloned, [*accuracy, "copy", "copy2"])
    together = weights["one"] + weights["copy"] + weights["copy2"]
    assert together < 1.5 * alone["one"]
    assert right(cloned, weights) > right(cloned, dict.fromkeys(weights, 1.0)) + 0.03, "three clones would outvote two"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(0.5, 0.95), min_size=3, max_size=7))
def test_on_fresh_questions_they_are_not_below_plain_majority_beyond_noise(seed: int, accuracies: list[float]) -> None:
    accuracy = {f"v{n}": a for n, a in enumerate(accuracies)}
    weights = fit(council(1_000, accuracy, seed), list(accuracy))
    fresh = council(1_500, accuracy, seed + 1)
    assert all(weight >= 0 for weight in weights.values())
    assert right(fresh, weights) >= right(fresh, dict.fromkeys(accuracy, 1.0)) - 0.04


def test_winner_does_not_hang_on_the_order_of_votes() -> None:
    weights = {"x": 1.0, "y": 1.0, "z": 0.5}
    assert winner({"x": "b", "y": "a"}, weights) == winner({"y": "a", "x": "b"}, weights) == "a"
    assert winner({"z": "b", "stranger": "c"}, weights) == "b", "a voice that was never weighed weighs nothing"
    assert winner({}, weights) is None


def test_a_negative_penalty_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        fit([], ["x"], penalty=-1.0)


def test_the_fit_is_the_same_for_any_order_of_questions() -> None:
    said = council(200, {"x": 0.8, "y": 0.6, "z": 0.5}, seed=9)
    mixed = random.Random(4).sample(said, len(said))
    assert fit(said, ["x", "y", "z"]) == pytest.approx(fit(mixed, ["x", "y", "z"]), abs=1e-4)
    assert Counter(map(type, fit(said, ["x"]).values())) == {float: 1}
