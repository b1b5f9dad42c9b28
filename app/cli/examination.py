"""What ``switchyard doctor`` looks at. Every finding says what to do; none shows a key or a password."""

from __future__ import annotations

import datetime as dt
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from app.cli import servers
from app.cli.findings import Finding
from app.cli.press_examination import newspaper
from app.core.errors import SwitchyardError

if TYPE_CHECKING:
    from app.ledger.health import Health
    from app.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1", "")


def examine() -> list[Finding]:
    """All findings, services first. Raises ``UsageError`` where the environment itself cannot be read."""
    found = servers.settings(database=False, redis=False)
    looked = (_database, _redis, _broker, _fleet, newspaper, _alerts, _settings)
    return [finding for look in looked for finding in look(found)]


def _database(found: Settings) -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from app.ledger import health

    if found.database_url is None:
        yield Finding("postgres", "missing", "no URL, none running here", "switchyard up, or SWITCHYARD_DATABASE_URL")
        return
    try:
        with servers.engine(found) as engine:
            with engine.begin() as connection:
                version = connection.exec_driver_sql("SHOW server_version").scalar_one()
                migrated = connection.exec_driver_sql("SELECT to_regclass('health') IS NOT NULL").scalar_one()
                sync = connection.exec_driver_sql("SHOW fsync").scalar_one()
            known = health.current(engine) if migrated else {}
    except (SQLAlchemyError, ValueError) as error:
        yield Finding("postgres", "missing", f"does not answer ({type(error).__name__})", "check its URL and server")
        return
    yield Finding("postgres", "ok", f"version {version}")
    if sync != "on":
        yield Finding("postgres", "warn", "fsync is off", "turn it on: a crash may lose the ledger")
    if not migrated:
        yield Finding("ledger", "wrong", "no tables", "switchyard migrate")
    elif not known:
        yield Finding("health", "warn", "no deployment was ever checked", "start workers and beat (switchyard up)")
    else:
        yield from _health(found, known)


def _health(found: Settings, health: dict[str, Health]) -> Iterator[Finding]:
    latest = max(h.checked_at for h in health.values())
    age_s = (dt.datetime.now(dt.UTC) - latest).total_seconds()
    if age_s > 2 * found.health_every_s + 60:
        yield Finding("health", "warn", f"last checked {age_s / 60:.0f} minutes ago", "are workers and beat running?")
    for name, state in sorted(health.items()):
        if state.state != "healthy":
            yield Finding(f"health {name}", "warn", f"{state.state}: {state.reason or '?'}", "switchyard fleet check")


def _redis(found: Settings) -> Iterator[Finding]:
    import redis

    if found.redis_url is None:
        yield Finding("redis", "missing", "no URL, none running here", "switchyard up, or SWITCHYARD_REDIS_URL")
        return
    url = found.redis_url.get_secret_value()
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5) as client:
            server, memory = client.info("server"), client.info("memory")
    except (redis.RedisError, ValueError) as error:
        yield Finding("redis", "missing", f"does not answer ({type(error).__name__})", "check its URL and server")
        return
    yield Finding("redis", "ok", f"version {server['redis_version']}")
    if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
        yield Finding(
            "redis", "wrong", f"maxmemory-policy is {memory['maxmemory_policy']}",
            "set noeviction: a counter that is evicted opens a gate",
        )  # fmt: skip
    parts = urlsplit(url)
    if parts.scheme == "redis" and parts.hostname not in _LOOPBACK:
        state: Literal["warn", "wrong"] = "warn" if parts.password else "wrong"
        said = "reached without TLS" + ("" if parts.password else " and without a password")
        yield Finding("redis", state, said, "whoever can write to Redis can send tasks: rediss:// and a password")


def _broker(found: Settings) -> Iterator[Finding]:
    if found.broker_url is None:
        return  # it is the Redis above
    from kombu.connection import Connection

    connect: Any = Connection  # kombu carries no types
    try:
        with connect(found.broker_url.get_secret_value(), connect_timeout=5) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
        yield Finding("broker", "ok", found.broker_url.get_secret_value().partition("://")[0])
    except Exception as error:  # every transport has exceptions of its own
        yield Finding("broker", "missing", f"does not answer ({type(error).__name__})", "check SWITCHYARD_BROKER_URL")


def _fleet(found: Settings) -> Iterator[Finding]:
    from app.registry import secrets

    try:
        fleet = servers.fleet_file(found).current()
    except SwitchyardError as error:
        yield Finding("fleet", "wrong", str(error).splitlines()[0], error.hint or "")
        return
    families = len({d.family for d in fleet.deployments})
    yield Finding(
        "fleet", "ok", f"{len(fleet.providers)} providers, {len(fleet.deployments)} deployments, {families} families"
    )
    if families < 3:
        yield Finding("fleet", "warn", f"{families} model families", "a council of three needs three")
    for deployment in fleet.deployments:
        if deployment.price is None:
            yield Finding(
                f"price {deployment.name}", "warn", "unknown: its calls are of unknown cost, and no --max-cost job's",
                "state input_price and output_price beside its id (0 where it is free)",
            )  # fmt: skip
    without = secrets.missing(fleet.providers)
    # A fleet with some keys works without the others; with none it does nothing at all.
    state: Literal["warn", "wrong"] = "warn" if len(without) < len(fleet.providers) else "wrong"
    for name, advice in without.items():
        yield Finding(f"key {name}", state, "not set", advice)
    for row in fleet.providers:
        limits = [row, *row.models]
        if not row.local and all(r.rpm is None and r.tpm is None and r.concurrency is None for r in limits):
            yield Finding(f"limits {row.name}", "warn", "none named", "name rpm or tpm, or its 429s will do it")
        for path in row.api_key_file:
            if Path(path).exists() and _open_to_others(Path(path)):
                yield Finding(f"key {row.name}", "warn", "its file can be read by others", f"chmod 600 {path}")
        if row.name not in without and (absent := secrets.absent(row)):
            yield Finding(f"key {row.name}", "warn", f"{len(absent)} of {len(row.key_refs)} not set", "; ".join(absent))


def _alerts(found: Settings) -> Iterator[Finding]:
    from app.sinks.configured import configured

    sinks, amiss = configured(found)
    for said in amiss:
        yield Finding("alerts", "wrong", said, "set what is lacking, or unset the rest; then switchyard alerts test")
    yield Finding("alerts", "ok", "go to " + ", ".join(f"{sink.name} ({sink.where})" for sink in sinks))
    if found.allow_private_addresses:
        said = "SWITCHYARD_ALLOW_PRIVATE_ADDRESSES is on"
        yield Finding("alerts", "warn", said, "only where webhooks of an inner network are wanted")


def _settings(found: Settings) -> Iterator[Finding]:
    if found.flower_address not in _LOOPBACK:
        yield Finding(
            "flower", "warn", f"listens on {found.flower_address}", "keep it on loopback; it can stop workers"
        )
    if found.home.exists() and not os.access(found.home, os.W_OK):
        yield Finding("home", "wrong", f"{found.home} cannot be written", "set SWITCHYARD_HOME to a directory of yours")
    elif found.home.exists() and found.home.stat().st_mode & stat.S_IWOTH:
        yield Finding("home", "warn", f"{found.home} can be written by anybody", f"chmod o-w {found.home}")
    if found.drills:
        yield Finding("drills", "warn", "allowed: failures may be let loose", "unset SWITCHYARD_DRILLS when done")
    if found.gate_margin_s == 0:
        yield Finding("gates", "warn", "SWITCHYARD_GATE_MARGIN_S is 0", "clocks differ: leave a margin, or expect 429s")


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
