"""``switchyard drill``: who may, what it says, and what it shows of a yard at work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.drills import DRILLS
from app.services.drillbook import DrillBook
from tests.integration.small_yard import SmallYard, vendor

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def yard(small_yard: SmallYard) -> SmallYard:
    return small_yard.open([vendor("x", quality=0.9), vendor("y", quality=0.5)], drills=True)


@pytest.fixture
def run(yard: SmallYard) -> Iterator[Run]:
    """Runs a command on the yard, drills allowed unless said otherwise."""

    def command(*argv: str, drills: str = "1") -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ, "SWITCHYARD_DATABASE_URL": yard.urls[0], "SWITCHYARD_REDIS_URL": yard.urls[1],
            "SWITCHYARD_FLEET": str(yard.path), "SWITCHYARD_HOME": str(yard.home), "SWITCHYARD_DRILLS": drills,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", "drill", *argv], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    return command


def on(yard: SmallYard) -> list[str]:
    return [s.drill.name for s in yard.yard.faults.active()[1]]


@pytest.mark.parametrize(
    ("argv", "drills", "says"),
    [
        (["auth", "--for", "x", "--yes"], "0", "drills are not allowed here"),
        (["auth", "--for", "x", "--yes"], "", "SWITCHYARD_DRILLS=1"),
        (["auth", "--for", "x"], "1", "nobody here to ask"),
        (["auth", "--for", "z", "--yes"], "1", "z"),
        (["auth", "--for", "x/n", "--yes"], "1", "x/m"),
        (["auth", "--yes"], "1", "--for"),
        (["auth", "--for", "x", "--yes", "--share", "0"], "1", "--share"),
        (["auth", "--for", "x", "--yes", "--delay", "inf"], "1", "numbers of seconds"),
        (["auth", "--for", "x", "--yes", "--seconds", "86400"], "1", "3600"),
        (["stop", "outrage"], "1", "did you mean outage?"),
        (["outrage"], "1", "outrage"),
    ],
)
def test_what_cannot_be_is_a_sentence(yard: SmallYard, run: Run, argv: list[str], drills: str, says: str) -> None:
    done = run(*argv, drills=drills)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""
    assert on(yard) == []


def test_list_and_stop(yard: SmallYard, run: Run) -> None:
    yard.yard.faults.set(DRILLS["outage"], "x", for_s=60, share=0.5)
    yard.yard.faults.set(DRILLS["auth"], "y/m", for_s=60, share=1.0)
    listed = json.loads(run("list", "--json").stdout)
    assert listed["allowed"] is True
    assert [row["drill"] for row in listed["drills"]] == list(DRILLS)
    standing = {row["drill"]: row["on"] for row in listed["drills"] if row["on"]}
    assert [(s["target"], s["share"]) for s in standing["outage"]] == [("x", 0.5)]
    assert "y/m, 100%" in run("list", drills="0").stdout, "whoever may not drill may look"
    assert "outage for x is over" in run("stop", "outage").stderr
    assert on(yard) == ["auth"]
    assert run("stop", drills="0").returncode == 0
    assert on(yard) == []


def test_it_ends_by_itself_and_says_so(yard: SmallYard, run: Run) -> None:
    done = run("auth", "--for", "all", "--seconds", "1", "--after", "0", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["drill"], report["target"], report["ended_by"]) == ("auth", "all", "time")
    assert 0.9 < report["spans_s"]["during"] < 5
    assert {row["deployment"]: row["aimed_at"] for row in report["deployments"]} == {"x/m": True, "y/m": True}
    assert on(yard) == []


def test_the_book_shows_what_went_where(yard: SmallYard) -> None:
    yard.submit(4, strategy="ranked-fallback")
    yard.work()
    book = DrillBook(yard.engine, yard.yard.view, for_s=60)
    standing = yard.yard.faults.set(DRILLS["billing"], "x", for_s=60, share=1.0)
    yard.submit(3, strategy="ranked-fallback")
    yard.submit(5, strategy="ranked-fallback", prompt="Another: {text}")
    yard.follow(yard.dispatch(), yard.worker())  # which looks for drills at its first call
    look = book.look(standing)
    yard.yard.faults.clear(DRILLS["billing"], "x")
    book.over()
    yard.submit(2, strategy="ranked-fallback", prompt="Later: {text}")
    yard.work()
    report: dict[str, Any] = book.report(standing, "stop")

    x, y = report["deployments"]
    assert x["before"] == {"calls": 4, "answered": 4, "failed": {}}
    assert x["during"]["failed"] == {"billing": x["during"]["calls"]}
    assert x["struck"] == x["during"]["calls"] > 0
    assert (x["health"], y["health"], y["struck"]) == ("out", "healthy", 0)
    assert y["during"]["answered"] == 8
    assert (x["after"]["calls"], y["after"]["answered"]) == (0, 2)
    assert report["stood_in"] == [{"for": "x/m", "by": "y/m", "items": 8}]
    assert (look.aimed, look.struck, look.elsewhere, look.decided) == (x["struck"], x["struck"], 8, 8)
    assert ("x/m", "health", "healthy", "out") in [(c.deployment, c.what, c.before, c.now) for c in look.changes]
    assert {c["deployment"] for c in report["changes"]} == {"x/m"}
    assert report["items"] == {"decided": 10, "undecided": 0, "failed": 0, "waiting": 0}
