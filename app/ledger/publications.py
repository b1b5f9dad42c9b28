"""What publishing asks the ledger: what is where, and who is at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from app.ledger.editions import Opened

# As much of a document as an index tells of an edition: years of them are read for every new one.
_THERE = """
SELECT DISTINCT ON (e.date, e.kind)
       (e.document - '{charts,figures}'::text[])
       || jsonb_build_object('colophon', jsonb_build_object('made_at', e.document #> '{colophon,made_at}'))
FROM editions e JOIN publications p ON p.edition_id = e.id
WHERE e.paper = %s AND e.id <> %s AND p.target = %s AND p.place = %s AND p.done_at IS NOT NULL
ORDER BY e.date DESC, e.kind, e.run DESC LIMIT %s
"""


def there(engine: Engine, opened: Opened, target: str, place: str, most: int | None) -> Iterator[dict[str, Any]]:
    """Of the paper's other editions those that a target has at this place, the newest date first, of each date the
    latest printing: their documents without charts, figures, and all of the colophon but its moment."""
    with engine.connect() as connection:
        rows = connection.execution_options(stream_results=True, max_row_buffer=20).exec_driver_sql(
            _THERE, (opened.paper, opened.id, target, place, most)
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


@contextmanager
def publishing(engine: Engine, paper: str) -> Iterator[bool]:
    """Is nobody else publishing an edition of this paper? Held for the length of the block, and let go with the
    connection. Two editions at once would each make an index without the other."""
    with engine.connect() as connection:
        key = ("publications", paper)
        held = bool(
            connection.exec_driver_sql("SELECT pg_try_advisory_lock(hashtext(%s), hashtext(%s))", key).scalar_one()
        )
        connection.commit()
        try:
            yield held
        finally:
            if held:
                connection.exec_driver_sql("SELECT pg_advisory_unlock(hashtext(%s), hashtext(%s))", key)
                connection.commit()
