"""``weighted-vote`` and ``first-ahead``: any panel, any skills, any fates, any order; and the posterior itself."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ballots import Ballot, Status, Verdict
from app.core.plan import Plan, Seat
from app.core.posterior import Reckoning, Voice
from app.core.recipe import parse
from app.core.strategies import decide
from tests.unit.test_strategies import LABELS, Fate, World, fates, play, played_in_any_order, replays, seats, stands

rates = st.dictionaries(st.sampled_from(["", *LABELS]), st.floats(0, 1), max_size=4)
voices = st.builds(Voice, st.floats(0, 1), st.none() | rates)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    council = draw(st.integers(1, 7))
    attempts = draw(st.integers(council, 3 * council + 6))
    if draw(st.booleans()):
        recipe = parse(f"weighted-vote(council={council}, threshold=0.{draw(st.integers(5, 99))}, attempts={attempts})")
    else:
        recipe = parse(f"first-ahead(council={council}, ahead={draw(st.integers(1, council))}, attempts={attempts})")
    panel = draw(st.lists(seats, min_size=1, max_size=9))
    later = draw(st.lists(seats, max_size=3))
    names = st.sampled_from([s.deployment for s in (*panel, *later)])
    plan = Plan(
        recipe,
        tuple(panel),
        skills=draw(st.none() | st.dictionaries(names, rates, max_size=9)),
        labels=draw(st.none() | st.integers(2, 20)),
    )
    count = len(panel) + len(later)
    said = tuple(draw(st.lists(fates, min_size=count, max_size=count)))
    return World(plan, said, tuple(later), draw(st.sampled_from(("nobody_left", "overdue", "budget"))))


@settings(max_examples=400, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_every_play_ends_in_one_verdict_that_tells_the_truth(world: World, seed: int) -> None:
    played = play(world, random.Random(seed))
    verdict = played.verdict
    cast = [b for b in played.ballots if b.is_vote]
    assert verdict.votes == len(cast) <= played.plan.recipe.council
    families = [played.plan.seats[b.seat].family for b in cast]
    assert len(families) == len(set(families)), "two voices of one family"
    if verdict.status is Status.DECIDED:
        assert verdict.answer in {b.answer for b in cast}
        assert verdict.confidence is not None and 0 < verdict.confidence < 1
    else:
        assert verdict.answer is None and verdict.reason


@settings(max_examples=300, deadline=None)
@given(worlds(), st.integers(0, 2**32), st.lists(seats, max_size=3))
def test_order_changes_nothing_and_a_verdict_stands(world: World, seed: int, more: list[Seat]) -> None:
    stands(played_in_any_order(world, seed), more)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_it_replays_from_what_is_written_down(world: World, seed: int) -> None:
    replays(play(world, random.Random(seed)))


def _panel(count: int, recipe: str, **more: object) -> Plan:
    panel = tuple(Seat(f"p{n}/m", f"F{n}", round(0.9 - n / 50, 2)) for n in range(count))
    return Plan(parse(recipe), panel, closed="nobody_left", **more)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 15), st.data())
def test_while_nothing_is_measured_the_label_is_that_of_the_majority(council: int, data: st.DataObject) -> None:
    """A claim breaks ties; it never overrules more voices, in no council however large."""
    said = data.draw(st.lists(st.sampled_from(LABELS), min_size=council, max_size=council))
    panel = tuple(Seat(f"p{n}/m", f"F{n}", data.draw(st.sampled_from((0.0, 0.4, 1.0)))) for n in range(council))
    plan = Plan(parse(f"weighted-vote(council={council}, threshold=1)"), panel, closed="nobody_left", labels=3)
    verdict = play(World(plan, tuple(Fate(label) for label in said))).verdict
    counts = Counter(said)
    assert counts[str(verdict.answer)] == max(counts.values())


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 9), st.data())
def test_whom_nobody_left_could_overturn_is_not_asked_about_again(council: int, data: st.DataObject) -> None:
    """With a threshold out of reach the label is that of the full council, for fewer calls or as many."""
    skills = {f"p{n}/m": {"": data.draw(st.floats(0.3, 0.95))} for n in range(council)}
    said = tuple(Fate(data.draw(st.sampled_from(LABELS))) for _ in range(council))
    plan = _panel(council, f"weighted-vote(council={council}, threshold=1)", skills=skills, labels=3)
    verdict = play(World(plan, said)).verdict
    votes = [Ballot(n, fate.answer) for n, fate in enumerate(said)]
    full = decide(plan, votes)
    assert isinstance(full, Verdict)
    assert verdict.answer == full.answer


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 9), st.data())
def test_first_ahead_stops_as_soon_as_it_is_and_not_before(council: int, data: st.DataObject) -> None:
    ahead = data.draw(st.integers(1, council))
    said = tuple(Fate(data.draw(st.sampled_from(LABELS))) for _ in range(council))
    plan = _panel(council, f"first-ahead(council={council}, ahead={ahead})")
    played = play(World(plan, said))

    def over(cast: list[str | None]) -> bool:
        most, second = (*sorted(Counter(cast).values(), reverse=True), 0, 0)[:2]
        return most - second >= ahead or most - second > council - len(cast) or len(cast) == council

    cast = [fate.answer for fate in said[: len(played.ballots)]]
    assert over(cast)
    assert not any(over(cast[:n]) for n in range(1, len(cast)))


# The posterior


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), voices), min_size=1, max_size=9), st.none() | st.integers(2, 40))
def test_shares_are_chances(votes: list[tuple[str, Voice]], labels: int | None) -> None:
    shares = Reckoning(labels).shares(votes)
    assert set(shares) == {label for label, _ in votes}
    assert all(0 < share < 1 or math.isclose(share, 1) for share in shares.values())
    assert sum(shares.values()) <= 1 + 1e-9
    for order in itertools.islice(itertools.permutations(votes), 24):
        again = Reckoning(labels).shares(list(order))
        assert all(math.isclose(again[label], share, rel_tol=1e-12) for label, share in shares.items())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), voices), max_size=6), st.floats(0.46, 0.99), st.integers(2, 40))
def test_a_voice_raises_the_label_it_names(votes: list[tuple[str, Voice]], rate: float, labels: int) -> None:
    reckoning, voice = Reckoning(labels), Voice(0.5, {"": rate})
    if reckoning.worth(0.5) < rate:
        before = reckoning.shares(votes).get("x", 0.0)
        assert reckoning.shares([*votes, ("x", voice)])["x"] >= before - 1e-12


def test_it_is_bayes_rule_where_three_labels_are_reckoned_with() -> None:
    votes = [("x", Voice(0.5, {"": 0.8})), ("y", Voice(0.5, {"": 0.6}))]
    x, y, z = 0.8 * 0.2, 0.1 * 0.6, 0.1 * 0.2
    shares = Reckoning(3).shares(votes)
    assert shares["x"] == pytest.approx(x / (x + y + z))
    assert shares["y"] == pytest.approx(y / (x + y + z))
    assert Reckoning(10).shares(votes) == shares == Reckoning().shares(votes), (
        "wrong voices coincide: more labels do not help"
    )


def test_a_voice_counts_by_what_it_is_worth_at_the_label() -> None:
    good_at_x = Voice(0.5, {"": 0.6, "x": 0.95, "y": 0.3})
    reckoning = Reckoning(2)
    assert reckoning.shares([("x", good_at_x)])["x"] < 0.75, "it says x too often: of what is y it calls much x"
    said = [("y", good_at_x), ("x", Voice(0.5, {"": 0.62}))]
    assert reckoning.shares(said)["y"] > 0.85, "it hardly ever says y where it is x"


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 5), st.none() | st.integers(2, 50))
def test_worth_is_the_inverse_of_weight(weight: float, labels: int | None) -> None:
    reckoning = Reckoning(labels)
    assert reckoning.weight(reckoning.worth(weight)) == pytest.approx(weight, abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(st.lists(voices, min_size=1, max_size=8), st.sampled_from(LABELS), st.integers(2, 20))
def test_no_voice_moves_more_than_the_heaviest(crowd: list[Voice], label: str, labels: int) -> None:
    reckoning = Reckoning(labels)
    heaviest = reckoning.heaviest({str(n): voice.rates or {} for n, voice in enumerate(crowd)})
    for voice in crowd:
        scores = reckoning.scores([(label, voice)])
        assert all(scores[label] - other <= heaviest + 1e-9 for other in scores.values())
