"""Commands about the fleet and the yard's health: fleet, fleet check, spend, doctor."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.output import cost, duration, put_json, put_table, say, usd

if TYPE_CHECKING:
    from app.services.fleetview import Seen

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
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(fleet)
    group.command()(check)
    app.add_typer(group, name="fleet")
    app.command()(spend)
    app.command()(doctor)


def fleet(context: typer.Context, as_json: AsJson = False) -> None:
    """Providers: health, breaker, limits left and when they reset. 'fleet check' pings them now."""
    if context.invoked_subcommand is not None:
        return
    with servers.yard() as yard:
        rows = [_seen(seen) for seen in yard.view.look()]
    if as_json:
        put_json(rows)
        return
    put_table(
        ["deployment", "tier", "health", "breaker", "latency", "limits left", "next call", "why"],
        [
            [
                row["deployment"],
                row["tier"],
                row["health"],
                row["breaker"],
                "" if row["latency_ms"] is None else f"{row['latency_ms']:.0f} ms",
                " ".join(f"{limit['rule']} {limit['left']}/{limit['limit']}" for limit in row["limits"]),
                "now" if not row["ready_s"] else "unknown" if row["ready_s"] is None else duration(row["ready_s"]),
                row["reason"],
            ]
            for row in rows
        ],
    )


def _seen(seen: Seen) -> dict[str, Any]:
    """``ready_s``: seconds until the gates let a small call through; None where they never do."""
    ready_s = max((usage.ready_s for usage in seen.usage), default=0.0)
    return {
        "deployment": seen.deployment.name,
        "provider": seen.deployment.provider,
        "tier": seen.deployment.tier.value,
        "family": seen.deployment.family,
        "health": seen.health.state if seen.health else "unknown",
        "reason": seen.health.reason if seen.health else "not checked yet",
        "checked_at": seen.health.checked_at.isoformat() if seen.health else None,
        "breaker": seen.breaker.state,
        "latency_ms": seen.pulse.latency_ms or (seen.health.latency_ms if seen.health else None),
        "ready_s": None if ready_s == float("inf") else round(ready_s, 3),
        "limits": [
            {
                "scope": usage.name,
                "rule": rule.rule,
                "limit": rule.limit,
                "used": rule.used,
                "left": max(0, rule.limit - rule.used),
                "resets_s": round(rule.resets_ms / 1000, 1),
            }
            for usage in seen.usage
            for rule in usage.rules
            if rule.limit is not None
        ],
    }


def check(as_json: AsJson = False) -> None:
    """Ping every deployment now, within its limits, and write down what was found."""
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
    from app.ledger import reports

    with servers.ledger() as engine:
        rows = reports.spend(engine, by.value)
    if as_json:
        put_json(rows)
        return
    put_table(
        [by.value, "calls", "failed", "ambiguous", "unpriced", "tokens in", "tokens out", "cost"],
        [[*list(row.values())[:-1], usd(row["cost_usd"])] for row in rows],
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
