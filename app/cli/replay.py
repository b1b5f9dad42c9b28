"""``switchyard replay`` and ``tune``: a job's votes read again, as they were and under other recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.jobs import AsJson, Job
from app.cli.output import one_line, put, put_json, put_table, say
from app.core.errors import SwitchyardError, UsageError

if TYPE_CHECKING:
    from app.core.tuning import Found, Tuned
    from app.core.values import Deployment
    from app.core.whatif import Score
    from app.services.whatif import Counterfactual
    from app.settings import Settings

_SHOWN = 12


def register(app: typer.Typer) -> None:
    app.command()(replay)
    app.command()(tune)


def replay(
    job: Job,
    strategy: Annotated[str | None, typer.Option(help="What would this recipe have said to the same votes?")] = None,
    as_json: AsJson = False,
) -> None:
    """Re-tally a job from the ledger: verify it (exit 1 on any difference), or try another recipe."""
    from app.core import recipe as recipes
    from app.services import replaying, whatif

    found = servers.settings(redis=False)
    if strategy is not None:
        recipe = recipes.parse(strategy)
        with servers.engine(found) as engine:
            made = whatif.under(engine, job, recipe, _known(found))
        put_json(made.to_json()) if as_json else put(_other_words(made))
        return
    with servers.engine(found) as engine:
        checked, differences = replaying.verify(engine, job)
    if as_json:
        rows = [{"custom_id": d.custom_id, "what": d.what} for d in differences]
        put_json({"checked": checked, "differences": rows})
    else:
        put(f"{checked:,} decisions checked, {len(differences):,} differ\n")
        for d in differences:
            put(f"  {one_line(d.custom_id, 60)}: {one_line(d.what, 200)}\n")
    if differences:
        raise typer.Exit(1)


def tune(
    job: Job,
    picture: Annotated[Path | None, typer.Option(help="Draw the frontier into this SVG file.")] = None,
    share: Annotated[float, typer.Option(min=0.05, max=0.95, help="Of the items on which recipes are found.")] = 0.5,
    every: Annotated[bool, typer.Option("--all", help="Show every candidate, not the frontier only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search recipes over a job's stored votes, without a call: the frontier of accuracy against cost."""
    from app.services import whatif

    if picture is not None and not picture.absolute().parent.is_dir():
        raise UsageError(f"--picture: {picture.parent} is not a directory")
    found = servers.settings(redis=False)
    with servers.engine(found) as engine:
        tuned = whatif.tune(engine, job, _known(found), share)
    if picture is not None:
        from app.cli.frontier import drawn

        try:
            picture.write_text(drawn(tuned, job), "utf-8")
        except OSError as error:
            raise UsageError(f"--picture: {picture} cannot be written ({error.strerror})") from None
    if as_json:
        put_json(_tuned_json(tuned))
    else:
        _put_tuned(tuned, every)
    if picture is not None:
        say(f"the picture is in {picture}")


def _known(found: Settings) -> list[Deployment]:
    """The fleet's deployments, where there is a fleet file: a ledger can be read without one."""
    try:
        return list(servers.fleet_file(found).current().deployments)
    except SwitchyardError:
        return []


def _put_tuned(tuned: Tuned, every: bool) -> None:
    put(
        f"{tuned.cases + tuned.held_out:,} items with a known answer: {tuned.cases:,} to find recipes, "
        f"{tuned.held_out:,} held out to judge them\n\n"
    )
    shown = tuned.candidates if every else [c for c in tuned.candidates if c.frontier or c.best]
    put_table(
        ["", "held out", "95 %", "found", "calls", "usd/1000", "recipe"],
        [
            [
                "best" if c.best else "frontier" if c.frontier else "",
                _percent(c.held_out.accuracy),
                " to ".join(_percent(end) for end in c.held_out.interval or ()),
                _percent(c.found.accuracy),
                f"{c.held_out.calls:.2f}",
                "unknown" if c.held_out.cost_micro is None else f"{c.held_out.cost_micro / 1000:.4f}",
                _short(c.recipe),
            ]
            for c in (shown if every else shown[: _SHOWN * 2])
        ],
    )
    best = tuned.best
    put(f"\nbest on the items it was found on: {one_line(best.recipe, 1000)}\n")
    put("use it: switchyard submit ... --strategy '" + one_line(best.recipe, 1000) + "'\n")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _short(recipe: str) -> str:
    """What a line has room for."""
    return recipe if len(recipe) <= 110 else recipe[:109] + "…"


def _tuned_json(tuned: Tuned) -> dict[str, Any]:
    def score(at: Score) -> dict[str, Any]:
        return {
            "items": at.cases,
            "accuracy": at.accuracy,
            "interval": at.interval,
            "undecided": at.undecided,
            "calls_per_item": at.calls,
            "usd_per_1000": None if at.cost_micro is None else at.cost_micro / 1000,
        }

    def row(c: Found) -> dict[str, Any]:
        return {
            "recipe": c.recipe,
            "frontier": c.frontier,
            "best": c.best,
            "found": score(c.found),
            "held_out": score(c.held_out),
        }

    return {
        "found_on": tuned.cases,
        "held_out": tuned.held_out,
        "frontier_of": "cost" if tuned.by_cost else "calls",
        "models": [{"deployment": name, "accuracy": share} for name, share in tuned.models],
        "best": tuned.best.recipe,
        "candidates": [row(c) for c in tuned.candidates],
    }


def _other_words(made: Counterfactual) -> str:
    def usd(cost: float | None) -> str:
        return "unknown" if cost is None else f"${cost:.6f}"

    lines = [
        f"under {made.recipe}: {made.items:,} items, {made.same:,} the same, {made.changed:,} changed, "
        f"{made.undecided:,} undecided, {made.unknown:,} unknown (a vote it needs was never bought)",
        f"calls {made.calls_after:,.0f}, before {made.calls_before:,.0f}; "
        f"cost {usd(made.cost_usd_after)}, before {usd(made.cost_usd_before)}",
    ]
    if made.accuracy_before is not None and made.accuracy_after is not None:
        lines.append(f"accuracy {made.accuracy_after:.1%}, before {made.accuracy_before:.1%}")
    for custom_id, was, would_be in made.examples:
        lines.append(f"  {one_line(custom_id, 40)}: {one_line(was, 60)} -> {one_line(would_be, 60)}")
    return "\n".join(lines) + "\n"
