"""Dispatching: from the yard onto the tracks, only as far as they have room, and fair between teams and jobs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, Engine

from app.core.ballots import Verdict
from app.core.packing import TRIAL_ITEMS
from app.core.recipe import Recipe, fitted
from app.core.seating import Chunk, seat_chunk
from app.core.selection import eligible
from app.core.strategies import decide
from app.core.tracks import Track
from app.ledger import commons, packs, settling, yard
from app.ledger.commons import Others
from app.ledger.settling import RungAsk
from app.ledger.yard import WaitingJob
from app.services import trials
from app.services.choosing import Chooser
from app.services.fleetview import FleetView
from app.services.rationing import ration

# Bells that have not been answered after this long are rung again by the sweep.
RING_PATIENCE_S = 45.0
_TRIAL_PATIENCE = 6


@dataclass(slots=True)
class Dispatched:
    """``waves``: first waves to ring. ``unasked``: chunks to settle, since others may have asked for them."""

    waves: list[list[RungAsk]] = field(default_factory=list)
    unasked: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Dispatcher:
    engine: Engine
    view: FleetView
    chunk_size: int
    horizon_s: float

    def dispatch(self) -> Dispatched:
        """Put chunks on tracks until none has room within the horizon; returns what is to be rung.

        Only one process plans at a time; the others return at once, as the one that plans sees what they saw.
        """
        done = Dispatched()
        with yard.dispatching(self.engine) as connection:
            if connection is None:
                return done
            looked = trials.looked_after(connection, yard.waiting_jobs(connection, most=self.chunk_size * 1000))
            jobs = looked.jobs
            homeless = [job for job in jobs if job.terms.lane.private and not self._voices_at_home(job, job.recipe)]
            for job in homeless:
                yard.give_up(connection, job, "privacy")
                jobs.remove(job)
            tracks = self.view.tracks(yard.queued_calls(connection)) if jobs else []
            ration(tracks, jobs)
            ready = {job.place: job.ready for job in jobs}
            load = Counter({job.id: job.on_track for job in jobs})
            seed = yard.last_chunk(connection)
            others: dict[str, Others | None] = {}
            chooser = Chooser(connection)
            while jobs:
                job = min(jobs, key=lambda j: _turn(j, jobs, load))
                on_trial = job.place in looked.trials
                chosen = chooser.choose(job)
                recipe = job.recipe if chosen is None else chosen.recipe
                chunk = self._seat(job, recipe, tracks, ready[job.place], seed, on_trial)
                if chunk is None:
                    jobs.remove(job)
                    continue
                if chosen is not None:
                    chunk = replace(chunk, plan=replace(chunk.plan, choice=chosen.note))
                if on_trial:
                    claimed = self._try(connection, job, chunk, done)
                else:
                    if job.id not in others:
                        others[job.id] = commons.others(connection, job.id)
                    claimed = self._claim(connection, job, chunk, others[job.id], done)
                seed = claimed or seed
                load[job.id] += chunk.size
                ready[job.place] -= chunk.size
                if ready[job.place] <= 0 or claimed is None or on_trial:
                    jobs.remove(job)
        for job_id in {job.id for job in homeless}:
            settling.finish_job(self.engine, job_id)
        return done

    def _voices_at_home(self, job: WaitingJob, recipe: Recipe) -> int:
        """Families of the fleet that may see a private lane's items, well or not."""
        wanted = job.terms.wanted(recipe)
        return len({d.family for d in self.view.fleet.current().deployments if eligible(d, wanted) is None})

    @staticmethod
    def _claim(
        connection: Connection, job: WaitingJob, chunk: Chunk, others: Others | None, done: Dispatched
    ) -> int | None:
        """Put the chunk on its tracks, or leave its first wave to settling where another job may have asked the same.

        Returns its id; None: its items are gone.
        """
        if others is not None and commons.about_to_leave(connection, others, str(job.terms.lane), chunk.size):
            chunk_id = yard.claim_unasked(connection, job, chunk.size, chunk.plan)
            done.unasked.extend([] if chunk_id is None else [chunk_id])
            return chunk_id
        first = decide(chunk.plan, ())
        assert not isinstance(first, Verdict)
        asks = yard.claim(connection, job, chunk.size, chunk.plan, first, RING_PATIENCE_S)
        if not asks:
            return None
        done.waves.append(asks)
        return asks[0].chunk_id

    @staticmethod
    def _try(connection: Connection, job: WaitingJob, chunk: Chunk, done: Dispatched) -> int | None:
        """Put a trial on its tracks. Returns its id; None: its items are gone."""
        first = decide(chunk.plan, ())
        assert not isinstance(first, Verdict)
        plan, first = trials.with_trial(chunk.plan, first, chunk.size)
        asks = yard.claim(connection, job, chunk.size, plan, first, RING_PATIENCE_S)
        if not asks:
            return None
        packs.begin_trial(connection, job.id, asks[0].chunk_id)
        done.waves.append(asks)
        return asks[0].chunk_id

    def _seat(
        self, job: WaitingJob, recipe: Recipe, tracks: list[Track], available: int, seed: int, on_trial: bool
    ) -> Chunk | None:
        """The job's own wish of balancing comes before what the fleet file says for its tier. A trial is of many
        items, however slow the seats: it is one chunk."""
        if job.terms.lane.private:
            recipe = fitted(recipe, self._voices_at_home(job, recipe))
        wanted = job.terms.wanted(recipe)
        if not wanted.routing.balance:
            of_tier = self.view.fleet.current().balance.get(wanted.tier, "")
            wanted = replace(wanted, routing=replace(wanted.routing, balance=of_tier))
        self.view.dress(tracks, job.id)
        chunk = seat_chunk(
            tracks,
            wanted,
            available=available,
            chunk_size=TRIAL_ITEMS if on_trial else self.chunk_size,
            horizon_s=self.horizon_s * (_TRIAL_PATIENCE if on_trial else 1),
            seed=seed,
        )
        return chunk and replace(chunk, plan=self.view.inform(chunk.plan, job.id, job.terms.task))


def _turn(job: WaitingJob, jobs: list[WaitingJob], load: Counter[str]) -> tuple[int, int, int]:
    """Higher priority first; then the team with the least on the tracks, and of its jobs the one with the least."""
    team = sum(load[j.id] for j in jobs if j.team == job.team)
    return (-job.priority, team, load[job.id])
