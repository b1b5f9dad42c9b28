"""Strategies under any panel, any fates, any order: what must hold whatever the weather.

A seat's *fate* is fixed before the play: what it would say, and after how many calls. A *scheduler* then delivers
the ballots in any order and rings ``decide`` at any time, as often as it likes, or not at all for a while.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core import replay
from app.core.ballots import Ask, Ballot, Status, Verdict
from app.core.plan import CACHE, SYNTHESISER, VOICE, Plan, Seat
from app.core.recipe import MAX_TRIES_AT_ONE_SEAT, Recipe, parse
from app.core.strategies import decide
from app.core.values import FailureKind

# Refusals of our own, before any call: they cost the item's budget nothing.
REFUSALS = (FailureKind.BREAKER_OPEN, FailureKind.BUDGET, FailureKind.OVERDUE, FailureKind.PRIVACY)
VENDOR_WIDE = (FailureKind.AUTH, FailureKind.BILLING, FailureKind.CONTENT_FILTER)
LABELS = "xyz"


@dataclass(frozen=True)
class Fate:
    """What a seat says when it is asked: a label, a failure, or neither (an abstention)."""

    answer: str | None = None
    failure: FailureKind | None = None
    wants: int = 1
    """Calls it needs; it makes do with fewer where fewer were granted."""

    def ballot(self, ask: Ask) -> Ballot:
        tries = 0 if self.failure in REFUSALS else min(self.wants, ask.tries)
        return Ballot(ask.seat, self.answer, self.failure, tries=tries)


@dataclass(frozen=True)
class World:
    """A plan, the fate of every seat, and the seats that the fleet offers once the bench has run out."""

    plan: Plan
    fates: tuple[Fate, ...]
    later: tuple[Seat, ...] = ()
    ending: str = "nobody_left"


@dataclass
class Played:
    verdict: Verdict
    plan: Plan
    ballots: tuple[Ballot, ...]
    asked: dict[int, Ask]
    waves: dict[int, int]
    """Seat → the ring at which it was asked."""

    @property
    def calls(self) -> int:
        return sum(b.tries for b in self.ballots)


def play(world: World, rng: random.Random | None = None) -> Played:
    """Drive one item to its verdict; ``rng`` None: whole waves, each bell rung once.

    Checks on the way what must hold at every move, not only at the end.
    """
    plan, later = world.plan, world.later
    ballots: dict[int, Ballot] = {}
    asked: dict[int, Ask] = {}
    waves: dict[int, int] = {}
    for rings in itertools.count(1):
        assert rings <= 3 * (len(world.fates) + 3), "no end in sight"
        seen = list(ballots.values())
        if rng is not None:
            rng.shuffle(seen)
        move = decide(plan, seen)
        assert decide(plan, list(reversed(seen))) == move, "the order of the ballots at hand made a difference"
        if isinstance(move, Verdict):
            return Played(move, plan, _sorted(ballots), asked, waves)
        for ask in move:
            assert ask.seat not in asked, f"seat {ask.seat} was asked twice"
            assert 1 <= ask.tries <= MAX_TRIES_AT_ONE_SEAT
            asked[ask.seat] = ask
            waves[ask.seat] = rings
            ballots[ask.seat] = Ballot(ask.seat, open=True, tries=ask.tries)
        assert sum(b.tries for b in ballots.values()) <= plan.recipe.attempts, "the attempt budget is overdrawn"
        doubled = decide(plan, ballots.values())
        assert doubled == frozenset(), "a bell that rang twice asked again"
        waiting = [seat for seat, ballot in ballots.items() if ballot.open]
        if waiting:
            for seat in _delivered(waiting, rng):
                ballots[seat] = world.fates[seat].ballot(asked[seat])
        elif not move and plan.closed is None:
            plan = plan.extended(later) if later else plan.ended(world.ending)
            later = ()
    raise AssertionError


def played_in_any_order(world: World, seed: int) -> Played:
    """Played in waves and, as is returned, in an order of its own: the same is asked, heard and decided."""
    in_waves, at_random = play(world), play(world, random.Random(seed))
    assert at_random.verdict.to_bytes() == in_waves.verdict.to_bytes()
    assert (at_random.ballots, at_random.asked) == (in_waves.ballots, in_waves.asked)
    return at_random


def stands(played: Played, more: list[Seat], ending: str = "overdue") -> None:
    """The verdict, whatever becomes of the plan afterwards."""
    assert not any(b.open for b in played.ballots), "decided over the head of a seat that is still being asked"
    if played.plan.closed is None:
        for plan in (played.plan.extended(tuple(more)), played.plan.ended(ending)):
            again = decide(plan, played.ballots)
            assert isinstance(again, Verdict)
            assert again.to_bytes() == played.verdict.to_bytes()


def replays(played: Played) -> None:
    """From plan and ballots as they are written down."""
    plan = Plan.from_json(json.loads(json.dumps(played.plan.to_json())))
    kept = [Ballot.from_json(json.loads(json.dumps(b.to_json()))) for b in played.ballots]
    assert plan == played.plan
    assert replay.verify("item", plan, played.ballots, kept, played.verdict) is None


def _delivered(waiting: list[int], rng: random.Random | None) -> list[int]:
    """Which of the open seats are heard before the next bell: any number of them, at least one."""
    if rng is None:
        return waiting
    return rng.sample(waiting, rng.randint(1, len(waiting)))


def _sorted(ballots: dict[int, Ballot]) -> tuple[Ballot, ...]:
    return tuple(sorted(ballots.values(), key=lambda b: b.seat))


# What hypothesis draws from

seats = st.builds(
    lambda provider, model, family, quality: Seat(f"{provider}/{model}", family, quality),
    st.sampled_from("pqrst"),
    st.sampled_from("12345"),
    st.sampled_from("ABCDEF"),
    st.sampled_from((0.3, 0.5, 0.5, 0.7, 0.9)),
)
votes = st.builds(Fate, st.sampled_from(LABELS), st.none(), st.integers(1, 3))
silences = st.builds(Fate, st.none(), st.none(), st.integers(1, 3))
failures = st.builds(Fate, st.none(), st.sampled_from(FailureKind), st.integers(1, 3))
fates = st.one_of(votes, votes, votes, silences, failures)


@st.composite
def recipes(draw: st.DrawFn, strategy: str | None = None) -> Recipe:
    strategy = strategy or draw(
        st.sampled_from(("single-query", "majority-vote", "synthesize-best", "ranked-fallback"))
    )
    council = draw(st.integers(1, 7))
    if strategy == "single-query":
        return parse(f"single-query(attempts={draw(st.integers(1, 12))})")
    shown = [f"council={council}", f"attempts={draw(st.integers(council, 3 * council + 6))}"]
    if strategy == "majority-vote":
        shown += [f"quorum={draw(st.integers(1, council))}", f"full={draw(st.sampled_from(('true', 'false')))}"]
    return parse(f"{strategy}({', '.join(shown)})")


@st.composite
def worlds(draw: st.DrawFn, strategy: str | None = None) -> World:
    recipe = draw(recipes(strategy))
    panel = draw(st.lists(seats, min_size=1, max_size=9))
    later = draw(st.lists(seats, max_size=4))
    if recipe.strategy == "synthesize-best":
        writers = draw(st.lists(seats, max_size=3))
        panel += [replace(s, role=SYNTHESISER) for s in writers]
    count = len(panel) + len(later)
    return World(
        Plan(recipe, tuple(panel), seed=draw(st.integers(0, 99))),
        tuple(draw(st.lists(fates, min_size=count, max_size=count))),
        tuple(later),
        draw(st.sampled_from(("nobody_left", "overdue", "budget"))),
    )


@st.composite
def independent_worlds(draw: st.DrawFn, kinds: st.SearchStrategy[Fate], scarce: bool = False) -> World:
    """Majority votes with a quorum above half of the council, where no seat bears on another: distinct families
    and vendors. The seats outnumber the council. Calls are enough for everyone, or ``scarce``."""
    council = draw(st.integers(1, 7))
    quorum = draw(st.integers(council // 2 + 1, council))
    attempts = draw(st.integers(council, 3 * council)) if scarce else 100
    recipe = parse(f"majority-vote(council={council}, quorum={quorum}, attempts={attempts})")
    count = draw(st.integers(council, 12))
    panel = tuple(Seat(f"p{n}/m", f"F{n}", draw(st.sampled_from((0.4, 0.6)))) for n in range(count))
    return World(Plan(recipe, panel), tuple(draw(st.lists(kinds, min_size=count, max_size=count))))


# Properties of every play


@settings(max_examples=600, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_every_play_ends_in_one_verdict_that_tells_the_truth(world: World, seed: int) -> None:
    played = play(world, random.Random(seed))
    verdict, voices = played.verdict, [b for b in played.ballots if played.plan.seats[b.seat].role == VOICE]
    cast = [b for b in voices if b.is_vote]
    assert verdict.votes == len(cast) <= max(played.plan.recipe.council, 1)
    assert verdict.abstentions == sum(b.is_abstention for b in played.ballots)
    families = [played.plan.seats[b.seat].family for b in cast]
    assert len(families) == len(set(families)), "two voices of one family"
    if verdict.status is Status.DECIDED:
        assert verdict.answer in {b.answer for b in played.ballots if b.is_vote}
        assert verdict.reason is None
    else:
        assert verdict.answer is None and verdict.agreement is None
        assert verdict.reason


@settings(max_examples=600, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_the_same_fates_give_the_same_verdict_in_any_order(world: World, seed: int) -> None:
    played_in_any_order(world, seed)


@settings(max_examples=400, deadline=None)
@given(worlds(), st.integers(0, 2**32), st.lists(seats, max_size=3), st.sampled_from(("overdue", "cancelled")))
def test_a_verdict_stands_whatever_becomes_of_the_plan(world: World, seed: int, more: list[Seat], ending: str) -> None:
    """The plan belongs to a chunk: it may grow or be closed for another item after this one was decided."""
    stands(play(world, random.Random(seed)), more, ending)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_a_vendor_that_refuses_us_is_not_asked_again(world: World, seed: int) -> None:
    """After bad keys, unpaid bills and content filters only other vendors are called in; after a request that is
    wrong in itself, nobody."""
    played = play(world, random.Random(seed))
    for seat, wave in played.waves.items():
        failure = world.fates[seat].failure
        after = [played.plan.seats[s].provider for s, asked in played.waves.items() if asked > wave]
        if failure is FailureKind.INVALID_REQUEST:
            assert not after
        if failure in VENDOR_WIDE:
            assert played.plan.seats[seat].provider not in after


# Quorum

_FAR_REACHING = (*VENDOR_WIDE, FailureKind.INVALID_REQUEST)


@settings(max_examples=500, deadline=None)
@given(independent_worlds(st.one_of(votes, votes, silences, failures.filter(lambda f: f.failure not in _FAR_REACHING))))
def test_an_early_quorum_names_the_label_of_the_full_council(world: World) -> None:
    """With a quorum above half, asking fewer changes no label and no status.

    It holds exactly where no seat bears on another. Where one does, asking everyone at once may call on other seats
    than asking one after the other: see the two tests below.
    """
    recipe = world.plan.recipe
    early = play(world)
    full = play(replace(world, plan=replace(world.plan, recipe=replace(recipe, full=True))))
    assert (early.verdict.status, early.verdict.answer) == (full.verdict.status, full.verdict.answer)
    assert set(early.asked) <= set(full.asked)


@settings(max_examples=300, deadline=None)
@given(independent_worlds(votes, scarce=True))
def test_seats_that_need_several_calls_leave_one_for_each_voice_to_come(world: World) -> None:
    """Where every seat votes in the end, a budget of one call a voice carries the council, early or full."""
    full = replace(world, plan=replace(world.plan, recipe=replace(world.plan.recipe, full=True)))
    early = play(world).verdict
    assert "short_council" not in early.flags
    assert (early.status, early.answer) == (Status.DECIDED, play(full).verdict.answer)


def _both(recipe: str, panel: list[tuple[str, str]], fates: list[Fate]) -> tuple[Verdict, Verdict]:
    plan = Plan(parse(recipe), tuple(Seat(name, family, 0.5) for name, family in panel))
    full = replace(plan, recipe=replace(plan.recipe, full=True))
    return play(World(plan, tuple(fates))).verdict, play(World(full, tuple(fates))).verdict


def test_a_vendor_barred_on_the_way_changes_who_is_left_to_ask() -> None:
    """The full council asks a seat that the early one never needs; its vendor's refusal bars a seat that the early
    one counted. No strategy can mend that: the fleet it may ask is not the same."""
    panel = [("p/1", "A"), ("q/1", "B"), ("r/1", "C"), ("x/1", "D"), ("s/1", "E"), ("x/2", "F"), ("t/1", "G")]
    panel += [("u/1", "H"), ("v/1", "I")]
    x, y, failed = Fate("x"), Fate("y"), Fate(failure=FailureKind.TIMEOUT)
    barring = Fate(failure=FailureKind.AUTH)
    fates = [x, x, failed, x, y, barring, y, y, y]
    early, full = _both("majority-vote(council=5, quorum=3)", panel, fates)
    assert (early.answer, full.answer) == ("x", "x"), "the barred seat was asked in time by both"
    panel[3], panel[5] = ("x/2", "C"), ("x/1", "F")
    early, full = _both("majority-vote(council=5, quorum=3)", panel, fates)
    assert (early.answer, full.answer) == ("x", "y")


def test_a_request_that_is_refused_as_wrong_stops_only_the_waves_after_it() -> None:
    """The early council has one seat to call in, hears that the request is wrong and stops; the full one has two,
    and the second of them has already answered."""
    panel = [(f"p{n}/m", f"F{n}") for n in range(5)]
    fates = [Fate("x"), Fate(), Fate(), Fate(failure=FailureKind.INVALID_REQUEST), Fate("x")]
    early, full = _both("majority-vote", panel, fates)
    assert (early.status, early.reason) == (Status.FAILED, "invalid_request")
    assert (full.status, full.answer) == (Status.DECIDED, "x")


@settings(max_examples=300, deadline=None)
@given(worlds("majority-vote"), st.integers(0, 2**32))
def test_agreement_is_the_winners_share(world: World, seed: int) -> None:
    played = play(world, random.Random(seed))
    if played.verdict.status is not Status.DECIDED:
        return
    cast = [b.answer for b in played.ballots if b.is_vote]
    same = cast.count(played.verdict.answer)
    assert same == max(cast.count(label) for label in set(cast))
    assert played.verdict.agreement == round(same / len(cast), 4)
    assert played.verdict.confidence == round((same + 1) / (len(cast) + 2), 4)
    assert ("contested" in played.verdict.flags) == (2 * same <= len(cast))


def test_mean_calls_are_two_and_the_chance_that_two_differ() -> None:
    """The third voice is asked where two differ, and nowhere else: exact, item by item."""
    rng = random.Random(11)
    recipe = parse("majority-vote")
    panel = tuple(Seat(f"p{n}/m", f"F{n}", 0.5) for n in range(6))
    calls = differ = 0
    items = 2_000
    for _ in range(items):
        said = tuple(Fate("right" if rng.random() < 0.85 else rng.choice(LABELS)) for _ in panel)
        played = play(World(Plan(recipe, panel), said), rng)
        assert played.calls == 2 + (said[0] != said[1])
        calls += played.calls
        differ += said[0] != said[1]
    assert calls / items == 2 + differ / items


# Single moves that a reader may look up


def seat(name: str, family: str = "", quality: float = 0.5, role: str = VOICE) -> Seat:
    return Seat(name, family or name, quality, role)


def test_ties_go_to_the_label_of_the_best_seat() -> None:
    plan = Plan(parse("majority-vote"), (seat("a/1", quality=0.4), seat("b/1", quality=0.9), seat("c/1", quality=0.6)))
    ballots = [Ballot(0, "x"), Ballot(1, "y"), Ballot(2, "z")]
    for order in itertools.permutations(ballots):
        verdict = decide(plan, order)
        assert isinstance(verdict, Verdict)
        assert (verdict.answer, verdict.flags) == ("y", ("contested",))


def test_a_replacement_waits_for_the_seats_still_open() -> None:
    """Whom to call in may hang on what the others say: a wave is heard to its end before the next is asked."""
    plan = Plan(parse("majority-vote"), (seat("a/1"), seat("b/1"), seat("b/2"), seat("c/1")))
    failed, still_open = Ballot(0, failure=FailureKind.TIMEOUT), Ballot(1, open=True, tries=3)
    assert decide(plan, [failed, still_open]) == frozenset()
    assert decide(plan, [failed, Ballot(1, failure=FailureKind.AUTH)]) == frozenset({Ask(3, 3)})


def test_ranked_fallback_counts_calls_not_refusals() -> None:
    plan = Plan(parse("ranked-fallback(council=2)"), tuple(seat(f"p{n}/m") for n in range(5)))
    refused = [Ballot(n, failure=FailureKind.BREAKER_OPEN, tries=0) for n in range(3)]
    assert decide(plan, refused) == frozenset({Ask(3, 3)})
    called = [Ballot(n, failure=FailureKind.TIMEOUT) for n in range(2)]
    verdict = decide(plan, called)
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.reason) == (Status.UNDECIDED, "no_answer: timeout")


def test_a_synthesis_that_fails_leaves_the_councils_own_best() -> None:
    writers = (seat("w/1", role=SYNTHESISER), seat("w/2", role=SYNTHESISER))
    plan = Plan(parse("synthesize-best(council=2)"), (seat("a/1"), seat("b/1", quality=0.9), *writers), closed="x")
    ballots = [Ballot(0, "one"), Ballot(1, "two"), Ballot(2, failure=FailureKind.AUTH)]
    verdict = decide(plan, ballots)
    assert isinstance(verdict, Verdict)
    assert (verdict.answer, verdict.flags) == ("two", ("unsynthesised",))


# Round trips and replay


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(0, 2**32))
def test_what_is_written_down_reads_back_the_same(world: World, seed: int) -> None:
    played = play(world, random.Random(seed))
    assert Plan.from_json(json.loads(json.dumps(played.plan.to_json()))) == played.plan
    assert [Ballot.from_json(json.loads(json.dumps(b.to_json()))) for b in played.ballots] == list(played.ballots)
    assert json.loads(played.verdict.to_bytes()) == json.loads(json.dumps(played.verdict.to_json()))


def _altered(ballot: Ballot, how: int) -> Ballot:
    changes: list[dict[str, Any]] = [
        {"answer": (ballot.answer or "") + "!", "failure": None},
        {"answer": None, "failure": FailureKind.TIMEOUT if ballot.failure is not FailureKind.TIMEOUT else None},
        {"tries": ballot.tries + 1},
        {"flags": (*ballot.flags, "forged")},
        {"seat": ballot.seat + 100},
    ]
    return replace(ballot, **changes[how])


def _is_verified(played: Played, kept: list[Ballot]) -> bool:
    return replay.verify("item", played.plan, played.ballots, kept, played.verdict) is None


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(0, 2**32), st.data())
def test_replay_accepts_what_was_decided_and_nothing_else(world: World, seed: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    played = play(world, rng)
    kept = list(played.ballots)
    rng.shuffle(kept)
    assert _is_verified(played, kept)
    if not kept:
        return
    place = data.draw(st.integers(0, len(kept) - 1))
    how = data.draw(st.integers(0, 4))
    assert not _is_verified(played, [*kept[:place], _altered(kept[place], how), *kept[place + 1 :]])
    assert not _is_verified(played, kept[:place] + kept[place + 1 :])
    assert not _is_verified(played, [*kept, kept[place]])
    forged = replace(played.verdict, answer="forged")
    assert replay.verify("item", played.plan, played.ballots, kept, forged) is not None


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_of_our_own_costs_the_item_nothing(kind: FailureKind) -> None:
    plan = Plan(parse("single-query(attempts=1)"), tuple(seat(f"p{n}/m") for n in range(4)))
    world = World(plan, (*(Fate(failure=kind) for _ in range(3)), Fate("x")))
    played = play(world)
    assert (played.verdict.answer, played.calls, len(played.asked)) == ("x", 1, 4)


def test_who_has_given_a_voice_may_also_write_the_synthesis() -> None:
    plan = Plan(
        parse("synthesize-best@1(council=1)"),
        (Seat("a/m", "fa", 0.9), Seat("a/m", "fa", 0.9, SYNTHESISER)),
    )
    assert decide(plan, (Ballot(0, "text"),)) == frozenset({Ask(1, 3)})


def sized(*rows: tuple[str, int, int]) -> tuple[Seat, ...]:
    """(provider, window, latency)"""
    return tuple(Seat(f"{p}/m", f"f-{p}", 0.5, window=window, latency_ms=ms) for p, window, ms in rows)


def first_asked(plan: Plan, *ballots: Ballot) -> str:
    move = decide(plan, ballots)
    assert isinstance(move, frozenset)
    [ask] = move
    return plan.seats[ask.seat].provider


def test_after_a_timeout_the_faster_come_first() -> None:
    plan = Plan(parse("single-query"), sized(("slow", 8000, 900), ("slower", 8000, 2000), ("fast", 8000, 300)))
    assert first_asked(plan, Ballot(0, failure=FailureKind.SERVER_ERROR)) == "slower"
    assert first_asked(plan, Ballot(0, failure=FailureKind.TIMEOUT)) == "fast"
    before = replace(plan, seats=tuple(replace(s, latency_ms=None) for s in plan.seats))
    assert first_asked(before, Ballot(0, failure=FailureKind.TIMEOUT)) == "slower"


def test_what_was_too_long_goes_to_a_wider_window_or_fails_with_the_numbers() -> None:
    plan = Plan(parse("single-query"), sized(("a", 8000, 1), ("b", 8000, 1), ("c", 32000, 1)), closed="nobody_left")
    too_long = FailureKind.CONTEXT_LENGTH
    assert first_asked(plan, Ballot(0, failure=too_long, tries=0, needs=9000)) == "c"
    assert first_asked(plan, Ballot(0, failure=too_long, tries=2)) == "c"
    verdict = decide(plan, (Ballot(0, failure=too_long, tries=0, needs=40_000),))
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.reason) == (
        Status.FAILED,
        "context_length: takes about 40000 tokens, the widest window has 32000",
    )


def test_trouble_that_passes_does_not_bar_a_second_seat_of_the_same() -> None:
    twice = Plan(parse("single-query"), (*sized(("a", 8000, 1)), *sized(("a", 8000, 1))), closed="nobody_left")
    assert first_asked(twice, Ballot(0, failure=FailureKind.OVERLOADED)) == "a"
    for final in (Ballot(0), Ballot(0, failure=FailureKind.MALFORMED), Ballot(0, failure=FailureKind.AMBIGUOUS)):
        assert isinstance(decide(twice, (final,)), Verdict)


def test_a_remembered_answer_decides() -> None:
    plan = Plan(parse("majority-vote"), (*sized(("a", 8000, 1)), Seat("cache/job-1", "cache", 0.0, CACHE)))
    verdict = decide(plan, (Ballot(0, failure=FailureKind.TIMEOUT), Ballot(1, "yes", tries=0, flags=("cached",))))
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.answer, verdict.votes) == (Status.DECIDED, "yes", 1)
    assert verdict.flags == ("cached",)
