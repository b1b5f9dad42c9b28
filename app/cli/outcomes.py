"""Commands about what became of answers, and what was learned from it: outcome, accuracy, kinship."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from app.cli import servers
from app.cli.output import put, put_json, put_table, say
from app.core.errors import UsageError

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


class By(StrEnum):
    MODEL = "model"
    LABEL = "label"
    KIND = "kind"
    USE_CASE = "use-case"


def register(app: typer.Typer) -> None:
    for command in (outcome, accuracy, kinship):
        app.command()(command)


def outcome(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    custom_id: Annotated[str | None, typer.Argument(metavar="[CUSTOM_ID]", help="The item's id.")] = None,
    word: Annotated[
        str | None, typer.Argument(metavar="[OUTCOME]", help="accepted, rejected, or the true label.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", help="CSV or JSONL with custom_id and outcome; - is stdin. All or none.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of an answer, days later too; said again, the last one counts.

    rejected says of a label only that it is not that one. Accuracies, weights and the choice of models follow within
    minutes (SWITCHYARD_LEARN_EVERY_S).
    """
    from app.cli.source import opened
    from app.services.outcomes import Outcomes

    if file is not None and custom_id is not None:
        raise UsageError("an item's id and --file are alternatives: keep one")
    if (file is None) == (custom_id is None) or (custom_id is None) != (word is None):
        raise UsageError(
            "say of which item, or give a file", hint="outcome JOB CUSTOM_ID accepted, or --file outcomes.csv"
        )
    with servers.ledger() as engine:
        outcomes = Outcomes(engine)
        if file is not None:
            with opened(file) as stream:
                count = outcomes.read(job, stream, file)
        else:
            assert custom_id is not None
            assert word is not None
            count = outcomes.say(job, custom_id, word)
    if as_json:
        put_json({"job": job, "outcomes": count})
    else:
        say(f"{count:,} outcome{'' if count == 1 else 's'} of {job} written")


def accuracy(
    by: Annotated[By, typer.Option("--by", help="Of each model, label, kind of task or use case.")] = By.MODEL,
    job: Annotated[str | None, typer.Option("--job", help="Of this job alone, as it stands now.")] = None,
    as_json: AsJson = False,
) -> None:
    """How often single models are right, with 95 % intervals, and where that is known from.

    From outcomes and true labels where there are any, else from agreement (Dawid-Skene), which takes voters for
    independent and is then too high. What all jobs taught is as of the last time that the yard learned.
    """
    from app.services import mastery

    with servers.ledger() as engine:
        rows = mastery.of_job(engine, job, by.value) if job is not None else mastery.of_all(engine, by.value)
    if as_json:
        put_json(rows)
        return
    put_table(
        [by.value, "n", "accuracy", "95 %", "from"],
        [
            [
                row[by.value.replace("-", "_")],
                round(row["n"]),
                f"{row['accuracy']:.1%}",
                f"{row['low']:.1%} to {row['high']:.1%}",
                row["source"],
            ]
            for row in rows
        ],
    )
    if not rows:
        if job is not None:
            say("nothing is known of this job: no outcome, no true label, and no two voices on one question")
        else:
            say("nothing is learned yet: a yard that runs learns every few minutes (SWITCHYARD_LEARN_EVERY_S)")
            say("  hint: switchyard accuracy --job JOB tells of one job at once")


def kinship(
    every: Annotated[bool, typer.Option("--all", help="Every pair, not only those that are one voice.")] = False,
    as_json: AsJson = False,
) -> None:
    """Models that are wrong together: 0 as strangers, 1 as the same voice twice. Clones count as one voice."""
    from app.services import mastery

    with servers.ledger() as engine:
        rows = mastery.kin(engine, every)
    if as_json:
        put_json(rows)
        return
    put_table(
        ["team", "use case", "model", "and", "kinship", "at least", "wrong", "together", "one voice"],
        [
            [r["team"], r["use_case"], r["first"], r["second"], f"{r['kinship']:.2f}", f"{r['low']:.2f}", r["either"],
             r["same"], "yes" if r["clones"] else "no"]
            for r in rows
        ],
    )  # fmt: skip
    if not rows:
        put("")
        say("no two models are one voice" if not every else "no two models have answered the same questions yet")
