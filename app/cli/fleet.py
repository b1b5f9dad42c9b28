"""Commands about the fleet and the yard's health: fleet, spend, doctor."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from app.cli import servers
from app.cli.output import cost, put_json, put_table, say, usd
from app.core.errors import UsageError

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


class By(StrEnum):
    MODEL = "model"
    PROVIDER = "provider"
    TEAM = "team"
    USE_CASE = "use-case"
    TIER = "tier"
    STRATEGY = "strategy"
    DAY = "day"


def register(app: typer.Typer) -> None:
    app.command()(fleet)
    app.command()(spend)
    app.command()(doctor)


def fleet(
    deployment: Annotated[
        str | None,
        typer.Argument(help="PROVIDER/MODEL: everything about this one. Or the word check: ping all of them now."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="How the quotas of days and months are meant to last.")] = False,
    as_json: AsJson = False,
) -> None:
    """Every deployment: health, its last 24 hours, errors and latency, breaker, limits left.

    'fleet PROVIDER/MODEL' shows one in full, with its last changes and failures. 'fleet check' pings all of them now,
    within their limits, and writes down what was found. 'fleet --plan' shows how scarce daily and monthly quotas are
    kept for hard items and late votes.
    """
    if plan:
        _plan(deployment, as_json)
        return
    if deployment == "check":
        _check(as_json)
        return
    from app.cli import fleet_detail, fleet_list
    from app.cli.strip import Pen

    with servers.yard() as yard:
        wanted = yard.fleet.current().deployment(deployment).name if deployment is not None else None
        found = [sight for sight in fleet_list.sights(yard) if wanted in (None, sight.name)]
        failures = fleet_detail.failures_of(yard, found[0]) if wanted is not None else []
    pen = Pen.of_stdout()
    match (wanted, as_json):
        case (None, True):
            put_json([fleet_list.as_json(sight) for sight in found])
            return
        case (_, True):
            put_json(fleet_detail.detail_json(found[0], failures))
            return
        case (None, False):
            fleet_list.put_list(found, pen)
        case _:
            fleet_detail.put_detail(found[0], failures, pen)
    say(pen.legend())


def _plan(deployment: str | None, as_json: bool) -> None:
    from app.cli import fleet_plan

    if deployment is not None:
        raise UsageError("--plan is about the whole fleet: leave the deployment out")
    with servers.yard() as yard:
        made, others = fleet_plan.plan(yard)
    fleet_plan.put_plan(made, others, as_json)


def _check(as_json: bool) -> None:
    with servers.yard() as yard:
        found = yard.monitor.check(everyone=True)
        known = len(yard.fleet.current().deployments)
    rows = [
        {"deployment": c.deployment, "health": c.known.state, "latency_ms": c.latency_ms, "reason": c.reason}
        for c in found
    ]
    if as_json:
        put_json(rows)
        return
    put_table(["deployment", "health", "latency ms", "why"], [list(row.values()) for row in rows])
    if known > len(rows):
        say(f"{known - len(rows)} were not pinged: their limits left no room for it")


def spend(
    by: Annotated[By, typer.Option("--by", help="Added up by what.")] = By.MODEL, as_json: AsJson = False
) -> None:
    """The receipts of all calls added up. Pings belong to no job: their team is '-'."""
    from app.ledger import worth

    with servers.ledger() as engine:
        rows = worth.spend(engine, by.value)
    if as_json:
        put_json(rows)
        return
    put_table(
        [by.value, "calls", "failed", "ambiguous", "unpriced", "tokens in", "tokens out", "accepted", "each", "cost"],
        [
            [
                *list(row.values())[:7],
                "–" if row["judged"] is None else f"{row['accepted']}/{row['judged']}",
                "–" if row["cost_per_accepted_usd"] is None else usd(row["cost_per_accepted_usd"]),
                usd(row["cost_usd"]),
            ]
            for row in rows
        ],
    )
    spent, unpriced = sum(row["cost_usd"] or 0.0 for row in rows), sum(row["unpriced_calls"] for row in rows)
    say(f"in all {sum(row['calls'] for row in rows):,} calls, {cost(spent, unpriced, 'calls')}")


def doctor(as_json: AsJson = False) -> None:
    """Check every service, key, limit and setting, and say what to do."""
    from app.cli.examination import examine

    findings = examine()
    if as_json:
        put_json([{"what": f.what, "state": f.state, "said": f.said, "advice": f.advice} for f in findings])
    else:
        put_table(["", "what", "found", "do"], [[f.state, f.what, f.said, f.advice] for f in findings])
    if any(f.state == "missing" for f in findings):
        raise typer.Exit(3)
    if any(f.state == "wrong" for f in findings):
        raise typer.Exit(2)
