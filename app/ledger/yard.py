"""The yard: which jobs have items waiting, and the claim that puts a chunk of them on its tracks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from app.core import recipe as recipes
from app.core.ballots import Ask
from app.core.packing import TRIAL_REPEATS
from app.core.plan import CALIBRATION, Plan
from app.core.recipe import Recipe
from app.core.routing import Terms
from app.ledger import doubles
from app.ledger.reports import no_job
from app.ledger.settling import RungAsk

# Any number, as long as nobody else uses it: one dispatcher at a time plans for the whole fleet.
_DISPATCH_LOCK = 7_702_552


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A running job's items in the yard that share a lane. ``on_track``: items of the job that are planned and not yet
    decided."""

    id: str
    team: str
    recipe: Recipe
    terms: Terms
    priority: int
    ready: int
    on_track: int
    use_case: str = ""
    choice: dict[str, Any] | None = None
    """How the recipe is chosen where there are several."""

    @property
    def place(self) -> tuple[str, str]:
        return (self.id, str(self.terms.lane))


_TERMS = "j.tier, j.task, j.max_cost_micro IS NOT NULL, j.routing, j.pack"

_WAITING = f"""
SELECT j.id, j.team, j.recipe, j.priority, lanes.ready, coalesce(tracks.items, 0), lanes.lane, j.use_case, j.choice,
       {_TERMS}
FROM jobs j, LATERAL (
    SELECT lane, count(*) AS ready
    FROM (SELECT lane FROM items i WHERE i.job_id = j.id AND i.state = 'ready' ORDER BY i.n LIMIT %s) AS waiting
    GROUP BY lane
) AS lanes, LATERAL (
    SELECT sum(cardinality(c.item_ids)) AS items FROM chunks c WHERE c.job_id = j.id AND c.state <> 'done'
) AS tracks
WHERE j.state = 'running'
ORDER BY j.created_at, lanes.lane
"""  # noqa: S608 - no value in it

_CHUNK = """
WITH picked AS (
    SELECT id FROM items WHERE job_id = %(job)s AND state = 'ready' AND lane = %(lane)s
    ORDER BY n LIMIT %(size)s FOR UPDATE SKIP LOCKED
), chunk AS (
    INSERT INTO chunks (job_id, lane, plan, item_ids)
    SELECT %(job)s, %(lane)s, %(plan)s::jsonb, array_agg(id ORDER BY id) FROM picked HAVING count(*) > 0
    RETURNING id, item_ids
), marked AS (
    UPDATE items SET state = 'planned', chunk_id = chunk.id FROM chunk WHERE items.id = ANY(chunk.item_ids)
)
"""

_CLAIM_UNASKED = _CHUNK + "SELECT id FROM chunk"  # noqa: S608 - no value in it

_CLAIM = (
    _CHUNK
    + """
INSERT INTO asks (chunk_id, wave, seat, deployment, provider, tries, pack, item_ids, lease_until)
SELECT chunk.id, 1, s.seat, s.deployment, s.provider, s.tries, s.pack,
       chunk.item_ids[1:coalesce(s.most, cardinality(chunk.item_ids))],
       clock_timestamp() + %(lease)s * interval '1 second'
FROM chunk, unnest(%(seats)s::smallint[], %(deployments)s::text[], %(providers)s::text[], %(tries)s::smallint[],
                   %(packs)s::smallint[], %(most)s::smallint[])
     AS s (seat, deployment, provider, tries, pack, most)
RETURNING id, chunk_id, provider
"""
)


@contextmanager
def dispatching(engine: Engine) -> Iterator[Connection | None]:
    """One transaction under the dispatcher's lock, or None while another process holds it."""
    with engine.begin() as connection:
        got = connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (_DISPATCH_LOCK,)).scalar_one()
        yield connection if got else None


def waiting_jobs(connection: Connection, most: int) -> list[WaitingJob]:
    """Jobs that have items ready, oldest first; ``ready`` is counted only as far as ``most``."""
    rows = connection.exec_driver_sql(_WAITING, (most,)).all()
    return [
        WaitingJob(
            id_, team, recipes.parse(recipe), Terms.of(lane, *terms), priority, ready, int(on_track), use_case, choice
        )
        for id_, team, recipe, priority, ready, on_track, lane, use_case, choice, *terms in rows
    ]


