"""Which servers run on a home, and whose they are: ``servers.json``, its lock, and how a server is ended."""

from __future__ import annotations

import fcntl
import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from app.core.errors import ServiceMissing

_ENDING = {
    # Fast, then immediate shutdown: postgresql.org, "Shutting Down the Server".
    "postgres": ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)),
    "redis": ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)),
}
"""Which signals end a server, with the seconds each is given."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the embedded servers are; None for one that was not asked for. The Redis URL holds its password."""

    database_url: str | None
    """``postgresql+psycopg://...``, as SQLAlchemy takes it."""
    redis_url: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one of the same pid. ``started``: seconds since the epoch."""

    pid: int
    started: float
    url: str = field(default="", repr=False)

    @classmethod
    def of(cls, pid: int, url: str = "") -> Process:
        return cls(pid, psutil.Process(pid).create_time(), url)

    def alive(self) -> psutil.Process | None:
        """The process, while it runs. Two seconds of grace: the boot time that start times count from jitters."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < 2.0 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


@dataclass(frozen=True, slots=True)
class State:
    """``servers``: by name, ``postgres`` and ``redis``."""

    owner: Process
    servers: Mapping[str, Process]

    @property
    def urls(self) -> Urls:
        postgres, redis = self.servers.get("postgres"), self.servers.get("redis")
        return Urls(postgres.url if postgres else None, redis.url if redis else None)


def read(home: Path) -> State | None:
    """What was last written down; None where there is no file, or no sense in it."""
    try:
        found = json.loads((home / "servers.json").read_text())
        servers = {name: Process(**found["servers"][name]) for name in _ENDING if name in found["servers"]}
        return State(Process(**found["owner"]), servers)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def write(home: Path, state: State) -> None:
    """Replace the file in one step; only its user can read it, for the Redis URL holds a password."""
    servers = {name: asdict(server) for name, server in state.servers.items()}
    new = home / "servers.json.new"
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps({"owner": asdict(state.owner), "servers": servers}))
    new.replace(home / "servers.json")


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """One process at a time starts or ends servers on a home. The lock goes with the process that holds it."""
    with (home / "servers.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def end_all(home: Path, state: State) -> None:
    """End the servers, then forget them: killed half way, the rest is still on record."""
    for name, server in state.servers.items():
        end(name, server)
    (home / "servers.json").unlink(missing_ok=True)


def end(name: str, server: Process) -> None:
    """End one server, gently first. Raises ``ServiceMissing`` where it is another user's."""
    process = server.alive()
    if process is None:
        return
    for how, patience_s in _ENDING[name]:
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied as error:
            raise ServiceMissing(
                f"a {name} of another user (process {server.pid}) was left running here",
                hint=f"Stop it as that user (kill {server.pid}), or set SWITCHYARD_HOME to another directory.",
            ) from error
        deadline = time.monotonic() + patience_s
        while server.alive() is not None and time.monotonic() < deadline:
            time.sleep(0.005)
        if server.alive() is None:
            return


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """What a server may see of our environment: no keys, and nothing that steers libpq."""
    return {name: inherited[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in inherited} | {
        "LC_ALL": "C"
    }


def last_words(log: Path) -> str:
    """The last line of a log that says something; for error messages."""
    with suppress(OSError):
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return "it left no message"
