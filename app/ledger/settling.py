"""Folding a chunk: what lies on the table of each item, and what is written when the strategy has moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from string import Template
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from app.core.ballots import Ask, Ballot, Verdict
from app.core.plan import Plan
from app.core.routing import Terms
from app.core.table import HEDGED
from app.core.values import FailureKind
from app.ledger import doubles, packs


@dataclass(frozen=True, slots=True)
class OpenChunk:
    """A locked chunk. ``tables``: item id → its ballots, for the items that are not decided yet."""

    id: int
    job_id: str
    parked: bool
    job_state: str
    terms: Terms
    plan: Plan
    cached_ok: bool
    left_s: float
    next_wave: int
    tables: dict[int, tuple[Ballot, ...]]


@dataclass(frozen=True, slots=True)
class RungAsk:
    """An ask that was committed and now wants its bell."""

    id: int
    chunk_id: int
    provider: str


_LOCK_CHUNK = """
SELECT c.job_id, c.state = 'parked', j.state, j.cached_ok, c.plan, c.item_ids,
       extract(epoch FROM j.deadline_at - clock_timestamp())::float8,
       c.lane, j.tier, j.task, j.max_cost_micro IS NOT NULL, j.routing, j.pack
FROM chunks c JOIN jobs j ON j.id = c.job_id
WHERE c.id = %s AND c.state <> 'done' FOR UPDATE OF c
"""

# One call of unknown cost makes the cost of the item unknown: a sum without it would pass for the whole.
_DECIDE = """
INSERT INTO decisions (item_id, job_id, chunk_id, status, answer, agreement, confidence, votes, abstentions,
                       flags, reason, ballots, calls, cost_micro, latency_ms, packed)
SELECT d.item_id, %(job)s, %(chunk)s, d.status, d.answer, d.agreement, d.confidence, d.votes, d.abstentions,
       coalesce(string_to_array(nullif(d.flags, ''), ','), '{}'), d.reason, d.ballots,
       a.calls, a.cost_micro, a.latency_ms, a.packed
FROM unnest(%(items)s::bigint[], %(status)s::text[], %(answer)s::text[], %(agreement)s::float8[],
            %(confidence)s::float8[], %(votes)s::smallint[], %(abstentions)s::smallint[], %(flags)s::text[],
            %(reason)s::text[], %(ballots)s::jsonb[])
     AS d (item_id, status, answer, agreement, confidence, votes, abstentions, flags, reason, ballots),
LATERAL (
    SELECT count(*) FILTER (WHERE state <> 'unsent') AS calls,
           CASE WHEN bool_or(cost_micro IS NULL) THEN NULL ELSE coalesce(sum(cost_micro), 0) END AS cost_micro,
           coalesce(extract(epoch FROM max(closed_at) - min(started_at)) * 1000, 0)::bigint AS latency_ms,
           $packed AS packed
    FROM $calls
) AS a
ON CONFLICT DO NOTHING
"""
_DECIDE_SINGLES = Template(_DECIDE).substitute(
    calls="attempts WHERE item_id = d.item_id AND chunk_id = %(chunk)s", packed="0"
)
_DECIDE_PACKED = Template(_DECIDE).substitute(
    calls=packs.SHARED_CALLS.format(item="d.item_id", job="%(job)s::text", chunk="%(chunk)s::bigint")
    + "WHERE purpose <> 'calibration'",
    packed="count(*) FILTER (WHERE packed AND state <> 'unsent')",
)

_ASK = """
INSERT INTO asks (chunk_id, wave, seat, deployment, provider, tries, pack, item_ids, lease_until)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')
RETURNING id
"""


@contextmanager
def locked_chunk(engine: Engine, chunk_id: int) -> Iterator[tuple[Connection, OpenChunk] | None]:
    """The chunk under its row lock for the length of one transaction; None once it is done."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql(_LOCK_CHUNK, (chunk_id,)).first()
        if row is None:
            yield None
            return
        job_id, parked, job_state, cached_ok, plan, item_ids, left_s, *terms = row
        the_plan = Plan.from_json(plan)
        tables, wave = _tables(connection, chunk_id, item_ids, the_plan)
        chunk = OpenChunk(
            id=chunk_id,
            job_id=job_id,
            parked=parked,
            job_state=job_state,
            terms=Terms.of(*terms),
            plan=the_plan,
            cached_ok=cached_ok,
            left_s=left_s,
            next_wave=wave + 1,
            tables=tables,
        )
        yield connection, chunk


