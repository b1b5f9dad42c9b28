"""Ballots and verdicts: what a strategy sees and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.core.values import FailureKind


@dataclass(frozen=True, slots=True)
class Ballot:
    """One seat's state for one item.

    Exactly one of: open (asked, nothing heard yet), a vote (``answer``), an abstention (heard, but not to be
    read), a failure. ``tries`` are the calls it used, or, while open, those it may still use: both come off the
    item's one attempt budget. ``needs``: tokens the question would take, where it was too long for the seat.
    """

    seat: int
    answer: str | None = None
    failure: FailureKind | None = None
    open: bool = False
    tries: int = 1
    flags: tuple[str, ...] = ()
    needs: int | None = None

    @property
    def is_vote(self) -> bool:
        return self.answer is not None

    @property
    def is_abstention(self) -> bool:
        return self.answer is None and self.failure is None and not self.open

    def to_json(self) -> list[Any]:
        row = [self.seat, self.answer, self.failure, self.tries, list(self.flags)]
        return row if self.needs is None else [*row, self.needs]

    @classmethod
    def from_json(cls, row: list[Any]) -> Ballot:
        seat, answer, failure, tries, flags, *needs = row
        kind = FailureKind(failure) if failure else None
        return cls(seat, answer, kind, tries=tries, flags=tuple(flags), needs=needs[0] if needs else None)


ACCEPT, REJECT = "accept", "reject"


def about(seat: int, word: str = "seat", sure: float | None = None) -> str:
    """The vote of a role that speaks of another's answer: ``seat:3`` a judge's, ``accept:3`` a verifier's; by a rubric,
    which it is ``sure`` to be met, ``accept:3@0.85``."""
    return f"{word}:{seat}" if sure is None else f"{word}:{seat}@{sure:g}"


def seat_of(vote: str | None) -> int | None:
    """The seat that such a vote speaks of; None: it is none."""
    _, _, number = (vote or "").partition("@")[0].rpartition(":")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else None


def sureness(vote: str | None) -> float:
    """How sure a verifier is that the answer holds. One that was not asked to say is; a rejection is not at all."""
    sure = (vote or "").partition("@")[2]
    return 0.0 if not accepts(vote) else float(sure) if sure else 1.0


def accepts(vote: str | None) -> bool:
    return vote is not None and vote.startswith(f"{ACCEPT}:")


class Status(StrEnum):
    DECIDED = "decided"
    UNDECIDED = "undecided"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a strategy decides for one item.

    ``agreement`` is the winner's share of the votes cast; ``confidence`` is Laplace's rule of succession over
    the same votes, (winner + 1) / (votes + 2): a plain prior until outcomes have been seen.
    """

    status: Status
    answer: str | None = None
    agreement: float | None = None
    confidence: float | None = None
    votes: int = 0
    abstentions: int = 0
    flags: tuple[str, ...] = ()
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status.value,
            "answer": self.answer,
            "agreement": self.agreement,
            "confidence": self.confidence,
            "votes": self.votes,
            "abstentions": self.abstentions,
            "flags": list(self.flags),
            "reason": self.reason,
        }

    def to_bytes(self) -> bytes:
        """The canonical form that a replay has to reproduce."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Ask:
    """Put this question to this seat, with at most ``tries`` calls."""

    seat: int
    tries: int
