"""Receipts: everything a job or an item took, call by call, and what the yard's pings took meanwhile.

Nothing is left out because it failed, and nothing is guessed: a call at an unknown price is counted and named, not
priced. What one item of several in one call took is its share of that call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine

from app.ledger.reports import known_usd, no_job


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
        }


_COLUMNS = """
SELECT purpose, state, count(*), sum(input_tokens + cached_tokens)::bigint,
       sum(output_tokens + reasoning_tokens)::bigint, coalesce(sum(cost_micro), 0)::bigint,
       count(*) FILTER (WHERE cost_micro IS NULL), coalesce(sum(latency_ms), 0)::bigint
FROM attempts
"""

_JOB = """
SELECT items, (SELECT count(*) FROM decisions d WHERE d.job_id = j.id AND d.status = 'decided'),
       extract(epoch FROM coalesce(finished_at, clock_timestamp()) - created_at)::float8
FROM jobs j WHERE id = %s
"""

_SPAN = "SELECT min(started_at), max(closed_at), array_agg(DISTINCT deployment) FROM attempts WHERE job_id = %s"


def receipt(engine: Engine, job_id: str) -> Receipt:
    """Raises ``NotFound``."""
    grouped = " GROUP BY purpose, state ORDER BY purpose, state"
    with engine.begin() as connection:
        job = connection.exec_driver_sql(_JOB, (job_id,)).first()
        if job is None:
            raise no_job(job_id)
        lines = connection.exec_driver_sql(_COLUMNS + "WHERE job_id = %s" + grouped, (job_id,)).all()
        first, last, deployments = connection.exec_driver_sql(_SPAN, (job_id,)).one()
        pings: Sequence[Any] = ()
        if first is not None:
            sql = _COLUMNS + "WHERE purpose = 'ping' AND deployment = ANY(%s) AND started_at BETWEEN %s AND %s"
            pings = connection.exec_driver_sql(sql + grouped, (deployments, first, last or first)).all()
    return Receipt(
        job_id, job[0], job[1], tuple(Line(*row) for row in lines), tuple(Line(*row) for row in pings), job[2]
    )
