"""Calls that carry several items: one row an attempt, ``item_ids`` in the order in which they share its cost.

What is asked of an item's calls has two forms: the plain one, and the one that looks through packs as well, for chunks
whose plan has any. So a job without packs pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection

from app.core.packing import Trial
from app.core.plan import Plan

# The calls of one item in one chunk: those for it alone, and its share of those that it took part in. The first items
# of a call pay what is over, as ``core.packing.share`` has it.
SHARED_CALLS = """
(
    SELECT seat, state, purpose, failure_kind, cost_micro, started_at, closed_at, false AS packed
    FROM attempts WHERE item_id = {item} AND chunk_id = {chunk}
    UNION ALL
    SELECT seat, state, purpose, failure_kind,
           cost_micro / cardinality(item_ids)
           + (array_position(item_ids, {item}) <= cost_micro %% cardinality(item_ids))::int,
           started_at, closed_at, true
    FROM attempts
    WHERE job_id = {job} AND chunk_id = {chunk} AND item_ids IS NOT NULL AND item_ids @> ARRAY[{item}]
) AS calls
"""

# As ``journal._OPEN``, and under the same lock: whoever holds the ask's lease opens its attempts, nobody else.
_OPEN = """
WITH held AS (SELECT FROM asks WHERE id = %s AND state = 'running' AND worker = %s FOR SHARE)
INSERT INTO attempts (job_id, chunk_id, item_ids, seat, try, purpose, provider, deployment,
                      input_price_micro, output_price_micro, key_ref, reserved_tokens)
SELECT %s, %s, items::bigint[], %s, number, %s, %s, %s, %s, %s, %s, reserved
FROM held, unnest(%s::text[], %s::smallint[], %s::integer[]) AS opening (items, number, reserved)
ON CONFLICT DO NOTHING
RETURNING id, item_ids[1]
"""

_SEEN = """
SELECT item_ids FROM attempts
WHERE job_id = %s AND chunk_id = %s AND item_ids IS NOT NULL AND seat <> %s AND state IN ('open', 'answered')
ORDER BY id
"""


def open_packs(
    connection: Connection, ask: Sequence[object], packs: Sequence[tuple[Sequence[int], int, int]]
) -> dict[int, int]:
    """Write calls of several items down. ``ask``: as ``journal._OPEN`` takes it; ``packs``: (items, number, tokens
    reserved). Returns first item → attempt; a pack that is missing has been called by somebody else."""
    written = ["{" + ",".join(map(str, items)) + "}" for items, _, _ in packs]
    values = (*ask, written, [number for _, number, _ in packs], [tokens for *_, tokens in packs])
    return {first: attempt for attempt, first in connection.exec_driver_sql(_OPEN, values).all()}


def surroundings(
    connection: Connection, job_id: str, chunk_id: int, seat: int
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """(the items of the chunk's first wave, the packs that other seats have seen or are being shown).

    Items whose votes were at hand when the chunk left the yard are not among them.
    """
    whole = connection.exec_driver_sql(
        "SELECT DISTINCT unnest(item_ids) FROM asks WHERE chunk_id = %s AND wave = 1", (chunk_id,)
    ).scalars()
    seen = connection.exec_driver_sql(_SEEN, (job_id, chunk_id, seat)).scalars()
    return tuple(whole), tuple(tuple(items) for items in seen)


@dataclass(frozen=True, slots=True)
class Running:
    """A trial: its plan, whether all of it has been heard, and who said what: (item, seat, answer, failure)."""

    plan: Plan
    over: bool
    votes: list[tuple[int, int, str | None, str | None]]


_TRIAL = """
SELECT c.id, c.plan, NOT EXISTS (SELECT FROM asks a WHERE a.chunk_id = c.id AND a.state <> 'done')
FROM jobs j JOIN chunks c ON c.id = (j.pack_trial ->> 'chunk')::bigint WHERE j.id = %s
"""


def trial_of(connection: Connection, job_id: str) -> Running | None:
    row = connection.exec_driver_sql(_TRIAL, (job_id,)).first()
    if row is None:
        return None
    chunk_id, plan, over = row
    votes = connection.exec_driver_sql(
        "SELECT item_id, seat, answer, failure_kind FROM votes WHERE chunk_id = %s", (chunk_id,)
    ).all()
    return Running(Plan.from_json(plan), over, [tuple(vote) for vote in votes])


def begin_trial(connection: Connection, job_id: str, chunk_id: int) -> None:
    connection.exec_driver_sql(
        "UPDATE jobs SET pack_trial = jsonb_build_object('chunk', %s::bigint) WHERE id = %s", (chunk_id, job_id)
    )


def write_trial(connection: Connection, job_id: str, trial: Trial) -> None:
    """What it showed, beside where it can be read."""
    connection.exec_driver_sql(
        "UPDATE jobs SET pack = %s, pack_trial = coalesce(pack_trial, '{}') || %s::jsonb WHERE id = %s",
        (trial.size, orjson.dumps(trial.to_json()).decode(), job_id),
    )
