"""Why an item got its answer, and what a replay needs: plans, ballots, votes and decisions as they were written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from app.core import selection
from app.core.ballots import Ballot, Status, Verdict
from app.core.errors import NotFound
from app.core.plan import Plan
from app.core.routing import Lane, Routing
from app.core.sameness import DUPLICATE, SIMILAR
from app.ledger.reports import no_job
from app.ledger.traits import traits_of

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision. ``plan`` is None where the item never left the yard. ``seen``: the ballots stored with it;
    ``kept``: those the votes table holds now. Of an item that asks the same as one before it they are that one's, which
    has paid for them."""

    custom_id: str
    gold: str | None
    plan: Plan | None
    seen: tuple[Ballot, ...]
    kept: tuple[Ballot, ...]
    verdict: Verdict


# A plan is sent once a chunk, with its first row.
_DECIDED = """
SELECT i.custom_id, t.truth, d.chunk_id,
       CASE WHEN row_number() OVER (PARTITION BY d.chunk_id ORDER BY i.n) = 1 THEN c.plan END,
       d.status, d.answer, d.agreement, d.confidence, d.votes, d.abstentions, d.flags, d.reason, d.ballots,
       (SELECT jsonb_agg(jsonb_build_array(v.seat, v.answer, v.failure_kind, v.tries, v.flags, v.needs) ORDER BY v.seat)
        FROM votes v WHERE v.chunk_id = d.chunk_id AND v.item_id = coalesce(i.same_as, i.id)),
       i.same_as IS NOT NULL
FROM decisions d JOIN items i ON i.id = d.item_id LEFT JOIN chunks c ON c.id = d.chunk_id
LEFT JOIN v_truths t ON t.item_id = i.id
WHERE d.job_id = %s ORDER BY d.chunk_id, i.n
"""


def decided(engine: Engine, job_id: str) -> Iterator[Decided]:
    """Every decision of a job, a chunk after the other. Raises ``NotFound``."""
    with engine.begin() as connection:
        if connection.exec_driver_sql("SELECT FROM jobs WHERE id = %s", (job_id,)).first() is None:
            raise no_job(job_id)
        streaming = connection.execution_options(stream_results=True, yield_per=_BATCH)
        chunk: tuple[int | None, Plan | None] = (None, None)
        for row in streaming.exec_driver_sql(_DECIDED, (job_id,)):
            custom_id, gold, chunk_id, plan, status, answer, agreement, confidence, votes, abstentions = row[:10]
            flags, reason, ballots, kept, double = row[10:]
            if double:
                flags = [flag for flag in flags if flag not in (DUPLICATE, SIMILAR)]
            if chunk_id is not None and chunk_id != chunk[0]:
                chunk = (chunk_id, Plan.from_json(plan) if plan is not None else None)
            plan_of = chunk[1] if chunk_id is not None else None
            yield Decided(
                custom_id,
                gold,
                plan_of,
                tuple(Ballot.from_json(b) for b in ballots),
                tuple(b for b in map(Ballot.from_json, kept or ()) if plan_of is None or plan_of.heard(b.seat)),
                Verdict(Status(status), answer, agreement, confidence, votes, abstentions, tuple(flags), reason),
            )


_ITEM = """
SELECT i.id, i.n, i.custom_id, i.text, i.gold, i.state, coalesce(f.chunk_id, i.chunk_id) AS chunk_id, j.recipe, j.tier,
       j.task, j.pack, j.pack_trial, coalesce(f.id, i.id) AS asked, f.custom_id AS first, i.similarity,
       i.lane, i.traits, j.routing, j.max_cost_micro,
       extract(epoch FROM j.deadline_at - j.created_at)::float8 AS deadline_s
FROM items i JOIN jobs j ON j.id = i.job_id LEFT JOIN items f ON f.id = i.same_as
WHERE i.job_id = %s AND i.custom_id = %s
"""

_CHUNKS = """
SELECT c.id, c.state, c.plan, c.created_at, c.done_at FROM chunks c
WHERE c.id IN (SELECT chunk_id FROM attempts WHERE item_id = %(item)s AND chunk_id IS NOT NULL
               UNION SELECT chunk_id FROM items WHERE id = %(item)s
               UNION SELECT (decision ->> 'chunk_id')::bigint FROM withdrawn_decisions WHERE item_id = %(item)s)
ORDER BY c.id
"""

_WAVES = """
SELECT chunk_id, wave, seat, deployment, state, tries, rings, takes, created_at, done_at FROM asks
WHERE chunk_id = ANY(%s) AND %s = ANY(item_ids) ORDER BY chunk_id, wave, seat, id
"""

_ATTEMPTS = """
SELECT id, chunk_id, seat, try, purpose, deployment, state AS outcome, status, failure_kind, latency_ms,
       input_tokens + cached_tokens AS input_tokens, output_tokens + reasoning_tokens AS output_tokens,
       cost_micro / 1e6::float8 AS cost_usd, text, coalesce(flags, '{}') AS flags, late, started_at, closed_at,
       (SELECT array_agg(i.custom_id ORDER BY at) FROM unnest(a.item_ids) WITH ORDINALITY AS carried (id, at)
        JOIN items i ON i.id = carried.id) AS items,
       (cost_micro / cardinality(item_ids)
        + (array_position(item_ids, %(item)s) <= cost_micro %% cardinality(item_ids))::int) / 1e6::float8 AS share_usd
FROM attempts a
WHERE item_id = %(item)s
   OR id IN (SELECT p.id FROM attempts p WHERE p.job_id = %(job)s AND p.chunk_id = ANY(%(chunks)s)
             AND p.item_ids IS NOT NULL AND p.item_ids @> ARRAY[%(item)s::bigint])
ORDER BY id
"""

