"""What was routed where within a span of time, over all jobs: calls, failures, and who answered in whose place.

Read-only. Moments are Postgres' own; calls count in the span in which they began. Pings are left out.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from sqlalchemy import Engine

from app.core.drills import DRILL, DRILL_SLOW


@dataclass(slots=True)
class Traffic:
    """Calls to one deployment. ``struck``: those a drill did something to; ``failed``: by kind."""

    deployment: str
    calls: int = 0
    answered: int = 0
    struck: int = 0
    failed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Items:
    """Of all live jobs, and of those that were live at the moment asked for: decisions so far, and items without."""

    decided: int
    undecided: int
    failed: int
    waiting: int


_TRAFFIC = """
SELECT deployment, state, failure_kind, count(*), count(*) FILTER (WHERE flags && %(marks)s)
FROM attempts
WHERE started_at >= %(since)s AND started_at < %(until)s AND purpose <> 'ping' AND state <> 'unsent'
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

# From the answers of later waves back to the seats of the same item that had failed before them.
_STOOD_IN = """
SELECT lost_ask.deployment, a.deployment, count(DISTINCT (a.chunk_id, carried.item_id))
FROM attempts a CROSS JOIN LATERAL unnest(coalesce(a.item_ids, ARRAY[a.item_id])) AS carried (item_id)
JOIN asks mine ON mine.chunk_id = a.chunk_id AND mine.seat = a.seat AND carried.item_id = ANY(mine.item_ids)
JOIN votes lost ON lost.chunk_id = a.chunk_id AND lost.item_id = carried.item_id AND lost.failure_kind IS NOT NULL
JOIN asks lost_ask ON lost_ask.chunk_id = lost.chunk_id AND lost_ask.seat = lost.seat
    AND lost.item_id = ANY(lost_ask.item_ids)
WHERE a.started_at >= %(since)s AND a.started_at < %(until)s AND a.state = 'answered' AND mine.wave > lost_ask.wave
GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""

_ITEMS = """
WITH live AS (
    SELECT id, items FROM jobs WHERE state IN ('running', 'paused') OR finished_at >= %(since)s
)
SELECT count(*) FILTER (WHERE d.status = 'decided'), count(*) FILTER (WHERE d.status = 'undecided'),
       count(*) FILTER (WHERE d.status = 'failed'), (SELECT coalesce(sum(items), 0) FROM live)::bigint - count(*)
FROM decisions d WHERE d.job_id IN (SELECT id FROM live)
"""


def traffic(engine: Engine, since: dt.datetime, until: dt.datetime) -> dict[str, Traffic]:
    """Deployment → what was asked of it and came back; those without a call are left out."""
    found: dict[str, Traffic] = {}
    marks = [DRILL, DRILL_SLOW]
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(_TRAFFIC, {"since": since, "until": until, "marks": marks}).all()
    for name, state, kind, count, struck in rows:
        seen = found.setdefault(name, Traffic(name))
        seen.calls += count
        seen.struck += struck
        if state == "answered":
            seen.answered += count
        elif kind is not None:
            seen.failed[kind] = seen.failed.get(kind, 0) + count
    return found


def stood_in(engine: Engine, since: dt.datetime, until: dt.datetime) -> list[tuple[str, str, int]]:
    """(deployment that failed, deployment that answered in a later wave, items), the most first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(_STOOD_IN, {"since": since, "until": until}).all()
    return [(lost, other, count) for lost, other, count in rows]


def items(engine: Engine, since: dt.datetime) -> Items:
    with engine.begin() as connection:
        return Items(*connection.exec_driver_sql(_ITEMS, {"since": since}).one())
