"""Editions in the ledger: opened once, made once, published once; one function a transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from app.ledger import locks
from app.ledger.states import EditionState

_COLUMNS = (
    "id, paper, kind, date, run, state, settings, base, specimen, late, opened_at, deadline_at, gathered_at, made_at,"
    " published_at"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """One edition without its document."""

    id: int
    paper: str
    kind: str
    date: dt.date
    run: int
    state: str
    settings: dict[str, Any]
    base: str
    specimen: bool
    late: bool
    opened_at: dt.datetime
    deadline_at: dt.datetime
    gathered_at: dt.datetime | None
    made_at: dt.datetime | None
    published_at: dt.datetime | None


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


def open_edition(
    engine: Engine,
    *,
    paper: str,
    kind: str,
    date: dt.date,
    run: int,
    settings: Mapping[str, Any],
    base: str,
    specimen: bool,
    late: bool,
    opened_at: dt.datetime,
    deadline_at: dt.datetime,
) -> int | None:
    """The new edition's id; None where it is there already, whoever opened it."""
    with engine.begin() as connection:
        found: int | None = connection.exec_driver_sql(
            "INSERT INTO editions (paper, kind, date, run, settings, base, specimen, late, opened_at, deadline_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT ON CONSTRAINT editions_once DO NOTHING"
            " RETURNING id",
            (paper, kind, date, run, _json(settings), base, specimen, late, opened_at, deadline_at),
        ).scalar()
        return found


def edition(engine: Engine, edition_id: int) -> Opened:
    with engine.begin() as connection:
        return Opened(
            *connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM editions WHERE id = %s", (edition_id,)).one()  # noqa: S608
        )


def of_date(engine: Engine, paper: str, kind: str, date: dt.date) -> list[Opened]:
    """That date's edition and its reprints, the first one first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT {_COLUMNS} FROM editions WHERE paper = %s AND kind = %s AND date = %s ORDER BY run",  # noqa: S608
            (paper, kind, date),
        )
        return [Opened(*row) for row in rows]


def unfinished(engine: Engine) -> list[Opened]:
    """Those that are not published yet, the one whose deadline is next first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT {_COLUMNS} FROM editions WHERE state <> 'published' ORDER BY deadline_at, id"  # noqa: S608
        )
        return [Opened(*row) for row in rows]


def latest(engine: Engine, most: int) -> list[Opened]:
    """Of all papers, the newest date first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT {_COLUMNS} FROM editions ORDER BY date DESC, id DESC LIMIT %s",  # noqa: S608
            (most,),
        )
        return [Opened(*row) for row in rows]


def making(engine: Engine) -> bool:
    """Is any edition being made?"""
    with engine.begin() as connection:
        return bool(
            connection.exec_driver_sql(
                "SELECT EXISTS (SELECT FROM editions WHERE state <> 'published' AND state = 'open')"
            ).scalar_one()
        )


def latest_dates(engine: Engine, paper: str) -> dict[str, dt.date]:
    """Kind → the latest date that has an edition."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT kind, max(date) FROM editions WHERE paper = %s GROUP BY kind", (paper,)
        )
        return {row[0]: row[1] for row in rows}


def alone(engine: Engine, edition_id: int) -> AbstractContextManager[bool]:
    """Is nobody else making this edition? See ``locks``."""
    return locks.alone(engine, "editions", str(edition_id))


def store_gathered(
    engine: Engine,
    edition_id: int,
    articles: Sequence[tuple[str, Mapping[str, Any]]],
    reports: Sequence[Mapping[str, Any]],
    at: dt.datetime,
) -> bool:
    """What was gathered, all of it and once; False where somebody was first. ``articles``: (id, body)."""
    with engine.begin() as connection:
        first = connection.exec_driver_sql(
            "UPDATE editions SET gathered_at = %s WHERE id = %s AND gathered_at IS NULL", (at, edition_id)
        )
        if not first.rowcount:
            return False
        for n, (article, body) in enumerate(articles, 1):
            connection.exec_driver_sql(
                "INSERT INTO edition_articles VALUES (%s, %s, %s, %s)", (edition_id, n, article, _json(body))
            )
        for n, report in enumerate(reports, 1):
            connection.exec_driver_sql("INSERT INTO edition_feeds VALUES (%s, %s, %s)", (edition_id, n, _json(report)))
        return True


def articles(engine: Engine, edition_id: int) -> list[dict[str, Any]]:
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT body FROM edition_articles WHERE edition_id = %s ORDER BY n", (edition_id,)
        )
        return [row[0] for row in rows]


def feeds(engine: Engine, edition_id: int) -> list[dict[str, Any]]:
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT report FROM edition_feeds WHERE edition_id = %s ORDER BY n", (edition_id,)
        )
        return [row[0] for row in rows]


