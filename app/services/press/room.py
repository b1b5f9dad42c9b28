"""The press room: opens the editions that are due, puts their steps to the yard, and sees that they ship.

Any number of press rooms may look at any time: an edition is opened by whoever is first, made by one at a time, and
everything that was decided on the way stands in the ledger. A press room that dies leaves nothing but time lost.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from app.core.errors import Conflict, UsageError
from app.ledger import door, edition_steps, editions
from app.ledger.door import Row
from app.ledger.editions import Opened
from app.ledger.states import JobState
from app.newspaper import calendar, making, weekly
from app.newspaper.edition import Kind
from app.newspaper.making import Facts, Made
from app.newspaper.material import Article, FeedReport
from app.newspaper.paper import Paper
from app.newspaper.steps import Answer, Dues, Heard, Wish
from app.publishing.configured import names
from app.registry.fleet import FleetFile
from app.services.jobspec import spec_of
from app.services.press.colophon import colophon
from app.services.press.gathering import Gathered, Gatherer
from app.services.press.growth import gather_growth
from app.services.press.publishing import Publisher, readable
from app.services.press.serving import served
from app.services.submitting import Submitter

log = structlog.get_logger(__name__)

TEAM = "press"
_PRIORITY = 20
_LEAST_S = 1.0
_GATHERING = 0.6
"""Share of the time until the first step is due that gathering may take."""
_LATE_GATHERING_S = 10.0
_MOST_ROUNDS = 20
_AWAY = (OperationalError, InterfaceError)
"""The ledger is away, for all editions. Whatever else it refuses, it refuses of one."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Editions by id. ``wished``: something was put into the yard, so dispatch is to be rung."""

    opened: tuple[int, ...] = ()
    made: tuple[int, ...] = ()
    published: tuple[int, ...] = ()
    wished: bool = False


