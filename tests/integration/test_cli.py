"""The command line: exit codes, what goes to stdout and what to stderr, and no traceback for anybody's mistake."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.cli.options import seconds_until
from app.cli.output import cell, one_line, safe
from app.core.errors import UsageError
from app.ledger import door
from app.ledger.states import JobState
from tests.integration.commands import Run

FLEET = """\
[[provider]]
name = "one"
protocol = "openai"
base_url = "http://127.0.0.1:9/one/v1"
rpm = 60

[[provider.model]]
id = "small"
tier = "cheap"
family = "s"
context_window = 8000
max_output = 1000

[[provider.model]]
id = "mid"
tier = "cheap"
family = "m"
context_window = 8000
max_output = 1000
"""


@pytest.fixture
def bare(command: Run, tmp_path: Path) -> Run:
    """With a fleet file beside it."""
    (tmp_path / "fleet.toml").write_text(FLEET)
    return command


@pytest.fixture
def cli(bare: Run, monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str) -> Run:
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", database_url)
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", redis_url)
    return bare


def write(text: str, name: str = "in.csv") -> str:
    Path(name).write_text(text)
    return name


def count(ledger: Engine) -> int:
    with ledger.begin() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one())


# What is wrong, and how it ends


def test_without_a_yard_every_command_says_how_to_start_one(bare: Run) -> None:
    write("text\nhello\n")
    for argv in (["submit", "in.csv"], ["status"], ["results", "x"], ["fleet"], ["spend"], ["cancel", "x"]):
        ran = bare(*argv)
        assert (ran.code, ran.out) == (3, ""), argv
        assert "no yard is running here: start one with `switchyard up`" in ran.err


def test_servers_that_do_not_answer_are_missing(bare: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", "postgresql://user:hunter2@127.0.0.1:9/none")
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", "redis://:hunter2@127.0.0.1:9/0")
    write("text\nhello\n")
    for argv in (["submit", "in.csv"], ["status"], ["fleet"]):
        ran = bare(*argv)
        assert ran.code == 3
        assert "does not answer" in ran.err
        assert "hunter2" not in ran.err
    ran = bare("doctor")
    assert ran.code == 3
    assert "hunter2" not in ran.out + ran.err


def test_a_database_without_tables_is_told_apart(cli: Run, ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    ran = cli("status")
    assert ran.code == 3
    assert "switchyard migrate" in ran.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["submit"], "Missing argument"),
        (["submit", "nowhere.csv"], "nowhere.csv: cannot be read (No such file"),
        (["submit", "."], "directory"),
        (["submit", "in.csv", "--labels", "a"], "at least two labels"),
        (["submit", "in.csv", "--labels", "a,b", "--labels-file", "in.csv"], "alternatives"),
        (["submit", "in.csv", "--labels-file", "nowhere"], "--labels-file: nowhere: cannot be read"),
        (["submit", "in.csv", "--schema", "{"], "--schema: not JSON"),
        (["submit", "in.csv", "--schema", "[]"], "--schema: []: cannot be read"),
        (["submit", "in.csv", "--prompt", "@nowhere"], "--prompt: nowhere"),
        (["submit", "in.csv", "--tier", "big"], "'tier'"),
        (["submit", "in.csv", "--tier", "complex"], "tier: none is complex"),
        (["submit", "in.csv", "--strategy", "vote"], "there is no strategy 'vote'"),
        (["submit", "in.csv", "--council", "x"], "--council"),
        (["submit", "in.csv", "--max-cost", "nan"], "'max_cost_usd'"),
        (["submit", "in.csv", "--deadline", "soon"], "neither a duration nor a date"),
        (["submit", "in.csv", "--deadline", "2001-01-01"], "past"),
        (["submit", "in.csv", "--text", "body"], "no column 'body'"),
        (["submit", "in.csv", "--nope"], "No such option"),
        (["submit", "bad.csv"], "line 3: the text is empty"),
        (["submit", "bad.csv", "--dry-run"], "line 3: the text is empty"),
        (["submit", "empty.csv"], "the input is empty"),
        (["results", "job-none"], "no job 'job-none'"),
        (["results", "job-none", "--follow"], "no job 'job-none'"),
        (["results", "job-none", "--format", "xml"], "xml"),
        (["results", "job-none", "--format", "csv", "--json"], "--json is --format jsonl"),
        (["status", "job-none"], "no job 'job-none'"),
        (["explain", "job-none", "1"], "no job 'job-none'"),
        (["replay", "job-none"], "no job 'job-none'"),
        (["replay", "job-none", "--strategy", "x("], "not a recipe"),
        (["cancel", "job-none"], "no job 'job-none'"),
        (["retry", "job-none"], "--failed"),
        (["spend", "--by", "moon"], "moon"),
        (["status", "\udcff"], "not UTF-8"),
        (["frobnicate"], "No such command"),
        (["simulate", "--fleet", "nowhere.toml"], "nowhere.toml: No such file"),
        (["simulate", "--fleet", "in.csv"], "so says in.csv"),
        (["submit", "in.csv", "--labels", ""], "--labels is empty"),
        (["submit", "in.csv", "--baseline", "one/smal", "--dry-run"], "did you mean 'one/small'"),
        (["outcome", "job-none", "1", "accepted"], "no job 'job-none'\n  hint: switchyard status lists"),
        (["outcome", "job-none", "1", "accepted", "--file", "in.csv"], "alternatives"),
        (["accuracy", "--job", "job-none"], "no job 'job-none'"),
        (["fleet", "moonbase"], "switchyard fleet lists them"),
    ],
)
def test_a_wrong_call_ends_2_with_a_sentence(cli: Run, ledger: Engine, argv: list[str], said: str) -> None:
    write("id,text\n1,hello\n")
    write("id,text\n1,hello\n2, \n", "bad.csv")
    write("", "empty.csv")
    ran = cli(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert count(ledger) == 0


def test_a_broken_fleet_file_is_named_by_its_line(cli: Run) -> None:
    write("text\nhello\n")
    Path("fleet.toml").write_text(FLEET.replace("rpm", "rmp"))
    ran = cli("submit", "in.csv")
    assert ran.code == 2
    assert "fleet.toml:5" in ran.err
    Path("fleet.toml").unlink()
    assert "no fleet file" in cli("submit", "in.csv").err


# Submitting


def test_submit_stores_and_prints_the_id_alone(cli: Run, ledger: Engine) -> None:
    write("id,text,y\n1,hello,a\n2,you,b\n")
    argv = ["submit", "in.csv", "--labels", 'a,b,"c, d"', "--gold", "y", "--team", "news", "--idempotency-key", "k"]
    ran = cli(*argv)
    assert ran.code == 0
    assert ran.out.strip().startswith("job-")
    assert "2 items stored" in ran.err
    again = cli(*argv, "--json")
    assert again.json == {"job": ran.out.strip(), "items": 2, "existing": True}
    assert cli(*argv, "--priority", "3").code == 2
    status = cli("status", ran.out.strip(), "--json")
    assert (status.code, status.json["pending"], status.json["team"]) == (0, 2, "news")
    with ledger.begin() as connection:
        task = connection.exec_driver_sql("SELECT task FROM jobs").scalar_one()
    assert task["labels"] == ["a", "b", "c, d"]


def test_the_id_stands_alone_on_stdout_also_where_services_have_something_to_log(cli: Run, ledger: Engine) -> None:
    write("id,text\n1,write to jane.doe@example.com\n")
    argv = [sys.executable, "-m", "app.cli", "submit", "in.csv", "--labels", "a,b"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"job-\w{10}\n", done.stdout)
    assert "1 with email" in done.stderr
    assert "jane.doe" not in done.stdout + done.stderr


def test_what_is_not_learned_yet_is_told_apart_from_what_is_not_there(cli: Run, ledger: Engine) -> None:
    assert "nothing is learned yet" in cli("accuracy").err
    assert "no bandit has run: submit" in cli("bandit").err
    assert "no bandit has run for the use case 'moon' of team 'x'" in cli("bandit", "moon", "--team", "x").err


def test_submitting_rings_dispatch_once_it_is_stored(
    database_url: str, redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    fleet, file = tmp_path / "fleet.toml", tmp_path / "in.csv"
    fleet.write_text(FLEET)
    file.write_text("text\nhello\n")
    # A process of its own: Celery keeps the broker it was first told.
    urls = {"SWITCHYARD_DATABASE_URL": database_url, "SWITCHYARD_REDIS_URL": redis_url}
    with run_process("submit", str(file), env={**urls, "SWITCHYARD_FLEET": str(fleet)}) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert out.startswith(b"job-")
    queued = [json.loads(raw) for raw in redis_client.lrange("control", 0, -1)]
    assert [message["headers"]["task"] for message in queued] == ["switchyard.dispatch"]


def test_stdin_and_bad_rows(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    data = '{"text": "one", "id": "x"}\n{"text": ""}\n{"text": "two", "id": "x"}\n{"text": "three", "id": "z"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
    ran = cli("submit", "-", "--skip-bad-rows", "--json")
    assert ran.code == 0
    assert ran.json["items"] == 2
    assert "skipped line 2: the key 'id' is missing" in ran.err
    assert "skipped 1 with an id that was there before" in ran.err


def test_a_dry_run_needs_no_server_and_stores_nothing(bare: Run) -> None:
    write("text\n" + "".join(f"hello {n}\n" for n in range(100)))
    ran = bare("submit", "in.csv", "--labels", "a,b", "--council", "2", "--dry-run", "--json")
    assert ran.code == 0
    assert ran.json["calls"] == [200, 200]
    assert ran.json["finish_s"][0] > 100
    words = bare("submit", "in.csv", "--dry-run").out
    assert "calls     100\n" in words
    assert "cost      unknown\n" in words and "2 without a known price: " in words
    assert ran.json["cost_usd"] is None and ran.json["unpriced"] == 2
    refused = bare("submit", "in.csv", "--max-cost", "5", "--dry-run")
    assert (refused.code, refused.out) == (2, "")
    Path("fleet.toml").write_text(FLEET + "input_price = 1\noutput_price = 2\n")
    ran = bare("submit", "in.csv", "--max-cost", "5", "--dry-run", "--json")
    assert (ran.json["deployments"], ran.json["left_out_unpriced"]) == (1, ["one/small"])
    words = bare("submit", "in.csv", "--max-cost", "5", "--dry-run").out
    assert "1 without a known price left out: the job has a budget" in words
    assert "unpriced: it has a budget (--max-cost)" in refused.err and "state input_price" in refused.err
    assert bare("submit", write("text\n", "none.csv"), "--dry-run").code == 2


# Reading


def test_a_finished_job_with_undecided_items_ends_1(cli: Run, worked_job: Callable[..., str]) -> None:
    job = worked_job()
    ran = cli("results", job)
    assert ran.code == 1
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["status"] for line in lines] == ["decided", "decided", "undecided"]
    assert list(lines[0]) == ["custom_id", "status", "answer", "agreement", "confidence", "strategy", "flags", "votes",
                              "abstentions", "calls", "cost_usd", "latency_ms", "reason"]  # fmt: skip
    assert cli("status", job).code == 1
    assert "accuracy  50.0% of 2" in cli("status", job).out
    followed = cli("results", job, "--follow")
    assert followed.code == 1
    assert followed.out == ran.out
    assert job in followed.err
    assert cli("replay", job).code == 0


def test_a_running_job_ends_0_whatever_it_has(cli: Run, worked_job: Callable[..., str]) -> None:
    job = worked_job(state="running", waiting=1)
    assert cli("results", job).code == 0
    assert cli("status", job, "--json").code == 0
    listed = cli("status", "--json").json
    assert [(line["id"], line["done"]) for line in listed] == [(job, 3)]
    assert job in cli("status").out


def test_results_in_other_formats(cli: Run, worked_job: Callable[..., str], ledger: Engine) -> None:
    job = worked_job(state="running", waiting=1)
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE decisions SET answer = '=HYPERLINK(\"x\")' WHERE answer = 'a'")
    assert cli("results", job, "--format", "csv", "-o", "out.csv").out == ""
    rows = list(csv.DictReader(io.StringIO(Path("out.csv").read_text(), newline="")))
    assert [row["status"] for row in rows] == ["decided", "decided", "undecided", "pending"]
    assert rows[0]["answer"] == '\'=HYPERLINK("x")'
    batch = [json.loads(line) for line in cli("results", job, "--format", "openai").out.splitlines()]
    assert [line["custom_id"] for line in batch] == ["agreed", "contested", "lost"]
    assert batch[1]["response"]["body"]["choices"][0]["message"] == {"role": "assistant", "content": "b"}
    assert batch[2]["error"] == {"code": "undecided", "message": "no_answer: timeout"}


def test_explain_lets_nothing_loose_on_the_terminal(cli: Run, worked_job: Callable[..., str]) -> None:
    job = worked_job()
    ran = cli("explain", job, "contested")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "\\x1b[31mtext [bold]of[/] contested" in ran.out
    assert "decision  b, agreement 0.67" in ran.out
    found = cli("explain", job, "contested", "--json").json
    assert {"plan", "attempts", "votes", "waves", "decision"} <= set(found)
    assert cli("explain", job, "nobody").code == 2


def test_replay_ends_1_and_names_the_item_that_was_altered(
    cli: Run, worked_job: Callable[..., str], ledger: Engine
) -> None:
    job = worked_job()
    assert cli("replay", job, "--json").json == {"checked": 3, "differences": []}
    other = cli("replay", job, "--strategy", "single-query")
    assert other.code == 0
    assert "1 changed" in other.out
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE votes SET answer = 'a' WHERE seat = 2 AND answer = 'b'")
    ran = cli("replay", job)
    assert ran.code == 1
    assert "contested: the votes differ" in ran.out


def test_pause_resume_cancel_and_retry(cli: Run, worked_job: Callable[..., str], ledger: Engine) -> None:
    job = worked_job(state="running", waiting=1)
    assert cli("retry", job, "--failed").code == 2
    for command, said in (("pause", "is paused"), ("pause", "already"), ("resume", "is running again"),
                          ("cancel", "is cancelled"), ("cancel", "already")):  # fmt: skip
        ran = cli(command, job)
        assert (ran.code, ran.out) == (0, "")
        assert said in ran.err
    assert cli("pause", job).code == 2
    assert cli("status", job).code == 1
    assert "2 items are back in the yard" in cli("retry", job, "--failed").err
    assert cli("status", job, "--json").json["pending"] == 2
    assert door.change_state(ledger, job, JobState.RUNNING) is JobState.RUNNING


def test_spend_fleet_and_doctor_answer(cli: Run, worked_job: Callable[..., str]) -> None:
    worked_job()
    assert cli("spend", "--by", "use-case", "--json").json[0]["use_case"] == "desks"
    assert "$0.008003" in cli("spend").err
    fleet = cli("fleet", "--json")
    assert fleet.code == 0
    assert [(row["deployment"], row["health"]) for row in fleet.json] == [
        ("one/small", "unknown"),
        ("one/mid", "unknown"),
    ]
    assert {"rule": "rpm", "limit": 60}.items() <= fleet.json[0]["limits"][0].items()
    assert "one/small" in cli("fleet").out
    checked = cli("fleet", "check", "--json")
    assert checked.code == 0
    assert {row["health"] for row in checked.json} <= {"down"}
    doctor = cli("doctor", "--json")
    assert doctor.code == 0
    unpriced = {f["what"]: f["advice"] for f in doctor.json if f["what"].startswith("price ")}
    assert unpriced.keys() == {"price one/small", "price one/mid"}
    assert all("state input_price and output_price" in advice for advice in unpriced.values())
    assert {f["state"] for f in doctor.json if f["what"] in ("postgres", "redis", "fleet")} <= {"ok", "warn"}


# The process itself


def run_process(*argv: str, env: dict[str, str], **more: Any) -> subprocess.Popen[bytes]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SWITCHYARD_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", *argv], env={**clean, **env}, cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


def test_a_reader_that_leaves_early_is_no_trouble(
    ledger: Engine, database_url: str, worked_job: Callable[..., str]
) -> None:
    job = worked_job(waiting=5_000, state="running")
    process = run_process("results", job, env={"SWITCHYARD_DATABASE_URL": database_url})
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.readline().startswith(b'{"custom_id":"agreed"')
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_following_can_be_interrupted_quietly(
    ledger: Engine, database_url: str, worked_job: Callable[..., str]
) -> None:
    import signal

    job = worked_job(waiting=1, state="running")
    process = run_process("results", job, "--follow", env={"SWITCHYARD_DATABASE_URL": database_url})
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert b"agreed" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 130


def test_following_gives_each_item_as_it_is_decided(
    ledger: Engine, database_url: str, worked_job: Callable[..., str]
) -> None:
    job = worked_job(waiting=1, state="running")
    process = run_process("results", job, "--follow", env={"SWITCHYARD_DATABASE_URL": database_url})
    assert process.stdout is not None
    with process:
        ids = [json.loads(process.stdout.readline())["custom_id"] for _ in range(3)]
        door.change_state(ledger, job, JobState.CANCELLED)
        ids += [json.loads(line)["custom_id"] for line in process.stdout]
    assert ids == ["agreed", "contested", "lost", "waits-0"]
    assert process.returncode == 1


def test_help_does_not_import_the_world() -> None:
    probe = (
        "import sys; sys.argv = ['switchyard', '--help']\n"
        "from app.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'sqlalchemy', 'celery', 'redis', 'httpx', 'aiohttp', 'psycopg'} & set(sys.modules)\n"
        "assert not heavy and not code, heavy"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"submit" in done.stdout


# Small things


def test_durations_and_dates() -> None:
    assert seconds_until("2h") == 7200
    assert seconds_until("1d12h30m") == 131_400
    assert seconds_until("0.5h") == 1800
    for text in (
        "",
        "0s",
        "400d",
        "9999-01-01T00:00:00+00:00",
        "h",
        "-2h",
        "2 hours",
        "2001-01-01T00:00",
        "1e9s",
        "9" * 400,
    ):
        with pytest.raises(UsageError):
            seconds_until(text)


def test_what_comes_from_outside_is_made_harmless() -> None:
    assert safe("a\x1b[2Jb\x9b\u202e\ud800\nc\r") == "a\\x1b[2Jb\\x9b\\u202e\\ud800\nc\\r"
    assert one_line("a\n b" + "x" * 100, 10) == "a bxxxxxx…"
    cells = ["=1", "+1", "-1", "@a", "\t=1", "\r", "a=1", -1, None]
    assert [cell(value) for value in cells] == ["'=1", "'+1", "'-1", "'@a", "'\t=1", "'\r", "a=1", "-1", ""]
