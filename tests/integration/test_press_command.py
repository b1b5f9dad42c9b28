"""``switchyard press`` as a process of its own: what it refuses, what it lists, what it plans."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.ledger import editions, publications
from app.registry.paperfile import parse

ROOT = Path(__file__).parents[2]
PAPER = """\
title = "The Elm Courier"
name = "courier"
time_zone = "Pacific/Kiritimati"
stories = 8
max_cost_usd = 0.25

[daily]
minutes = 40

[weekly]
on = "sunday"

[[desk]]
name = "town"
title = "Town"
description = "streets, bridges, buses"
most = 5

[[feed]]
name = "The Bell"
path = "feeds/bell.xml"
most = 30
"""


def run(folder: Path, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """In a folder where nothing is set but what is said."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHYARD_")}
    told = {f"SWITCHYARD_{name}": value for name, value in variables.items()}
    found = subprocess.run(
        [sys.executable, "-m", "app.cli", "press", *argv], cwd=folder, env={"PYTHONPATH": str(ROOT), **kept, **told},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in found.stderr
    return found


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--date", "2026-13-01"], "--date: '2026-13-01' is no date\n  hint: write it as 2026-11-20"),
        (["--date", "yesterday"], "--date: 'yesterday' is no date"),
        (["--date", "20261120"], "--date: '20261120' is no date"),
        (["--kind", "hourly"], "--kind: there is no 'hourly' edition\n  hint: choose daily, weekly, growth"),
        (["--specimen", "--paper", "x.toml"], "--specimen has a newspaper of its own"),
        (["--specimen", "--dry-run"], "--specimen calls no provider and costs nothing"),
        (["--list", "--specimen"], "no specimen has been made in .switchyard/press"),
        (["--list", "--reprint"], "--list says what there is"),
        (["--paper", "missing.toml"], "missing.toml: there is no such file"),
        (["--paper", "."], ".: this is a directory, not a newspaper file"),
        (["--paper", "broken.toml"], 'broken.toml:1: unknown key "titel"; did you mean "title"?'),
        (["--dry-run"], "there is no newspaper to plan\n  hint: copy newspaper.example.toml to newspaper.toml"),
        (["--paper", "paper.toml", "--dry-run"], "no fleet file\n  hint: set SWITCHYARD_FLEET"),
        (["--paper", "paper.toml", "--date", "2999-01-01"], "--date: 2999-01-01 has not begun in Pacific/Kiritimati"),
        (["--paper", "paper.toml", "--dry-run", "--date", "2999-01-01"], "--date: 2999-01-01 has not begun"),
    ],
)
def test_a_wrong_call_is_a_sentence_with_the_next_step(tmp_path: Path, argv: list[str], said: str) -> None:
    (tmp_path / "paper.toml").write_text(PAPER)
    (tmp_path / "broken.toml").write_text(PAPER.replace("title", "titel", 1))
    found = run(tmp_path, *argv)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr
    assert not (tmp_path / ".switchyard").exists()


def test_a_home_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = run(tmp_path, HOME=str(tmp_path / "file"))
    assert (found.returncode, found.stdout) == (2, "")
    assert "cannot be written (Not a directory)" in found.stderr


def test_a_newspaper_without_a_yard_is_told_to_start_one_or_to_see_a_specimen(tmp_path: Path) -> None:
    (tmp_path / "newspaper.toml").write_text(PAPER)
    found = run(tmp_path)
    assert (found.returncode, found.stdout) == (3, "")
    assert "`switchyard up`" in found.stderr
    assert "switchyard press --specimen" in found.stderr


def opened(ledger: Engine, base: Path, date: dt.date, **changed: Any) -> int:
    paper = parse(PAPER.encode(), base / "newspaper.toml")
    at = dt.datetime.combine(date, dt.time(5), tzinfo=dt.UTC)
    fields = {
        "paper": paper.name, "kind": "daily", "date": date, "run": 1, "settings": paper.model_dump(mode="json"),
        "base": str(base), "specimen": False, "late": False, "opened_at": at,
        "deadline_at": at + dt.timedelta(minutes=40),
    }  # fmt: skip
    made = editions.open_edition(ledger, **{**fields, **changed})
    assert made is not None
    return made


