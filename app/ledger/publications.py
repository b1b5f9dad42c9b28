"""What publishing asks the ledger: what is where, and who is at it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from app.ledger import locks
from app.ledger.editions import Opened

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
