"""One Redis on loopback: its configuration, and when it is ready."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from app.core.errors import ServiceMissing
from app.embedded.state import last_words

_START_TIMEOUT_S = 20.0


def free_port() -> int:
    """A loopback port that is free now; somebody may take it before we do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def config(data: Path, port: int, password: str) -> bytes:
    """For ``redis-server -``. Counts survive a crash but for the last second; nothing is ever evicted."""
    quoted = str(data).replace("\\", "\\\\").replace('"', '\\"')
    lines = (
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{quoted}"',
        "databases 64",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
    )
    return "\n".join(lines).encode()


def wait_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return when it answers to the password (so it is ours) and has loaded its file. Else ``ServiceMissing``."""
    import redis  # the watchdog imports this package and must stay small

    deadline = time.monotonic() + _START_TIMEOUT_S
    with redis.Redis.from_url(url, socket_timeout=1.0) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                client.ping()
                return
            except (redis.ConnectionError, redis.TimeoutError):
                time.sleep(0.01)
            except redis.ResponseError as error:
                raise ServiceMissing(f"another server answers on Redis's port: {error}") from error
    raise ServiceMissing(f"Redis did not start: {last_words(log)}", hint=f"See {log}.")
