"""Throughput of the whole path, beside the peers: ``python -m bench [--items N] [--no-peers] [--json]``.

A full council of three votes on every item, ledger and gates on, against nginx as the fastest possible upstream
(no limits, so that nothing but Switchyard is measured). The yard is what ``switchyard up`` starts: one worker process
for each of three providers, control, ledger, beat. Counted from the first dispatch to the last decision.

Peers come from the folder of peer scripts (``SWITCHYARD_SHARED_BENCH``, else ``../shared/bench``) and run in the same
session, one after the other, in an environment of their own (``.venv-peers``, made on first use). Quote the ratios:
the absolute figures are the machine's. The peers' clients are pinned to one core, nginx takes part of the other, as
their README says; Switchyard has both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, create_engine

from app.core import recipe as recipes
from app.core.task import Task
from app.core.values import TaskKind
from app.embedded import Embedded
from app.ledger import door, health
from app.ledger.door import NewJob, Row

ROOT = Path(__file__).resolve().parent.parent
UPSTREAM_PORT = 8099
PEERS_REDIS_PORT = 6379
PEERS = {
    "litellm-router": 3_000,
    "litellm": 3_000,
    "openai": 3_000,
    "httpx": 4_000,
    "httpx-aiohttp": 20_000,
    "aiohttp": 40_000,
}
_TEXT = "Case {0:08d}: " + "the customer writes about an order and waits for a reply; " * 5
"""Three hundred characters, as people write them."""
_READY_S = 60.0
_PEER_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--chunk-size", type=int, default=100)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if shutil.which("nginx") is None:
        sys.stderr.write("the benchmark's upstream is nginx: apt-get install nginx-light\n")
        return 3
    scripts = Path(os.environ.get("SWITCHYARD_SHARED_BENCH", ROOT.parent / "shared" / "bench"))
    with upstream():
        result = throughput(arguments.items, arguments.chunk_size)
        if arguments.no_peers or not scripts.is_dir():
            result["peers"] = {}
            sys.stderr.write("" if arguments.no_peers else f"no peer scripts in {scripts}: peers left out\n")
        else:
            result["peers"] = peers(scripts)
    if arguments.json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        show(result)
    return 0


@contextmanager
def upstream() -> Iterator[None]:
    """nginx that answers every call with OK at once."""
    folder = Path(tempfile.mkdtemp(prefix="switchyard-bench-"))
    answer = (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,'
        '"message":{"role":"assistant","content":"OK"},"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}'
    )
    (folder / "nginx.conf").write_text(
        "worker_processes 1; daemon off; pid nginx.pid; error_log nginx.err;\n"
        "events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_requests 1000000; default_type application/json;\n"
        f" server {{ listen 127.0.0.1:{UPSTREAM_PORT} backlog=4096; location / {{ return 200 '{answer}'; }} }} }}\n"
    )
    process = subprocess.Popen(
        ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)], stderr=subprocess.DEVNULL
    )
    try:
        _await_port(UPSTREAM_PORT, process)
        yield
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"nothing listens on port {port}")


def throughput(items: int, chunk_size: int) -> dict[str, Any]:
    """Run one job through a yard of its own and measure it."""
    home = Path(tempfile.mkdtemp(prefix="switchyard-bench-"))
    home.chmod(0o711)
    fleet = home / "fleet.toml"
    fleet.write_text("".join(_provider(name) for name in ("alpha", "beta", "gamma")))
    environment = {
        **os.environ,
        "SWITCHYARD_HOME": str(home),
        "SWITCHYARD_FLEET": str(fleet),
        "SWITCHYARD_CHUNK_SIZE": str(chunk_size),
    }
    command = [sys.executable, "-m", "app.cli", "up", "--no-flower"]
    up = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd=home)
    try:
        assert up.stderr is not None
        while not (line := up.stderr.readline()).startswith(b"ready"):
            if not line and up.poll() is not None:
                raise SystemExit("the yard did not start")
        urls = Embedded.find(home)
        assert urls is not None and urls.database_url is not None
        engine = create_engine(urls.database_url)
        _await(lambda: len(health.current(engine)) == 3, _READY_S)
        job = NewJob(
            "job-bench", "bench", "throughput", "cheap", str(recipes.parse("majority-vote(full=true)")),
            Task(TaskKind.CLASSIFY, ("OK", "other")), 0, 3600.0, None, None,
        )  # fmt: skip
        before = _cpu(home)
        door.store_job(engine, job, (Row(n, f"item-{n}", _TEXT.format(n)) for n in range(1, items + 1)))
        started = _await(lambda: _count(engine, "SELECT count(*) FROM attempts WHERE purpose = 'vote'") > 0, 30)
        ended = _await(lambda: _count(engine, "SELECT count(*) FROM jobs WHERE state = 'done'") == 1, 600)
        used = {name: spent - before.get(name, 0.0) for name, spent in _cpu(home).items()}
        calls = _count(engine, "SELECT count(*) FROM attempts WHERE state = 'answered' AND purpose = 'vote'")
        engine.dispose()
    finally:
        up.terminate()
        up.wait()
        shutil.rmtree(home, ignore_errors=True)
    seconds = ended - started
    return {
        "items": items,
        "votes_per_item": 3,
        "chunk_size": chunk_size,
        "seconds": round(seconds, 2),
        "calls_per_s": round(calls / seconds),
        "items_per_s": round(items / seconds),
        "cpu_percent": {name: round(100 * s / seconds, 1) for name, s in sorted(used.items(), key=lambda x: -x[1])},
    }


def _provider(name: str) -> str:
    return (
        f'[[provider]]\nname = "{name}"\nprotocol = "openai"\nbase_url = "http://127.0.0.1:{UPSTREAM_PORT}/v1"\n'
        f'[[provider.model]]\nid = "m"\ntier = "cheap"\nfamily = "{name}"\ncontext_window = 8192\n'
        "max_output = 1024\ninput_price = 0.05\noutput_price = 0.08\n"
    )


def _await(true: Any, timeout_s: float) -> float:
    """The monotonic time at which it became true."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if true():
            return time.monotonic()
        time.sleep(0.1)
    raise SystemExit(f"waited in vain for {timeout_s:.0f} s")


