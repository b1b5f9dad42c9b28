"""``switchyard submit``: argv into a ``JobSpec``, a file into rows, and the exit code out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.options import json_schema, label_list, or_file, pack_size, seconds_back, seconds_until
from app.cli.output import duration, put, put_json, safe, say, usd
from app.cli.source import opened
from app.core.errors import InputError, ServiceMissing

if TYPE_CHECKING:
    from app.services.estimating import Estimate
    from app.services.jobspec import JobSpec
    from app.settings import Settings

_SKIPS_SHOWN = 20
_NAMES_SHOWN = 12


def register(app: typer.Typer) -> None:
    app.command()(submit)


def submit(
    file: Annotated[str, typer.Argument(help="CSV, JSONL or OpenAI batch JSONL; - reads stdin.")],
    task: Annotated[str | None, typer.Option(help="classify, extract or generate; by default what fits.")] = None,
    labels: Annotated[str | None, typer.Option(help="The labels, a,b,c.")] = None,
    labels_file: Annotated[Path | None, typer.Option(help="The labels, one a line.")] = None,
    schema: Annotated[str | None, typer.Option(help="JSON Schema for extract: a file, or the JSON itself.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Your instruction, or @FILE; {text} is the item's text.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of the text; else text, input, question, the only.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Column of the id; else custom_id, id, row number.")] = None,
    gold: Annotated[str | None, typer.Option(help="Column of the true label; never shown to a model.")] = None,
    strategy: Annotated[str | None, typer.Option(help="A recipe: majority-vote, single-query, ...")] = None,
    accept_pattern: Annotated[
        str | None, typer.Option(help="Regular expression that an answer has to match as a whole.")
    ] = None,
    rubric: Annotated[str | None, typer.Option(help="What a judge holds answers to, or @FILE.")] = None,
    guarantee: Annotated[float | None, typer.Option(help="Share of items that agree with --against at least.")] = None,
    against: Annotated[str | None, typer.Option(help="PROVIDER/MODEL that the guarantee is measured by.")] = None,
    confidence: Annotated[float, typer.Option(help="Of the guarantee.")] = 0.95,
    council: Annotated[int | None, typer.Option(help="Voices at most.")] = None,
    full_council: Annotated[bool, typer.Option("--full-council", help="Ask all voices at once.")] = False,
    tier: Annotated[str, typer.Option(help="cheap, standard, complex or private.")] = "cheap",
    team: Annotated[str, typer.Option(help="Who pays.")] = "default",
    use_case: Annotated[str, typer.Option(help="What for.")] = "default",
    deadline: Annotated[str, typer.Option(help="2h, 30m, 1d12h, or a date and time in ISO 8601.")] = "1d",
    priority: Annotated[int, typer.Option(help="-100 to 100; higher goes first.")] = 0,
    max_cost: Annotated[float | None, typer.Option(help="USD that the job may cost at most.")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="PROVIDER or PROVIDER/MODEL never to be asked; may be given again.")
    ] = None,
    max_latency: Annotated[float | None, typer.Option(help="Seconds that an ordinary call may take at most.")] = None,
    max_call_cost: Annotated[float | None, typer.Option(help="USD that an ordinary call may cost at most.")] = None,
    baseline: Annotated[str | None, typer.Option(help="PROVIDER/MODEL that the receipt compares with.")] = None,
    audit: Annotated[float | None, typer.Option(help="Share of the items that are put to it; else 0.02.")] = None,
    optimise: Annotated[str, typer.Option(help="balanced, cost, quality or latency.")] = "balanced",
    balance: Annotated[
        str | None,
        typer.Option(help="soonest-free, round-robin, weighted, least-busy, latency or cost; else as the fleet says."),
    ] = None,
    privacy: Annotated[
        str, typer.Option(help="Items with personal data: guard (asked of local models only) or redact.")
    ] = "guard",
    complexity: Annotated[
        str | None, typer.Option(help="What they are: factual, creative, reasoning or multi-step; else by rules.")
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="code, long-documents, creative, extraction, images or none; else by rules.")
    ] = None,
    latency: Annotated[str | None, typer.Option(help="interactive or batch; else by the deadline.")] = None,
    allow_cached: Annotated[
        bool, typer.Option("--allow-cached", help="Where nobody can be asked, take an earlier job's answer.")
    ] = False,
    no_dedupe: Annotated[bool, typer.Option("--no-dedupe", help="Ask every item, also identical ones.")] = False,
    similar: Annotated[float | None, typer.Option(help="Ask items once that are so alike: 0.8 to 1.")] = None,
    reuse_votes: Annotated[str | None, typer.Option(help="Count votes bought earlier for the same: 30d, 12h.")] = None,
    pack: Annotated[
        str, typer.Option(help="Short items in one call, 1 to 50; auto: as many as a sample shows to be safe.")
    ] = "1",
    idempotency_key: Annotated[str | None, typer.Option(help="Same key and same input: the same job.")] = None,
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Leave wrong rows out and go on.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say calls, tokens, cost and time only.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Watch the job to its end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Submit a job; prints its id."""
    from app.services.jobspec import spec_of

    given: dict[str, Any] = {
        "labels": label_list(labels, labels_file),
        "schema": json_schema(schema),
        "prompt": or_file(prompt, "--prompt"),
        "strategy": strategy,
        "accept_pattern": accept_pattern,
        "rubric": or_file(rubric, "--rubric"),
        "council": council,
        "guarantee": guarantee,
        "against": against,
        "confidence": confidence,
        "full_council": full_council,
        "tier": tier,
        "team": team,
        "use_case": use_case,
        "deadline_s": seconds_until(deadline),
        "priority": priority,
        "max_cost_usd": max_cost,
        "exclude": exclude or [],
        "max_latency_s": max_latency,
        "max_call_cost_usd": max_call_cost,
        "baseline": baseline,
        "audit": audit,
        "optimise": optimise,
        "balance": balance,
        "privacy": privacy,
        "complexity": complexity,
        "domain": domain,
        "latency": latency,
        "allow_cached": allow_cached,
        "dedupe": not no_dedupe,
        "similar": similar,
        "reuse_votes_s": None if reuse_votes is None else seconds_back(reuse_votes),
        "idempotency_key": idempotency_key,
        "pack": pack_size(pack),
    }
    fitting = "classify" if given["labels"] else "extract" if given["schema"] is not None else "generate"
    spec = spec_of({**given, "task": task or fitting})
    skipped = _Skipped() if skip_bad_rows else None
    source = _Source(file, text, id_, gold, skipped)
    if dry_run:
        _dry_run(spec, source, as_json)
        return
    found = servers.settings()
    _store(found, spec, source, follow, as_json)


