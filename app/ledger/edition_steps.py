"""The steps of an edition in the ledger: begun or passed over, and closed once, with what was said until then."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine


@dataclass(frozen=True, slots=True)
class Step:
    """One step's job and what is known of it. ``answers``: custom id → text, reason, by, flags (``core`` of a
    decision); items without a decision are not in it. ``texts``: the job's items as they were put.

    ``closed_at``: from then on nothing changes any more. ``job_id`` None: it was passed over.
    """

    name: str
    job_id: str | None
    due_at: dt.datetime
    begun_at: dt.datetime
    closed_at: dt.datetime | None
    said: str
    finished: bool
    answers: dict[str, dict[str, Any]]
    texts: dict[str, str]


def begin(engine: Engine, edition_id: int, step: str, job_id: str, due_at: dt.datetime, at: dt.datetime) -> None:
    """Doubled, it says the same: a step's job has an idempotency key."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO edition_steps (edition_id, step, job_id, due_at, begun_at) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (edition_id, step, job_id, due_at, at),
        )


def pass_over(engine: Engine, edition_id: int, step: str, due_at: dt.datetime, at: dt.datetime, said: str) -> None:
    """The step is not done; the making goes on without it."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO edition_steps (edition_id, step, due_at, begun_at, closed_at, answers, said)"
            " VALUES (%s, %s, %s, %s, %s, '{}', %s) ON CONFLICT DO NOTHING",
            (edition_id, step, due_at, at, at, said),
        )


def job_of_key(engine: Engine, team: str, key: str, items: Sequence[str]) -> str | None:
    """The job that was submitted under an idempotency key; None where it is of other items (custom ids)."""
    with engine.begin() as connection:
        found: str | None = connection.exec_driver_sql(
            "SELECT id FROM jobs j WHERE team = %s AND idempotency_key = %s"
            " AND ARRAY(SELECT custom_id FROM items i WHERE i.job_id = j.id ORDER BY i.n) = %s::text[]",
            (team, key, list(items)),
        ).scalar()
        return found


# A label rests on the voices that said it; a text on whoever wrote it.
_ANSWERS = """
SELECT i.custom_id, i.text, d.status, d.answer, d.reason, d.flags,
       coalesce((SELECT array_agg(DISTINCT a.deployment) FROM votes v JOIN attempts a ON a.id = v.attempt_id
                 WHERE v.chunk_id = d.chunk_id AND v.item_id = d.item_id AND v.answer = d.answer), '{}')
FROM items i LEFT JOIN decisions d ON d.item_id = i.id
WHERE i.job_id = %s ORDER BY i.n
"""


def heard(engine: Engine, edition_id: int, now: dt.datetime) -> list[Step]:
    """Every step with what was heard of it, in the order in which they were begun. One that is finished, or whose due
    moment has come, is closed in the same transaction: what it says is what it will always have said."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT s.step, s.job_id, s.due_at, s.begun_at, s.closed_at, s.said, s.answers,"
            " coalesce(j.state IN ('done', 'cancelled'), true)"
            " FROM edition_steps s LEFT JOIN jobs j ON j.id = s.job_id WHERE s.edition_id = %s"
            " ORDER BY s.begun_at, s.step FOR UPDATE OF s",
            (edition_id,),
        ).all()
        return [_step(connection, edition_id, now, *row) for row in rows]


def _step(
    connection: Connection,
    edition_id: int,
    now: dt.datetime,
    name: str,
    job_id: str | None,
    due_at: dt.datetime,
    begun_at: dt.datetime,
    closed_at: dt.datetime | None,
    said: str,
    answers: dict[str, Any] | None,
    finished: bool,
) -> Step:
    rows = connection.exec_driver_sql(_ANSWERS, (job_id,)).all() if job_id is not None else []
    texts = {row[0]: row[1] for row in rows}
    if answers is None:
        answers = {
            custom_id: {
                "text": answer if status == "decided" else None,
                "reason": reason or "",
                "by": sorted(by),
                "flags": list(flags or ()),
            }
            for custom_id, _, status, answer, reason, flags, by in rows
            if status is not None
        }
        if finished or now >= due_at:
            closed_at, said = now, "in time" if finished else "at its deadline"
            connection.exec_driver_sql(
                "UPDATE edition_steps SET closed_at = %s, answers = %s, said = %s WHERE edition_id = %s AND step = %s"
                " AND closed_at IS NULL",
                (closed_at, orjson.dumps(answers).decode(), said, edition_id, name),
            )
    return Step(name, job_id, due_at, begun_at, closed_at, said, closed_at is not None, answers, texts)


def latest_moment(engine: Engine, edition_id: int) -> dt.datetime | None:
    """The latest at which something was decided of its steps."""
    with engine.begin() as connection:
        found: dt.datetime | None = connection.exec_driver_sql(
            "SELECT max(greatest(begun_at, closed_at)) FROM edition_steps WHERE edition_id = %s", (edition_id,)
        ).scalar()
        return found


def open_jobs(engine: Engine, edition_id: int) -> list[str]:
    """Jobs of its steps that still run."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT j.id FROM edition_steps s JOIN jobs j ON j.id = s.job_id"
            " WHERE s.edition_id = %s AND j.state IN ('running', 'paused')",
            (edition_id,),
        )
        return [row[0] for row in rows]


def committed_micro(engine: Engine, edition_id: int) -> int:
    """What the edition's steps have cost, as far as it is known, and what those that still run may cost at most."""
    with engine.begin() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT coalesce(sum(CASE WHEN j.state IN ('done', 'cancelled') THEN"
                " (SELECT coalesce(sum(a.cost_micro), 0) FROM attempts a WHERE a.job_id = j.id)"
                " ELSE j.max_cost_micro END), 0) FROM edition_steps s JOIN jobs j ON j.id = s.job_id"
                " WHERE s.edition_id = %s",
                (edition_id,),
            ).scalar_one()
        )
