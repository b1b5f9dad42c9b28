"""``--pack auto``: a sample of the job is asked singly and in packs at the same seats, and the packs must agree.

The sample is a chunk like any other, decided by its single answers. Beside its first voices sit the same deployments in
the role of the trial: once more singly, and once for each size of pack. Nothing is decided by what they say; the rest
of the job waits for it in the yard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection

from app.core import packing
from app.core.ballots import Ask
from app.core.packing import Trial
from app.core.plan import CALIBRATION, Plan
from app.ledger import packs
from app.ledger.yard import WaitingJob

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sorted:
    """``jobs``: those that may be seated now; ``trials``: of them the places whose next chunk is a trial's."""

    jobs: list[WaitingJob]
    trials: frozenset[tuple[str, str]]


def looked_after(connection: Connection, jobs: list[WaitingJob]) -> Sorted:
    """Judge the trials that are over, hold back the jobs whose trial is under way, and say where one is due."""
    if not any(job.terms.pack == 0 for job in jobs):
        return Sorted(jobs, frozenset())
    sizes: dict[str, int | None] = {}
    ready: list[WaitingJob] = []
    trials: set[tuple[str, str]] = set()
    for job in jobs:
        if not job.terms.packs or job.terms.pack:
            ready.append(job)
        elif job.id in sizes:
            if size := sizes[job.id]:
                ready.append(_with(job, size))
        else:
            size = sizes[job.id] = _size(connection, job)
            if size:
                ready.append(_with(job, size))
            elif size == 0:
                ready.append(job)
                trials.add(job.place)
                sizes[job.id] = None  # one lane is enough
    return Sorted(ready, frozenset(trials))


def _with(job: WaitingJob, size: int) -> WaitingJob:
    return replace(job, terms=replace(job.terms, pack=size))


def _size(connection: Connection, job: WaitingJob) -> int | None:
    """Items a pack, now that it is known; 0: a trial is due; None: one is under way."""
    running = packs.trial_of(connection, job.id)
    if running is None:
        if job.ready >= packing.WORTH_A_TRIAL:
            return 0
        return _found(connection, job, Trial(1))
    if not running.over:
        return None
    seats = {at: (seat.deployment, seat.role, seat.pack) for at, seat in enumerate(running.plan.seats)}
    return _found(connection, job, packing.tried(*packing.compare(seats, running.votes)))


def _found(connection: Connection, job: WaitingJob, trial: Trial) -> int:
    packs.write_trial(connection, job.id, trial)
    log.info("the size of packs is found", action="pack.found", job=job.id, **trial.to_json())
    return trial.size


def with_trial(plan: Plan, first: frozenset[Ask], items: int) -> tuple[Plan, frozenset[Ask]]:
    """The plan and its first wave with the trial's seats beside the first voices."""
    sizes = (1, *(size for size in packing.TRIAL_SIZES if size < items))
    voices = [plan.seats[ask.seat] for ask in sorted(first, key=lambda a: a.seat)]
    beside = tuple(replace(seat, role=CALIBRATION, pack=size) for size in sizes for seat in voices)
    asks = frozenset(Ask(len(plan.seats) + at, 1) for at in range(len(beside)))
    return plan.extended(beside), first | asks
