"""Commands about alerts: alerts, alerts test."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import servers
from app.cli.output import put_json, put_table, say

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
_FAILED = 1
_LATEST = 20


def register(app: typer.Typer) -> None:
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(alerts)
    group.command()(test)
    app.add_typer(group, name="alerts")


def alerts(context: typer.Context, as_json: AsJson = False) -> None:
    """What fires now, and the latest notices. 'alerts test' sends one to each sink now."""
    if context.invoked_subcommand is not None:
        return
    from app.ledger import alerts as kept

    with servers.ledger() as engine:
        firing, latest = kept.firing(engine), kept.latest(engine, _LATEST)
    if as_json:
        put_json(
            {
                "firing": [
                    {
                        "name": f.name,
                        "subject": f.subject,
                        "value": f.value,
                        "threshold": f.threshold,
                        "message": f.message,
                        "since": f.since.isoformat(),
                    }
                    for f in firing
                ],
                "notices": [
                    {
                        "at": n.created_at.isoformat(),
                        "title": n.title,
                        "message": n.message,
                        "sink": n.sink,
                        "state": n.state,
                        "tries": n.tries,
                        "error": n.error,
                    }
                    for n in latest
                ],
            }
        )
        return
    if firing:
        put_table(
            ["alert", "subject", "since", "message"],
            [[f.name, f.subject, f"{f.since:%Y-%m-%d %H:%M:%S %Z}", f.message] for f in firing],
        )
    else:
        say("nothing fires")
    if latest:
        say("the latest notices:")
        put_table(
            ["at", "notice", "sink", "state", "tries", "error"],
            [[f"{n.created_at:%Y-%m-%d %H:%M:%S %Z}", n.title, n.sink, n.state, n.tries, n.error] for n in latest],
        )


def test(as_json: AsJson = False) -> None:
    """Send a test notice to each configured sink now, and say what each answered. Needs no running yard."""
    import logging

    from app import logs
    from app.services.alerting import test as send
    from app.sinks.configured import configured

    logs.configure(logging.INFO)
    sinks, amiss = configured(servers.load())
    rows = [
        {"sink": sink.name, "to": sink.where, "answer": "taken" if trouble is None else trouble.said}
        for sink, trouble in send(sinks)
    ]
    rows += [{"sink": "?", "to": "", "answer": said} for said in amiss]
    if as_json:
        put_json(rows)
    else:
        put_table(["sink", "to", "answer"], [list(row.values()) for row in rows])
    if any(row["answer"] != "taken" for row in rows):
        raise typer.Exit(_FAILED)