@dataclass(slots=True)
class _Round:
    """What came of one look at one edition."""

    made: bool = False
    published: bool = False
    wished: bool = False


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class PressRoom:
    engine: Engine
    fleet: FleetFile
    gatherer: Gatherer
    publisher: Publisher
    specimen: bool = False
    """Every edition is marked as one: the models are simulated."""
    clock: Callable[[], dt.datetime] = field(default=_now)

    def look(self, paper: Paper | None, base: Path) -> Looked:
        """Open what is due of the paper (None: nothing is), and bring every unfinished edition on."""
        opened = () if paper is None else self._open_due(paper, base)
        rounds = {each.id: self._round(each) for each in editions.unfinished(self.engine)}
        return Looked(
            opened,
            tuple(key for key, found in rounds.items() if found.made),
            tuple(key for key, found in rounds.items() if found.published),
            any(found.wished for found in rounds.values()),
        )

    def open_now(self, paper: Paper, base: Path, kind: Kind, date: dt.date, *, reprint: bool = False) -> int:
        """Open an edition at this moment, whatever the calendar says. Its id.

        Raises ``Conflict`` where the date has one and no reprint is wished, or where one is being made.
        """
        before = editions.of_date(self.engine, paper.name, kind, date)
        if before and before[-1].state == "open":
            raise Conflict(f"the {kind} edition of {date} is being made", hint="switchyard press --list shows how far")
        if before and not reprint:
            raise Conflict(f"there is a {kind} edition of {date} already", hint="make it again with --reprint")
        now = self.clock()
        appearance = paper.appearance(kind) or paper.daily
        minutes = appearance.minutes if appearance is not None else 60.0
        until = now + dt.timedelta(minutes=minutes)
        made = self._open(paper, base, kind, date, len(before) + 1, False, now, until)
        if made is None:
            raise Conflict(f"somebody else has just opened the {kind} edition of {date}")
        return made

    def _open_due(self, paper: Paper, base: Path) -> tuple[int, ...]:
        latest, now = editions.latest_dates(self.engine, paper.name), self.clock()
        found = [
            self._open(paper, base, due.kind, due.date, 1, due.late, now, due.deadline_at)
            for due in calendar.due(paper, now, latest)
        ]
        return tuple(each for each in found if each is not None)

    def _open(
        self,
        paper: Paper,
        base: Path,
        kind: Kind,
        date: dt.date,
        run: int,
        late: bool,
        opened_at: dt.datetime,
        deadline_at: dt.datetime,
    ) -> int | None:
        made = editions.open_edition(
            self.engine,
            paper=paper.name,
            kind=kind,
            date=date,
            run=run,
            settings=paper.model_dump(mode="json"),
            base=str(base.absolute()),
            specimen=self.specimen,
            late=late,
            opened_at=opened_at,
            deadline_at=deadline_at,
        )
        if made is not None:
            log.info("edition opened", action="press.opened", paper=paper.name, kind=kind, date=str(date), edition=made)
        return made

    def _round(self, opened: Opened) -> _Round:
        """A fault of one edition is none of another: it is logged, and tried again at the next look."""
        try:
            return self._advance(opened)
        except _AWAY:
            raise
        except Exception:
            log.exception("an edition does not go on", action="press.bug", edition=opened.id)
            return _Round()

    def _advance(self, opened: Opened) -> _Round:
        """As far as it goes now, where nobody else is at it. Shortly before its deadline nobody is waited for: whoever
        is at it may be hanging, and the ledger takes every decision once."""
        came = _Round()
        with editions.alone(self.engine, opened.id) as mine:
            current = editions.edition(self.engine, opened.id)
            if not mine and (current.state != "open" or self.clock() < _last_call(current)):
                return came
            if current.state == "open":
                self._make(current, came)
                current = editions.edition(self.engine, opened.id)
            if current.state == "made":
                came.published = self.publisher.publish(current, self.clock()).published
        return came

    def _make(self, opened: Opened, came: _Round) -> None:
        """A fault at its last moment costs it what was asked for it, not its appearance."""
        paper = Paper.model_validate(opened.settings)
        dues = calendar.dues(opened.opened_at, opened.deadline_at, opened.kind)
        try:
            self._bring_on(opened, paper, dues, came)
        except _AWAY:
            raise
        except Exception:
            now = self.clock()
            if now < dues.ship:
                raise
            log.exception("an edition ships without what went wrong", action="press.bare", edition=opened.id)
            came.made = self._finish(opened, paper, making.make(self._facts(opened, paper, dues), now))

    def _bring_on(self, opened: Opened, paper: Paper, dues: Dues, came: _Round) -> None:
        if opened.gathered_at is None:
            self._gather(opened, paper, dues)
        facts = self._facts(opened, paper, dues)
        for _ in range(_MOST_ROUNDS):
            now = self._moment(opened)
            facts = replace(facts, heard=self._heard(opened.id, now))
            made = making.make(facts, now)
            if made.edition is not None:
                came.made = self._finish(opened, paper, made)
                return
            new = [wish for wish in made.wishes if wish.step not in facts.heard]
            budget = self._budget(opened, paper, len(new))
            begun = [self._begin(opened, wish, budget, now) for wish in new]
            came.wished |= any(begun)
            if not begun or all(begun):
                return  # what was begun takes its time; a step that was passed over may let another begin

    def _moment(self, opened: Opened) -> dt.datetime:
        """Now, and never before a moment that has been acted on: the clocks of two machines differ."""
        return max(self.clock(), edition_steps.latest_moment(self.engine, opened.id) or opened.opened_at)

    def _gather(self, opened: Opened, paper: Paper, dues: Dues) -> None:
        now = self.clock()
        gathered = Gathered((), ())
        if opened.kind == "daily":
            first = opened.opened_at + (dues.merge - opened.opened_at) * _GATHERING
            until = max(first, now + dt.timedelta(seconds=_LATE_GATHERING_S))
            gathered = self.gatherer.gather(paper, Path(opened.base), opened.opened_at, until)
        articles = self._unprinted(opened, gathered.articles)
        editions.store_gathered(
            self.engine,
            opened.id,
            [article.model_dump(mode="json") for article in articles],
            [report.model_dump(mode="json") for report in gathered.reports],
            now,
        )

    def _unprinted(self, opened: Opened, articles: tuple[Article, ...]) -> list[Article]:
        """What has run on another date is no news; but a specimen's feeds are always the same."""
        if opened.specimen:
            return list(articles)
        ran = editions.printed(self.engine, opened.paper, [article.id for article in articles], opened.date)
        return [article for article in articles if article.id not in ran]

    def _facts(self, opened: Opened, paper: Paper, dues: Dues) -> Facts:
        facts = Facts(
            paper, opened.kind, opened.date, opened.run, opened.specimen, opened.late, dues, heard={},
            articles=tuple(Article.model_validate(each) for each in editions.articles(self.engine, opened.id)),
        )  # fmt: skip
        if opened.kind == "weekly":
            since, until = weekly.dates(opened.date)
            found = editions.documents(self.engine, opened.paper, "daily", since, until)
            return replace(facts, earlier=tuple(readable(found)))
        if opened.kind == "growth":
            figures, charts = gather_growth(self.engine, paper, opened)
            return replace(facts, figures=figures, charts=charts)
        return facts

    def _heard(self, edition_id: int, now: dt.datetime) -> dict[str, Heard]:
        return {
            step.name: Heard(
                step.job_id or "",
                step.finished,
                {
                    key: Answer(said["text"], said["reason"], tuple(said["by"]), tuple(said["flags"]))
                    for key, said in step.answers.items()
                },
                step.texts,
            )
            for step in edition_steps.heard(self.engine, edition_id, now)
        }

    def _budget(self, opened: Opened, paper: Paper, steps: int) -> float | None:
        """What each of so many steps may cost, in USD: half of what is left is theirs, the rest is for those after
        them, and so is what they do not need."""
        if paper.max_cost_usd is None:
            return None
        left = paper.max_cost_usd - edition_steps.committed_micro(self.engine, opened.id) / 1e6
        return max(0.0, left / 2 / max(1, steps))

    def _begin(self, opened: Opened, wish: Wish, budget: float | None, now: dt.datetime) -> bool:
        """Put a step to the yard; False where it is passed over."""
        if now >= wish.due or not wish.items:
            edition_steps.pass_over(self.engine, opened.id, wish.step, wish.due, now, "not begun in time")
            return False
        try:
            job = self._submit(opened, wish, budget, now)
        except UsageError as error:
            log.warning("step passed over", action="press.passed", step=wish.step, reason=str(error))
            edition_steps.pass_over(self.engine, opened.id, wish.step, wish.due, now, str(error)[:300])
            return False
        except _AWAY:
            raise
        except Exception:
            # Tried again at every look until it is due; the other desks' steps are begun all the same.
            log.exception("a step cannot be begun", action="press.bug", edition=opened.id, step=wish.step)
            return True
        edition_steps.begin(self.engine, opened.id, wish.step, job, wish.due, now)
        return True

    def _submit(self, opened: Opened, wish: Wish, budget: float | None, now: dt.datetime) -> str:
        """The step's job: a new one, or that of a press room that died before it could write it down."""
        key = f"press/{opened.paper}/{opened.kind}/{opened.date}/{opened.run}/{wish.step}"
        fields: dict[str, Any] = {
            **wish.spec,
            "team": TEAM,
            "use_case": opened.paper,
            "deadline_s": max(_LEAST_S, (wish.due - now).total_seconds()),
            "priority": _PRIORITY,
            "idempotency_key": key,
            "max_cost_usd": budget,
            # Contact details in an article are nobody's business but its readers'.
            "privacy": "redact",
        }
        rows = [Row(n, item.id, item.text) for n, item in enumerate(wish.items, 1)]
        submitter = Submitter(self.engine, self.fleet)
        try:
            return submitter.submit(spec_of(served(fields, self.fleet.current().deployments)), rows).job_id
        except Conflict:
            found = edition_steps.job_of_key(self.engine, TEAM, key, [row.custom_id for row in rows])
            if found is None:
                raise  # somebody else's, who used the press room's name
            return found

    def _finish(self, opened: Opened, paper: Paper, made: Made) -> bool:
        assert made.edition is not None
        now = self.clock()
        said = {step.name: step.said for step in edition_steps.heard(self.engine, opened.id, now)}
        reports = tuple(FeedReport.model_validate(each) for each in editions.feeds(self.engine, opened.id))
        told = colophon(self.engine, opened, reports, made.dropped, said, now)
        edition = made.edition.model_copy(update={"colophon": told})
        first = editions.finish(
            self.engine,
            opened.id,
            edition.model_dump(mode="json"),
            made.ran,
            names(paper),
            now,
        )
        for job in edition_steps.open_jobs(self.engine, opened.id):  # nobody wants what they would say
            door.change_state(self.engine, job, JobState.CANCELLED)
        if first:
            log.info("edition made", action="press.made", edition=opened.id, late=now > opened.deadline_at)
        return first


def _last_call(opened: Opened) -> dt.datetime:
    """Half-way from the moment at which it ought to be printed to its deadline."""
    ship = calendar.dues(opened.opened_at, opened.deadline_at, opened.kind).ship
    return ship + (opened.deadline_at - ship) / 2
