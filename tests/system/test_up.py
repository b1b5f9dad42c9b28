"""``switchyard up`` as a person runs it: ready when it says so, mending itself, and gone when told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.simulator.process import SimulatorProcess
from bench.harness import fleet_toml, free_port, provider

LABELS = "billing,delivery"


@dataclass
class Up:
    home: Path
    flower_port: int
    environment: dict[str, str]
    said: str = ""

    def switchyard(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app.cli", *arguments]
        return subprocess.run(command, check=False, env=self.environment, capture_output=True, text=True, timeout=90)

    def processes(self) -> dict[str, int]:
        state: dict[str, int] = json.loads((self.home / "up.json").read_text())["processes"]
        return state

    def flower(self, password: str | None) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.flower_port}/tasks")
        if password is not None:
            request.add_header("authorization", "Basic " + b64encode(f"switchyard:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code


def wait_until(true: Callable[[], bool], timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)  # other processes' states give no event


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    port, flower_port = free_port(), free_port()
    fleet = folder / "fleet.toml"
    fleet.write_text(fleet_toml([provider(f"u{n}", concurrency=4) for n in range(3)], port))
    environment = {
        **os.environ,
        "SWITCHYARD_HOME": str(folder / "home"),
        "SWITCHYARD_FLEET": str(fleet),
        "SWITCHYARD_FLOWER_PORT": str(flower_port),
        "SWITCHYARD_SWEEP_EVERY_S": "1",
    }
    weather = folder / "weather.toml"
    weather.write_text('[answers]\nkind = "fixed"\ntext = "billing"\n')
    yard = Up(folder / "home", flower_port, environment)
    with SimulatorProcess(fleet, weather, port, latency_ms=1500):
        try:
            started = yard.switchyard("up", "--detach")
            assert started.returncode == 0, started.stderr
            yard.said = started.stderr
            yield yard
        finally:
            yard.switchyard("down")


def test_it_says_where_things_are(up: Up) -> None:
    assert "ready: 7 processes" in up.said
    assert (up.home / "flower.password").read_text() in up.said
    assert (up.home / "flower.password").stat().st_mode & 0o077 == 0
    assert {"control", "ledger", "beat", "flower", "provider.u0", "provider.u1", "provider.u2"} <= set(up.processes())


def test_a_second_one_in_the_same_home_is_refused(up: Up) -> None:
    again = up.switchyard("up")
    assert again.returncode == 2
    assert "already running" in again.stderr
    assert "Traceback" not in again.stderr


def test_flower_wants_the_password(up: Up) -> None:
    wait_until(lambda: up.flower((up.home / "flower.password").read_text()) == 200, 20)
    assert up.flower(None) == 401
    assert up.flower("guess") == 401


@pytest.mark.parametrize("victim", ["worker", "control"])
def test_what_is_killed_is_started_again_and_its_work_goes_on_at_once(up: Up, tmp_path: Path, victim: str) -> None:
    table = tmp_path / "items.csv"
    table.write_text("text\n" + "".join(f"{victim} case {n}\n" for n in range(12)))
    submitted = up.switchyard("submit", str(table), "--labels", LABELS, "--strategy", "single-query")
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.strip()

    def read(*arguments: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(up.switchyard(*arguments, "--json").stdout)
        return said

    def under_way() -> bool:
        return any(attempt["outcome"] == "open" for attempt in read("explain", job, "1")["attempts"])

    wait_until(under_way, 20)
    provider_of_first = read("explain", job, "1")["attempts"][0]["deployment"].partition("/")[0]
    began = time.monotonic()
    os.kill(up.processes()["control" if victim == "control" else f"provider.{provider_of_first}"], signal.SIGKILL)
    wait_until(lambda: read("status", job)["state"] == "done", 30)
    # A lease lasts 30 s and a bell is missed after 45 s: without the rescue nothing would have moved before.
    assert time.monotonic() - began < 25
    results = [json.loads(line) for line in up.switchyard("results", job).stdout.splitlines()]
    assert [line["status"] for line in results] == ["decided"] * 12


def test_down_leaves_nothing_behind(up: Up) -> None:
    pids = [*up.processes().values(), json.loads((up.home / "up.json").read_text())["pid"]]
    stopped = up.switchyard("down")
    assert stopped.returncode == 0
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    assert "no yard is running" in up.switchyard("down").stderr