class _Skipped:
    """Rows left out: the first ones are named, the others counted."""

    def __init__(self) -> None:
        self.rows = 0
        self.duplicates = 0

    def row(self, line: int, reason: str) -> None:
        self.rows += 1
        if self.rows <= _SKIPS_SHOWN:
            say(f"skipped line {line}: {reason}")

    def duplicate(self) -> None:
        self.duplicates += 1

    def tell(self) -> None:
        if self.rows > _SKIPS_SHOWN:
            say(f"skipped {self.rows - _SKIPS_SHOWN} more")
        if self.duplicates:
            say(f"skipped {self.duplicates} with an id that was there before")


class _Source:
    def __init__(
        self, file: str, text: str | None, id_: str | None, gold: str | None, skipped: _Skipped | None
    ) -> None:
        self.file, self.text, self.id, self.gold, self.skipped = file, text, id_, gold, skipped

    @contextmanager
    def rows(self, spec: JobSpec) -> Iterator[Iterator[Any]]:
        from app.services import intake
        from app.services.rows import Columns

        columns = Columns(self.text, self.id, self.gold, spec.labels)
        with opened(self.file) as stream:
            yield intake.read(stream, columns, name=self.file, on_bad=self.skipped.row if self.skipped else None)


def _store(found: Settings, spec: JobSpec, source: _Source, follow: bool, as_json: bool) -> None:
    from app.services.screening import Screened, warning
    from app.services.submitting import Submitter

    seen = Screened()
    with servers.engine(found) as engine:
        submitter = Submitter(engine, servers.fleet_file(found))
        able = submitter.check(spec)  # before a large file is read
        with source.rows(spec) as rows:
            stored = submitter.submit(spec, rows, source.skipped.duplicate if source.skipped else None, seen)
        servers.ring(found)
        if source.skipped is not None:
            source.skipped.tell()
        say(
            f"{stored.items:,} item{'' if stored.items == 1 else 's'} "
            + ("are stored already under this key" if stored.existing else "stored")
        )
        if told := warning(seen, submitter.fleet.current().deployments, spec.wanted):
            say(told)
        if as_json:
            about = {"privacy": seen.to_json()} if seen.kinds else {}
            put_json({"job": stored.job_id, "items": stored.items, "existing": stored.existing, **about})
        else:
            put(stored.job_id + "\n")
        if follow:
            from app.cli.progress import follow as watch

            sys.stdout.flush()
            with servers.lookout(found, stored.job_id) as look:
                end = watch(engine, stored.job_id, able, look=look)
            if end.undecided or end.failed:
                raise typer.Exit(1)


