"""Items that ask the same as one before them in their job: pointed out at the door, and decided with that one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from app.core.errors import InputError
from app.core.sameness import DUPLICATE, SIMILAR
from app.core.similarity import MOST_CHARS, MOST_ITEMS, Alike

_BATCH = 1_000

# Lanes differ where deployments may: an item that must stay in the house is not answered by one that went out.
_POINT_IDENTICAL = """
UPDATE items SET state = 'double', same_as = doubles.first
FROM (SELECT id, min(id) OVER (PARTITION BY digest, lane) AS first FROM items WHERE job_id = %s) AS doubles
WHERE items.id = doubles.id AND doubles.first <> doubles.id
"""

_POINT_SIMILAR = """
UPDATE items SET state = 'double', same_as = pairs.first, similarity = pairs.similarity
FROM unnest(%s::bigint[], %s::bigint[], %s::real[]) AS pairs (id, first, similarity) WHERE items.id = pairs.id
"""

_FLAG = f"CASE WHEN similarity IS NULL THEN '{DUPLICATE}' ELSE '{SIMILAR}' END"

_DECIDE = f"""
WITH doubles AS (
    UPDATE items SET state = 'decided' WHERE same_as = ANY(%s) AND state = 'double' RETURNING id, same_as, similarity
)
INSERT INTO decisions (item_id, job_id, chunk_id, status, answer, agreement, confidence, votes, abstentions,
                       flags, reason, ballots, calls, cost_micro, latency_ms)
SELECT doubles.id, d.job_id, d.chunk_id, d.status, d.answer, d.agreement, d.confidence, d.votes, d.abstentions,
       d.flags || {_FLAG}, d.reason, d.ballots, 0, 0, d.latency_ms
FROM doubles JOIN decisions d ON d.item_id = doubles.same_as
ON CONFLICT DO NOTHING
"""  # noqa: S608 - no value in it

_GIVE_UP = """
WITH gone AS (
    UPDATE items i SET state = 'decided' FROM jobs j WHERE i.job_id = j.id AND i.state = 'ready' AND {which}
    RETURNING i.id, i.job_id
), doubles AS (
    UPDATE items SET state = 'decided' FROM gone WHERE items.same_as = gone.id AND items.state = 'double'
    RETURNING items.id, items.job_id, items.similarity
), out AS (
    SELECT id, job_id, '{{}}'::text[] AS flags FROM gone UNION ALL SELECT id, job_id, ARRAY[{flag}] FROM doubles
)
INSERT INTO decisions (item_id, job_id, status, votes, abstentions, calls, cost_micro, latency_ms, flags, reason,
                       ballots)
SELECT id, job_id, 'undecided', 0, 0, 0, 0, 0, flags, %s, '[]' FROM out
"""


def point_identical(connection: Connection, job_id: str) -> int:
    """Let items of equal digest and lane point to the first of them; returns how many do."""
    return connection.exec_driver_sql(_POINT_IDENTICAL, (job_id,)).rowcount


def point_similar(connection: Connection, job_id: str, least: float) -> int:
    """Let items at least so alike (Jaccard's index of their shingles) point to the first; returns how many do.

    Chats are left alone. Raises ``InputError`` for a job that is too large to hold in memory.
    """
    items, chars = connection.exec_driver_sql(
        "SELECT count(*), coalesce(sum(length(text)), 0) FROM items"
        " WHERE job_id = %s AND state = 'ready' AND turns IS NULL",
        (job_id,),
    ).one()
    if items > MOST_ITEMS or chars > MOST_CHARS:
        raise InputError(
            f"--similar takes up to {MOST_ITEMS:,} different items of {MOST_CHARS:,} characters in all;"
            f" these are {items:,} of {chars:,}",
            hint="submit the file in parts, or leave --similar out: identical items are asked once in any case",
        )
    rows = connection.exec_driver_sql(
        "SELECT id, lane, text FROM items WHERE job_id = %s AND state = 'ready' AND turns IS NULL ORDER BY id",
        (job_id,),
        execution_options={"stream_results": True, "yield_per": _BATCH},
    )
    alike: dict[str, Alike] = {}
    pairs = [
        (item_id, *found)
        for item_id, lane, text in rows
        if (found := alike.setdefault(lane, Alike(least)).first_like(item_id, text)) is not None
    ]
    for at in range(0, len(pairs), _BATCH):
        columns = zip(*pairs[at : at + _BATCH], strict=True)
        connection.exec_driver_sql(_POINT_SIMILAR, tuple(list(column) for column in columns))
    return len(pairs)


def decide(connection: Connection, firsts: Sequence[int]) -> None:
    """Write the decisions of items whose first has just got its own: the same one, with a flag, at no cost."""
    connection.exec_driver_sql(_DECIDE, (list(firsts),))


def give_up(connection: Connection, reason: str, which: str, values: tuple[object, ...] = ()) -> None:
    """Items that never left the yard become undecided, their doubles with them. ``which``: condition on jobs ``j``."""
    connection.exec_driver_sql(_GIVE_UP.format(which=which, flag=_FLAG), (*values, reason))
