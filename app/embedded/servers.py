"""Start, stop, find and crash the embedded servers of one home."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.core.errors import ServiceMissing
from app.embedded import binaries, postgres, redis, state
from app.embedded.state import Process, State, Urls

_START_TIMEOUT_S = 20.0


class Embedded:
    """The embedded servers of one home. A context manager; safe to stop twice; a forked child never stops them.

    Raises ``ServiceMissing`` (exit code 3) where a binary is missing or a server does not come up; the way out is in
    its ``hint``. One thread at a time.
    """

    def __init__(self, home: Path, postgres: bool = True, redis: bool = True) -> None:
        self.home = _absolute(home)
        self._wanted = [name for name, on in (("redis", redis), ("postgres", postgres)) if on]
        self._owner: Process | None = None
        self._joined: Urls | None = None
        self._servers: dict[str, Process] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._redis_port = 0
        self._redis_password = ""
        self._sockets: Path | None = None

    @staticmethod
    def find(home: Path) -> Urls | None:
        """The servers that a living process has running on this home; None unless all answer to their pids.

        Changes nothing: what a dead owner left is cleared by the next ``start()``.
        """
        found = state.read(_absolute(home))
        if found is None or not found.servers or found.owner.alive() is None:
            return None
        return found.urls if all(server.alive() for server in found.servers.values()) else None

    def start(self) -> Urls:
        """Start what was asked for and return when it takes connections.

        Where a living process owns servers on this home already, theirs are returned and ``stop()`` leaves them be.
        """
        if self._joined is not None:
            return self._joined
        if self._owner is not None:
            return State(self._owner, self._servers).urls
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with state.locked(self.home):
                found = state.read(self.home)
                if found is not None and found.owner.alive():
                    self._joined = self._join(found)
                    return self._joined
                if found is not None:
                    state.end_all(self.home, found)
                return self._own()
        except PermissionError as error:
            raise ServiceMissing(
                f"{error.filename or self.home} belongs to another user",
                hint="Set SWITCHYARD_HOME to a directory of your own.",
            ) from error

    def stop(self) -> None:
        """End the servers this object started; return when they are gone."""
        self._joined = None
        if self._owner is None or self._owner.pid != os.getpid():
            return
        with state.locked(self.home) if self.home.is_dir() else nullcontext():
            self._end()

    def restart_postgres(self) -> None:
        """Crash Postgres (immediate shutdown: no checkpoint, so it recovers from its log); start it on the same URL."""
        self._crash("postgres", signal.SIGQUIT)
        self._start_postgres()

    def restart_redis(self, empty: bool) -> None:
        """Kill Redis and start it on the same URL; ``empty``: as if its disk was lost as well."""
        self._crash("redis", signal.SIGKILL)
        if empty:
            shutil.rmtree(self.home / "redis")
        self._start_redis()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _join(self, found: State) -> Urls:
        for name in self._wanted:
            if name not in found.servers or not found.servers[name].alive():
                raise ServiceMissing(
                    f"process {found.owner.pid} owns {self.home} but has no {name} running there",
                    hint="Stop it (switchyard down), or set SWITCHYARD_HOME to another directory.",
                )
        return found.urls

    def _own(self) -> Urls:
        self._owner = Process.of(os.getpid())
        atexit.register(self.stop)
        try:
            # Record and watchdog first: whatever is started from here on is ended, come what may.
            self._record()
            self._spawn_watchdog(self._owner)
            if "redis" in self._wanted:
                self._start_redis()
            if "postgres" in self._wanted:
                self._start_postgres()
        except BaseException:
            self._end()
            raise
        return State(self._owner, self._servers).urls

    def _end(self) -> None:
        if self._owner is None:
            return
        state.end_all(self.home, State(self._owner, self._servers))
        # Last of all: until the servers are gone it stands in for us.
        if "watchdog" in self._children:
            self._children["watchdog"].terminate()
        for child in self._children.values():
            child.wait()
        if self._sockets is not None and self._sockets.parent != self.home:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._owner, self._sockets, self._servers, self._children = None, None, {}, {}
        self._redis_port, self._redis_password = 0, ""
        atexit.unregister(self.stop)

    def _start_redis(self) -> None:
        data, log = self.home / "redis", self.home / "redis.log"
        data.mkdir(mode=0o700, exist_ok=True)
        # "-": the configuration comes by stdin; as an argument, everybody here could read the password.
        command = [str(binaries.redis_server()), "-"]
        again = self._redis_port != 0
        self._redis_password = self._redis_password or secrets.token_urlsafe(24)
        for last in (again, again, True):
            self._redis_port = self._redis_port if again else redis.free_port()
            url = f"redis://:{self._redis_password}@127.0.0.1:{self._redis_port}/0"
            config = redis.config(data, self._redis_port, self._redis_password)
            child = self._spawn("redis", command, url, config=config)
            try:
                redis.wait_ready(child, url, log)
                return
            except ServiceMissing:
                self._discard("redis")
                # The free port may have been taken in the meantime: another one, but not for ever.
                if last:
                    raise

    def _start_postgres(self) -> None:
        data, log = self.home / "postgres", self.home / "postgres.log"
        binary = binaries.postgres(data)
        identity = postgres.server_identity(data, binary)
        if not data.exists():
            postgres.make_cluster(binary, data, identity, log)
        postgres.clear_pid_file(data)
        self._sockets = sockets = postgres.socket_dir(data, identity)
        url = postgres.url(sockets)
        command = postgres.command(binary, data, sockets, identity)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not postgres.wait_ready(self._spawn("postgres", command, url, **identity.popen()), data, deadline):
            self._discard("postgres")
            said = state.last_words(log)
            # The children of a postmaster that was killed hold its memory until they notice, and then leave.
            if "shared memory" not in log.read_text(errors="replace") or time.monotonic() > deadline:
                raise ServiceMissing(f"Postgres did not start: {said}", hint=f"See {log}.")
            time.sleep(0.1)
        postgres.ensure_database(url)

    def _spawn(
        self, name: str, command: list[str], url: str, config: bytes = b"", **identity: Any
    ) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=state.environment(os.environ),
                # Ctrl-C goes to the terminal's foreground group: the owner says when the servers end, not the key.
                start_new_session=True,
                **identity,
            )
        self._children[name] = child
        self._servers[name] = Process.of(child.pid, url)
        self._record()
        assert child.stdin is not None
        with suppress(BrokenPipeError), child.stdin:
            child.stdin.write(config)
        return child

    def _spawn_watchdog(self, owner: Process) -> None:
        self._children["watchdog"] = subprocess.Popen(
            [sys.executable, "-m", "app.embedded.watchdog", str(self.home), str(owner.pid), repr(owner.started)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _crash(self, name: str, how: signal.Signals) -> None:
        child = self._children[name]
        child.send_signal(how)
        child.wait(timeout=_START_TIMEOUT_S)

    def _discard(self, name: str) -> None:
        state.end(name, self._servers.pop(name))
        self._children.pop(name).wait()
        self._record()

    def _record(self) -> None:
        assert self._owner is not None
        state.write(self.home, State(self._owner, self._servers))


def _absolute(home: Path) -> Path:
    # Not resolve(): a short link may stand for a path too long for a socket.
    return home if home.is_absolute() else Path.cwd() / home