def _dry_run(spec: JobSpec, source: _Source, as_json: bool) -> None:
    from app.services.arms import check_arms
    from app.services.auditing import check_baseline
    from app.services.estimating import estimate
    from app.services.screening import Screen, Screened, check_words, warning
    from app.services.suitability import able, first_asked, sift

    check_words(spec)
    everyone, latencies = servers.fleet_file(servers.load()).current().deployments, _latencies(spec)
    check_baseline(everyone, spec.wanted.routing)
    check_arms(everyone, spec.choice, spec.wanted, latencies)
    deployments = able(everyone, spec.wanted, latencies)
    refused = sift(everyone, spec.wanted, latencies).refused
    seated = first_asked(deployments, spec.wanted)
    unpriced = [name for name, why in refused.items() if why[0] == "unpriced"]
    seen = Screened()
    with source.rows(spec) as rows:
        screened = Screen.of(spec, deployments).rows(rows, seen)
        made = estimate(deployments, spec.wanted, spec.task_of_items, screened, dedupe=spec.dedupe)
    if not made.items:
        raise InputError("the input holds no items", hint="a table needs a header and at least one row")
    if source.skipped is not None:
        source.skipped.tell()
    if told := warning(seen, everyone, spec.wanted):
        say(told)
    if as_json:
        others = [d.name for d in deployments if d.name not in seated]
        who = {"seated": seated, "in_reserve": others, "left_out": refused, "left_out_unpriced": unpriced}
        put_json({"recipe": str(spec.recipe), **made.to_json(), **who, "privacy": seen.to_json()})
    else:
        put(_estimate_words(spec, made, unpriced) + _who_words(seated, [d.name for d in deployments], refused))


def _latencies(spec: JobSpec) -> dict[str, float | None] | None:
    """What was measured, where the job asks for it and a yard is there to tell; else nobody is left out for it."""
    if spec.max_latency_s is None:
        return None
    from app.services.submitting import measured

    try:
        with servers.ledger() as engine:
            return dict(measured(engine))
    except ServiceMissing:
        say("no yard is running here, so no latency is known: --max-latency leaves nobody out of this estimate")
        return None


def _who_words(seated: list[str], able: list[str], refused: dict[str, tuple[str, ...]]) -> str:
    """Who is asked, who is called in where those fail, and who is not, by the constraint that forbids it."""
    by_reason: dict[str, list[str]] = {}
    for name, why in refused.items():
        by_reason.setdefault(", ".join(why), []).append(name)
    lines = [("asked", seated), ("reserve", [name for name in able if name not in seated])]
    words = [f"{title:10}{_names(names)}\n" for title, names in lines if names]
    words += [f"{'left out':10}{reason}: {_names(names)}\n" for reason, names in by_reason.items()]
    return "".join(words)


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(safe, names[:_NAMES_SHOWN])) + more


def _estimate_words(spec: JobSpec, made: Estimate, left_out: list[str]) -> str:
    def span(low: str, high: str) -> str:
        return low if low == high else f"{low} to {high}"

    lines = [
        f"items     {made.items:,}" + (f", {made.identical:,} identical to others" if made.identical else ""),
        f"recipe    {spec.recipe}",
        f"seats     {made.deployments} deployment{'' if made.deployments == 1 else 's'}",
        f"calls     {span(f'{made.calls[0]:,}', f'{made.calls[1]:,}')}",
        f"tokens    in {span(f'{made.input_tokens[0]:,}', f'{made.input_tokens[1]:,}')}, "
        f"out {span(f'{made.output_tokens[0]:,}', f'{made.output_tokens[1]:,}')}",
        "cost      " + ("unknown" if made.cost_usd is None else span(usd(made.cost_usd[0]), usd(made.cost_usd[1]))),
        f"by quota  {span(duration(made.finish_s[0]), duration(made.finish_s[1]))}",
    ]
    if made.unpriced:
        lines.append(
            f"          {made.unpriced} without a known price: what they are asked comes on top; state input_price "
            "and output_price in the fleet file"
        )
    if left_out:
        lines.append(f"          {len(left_out)} without a known price left out: the job has a budget")
    return "\n".join(lines) + "\n"
