"""Finding the servers: by their URLs, else those of the yard that runs in the home."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.core.errors import ServiceMissing, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.core.outlook import Outlook
    from app.embedded.state import Urls
    from app.registry.fleet import FleetFile
    from app.settings import Settings
    from app.yard import Yard


def load() -> Settings:
    """The environment as it is; URLs may be missing. Raises ``UsageError``."""
    from app.settings import load_settings

    return load_settings()


def settings(*, database: bool = True, redis: bool = True) -> Settings:
    """The environment, with the embedded servers of the home where a URL is not set.

    A command that asks for Postgres alone finds the ledger of a yard that is down, too: see ``_at_rest``.
    Raises ``ServiceMissing`` where one of those asked for is neither set nor running.
    """
    found = load()
    if found.database_url is None or found.redis_url is None:
        found = _with_embedded(found)
    if database and not redis and found.database_url is None:
        found = _at_rest(found)
    if (database and found.database_url is None) or (redis and found.redis_url is None):
        raise ServiceMissing(
            "no yard is running here: start one with `switchyard up`",
            hint="or set SWITCHYARD_DATABASE_URL and SWITCHYARD_REDIS_URL to servers that run elsewhere",
        )
    return found


def _at_rest(found: Settings) -> Settings:
    """The ledger in the home of a yard that is down: its Postgres runs until this process ends."""
    from app.embedded import Embedded

    if not (found.home / "postgres").is_dir():
        return found
    return _with(found, Embedded(found.home, redis=False).start())


def _with_embedded(found: Settings) -> Settings:
    from app.embedded import Embedded

    urls = Embedded.find(found.home)
    return found if urls is None else _with(found, urls)


def _with(found: Settings, urls: Urls) -> Settings:
    given = {"database_url": urls.database_url, "redis_url": urls.redis_url}
    lacking = {name: url for name, url in given.items() if url is not None and getattr(found, name) is None}
    # Through the constructor, not model_copy: the URLs are to be checked and masked like any other.
    return type(found)(**{**{name: getattr(found, name) for name in type(found).model_fields}, **lacking})


@contextmanager
def engine(found: Settings) -> Iterator[Engine]:
    """The ledger for the length of a command, over one connection. Logs go to stderr: stdout is the answer's."""
    import logging

    from sqlalchemy import create_engine

    from app import logs

    logs.configure(logging.WARNING)
    if found.database_url is None:
        raise ServiceMissing("no Postgres", hint="set SWITCHYARD_DATABASE_URL, or run switchyard up")
    made = create_engine(
        found.database_url.get_secret_value(),
        pool_size=1,
        connect_args={"connect_timeout": int(found.connect_timeout_s), "application_name": "switchyard-cli"},
    )
    try:
        yield made
    finally:
        made.dispose()


@contextmanager
def ledger() -> Iterator[Engine]:
    """For a command that needs Postgres and nothing else."""
    with engine(settings(redis=False)) as made:
        yield made


@contextmanager
def yard() -> Iterator[Yard]:
    """All parts of the yard in this process, for commands that look at the fleet; logs go to stderr."""
    import logging

    from app import logs
    from app.yard import Yard

    found = settings()
    logs.configure(logging.WARNING)
    made = Yard(found)
    try:
        yield made
    finally:
        _close(made)


def _close(made: Yard) -> None:
    for name, close in (("wire", "close"), ("redis", "close"), ("engine", "dispose")):
        if name in vars(made):  # built when first wanted
            getattr(vars(made)[name], close)()


@contextmanager
def lookout(found: Settings, job_id: str) -> Iterator[Callable[[], Outlook | None]]:
    """Asks what a job waits for, as often as it is called; None where it moves, or where no yard runs that could tell.

    Looks at the fleet through connections of its own, since those who follow a job hold none of Redis.
    """
    from app.yard import Yard

    made = Yard(found)

    def look() -> Outlook | None:
        if found.redis_url is None or found.fleet is None:
            return None
        try:
            return made.lookout.of_job(job_id)
        except (ServiceMissing, UsageError):
            return None

    try:
        yield look
    finally:
        _close(made)


def fleet_file(found: Settings) -> FleetFile:
    """Raises ``UsageError`` where none is named."""
    from app.registry.fleet import FleetFile

    if found.fleet is None:
        raise UsageError("no fleet file", hint="set SWITCHYARD_FLEET, or copy fleet.example.toml to fleet.toml")
    return FleetFile(found.fleet)


def ring(found: Settings) -> None:
    """Ring dispatch for what was just put into the yard. A broker that is away is no harm: beat rings as well."""
    from kombu.exceptions import KombuError
    from kombu.exceptions import OperationalError as BrokerAway
    from redis.exceptions import RedisError

    from tasks import rings

    if found.redis_url is None:
        return
    try:
        rings.ring_from_outside(found)
    except (RedisError, BrokerAway, KombuError, OSError):
        return
