"""Rationing: what waits in the yard, and what the plan of the quotas gives of each track to easy first voices now."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from app.core.quotas import Demand, Ration, Stock, rations
from app.core.routing import Wanted
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
    by_name = {one.deployment: one for one in planned}
    for track in tracks:
        if (mine := by_name.get(track.deployment.name)) is not None:
            track.spare, track.spare_late = mine.spare, mine.spare_late
    return planned


def _demand(tracks: Sequence[Track], jobs: Sequence[WaitingJob]) -> dict[str, Demand]:
    """Deployment → calls that it may be asked for. An item wants at most one voice of each, and of each that serves."""
    ready: Counter[Wanted] = Counter()
    for job in jobs:
        ready[job.terms.wanted(job.recipe)] += job.ready
    easy: Counter[str] = Counter()
    late: Counter[str] = Counter()
    hard: Counter[str] = Counter()
    for wanted, items in ready.items():
        coming_back = BENCH_LOAD if wanted.recipe.council > 1 else 0.0
        for track in serving(tracks, wanted):
            name = track.deployment.name
            if wanted.lane.hard:
                hard[name] += items
            else:
                easy[name] += items
                late[name] += math.ceil(coming_back * items)
    return {name: Demand(easy[name], late[name], hard[name]) for name in easy.keys() | hard.keys()}
