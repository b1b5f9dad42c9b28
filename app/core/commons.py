"""Votes that a team has paid for already: which of them a strategy takes, as if they had just been cast. Pure.

The strategy is played. The voices it wishes for are served from those at hand as far as they go: so it hears as many
as it would have bought, in its own order where the order matters, and buys only what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core import parts
from app.core.ballots import Ballot, Verdict
from app.core.plan import VOICE, Plan, Seat
from app.core.strategies import decide

REUSED = "reused"
"""Flag of a vote that was bought for another job, and of the decisions it is part of."""


@dataclass(frozen=True, slots=True)
class Bought:
    """A vote at hand. ``seat``: that of its deployment under the terms of the job that takes it."""

    seat: Seat
    answer: str
    flags: tuple[str, ...]
    attempt_id: int


def lay(plan: Plan, ballots: Sequence[Ballot], hand: Mapping[str, Bought]) -> tuple[Plan, dict[int, Bought]]:
    """Serve one item from its ``hand`` (deployment → vote). Returns seat → vote, and the plan with their seats."""
    laid: dict[int, Bought] = {}
    seats = {name: bought.seat for name, bought in hand.items()}
    while True:
        table = (*ballots, *(as_ballot(seat, bought) for seat, bought in laid.items()))
        plan, served = serve(plan, table, seats)
        if not served:
            return plan, laid
        laid |= {seat: hand[name] for seat, name in served.items()}


def as_ballot(seat: int, bought: Bought) -> Ballot:
    """It takes nothing off the item's attempts."""
    return Ballot(seat, bought.answer, tries=0, flags=(*bought.flags, REUSED))


def serve(plan: Plan, ballots: Sequence[Ballot], hand: Mapping[str, Seat]) -> tuple[Plan, dict[int, str]]:
    """Which deployments of the ``hand`` would answer the strategy's next wish: seat → deployment, and the plan with
    their seats. Nothing while a seat is open: a wave is heard to its end.

    Where the order of the seats means something, only the very deployments that are wished for count. Else one voice is
    as good as another, of a family that has not spoken; and one that was called for the item in vain is not heard now.
    """
    move = decide(plan, ballots)
    if isinstance(move, Verdict) or any(b.open for b in ballots):
        return plan, {}
    wished = sorted(ask.seat for ask in move if parts.plain(plan.seats[ask.seat]))
    found = {at: plan.seats[at].deployment for at in wished if plan.seats[at].deployment in hand}
    wished = [at for at in wished if plan.seats[at].role == VOICE]
    voices = [plan.seats[b.seat] for b in ballots if b.is_vote and plan.seats[b.seat].role == VOICE]
    # An empty move is a wish that nobody on the bench can grant: for a voice, as long as the council is not complete.
    lonely = not move and len(voices) < plan.recipe.council
    missing = sum(at not in found for at in wished) if move else int(lonely)
    if plan.recipe.shape.order != "free" or plan.recipe.shape.voice != VOICE:
        return plan, found
    gone = {plan.seats[b.seat].deployment for b in ballots if b.tries or b.is_vote}
    families = {seat.family for seat in voices} | {plan.seats[at].family for at in found}
    vacant = _vacant(plan, ballots)
    for name in sorted(hand, key=lambda name: (vacant.get(name, len(plan.seats)), hand[name].rank)):
        seat = hand[name]
        if missing < 1 or name in gone or seat.family in families:
            continue
        if name not in vacant:
            plan = plan.extended((seat,))
        found[vacant.get(name, len(plan.seats) - 1)] = name
        families.add(seat.family)
        missing -= 1
    return plan, found


def _vacant(plan: Plan, ballots: Sequence[Ballot]) -> dict[str, int]:
    """Deployment → its first voice's seat on which nothing lies."""
    taken = {b.seat for b in ballots}
    vacant: dict[str, int] = {}
    for at, seat in enumerate(plan.seats):
        if at not in taken and seat.role == VOICE and parts.plain(seat):
            vacant.setdefault(seat.deployment, at)
    return vacant
