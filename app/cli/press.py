"""``switchyard press``: an edition of the newspaper, now; which editions there are; what one would take."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import servers
from app.cli.interrupts import INTERRUPTED, command_on, interruptible
from app.cli.output import cost, duration, one_line, put, put_json, put_table, say
from app.core.errors import ServiceMissing, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.cli.press_follow import Standing
    from app.ledger.editions import Opened
    from app.newspaper.edition import Edition, Kind
    from app.newspaper.paper import Paper
    from app.registry.paperfile import PaperFile
    from app.yard import Yard

_MOST_LISTED = 50


def register(app: typer.Typer) -> None:
    app.command()(press)


def press(
    date: Annotated[str | None, typer.Option(help="Of which date, YYYY-MM-DD; left out: today, by the paper.")] = None,
    kind: Annotated[str, typer.Option(help="daily, weekly or growth.")] = "daily",
    reprint: Annotated[bool, typer.Option("--reprint", help="Make it again where there is one.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Show every step as it is made.")] = False,
    paper: Annotated[Path | None, typer.Option(help="The newspaper's file; left out: newspaper.toml.")] = None,
    specimen: Annotated[
        bool, typer.Option("--specimen", help="The shipped newspaper by simulated models: no key, no network.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what an edition would take; call nobody.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Say which editions there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="In JSON.")] = False,
) -> None:
    """Print an edition of the newspaper now; where there is no newspaper.toml, a specimen by simulated models."""
    _check(specimen, paper, dry_run, list_, reprint)
    wanted = _wanted(date, kind)
    found = servers.load()
    path = None if specimen else paper or found.newspaper
    if list_:
        _list(found.home, path is not None or found.database_url is not None, specimen, as_json)
    elif dry_run:
        _plan(path, wanted, as_json)
    elif path is None:
        _specimen(found.home, wanted, reprint, follow, as_json)
    else:
        _of_paper(path, wanted, reprint, follow, as_json)


def _check(specimen: bool, paper: Path | None, dry_run: bool, list_: bool, reprint: bool) -> None:
    if specimen and paper is not None:
        raise UsageError("--specimen has a newspaper of its own: leave --paper out")
    if specimen and dry_run:
        raise UsageError("--specimen calls no provider and costs nothing: leave --dry-run out")
    if list_ and (dry_run or reprint or paper is not None):
        raise UsageError("--list says what there is: leave --dry-run, --reprint and --paper out")


def _wanted(date: str | None, kind: str) -> tuple[Kind, dt.date | None]:
    from app.newspaper.edition import KINDS

    found = next((each for each in KINDS if each == kind), None)
    if found is None:
        raise UsageError(f"--kind: there is no {kind[:20]!r} edition", hint=f"choose {', '.join(KINDS)}")
    if date is None:
        return found, None
    try:
        return found, dt.datetime.strptime(date, "%Y-%m-%d").date()  # noqa: DTZ007
    except ValueError:
        raise UsageError(f"--date: {date[:20]!r} is no date", hint="write it as 2026-11-20") from None


def _of_paper(path: Path, wanted: tuple[Kind, dt.date | None], reprint: bool, follow: bool, as_json: bool) -> None:
    from app.registry.paperfile import PaperFile

    file = PaperFile(path)
    kind, date = wanted[0], _date(file.current(), wanted[1])
    try:
        servers.settings()
    except ServiceMissing as error:
        raise ServiceMissing(str(error), hint="or see a specimen first: switchyard press --specimen") from None
    with servers.yard() as yard:
        opened = _opened(yard, file, kind, date, reprint)
        try:
            _print(yard, opened, follow, as_json, _left)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _left(alone: bool) -> None:
    """What is said to somebody who goes away."""
    if alone:
        say("interrupted: no press is at work in this yard, so the edition waits; the same command goes on with it")
        say("  for good: set SWITCHYARD_NEWSPAPER for the yard and start it again, or run switchyard worker --press")
    else:
        say("interrupted: the edition is being made all the same; the same command goes on watching it")
    say("  how far it is: switchyard press --list")


def _specimen(home: Path, wanted: tuple[Kind, dt.date | None], reprint: bool, follow: bool, as_json: bool) -> None:
    from app.registry.paperfile import PaperFile, load
    from app.specimen.stage import PAPER, Specimen

    _date(load(PAPER), wanted[1])  # said before a yard is started for it
    home = home / "press"
    command = command_on(home)
    with interruptible():
        say("a specimen: the shipped newspaper by simulated models; it starts a yard of its own ...")
        try:
            with Specimen(home) as stage, servers.yard() as yard:
                file = PaperFile(stage.paper)
                opened = _opened(yard, file, wanted[0], _date(file.current(), wanted[1]), reprint)
                _print(yard, opened, follow, as_json, lambda _: None)
        except KeyboardInterrupt:
            say(f"stopped; everything is kept in {home}, and the same command goes on with this edition")
            raise typer.Exit(INTERRUPTED) from None
        say(f"  its colophon names the jobs; how a text came about:  {command} explain JOB ITEM")


def _date(paper: Paper, given: dt.date | None) -> dt.date:
    """Raises ``UsageError`` for a date that has not begun where the paper appears: once it has an edition, those
    before it would never be due again."""
    today = dt.datetime.now(paper.zone).date()
    if given is not None and given > today:
        raise UsageError(f"--date: {given} has not begun in {paper.time_zone}", hint=f"the latest possible is {today}")
    return given or today


def _opened(yard: Yard, file: PaperFile, kind: Kind, date: dt.date, reprint: bool) -> int:
    """The edition to watch: one that is being made, one that is there, or a new one."""
    from app.ledger import editions

    paper = file.current()
    before = editions.of_date(yard.engine, paper.name, kind, date)
    latest = before[-1] if before else None
    if latest is not None and latest.state != "published":
        say(f"going on with the {kind} edition of {date}, opened at {latest.opened_at.astimezone():%H:%M:%S}")
        return latest.id
    if latest is not None and not reprint:
        say(f"there is a {kind} edition of {date} already; --reprint makes it again")
        return latest.id
    return yard.press.open_now(paper, file.base, kind, date, reprint=reprint)


def _print(yard: Yard, edition_id: int, follow: bool, as_json: bool, left: Callable[[bool], None]) -> None:
    """Wait for it and say what became of it."""
    from app.cli import press_follow
    from tasks.app import connect

    connect(yard.settings)
    tender = press_follow.Tender(yard)
    try:
        at = press_follow.follow(yard.engine, edition_id, tender, steps=follow)
    except KeyboardInterrupt:
        left(tender.alone)
        raise
    edition = _document(yard.engine, at.opened)
    page = _placed(yard.engine, at.opened)
    if as_json:
        put_json(_as_json(at, edition, page))
    say(_summary(at, edition))
    if page is None:
        say(f"  it is not in its folder: {_folder(at.opened)}")
        raise typer.Exit(1)
    if not as_json:
        put(f"{page}\n")


def _document(engine: Engine, opened: Opened) -> Edition:
    from app.ledger import editions
    from app.newspaper.edition import Edition

    return Edition.model_validate(editions.document(engine, opened.id))


def _folder(opened: Opened) -> Path:
    """Where the folder target puts it."""
    name = f"{opened.date}" + ("" if opened.kind == "daily" else f"-{opened.kind}")
    return Path(opened.base, opened.settings["publish"]["folder"], name)


def _placed(engine: Engine, opened: Opened) -> Path | None:
    """The page to open; where the paper has no HTML, the folder; None where the folder has not taken this edition: what
    else stands there is another one."""
    from app.ledger import publications

    taken = any(name == "folder" and done for name, *_, done in publications.publish_state(engine, opened.id))
    folder = _folder(opened)
    return next((path for path in (folder / "index.html", folder) if path.exists()), None) if taken else None


def _counts(edition: Edition) -> dict[str, int]:
    """``sentences``: of the narrative. ``dropped``: refused by a check. ``not_chosen``: no room, or none of ours."""
    from app.newspaper.choosing import STEP

    left_out = [dropped.step == STEP for dropped in edition.colophon.dropped]
    pieces = [piece.form for page in edition.pages for piece in page.pieces]
    return {
        "articles": pieces.count("article"), "briefs": pieces.count("brief"), "headlines": pieces.count("headline"),
        "sentences": 0 if edition.narrative is None else len(edition.narrative.sentences),
        "dropped": left_out.count(False), "not_chosen": left_out.count(True),
    }  # fmt: skip


def _on_time(opened: Opened) -> bool | None:
    """None: it is not made yet."""
    return None if opened.made_at is None else not opened.late and opened.made_at <= opened.deadline_at


def _as_json(at: Standing, edition: Edition, page: Path | None) -> dict[str, Any]:
    told = edition.colophon
    return {
        **_line(at.opened, page),
        "title": edition.title,
        "bulletin": edition.bulletin,
        **_counts(edition),
        "calls": told.calls,
        "votes": told.votes,
        "input_tokens": told.input_tokens,
        "output_tokens": told.output_tokens,
        "cost_usd": told.cost_usd,
        "unpriced_calls": told.unpriced_calls,
        "targets": [
            {"name": t.name, "done": t.done, "given_up": t.given_up, "tries": t.tries, "said": t.said or None}
            for t in at.targets
        ],
    }


def _summary(at: Standing, edition: Edition) -> str:
    counts, told, opened = _counts(edition), edition.colophon, at.opened
    pieces = ", ".join(
        f"{counts[name]} {name if counts[name] != 1 else name[:-1]}"
        for name in ("articles", "briefs", "headlines")
        if counts[name] or name == "articles"
    )
    if opened.kind != "daily":
        pieces = f"a narrative of {counts['sentences']} sentences" if counts["sentences"] else "no narrative"
    marks = [mark for mark in ("specimen", "bulletin", "late") if getattr(edition, mark)]
    what = f"{edition.title}, {opened.date}" + ("" if opened.kind == "daily" else f", {opened.kind}")
    marked = f" ({', '.join(marks)})" if marks else ""
    lines = [
        f"{what}{marked}: {pieces}; {counts['dropped']} dropped, {counts['not_chosen']} not chosen",
        f"  {told.calls:,} calls, {cost(told.cost_usd, told.unpriced_calls, 'calls')}{_made(opened)}",
    ]
    lines += _amiss(edition)
    for target in at.targets:
        if not target.done:
            state = "given up" if target.given_up else "not there yet, tried again later"
            lines.append(f"  {target.name}: {state}" + (f": {target.said}" if target.said else ""))
    return "\n".join(lines)


def _amiss(edition: Edition) -> Iterator[str]:
    """What the edition had to do without: stories, feeds, and steps that nobody could be asked for."""
    from app.newspaper.setting import wording

    if why := wording.nothing(edition):
        yield f"  {why}"
    feeds = edition.colophon.feeds
    failed = [feed for feed in feeds if feed.state == "failed"]
    if failed:
        more = f", and {len(failed) - 1} more, named in its colophon" if len(failed) > 1 else ""
        first = one_line(f"{failed[0].feed}: {failed[0].said}", 200)
        yield f"  {len(failed)} of {len(feeds)} feeds could not be read: {first}{more}"
    passed: dict[str, list[str]] = {}
    for step in edition.colophon.steps:
        if not step.job and step.said:
            passed.setdefault(step.said, []).append(step.step)
    for why, steps in passed.items():
        yield f"  nobody was asked to {one_line(', '.join(steps), 200)}: {one_line(why, 200)}"


def _made(opened: Opened) -> str:
    if opened.made_at is None:
        return ""
    took = duration((opened.made_at - opened.opened_at).total_seconds())
    spare_s = (opened.deadline_at - opened.made_at).total_seconds()
    left = f"{duration(spare_s)} before its deadline" if spare_s >= 0 else f"{duration(-spare_s)} after its deadline"
    return f"; made in {took}, {'on time' if _on_time(opened) else 'late'} ({left})"


def _list(home: Path, configured: bool, specimen: bool, as_json: bool) -> None:
    """``configured``: is a newspaper or a ledger named? If not, the specimen's are meant, where there is one."""
    from app.ledger import editions

    kept = home / "press"
    if specimen and not (kept / "postgres").is_dir():
        raise UsageError(f"no specimen has been made in {kept}", hint="switchyard press --specimen makes one")
    if specimen or (not configured and not (home / "postgres").is_dir() and (kept / "postgres").is_dir()):
        os.environ["SWITCHYARD_HOME"] = str(kept)
    with servers.ledger() as engine:
        rows = [_line(opened, _placed(engine, opened)) for opened in editions.latest(engine, _MOST_LISTED)]
    if as_json:
        put_json(rows)
        return
    put_table(
        ["date", "kind", "run", "paper", "state", "on time", "page"],
        [
            [r["date"], r["kind"], r["run"], r["paper"], r["state"], _spoken(r["on_time"]), r["page"] or "–"]
            for r in rows
        ],
    )
    if not rows:
        say("no edition yet: switchyard press prints one")


