"""Commands that let failures loose on a running yard, on purpose: drill NAME, drill list, drill stop."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.output import duration, put, put_json, put_table, say
from app.core.drills import DRILLS, LONGEST_S, WHOLE_FLEET, Drill
from app.core.errors import UsageError

if TYPE_CHECKING:
    from app.core.drills import Standing
    from app.gates.faults import Faults
    from app.registry.fleet import Fleet
    from app.services.drillbook import DrillBook

_INTERRUPTED = 130
_LOOK_EVERY_S = 1.0
_LINE_EVERY_S = 5.0

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
For = Annotated[str, typer.Option("--for", metavar="TARGET", help="A provider, a deployment (provider/model), or all.")]
Lasting = Annotated[float, typer.Option("--seconds", min=1, max=LONGEST_S, help="How long it stands.")]
Share = Annotated[float | None, typer.Option("--share", max=1, help="The share of calls it strikes, above 0.")]
Delay = Annotated[float | None, typer.Option("--delay", min=0, help="Seconds; for slow, brownout and timeout.")]
After = Annotated[float, typer.Option("--after", min=0, max=LONGEST_S, help="Seconds to look on when it is over.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether real calls may fail.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Let a failure loose on the running yard, and see what is routed where (SWITCHYARD_DRILLS=1).",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(list_drills)
    group.command("stop")(stop)
    for drill in DRILLS.values():
        group.command(drill.name, help=f"{drill.says[0].upper()}{drill.says[1:]}.")(_starter(drill))
    app.add_typer(group, name="drill")


def list_drills(as_json: AsJson = False) -> None:
    """Which drills there are, and which are on."""
    from app.yard import Yard

    settings = servers.settings(database=False)
    yard = Yard(settings)
    now_ms, on = yard.faults.active()
    yard.redis.close()
    rows: list[dict[str, Any]] = [
        {
            "drill": drill.name,
            "does": drill.says,
            "on": [
                {"target": s.target, "share": s.share, "left_s": round((s.until_ms - now_ms) / 1000, 1)}
                for s in on
                if s.drill is drill
            ],
        }
        for drill in DRILLS.values()
    ]
    if as_json:
        put_json({"allowed": settings.drills, "drills": rows})
        return
    words = [
        ", ".join(f"{s['target']}, {s['share']:.0%}, {duration(s['left_s'])} left" for s in row["on"]) for row in rows
    ]
    put_table(["drill", "does", "on"], [[row["drill"], row["does"], on] for row, on in zip(rows, words, strict=True)])
    if not settings.drills:
        say("drills are not allowed here: start the yard with SWITCHYARD_DRILLS=1")


def stop(name: Annotated[str | None, typer.Argument(help="Of one drill only.")] = None) -> None:
    """End the drills that are on: all of them, or those of one name."""
    from app.registry.rows import nearest
    from app.yard import Yard

    if name is not None and name not in DRILLS:
        near = nearest(name, DRILLS)
        raise UsageError(
            f"there is no drill {name!r}", hint=f"did you mean {near}?" if near else "switchyard drill list"
        )
    yard = Yard(servers.settings(database=False))
    ended = [
        s for s in yard.faults.active()[1] if name in (None, s.drill.name) and yard.faults.clear(s.drill, s.target)
    ]
    yard.redis.close()
    for standing in ended:
        say(f"{standing.drill.name} for {standing.target} is over")
    if not ended:
        say("no drill was on" if name is None else f"{name} was not on")


def _starter(drill: Drill) -> Callable[..., None]:
    """The command of one drill."""

    def start(
        target: For,
        seconds: Lasting = 60.0,
        share: Share = None,
        delay: Delay = None,
        after: After = 10.0,
        yes: Yes = False,
        as_json: AsJson = False,
    ) -> None:
        _start(drill, target, seconds, drill.share if share is None else share, delay, after, yes, as_json)

    return start


def _start(
    drill: Drill, target: str, seconds: float, share: float, delay: float | None, after: float, yes: bool, as_json: bool
) -> None:
    from app.services.drillbook import DrillBook

    if not servers.load().drills:
        raise UsageError(
            "drills are not allowed here",
            hint="start the yard with SWITCHYARD_DRILLS=1, and set it for this command too",
        )
    if not 0 < share <= 1 or not math.isfinite(seconds + after + (delay or 0)):
        raise UsageError("--share is above 0 and at most 1; times are numbers of seconds")
    with servers.yard() as yard:
        _known(yard.fleet.current(), target)
        _confirm(drill, target, seconds, share, yes)
        book = DrillBook(yard.engine, yard.view, for_s=seconds)
        # Ended like Ctrl-C: a drill is not to stand on because somebody was polite.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        standing, ended_by = None, "interrupt"
        try:
            standing = yard.faults.set(drill, target, for_s=seconds, share=share, delay_s=delay)
            ended_by = _watch(book, yard.faults, standing)
        except KeyboardInterrupt:
            say(f"{drill.name} is over")
        finally:
            yard.faults.clear(drill, target)
        if standing is None:
            raise typer.Exit(_INTERRUPTED)
        book.over()
        if ended_by != "interrupt":
            say(f"{drill.name} is over; looking on for {duration(after)}")
            _look_on(book, standing, after)
        report = book.report(standing, ended_by)
    if as_json:
        put_json(report)
    else:
        _print(report)
    if not any(row["struck"] for row in report["deployments"]) and any(
        row["during"]["calls"] for row in report["deployments"] if row["aimed_at"]
    ):
        say("no call was struck, though there were some: do the workers run with SWITCHYARD_DRILLS=1?")
    if ended_by == "interrupt":
        raise typer.Exit(_INTERRUPTED)


def _known(fleet: Fleet, target: str) -> None:
    """Raises ``NotFound`` with the nearest name."""
    if target == WHOLE_FLEET:
        return
    if "/" in target:
        fleet.deployment(target)
    else:
        fleet.provider(target)


def _confirm(drill: Drill, target: str, seconds: float, share: float, yes: bool) -> None:
    where = "the whole fleet" if target == WHOLE_FLEET else target
    what = f"{drill.name} ({drill.says}) for {where}, {share:.0%} of its calls, {duration(seconds)}"
    if yes:
        say(f"{what}; Ctrl-C ends it")
        return
    if not sys.stdin.isatty():
        raise UsageError("calls of real jobs will fail, and there is nobody here to ask", hint="say --yes")
    if not typer.confirm(f"{what}: calls of real jobs will fail. Go on?", err=True):
        raise typer.Exit(2)


def _watch(book: DrillBook, faults: Faults, standing: Standing) -> str:
    """Look on until the drill is over; says what ended it: ``time`` or ``stop``. Redis rings no bell for that."""
    said_at = -math.inf
    while True:
        now_ms, on = faults.active()
        if standing not in on:
            return "time" if now_ms >= standing.until_ms else "stop"
        said_at = _tell(book, standing, said_at)
        time.sleep(min(_LOOK_EVERY_S, (standing.until_ms - now_ms) / 1000))


def _look_on(book: DrillBook, standing: Standing, for_s: float) -> None:
    until, said_at = time.monotonic() + for_s, time.monotonic()
    try:
        while (left_s := until - time.monotonic()) > 0:
            said_at = _tell(book, standing, said_at)
            time.sleep(min(_LOOK_EVERY_S, left_s))
    except KeyboardInterrupt:
        say("not looking on any longer")


def _tell(book: DrillBook, standing: Standing, said_at: float) -> float:
    look = book.look(standing)
    for change in look.changes:
        say(f"{change.at_s:5.1f} s  {change.deployment}: {change.what} {change.before} → {change.now}")
    now = time.monotonic()
    if now - said_at < _LINE_EVERY_S:
        return said_at
    say(
        f"{look.elapsed_s:5.1f} s  {look.aimed:,} calls to {standing.target}, {look.struck:,} struck; "
        f"{look.elsewhere:,} elsewhere; {look.decided:,} items decided, {look.waiting:,} waiting"
    )
    return now


def _print(report: dict[str, Any]) -> None:
    rows = [row for row in report["deployments"] if row["aimed_at"] or any(row[s]["calls"] for s in report["spans_s"])]
    put_table(
        ["deployment", "before", "during", "after", "struck", "failed during", "breaker", "health", "held"],
        [
            [
                row["deployment"] + (" *" if row["aimed_at"] else ""),
                *(row[span]["calls"] for span in ("before", "during", "after")),
                row["struck"],
                ", ".join(f"{count} {kind}" for kind, count in row["during"]["failed"].items()),
                row["breaker"],
                row["health"],
                duration(row["held_s"]) if row["held_s"] else "",
            ]
            for row in rows
        ],
    )
    for other in report["stood_in"]:
        put(f"{other['by']} answered {other['items']} items in the place of {other['for']}\n")
    for change in report["changes"]:
        put(f"{change['at_s']:.1f} s: {change['deployment']} {change['what']} {change['before']} → {change['now']}\n")
    items, spans = report["items"], report["spans_s"]
    put(
        f"items: {items['decided']:,} decided, {items['undecided']:,} undecided, {items['failed']:,} failed since it "
        f"began; {items['waiting']:,} wait. Seconds before, during, after: "
        f"{spans['before']:.0f}, {spans['during']:.0f}, {spans['after']:.0f}\n"
    )
    lasting = [
        row["deployment"]
        for row in rows
        if row["aimed_at"] and (row["breaker"] != "closed" or row["health"] != "healthy" or row["held_s"])
    ]
    if lasting:
        say(f"not back yet: {', '.join(lasting)}; 'switchyard fleet check' pings them now")
