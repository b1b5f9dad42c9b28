"""Kinship: clones are found and are one voice; good models that agree are none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.dawid_skene import Question, infer
from app.core.kinship import CLONE, Kin, diverse, measure, one_voice

LABELS = tuple("abcdef")


def panel(
    n: int, right: dict[str, float], *, clone_of: str | None = None, noise: float = 0.05, seats: int = 5, seed: int = 1
) -> tuple[list[Question], list[str]]:
    """Questions to independent voters, a clone that says what its original says but for some noise, and the truths."""
    dice = random.Random(seed)
    asked, truths = [], []
    for _ in range(n):
        truth = dice.choice(LABELS)
        wrong = [label for label in LABELS if label != truth]
        votes = {v: truth if dice.random() < a else dice.choice(wrong) for v, a in right.items()}
        if clone_of is not None:
            votes["clone"] = votes[clone_of] if dice.random() >= noise else dice.choice(LABELS)
        asked.append(Question({v: votes[v] for v in dice.sample(sorted(votes), min(seats, len(votes)))}))
        truths.append(truth)
    return asked, truths


RIGHT = {"m1": 0.8, "m2": 0.75, "m3": 0.7, "m4": 0.85, "m5": 0.65}


def clones(asked: list[Question]) -> list[tuple[str, str]]:
    believed = infer(asked, LABELS).accuracy
    return [(k.first, k.second) for k in measure(asked, believed, len(LABELS)) if k.clones]


def test_a_clone_is_found_by_gold() -> None:
    asked, truths = panel(400, RIGHT, clone_of="m2", seats=3)
    known = [Question(q.votes, truth) for q, truth in zip(asked, truths, strict=True)]
    assert clones(known) == [("clone", "m2")]


def test_a_clone_is_found_without_any_truth_where_others_can_tell() -> None:
    asked, _ = panel(1_500, RIGHT, clone_of="m3")
    assert clones(asked) == [("clone", "m3")]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(0.35, 0.97), min_size=4, max_size=7), st.booleans())
def test_independent_voters_are_no_clones(seed: int, accuracies: list[float], known: bool) -> None:
    asked, truths = panel(500, {f"v{n}": a for n, a in enumerate(accuracies)}, seed=seed)
    if known:
        asked = [Question(q.votes, truth) for q, truth in zip(asked, truths, strict=True)]
    assert clones(asked) == []


def test_two_good_ones_that_always_agree_against_a_bad_one_are_no_clones() -> None:
    asked, truths = panel(600, {"good": 0.97, "better": 0.98, "bad": 0.4}, seats=3)
    assert clones(asked) == []
    assert clones([Question(q.votes, t) for q, t in zip(asked, truths, strict=True)]) == []


def test_chance_is_taken_off() -> None:
    """Of two labels, two voters who are mostly wrong are mostly wrong together."""
    bad = Kin("x", "y", 1000, 900, 900, 990, 810, labels=2)
    assert bad.kinship == pytest.approx(0.0, abs=0.01)
    assert not bad.clones
    assert Kin("x", "y", 1000, 100, 100, 101, 99, labels=2).clones
    few = Kin("x", "y", 30, 5, 5, 5, 5, labels=10)
    assert few.kinship > 0.99 > CLONE
    assert not few.clones, "five errors are no evidence"
    assert Kin("x", "y", 0, 0, 0, 0, 0).kinship == 0.0


def test_clones_share_a_family_and_their_kin_with_them() -> None:
    families = {"a/x": "x", "b/x2": "x2", "c/y": "y", "d/x": "x", "e/z": "z"}
    assert one_voice(families, [("a/x", "b/x2"), ("b/x2", "e/z"), ("a/x", "gone/q")]) == {
        "a/x": "x", "b/x2": "x", "c/y": "y", "d/x": "x", "e/z": "x",
    }  # fmt: skip
    assert one_voice(families, []) == families


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), unique=True), st.randoms(use_true_random=False))
def test_diversity_passes_nobody_by_for_one_that_is_no_equal(
    ordered: list[tuple[int, int]], dice: random.Random
) -> None:
    ordered.sort(key=lambda one: one[0])
    near = {frozenset((a, b)): dice.random() for a in ordered for b in ordered if a != b}
    chosen = diverse(ordered, lambda a, b: a[0] == b[0], lambda a, b: near[frozenset((a, b))])
    assert sorted(chosen) == sorted(ordered)
    assert [one[0] for one in chosen] == [one[0] for one in ordered]


def test_of_equals_the_stranger_is_asked_before_the_kin() -> None:
    near = {frozenset(("x", "x2")): 0.5, frozenset(("x", "y")): 0.1, frozenset(("x2", "y")): 0.1}
    assert diverse(["x", "x2", "y"], lambda a, b: True, lambda a, b: near[frozenset((a, b))]) == ["x", "y", "x2"]


def test_a_panel_of_equals_is_seated_for_diversity() -> None:
    from app.core.balancing import in_order
    from app.core.recipe import parse
    from app.core.routing import Wanted
    from app.core.tracks import Track
    from app.core.values import Deployment, Tier

    def track(name: str, quality: float = 0.6, **kin: float) -> Track:
        deployment = Deployment(name, "m", Tier.CHEAP, f"family-{name}", 8_000, 1_000, quality=quality)
        return Track(deployment, pace=1.0, kin={f"{other}/m": near for other, near in kin.items()})

    def order(*tracks: Track) -> list[str]:
        return [t.deployment.provider for t in in_order(tracks, Wanted(Tier.CHEAP, parse("majority-vote")))]

    assert order(track("a", b=0.4, c=0.1), track("b", a=0.4, c=0.1), track("c", a=0.1, b=0.1)) == ["a", "c", "b"]
    assert order(track("a", b=0.4), track("b", a=0.4), track("c")) == ["a", "c", "b"]
    assert order(track("a", b=0.4), track("b", a=0.4), track("c", quality=0.2)) == ["a", "b", "c"], "no equal"
    busy = track("c")
    busy.queued = 5.0
    assert order(track("a", b=0.4), track("b", a=0.4), busy) == ["a", "b", "c"], "it is not free as soon"
    assert order(track("a"), track("b"), track("c")) == ["a", "b", "c"]
