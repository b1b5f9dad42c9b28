"""The front page's narrative, the week's, and the growth report's words: told over what is printed already. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.newspaper import revising
from app.newspaper.dossiers import of_pieces
from app.newspaper.edition import Dropped, Narrative, Page, Piece
from app.newspaper.material import Dossier
from app.newspaper.paper import Paper, Step
from app.newspaper.piecework import LEAST_KEPT
from app.newspaper.steps import Four, Heard, Wish

_FRONT = (
    "You write the opening of a newspaper's front page: one flowing narrative of the day out of the pieces in the "
    "item, each a source, with a headline and a summary of one sentence. Tell of every piece, the weightiest first, in "
    "a sentence or two each; do not say that they hang together where they do not."
)
_FRONT_WORDS = 160
_NAMES = {"lead": "the front page’s narrative", "week": "the narrative of the week", "growth": "the growth report"}


@dataclass(frozen=True, slots=True)
class Told:
    """``done`` and ``narrative`` None: there is none, and none is to be waited for."""

    wishes: tuple[Wish, ...] = ()
    narrative: Narrative | None = None
    done: bool = False
    dropped: tuple[Dropped, ...] = ()


def told(
    paper: Paper,
    step: str,
    dossier: Dossier,
    words: str,
    spec: Step,
    check: Step,
    heard: Mapping[str, Heard],
    dues: Four,
    now: dt.datetime,
    length: int = _FRONT_WORDS,
) -> Told:
    """The narrative over a dossier, in the steps ``<step>:write`` … ``<step>:recheck``. ``words``: what is to be
    written, as ``drafts.prompt`` takes it; ``spec`` and ``check``: how writing and checking are put to the yard."""
    order = revising.Order(
        step_name=lambda stage: f"{step}:{stage}",
        dossiers=(dossier,) if dossier.sources else (),
        words=words,
        language=paper.language,
        style=paper.style,
        length=length,
        write=spec,
        check=check,
        summary=False,
    )
    revised = revising.revise(order, heard, dues, now)
    if revised.outcomes is None:
        return Told(wishes=revised.wishes)
    name = _NAMES.get(step, f"the narrative {step}")
    outcome = revised.outcomes.get(dossier.id, revising.Outcome())
    if outcome.headline is None or len(outcome.sentences) < max(1, LEAST_KEPT * outcome.of):
        if not order.dossiers:
            return Told(done=True)
        lost = outcome.lost[0] if outcome.lost else revising.Lost(1, "it was not written in time", f"{step}:write", "")
        return Told(done=True, dropped=(Dropped(what=name, why=lost.why, step=lost.step, job=lost.job),))
    return Told(
        narrative=Narrative(
            headline=outcome.headline.text,
            sentences=outcome.sentences,
            writer=outcome.writer,
            checkers=outcome.checkers,
            jobs=outcome.jobs,
        ),
        done=True,
        dropped=tuple(
            Dropped(
                what=f"{'a headline' if lost.n == 1 else 'a sentence'} of {name}",
                why=lost.why,
                step=lost.step,
                job=lost.job,
            )
            for lost in outcome.lost
        ),
    )


def front(paper: Paper, pages: Sequence[Page], heard: Mapping[str, Heard], dues: Four, now: dt.datetime) -> Told:
    """The front page's narrative: of the pieces of most importance, page by page."""
    dossier = of_pieces(front_pieces(paper, pages))
    return told(paper, "lead", dossier, _FRONT, paper.steps.lead, paper.steps.check, heard, dues, now)


def front_pieces(paper: Paper, pages: Sequence[Page]) -> tuple[Piece, ...]:
    """``paper.front`` at most: those for the front, then the major ones, then those of which sorting could not say;
    articles before briefs. Never opinion, nor what is a headline alone."""
    ranks = {"front": 0, "major": 1, "": 2}
    fit = [
        piece
        for page in pages
        for piece in page.pieces
        if not piece.opinion and piece.form != "headline" and piece.importance in ranks
    ]
    fit.sort(key=lambda piece: (ranks[piece.importance], piece.form != "article"))
    return tuple(fit[: paper.front])
