"""``first-answer``: a second call beside a slow one, never more at a time than allowed, and the first answer stands."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ballots import Ballot, Verdict
from app.core.plan import Plan, Seat
from app.core.recipe import parse
from app.core.strategies import decide
from app.core.table import HEDGED
from app.core.values import FailureKind

_PANEL = tuple(Seat(f"p{n}/m", f"F{n % 5}", 0.5, latency_ms=100 * n) for n in range(6))
_FATES = ("answer", "abstain", FailureKind.TIMEOUT, FailureKind.SERVER_ERROR, FailureKind.AUTH, FailureKind.RATE_LIMIT)


def _heard(seat: int, fate: str | FailureKind) -> Ballot:
    if isinstance(fate, FailureKind):
        return Ballot(seat, failure=fate)
    return Ballot(seat, f"said by {seat}" if fate == "answer" else None)


@settings(max_examples=400, deadline=None)
@given(
    st.integers(1, 4),
    st.lists(st.sampled_from(_FATES), min_size=6, max_size=6),
    st.integers(0, 2**32),
    st.integers(1, 12),
)
def test_whatever_happens_when(council: int, fates: list[str | FailureKind], seed: int, attempts: int) -> None:
    dice = random.Random(seed)
    recipe = parse(f"first-answer(council={council}, attempts={max(attempts, council)})")
    plan = Plan(recipe, _PANEL)
    table: dict[int, Ballot] = {}
    for _ in range(60):
        move = decide(plan, table.values())
        assert decide(plan, [*reversed(table.values())]) == move
        if isinstance(move, Verdict):
            break
        for ask in move:
            assert ask.seat not in table
            table[ask.seat] = Ballot(ask.seat, open=True, tries=ask.tries)
        assert decide(plan, table.values()) == frozenset() or move == frozenset(), "a bell that rang twice asked again"
        flying = [b for b in table.values() if b.open]
        assert len(flying) <= council
        assert sum(b.tries for b in table.values()) <= recipe.attempts
        if not flying:
            plan = plan.ended("nobody_left")
        elif any(HEDGED not in b.flags for b in flying) and dice.random() < 0.5:
            slow = dice.choice([b for b in flying if HEDGED not in b.flags])
            table[slow.seat] = replace(slow, flags=(HEDGED,))
        else:
            landed = dice.choice(flying).seat
            table[landed] = _heard(landed, fates[landed])
    else:
        raise AssertionError("no end in sight")
    votes = [b for b in table.values() if b.is_vote]
    assert move.answer == (votes[0].answer if votes else None)
    assert len(votes) <= 1, "the first answer ends it"
    outrun = [
        replace(b, open=False, failure=FailureKind.OVERDUE, tries=1, flags=(HEDGED,)) if b.open else b
        for b in table.values()
    ]
    closed = decide(plan, outrun)
    assert isinstance(closed, Verdict)
    assert (closed.answer, closed.status) == (move.answer, move.status), "who was outrun changes nothing"


def test_nobody_is_asked_beside_a_call_that_is_in_time() -> None:
    plan = Plan(parse("first-answer"), _PANEL)
    assert decide(plan, [Ballot(0, open=True, tries=3)]) == frozenset()
    beside = decide(plan, [Ballot(0, open=True, tries=3, flags=(HEDGED,))])
    assert not isinstance(beside, Verdict)
    assert [ask.seat for ask in beside] == [1]
