"""Replay: the same ballots under the same plan give the same bytes, or something was altered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.ballots import Ballot, Verdict
from app.core.plan import Plan
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


def _seat(ballot: Ballot) -> int:
    return ballot.seat
