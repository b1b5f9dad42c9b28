"""Dawid and Skene: against crowd-kit, against a reckoning without short cuts, and on voters of known accuracy."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.dawid_skene import Question, infer

LABELS = ("a", "b", "c", "d")
ACCURACY = {"v1": 0.9, "v2": 0.75, "v3": 0.6, "v4": 0.5, "v5": 0.8}


def synthetic() -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The set that the recorded numbers below are of: 400 questions, each voter answers four of five."""
    dice = random.Random(7)
    votes: dict[str, dict[str, str]] = {}
    truths = {}
    for n in range(400):
        truth = truths[f"t{n}"] = dice.choice(LABELS)
        for voter, right in ACCURACY.items():
            if dice.random() < 0.8:
                said = truth if dice.random() < right else dice.choice([x for x in LABELS if x != truth])
                votes.setdefault(f"t{n}", {})[voter] = said
    return votes, truths


# crowd-kit 1.4.2 on that set, n_iter=200, tol=1e-9 (recorded here: it would bring 700 MB of packages with it).
# DawidSkene and OneCoinDawidSkene: the mean of its probability of what each voter said.
CROWD_KIT = {
    "confusion": {"v1": 0.8971, "v2": 0.7562, "v3": 0.5843, "v4": 0.4324, "v5": 0.7806},
    "one coin": {"v1": 0.9055, "v2": 0.7417, "v3": 0.5868, "v4": 0.4289, "v5": 0.7825},
    "confusion, every 6th known": {"v1": 0.8879, "v2": 0.744, "v3": 0.59, "v4": 0.4359, "v5": 0.794},
}
WAYS = {
    "confusion": {"confusion": True},
    "one coin": {"confusion": False, "tied": True},
    "confusion, every 6th known": {"confusion": True},
}


def _questions(known: bool) -> list[Question]:
    votes, truths = synthetic()
    return [Question(said, truths[name] if known and int(name[1:]) % 6 == 0 else None) for name, said in votes.items()]


@pytest.mark.parametrize("way", CROWD_KIT)
def test_the_accuracies_are_those_of_crowd_kit(way: str) -> None:
    found = infer(_questions("known" in way), LABELS, smoothing=0.0, most_rounds=300, enough=1e-9, **WAYS[way])
    # Both creep towards the same point; where they stop differs in the third decimal.
    assert found.accuracy == pytest.approx(CROWD_KIT[way], abs=0.005)


@pytest.mark.filterwarnings("default")  # its own, of pandas
def test_against_crowd_kit_itself_where_it_is_installed() -> None:
    pandas = pytest.importorskip("pandas")
    aggregation = pytest.importorskip("crowdkit.aggregation")
    votes, _ = synthetic()
    rows = [(name, voter, said) for name, of in votes.items() for voter, said in of.items()]
    theirs = aggregation.OneCoinDawidSkene(n_iter=200, tol=1e-9).fit(
        pandas.DataFrame(rows, columns=["task", "worker", "label"])
    )
    ours = infer(_questions(False), LABELS, smoothing=0.0, most_rounds=300, enough=1e-9, tied=True)
    for name, truth in zip(votes, ours.truths, strict=True):
        for label, chance in truth.items():
            assert chance == pytest.approx(float(theirs.probas_.loc[name, label]), abs=1e-3)


def _dense(question: Question, coins: Mapping[str, Sequence[float]], prior: Sequence[float]) -> list[float]:
    """The chance of every label, reckoned for each of them."""
    scores = []
    for at, label in enumerate(LABELS):
        score = prior[at]
        for voter, said in question.votes.items():
            coin = coins[voter][at]
            score *= coin if said == label else (1 - coin) / (len(LABELS) - 1)
        scores.append(0.0 if label == question.barred else score)
    return [score / sum(scores) for score in scores]


questions = st.lists(
    st.builds(
        Question,
        votes=st.dictionaries(st.sampled_from(["x", "y", "z"]), st.sampled_from(LABELS), min_size=1),
        truth=st.none() | st.sampled_from(LABELS),
        barred=st.none() | st.sampled_from(LABELS),
    ).filter(lambda q: q.truth is None or q.truth != q.barred),
    min_size=1,
    max_size=25,
)


