"""One desk's page: its stories written, checked, rewritten and checked again, or told in their sources' own words.

Pure. A page is final once it is given: see ``revising``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.core import injection
from app.newspaper import drafts, revising
from app.newspaper.dossiers import dossier, tellers
from app.newspaper.edition import Credit, Dropped, Page, Piece
from app.newspaper.material import Article, Story
from app.newspaper.paper import Paper
from app.newspaper.revising import SUMMARY, Outcome
from app.newspaper.steps import Four, Heard, Wish

LEAST_KEPT = 0.5
"""Of a draft's sentences. Where fewer can be printed, what is left would be another story."""

NOT_WRITTEN = "No article was written in time; this is the source's own summary."
NOT_CHECKED = "The article could not be checked in time; this is the source's own summary."
NOT_RIGHT = "The article did not stand up to checking; this is the source's own summary."
_ALONE = {
    NOT_WRITTEN: "No article was written in time.",
    NOT_CHECKED: "The article could not be checked in time.",
    NOT_RIGHT: "The article did not stand up to checking.",
}


@dataclass(frozen=True, slots=True)
class Desked:
    """``page`` None: it is still being made."""

    wishes: tuple[Wish, ...] = ()
    page: Page | None = None
    dropped: tuple[Dropped, ...] = ()


def desk(
    paper: Paper,
    name: str,
    stories: Sequence[Story],
    articles: Mapping[str, Article],
    heard: Mapping[str, Heard],
    dues: Four,
    now: dt.datetime,
) -> Desked:
    """The page of the desk ``name``, in the order of ``stories``; those of which no article is there are left out."""
    title = next((each.title for each in paper.desk if each.name == name), name)
    told = [story for story in stories if tellers(story, articles)]
    order = revising.Order(
        step_name=lambda stage: f"{stage}:{name}",
        dossiers=tuple(dossier(story, articles) for story in told),
        words=drafts.ARTICLE,
        language=paper.language,
        style=paper.style,
        length=paper.words,
        write=paper.steps.write,
        check=paper.steps.check,
    )
    revised = revising.revise(order, heard, dues, now)
    if revised.outcomes is None:
        return Desked(wishes=revised.wishes)
    pieces: list[Piece] = []
    dropped: list[Dropped] = []
    for story in told:
        outcome = revised.outcomes[story.id]
        piece = _piece(story, tellers(story, articles), outcome)
        pieces.append(piece)
        dropped.extend(_dropped(piece, outcome))
    return Desked(page=Page(desk=name, title=title, pieces=tuple(pieces)), dropped=tuple(dropped))


def _piece(story: Story, told: Sequence[Article], outcome: Outcome) -> Piece:
    credits = tuple(Credit(name=each.feed, title=each.title, url=each.url) for each in told)
    opinion = story.sorted.genre == "opinion"
    if outcome.headline is not None and len(outcome.sentences) >= max(1, LEAST_KEPT * outcome.of):
        return Piece(
            id=story.id,
            form="article",
            headline=outcome.headline.text,
            summary="" if outcome.summary is None else outcome.summary.text,
            sentences=outcome.sentences,
            credits=credits,
            opinion=opinion,
            importance=story.sorted.importance,
            writer=outcome.writer,
            checkers=outcome.checkers,
            jobs=outcome.jobs,
        )
    unchecked = sum(each.why == revising.UNCHECKED for each in outcome.lost) * 2 > len(outcome.lost)
    note = (NOT_CHECKED if unchecked else NOT_RIGHT) if outcome.written else NOT_WRITTEN
    summary = next((each.summary for each in told if each.summary and not injection.suspicions(each.summary)), "")
    return Piece(
        id=story.id,
        form="brief" if summary else "headline",
        headline=next((each.title for each in told if not injection.suspicions(each.title)), told[0].title),
        summary=summary,
        credits=credits,
        opinion=opinion,
        importance=story.sorted.importance,
        note=note if summary else _ALONE[note],
        jobs=outcome.jobs,
    )


def _dropped(piece: Piece, outcome: Outcome) -> Iterator[Dropped]:
    """What the colophon names. Of an article that became a brief: the article, once."""
    if piece.form != "article":
        if outcome.written:
            why = outcome.lost[0].why if outcome.lost else "its headline or too much of it was refused"
            step, job = (outcome.lost[0].step, outcome.lost[0].job) if outcome.lost else ("", "")
            yield Dropped(what=f"the article of “{piece.headline}”", why=why, step=step, job=job)
        return
    for lost in outcome.lost:
        part = {1: "a headline", SUMMARY: "the summary"}.get(lost.n, "a sentence")
        yield Dropped(what=f"{part} of “{piece.headline}”", why=lost.why, step=lost.step, job=lost.job)
