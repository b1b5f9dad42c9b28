"""A strategy played through with made-up answers: how many calls an item takes at the least and at the most."""

from __future__ import annotations

from functools import lru_cache

from app.core.ballots import ACCEPT, REJECT, Ask, Ballot, Verdict, about, seat_of
from app.core.plan import JUDGE, VERIFIER, Plan, Seat
from app.core.recipe import MAX_COUNCIL, MAX_ROUNDS, Recipe
from app.core.strategies import decide

MANNERS = ("agree", "differ", "silent")
"""All voices say the same and nothing is rejected; no two say the same and whatever can be rejected is; or whoever
stands below the top of a ladder says nothing that could be read."""


@lru_cache(maxsize=256)
def calls(recipe: Recipe) -> tuple[int, int]:
    """The fewest and the most calls of one item when each is answered at once."""
    found = [_played(recipe, manner) for manner in MANNERS if manner != "silent" or recipe.shape.order == "ladder"]
    return min(found), max(found)


def _played(recipe: Recipe, manner: str) -> int:
    shape = recipe.shape
    ladder = shape.order == "ladder"
    seats = [
        Seat(f"voice{n}/m", f"voice{n}", 0.5, shape.voice, rung=n % 2 if ladder else 0) for n in range(MAX_COUNCIL)
    ]
    seats += [Seat(f"{role}{n}/m", f"{role}{n}", 0.5, role) for role in recipe.roles for n in range(MAX_ROUNDS)]
    plan = Plan(recipe, tuple(seats), closed="nobody_left")
    ballots: list[Ballot] = []
    while not isinstance(move := decide(plan, ballots), Verdict):
        assert move, "with every seat free to be asked a strategy never waits"
        ballots += [_answered(plan, ask, ballots, manner) for ask in sorted(move, key=lambda a: a.seat)]
    return sum(ballot.tries for ballot in ballots)


def _answered(plan: Plan, ask: Ask, ballots: list[Ballot], manner: str) -> Ballot:
    seat = plan.seats[ask.seat]
    voices = [b.seat for b in ballots if plan.seats[b.seat].role == plan.recipe.shape.voice]
    answer: str | None = "the same" if manner == "agree" else f"answer {ask.seat}"
    if seat.role == JUDGE:
        answer = about(voices[0])
    elif seat.role == VERIFIER:
        checked = {seat_of(b.answer) for b in ballots if plan.seats[b.seat].role == VERIFIER}
        answer = about(next(n for n in voices if n not in checked), ACCEPT if manner == "agree" else REJECT)
    elif manner == "silent" and seat.rung == 0:
        answer = None
    return Ballot(ask.seat, answer)
