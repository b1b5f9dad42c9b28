"""Running a worker or a beat in this very process, with the settings given: no environment, no command line."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from celery.signals import worker_ready

from app.registry.fleet import Fleet
from app.registry.rows import ProviderRow
from app.services.fleetview import MOST_ASKS
from app.settings import Settings
from tasks import bells, press
from tasks.app import CONTROL, FOREIGN, LEDGER, PRESS, app, connect, provider_queue
from tasks.process import process

# Celery's own limit is accurate up to about one message a second and far too slow above.
_FUSE_UP_TO_RPM = 60
_THREADS_ALONE = 8
_THREADS_SHARED = 24
_CONTROL_THREADS = 4
_PRESS_THREADS = 2


def serve_providers(settings: Settings, fleet: Fleet, names: Sequence[str], on_ready: Any = None) -> int:
    """Consume the queues of these providers until told to stop; returns the exit code.

    Alone, a provider's worker carries Celery's rate limit as an outer fuse. Where several share a process there are
    far more threads than one of them can have asks on its track: however long it holds those, the others have theirs.
    """
    rows = [fleet.provider(name) for name in names]
    for row in rows:
        app.amqp.queues.add(provider_queue(row.name))
        bells.register_ask(row.name, _fuse(row) if len(rows) == 1 else None)
    threads = _threads(rows[0]) if len(rows) == 1 else max(_THREADS_SHARED * len(rows), 2 * MOST_ASKS)
    return _run(settings, [f"provider.{name}" for name in names], threads, _name(names), on_ready)


def serve_control(settings: Settings, on_ready: Any = None) -> int:
    return _run(settings, [CONTROL, FOREIGN], _CONTROL_THREADS, "control", on_ready)


def serve_ledger(settings: Settings, on_ready: Any = None) -> int:
    return _run(settings, [LEDGER], 1, "ledger", on_ready)


def serve_press(settings: Settings, on_ready: Any = None) -> int:
    """Two threads: while one waits for a slow feed, the other ships what has reached its deadline."""
    assert press.press.name in app.tasks
    return _run(settings, [PRESS], _PRESS_THREADS, "press", on_ready)


def beat(settings: Settings) -> None:
    connect(settings)
    app.Beat(loglevel="WARNING", quiet=True).run()


def flower(settings: Settings, password: str) -> None:
    """Flower on loopback, behind basic auth. Credentials go by environment: arguments show in process lists."""
    connect(settings)
    assert settings.broker is not None
    os.environ["FLOWER_BASIC_AUTH"] = f"{settings.flower_user}:{password}"
    os.environ["FLOWER_ADDRESS"] = settings.flower_address
    os.environ["FLOWER_PORT"] = str(settings.flower_port)
    os.environ["FLOWER_MAX_TASKS"] = "5000"
    app.start(argv=["flower", "--logging=warning"])


def _run(settings: Settings, queues: Sequence[str], threads: int, name: str, on_ready: Any) -> int:
    connect(settings)
    process.settings = settings
    if on_ready is not None:
        worker_ready.connect(lambda **_: on_ready(process.yard.worker), weak=False)
    worker = app.Worker(
        hostname=f"{name}-{os.getpid()}@{socket.gethostname()}",
        pool="threads",
        concurrency=threads,
        queues=list(queues),
        loglevel="WARNING",
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _name(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else "providers"


def _fuse(row: ProviderRow) -> str | None:
    return f"{row.rpm}/m" if row.rpm is not None and row.rpm <= _FUSE_UP_TO_RPM else None


def _threads(row: ProviderRow) -> int:
    return max(1, min(row.concurrency or _THREADS_ALONE, _THREADS_ALONE))
