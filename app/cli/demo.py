"""``switchyard demo``: a whole yard in changing weather, on this machine alone."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import servers
from app.cli.interrupts import INTERRUPTED, command_on, interruptible
from app.cli.output import put, put_json, say
from app.core.errors import ServiceMissing

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.demo.stage import Stage
    from app.ledger.reports import Progress
    from app.services.jobspec import JobSpec

_TEAM, _USE_CASE = "demo", "headlines"
_SEATED_S = 30.0
_OTHERS_S = 3.0


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(as_json: Annotated[bool, typer.Option("--json", help="The summary in JSON.")] = False) -> None:
    """Sort 248 headlines with twelve simulated providers in bad weather. No key, no network."""
    from app.demo.stage import Stage

    home = servers.load().home / "demo"
    command = command_on(home)
    with interruptible():
        stage = Stage(home)
        say("starting twelve simulated providers and a yard of its own ...")
        try:
            end = _play(stage, command, as_json)
        except KeyboardInterrupt:
            say(f"stopped; everything is kept in {home}")
            raise typer.Exit(INTERRUPTED) from None
    if end.undecided or end.failed or end.pending:
        raise typer.Exit(1)


def _play(stage: Stage, command: str, as_json: bool) -> Progress:
    from app.cli.progress import follow
    from app.demo.summary import summarise

    opened = dt.datetime.now(dt.UTC)
    with stage, servers.engine(servers.settings()) as engine:
        _wait_seated(engine, len(servers.fleet_file(servers.load()).current().deployments), opened)
        stage.begin()
        job_id = _job(engine)
        try:
            end = follow(engine, job_id)
        except KeyboardInterrupt:
            _interrupted(engine, job_id, command)
            raise
        summary = summarise(engine, job_id, stage.weather, command)
        say("stopping ...")
    if as_json:
        put_json(summary.to_json())
    else:
        put("\n" + summary.to_text())
    return end


def _wait_seated(engine: Engine, deployments: int, opened: dt.datetime) -> None:
    """Until the health check has looked at every deployment; those it may not ping just now are not waited for long."""
    from app.ledger import health

    until = time.monotonic() + _SEATED_S
    while True:
        looked = [h for h in health.current(engine).values() if h.checked_at >= opened]
        if len(looked) >= deployments:
            return
        now = time.monotonic()
        if any(h.state == "healthy" for h in looked):
            until = min(until, now + _OTHERS_S)
        if now > until:
            if looked:
                return
            raise ServiceMissing(
                "no provider was looked at by the health check", hint=f"see {servers.load().home}/logs"
            )
        time.sleep(0.05)  # the ledger rings no bell for those who only look


def _job(engine: Engine) -> str:
    """A new job; or the one that an interrupted demonstration left, if it can still be finished in time."""
    from app.demo.stage import HEADLINES
    from app.ledger import reports
    from app.services.intake import read
    from app.services.rows import Columns
    from app.services.submitting import Submitter

    for left in reports.jobs(engine, most=1):
        at = reports.progress(engine, left.id)
        if at.state == "running" and at.deadline_at > reports.now(engine) + dt.timedelta(minutes=10):
            say(f"going on with {left.id}, where {at.items - at.pending} of {at.items} were decided")
            return left.id
    found = servers.settings()
    spec = _spec()
    with HEADLINES.open("rb") as stream:
        rows = read(stream, Columns(gold="gold", labels=spec.labels), name=HEADLINES.name)
        stored = Submitter(engine, servers.fleet_file(found)).submit(spec, rows)
    servers.ring(found)
    return stored.job_id


def _spec() -> JobSpec:
    import csv

    from app.demo.stage import HEADLINES
    from app.services.jobspec import spec_of

    with HEADLINES.open(encoding="utf-8", newline="") as file:
        labels = sorted({row["gold"] for row in csv.DictReader(file)})
    return spec_of({"task": "classify", "labels": labels, "tier": "cheap", "team": _TEAM, "use_case": _USE_CASE})


def _interrupted(engine: Engine, job_id: str, command: str) -> None:
    from app.ledger import reports

    at = reports.progress(engine, job_id)
    say(f"\ninterrupted: {at.decided} of {at.items} headlines are decided, {at.calls} calls made for them")
    say(f"  see them:  {command} results {job_id}")
    say("  go on:     run the demonstration again; it takes up this job where it stands")
    say("stopping ...")
