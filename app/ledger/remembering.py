"""Answers from the ledger's memory, for jobs that take an earlier decision where nobody can be asked.

What is remembered becomes a vote like any other, on a seat of its own (``plan.CACHE``), so that the decision replays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection, Engine

from app.core.ballots import Ballot
from app.core.plan import CACHE, Plan, Seat
from app.ledger.yard import Waits

# The latest decision on the same question, asked in the same words for the same team, that was not itself a memory.
_REMEMBERED = """
SELECT DISTINCT ON (mine.id) mine.id, d.job_id, d.answer
FROM items mine
JOIN jobs j ON j.id = mine.job_id
JOIN jobs old ON old.team = j.team AND old.question_hash = j.question_hash
JOIN items i ON i.digest = mine.digest AND i.job_id = old.id AND i.id <> mine.id
JOIN decisions d ON d.item_id = i.id AND d.status = 'decided' AND NOT 'cached' = ANY (d.flags)
"""

_CLAIM = """
WITH picked AS (
    SELECT id FROM items WHERE id = ANY(%s) AND state = 'ready' FOR UPDATE SKIP LOCKED
), chunk AS (
    INSERT INTO chunks (job_id, plan, item_ids)
    SELECT %s, %s::jsonb, array_agg(id ORDER BY id) FROM picked HAVING count(*) > 0
    RETURNING id, item_ids
), marked AS (
    UPDATE items SET state = 'planned', chunk_id = chunk.id FROM chunk WHERE items.id = ANY(chunk.item_ids)
)
SELECT id, item_ids FROM chunk
"""


def remembered(connection: Connection, item_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Item id → (job, answer) of an earlier decision on the same question."""
    sql = _REMEMBERED + "WHERE mine.id = ANY(%s) ORDER BY mine.id, d.decided_at DESC"
    return {row[0]: (row[1], row[2]) for row in connection.exec_driver_sql(sql, (list(item_ids),))}


def seats_for(found: Mapping[int, tuple[str, str]], first: int) -> tuple[tuple[Seat, ...], dict[int, Ballot]]:
    """Seats to append to a plan of ``first`` seats, and the ballot of each item on them."""
    jobs = sorted({job_id for job_id, _ in found.values()})
    seat_of = {job_id: first + n for n, job_id in enumerate(jobs)}
    ballots = {
        item_id: Ballot(seat_of[job_id], answer, tries=0, flags=("cached",))
        for item_id, (job_id, answer) in found.items()
    }
    return tuple(Seat(f"cache/{job_id}", "cache", 0.0, CACHE) for job_id in jobs), ballots


def cast(connection: Connection, chunk_id: int, ballots: Mapping[int, Ballot]) -> None:
    """Write the ballots down as votes."""
    items = list(ballots)
    connection.exec_driver_sql(
        "INSERT INTO votes (chunk_id, item_id, seat, answer, tries, flags, reason)"
        " SELECT %s, item_id, seat, answer, 0, '{cached}', 'an earlier job decided the same question'"
        " FROM unnest(%s::bigint[], %s::smallint[], %s::text[]) AS v (item_id, seat, answer) ON CONFLICT DO NOTHING",
        (chunk_id, items, [ballots[i].seat for i in items], [ballots[i].answer for i in items]),
    )


def claim_remembered(engine: Engine, job: Waits, most: int = 1000) -> int | None:
    """Take items whose answer is remembered out of the yard, their votes cast: the chunk to settle, or None."""
    with engine.begin() as connection:
        sql = (
            _REMEMBERED + "WHERE mine.job_id = %s AND mine.state = 'ready' ORDER BY mine.id, d.decided_at DESC LIMIT %s"
        )
        found = {row[0]: (row[1], row[2]) for row in connection.exec_driver_sql(sql, (job.id, most))}
        seats, ballots = seats_for(found, 0)
        plan = orjson.dumps(Plan(job.recipe, seats).to_json()).decode()
        row = connection.exec_driver_sql(_CLAIM, (list(found), job.id, plan)).first() if found else None
        if row is None:
            return None
        chunk_id, item_ids = row
        cast(connection, chunk_id, {item_id: ballots[item_id] for item_id in item_ids})
        return int(chunk_id)