_VOTES = """
SELECT v.chunk_id, v.seat, v.attempt_id, v.answer, v.failure_kind, v.tries, v.flags, v.reason, v.cast_at,
       CASE WHEN a.id IS NOT NULL THEN jsonb_build_object(
           'job', a.job_id, 'at', a.closed_at,
           'cost_usd', a.cost_micro / coalesce(cardinality(a.item_ids), 1) / 1e6::float8) END AS reused
FROM votes v LEFT JOIN attempts a ON a.id = v.attempt_id AND 'reused' = ANY(v.flags)
WHERE v.chunk_id = ANY(%s) AND v.item_id = %s ORDER BY v.chunk_id, v.seat
"""

_DECISION = """
SELECT decisions.chunk_id, status, answer, agreement, confidence, votes, abstentions, calls,
       cost_micro / 1e6::float8 AS cost_usd, latency_ms,
       flags || CASE WHEN i.lane LIKE 'private%%' THEN '{private}' ELSE '{}' END::text[]
             || CASE WHEN cost_micro IS NULL THEN '{unpriced}' ELSE '{}' END::text[] AS flags, reason,
       ballots, decided_at
FROM decisions JOIN items i ON i.id = item_id WHERE item_id = %s
"""


def explain(engine: Engine, job_id: str, custom_id: str) -> dict[str, Any]:
    """One item's whole story: text, plans, waves, attempts, votes, decision, and decisions a retry has withdrawn.

    ``plan`` is that of its latest chunk, None while it waits in the yard. An item that asks the same as one before it
    (``same_as``) tells that one's story, and its own decision. Raises ``NotFound``.
    """
    with engine.begin() as connection:
        item = connection.exec_driver_sql(_ITEM, (job_id, custom_id)).first()
        if item is None:
            raise no_item(connection, job_id, custom_id)
        chunks = _rows(connection, _CHUNKS, {"item": item.asked})
        ids = [chunk["id"] for chunk in chunks]
        waves = _rows(connection, _WAVES, (ids, item.asked))
        attempts = _rows(connection, _ATTEMPTS, {"item": item.asked, "job": job_id, "chunks": ids})
        votes = _rows(connection, _VOTES, (ids, item.asked))
        decision = _rows(connection, _DECISION, (item.id,))
        withdrawn = _rows(
            connection,
            "SELECT decision, withdrawn_at FROM withdrawn_decisions WHERE item_id = %s ORDER BY withdrawn_at",
            (item.id,),
        )
    plans = {chunk["id"]: chunk["plan"] for chunk in chunks}
    for row in (*waves, *votes):
        seats = plans[row["chunk_id"]]["seats"]
        row["deployment"], row["role"] = seats[row["seat"]][0], seats[row["seat"]][3]
    return {
        "job": job_id,
        "custom_id": item.custom_id,
        "n": item.n,
        "text": item.text,
        "gold": item.gold,
        "same_as": None if item.first is None else {"custom_id": item.first, "similarity": item.similarity},
        "state": item.state,
        "tier": item.tier,
        "recipe": item.recipe,
        "pack": item.pack,
        "pack_trial": item.pack_trial,
        "task": item.task,
        "chosen": _chosen(Routing.from_json(item.routing), Lane.parse(item.lane)),
        "lane": item.lane,
        "traits": traits_of(dict(item._mapping), item.traits),
        "plan": _plan(plans.get(item.chunk_id)),
        "chunks": [{**chunk, "plan": _plan(chunk["plan"])} for chunk in chunks],
        "waves": waves,
        "attempts": attempts,
        "votes": votes,
        "decision": decision[0] if decision else None,
        "withdrawn": withdrawn,
    }


def _chosen(routing: Routing, lane: Lane) -> dict[str, Any]:
    """On what terms its seats were chosen. ``graded``: the score decided who came first; else it only broke ties."""
    weights = zip(("quality", "cost", "latency"), selection.weights(routing, lane), strict=True)
    return {
        "lane": str(lane),
        "wishes": {name: list(wish) if isinstance(wish, tuple) else wish for name, wish in routing.to_json().items()},
        "weights": {name: round(weight, 3) for name, weight in weights},
        "graded": selection.graded(routing, lane),
    }


def _plan(plan: dict[str, Any] | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    # What stands at the end was not always written down.
    names = ("deployment", "family", "quality", "role", "window", "latency_ms", "rung", "pack")
    return {**plan, "seats": [dict(zip(names, seat, strict=False)) for seat in plan["seats"]]}


def _rows(connection: Connection, sql: str, values: Any) -> list[dict[str, Any]]:
    found = connection.exec_driver_sql(sql, values).mappings()
    return [{k: v.isoformat() if isinstance(v, dt.datetime) else v for k, v in row.items()} for row in found]


def no_item(connection: Connection, job_id: str, custom_id: str) -> NotFound:
    if connection.exec_driver_sql("SELECT FROM jobs WHERE id = %s", (job_id,)).first() is None:
        return no_job(job_id)
    some = connection.exec_driver_sql("SELECT custom_id FROM items WHERE job_id = %s ORDER BY n LIMIT 3", (job_id,))
    return NotFound(
        f"job {job_id} has no item {custom_id[:100]!r}",
        hint=f"its first are {', '.join(repr(c) for c in some.scalars())}",
    )
