"""Where editions went, in the ledger: what is where, who is at it, and what is to be tried again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from app.ledger import locks
from app.ledger.editions import Opened
from app.ledger.states import EditionState

_PIECES = 4
# As much of a document as an index tells of an edition: years of them are read for every new one.
_LINES = """
SELECT (e.document - '{charts,figures}'::text[]) || jsonb_build_object(
           'colophon', jsonb_build_object('made_at', e.document #> '{colophon,made_at}'),
           'pages', coalesce((
               SELECT jsonb_agg(page || jsonb_build_object('pieces', coalesce((
                   SELECT jsonb_agg((piece - 'sentences') || '{"credits": []}' ORDER BY piece_n)
                   FROM jsonb_array_elements(page -> 'pieces') WITH ORDINALITY AS p (piece, piece_n)
                   WHERE piece_n <= %s), '[]')) ORDER BY page_n)
               FROM jsonb_array_elements(e.document -> 'pages') WITH ORDINALITY AS q (page, page_n)), '[]'))
FROM editions e WHERE e.id = ANY(%s) ORDER BY e.date DESC, e.kind
"""


@dataclass(frozen=True, slots=True)
class There:
    """An edition that a target has. ``place``: where the target was then."""

    id: int
    kind: str
    date: dt.date
    place: str


def there(engine: Engine, opened: Opened, target: str) -> list[There]:
    """Of the paper's other editions those that a target has taken, the newest date first, of each date the latest
    printing."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT DISTINCT ON (e.date, e.kind) e.id, e.kind, e.date, p.place"
            " FROM editions e JOIN publications p ON p.edition_id = e.id"
            " WHERE e.paper = %s AND e.id <> %s AND p.target = %s AND p.done_at IS NOT NULL"
            " ORDER BY e.date DESC, e.kind, e.run DESC",
            (opened.paper, opened.id, target),
        )
        return [There(*row) for row in rows]


def lines(engine: Engine, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Those editions' documents, the newest first, each without charts, figures, and all of the colophon but its
    moment, and of each page the first pieces, without their sentences and credits."""
    with engine.connect() as connection:
        rows = connection.execution_options(stream_results=True, max_row_buffer=20).exec_driver_sql(
            _LINES, (_PIECES, list(ids))
        )
        yield from (row[0] for row in rows)


def reprinted(engine: Engine, opened: Opened) -> bool:
    """Has a later printing of the same date been made?"""
    with engine.begin() as connection:
        return bool(
            connection.exec_driver_sql(
                "SELECT EXISTS (SELECT FROM editions WHERE paper = %s AND kind = %s AND date = %s AND run > %s"
                " AND document IS NOT NULL)",
                (opened.paper, opened.kind, opened.date, opened.run),
            ).scalar_one()
        )


def publishing(engine: Engine, paper: str) -> AbstractContextManager[bool]:
    """Is nobody else publishing an edition of this paper? Two at once would each make an index without the other. See
    ``locks``."""
    return locks.alone(engine, "publications", paper)


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
