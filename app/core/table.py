"""The table: a plan with the ballots laid on it, and what a strategy may ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from app.core.ballots import Ask, Ballot, Status, Verdict
from app.core.injection import SUSPICIOUS, SUSPICIOUS_ITEM
from app.core.matrix import PASSES, VENDOR_WIDE
from app.core.plan import VOICE, Plan, Seat
from app.core.recipe import MAX_TRIES_AT_ONE_SEAT
from app.core.values import FailureKind

# Its first version writes an answer of its own, and never said how the voices stood to it.
_NEVER_CONTESTED = ("synthesize-best",)
# Reasons to close a plan that are not the council's own.
_STOPPED_FROM_OUTSIDE = ("overdue", "cancelled", "unpriced", "no_reset", "privacy")


HEDGED = "hedged"
"""Flag of an open ballot that has been waited for long enough: the table need not wait for it any more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """So many voices ought to be on the table. A call is kept back for each that may be wanted ``later``.

    ``apart``: families that are asked only where there is nobody else: a model is mild with its own kin. ``rung``: they
    are to be of that rung of a ladder; None: of any.
    """

    voices: int
    role: str = VOICE
    later: int = 0
    apart: frozenset[str] = frozenset()
    rung: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The plan with the ballots laid on it."""

    plan: Plan
    ballots: tuple[Ballot, ...]
    open: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "open", any(b.open and HEDGED not in b.flags for b in self.ballots))

    def seat(self, ballot: Ballot) -> Seat:
        return self.plan.seats[ballot.seat]

    def votes(self, role: str | None = None, rung: int | None = None) -> list[Ballot]:
        """The votes of a role (None: of those whose answers count) on a rung (None: on any), best seat first."""
        role = role or self.plan.recipe.shape.voice
        cast = [b for b in self.ballots if b.is_vote and self.seat(b).role == role]
        cast = cast if rung is None else [b for b in cast if self.seat(b).rung == rung]
        return sorted(cast, key=lambda b: (self.seat(b).rank, b.seat))

    def trusted(self, votes: list[Ballot]) -> list[Ballot]:
        """The votes without those that address their reader, unless another voice gives the same answer."""
        tally = self.tally(votes)
        return [b for b in votes if SUSPICIOUS not in b.flags or tally[b.answer or ""] > 1]

    def families(self, votes: Iterable[Ballot]) -> frozenset[str]:
        return frozenset(self.seat(b).family for b in votes)

    @staticmethod
    def tally(votes: Iterable[Ballot]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for ballot in votes:
            assert ballot.answer is not None
            counts[ballot.answer] = counts.get(ballot.answer, 0) + 1
        return counts

    def winner(self, votes: list[Ballot]) -> str:
        """Most voices; a tie goes to the label that the best seat named. ``votes`` come best seat first."""
        tally = self.tally(votes)
        return max(tally, key=lambda label: tally[label])

    def may_hope(self, wish: Wish) -> bool:
        """May another voice of that role still come: in flight, on the bench, or from a plan that is still open?"""
        if self.open:
            return True
        if self._rejected() or self._budget_left() < 1:
            return False
        return bool(self.missing(wish)) or self.plan.closed is None

    def missing(self, wish: Wish) -> frozenset[Ask]:
        """What to ask so that the wish is on the table, less what lies there already, within the budget."""
        if self._rejected():
            return frozenset()
        return self._within_budget(self.called(wish), wish.later)

    def called(self, wish: Wish) -> list[int]:
        """The seats that the wish calls in, in their order, whatever is left of the budget."""
        present = [b for b in self.ballots if (b.open or b.is_vote) and self.seat(b).role == wish.role]
        on_rung = present if wish.rung is None else [b for b in present if self.seat(b).rung == wish.rung]
        wanted = wish.voices - len(on_rung)
        families = {self.seat(b).family for b in present}
        seats: list[int] = []
        bench = self._bench(wish.role, wish.rung) if wanted > 0 else []
        for index in sorted(bench, key=lambda index: self.plan.seats[index].family in wish.apart):
            if len(seats) >= wanted:
                break
            family = self.plan.seats[index].family
            if family not in families:
                families.add(family)
                seats.append(index)
        return seats

    def _bench(self, role: str, rung: int | None = None) -> list[int]:
        """The seats of that role and rung that may be asked, in their order, but for what failures ask for
        (``core.matrix``): no deployment again unless its trouble may have passed, no other model of a vendor that
        failed as a whole, none without room, after a timeout the faster ones first.
        """
        asked = {b.seat for b in self.ballots}
        done = {
            self.seat(b).deployment
            for b in self.ballots
            if (b.tries or b.failure is FailureKind.PRIVACY) and b.failure not in PASSES and self.seat(b).role == role
        }
        barred = {self.seat(b).provider for b in self.ballots if b.failure in VENDOR_WIDE}
        room = self._room_needed()
        seats = [
            index
            for index, seat in enumerate(self.plan.seats)
            if index not in asked
            and seat.role == role
            and (rung is None or seat.rung == rung)
            and seat.deployment not in done
            and seat.provider not in barred
            and (seat.window is None or seat.window >= room)
        ]
        slow = [self.seat(b).latency_ms for b in self.ballots if b.failure is FailureKind.TIMEOUT]
        limit = min((ms for ms in slow if ms is not None), default=None)
        if limit is None:
            return seats
        latency = {index: self.plan.seats[index].latency_ms for index in seats}
        return sorted(seats, key=lambda index: (ms := latency[index]) is None or ms >= limit)

    def _room_needed(self) -> int:
        """Tokens of window that a seat must have: what the question was counted at, and more than those have that
        called it too long."""
        needed = 0
        for ballot in self.ballots:
            if ballot.failure is FailureKind.CONTEXT_LENGTH:
                window = self.seat(ballot).window if ballot.tries else None
                needed = max(needed, ballot.needs or 0, (window or 0) + 1 if window else 0)
        return needed

    def _within_budget(self, seats: list[int], later: int) -> frozenset[Ask]:
        left = self._budget_left()
        seats = seats[: max(left, 0)]
        if not seats:
            return frozenset()
        tries = max(1, min(MAX_TRIES_AT_ONE_SEAT, (left - later) // len(seats)))
        return frozenset(Ask(index, tries) for index in seats)

    def _budget_left(self) -> int:
        return self.plan.recipe.attempts - sum(b.tries for b in self.ballots)

    def _rejected(self) -> bool:
        """A vendor says that the request itself is wrong: it is not sent to others unchanged."""
        return any(b.failure is FailureKind.INVALID_REQUEST for b in self.ballots)

    def verdict(
        self,
        answer: str | None,
        votes: list[Ballot],
        *flags: str,
        same: int | None = None,
        confidence: float | None = None,
    ) -> Verdict:
        """Decided, on the voices cast. A synthesis may be nobody's own words: then no agreement is claimed.

        ``same``: how many voices say the same, where that is not told by their being equal. ``confidence``: where more
        is known of the voices than how many they are.
        """
        cast = len(votes)
        same = sum(1 for b in votes if b.answer == answer) if same is None else same
        heard = {flag for b in self.ballots for flag in b.flags}
        # The voices differ: no more than half of them back the answer, or somebody may be trying to sway them.
        differ = same < cast and (2 * same <= cast or not heard.isdisjoint((SUSPICIOUS, SUSPICIOUS_ITEM)))
        contested = ("contested",) if differ and self.plan.recipe.strategy not in _NEVER_CONTESTED else ()
        return Verdict(
            Status.DECIDED,
            answer,
            agreement=round(same / cast, 4) if same else None,
            confidence=round((same + 1) / (cast + 2) if confidence is None else confidence, 4) if same else None,
            votes=cast,
            abstentions=self._abstentions(),
            flags=tuple(sorted({*flags, *contested, *heard})),
        )

    def untrusted(self) -> Verdict:
        """Undecided, for whatever was answered addresses its reader; or nothing was answered at all."""
        if not self.votes():
            return self.no_verdict()
        heard = sorted({flag for b in self.ballots for flag in b.flags})
        return replace(self.no_verdict("suspicious", exhausted=True), flags=tuple(heard))

    def no_verdict(self, reason: str | None = None, *, exhausted: bool = False) -> Verdict:
        """Undecided, or failed where a vendor refused the request itself. The reason names what stood in the way.

        What closed the plan is named only where it stood in the way: the plan is the whole chunk's, and may be
        closed for another item after this one has used up what it had.
        """
        kinds = sorted({b.failure.value for b in self.ballots if b.failure is not None})
        too_long = self._too_long(kinds)
        status = Status.FAILED if self._rejected() or too_long else Status.UNDECIDED
        if too_long:
            return Verdict(status, abstentions=self._abstentions(), reason=too_long)
        if self._rejected():
            reason = "invalid_request"
        elif self.plan.closed in _STOPPED_FROM_OUTSIDE and not exhausted and self._budget_left() >= 1:
            reason = self.plan.closed
        elif kinds == [FailureKind.PRIVACY.value]:
            reason = "privacy"
        elif reason is None:
            reason = "abstained" if self._abstentions() and not kinds else "no_answer"
        if kinds and reason not in kinds:
            reason = f"{reason}: {', '.join(kinds)}"
        return Verdict(status, votes=len(self.votes()), abstentions=self._abstentions(), reason=reason)

    def _too_long(self, kinds: list[str]) -> str | None:
        """Why the item fits nowhere, with the numbers; None where something else, too, stood in the way."""
        needs = max((b.needs or 0 for b in self.ballots), default=0)
        windows = [seat.window for seat in self.plan.seats if seat.window is not None]
        if kinds != [FailureKind.CONTEXT_LENGTH.value] or not needs or not windows or self.votes():
            return None
        return f"context_length: takes about {needs} tokens, the widest window has {max(windows)}"

    def _abstentions(self) -> int:
        return sum(1 for b in self.ballots if b.is_abstention)