def last_chunk(connection: Connection) -> int:
    """The number of the youngest chunk; 0 before the first."""
    return int(connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM chunks").scalar_one())


@dataclass(frozen=True, slots=True)
class Waits:
    """A running job of which items are left: what it asks of those who may serve them."""

    id: str
    recipe: Recipe
    terms: Terms


_WAITS = f"""
SELECT state = 'running', recipe,
       (SELECT lane FROM items WHERE job_id = j.id AND state <> 'decided' ORDER BY n LIMIT 1), {_TERMS}
FROM jobs j WHERE id = %s
"""  # noqa: S608 - no value in it


def waits(engine: Engine, job_id: str) -> Waits | None:
    """None where the job does not run, or every item of it is decided. Raises ``NotFound``."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql(_WAITS, (job_id,)).first()
    if row is None:
        raise no_job(job_id)
    running, recipe, lane, *terms = row
    return Waits(job_id, recipes.parse(recipe), Terms.of(lane, *terms)) if running and lane is not None else None


def anything_waits(engine: Engine) -> bool:
    """Has a running job a chunk that is parked, or items that never left the yard?"""
    with engine.begin() as connection:
        return bool(
            connection.exec_driver_sql(
                "SELECT EXISTS (SELECT FROM chunks WHERE state = 'parked') OR EXISTS (SELECT FROM jobs j"
                " WHERE j.state = 'running' AND EXISTS (SELECT FROM items i WHERE i.job_id = j.id"
                " AND i.state = 'ready'))"
            ).scalar_one()
        )


def waiting_cached(engine: Engine) -> list[Waits]:
    """Running jobs with items in the yard that take remembered answers."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT id, recipe, {_TERMS} FROM jobs j"  # noqa: S608 - no value in it
            " WHERE state = 'running' AND cached_ok"
            " AND EXISTS (SELECT FROM items WHERE job_id = j.id AND state = 'ready')"
        )
        return [Waits(job_id, recipes.parse(recipe), Terms.of("", *terms)) for job_id, recipe, *terms in rows]


def give_up(connection: Connection, job: WaitingJob, reason: str) -> None:
    """What waits of a job in one lane, and its doubles, become undecided for this reason."""
    doubles.give_up(connection, reason, "j.id = %s AND i.lane = %s", job.place)


def queued_calls(connection: Connection) -> dict[str, tuple[int, int]]:
    """Deployment → (calls waiting or under way, asks that make them)."""
    rows = connection.exec_driver_sql(
        "SELECT deployment, sum((cardinality(item_ids) + pack - 1) / pack), count(*) FROM asks"
        " WHERE state <> 'done' GROUP BY deployment"
    )
    return {deployment: (int(calls), asks) for deployment, calls, asks in rows}


def claim(
    connection: Connection, job: WaitingJob, size: int, plan: Plan, asks: frozenset[Ask], lease_s: float
) -> list[RungAsk]:
    """Take up to ``size`` ready items, write chunk, plan and first wave; empty if the items are gone."""
    ordered = sorted(asks, key=lambda a: a.seat)
    seats = [plan.seats[a.seat] for a in ordered]
    rows = connection.exec_driver_sql(
        _CLAIM,
        {
            **_chunk_values(job, size, plan),
            "lease": lease_s,
            "seats": [a.seat for a in ordered],
            "deployments": [s.deployment for s in seats],
            "providers": [s.provider for s in seats],
            "tries": [a.tries for a in ordered],
            "packs": [s.pack for s in seats],
            "most": [TRIAL_REPEATS if s.role == CALIBRATION and s.pack == 1 else None for s in seats],
        },
    )
    return [RungAsk(*row) for row in rows]


def claim_unasked(connection: Connection, job: WaitingJob, size: int, plan: Plan) -> int | None:
    """Take up to ``size`` ready items and write chunk and plan, but no ask; None if the items are gone."""
    chunk_id: int | None = connection.exec_driver_sql(_CLAIM_UNASKED, _chunk_values(job, size, plan)).scalar()
    return chunk_id


def _chunk_values(job: WaitingJob, size: int, plan: Plan) -> dict[str, object]:
    lane, said = str(job.terms.lane), orjson.dumps(plan.to_json()).decode()
    return {"job": job.id, "lane": lane, "size": size, "plan": said}
