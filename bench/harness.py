"""A whole yard in a temporary home: embedded servers, simulated providers, worker processes that may be killed.

    with Rig([provider("a", rpm=60)], gold=items) as rig:
        job = rig.submit(rows, labels=LABELS, strategy="majority-vote")
        rig.wait(job, 60)

Nothing here looks into a worker: what is known comes from the ledger, the simulator's books and the process table.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from celery import Celery
from pydantic import SecretStr
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from app.core import recipe as recipes
from app.core.task import Task
from app.core.values import TaskKind
from app.embedded import Embedded, Urls
from app.ledger import door, migrate
from app.ledger.door import NewJob, Row
from app.services.submitting import apart
from app.settings import Settings
from app.simulator.process import SimulatorProcess

ROOT = Path(__file__).resolve().parent.parent
NEWSPAPER = "newspaper.toml"
LABELS = ("billing", "delivery", "returns", "technical", "account", "other")
_READY_S = 60.0
_STOP_S = 20.0
_POLL_S = 0.2
_PROVIDER_KEYS = (
    "rpm", "tpm", "rph", "tph", "rpd", "tpd", "rpmo", "tpmo", "concurrency", "limits_per", "timeout_s", "api_key_env",
    "api_key_file", "quota_reset",
)  # fmt: skip
_BASES = {
    "openai": "/v1", "openai_responses": "/v1", "anthropic": "", "gemini": "/v1beta", "cohere": "",
    "cloudflare": "/client/v4/accounts/simulated", "ollama": "",
}  # fmt: skip
"""What the base URL of a simulated provider ends in, by its protocol."""
_ROLES = {
    "control": ("worker", "--control"), "ledger": ("worker", "--ledger"), "beat": ("beat",), "fleet": ("worker",),
    "press": ("worker", "--press"),
}  # fmt: skip

Provider = dict[str, Any]


def provider(
    name: str,
    *,
    rpm: int | None = None,
    tpm: int | None = None,
    concurrency: int | None = None,
    quality: float = 0.5,
    family: str | None = None,
    model: str | None = None,
    timeout_s: float = 10.0,
    protocol: str = "openai",
) -> Provider:
    """A provider of one cheap model at 1 and 2 USD per million tokens; its family is its own unless given.

    What else the row may hold can be added to it: the keys of the fleet file, and ``more_models``, pairs of id and
    family.
    """
    limits = {"rpm": rpm, "tpm": tpm, "concurrency": concurrency, "timeout_s": timeout_s}
    return {
        "name": name,
        "protocol": protocol,
        **{key: value for key, value in limits.items() if value is not None},
        "model": model or f"model-{name}",
        "family": family or f"family-{name}",
        "quality": quality,
    }


def items(count: int, labels: Sequence[str] = LABELS) -> list[Row]:
    """Items whose text is their own and of equal length, with gold labels in turn."""
    text = "{0:07d} A customer writes about case {0:07d} and waits for a reply."
    return [Row(n, f"item-{n:07d}", text.format(n), labels[n % len(labels)]) for n in range(1, count + 1)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fleet_toml(providers: Iterable[Provider], port: int) -> str:
    lines = []
    for row in providers:
        limits = [f"{key} = {json.dumps(row[key])}" for key in _PROVIDER_KEYS if key in row]
        lines += [
            "[[provider]]", f'name = "{row["name"]}"', f'protocol = "{row.get("protocol", "openai")}"',
            f'base_url = "http://127.0.0.1:{port}/{row["name"]}{_BASES[row.get("protocol", "openai")]}"', *limits,
        ]  # fmt: skip
        for model, family in [(row["model"], row["family"]), *row.get("more_models", ())]:
            lines += [
                "[[provider.model]]", f'id = "{model}"', 'tier = "cheap"', f'family = "{family}"',
                f"context_window = {row.get('context_window', 32000)}", "max_output = 4000",
                "input_price = 1", "output_price = 2", f"quality = {row['quality']}",
                f"capabilities = {json.dumps(row.get('capabilities', []))}", "",
            ]  # fmt: skip
    return "\n".join(lines)


@dataclass(slots=True)
class Child:
    """One process of the yard. ``role``: control, ledger, beat, fleet (a process for each provider of the file, kept
    by this one), or the providers it serves, with commas between."""

    name: str
    role: str
    process: subprocess.Popen[bytes]
    started: float

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_node(self, node: str) -> bool:
        """Is this Celery's name for it?"""
        return node.partition("@")[0].endswith(f"-{self.pid}")


