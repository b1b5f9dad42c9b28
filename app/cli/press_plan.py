"""``switchyard press --dry-run``: what an edition would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.output import duration, put, put_json, put_table, usd

if TYPE_CHECKING:
    from app.services.press.planning import Plan, StepPlan


def put_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        put_json(plan.to_json())
        return
    if plan.kind == "daily":
        put(f"{plan.feeds} feeds, at most {plan.articles:,} articles out of them and {plan.stories} stories\n")
    put_table(
        ["step", "strategy", "tier", "items", "calls", "tokens in", "tokens out", "cost"],
        [_row(step) for step in plan.steps],
    )
    calls, cost = plan.calls, plan.cost_usd
    limit = "" if plan.max_cost_usd is None else f", never more than {usd(plan.max_cost_usd)}"
    put(f"together {_span(calls)} calls, {'cost unknown' if cost is None else _money(cost)}{limit}\n")
    put(f"it ships {duration(plan.minutes * 60)} after it is opened, with what there is by then\n")
    put("roughly: no feed was read and nobody was called; items are the most that the paper allows, and what is\n"
        "refused by the check is written and checked once more, which comes on top\n")  # fmt: skip
    for step in plan.steps:
        if step.why:
            put(f"{step.step}: {step.why}\n")


def _row(step: StepPlan) -> list[object]:
    found = step.estimate
    if found is None:
        return [step.step, step.strategy, step.tier, step.items, "–" if step.items else 0, "", "", ""]
    return [
        step.step, step.strategy, step.tier, step.items, _span(found.calls), _span(found.input_tokens),
        _span(found.output_tokens), "unknown" if found.cost_usd is None else _money(found.cost_usd),
    ]  # fmt: skip


def _span(pair: tuple[int, int]) -> str:
    low, high = pair
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _money(pair: tuple[float, float]) -> str:
    low, high = usd(pair[0]), usd(pair[1])
    return low if low == high else f"{low} to {high}"
