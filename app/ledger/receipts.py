"""Receipts: everything a job or an item took, call by call, and what the yard's pings took meanwhile.

Nothing is left out because it failed, and nothing is guessed: a call at an unknown price is counted and named, not
priced. What one item of several in one call took is its share of that call.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine

from app.core.savings import Saving, Unmeasured, saving
from app.ledger.reports import known_usd, no_job
from app.ledger.testimony import no_item


@dataclass(frozen=True, slots=True)
class Line:
    """Calls for one purpose that ended one way. Time is the sum of the calls' own, in ms; ``cost_micro`` of those whose
    price is known, ``unpriced`` counts the others."""

    purpose: str
    outcome: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_micro: int
    unpriced: int
    time_ms: int

    def to_json(self) -> dict[str, Any]:
        row = asdict(self)
        return {**row, "cost_usd": known_usd(row.pop("cost_micro"), self.unpriced)}


@dataclass(frozen=True, slots=True)
class Receipt:
    """``pings``: of the deployments that served the job, between its first and last call; other jobs shared them."""

    job: str
    items: int
    decided: int
    lines: tuple[Line, ...]
    pings: tuple[Line, ...]
    elapsed_s: float | None
    saving: Saving | Unmeasured | None = None
    """Against the job's baseline, where it named one."""

    @property
    def calls(self) -> int:
        return sum(line.calls for line in self.lines if line.outcome != "unsent")

    @property
    def cost_micro(self) -> int:
        return sum(line.cost_micro for line in self.lines)

    @property
    def unpriced(self) -> int:
        return sum(line.unpriced for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "items": self.items,
            "decided": self.decided,
            "calls": self.calls,
            "cost_usd": known_usd(self.cost_micro, self.unpriced),
            "unpriced_calls": self.unpriced,
            "elapsed_s": self.elapsed_s,
            "lines": [line.to_json() for line in self.lines],
            "pings": [line.to_json() for line in self.pings],
            "saving": None if self.saving is None else self.saving.to_json(),
        }


_COLUMNS = """
SELECT purpose, state, count(*), sum(input_tokens + cached_tokens)::bigint,
       sum(output_tokens + reasoning_tokens)::bigint, coalesce(sum(cost_micro), 0)::bigint,
       count(*) FILTER (WHERE cost_micro IS NULL), coalesce(sum(latency_ms), 0)::bigint
FROM {calls}
"""

# What was called for one item: a call that carried several counts with this item's part of it, to the unit in money.
_OF_ITEM = """(
    SELECT purpose, state, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost_micro, latency_ms
    FROM attempts WHERE item_id = %(item)s
    UNION ALL
    SELECT purpose, state, input_tokens / carried, cached_tokens / carried, output_tokens / carried,
           reasoning_tokens / carried,
           cost_micro / carried + (array_position(item_ids, %(item)s) <= cost_micro %% carried)::int, latency_ms
    FROM attempts, LATERAL (SELECT cardinality(item_ids) AS carried) AS pack
    WHERE job_id = %(job)s AND item_ids IS NOT NULL AND item_ids @> ARRAY[%(item)s::bigint]
) AS calls"""

_JOB = """
SELECT items, (SELECT count(*) FROM decisions d WHERE d.job_id = j.id AND d.status = 'decided'),
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - created_at)::float8, routing ->> 'baseline'
FROM jobs j WHERE id = %s
"""

_SPAN = "SELECT min(started_at), max(closed_at), array_agg(DISTINCT deployment) FROM attempts WHERE job_id = %s"

_ITEM = """
SELECT i.id, d.status = 'decided', d.latency_ms / 1000.0::float8
FROM items i LEFT JOIN decisions d ON d.item_id = i.id WHERE i.job_id = %s AND i.custom_id = %s
"""

# Of each item that the baseline has answered: what that took, all its tries together.
_AUDITED = """
SELECT CASE WHEN bool_or(cost_micro IS NULL) THEN NULL ELSE sum(cost_micro)::bigint END
FROM attempts WHERE job_id = %s AND purpose = 'audit' AND state <> 'unsent'
GROUP BY item_id HAVING bool_or(state = 'answered')
"""

_BY_PURPOSE = " GROUP BY purpose, state ORDER BY purpose, state"


def receipt(engine: Engine, job_id: str, custom_id: str | None = None) -> Receipt:
    """Of a job, or of one of its items. Raises ``NotFound``."""
    with engine.begin() as connection:
        job = connection.exec_driver_sql(_JOB, (job_id,)).first()
        if job is None:
            raise no_job(job_id)
        if custom_id is not None:
            return _of_item(connection, job_id, custom_id)
        lines = _lines(connection, "WHERE job_id = %s", (job_id,))
        first, last, deployments = connection.exec_driver_sql(_SPAN, (job_id,)).one()
        pings: tuple[Line, ...] = ()
        if first is not None:
            where = "WHERE purpose = 'ping' AND deployment = ANY(%s) AND started_at BETWEEN %s AND %s"
            pings = _lines(connection, where, (deployments, first, last or first))
        audited = connection.exec_driver_sql(_AUDITED, (job_id,)).scalars().all() if job[3] else []
    made = Receipt(job_id, job[0], job[1], lines, pings, job[2])
    if not job[3]:
        return made
    measured = saving(job[3], list(audited), items=job[0], cost=made.cost_micro, unpriced=made.unpriced)
    return replace(made, saving=measured)


def _of_item(connection: Connection, job_id: str, custom_id: str) -> Receipt:
    item = connection.exec_driver_sql(_ITEM, (job_id, custom_id)).first()
    if item is None:
        raise no_item(connection, job_id, custom_id)
    of_item = connection.exec_driver_sql(
        _COLUMNS.format(calls=_OF_ITEM) + _BY_PURPOSE, {"item": item[0], "job": job_id}
    )
    lines = tuple(Line(*row) for row in of_item)
    return Receipt(job_id, 1, int(item[1] or False), lines, (), item[2])


def _lines(connection: Connection, where: str, values: tuple[object, ...]) -> tuple[Line, ...]:
    columns = _COLUMNS.format(calls="attempts")
    return tuple(Line(*row) for row in connection.exec_driver_sql(columns + where + _BY_PURPOSE, values))