class Rig:
    """Everything on entering; nothing left on leaving.

    ``workers``: so many processes that each serve every provider; 0: one that keeps a process for each provider of
    the fleet file. ``gold``: what the simulated models answer from, missing it at ``error_rate`` (by model id,
    ``default``); ``packs``: how they do with several items in one call, likewise. ``weather``: TOML put before that.
    ``env`` is added to the processes' environment; ``files``, name → text, lie beside the fleet file, and a
    ``newspaper.toml`` among them is the yard's newspaper.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        gold: Sequence[Row] = (),
        error_rate: Mapping[str, float] | None = None,
        weather: str = "",
        workers: int = 1,
        latency_ms: float = 100.0,
        seed: int = 0,
        packs: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self.providers = list(providers)
        self._gold = gold
        self._error_rate = error_rate or {"default": 0.15}
        self._packs = packs or {}
        self._weather = weather
        self._workers = workers
        self._latency_ms = latency_ms
        self._seed = seed
        self._env = dict(env or {})
        self._files = dict(files or {})
        self.children: dict[str, Child] = {}
        self.urls = Urls(None, None)

    # Coming and going

    def __enter__(self) -> Self:
        # Closed to others it would be closed to the user that root hands Postgres to.
        self.home = Path(tempfile.mkdtemp(prefix="switchyard-rig-"))
        self.home.chmod(0o711)
        self.servers = Embedded(self.home)
        self.port = free_port()
        self.fleet = self.home / "fleet.toml"
        for name, text in self._files.items():
            (self.home / name).write_text(text)
        self.write_fleet(self.providers)
        self.simulator = SimulatorProcess(
            self.fleet, self._write_weather(), self.port, seed=self._seed, latency_ms=self._latency_ms
        )
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        self.urls = self.servers.start()
        assert self.urls.database_url is not None
        assert self.urls.redis_url is not None
        migrate.upgrade(self.urls.database_url)
        self.engine: Engine = create_engine(self.urls.database_url, poolclass=NullPool)
        self.redis = redis.Redis.from_url(self.urls.redis_url)
        self.celery = Celery("rig", broker=self.urls.redis_url, backend=self.urls.redis_url, set_as_current=False)
        self.simulator.start()
        (self.home / "logs").mkdir()
        self.start_workers()
        self.wait_ready()
        self.ring("switchyard.health")
        self.wait_healthy([row["name"] for row in self.providers])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and os.environ.get("RIG_LOGS"):
            sys.stderr.write(self.logs())
        self.stop_workers(signal.SIGKILL)
        self.simulator.stop()
        for client in ("redis", "celery", "engine"):
            if hasattr(self, client):
                getattr(self, client).dispose() if client == "engine" else getattr(self, client).close()
        self.servers.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def settings(self) -> Settings:
        return Settings(
            database_url=SecretStr(self.urls.database_url or ""),
            redis_url=SecretStr(self.urls.redis_url or ""),
            fleet=self.fleet,
            home=self.home,
        )

    def environment(self) -> dict[str, str]:
        """What a ``switchyard`` command needs to work on this yard."""
        return {
            **os.environ,
            "SWITCHYARD_DATABASE_URL": self.urls.database_url or "",
            "SWITCHYARD_REDIS_URL": self.urls.redis_url or "",
            "SWITCHYARD_FLEET": str(self.fleet),
            "SWITCHYARD_HOME": str(self.home),
            **({"SWITCHYARD_NEWSPAPER": str(self.home / NEWSPAPER)} if NEWSPAPER in self._files else {}),
            **self._env,
        }

    def write_fleet(self, providers: Sequence[Provider]) -> None:
        """In one step, as an editor would."""
        self.providers = list(providers)
        new = self.fleet.with_suffix(".new")
        new.write_text(fleet_toml(providers, self.port))
        new.replace(self.fleet)

    def _write_weather(self) -> Path:
        path = self.home / "weather.toml"
        text = self._weather
        if self._gold:
            with (self.home / "gold.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("text", "gold"))
                writer.writerows((row.text, row.gold) for row in self._gold)
            rates = ", ".join(f'"{model}" = {rate}' for model, rate in self._error_rate.items())
            text += f'\n[answers]\nkind = "gold"\nfile = "gold.csv"\nerror_rate = {{ {rates} }}\n'
            manners = ", ".join(f'"{model}" = "{manner}"' for model, manner in self._packs.items())
            text += f"packs = {{ {manners} }}\n"
        path.write_text(text)
        return path

    # Processes

    def start_workers(self) -> None:
        """Control, ledger, beat, and the providers' workers."""
        names = [row["name"] for row in self.providers]
        for role in ("control", "ledger", "beat"):
            self.start(role, role)
        for number in range(1, self._workers + 1):
            self.start(f"worker-{number}", ",".join(names))
        if not self._workers:
            self.start("workers", "fleet")

    def start(self, name: str, role: str) -> Child:
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", *_ROLES.get(role, ("worker", "--providers", role))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self.environment(),
                start_new_session=True,
            )
        child = self.children[name] = Child(name, role, process, time.time())
        return child

    def wait_ready(self) -> None:
        """Until every worker answers to its name (beat and fleet have none). Raises ``TimeoutError`` with the logs."""
        missing = {name: child for name, child in self.children.items() if child.role not in ("beat", "fleet")}
        until = time.monotonic() + _READY_S
        while missing:
            nodes = {node for reply in self.celery.control.ping(timeout=0.5) or [] for node in reply}
            missing = {name: child for name, child in missing.items() if not any(map(child.is_node, nodes))}
            if time.monotonic() > until:
                raise TimeoutError(f"not ready: {', '.join(missing)}\n{self.logs()}")

    def kill(self, name: str) -> Child:
        """SIGKILL; returns when the process is gone. ``restart`` brings another in its place."""
        child = self.children[name]
        child.process.kill()
        child.process.wait()
        return child

    def restart(self, name: str) -> Child:
        return self.start(name, self.children[name].role)

    def stop_workers(self, how: signal.Signals = signal.SIGTERM) -> None:
        for child in self.children.values():
            if child.process.poll() is None:
                child.process.send_signal(how)
        for child in self.children.values():
            try:
                child.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
            child.process.wait()
        self.children.clear()

    def alive(self, name: str) -> bool:
        return self.children[name].process.poll() is None

    def logs(self) -> str:
        parts = [f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}" for path in self._log_files()]
        return "\n".join(parts)

    def whole_logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self._log_files())

    def _log_files(self) -> Iterator[Path]:
        if (self.home / "logs").is_dir():
            yield from sorted(path for path in (self.home / "logs").iterdir() if path.stat().st_size)

    # The yard's doors

    def ring(self, task: str) -> None:
        self.celery.send_task(task, queue="control")

    def submit(
        self,
        rows: Iterable[Row],
        *,
        strategy: str = "single-query",
        labels: Sequence[str] = LABELS,
        prompt: str | None = None,
        team: str = "bench",
        deadline_s: float = 86_400.0,
        pack: int = 1,
    ) -> str:
        """Store a classify job and ring dispatch; returns its id. ``pack``: items a call, at most."""
        job = NewJob(
            id=f"job-{os.urandom(5).hex()}",
            team=team,
            use_case="bench",
            tier="cheap",
            recipe=str(recipes.parse(strategy)),
            task=Task(TaskKind.CLASSIFY, tuple(labels), prompt=prompt),
            priority=0,
            deadline_s=deadline_s,
            max_cost_micro=None,
            idempotency_key=None,
            pack=pack,
        )
        door.store_job(self.engine, job, rows if pack == 1 else apart(rows))
        self.ring("switchyard.dispatch")
        return job.id

    # What the ledger says

    def query(self, sql: str, parameters: Any = None) -> list[Any]:
        """Rows; again while Postgres is on its way back."""
        until = time.monotonic() + _READY_S
        while True:
            try:
                with self.engine.begin() as connection:
                    return list(connection.exec_driver_sql(sql, parameters).all())
            except DBAPIError:
                if time.monotonic() > until:
                    raise
                time.sleep(_POLL_S)

    def one(self, sql: str, parameters: Any = None) -> Any:
        """The first column of the first row."""
        return self.query(sql, parameters)[0][0]

    def decided(self, job: str) -> int:
        return int(self.one("SELECT count(*) FROM decisions WHERE job_id = %s", (job,)))

    def until(self, true: Any, timeout_s: float, what: str) -> None:
        """Until ``true()`` is. The ledger rings no bell for outsiders, so it is asked again and again."""
        end = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {timeout_s:.0f} s: {what}\n{self.logs()}")
            time.sleep(_POLL_S)

    def wait(self, job: str, timeout_s: float) -> None:
        """Until the job is done. Raises ``TimeoutError`` with the workers' logs."""
        self.until(
            lambda: self.one("SELECT state FROM jobs WHERE id = %s", (job,)) == "done",
            timeout_s,
            f"job {job} done ({self.decided(job)} decisions at the start)",
        )

    def wait_healthy(self, names: Iterable[str], timeout_s: float = 30.0) -> None:
        wanted = set(names)

        def healthy() -> bool:
            rows = self.query("SELECT deployment FROM health WHERE state = 'healthy'")
            return wanted <= {row[0].partition("/")[0] for row in rows}

        self.until(healthy, timeout_s, f"healthy: {', '.join(sorted(wanted))}")
