"""``switchyard receipt``: what a job or one of its items took, to the last call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.jobs import AsJson, Job
from app.cli.output import cost, duration, one_line, put, put_json, put_table

if TYPE_CHECKING:
    from app.core.savings import Saving, Unmeasured
    from app.ledger.receipts import Line, Receipt


def register(app: typer.Typer) -> None:
    app.command()(receipt)


def receipt(
    job: Job,
    custom_id: Annotated[str | None, typer.Argument(metavar="[CUSTOM_ID]", help="One item of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every call a job took, also failed, checking and ambiguous ones; and what it saved against its baseline."""
    from app.ledger import receipts

    with servers.ledger() as engine:
        found = receipts.receipt(engine, job, custom_id)
    if as_json:
        put_json(found.to_json())
        return
    what = f"item {one_line(custom_id)} of {job}" if custom_id is not None else job
    put(f"receipt   {what}: {found.decided:,} of {found.items:,} decided")
    put("" if found.elapsed_s is None else f", {duration(found.elapsed_s)}")
    put(f"\ncalls     {found.calls:,}, cost {cost(_usd(found), found.unpriced, 'calls')}\n\n")
    _put_lines(found.lines)
    if found.pings:
        put("\nbeside it, shared with all who used these deployments meanwhile:\n")
        _put_lines(found.pings)
    if found.saving is not None:
        put("\n" + _saving_words(found.saving))


def _usd(found: Receipt) -> float | None:
    from app.ledger.reports import known_usd

    return known_usd(found.cost_micro, found.unpriced)


def _put_lines(lines: Sequence[Line]) -> None:
    rows: list[dict[str, Any]] = [line.to_json() for line in lines]
    put_table(
        ["for", "ended", "calls", "tokens in", "out", "cost", "time"],
        [
            [
                row["purpose"],
                row["outcome"],
                row["calls"],
                row["input_tokens"],
                row["output_tokens"],
                cost(row["cost_usd"], row["unpriced"], "calls"),
                duration(row["time_ms"] / 1000),
            ]
            for row in rows
        ],
    )


def _saving_words(found: Saving | Unmeasured) -> str:
    from app.core.savings import Unmeasured

    if isinstance(found, Unmeasured):
        return f"saving    none is claimed against {one_line(found.baseline)}: {found.why}\n"
    row = found.to_json()
    low, high = row["saved_interval_usd"]
    return (
        f"saving    ${row['saved_usd']:.6f} against {one_line(found.baseline)} (95 %: ${low:.6f} to ${high:.6f}), "
        f"measured on {found.audited:,} audited items\n"
    )