def test_a_list_says_which_editions_there_are_the_newest_first(
    tmp_path: Path, ledger: Engine, database_url: str
) -> None:
    first, second = dt.date(2026, 11, 18), dt.date(2026, 11, 19)
    document: dict[str, Any] = {}
    pages = []
    for date, minutes in ((first, 39), (second, 41)):
        made_at = dt.datetime.combine(date, dt.time(5), tzinfo=dt.UTC) + dt.timedelta(minutes=minutes)
        made = opened(ledger, tmp_path, date)
        assert editions.finish(ledger, made, document, [], ["folder"], made_at)
        if date == first:
            publications.published(ledger, made, "folder", "", made_at)
        # What stands where the second is to come is another's: its folder has not taken it.
        pages.append(tmp_path / "editions" / str(date) / "index.html")
        pages[-1].parent.mkdir(parents=True)
        pages[-1].touch()
    opened(ledger, tmp_path, dt.date(2026, 11, 20))
    opened(ledger, tmp_path, second, kind="weekly", late=True)

    found = json.loads(run(tmp_path, "--list", "--json", DATABASE_URL=database_url).stdout)
    assert [(row["date"], row["kind"], row["state"], row["on_time"], row["page"]) for row in found] == [
        ("2026-11-20", "daily", "open", None, None),
        ("2026-11-19", "weekly", "open", None, None),
        ("2026-11-19", "daily", "made", False, None),
        ("2026-11-18", "daily", "published", True, str(pages[0])),
    ]
    table = run(tmp_path, "--list", DATABASE_URL=database_url).stdout.splitlines()
    assert table[0].split() == ["DATE", "KIND", "RUN", "PAPER", "STATE", "ON", "TIME", "PAGE"]
    assert [line.split()[:5] for line in table[1:]][-1] == ["2026-11-18", "daily", "1", "courier", "published"]
    assert str(pages[0]) in table[-1]


def test_an_empty_list_says_what_to_do(tmp_path: Path, database_url: str) -> None:
    found = run(tmp_path, "--list", DATABASE_URL=database_url)
    assert found.returncode == 0
    assert "switchyard press prints one" in found.stderr
    assert json.loads(run(tmp_path, "--list", "--json", DATABASE_URL=database_url).stdout) == []


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A folder with a newspaper and a fleet of three tiers, three families each, at which nobody answers."""
    (tmp_path / "newspaper.toml").write_text(PAPER)
    (tmp_path / "fleet.toml").write_text(fleet_text())
    return tmp_path


def fleet_text() -> str:
    tables = []
    for tier, price in (("cheap", 0.1), ("standard", 1.0), ("complex", 3.0)):
        for n in (1, 2, 3):
            name = f"{tier}{n}"
            tables.append(
                f'[[provider]]\nname = "{name}"\nprotocol = "openai"\nbase_url = "http://127.0.0.1:9"\nlocal = true\n'
                f'[[provider.model]]\nid = "{name}"\ntier = "{tier}"\nfamily = "{name}"\ncontext_window = 100000\n'
                f"max_output = 8000\ninput_price = {price}\noutput_price = {2 * price}\nquality = 0.5\n"
                'capabilities = ["json"]\n'
            )
    return "\n".join(tables)


def test_a_dry_run_says_what_an_edition_would_take_and_calls_nobody(planned: Path) -> None:
    found = run(planned, "--dry-run")
    assert found.returncode == 0, found.stderr
    assert "1 feeds, at most 30 articles out of them and 5 stories" in found.stdout
    assert "never more than $0.25" in found.stdout
    assert "it ships 40 min after it is opened" in found.stdout
    assert "roughly" in found.stdout

    told = json.loads(run(planned, "--dry-run", "--json").stdout)
    steps = {step["step"]: step for step in told["steps"]}
    assert {name: step["items"] for name, step in steps.items()} == {
        "merge": 2, "sort:desk": 30, "sort:importance": 30, "sort:genre": 30, "sort:language": 30, "write": 5,
        "check": 5, "lead": 1, "check of lead": 1,
    }  # fmt: skip
    assert all(step["estimate"]["calls"][0] > 0 for step in told["steps"])
    assert told["calls"] == [sum(step["estimate"]["calls"][n] for step in told["steps"]) for n in (0, 1)]
    # Packs of ten, two voices at the least and three at the most.
    assert steps["sort:desk"]["estimate"]["calls"] == [6, 9]
    assert 0 < told["cost_usd"][0] < told["cost_usd"][1]
    assert not (planned / ".switchyard").exists()


def test_a_weekly_one_has_a_narrative_only_and_a_step_that_nobody_serves_says_so(planned: Path) -> None:
    (planned / "fleet.toml").write_text(fleet_text().replace('["json"]', "[]"))
    told = json.loads(run(planned, "--dry-run", "--kind", "weekly", "--json").stdout)
    assert [(step["step"], step["estimate"]) for step in told["steps"]] == [("weekly", None), ("check of weekly", None)]
    assert (
        "weekly: no deployment of the fleet may serve this job" in run(planned, "--dry-run", "--kind", "weekly").stdout
    )


def test_what_the_fleet_lacks_is_planned_as_it_will_be_done(planned: Path) -> None:
    """One model, and a cheap one: it votes alone, and does what a better one is wished for."""
    (planned / "fleet.toml").write_text(fleet_text().split("\n\n[[provider]]")[0].replace('"standard"', '"cheap"'))
    steps = {step["step"]: step for step in json.loads(run(planned, "--dry-run", "--json").stdout)["steps"]}
    assert all(step["estimate"] is not None for step in steps.values())
    assert (steps["sort:desk"]["strategy"], steps["sort:desk"]["estimate"]["calls"]) == ("single-query", [3, 3])
    assert (steps["lead"]["strategy"], steps["lead"]["tier"]) == ("synthesize-best", "cheap")
