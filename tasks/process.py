"""What a worker process holds: its yard, opened after the fork, and the thread that keeps its leases alive."""

from __future__ import annotations

import threading

import structlog
from celery.signals import worker_init, worker_process_shutdown, worker_shutdown, worker_shutting_down
from sqlalchemy.exc import DBAPIError

from app.ledger import journal
from app.settings import Settings
from app.yard import Yard

log = structlog.get_logger(__name__)


class Process:
    """One a process. ``settings`` are given before the fork, the yard is opened after it."""

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self._yard: Yard | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def yard(self) -> Yard:
        with self._lock:
            if self._yard is None:
                assert self.settings is not None, "the worker was started without settings"
                self._yard = Yard(self.settings)
                _ = self._yard.asker, self._yard.settler, self._yard.dispatcher  # built once, before threads race
            return self._yard

    def open(self) -> None:
        """Build the yard and begin to renew leases."""
        threading.Thread(target=self._keep_leases, args=(self.yard,), name="leases", daemon=True).start()

    def drain(self) -> None:
        if self._yard is not None:
            self._yard.draining.set()

    def close(self) -> None:
        self._closed.set()
        if self._yard is not None:
            self._yard.wire.close()
            self._yard.engine.dispose()

    def _keep_leases(self, yard: Yard) -> None:
        while not self._closed.wait(yard.settings.lease_s / 3):
            asks = list(yard.asker.active)
            if not asks:
                continue
            try:
                journal.renew_leases(yard.engine, yard.worker, asks, yard.settings.lease_s)
            except DBAPIError as error:
                log.warning("leases not renewed", action="lease.lag", error=type(error).__name__)


process = Process()


@worker_init.connect
def _open(**_: object) -> None:
    process.open()


@worker_shutting_down.connect
def _drain(**_: object) -> None:
    process.drain()


@worker_shutdown.connect
@worker_process_shutdown.connect
def _close(**_: object) -> None:
    process.close()