def _tables(
    connection: Connection, chunk_id: int, item_ids: list[int], plan: Plan
) -> tuple[dict[int, tuple[Ballot, ...]], int]:
    planned = connection.exec_driver_sql(
        "SELECT id FROM items WHERE id = ANY(%s) AND state = 'planned' AND chunk_id = %s ORDER BY n",
        (item_ids, chunk_id),
    ).scalars()
    tables: dict[int, list[Ballot]] = {item_id: [] for item_id in planned}
    # Asks before votes: an ask that ends between the two looks is seen with its votes, never without both.
    asks = connection.exec_driver_sql(
        "SELECT wave, seat, state, tries, item_ids, slow FROM asks WHERE chunk_id = %s", (chunk_id,)
    ).all()
    answered: set[tuple[int, int]] = set()
    for item_id, ballot in votes_of(connection, chunk_id):
        if item_id in tables and plan.heard(ballot.seat):
            tables[item_id].append(ballot)
            answered.add((item_id, ballot.seat))
    for _, seat, state, tries, asked, slow in asks:
        if state != "done" and plan.heard(seat):
            for item_id in asked:
                if item_id in tables and (item_id, seat) not in answered:
                    tables[item_id].append(Ballot(seat, open=True, tries=tries, flags=(HEDGED,) if slow else ()))
    wave = max((number for number, *_ in asks), default=0)
    return {item_id: tuple(ballots) for item_id, ballots in tables.items()}, wave


def votes_of(connection: Connection, chunk_id: int) -> list[tuple[int, Ballot]]:
    rows = connection.exec_driver_sql(
        "SELECT item_id, seat, answer, failure_kind, tries, flags, needs FROM votes WHERE chunk_id = %s", (chunk_id,)
    )
    return [
        (
            item_id,
            Ballot(seat, answer, FailureKind(kind) if kind else None, tries=tries, flags=tuple(flags), needs=needs),
        )
        for item_id, seat, answer, kind, tries, flags, needs in rows
    ]


# The latest answer of each deployment since the earliest of these items' latest failures.
_ANSWERED_SINCE = """
WITH failed AS (
    SELECT min(at) AS since FROM (
        SELECT max(closed_at) AS at FROM (
            SELECT item_id, closed_at FROM attempts
            WHERE chunk_id = %(chunk)s AND item_id = ANY(%(items)s) AND state IN ('failed', 'ambiguous')
            UNION ALL
            SELECT unnest(item_ids), closed_at FROM attempts
            WHERE job_id = %(job)s AND chunk_id = %(chunk)s AND item_ids IS NOT NULL
              AND state IN ('failed', 'ambiguous')
        ) AS calls WHERE item_id = ANY(%(items)s) GROUP BY item_id
    ) AS latest
)
SELECT DISTINCT deployment FROM attempts, failed
WHERE deployment = ANY(%(deployments)s) AND state = 'answered' AND closed_at > failed.since
  AND started_at > failed.since - interval '10 minutes'
"""


def answered_since(
    connection: Connection, chunk: OpenChunk, item_ids: Sequence[int], deployments: Sequence[str]
) -> frozenset[str]:
    """Those of the deployments that have answered anybody since the items last failed."""
    asked = {"job": chunk.job_id, "chunk": chunk.id, "items": list(item_ids), "deployments": list(deployments)}
    rows = connection.exec_driver_sql(_ANSWERED_SINCE, asked)
    return frozenset(row[0] for row in rows)


def write_decisions(
    connection: Connection, chunk: OpenChunk, verdicts: Mapping[int, tuple[Verdict, Sequence[Ballot]]]
) -> None:
    """Once an item, with those that ask the same: a second verdict for it is dropped by the primary key."""
    said = [(item_id, v, b) for item_id, (v, b) in verdicts.items()]
    ids = [item_id for item_id, _, _ in said]
    connection.exec_driver_sql(
        _DECIDE_PACKED if chunk.plan.packs else _DECIDE_SINGLES,
        {
            "job": chunk.job_id,
            "chunk": chunk.id,
            "items": ids,
            "status": [v.status.value for _, v, _ in said],
            "answer": [v.answer for _, v, _ in said],
            "agreement": [v.agreement for _, v, _ in said],
            "confidence": [v.confidence for _, v, _ in said],
            "votes": [v.votes for _, v, _ in said],
            "abstentions": [v.abstentions for _, v, _ in said],
            "flags": [",".join(v.flags) for _, v, _ in said],
            "reason": [v.reason for _, v, _ in said],
            "ballots": [orjson.dumps([x.to_json() for x in b]).decode() for _, _, b in said],
        },
    )
    connection.exec_driver_sql("UPDATE items SET state = 'decided' WHERE id = ANY(%s) AND state = 'planned'", (ids,))
    doubles.decide(connection, ids)