def _spoken(on_time: bool | None) -> str:
    return {True: "yes", False: "late", None: ""}[on_time]


def _line(opened: Opened, page: Path | None) -> dict[str, Any]:
    return {
        "id": opened.id,
        "paper": opened.paper,
        "kind": opened.kind,
        "date": str(opened.date),
        "run": opened.run,
        "state": opened.state,
        "specimen": opened.specimen,
        "late": opened.late,
        "on_time": _on_time(opened),
        "opened_at": opened.opened_at.isoformat(timespec="seconds"),
        "deadline_at": opened.deadline_at.isoformat(timespec="seconds"),
        "made_at": None if opened.made_at is None else opened.made_at.isoformat(timespec="seconds"),
        "page": None if page is None else str(page),
    }


def _plan(path: Path | None, wanted: tuple[Kind, dt.date | None], as_json: bool) -> None:
    from app.cli.press_plan import put_plan
    from app.registry.paperfile import load
    from app.services.press.planning import plan

    if path is None:
        raise UsageError(
            "there is no newspaper to plan",
            hint="copy newspaper.example.toml to newspaper.toml; or see a specimen made: switchyard press",
        )
    paper = load(path)
    _date(paper, wanted[1])
    deployments = servers.fleet_file(servers.load()).current().deployments
    put_plan(plan(paper, wanted[0], deployments), as_json)
