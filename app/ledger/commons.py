"""What a team's jobs may share: votes on the same question by the same prompt, cast already or on their way.

Two jobs share where their team and their ``question_hash`` are equal, items where their digests are. A job looks at
votes since its own beginning, or from before it as far as its ``reuse_votes_s`` goes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from app.core.commons import REUSED, Bought
from app.core.drills import DRILL, DRILL_SLOW
from app.core.injection import SUSPICIOUS
from app.core.plan import Seat
from app.core.trimming import TRIMMED


@dataclass(frozen=True, slots=True)
class Others:
    """The jobs that may matter to one: of its team, with its question, running or ended in its window."""

    job_id: str
    question: str
    since: dt.datetime
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """A vote of another job, on a ``seat`` of its own. ``pack``: how many items its call carried."""

    item_id: int
    seat: Seat
    pack: int
    answer: str
    flags: tuple[str, ...]
    attempt_id: int


_OTHERS = """
SELECT mine.team || '/' || mine.question_hash, mine.since, array_agg(o.id)
FROM (SELECT id, team, question_hash, created_at - coalesce(reuse_votes_s, 0) * interval '1 second' AS since
      FROM jobs WHERE id = %s AND dedupe) AS mine
JOIN jobs o ON o.team = mine.team AND o.question_hash = mine.question_hash AND o.id <> mine.id
WHERE o.finished_at IS NULL OR o.finished_at >= mine.since
GROUP BY 1, 2
"""

_TWIN = "i.digest = mine.digest AND i.job_id = ANY(%(others)s) AND i.chunk_id IS NOT NULL"

_ABOUT_TO_LEAVE = f"""
SELECT EXISTS (
    SELECT FROM (SELECT digest FROM items WHERE job_id = %(job)s AND state = 'ready' AND lane = %(lane)s
                 ORDER BY n LIMIT %(size)s) AS mine
    JOIN items i ON {_TWIN}
)
"""  # noqa: S608 - no value in it

_SHARED = f"""
SELECT DISTINCT mine.id FROM items mine JOIN items i ON {_TWIN} WHERE mine.id = ANY(%(items)s)
"""  # noqa: S608 - no value in it

# An answer to a question that was cut short, or one that tries to instruct, is no answer for others.
_CAST = f"""
SELECT mine.id, c.plan -> 'seats' -> v.seat,
       coalesce(cardinality(a.item_ids), 1), v.answer, v.flags, v.attempt_id
FROM items mine
JOIN items i ON {_TWIN}
JOIN votes v ON v.chunk_id = i.chunk_id AND v.item_id = i.id
JOIN attempts a ON a.id = v.attempt_id
JOIN chunks c ON c.id = v.chunk_id
WHERE mine.id = ANY(%(items)s) AND v.answer IS NOT NULL AND v.cast_at >= %(since)s AND NOT v.flags && %(spoiled)s
  AND a.state = 'answered' AND NOT a.late AND NOT coalesce(a.flags, '{{}}') && %(drills)s
ORDER BY mine.id, v.cast_at, v.attempt_id
"""  # noqa: S608 - no value in it

_ON_THEIR_WAY = f"""
SELECT mine.id, c.plan -> 'seats' -> k.seat, k.pack
FROM items mine
JOIN items i ON {_TWIN} AND i.state = 'planned'
JOIN asks k ON k.chunk_id = i.chunk_id AND k.state <> 'done' AND i.id = ANY(k.item_ids)
JOIN chunks c ON c.id = k.chunk_id
WHERE mine.id = ANY(%(items)s)
  AND NOT EXISTS (SELECT FROM votes v WHERE v.chunk_id = k.chunk_id AND v.item_id = i.id AND v.seat = k.seat)
"""  # noqa: S608 - no value in it

_WAITING = f"""
SELECT DISTINCT c.id FROM items mine JOIN items i ON {_TWIN} AND i.state = 'planned'
JOIN chunks c ON c.id = i.chunk_id AND c.state = 'parked'
WHERE mine.id = ANY(%(items)s)
"""  # noqa: S608 - no value in it

_SPOILED = [REUSED, TRIMMED, SUSPICIOUS]
_DRILLS = [DRILL, DRILL_SLOW]


def others(connection: Connection, job_id: str) -> Others | None:
    """None where no other job can matter, or the job wants every item asked anew."""
    row = connection.exec_driver_sql(_OTHERS, (job_id,)).first()
    return None if row is None else Others(job_id, row[0], row[1], tuple(row[2]))


def about_to_leave(connection: Connection, others: Others, lane: str, size: int) -> bool:
    """Is any of the items that would leave the yard next on the tracks of another job, or was it?"""
    values = {"job": others.job_id, "others": list(others.ids), "lane": lane, "size": size}
    return bool(connection.exec_driver_sql(_ABOUT_TO_LEAVE, values).scalar_one())


def shared(connection: Connection, others: Others, item_ids: Sequence[int]) -> list[int]:
    """Those of the items that another job has put on its tracks."""
    return list(connection.exec_driver_sql(_SHARED, _values(others, item_ids)).scalars())


def lock(connection: Connection, others: Others) -> None:
    """One at a time looks who asks what, and asks: to the end of the transaction. Taken after the chunk's lock."""
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (others.question,))


def cast(connection: Connection, others: Others, item_ids: Sequence[int]) -> list[Cast]:
    """The votes at hand, the earliest first."""
    values = {**_values(others, item_ids), "since": others.since, "spoiled": _SPOILED, "drills": _DRILLS}
    rows = connection.exec_driver_sql(_CAST, values)
    return [Cast(item, Seat(*seat), pack, answer, tuple(flags), at) for item, seat, pack, answer, flags, at in rows]


def on_their_way(connection: Connection, others: Others, item_ids: Sequence[int]) -> list[tuple[int, Seat, int]]:
    """(item, seat, pack) of every seat that another job has asked and that has not answered yet."""
    rows = connection.exec_driver_sql(_ON_THEIR_WAY, _values(others, item_ids))
    return [(item, Seat(*seat), pack) for item, seat, pack in rows]


def waiting(connection: Connection, others: Others, item_ids: Sequence[int]) -> tuple[int, ...]:
    """Parked chunks of the other jobs that hold one of these items."""
    return tuple(connection.exec_driver_sql(_WAITING, _values(others, item_ids)).scalars())


def take(connection: Connection, chunk_id: int, laid: Mapping[tuple[int, int], Bought]) -> None:
    """Write votes at hand down as votes of this chunk: (item, seat) → vote. They point to the attempts that were paid
    for."""
    columns = list(
        zip(
            *(
                (item_id, seat, bought.attempt_id, bought.answer, ",".join((*bought.flags, REUSED)))
                for (item_id, seat), bought in laid.items()
            ),
            strict=True,
        )
    )
    connection.exec_driver_sql(
        "INSERT INTO votes (chunk_id, item_id, seat, attempt_id, answer, tries, flags)"
        " SELECT %s, item_id, seat, attempt_id, answer, 0, string_to_array(flags, ',')"
        " FROM unnest(%s::bigint[], %s::smallint[], %s::bigint[], %s::text[], %s::text[])"
        " AS v (item_id, seat, attempt_id, answer, flags) ON CONFLICT DO NOTHING",
        (chunk_id, *(list(column) for column in columns)),
    )


def _values(others: Others, item_ids: Sequence[int]) -> dict[str, object]:
    return {"others": list(others.ids), "items": list(item_ids)}
