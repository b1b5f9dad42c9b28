"""Replay: the ledger read again, which proves every decision or names the one that differs."""

from __future__ import annotations

from itertools import islice

from sqlalchemy import Engine

from app.core import replay
from app.core.ballots import Status
from app.core.replay import Difference
from app.ledger import testimony
from app.ledger.testimony import Decided
from app.services import vouching

MOST_SHOWN = 1_000


def verify(engine: Engine, job_id: str) -> tuple[int, list[Difference]]:
    """Check every decision of a job: (how many, what differs). Streams; keeps the first ``MOST_SHOWN`` differences.

    A decision made in the yard (overdue, cancelled, or nobody in the house for it, before its item was planned) has no
    chunk: it must be undecided, on no ballots.
    What was chosen for a chunk where its job had a choice must follow again from what is written down.
    """
    checked = 0
    differences: list[Difference] = []
    for item in testimony.decided(engine, job_id):
        checked += 1
        difference = _difference(item)
        if difference is not None and len(differences) < MOST_SHOWN:
            differences.append(difference)
    differences += islice(vouching.differences(engine, job_id), MOST_SHOWN - len(differences))
    return checked, differences


def _difference(item: Decided) -> Difference | None:
    if item.plan is not None:
        return replay.verify(item.custom_id, item.plan, item.seen, item.kept, item.verdict)
    if item.seen or item.kept:
        return Difference(item.custom_id, "it has ballots, but no plan that asked for them")
    if item.verdict.status is not Status.UNDECIDED or item.verdict.reason not in ("overdue", "cancelled", "privacy"):
        return Difference(item.custom_id, f"it is {item.verdict.status.value} without a plan or a vote")
    return None
