"""The last good answer of each address that is gathered from; one function a transaction.

A page's text is kept under ``page`` and its address: an entry that links to another feed must not write over what that
feed said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import Engine

PAGE = "page "


@dataclass(frozen=True, slots=True)
class FeedAnswer:
    """``etag`` and ``last_modified``: to be sent back as they were. ``headers``: those that say how to read the body.
    ``checked_at``: when it was last known to be what the address says."""

    url: str
    etag: str | None
    last_modified: str | None
    headers: dict[str, str]
    body: bytes
    fetched_at: dt.datetime
    checked_at: dt.datetime


def get(engine: Engine, url: str) -> FeedAnswer | None:
    with engine.begin() as connection:
        row = connection.exec_driver_sql(
            "SELECT url, etag, last_modified, headers, body, fetched_at, checked_at FROM feed_answers WHERE url = %s",
            (url,),
        ).first()
        return None if row is None else FeedAnswer(*row)


def put(
    engine: Engine,
    url: str,
    *,
    etag: str | None,
    last_modified: str | None,
    headers: Mapping[str, str],
    body: bytes,
    at: dt.datetime,
) -> None:
    """An older one is written over."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO feed_answers (url, etag, last_modified, headers, body, fetched_at, checked_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (url) DO UPDATE SET etag = excluded.etag,"
            " last_modified = excluded.last_modified, headers = excluded.headers, body = excluded.body,"
            " fetched_at = excluded.fetched_at, checked_at = excluded.checked_at",
            (url, etag, last_modified, orjson.dumps(dict(headers)).decode(), body, at, at),
        )


def touch(engine: Engine, url: str, at: dt.datetime) -> None:
    """It still says what it said."""
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE feed_answers SET checked_at = %s WHERE url = %s", (at, url))


def forget_pages(engine: Engine, before: dt.datetime) -> int:
    """Pages that were last read before then; how many they were. Feeds stay: a paper has few."""
    with engine.begin() as connection:
        return connection.exec_driver_sql(
            "DELETE FROM feed_answers WHERE starts_with(url, %s) AND checked_at < %s", (PAGE, before)
        ).rowcount