@settings(max_examples=120, deadline=None)
@given(questions, st.booleans())
def test_the_short_cut_of_coins_is_exact(asked: list[Question], tied: bool) -> None:
    """One more round from the coins learned, with every label reckoned by itself."""
    from app.core.dawid_skene import _Coins, _Table

    model = _Coins(_Table(asked, LABELS), 2.0, tied)
    for _ in range(3):
        coins = dict(zip(model.table.voters, model.coins, strict=True))
        prior = list(model.prior)
        model.round()
        told = [0.0] * len(LABELS)
        for question, belief in zip(asked, model.beliefs, strict=True):
            if question.truth is not None:
                told[LABELS.index(question.truth)] += 1
                continue
            dense = _dense(question, coins, prior)
            told = [a + b for a, b in zip(told, dense, strict=True)]
            for place, chance in belief.items():
                assert chance == pytest.approx(dense[place], abs=1e-9)
        assert [p * (len(asked) + 2.0) - 0.5 for p in model.prior] == pytest.approx(told, abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(questions, st.randoms(use_true_random=False))
def test_chances_are_chances_whatever_the_order(asked: list[Question], dice: random.Random) -> None:
    for model in ({"confusion": True}, {"confusion": False}, {"tied": True}):
        found = infer(asked, LABELS, **model)
        for question, truth in zip(asked, found.truths, strict=True):
            assert all(-1e-9 <= chance <= 1 + 1e-9 for chance in truth.values())
            assert sum(truth.values()) <= 1 + 1e-9
            if question.truth is not None:
                assert truth.get(question.truth) == 1.0
            elif question.barred is not None:
                assert truth.get(question.barred, 0.0) == 0.0
        order = list(range(len(asked)))
        dice.shuffle(order)
        again = infer([asked[n] for n in order], LABELS, **model)
        if again.rounds == found.rounds:
            assert again.accuracy == pytest.approx(found.accuracy, abs=1e-6)


@pytest.mark.parametrize("labels", [2, 4, 40])
def test_voters_of_known_accuracy_are_known(labels: int) -> None:
    dice = random.Random(labels)
    names = [f"l{n}" for n in range(labels)]
    right = {f"v{n}": 0.55 + 0.04 * n for n in range(10)}
    asked = []
    for _ in range(3_000):
        truth = dice.choice(names)
        panel = dice.sample(sorted(right), 3)
        others = [name for name in names if name != truth]
        asked.append(Question({v: truth if dice.random() < right[v] else dice.choice(others) for v in panel}))
    found = infer(asked, names)
    assert max(abs(found.accuracy[v] - right[v]) for v in right) < 0.05


def test_answers_without_a_list_of_labels() -> None:
    dice = random.Random(1)
    right = {"good": 0.9, "fair": 0.7, "poor": 0.4}
    asked = [
        Question({v: f"true {n}" if dice.random() < a else f"{n} by {v}" for v, a in right.items()}) for n in range(400)
    ]
    found = infer(asked)
    assert found.accuracy["good"] > found.accuracy["fair"] > found.accuracy["poor"]
    assert math.isclose(found.accuracy["good"], 0.9, abs_tol=0.06)


def test_what_is_known_overrules_the_crowd() -> None:
    asked = [Question({"x": "a", "y": "a", "z": "b"}, "b") for _ in range(30)]
    asked += [Question({"x": "a", "y": "a", "z": "b"}) for _ in range(5)]
    found = infer(asked, ("a", "b"))
    assert found.truths[-1]["b"] > 0.95
    assert found.accuracy["z"] > 0.95 > 0.05 > found.accuracy["x"]


def test_a_hundred_thousand_votes_take_seconds() -> None:
    dice = random.Random(3)
    names = [f"l{n}" for n in range(10)]
    voters = [f"v{n}" for n in range(12)]
    asked = []
    for _ in range(33_000):
        truth = dice.choice(names)
        asked.append(
            Question({v: truth if dice.random() < 0.8 else dice.choice(names) for v in dice.sample(voters, 3)})
        )
    begun = time.process_time()
    infer(asked, names)
    assert time.process_time() - begun < 30, "some five seconds on an idle machine"


@pytest.mark.parametrize(
    ("asked", "labels", "says"),
    [
        ([Question({"x": "q"})], LABELS, "'q' is not one of the labels"),
        ([Question({"x": "a"}, "z")], LABELS, "'z' is not one of the labels"),
        ([Question({"x": "a"})], ("a",), "two labels"),
        ([Question({f"v{n}": str(n) for n in range(17)})], (), "more than 16"),
    ],
)
def test_what_cannot_be_believed_is_refused(asked: list[Question], labels: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        infer(asked, labels)


def test_nothing_asked_is_nothing_believed() -> None:
    assert infer([], LABELS).accuracy == {}
