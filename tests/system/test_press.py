"""``switchyard press`` as a person runs it: a specimen interrupted and taken up again, and a yard that has no press."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.harness import ROOT, Rig, provider
from tests.system.left_running import left_running

SPECIMEN_S = 120.0
"""A specimen is out within two minutes, with all that has to start and stop."""


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
    return {"PYTHONPATH": str(ROOT), **kept, **{f"SWITCHYARD_{name}": value for name, value in variables.items()}}


def press(home: Path, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "press", *argv], cwd=home, env=environment(HOME=str(home), **variables),
        capture_output=True, text=True, timeout=2 * SPECIMEN_S, check=False,
    )  # fmt: skip


def interrupted(home: Path, after: str, *argv: str, **variables: str) -> tuple[int, str]:
    """Ctrl-C at the first line that has ``after`` in it: the exit code and all that was said."""
    child = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "press", *argv], cwd=home, env=environment(HOME=str(home), **variables),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stderr is not None
    said = []
    for line in child.stderr:
        said.append(line)
        if after in line:
            child.send_signal(signal.SIGINT)
            break
    out, rest = child.communicate(timeout=60)
    assert out == ""
    assert after in "".join(said), said
    return child.returncode, "".join([*said, rest])


def listed(home: Path, *argv: str, **variables: str) -> list[dict[str, Any]]:
    found = press(home, "--list", "--json", *argv, **variables)
    assert found.returncode == 0, found.stderr
    rows: list[dict[str, Any]] = json.loads(found.stdout)
    return rows


def test_a_specimen_is_interrupted_and_taken_up_again(home: Path) -> None:
    code, said = interrupted(home, "sort:", "--follow")
    assert code == 130, said
    assert "the same command goes on with this edition" in said
    assert not left_running(home)

    began = time.monotonic()
    second = press(home, "--json")
    assert second.returncode == 0, second.stderr
    assert time.monotonic() - began < SPECIMEN_S
    assert "going on with the daily edition" in second.stderr
    assert not left_running(home)
    made = json.loads(second.stdout)
    assert (made["state"], made["specimen"], made["bulletin"], made["on_time"]) == ("published", True, False, True)
    assert made["articles"] > 0
    assert made["calls"] > 0
    page = Path(made["page"])
    assert page.name == "index.html"
    assert "specimen" in page.read_text().lower()

    assert [(row["run"], row["page"]) for row in listed(home)] == [(1, str(page))]
    assert not left_running(home)


PAPER = """\
title = "The Elm Courier"
daily = false
words = 60

[[desk]]
name = "town"
title = "Town"
description = "streets, bridges, buses"

[[feed]]
name = "The Bell"
path = "bell.xml"
"""
FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>The Bell</title><item>
<title>Bridge over the Elm reopens</title><link>https://news.example/1</link>
<description>The bridge over the river Elm reopened on Monday after 14 months of work. Buses use it again.</description>
</item></channel></rss>"""


def test_in_a_yard_without_a_press_the_command_makes_the_edition_itself_goes_on_with_it_and_reprints_it() -> None:
    providers = [provider(f"p{n}", concurrency=4) for n in range(3)]
    with Rig(providers, files={"paper.toml": PAPER, "bell.xml": FEED}) as rig:
        assert rig.urls.database_url is not None
        assert rig.urls.redis_url is not None
        told = {"DATABASE_URL": rig.urls.database_url, "REDIS_URL": rig.urls.redis_url, "FLEET": str(rig.fleet)}
        paper = ("--paper", "paper.toml")
        code, said = interrupted(rig.home, "gather: done", *paper, "--follow", **told)
        assert code == 130, said
        assert "no press is at work in this yard" in said

        found = press(rig.home, *paper, "--json", **told)
        assert found.returncode == 0, found.stderr
        assert "going on with" in found.stderr
        made = json.loads(found.stdout)
        assert (made["state"], made["specimen"], made["run"]) == ("published", False, 1)
        assert made["articles"] + made["briefs"] + made["headlines"] == 1
        assert Path(made["page"]).parent == rig.home / "editions" / str(dt.datetime.now(dt.UTC).date())

        again = press(rig.home, *paper, **told)
        assert again.returncode == 0, again.stderr
        assert again.stdout == f"{made['page']}\n"
        assert "--reprint makes it again" in again.stderr
        assert "on time" in again.stderr

        reprint = press(rig.home, *paper, "--reprint", "--json", **told)
        assert reprint.returncode == 0, reprint.stderr
        assert [(row["run"], row["page"]) for row in listed(rig.home, **told)] == [(2, made["page"]), (1, made["page"])]