# Their asks find the vote when they end, or are taken, and cast none themselves.
_OUTRUN = """
INSERT INTO votes (chunk_id, item_id, seat, failure_kind, tries, flags, reason)
SELECT %s, item_id, seat, 'overdue', 1, %s, 'another answered first'
FROM unnest(%s::bigint[], %s::smallint[]) AS v (item_id, seat) ON CONFLICT DO NOTHING
"""


def close_outrun(
    connection: Connection, chunk_id: int, tables: Mapping[int, Sequence[Ballot]]
) -> dict[int, tuple[Ballot, ...]]:
    """Close the seats that are still open where their item is about to be decided; returns the ballots as they stand.

    One of them may have been heard in this very moment: then its vote stands.
    """
    late = [(item_id, b.seat) for item_id, ballots in tables.items() for b in ballots if b.open]
    ids, seats = [item_id for item_id, _ in late], [seat for _, seat in late]
    connection.exec_driver_sql(_OUTRUN, (chunk_id, [HEDGED], ids, seats))
    closed: dict[int, list[Ballot]] = {item_id: [] for item_id in tables}
    for item_id, ballot in votes_of(connection, chunk_id):
        if item_id in closed:
            closed[item_id].append(ballot)
    return {item_id: tuple(ballots) for item_id, ballots in closed.items()}


def write_asks(
    connection: Connection, chunk: OpenChunk, plan: Plan, asks: Mapping[Ask, Sequence[int]], lease_s: float
) -> list[RungAsk]:
    """The next wave: one ask a seat, for all the items that want it."""
    rung = []
    for ask in sorted(asks, key=lambda a: (a.seat, a.tries)):
        seat = plan.seats[ask.seat]
        values: tuple[Any, ...] = (
            chunk.id, chunk.next_wave, ask.seat, seat.deployment, seat.provider, ask.tries, seat.pack,
            list(asks[ask]), lease_s,
        )  # fmt: skip
        ask_id = connection.exec_driver_sql(_ASK, values).scalar_one()
        rung.append(RungAsk(ask_id, chunk.id, seat.provider))
    return rung


def write_plan(connection: Connection, chunk_id: int, plan: Plan) -> None:
    connection.exec_driver_sql(
        "UPDATE chunks SET plan = %s::jsonb WHERE id = %s", (orjson.dumps(plan.to_json()).decode(), chunk_id)
    )


def park(connection: Connection, chunk_id: int, for_s: float) -> None:
    """Nothing can be asked now: look again after so many seconds."""
    connection.exec_driver_sql(
        "UPDATE chunks SET state = 'parked', wake_at = clock_timestamp() + %s * interval '1 second' WHERE id = %s",
        (for_s, chunk_id),
    )


def unpark(connection: Connection, chunk_id: int) -> None:
    connection.exec_driver_sql(
        "UPDATE chunks SET state = 'open', wake_at = NULL WHERE id = %s AND state = 'parked'", (chunk_id,)
    )


def finish_chunk(connection: Connection, chunk_id: int) -> None:
    connection.exec_driver_sql(
        "UPDATE chunks SET state = 'done', wake_at = NULL, done_at = clock_timestamp() WHERE id = %s", (chunk_id,)
    )


def finish_job(engine: Engine, job_id: str) -> bool:
    """Mark the job done if nothing of it is left in the yard or on a track; true if this call did it."""
    with engine.begin() as connection:
        done = connection.exec_driver_sql(
            "UPDATE jobs SET state = 'done', finished_at = clock_timestamp() "
            "WHERE id = %s AND state IN ('running', 'paused') "
            "AND NOT EXISTS (SELECT FROM items WHERE job_id = jobs.id AND state = 'ready') "
            "AND NOT EXISTS (SELECT FROM chunks WHERE job_id = jobs.id AND state <> 'done')",
            (job_id,),
        )
        return bool(done.rowcount)
