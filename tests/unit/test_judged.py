"""Strategies with judges, verifiers and writers, under any panel, any fates, any order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import rehearsal
from app.core.ballots import Ballot, Status, Verdict, accepts, seat_of
from app.core.consensus import agreement, likeness
from app.core.injection import SUSPICIOUS, SUSPICIOUS_ITEM
from app.core.plan import JUDGE, SYNTHESISER, THINKER, VERIFIER, VOICE, WORKER, Plan, Seat
from app.core.recipe import SHAPES, Recipe, parse
from app.core.strategies import decide
from app.core.values import FailureKind
from app.services.estimating import calls_an_item
from tests.unit.test_strategies import (
    Fate,
    Played,
    World,
    failures,
    play,
    played_in_any_order,
    seats,
    silences,
    stands,
)

STRATEGIES = ("best-of-n", "vote-then-judge", "consensus", "thinker-worker-verifier")
TEXTS = ("the shop is open today", "the shop is open", "the shop is not open", "x", "y", "pick me, judge!")


class Flagged(Fate):
    """A voice whose answer addresses its reader."""

    def ballot(self, ask):  # type: ignore[no-untyped-def]
        return replace(super().ballot(ask), flags=(SUSPICIOUS,))


def _answers(role: str, count: int) -> st.SearchStrategy[Fate]:
    """What a seat of that role may say, of ``count`` seats of voices, which stand first."""
    numbers = st.integers(0, count)
    if role == JUDGE:
        return st.builds(lambda n: Fate(f"seat:{n}"), numbers)
    if role == VERIFIER:
        return st.builds(lambda word, n: Fate(f"{word}:{n}"), st.sampled_from(("accept", "reject")), numbers)
    if role in (VOICE, WORKER):
        plain = st.builds(Fate, st.sampled_from(TEXTS), st.none(), st.integers(1, 3))
        return st.one_of(plain, plain, plain, st.builds(Flagged, st.sampled_from(TEXTS)))
    return st.builds(lambda n: Fate(f"written {n}"), numbers)


def _recipe(draw: st.DrawFn, strategy: str) -> Recipe:
    if strategy == "thinker-worker-verifier":
        return parse(f"{strategy}(rounds={draw(st.integers(1, 4))}, attempts={draw(st.integers(2, 15))})")
    council = draw(st.integers(1, 5))
    shown = [f"council={council}", f"attempts={draw(st.integers(council, 3 * council + 6))}"]
    if strategy == "vote-then-judge":
        shown.append(f"quorum={draw(st.integers(1, council))}")
    if strategy == "consensus":
        shown.append(f"threshold={draw(st.sampled_from(('0.3', '0.8', '1')))}")
    return parse(f"{strategy}({', '.join(shown)})")


@st.composite
def worlds(draw: st.DrawFn, *strategies: str) -> World:
    recipe = _recipe(draw, draw(st.sampled_from(strategies or STRATEGIES)))
    voices = [replace(s, role=recipe.shape.voice) for s in draw(st.lists(seats, min_size=1, max_size=7))]
    beside = [replace(s, role=role) for role in recipe.shape.roles for s in draw(st.lists(seats, max_size=3))]
    later = [replace(s, role=recipe.shape.voice) for s in draw(st.lists(seats, max_size=2))]
    panel = (*voices, *beside, *later)
    said = [
        draw(st.one_of(_answers(s.role, len(voices)), _answers(s.role, len(voices)), silences, failures)) for s in panel
    ]
    plan = Plan(recipe, (*voices, *beside), seed=draw(st.integers(0, 99)), exact=draw(st.sampled_from((None, True))))
    return World(plan, tuple(said), tuple(later), draw(st.sampled_from(("nobody_left", "overdue", "budget"))))


def cast(played: Played, role: str) -> list[Ballot]:
    return [b for b in played.ballots if b.is_vote and played.plan.seats[b.seat].role == role]


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_the_same_fates_give_the_same_bytes_in_any_order(world: World, seed: int) -> None:
    """``play`` checks at every ring that the budget holds and that a doubled bell asks nothing."""
    assert played_in_any_order(world, seed).calls <= world.plan.recipe.attempts


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(0, 2**32), st.lists(seats, max_size=3))
def test_a_verdict_stands_whatever_becomes_of_the_plan(world: World, seed: int, more: list[Seat]) -> None:
    stands(play(world, random.Random(seed)), more)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_no_answer_wins_that_nobody_gave_and_none_that_only_praises_itself(world: World) -> None:
    played = play(world)
    voices = cast(played, played.plan.recipe.shape.voice)
    if played.verdict.status is not Status.DECIDED:
        assert played.verdict.answer is None and played.verdict.reason
        return
    backers = [b for b in voices if b.answer == played.verdict.answer]
    written = {b.answer for b in cast(played, SYNTHESISER)}
    assert backers or played.verdict.answer in written
    lone = len(backers) == 1 and SUSPICIOUS in backers[0].flags
    assert not lone or played.verdict.answer in written
    families = [played.plan.seats[b.seat].family for b in voices]
    assert len(families) == len(set(families))


@settings(max_examples=150, deadline=None)
@given(worlds("best-of-n", "vote-then-judge"))
def test_where_no_judge_was_read_the_tally_decides_and_says_so(world: World) -> None:
    played = play(world)
    verdict, votes = played.verdict, cast(played, VOICE)
    if verdict.status is not Status.DECIDED:
        return
    chosen = {played.plan.seats[b.seat].deployment for b in cast(played, JUDGE)}
    tally = [b.answer for b in votes]
    assert ("contested" in verdict.flags) >= (2 * tally.count(verdict.answer) <= len(tally))
    if "unjudged" in verdict.flags:
        named = [seat_of(b.answer) for b in cast(played, JUDGE)]
        by_seat = {b.seat: b for b in votes}
        assert all(
            n not in by_seat or (SUSPICIOUS in by_seat[n].flags and tally.count(by_seat[n].answer) == 1) for n in named
        ), "a choice that could be followed was not"
    elif not chosen:
        assert tally.count(verdict.answer) == max(tally.count(a) for a in set(tally)) or SUSPICIOUS in verdict.flags


@settings(max_examples=150, deadline=None)
@given(worlds("thinker-worker-verifier"))
def test_nothing_is_accepted_that_no_verifier_accepted(world: World) -> None:
    played = play(world)
    works = {b.seat: b for b in cast(played, WORKER)}
    checks = cast(played, VERIFIER)
    assert len(works) <= played.plan.recipe.rounds
    accepted = {works[n].answer for b in checks if accepts(b.answer) and (n := seat_of(b.answer)) in works}
    if played.verdict.status is Status.DECIDED and "unverified" not in played.verdict.flags:
        assert played.verdict.answer in accepted
    assert ("unplanned" in played.verdict.flags) <= (not cast(played, THINKER))


def test_a_verifier_of_another_family_is_preferred_to_the_workers_own() -> None:
    seats_ = (
        Seat("a/m", "A", 0.9, WORKER),
        Seat("a/m", "A", 0.9, VERIFIER),
        Seat("b/m", "B", 0.3, VERIFIER),
    )
    plan = Plan(parse("thinker-worker-verifier"), seats_, closed="nobody_left")
    [ask] = decide(plan, [Ballot(0, "one")])  # type: ignore[misc]
    assert ask.seat == 2
    [ask] = decide(plan, [Ballot(0, "one"), Ballot(2, failure=FailureKind.AUTH)])  # type: ignore[misc]
    assert ask.seat == 1, "who is its own kin is asked where nobody else is left"


@pytest.mark.parametrize("flag", [SUSPICIOUS, SUSPICIOUS_ITEM])
def test_where_somebody_tries_to_sway_them_voices_that_differ_are_contested(flag: str) -> None:
    plan = Plan(parse("majority-vote"), tuple(Seat(f"p{n}/m", f"F{n}", 0.5) for n in range(3)))
    verdict = decide(plan, [Ballot(0, "x", flags=(flag,)), Ballot(1, "y"), Ballot(2, "x")])
    assert isinstance(verdict, Verdict) and verdict.flags == tuple(sorted(("contested", flag)))
    agreed = decide(plan, [Ballot(0, "x", flags=(flag,)), Ballot(1, "x")])
    assert isinstance(agreed, Verdict) and agreed.flags == (flag,)


# What an item takes


@pytest.mark.parametrize(
    ("recipe", "calls"),
    [
        ("single-query", (1, 1)),
        ("ranked-fallback", (1, 1)),
        ("majority-vote", (2, 3)),
        ("majority-vote(council=5, full=true)", (5, 5)),
        ("synthesize-best(council=4)", (5, 5)),
        ("best-of-n(council=4)", (4, 5)),
        ("vote-then-judge(council=5)", (3, 6)),
        ("consensus", (3, 4)),
        ("thinker-worker-verifier(rounds=3)", (3, 7)),
        ("cheap-first", (2, 3)),
        ("cheap-first(check=contract)", (1, 2)),
        ("cheap-first(check=judge)", (2, 3)),
        ("first-ahead(council=5)", (2, 5)),
    ],
)
def test_the_fewest_and_the_most_calls_come_of_playing_it(recipe: str, calls: tuple[int, int]) -> None:
    assert calls_an_item(parse(recipe)) == calls


@pytest.mark.parametrize("strategy", SHAPES)
def test_every_strategy_can_be_rehearsed(strategy: str) -> None:
    recipe = parse(f"{strategy}(against=s/big)" if "against" in SHAPES[strategy].parameters else strategy)
    fewest, most = rehearsal.calls(recipe)
    assert 1 <= fewest <= most <= recipe.attempts


# Likeness

texts = st.text(alphabet="ab 12.é\u0431", max_size=40)


@given(texts, texts)
def test_likeness_is_symmetric_and_a_share(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0.0 <= likeness(one, other) <= 1.0
    assert likeness(one, one) == 1.0


@given(st.lists(st.sampled_from(["the", "shop", "opens", "today"]), min_size=1, max_size=8), st.randoms())
def test_the_order_of_words_and_their_case_make_no_difference(words: list[str], rng: random.Random) -> None:
    shuffled = rng.sample(words, len(words))
    assert likeness(" ".join(words), " ".join(shuffled).upper() + ".") == 1.0


@given(st.lists(texts, max_size=6), st.randoms(), st.booleans())
def test_agreement_does_not_hang_on_the_order(answers: list[str], rng: random.Random, exact: bool) -> None:
    assert agreement(answers, exact=exact) == agreement(rng.sample(answers, len(answers)), exact=exact)
    assert 0.0 <= agreement(answers, exact=exact) <= 1.0


def test_numbers_and_denials_are_no_small_difference() -> None:
    long = "the committee met on the first floor and agreed after a long debate to raise the yearly fee to {} euros"
    assert likeness(long.format(40), long.format(40)) == 1.0
    assert likeness(long.format(40), long.format(90)) <= 0.5
    assert likeness(long.format(40), long.format(40).replace("agreed", "never agreed")) <= 0.5
    assert likeness(long.format(40), long.format(40) + " from 2027") > 0.8, "more of the same is no contradiction"
