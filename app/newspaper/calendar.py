"""When editions are due. Pure: the paper, the moment and what has been opened go in; what is to be opened comes out.

An edition belongs to a date of the paper's calendar and is opened at a time of day by its clock. Clocks that are put
forward leave out times of day, and clocks that are put back say some twice: a time that does not exist is the first
moment after the gap (after a whole date that was left out, too), one that exists twice is the first of the two. So
each date has exactly one moment, and moments follow one another as their dates do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args
from zoneinfo import ZoneInfo

from app.newspaper.edition import KINDS, Kind
from app.newspaper.paper import Appearance, Paper, Weekday
from app.newspaper.steps import Dues, Four

_DAY = dt.timedelta(days=1)
# No zone is further from its neighbour, nor has a clock ever been put further, than about a day.
_SLACK_DAYS = 2
_WEEKDAYS: tuple[str, ...] = get_args(Weekday)
_SECOND = dt.timedelta(seconds=1)

_MERGE, _SORT, _SHIP = 0.10, 0.28, 0.985
_DESKS = (0.66, 0.78, 0.85, 0.90)
_FRONT = (0.93, 0.95, 0.965, 0.975)
_ALONE = (0.55, 0.72, 0.84, 0.95)
"""Of a weekly and of a growth report, which have no desks."""


@dataclass(frozen=True, slots=True)
class Due:
    """An edition that ought to be opened. ``late``: it will ship after its regular deadline."""

    kind: Kind
    date: dt.date
    opens_at: dt.datetime
    """When it ought to have been opened, in UTC."""
    deadline_at: dt.datetime
    """When it ships, in UTC, if it is opened now."""
    late: bool


def due(paper: Paper, now: dt.datetime, latest: Mapping[str, dt.date]) -> tuple[Due, ...]:
    """What ought to be opened at ``now`` (aware), the oldest first. ``latest``: kind → the latest date that has an
    edition; that date and those before it are never due again.

    An edition opened with at least half of its minutes left keeps its regular deadline. After that it is late and has
    all of its minutes from now on; it is caught up until ``catch_up_hours`` after its regular deadline. A paper that
    has never appeared has missed nothing but its latest date: it does not begin with a week of old editions.
    """
    found: list[Due] = []
    for kind in KINDS:
        appearance = paper.appearance(kind)
        if appearance is None:
            continue
        after = latest.get(kind)
        dues = [
            _due(kind, appearance, date, opens_at, now)
            for date, opens_at in _opened_by(paper.zone, appearance, now)
            if after is None or date > after
        ]
        found += dues[-1:] if after is None else dues
    return tuple(sorted(found, key=lambda each: (each.opens_at, each.date, KINDS.index(each.kind))))


def coming(paper: Paper, now: dt.datetime, latest: Mapping[str, dt.date]) -> Due | None:
    """The next edition that will be opened after ``now``, if all goes well; None: the paper never appears."""
    found: list[Due] = []
    for kind in KINDS:
        appearance = paper.appearance(kind)
        if appearance is None:
            continue
        date = max(now.astimezone(paper.zone).date() - _SLACK_DAYS * _DAY, latest.get(kind, dt.date.min))
        opens_at = now
        while opens_at <= now or not _appears(appearance, date):
            date += _DAY
            opens_at = moment(date, appearance.at, paper.zone)
        found.append(_due(kind, appearance, date, opens_at, opens_at))
    return min(found, key=lambda each: each.opens_at, default=None)


def moment(date: dt.date, at: dt.time, zone: ZoneInfo) -> dt.datetime:
    """When a zone's clock first says ``at`` or later on ``date``, in UTC, to the second."""
    wanted = dt.datetime.combine(date, at.replace(microsecond=0, tzinfo=None, fold=0))
    # What the clock's offset before a change makes of it, and what the one after it does (PEP 495).
    before = wanted.replace(tzinfo=zone).astimezone(dt.UTC)
    after = wanted.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)
    if after >= before:
        return before
    # In a gap. The clock is put forward at some second between the two.
    early, late = after, before
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).replace(tzinfo=None) >= wanted:
            late = middle
        else:
            early = middle
    return late


def dues(opened_at: dt.datetime, deadline_at: dt.datetime, kind: str) -> Dues:
    """When each step of an edition's making is waited for no longer: shares of the time from its opening to its
    deadline. Steps that a weekly or a growth report does not have are over when it is opened."""

    def after(share: float) -> dt.datetime:
        return opened_at + share * (deadline_at - opened_at)

    def four(shares: tuple[float, float, float, float]) -> Four:
        return Four(*(after(share) for share in shares))

    if kind == "daily":
        return Dues(after(_MERGE), after(_SORT), four(_DESKS), four(_FRONT), after(_SHIP))
    return Dues(opened_at, opened_at, four((0.0, 0.0, 0.0, 0.0)), four(_ALONE), after(_SHIP))


def _opened_by(zone: ZoneInfo, appearance: Appearance, now: dt.datetime) -> Iterator[tuple[dt.date, dt.datetime]]:
    """The dates whose moment is past and whose catching up is not over, the oldest first, with their moments."""
    kept = dt.timedelta(minutes=appearance.minutes, hours=appearance.catch_up_hours)
    date = (now - kept).astimezone(zone).date() - _SLACK_DAYS * _DAY
    last = now.astimezone(zone).date() + _SLACK_DAYS * _DAY
    while date <= last:
        if _appears(appearance, date):
            opens_at = moment(date, appearance.at, zone)
            if opens_at <= now <= opens_at + kept:
                yield date, opens_at
        date += _DAY


def _appears(appearance: Appearance, date: dt.date) -> bool:
    return appearance.on is None or date.weekday() == _WEEKDAYS.index(appearance.on)


def _due(kind: Kind, appearance: Appearance, date: dt.date, opens_at: dt.datetime, now: dt.datetime) -> Due:
    span = dt.timedelta(minutes=appearance.minutes)
    late = now > opens_at + span / 2
    deadline_at = now.astimezone(dt.UTC) + span if late else opens_at + span
    return Due(kind, date, opens_at, deadline_at, late)
