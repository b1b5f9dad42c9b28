"""Replay: the same ballots under the same plan give the same bytes, or something was altered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.core.ballots import Ballot, Verdict
from app.core.plan import Plan
from app.core.recipe import Recipe
from app.core.strategies import decide


@dataclass(frozen=True, slots=True)
class Difference:
    custom_id: str
    what: str


def verify(
    custom_id: str, plan: Plan, seen: Sequence[Ballot], kept: Sequence[Ballot], written: Verdict
) -> Difference | None:
    """Check one decision: the votes that are kept are those it saw, and they lead to the verdict that was written.

    ``seen`` are the ballots stored with the decision, ``kept`` those that the votes table holds now.
    """
    if sorted(seen, key=_seat) != sorted(kept, key=_seat):
        changed = sorted({b.seat for b in set(seen) ^ set(kept)})
        names = ", ".join(plan.seats[s].deployment if s < len(plan.seats) else f"seat {s}" for s in changed)
        return Difference(custom_id, f"the votes differ from those the decision saw ({names})")
    move = decide(plan, kept)
    if not isinstance(move, Verdict):
        return Difference(custom_id, "the votes lead to no verdict")
    if move.to_bytes() != written.to_bytes():
        return Difference(custom_id, f"the votes lead to {move.answer!r} ({move.status}), not to {written.answer!r}")
    return None


def under(recipe: Recipe, plan: Plan, kept: Iterable[Ballot]) -> Verdict | None:
    """What another recipe would have decided from the votes that were bought, or None: a vote it needs never was.

    The recipe is played from an empty table and hears only the seats it asks, so that a vote it would never have
    bought does not count. A seat's calls are taken as they were made, also where fewer would have been granted, and
    a bench that was lengthened on the way stands there from the start.
    """
    bought = {ballot.seat: ballot for ballot in kept}
    other = replace(plan, recipe=recipe)
    heard: list[Ballot] = list(bought.values()) if recipe == plan.recipe else []
    while not isinstance(move := decide(other, heard), Verdict):
        if not move or not all(ask.seat in bought for ask in move):
            return None
        heard += [bought[ask.seat] for ask in move]
    return move


def _seat(ballot: Ballot) -> int:
    return ballot.seat
