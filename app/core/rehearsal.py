"""A strategy played through with made-up answers: how many calls an item takes at the least and at the most."""

from __future__ import annotations

from functools import lru_cache

from app.core.ballots import ACCEPT, REJECT, Ask, Ballot, Verdict, about, seat_of
from app.core.plan import JUDGE, VERIFIER, Plan, Seat
from app.core.recipe import MAX_COUNCIL, MAX_ROUNDS, Recipe
from app.core.strategies import decide


@lru_cache(maxsize=256)
def calls(recipe: Recipe, *, agree: bool) -> int:
    """Calls of one item when each is answered at once: all say the same and nothing is rejected (``agree``), or no two
    say the same and whatever can be rejected is."""
    shape = recipe.shape
    voices = [Seat(f"voice{n}/m", f"voice{n}", 0.5, shape.voice, rung=n) for n in range(MAX_COUNCIL)]
    beside = [Seat(f"{role}{n}/m", f"{role}{n}", 0.5, role) for role in shape.roles for n in range(MAX_ROUNDS)]
    plan = Plan(recipe, (*voices, *beside), closed="nobody_left")
    ballots: list[Ballot] = []
    while not isinstance(move := decide(plan, ballots), Verdict):
        assert move, "with every seat free to be asked a strategy never waits"
        ballots += [_answered(plan, ask, ballots, agree=agree) for ask in sorted(move, key=lambda a: a.seat)]
    return sum(ballot.tries for ballot in ballots)


def _answered(plan: Plan, ask: Ask, ballots: list[Ballot], *, agree: bool) -> Ballot:
    voices = [b.seat for b in ballots if plan.seats[b.seat].role == plan.recipe.shape.voice]
    match plan.seats[ask.seat].role:
        case role if role == JUDGE:
            answer = about(voices[0])
        case role if role == VERIFIER:
            checked = {seat_of(b.answer) for b in ballots if plan.seats[b.seat].role == VERIFIER}
            answer = about(next(n for n in voices if n not in checked), ACCEPT if agree else REJECT)
        case _:
            answer = "the same" if agree else f"answer {ask.seat}"
    return Ballot(ask.seat, answer, tries=1)
