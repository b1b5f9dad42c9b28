"""Commands about a job that is in the ledger: status, results, explain, cancel, pause, resume, retry."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.output import clock, cost, duration, one_line, put, put_json, put_table, say, usd
from app.core.errors import UsageError

if TYPE_CHECKING:
    from app.core.outlook import Outlook
    from app.ledger.reports import JobStatus, Progress
    from app.ledger.states import JobState
    from app.ledger.traits import Sorting

_WAITING_SHOWN = 5

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    OPENAI = "openai"


def register(app: typer.Typer) -> None:
    for command in (status, results, explain, cancel, pause, resume, retry):
        app.command()(command)


def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; without it the latest.")] = None,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="How many jobs to list.")] = 20,
    as_json: AsJson = False,
) -> None:
    """How far a job is, and what it has cost; without a job, the list of jobs."""
    from app.cli import choice
    from app.ledger import reports, traits

    if job is None:
        with servers.ledger() as engine:
            lines = reports.jobs(engine, most)
        if as_json:
            put_json([line.to_json() for line in lines])
            return
        put_table(
            ["job", "state", "done", "items", "team", "use case", "tier", "recipe", "created"],
            [
                [j.id, j.state, j.done, j.items, j.team, j.use_case, j.tier, j.recipe, f"{j.created_at:%Y-%m-%d %H:%M}"]
                for j in lines
            ],
        )
        return
    settings = servers.settings(redis=False)
    with servers.engine(settings) as engine, servers.lookout(settings, job) as look:
        found, sorted_ = reports.status(engine, job), traits.sorting(engine, job)
        ahead = look() if found.progress.pending else None
        chosen = choice.status_of(engine, job)
    if as_json:
        waiting = None if ahead is None else ahead.to_json()
        put_json({**found.to_json(), **sorted_.to_json(), **chosen, "waiting": waiting})
    else:
        words = _status_words(found, sorted_) + choice.status_words(chosen)
        put(words + (_waiting_words(ahead) if ahead is not None else ""))
    _leave_as(found.progress)


def _status_words(found: JobStatus, sorted_: Sorting) -> str:
    at = found.progress
    attempts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(found.attempts.items()))
    lines = [
        f"job       {found.job.id}  {at.state}",
        f"recipe    {found.job.recipe}, tier {found.job.tier}, team {found.job.team}, use case {found.job.use_case}",
        f"items     {at.items:,}: {at.decided:,} decided, {at.undecided:,} undecided, {at.failed:,} failed, "
        f"{at.pending:,} pending",
        f"votes     {found.votes:,}, and {found.abstentions:,} abstentions",
        f"calls     {found.calls:,}" + (f" ({attempts})" if attempts else ""),
        f"tokens    {found.input_tokens:,} in, {found.output_tokens:,} out",
        f"cost      {cost(found.cost_micro / 1e6, found.unpriced, 'calls')}",
    ]
    if sorted_.private or sorted_.redacted:
        lines.append(f"privacy   {sorted_.private:,} private, {sorted_.redacted:,} redacted")
    if others := [f"{n:,} {lane}" for lane, n in sorted_.lanes.items() if not lane.startswith("private")]:
        lines.append(f"lanes     {', '.join(map(one_line, others))}")
    if found.pack != 1 or found.pack_trial is not None:
        lines.append(f"packs     {_pack_words(found.pack, found.pack_trial)}")
    if found.duplicates or found.similar:
        lines.append(f"doubles   {found.duplicates:,} identical items and {found.similar:,} similar ones asked once")
    if found.reused:
        lines.append(f"reused    {found.reused:,} votes of other jobs, which paid {usd(found.reused_micro / 1e6)}")
    if found.mean_calls is not None:
        lines.append(f"per item  {found.mean_calls:.3f} calls")
    if found.accuracy is not None:
        lines.append(f"accuracy  {found.accuracy:.1%} of {found.with_gold:,} of which it is known")
    lines.append(f"speed     {found.calls_per_s:.1f} calls/s over the last minute")
    lines.append(f"time      {duration(at.elapsed_s)}, deadline {at.deadline_at.astimezone():%Y-%m-%d %H:%M}")
    lines += [f"reason    {count:,} x {one_line(reason)}" for reason, count in found.reasons.items()]
    return "\n".join(lines) + "\n"


def _pack_words(pack: int, trial: dict[str, Any] | None) -> str:
    if pack == 0:
        return "being found out" if trial else "to be found out"
    words = f"up to {pack} items a call" if pack > 1 else "one item a call"
    if trial is None:
        return words
    if not trial.get("packs"):
        return f"{words}: too few items for a trial"
    twice, differed = trial["singles"]
    seen = ", ".join(f"{size} a call {bad}/{of}" for size, (of, bad) in trial["packs"].items())
    return f"{words}, by a trial; answers that differ: asked twice {differed}/{twice}, {seen}"


def _waiting_words(ahead: Outlook) -> str:
    """The first to open by name; of the others how many there are."""
    lines = []
    for standing in ahead.waiting[:_WAITING_SHOWN]:
        until = "" if standing.opens_s == math.inf else f", until {clock(standing.opens_s)}"
        lines.append(f"waits     for {standing.deployment}: {one_line(standing.why, 100)}{until}\n")
    if len(ahead.waiting) > _WAITING_SHOWN:
        lines.append(f"          and {len(ahead.waiting) - _WAITING_SHOWN} others; switchyard fleet shows them all\n")
    return "".join(lines) or "waits     no deployment of the fleet may serve it\n"


def results(
    job: Job,
    format_: Annotated[Format, typer.Option("--format", help="jsonl, csv or openai.")] = Format.JSONL,
    follow: Annotated[bool, typer.Option("--follow", help="Give each item as it is decided, to the end.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
) -> None:
    """The answers, at any time. Items that are not decided yet are pending (left out by openai and by --follow)."""
    from app.cli.delivery import follow_results, opened, write_results
    from app.ledger import reports

    if as_json and format_ is not Format.JSONL:
        raise UsageError(f"--json is --format jsonl, not {format_.value}")
    with servers.ledger() as engine:
        end = reports.progress(engine, job)
        with opened(output) as write:
            if follow:
                end = follow_results(engine, job, format_.value, write)
            else:
                write_results(engine, job, format_.value, write)
    _leave_as(end)


def explain(job: Job, custom_id: Annotated[str, typer.Argument(metavar="CUSTOM_ID")], as_json: AsJson = False) -> None:
    """Why an item got its answer: its plan, every wave, attempt and vote, and the decision."""
    from app.cli.story import story
    from app.ledger import testimony

    with servers.ledger() as engine:
        found = testimony.explain(engine, job, custom_id)
    if as_json:
        put_json(found)
    else:
        put(story(found))


def cancel(job: Job) -> None:
    """Stop a job: what waits is undecided; calls under way are still counted."""
    from app.ledger.states import JobState

    _change(job, JobState.CANCELLED, "cancelled")


def pause(job: Job) -> None:
    """Put no further chunks of a job on the tracks."""
    from app.ledger.states import JobState

    _change(job, JobState.PAUSED, "paused")


def resume(job: Job) -> None:
    """Go on with a paused job."""
    from app.ledger.states import JobState

    _change(job, JobState.RUNNING, "running again")


def _change(job: str, to: JobState, word: str) -> None:
    from app.ledger import door
    from app.ledger.states import JobState

    found = servers.settings(redis=False)
    with servers.engine(found) as engine:
        before = door.change_state(engine, job, to)
    if to is JobState.RUNNING:
        servers.ring(found)
    say(f"{job} was {before.value} already" if before is to else f"{job} is {word}")


def retry(
    job: Job,
    failed: Annotated[bool, typer.Option("--failed", help="Those that were not decided.")] = False,
    deadline: Annotated[str, typer.Option(help="At least this long from now: 2h, 30m, an ISO date.")] = "1d",
) -> None:
    """Put the undecided and failed items of a finished job back into the yard."""
    from app.cli.options import seconds_until
    from app.ledger import door

    if not failed:
        raise UsageError("say what to retry", hint="switchyard retry JOB --failed")
    found = servers.settings(redis=False)
    with servers.engine(found) as engine:
        count = door.retry_failed(engine, job, seconds_until(deadline))
    if count:
        servers.ring(found)
    say(f"{count:,} items are back in the yard" if count else "every item is decided: nothing to retry")


def _leave_as(at: Progress) -> None:
    """Exit 1 where a job has ended and left items without an answer."""
    if at.finished and (at.undecided or at.failed):
        raise typer.Exit(1)
