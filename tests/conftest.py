"""The real servers every test above the unit floor stands on.

One Postgres and one Redis a session: embedded, or those named by ``SWITCHYARD_TEST_DATABASE_URL`` and
``SWITCHYARD_TEST_REDIS_URL`` (which must be nobody else's: Redis databases are flushed). A missing server is an error.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import settings
from psycopg import sql
from sqlalchemy import make_url

from app.embedded import Embedded, Urls

# How long an example takes says more about the machine than about the code; speed is measured in ``bench``.
settings.register_profile("switchyard", deadline=None)
settings.load_profile("switchyard")

_ROOM_BYTES = 4_000_000_000
_FLOORS = ("unit", "system", "integration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick floor first; then the whole yards, which wait more than they compute, with the integration tests beside
    them. Everything in ``tests/system`` is marked so."""
    here = Path(__file__).parent

    def floor(item: pytest.Item) -> int:
        name = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return _FLOORS.index(name) if name in _FLOORS else len(_FLOORS)

    items.sort(key=floor)
    for item in items:
        if floor(item) == _FLOORS.index("system"):
            item.add_marker("system")


@pytest.fixture(scope="session")
def servers() -> Iterator[Urls]:
    """Where this session's Postgres and Redis are."""
    database = os.environ.get("SWITCHYARD_TEST_DATABASE_URL")
    cache = os.environ.get("SWITCHYARD_TEST_REDIS_URL")
    if database and cache:
        yield Urls(database, cache)
        return
    # Not pytest's tmp_path: its parents are closed to the user that root hands Postgres to.
    home = Path(tempfile.mkdtemp(prefix="switchyard-test-", dir=_in_memory()))
    home.chmod(0o711)
    try:
        with Embedded(home, postgres=not database, redis=not cache) as embedded:
            urls = embedded.start()
            yield Urls(database or urls.database_url, cache or urls.redis_url)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _in_memory() -> Path | None:
    """Where files are memory and there is enough of it: making and dropping a database a test is half as dear."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > _ROOM_BYTES else None


@pytest.fixture(scope="session")
def _redis_databases(servers: Urls) -> Iterator[int]:
    """Numbers in turn; 0 is left to whoever looks in by hand."""
    assert servers.redis_url is not None
    with redis.Redis.from_url(servers.redis_url) as client:
        count = int(client.config_get("databases")["databases"])
    return itertools.cycle(range(1, count))


@pytest.fixture
def redis_url(servers: Urls, _redis_databases: Iterator[int]) -> str:
    """The URL of an empty Redis database, this test's own."""
    assert servers.redis_url is not None
    url = make_url(servers.redis_url).set(database=str(next(_redis_databases)))
    own = url.render_as_string(hide_password=False)
    with redis.Redis.from_url(own) as client:
        client.flushdb()
    return own


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of this test's Redis database; replies are bytes."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def _admin(servers: Urls) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    assert servers.database_url is not None
    url = make_url(servers.database_url).set(drivername="postgresql", database="postgres")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def _template(servers: Urls, _admin: psycopg.Connection[tuple[object, ...]]) -> Iterator[str]:
    """The name of a database that has been through every migration, once a session."""
    from app.ledger.migrate import upgrade

    name = f"switchyard_test_{os.getpid()}"
    _admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        assert servers.database_url is not None
        upgrade(make_url(servers.database_url).set(database=name).render_as_string(hide_password=False))
        yield name
    finally:
        _drop(_admin, name)


_copies = itertools.count(1)


@pytest.fixture
def database_url(servers: Urls, _admin: psycopg.Connection[tuple[object, ...]], _template: str) -> Iterator[str]:
    """The URL of a migrated, empty database, this test's own; in SQLAlchemy's form. Dropped afterwards."""
    name = f"{_template}_{next(_copies)}"
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    _admin.execute(statement.format(sql.Identifier(name), sql.Identifier(_template)))
    try:
        assert servers.database_url is not None
        yield make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _drop(_admin, name)


def _drop(admin: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    # FORCE: a worker that the test killed may not have hung up yet.
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
