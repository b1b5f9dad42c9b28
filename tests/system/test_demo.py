"""The demonstration as a person runs it: interrupted half way, taken up again, and looked at afterwards."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.system.left_running import left_running


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
    return {**kept, "SWITCHYARD_HOME": str(home)}


def _switchyard(home: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app.cli", *argv]
    return subprocess.run(command, env=_environment(home), capture_output=True, text=True, timeout=150, check=False)


def test_a_demonstration_is_interrupted_taken_up_again_and_looked_at(home: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo"], env=_environment(home), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stderr is not None
    said = []
    for line in first.stderr:
        said.append(line)
        if "decided" in line and ": 0/" not in line:
            break
    job = said[-1].partition(":")[0]
    assert job.startswith("job-"), said
    first.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    _, rest = first.communicate(timeout=60)
    assert first.returncode == 130
    assert time.monotonic() - pressed < 30
    assert f"results {job}" in rest and "takes up this job" in rest
    assert not left_running(home)

    second = _switchyard(home, "demo", "--json")
    assert second.returncode == 0, second.stderr
    assert f"going on with {job}" in second.stderr
    assert not left_running(home)
    found = json.loads(second.stdout)
    assert (found["id"], found["decided"], found["items"]) == (job, 248, 248)
    assert found["accuracy"] > found["one_voice_accuracy"]
    assert found["calls"] < found["three_votes_each"]["calls"]
    kinds = {entry["kind"]: entry for entry in found["weather"]}
    assert {"outage", "limits", "error", "leak_reasoning"} <= set(kinds)
    assert kinds["leak_reasoning"]["leaked"] > 0

    # The three commands it offers, as they stand there.
    assert [command.split()[2] for command in found["next"]] == ["explain", "replay", "spend"]
    for command in found["next"]:
        setting, _, *argv = shlex.split(command)
        assert _switchyard(Path(setting.partition("=")[2]), *argv).returncode == 0, command
    assert not left_running(home)
