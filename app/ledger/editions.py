"""Editions in the ledger: opened once, made once, published once; one function a transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Engine

from app.ledger import locks
from app.newspaper.edition import Kind

_COLUMNS = (
    "id, paper, kind, date, run, state, settings, base, specimen, late, opened_at, deadline_at, gathered_at, made_at,"
    " published_at"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """One edition without its document."""

    id: int
    paper: str
    kind: Kind
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
    """Is any edition being made? In the words of the partial index, which is empty without a newspaper."""
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
    articles: Sequence[Mapping[str, Any]],
    reports: Sequence[Mapping[str, Any]],
    at: dt.datetime,
) -> bool:
    """What was gathered, all of it and once; False where somebody was first."""
    with engine.begin() as connection:
        first = connection.exec_driver_sql(
            "UPDATE editions SET gathered_at = %s WHERE id = %s AND gathered_at IS NULL", (at, edition_id)
        )
        if not first.rowcount:
            return False
        for n, body in enumerate(articles, 1):
            connection.exec_driver_sql("INSERT INTO edition_articles VALUES (%s, %s, %s)", (edition_id, n, _json(body)))
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


def finish(
    engine: Engine,
    edition_id: int,
    document: Mapping[str, Any],
    ran: Sequence[str],
    targets: Sequence[str],
    at: dt.datetime,
) -> bool:
    """Fix the edition for good, and say where it is to go; False where it is fixed already. ``ran``: the articles
    that it tells, by id."""
    with engine.begin() as connection:
        made = connection.exec_driver_sql(
            "UPDATE editions SET state = 'made', made_at = %s, document = %s WHERE id = %s AND state = 'open'",
            (at, _json(document), edition_id),
        )
        if not made.rowcount:
            return False
        for article in ran:
            connection.exec_driver_sql(
                "INSERT INTO printed_articles SELECT paper, %s, id FROM editions WHERE id = %s ON CONFLICT DO NOTHING",
                (article, edition_id),
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


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
