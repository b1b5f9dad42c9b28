"""``switchyard experiment`` and ``bandit``, and what ``status`` says of a job's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.jobs import AsJson, Job
from app.cli.output import one_line, put, put_json, put_table, say
from app.core.errors import UsageError

if TYPE_CHECKING:
    from app.core.experiments import Difference
    from app.core.policies import Estimate
    from app.services.choice_reports import Compared, Learned


def register(app: typer.Typer) -> None:
    app.command()(experiment)
    app.command()(bandit)


def experiment(job: Job, as_json: AsJson = False) -> None:
    """How the two arms of a job differ in accuracy, agreement, cost and calls; intervals hold at every look."""
    from app.services import choice_reports

    with servers.ledger() as engine:
        found = choice_reports.compared(engine, job)
    if found is None:
        raise UsageError(f"{job} is no experiment", hint='submit with --strategy "experiment(RECIPE, RECIPE, 0.5)"')
    if as_json:
        put_json(found.to_json())
        return
    _put_compared(found)


def _put_compared(found: Compared) -> None:
    made = found.report
    for name, recipe in zip("ab", found.arms, strict=True):
        arm = made.arms[name]
        put(f"arm {name}     {one_line(recipe, 100)}: {arm.items:,} items, {arm.judged.n:,} with a known truth\n")
    put("\n")
    put_table(
        ["", "a", "b", "b less a", "95 % at every look"],
        [
            ["accuracy", *_shares(made.accuracy)],
            ["agreement", *_shares(made.agreement)],
            ["cost an item, $", *_numbers(made.cost, 1e6, 6)],
            ["calls an item", *_numbers(made.calls, 1, 3)],
        ],
    )
    put("\n")
    if found.winner is not None:
        put(f"winner    arm {found.winner}, after {found.decided_at:,} items; the rest goes to it\n")
    put(f"          {made.why}\n")


def _shares(of: Difference) -> list[str]:
    return _row(of, lambda value: f"{value:.1%}")


def _numbers(of: Difference, scale: float, digits: int) -> list[str]:
    return _row(of, lambda value: f"{value / scale:.{digits}f}")


def _row(of: Difference, word: Any) -> list[str]:
    def said(value: float | None) -> str:
        return "unknown" if value is None else word(value)

    between = "too few" if of.low is None or of.high is None else f"{word(of.low)} to {word(of.high)}"
    return [said(of.first), said(of.second), said(of.value), between]


def bandit(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[freeze|thaw] [USE_CASE]", help="freeze turns it off, thaw on again.")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    as_json: AsJson = False,
) -> None:
    """What bandits know of their arms, their odds, and what each arm alone would have earned."""
    from app.services import choice_reports

    action, use_case = _asked(words or [])
    with servers.ledger() as engine:
        if action is not None and use_case is not None:
            for name, changed in choice_reports.freeze(engine, use_case, team, on=action == "freeze"):
                state = "frozen" if action == "freeze" else "learning"
                say(f"{use_case} of team {name} is {state}" + ("" if changed else " already"))
            return
        found = [one for one in choice_reports.learned(engine, use_case) if team is None or one.place.team == team]
    if as_json:
        put_json([one.to_json() for one in found])
        return
    asked = [f"the use case {use_case[:100]!r}"] if use_case is not None else []
    asked += [f"team {team[:100]!r}"] if team is not None else []
    if not found and asked:
        say(f"no bandit has run for {' of '.join(asked)}: switchyard bandit lists those that have")
    elif not found:
        say('no bandit has run: submit with --strategy "bandit(RECIPE, RECIPE)"')
    for one in found:
        _put_learned(one)


def _asked(words: list[str]) -> tuple[str | None, str | None]:
    """(freeze or thaw, use case)"""
    match words:
        case []:
            return None, None
        case [("freeze" | "thaw") as action, use_case]:
            return action, use_case
        case [use_case] if use_case not in ("freeze", "thaw"):
            return None, use_case
    raise UsageError(f"bandit {' '.join(words)[:60]} says nothing", hint="switchyard bandit [freeze|thaw] USE_CASE")


def _put_learned(one: Learned) -> None:
    state = "frozen: the best arm, nothing explored" if one.place.frozen else "learning"
    jobs = f"{one.place.jobs:,} job{'' if one.place.jobs == 1 else 's'}"
    put(f"{one_line(one.place.use_case)}, team {one_line(one.place.team)}: {jobs}, {state}\n")
    put_table(
        ["arm", "right", "wrong", "mean", "cost $", "utility", "odds", "chunks", "ips", "snips", "dr"],
        [
            [
                one_line(value.arm, 60),
                f"{one.known[value.arm].right:.1f}",
                f"{one.known[value.arm].wrong:.1f}",
                f"{one.known[value.arm].mean:.3f}",
                "unknown" if (cost := one.known[value.arm].cost) is None else f"{cost / 1e6:.6f}",
                f"{one.utility(value.arm):.3f}",
                f"{one.odds[value.arm]:.3f}",
                value.chunks,
                *(_estimate(estimate) for estimate in (value.ips, value.snips, value.dr)),
            ]
            for value in one.values
        ],
    )
    put("\n")


def _estimate(found: Estimate | None) -> str:
    return "unknown" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def status_of(engine: Any, job: str) -> dict[str, Any]:
    """What ``status --json`` adds for a job with a choice."""
    from app.services import choice_reports

    promised = choice_reports.guaranteed(engine, job)
    arms = choice_reports.compared(engine, job)
    return {
        **({"guarantee": promised.to_json()} if promised is not None else {}),
        **({"experiment": arms.to_json()} if arms is not None else {}),
    }


def status_words(found: dict[str, Any]) -> str:
    """The same in lines."""
    lines = []
    if (at := found.get("guarantee")) is not None:
        lines.append(
            f"promised  {at['level']:.1%} agree with {one_line(at['against'])}, with {at['confidence']:.0%} confidence"
        )
        if at["agree"] is not None:
            low, high = at["agree_interval"]
            lines.append(
                f"measured  {at['agree']:.1%} of {at['audited']:,} audited items ({low:.1%} to {high:.1%}); "
                f"{at['proved']:.1%} proved, {at['ruled']} of {at['blocks']} blocks ruled"
            )
        lines.append(f"strong    asked for {at['strong_items']:,} items; {_all_strong(at['against_all_strong'])}")
        if at["stopped"] == "drift":
            lines.append("DRIFT     the audits break the promise: the rest goes to the strong model alone")
        elif at["stopped"] is not None:
            lines.append("          too few items to prove it on a sample: the strong model answers them all")
    if (arms := found.get("experiment")) is not None:
        won = f"arm {arms['winner']} has won, the rest goes to it: " if arms["winner"] else ""
        lines.append(f"arms      {won}{arms['why']}")
    return "".join(f"{line}\n" for line in lines)


def _all_strong(cost: dict[str, Any]) -> str:
    if "why" in cost:
        return f"no saving is claimed against all-strong: {cost['why']}"
    low, high = cost["saved_interval_usd"]
    return (
        f"${cost['cost_usd']:.6f} against ${cost['would_have_cost_usd']:.6f} all-strong "
        f"(saved ${cost['saved_usd']:.6f}, 95 %: ${low:.6f} to ${high:.6f})"
    )
