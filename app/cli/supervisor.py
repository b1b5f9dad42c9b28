"""Keeps a yard's processes: forks them from one parent that has imported everything, and restarts what dies.

Forking shares the parent's memory, so twelve workers are up in the time of one import. The parent itself opens no
connection and starts no thread before it forks.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from app import logs
from app.core.errors import FleetError
from app.ledger import upkeep
from app.registry.fleet import FleetFile
from app.settings import Settings
from tasks import worker

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_S = 1.0
_STOP_PATIENCE_S = 20.0
_RESTART_PAUSE_S = 1.0

Ready = Callable[[str], None]
Run = Callable[[Ready], int]


@dataclass(slots=True)
class Child:
    """``node``: the name under which the process holds leases, once it has said that it is ready."""

    name: str
    run: Run
    pid: int = 0
    pipe: int = -1
    node: str | None = None
    started: float = 0.0
    wanted: bool = True


@dataclass(slots=True)
class Supervisor:
    """Forks and watches. ``logs_in``: a folder for one log file a process; None: they share our stderr."""

    settings: Settings
    logs_in: Path | None = None
    fleet: FleetFile | None = None
    children: dict[str, Child] = field(default_factory=dict)
    stopping: bool = False
    _again: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, run: Run) -> None:
        self.children[name] = Child(name, run)
        self._fork(self.children[name])

    def serve_fleet(self, fleet: FleetFile) -> None:
        """One worker process for each provider of the fleet file, now and whenever it changes."""
        self.fleet = fleet
        self._follow_fleet()

    def wait_ready(self, timeout_s: float) -> list[str]:
        """Until every child has said that it is ready; returns the names of those that have not."""
        until = time.monotonic() + timeout_s
        while (slow := [c.name for c in self.children.values() if c.node is None]) and time.monotonic() < until:
            self._listen(0.2)
            self._reap()
            if self.stopping:
                break
        return slow

    def watch(self) -> None:
        """Until told to stop: restart what dies, follow the fleet file."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        while not self.stopping:
            self._listen(_LOOK_EVERY_S)
            self._reap()
            self._follow_fleet()
            for name, when in list(self._again.items()):
                if time.monotonic() >= when and name in self.children:
                    del self._again[name]
                    self._fork(self.children[name])

    def stop(self) -> None:
        """Let every child finish what is in flight; those that take too long are killed."""
        self.stopping = True
        for child in self.children.values():
            child.wanted = False
            _signal(child.pid, signal.SIGTERM)
        until = time.monotonic() + _STOP_PATIENCE_S
        while any(c.pid for c in self.children.values()) and time.monotonic() < until:
            self._listen(0.05)
            self._reap()
        for child in self.children.values():
            if child.pid:
                _signal(child.pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, 0)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _fork(self, child: Child) -> None:
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            os.close(write)
            child.pid, child.pipe, child.node, child.started = pid, read, None, time.monotonic()
            return
        code = 1
        try:
            os.close(read)
            self._become(child, parent)
            code = child.run(lambda node: _say(write, node))
        except BaseException:  # whatever it was, a forked child must never return into the parent's code
            logging.getLogger(__name__).exception("%s died", child.name)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _become(self, child: Child, parent: int) -> None:
        os.setsid()  # Ctrl-C goes to the parent alone, which then tells us in its own words
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        if self.logs_in is not None:
            target = os.open(self.logs_in / f"{child.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(target, 1)
            os.dup2(target, 2)
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        logs.configure()

    def _listen(self, timeout_s: float) -> None:
        pipes = {c.pipe: c for c in self.children.values() if c.pipe >= 0}
        if not pipes:
            time.sleep(timeout_s)
            return
        with contextlib.suppress(InterruptedError):
            for pipe in select.select(list(pipes), [], [], timeout_s)[0]:
                said = os.read(pipe, 4096).decode()
                if said:
                    pipes[pipe].node = said.strip()
                os.close(pipe)
                pipes[pipe].pipe = -1

    def _reap(self) -> None:
        for child in list(self.children.values()):
            if not child.pid:
                continue
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    self._ended(child, status)

    def _ended(self, child: Child, status: int) -> None:
        child.pid = 0
        if child.pipe >= 0:
            os.close(child.pipe)
            child.pipe = -1
        node, child.node = child.node, None
        if node is not None:
            self._rescue(node, rang_bells=child.name == "control")
        if not child.wanted or self.stopping:
            if not child.wanted and not self.stopping:
                del self.children[child.name]
            return
        log.error("a process died and is started again", action="process.died", process=child.name,
                  status=os.waitstatus_to_exitcode(status))  # fmt: skip
        lived = time.monotonic() - child.started
        self._again[child.name] = time.monotonic() + (0.0 if lived > 5 * _RESTART_PAUSE_S else _RESTART_PAUSE_S)

    def _rescue(self, node: str, *, rang_bells: bool) -> None:
        """Its leases need not run out first: we know that it is gone."""
        if self.settings.database_url is None:
            return
        engine = create_engine(self.settings.database_url.get_secret_value(), poolclass=NullPool)
        try:
            held = upkeep.rescue(engine, node, rang_bells=rang_bells)
            if held:
                log.warning("its asks go on elsewhere", action="process.rescue", asks=held)
        except DBAPIError:
            log.warning("no rescue while postgres is away; the leases will run out", action="process.rescue_late")

    def _follow_fleet(self) -> None:
        if self.fleet is None:
            return
        with contextlib.suppress(FleetError):
            fleet = self.fleet.current()
            names = {row.name for row in fleet.providers}
            for name in sorted(names):
                if f"provider.{name}" not in self.children:
                    self.add(f"provider.{name}", _provider(self.settings, self.fleet, name))
            for child in list(self.children.values()):
                kind, _, name = child.name.partition(".")
                if kind == "provider" and name not in names and child.wanted:
                    child.wanted = False
                    _signal(child.pid, signal.SIGTERM)


def _provider(settings: Settings, fleet: FleetFile, name: str) -> Run:
    return lambda ready: worker.serve_providers(settings, fleet.current(), [name], ready)


def _say(pipe: int, node: str) -> None:
    with contextlib.suppress(OSError):
        os.write(pipe, node.encode())
        os.close(pipe)


def _signal(pid: int, number: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
