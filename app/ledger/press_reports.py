"""What the ledger knows of an edition's making: read only, and one snapshot a report.

Calls are those that were made, or may have been; what a drill struck was not, and counts nowhere, as in ``spend``.
Failed are those that nobody was answered by: calls that failed, and those of which nobody knows what became of them
(``ambiguous``). Money is micro-dollars, of calls whose cost is known; the others are counted beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from app.ledger.reports import known_usd
from app.newspaper.edition import Hand, StepLine, Weather

CALLED = "a.state <> 'unsent' AND NOT coalesce(a.flags @> ARRAY['drill'], false)"
"""An attempt ``a`` that counts: as ``switchyard spend`` counts."""


@dataclass(frozen=True, slots=True)
class Making:
    """What the jobs of one edition took. Sums are over its calls, so they are those of ``hands``."""

    steps: tuple[StepLine, ...]
    """In the order in which they were begun."""
    hands: tuple[Hand, ...]
    weather: tuple[Weather, ...]
    calls: int
    votes: int
    input_tokens: int
    output_tokens: int
    cost_micro: int
    unpriced: int


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction in which every statement sees the ledger as the first one did, and that changes nothing."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        yield connection


# A job that stands under two steps is counted with the first of them. A step that was passed over has none.
_STEPS = """
SELECT s.step, s.job_id, coalesce(j.items, 0), count(d.item_id) FILTER (WHERE d.status = 'decided'), s.said,
       j.created_at, s.job_id IS NOT NULL AND s.step = first_value(s.step) OVER (
           PARTITION BY s.job_id ORDER BY s.begun_at, s.step)
FROM edition_steps s LEFT JOIN jobs j ON j.id = s.job_id LEFT JOIN decisions d ON d.job_id = j.id
WHERE s.edition_id = %s GROUP BY s.edition_id, s.step, j.id ORDER BY s.begun_at, j.created_at, s.step
"""

# The span in time lets the block range index pass over the attempts of other days.
_OF_JOBS = f"a.job_id = ANY(%(jobs)s) AND a.started_at >= %(since)s AND {CALLED}"

_HANDS = f"""
SELECT a.job_id, a.deployment, count(*), count(*) FILTER (WHERE a.state IN ('failed', 'ambiguous')),
       sum(a.input_tokens + a.cached_tokens)::bigint, sum(a.output_tokens + a.reasoning_tokens)::bigint,
       coalesce(sum(a.cost_micro), 0)::bigint, count(*) FILTER (WHERE a.cost_micro IS NULL)
FROM attempts a WHERE {_OF_JOBS} GROUP BY 1, 2 ORDER BY count(*) DESC, 2
"""  # noqa: S608 - no value in it

_WEATHER = f"""
SELECT a.provider, CASE a.state WHEN 'ambiguous' THEN a.state ELSE coalesce(a.failure_kind, 'unknown') END, count(*)
FROM attempts a WHERE {_OF_JOBS} AND a.state IN ('failed', 'ambiguous') GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""  # noqa: S608 - no value in it

# As the status of a job counts them.
_VOTES = """
SELECT coalesce(sum(d.votes), 0)::bigint FROM decisions d JOIN items i ON i.id = d.item_id
WHERE d.job_id = ANY(%(jobs)s) AND i.same_as IS NULL
"""


def making(engine: Engine, edition_id: int) -> Making:
    """Everything that the edition's jobs have taken so far; all empty for one that has none."""
    with snapshot(engine) as connection:
        steps = connection.exec_driver_sql(_STEPS, (edition_id,)).all()
        order = {row[1]: (n, row[0]) for n, row in enumerate(steps) if row[6]}
        rows, weather, votes = [], [], 0
        if order:
            values = {"jobs": list(order), "since": min(row[5] for row in steps if row[6])}
            rows = list(connection.exec_driver_sql(_HANDS, values).all())
            weather = list(connection.exec_driver_sql(_WEATHER, values).all())
            votes = int(connection.exec_driver_sql(_VOTES, values).scalar_one())
    return Making(
        steps=tuple(
            StepLine(step=step, job=job or "", items=items, decided=decided, said=said)
            for step, job, items, decided, said, _, _ in steps
        ),
        hands=_hands(rows, order),
        weather=tuple(Weather(provider=provider, kind=kind, count=count) for provider, kind, count in weather),
        calls=sum(row[2] for row in rows),
        votes=votes,
        input_tokens=sum(row[4] for row in rows),
        output_tokens=sum(row[5] for row in rows),
        cost_micro=sum(row[6] for row in rows),
        unpriced=sum(row[7] for row in rows),
    )


def _hands(rows: Sequence[Any], order: Mapping[str, tuple[int, str]]) -> tuple[Hand, ...]:
    """By step as they were begun, within it whoever was called most first."""
    found = sorted(rows, key=lambda row: order[row[0]][0])
    return tuple(
        Hand(
            deployment=deployment,
            step=order[job][1],
            calls=calls,
            failed=failed,
            input_tokens=inputs,
            output_tokens=outputs,
            cost_usd=known_usd(cost, unpriced),
        )
        for job, deployment, calls, failed, inputs, outputs, cost, unpriced in found
    )
