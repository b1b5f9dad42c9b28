"""Rationing: what waits in the yard, and what the plan of the quotas gives of each track to easy first voices now."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.quotas import Demand, Ration, Stock, rations
from app.core.seating import BENCH_LOAD, serving
from app.core.tracks import Track
from app.ledger.yard import WaitingJob


def ration(tracks: Sequence[Track], jobs: Sequence[WaitingJob]) -> list[Ration]:
    """One for each track with a quota. Sets what the tracks have to ``spare``."""
    if not any(track.quotas for track in tracks):
        return []
    stocks = [
        Stock(t.deployment.name, t.deployment.quality, t.quotas, pace=t.pace, queued=t.queued) for t in tracks
    ]  # fmt: skip
    planned = rations(stocks, _demand(tracks, jobs))
    by_name = {one.deployment: one.spare for one in planned}
    for track in tracks:
        track.spare = by_name.get(track.deployment.name, track.spare)
    return planned


def _demand(tracks: Sequence[Track], jobs: Sequence[WaitingJob]) -> dict[str, Demand]:
    """Deployment → calls that it may be asked for. An item wants at most one voice of each, and of each that serves."""
    easy: dict[str, float] = {}
    hard: dict[str, float] = {}
    for job in jobs:
        wanted = job.terms.wanted(job.recipe)
        late = BENCH_LOAD * job.ready if job.recipe.council > 1 else 0.0
        for track in serving(tracks, wanted):
            name = track.deployment.name
            mine = hard if job.terms.lane.hard else easy
            mine[name] = mine.get(name, 0.0) + job.ready
            if not job.terms.lane.hard:
                hard[name] = hard.get(name, 0.0) + late
    return {name: Demand(easy.get(name, 0.0), hard.get(name, 0.0)) for name in easy.keys() | hard.keys()}