def printed(engine: Engine, paper: str, found: Sequence[str], besides: dt.date | None = None) -> set[str]:
    """Which of these articles ran in an edition of the paper; those of ``besides`` (a reprint's own date) do not
    count."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT p.article FROM printed_articles p JOIN editions e ON e.id = p.edition_id"
            " WHERE p.paper = %s AND p.article = ANY(%s) AND (%s::date IS NULL OR e.date <> %s)",
            (paper, list(found), besides, besides),
        )
        return {row[0] for row in rows}


def begin_step(engine: Engine, edition_id: int, step: str, job_id: str, due_at: dt.datetime, at: dt.datetime) -> None:
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


def steps(engine: Engine, edition_id: int, now: dt.datetime) -> list[Step]:
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
                (closed_at, _json(answers), said, edition_id, name),
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


def finish(
    engine: Engine,
    edition_id: int,
    document: Mapping[str, Any],
    ran: Sequence[tuple[str, str]],
    targets: Sequence[str],
    at: dt.datetime,
) -> bool:
    """Fix the edition for good, and say where it is to go; False where it is fixed already. ``ran``: (id, URL) of the
    articles it tells."""
    with engine.begin() as connection:
        made = connection.exec_driver_sql(
            "UPDATE editions SET state = 'made', made_at = %s, document = %s WHERE id = %s AND state = 'open'",
            (at, _json(document), edition_id),
        )
        if not made.rowcount:
            return False
        for article, url in ran:
            connection.exec_driver_sql(
                "INSERT INTO printed_articles SELECT paper, %s, id, %s FROM editions WHERE id = %s"
                " ON CONFLICT DO NOTHING",
                (article, url, edition_id),
            )
        for target in targets:
            connection.exec_driver_sql(
                "INSERT INTO publications (edition_id, target, next_at) VALUES (%s, %s, %s)", (edition_id, target, at)
            )
        return True


def document(engine: Engine, edition_id: int) -> dict[str, Any] | None:
    with engine.begin() as connection:
        found: dict[str, Any] | None = connection.exec_driver_sql(
            "SELECT document FROM editions WHERE id = %s", (edition_id,)
        ).scalar()
        return found


def documents(
    engine: Engine, paper: str, kind: str | None = None, since: dt.date | None = None, until: dt.date | None = None
) -> Iterator[dict[str, Any]]:
    """Of each date's latest printing, the newest date first. ``since`` and ``until`` are both included."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT DISTINCT ON (date, kind) document FROM editions WHERE paper = %s AND document IS NOT NULL"
            " AND (%s::text IS NULL OR kind = %s) AND (%s::date IS NULL OR date >= %s)"
            " AND (%s::date IS NULL OR date <= %s) ORDER BY date DESC, kind, run DESC",
            (paper, kind, kind, since, since, until, until),
        ).all()
    yield from (row[0] for row in rows)


def publish_state(engine: Engine, edition_id: int) -> list[tuple[str, int, str | None, bool, bool]]:
    """(target, tries, what was said last, given up, done) of each target, the first named first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT target, tries, said, given_up, done_at IS NOT NULL FROM publications WHERE edition_id = %s"
            " ORDER BY target",
            (edition_id,),
        )
        return [tuple(row) for row in rows]


def targets_due(engine: Engine, edition_id: int, now: dt.datetime) -> list[tuple[str, int]]:
    """(target, tries so far) of those that wait for their next try."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT target, tries FROM publications WHERE edition_id = %s AND done_at IS NULL AND NOT given_up"
            " AND next_at <= %s ORDER BY target",
            (edition_id, now),
        )
        return [(row[0], row[1]) for row in rows]


def published(engine: Engine, edition_id: int, target: str, place: str, at: dt.datetime) -> None:
    """A target has it, at ``place``. With the last one the edition is published."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE publications SET done_at = %s, tries = tries + 1, said = NULL, place = %s"
            " WHERE edition_id = %s AND target = %s AND done_at IS NULL",
            (at, place, edition_id, target),
        )
        _close(connection, edition_id, at)


def unpublished(
    engine: Engine, edition_id: int, target: str, said: str, next_at: dt.datetime | None, at: dt.datetime
) -> None:
    """A target did not take it. ``next_at`` None: it is given up."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE publications SET tries = tries + 1, said = %s, given_up = %s, next_at = coalesce(%s, next_at)"
            " WHERE edition_id = %s AND target = %s",
            (said, next_at is None, next_at, edition_id, target),
        )
        _close(connection, edition_id, at)


def _close(connection: Connection, edition_id: int, at: dt.datetime) -> None:
    connection.exec_driver_sql(
        "UPDATE editions SET state = %s, published_at = %s WHERE id = %s AND state = %s AND NOT EXISTS"
        " (SELECT FROM publications WHERE edition_id = %s AND done_at IS NULL AND NOT given_up)",
        (EditionState.PUBLISHED.value, at, edition_id, EditionState.MADE.value, edition_id),
    )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