def _count(engine: Engine, sql: str) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(sql).scalar_one())


def _cpu(home: Path) -> dict[str, float]:
    """CPU seconds so far of the yard's processes and of nginx, by name."""
    names = {pid: name for name, pid in json.loads((home / "up.json").read_text())["processes"].items()}
    spent: dict[str, float] = defaultdict(float)
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            name = names.get(process.pid, process.name())
            if name in ("nginx", "postgres", "redis-server") or process.pid in names:
                times = process.cpu_times()
                spent[name] += times.user + times.system
    return dict(spent)


def peers(scripts: Path) -> dict[str, int]:
    """Calls a second of each peer, and plain Celery's tasks and chords."""
    python = _peer_python()
    found: dict[str, int] = {}
    for kind, calls in PEERS.items():
        said = _run([python, str(scripts / "clients.py"), kind, str(calls)], scripts)
        words = said.split()
        if len(words) >= 2 and words[1].isdigit():
            found[kind] = int(words[1])
    found.update(_celery(python, scripts))
    return found


def _peer_python() -> str:
    folder = ROOT / ".venv-peers"
    python = folder / "bin" / "python"
    if not python.exists():
        sys.stderr.write("installing the peers into .venv-peers (once)\n")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        packages = ["litellm", "celery[redis]", "httpx-aiohttp", "aiohttp", "orjson", "openai", "httpx"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_PEER_S, check=False)
    return done.stdout


def _celery(python: str, scripts: Path) -> dict[str, int]:
    """Plain Celery wants a Redis on its usual port; where that is taken, somebody else's is left alone."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PEERS_REDIS_PORT)) == 0:
            sys.stderr.write(f"port {PEERS_REDIS_PORT} is taken: plain Celery left out\n")
            return {}
    from app.embedded.binaries import redis_server

    folder = Path(tempfile.mkdtemp(prefix="switchyard-bench-"))
    arguments = ["--port", str(PEERS_REDIS_PORT), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([str(redis_server()), *arguments], stdout=subprocess.DEVNULL)
    _await_port(PEERS_REDIS_PORT, server)
    worker = subprocess.Popen(
        [python, "-m", "celery", "-A", "celery_app", "worker", "-P", "solo", "-l", "ERROR", "--without-gossip",
         "--without-mingle"], cwd=scripts, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    try:
        lines = _run([python, str(scripts / "celery_chords.py")], scripts).splitlines()
    finally:
        worker.terminate()
        worker.wait()
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return {f"celery {line.rsplit(' ', 1)[0]}": int(line.rsplit(" ", 1)[1]) for line in lines if line[-1:].isdigit()}


def show(result: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"[bold]{result['calls_per_s']} calls/s[/], {result['items_per_s']} items/s: {result['items']} items, three "
        f"votes each, {result['seconds']} s, chunks of {result['chunk_size']}"
    )
    cpu = Table("process", "CPU, % of a core", title="where the time went")
    for name, percent in result["cpu_percent"].items():
        cpu.add_row(name, f"{percent}")
    console.print(cpu)
    if result["peers"]:
        table = Table("peer", "a second", "Switchyard is", title="peers, same run")
        for name, rate in result["peers"].items():
            ours = result["items_per_s"] if "chords" in name else result["calls_per_s"]
            table.add_row(name, str(rate), f"{ours / rate:.1f} x")
        console.print(table)


if __name__ == "__main__":
    sys.exit(main())
