"""The making of an edition as one fold: what is known goes in; what is still to be asked, or the edition, comes out.

Whoever looks again with the same facts comes to the same edition: a step whose due moment has passed is closed, and
what its job says afterwards is heard by nobody (the ledger keeps that). Nothing is waited for longer than that, so at
``dues.ship`` there is an edition, whatever is missing:

    every claim checked           an article
    writing or checking failed    a brief: the source's own summary, marked as such
    nobody could be asked at all  a bulletin: headlines with their sources
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.newspaper import choosing, growth, merging, narrative, piecework, sorting, weekly
from app.newspaper.edition import Chart, Dropped, Edition, Figure, Kind, Narrative, Page, Piece
from app.newspaper.material import Article, Story
from app.newspaper.narrative import Told
from app.newspaper.paper import Paper
from app.newspaper.steps import Dues, Heard, Wish


@dataclass(frozen=True, slots=True)
class Facts:
    """All that an edition is made from."""

    paper: Paper
    kind: Kind
    date: dt.date
    run: int
    specimen: bool
    late: bool
    dues: Dues
    heard: Mapping[str, Heard]
    articles: tuple[Article, ...] = ()
    earlier: tuple[Edition, ...] = ()
    """The week's daily editions, for a weekly one."""
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    """The ledger's, for a growth report."""


@dataclass(frozen=True, slots=True)
class Made:
    """``wishes``: all that has been wished so far in the steps that are still open, begun or not. ``edition``: without
    its colophon; None while it is being made. ``ran``: the articles that it tells, by id."""

    wishes: tuple[Wish, ...] = ()
    edition: Edition | None = None
    dropped: tuple[Dropped, ...] = ()
    ran: tuple[str, ...] = ()


def make(facts: Facts, now: dt.datetime) -> Made:
    match facts.kind:
        case "daily":
            return _daily(facts, now)
        case "weekly":
            return _weekly(facts, now)
        case "growth":
            return _growth(facts, now)


def _daily(facts: Facts, now: dt.datetime) -> Made:
    paper, dues, heard = facts.paper, facts.dues, facts.heard
    known = {article.id: article for article in facts.articles}
    merge = merging.wish(paper, facts.articles, dues.merge)
    if merge is not None and _open((merge,), heard, now):
        return Made((merge,))
    stories = merging.merged(facts.articles, heard.get("merge"))
    sort = sorting.wishes(paper, stories, known, dues.sort)
    if _open(sort, heard, now):
        return Made(sort)
    chosen = choosing.choose(paper, sorting.sorted_stories(paper, stories, known, heard), known)
    desks = [
        piecework.desk(paper, name, placed, known, heard, dues.desks, now)
        for name, placed in chosen.desks.items()
        if placed
    ]
    pages = tuple(desk.page for desk in desks if desk.page is not None)
    if len(pages) < len(desks):
        return Made(tuple(wish for desk in desks for wish in desk.wishes))
    front = narrative.front(paper, pages, heard, dues.lead, now)
    if not front.done:
        return Made(front.wishes)
    dropped = (*chosen.dropped, *(each for desk in desks for each in desk.dropped), *front.dropped)
    return Made(
        edition=_edition(facts, pages, front.narrative),
        dropped=dropped,
        ran=_ran(chosen.desks),
    )


def _weekly(facts: Facts, now: dt.datetime) -> Made:
    paper = facts.paper
    told = narrative.told(
        paper, "week", weekly.dossier(facts.earlier), weekly.words(paper), paper.steps.lead, paper.steps.check,
        facts.heard, facts.dues.lead, now,
    )  # fmt: skip
    pages = weekly.pages(facts.earlier, paper)
    return _told(replace(facts, charts=weekly.charts(facts.earlier)), told, pages)


def _growth(facts: Facts, now: dt.datetime) -> Made:
    paper = facts.paper
    told = narrative.told(
        paper, "growth", growth.dossier(facts.figures), growth.words(paper), paper.steps.growth, paper.steps.check,
        facts.heard, facts.dues.lead, now,
    )  # fmt: skip
    return _told(facts, told, ())


def _told(facts: Facts, told: Told, pages: tuple[Page, ...]) -> Made:
    if not told.done:
        return Made(told.wishes)
    return Made(edition=_edition(facts, pages, told.narrative), dropped=told.dropped)


def _open(wishes: Sequence[Wish], heard: Mapping[str, Heard], now: dt.datetime) -> bool:
    """Is any of them still to be waited for?"""
    return any(not _over(wish, heard.get(wish.step), now) for wish in wishes)


def _over(wish: Wish, heard: Heard | None, now: dt.datetime) -> bool:
    return now >= wish.due if heard is None else heard.over(wish.due, now)


def _edition(facts: Facts, pages: tuple[Page, ...], front: Narrative | None) -> Edition:
    bulletin = facts.kind == "daily" and _unheard(facts.heard) and bool(pages)
    if bulletin:
        pages = tuple(page.model_copy(update={"pieces": tuple(map(_headline, page.pieces))}) for page in pages)
    return Edition(
        paper=facts.paper.name,
        title=facts.paper.title,
        motto=facts.paper.motto,
        language=facts.paper.language,
        kind=facts.kind,
        date=facts.date,
        run=facts.run,
        specimen=facts.specimen,
        bulletin=bulletin,
        late=facts.late,
        narrative=front,
        pages=pages,
        figures=facts.figures,
        charts=facts.charts,
    )


def _unheard(heard: Mapping[str, Heard]) -> bool:
    """Has nobody answered anything?"""
    return not any(answer.text is not None for each in heard.values() for answer in each.answers.values())


def _headline(piece: Piece) -> Piece:
    return piece.model_copy(update={"form": "headline", "summary": "", "sentences": (), "note": ""})


def _ran(desks: Mapping[str, Sequence[Story]]) -> tuple[str, ...]:
    return tuple(name for placed in desks.values() for story in placed for name in story.articles)
