"""The edition by mail: plain text, and simple HTML for those who like it better. Nothing in it is fetched."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from app.newspaper.edition import Edition, Piece
from app.newspaper.paper import Paper
from app.newspaper.setting import wording
from app.newspaper.setting.atom import address
from app.newspaper.setting.html import environment
from app.newspaper.setting.text import cut, href

_WIDTH = 72
_MOST_SUBJECT = 150


@dataclass(frozen=True, slots=True)
class Letter:
    """The edition by mail."""

    subject: str
    text: str
    html: str


def letter(edition: Edition, paper: Paper) -> Letter:
    """``edition``: cleaned."""
    online = address(paper, f"{edition.name}/index.html") if href(paper.publish.url or "") else ""
    html = environment().get_template("letter.html.j2").render(edition=edition, online=online)
    return Letter(_subject(edition), _text(edition, online), html)


def _subject(edition: Edition) -> str:
    kind, date = wording.edition_names(edition)
    marks = "".join(f"[{flag}] " for flag in wording.flags(edition))
    name = edition.title if edition.kind == "daily" else f"{edition.title}, {kind}"
    headline = f": {edition.narrative.headline}" if edition.narrative is not None else ""
    return cut(f"{marks}{name}, {date}{headline}", _MOST_SUBJECT)


def _text(edition: Edition, online: str) -> str:
    _, date = wording.edition_names(edition)
    blocks = [
        _wrapped(edition.title.upper()),
        _wrapped(f"{date} · {wording.numbered(edition)}"),
    ]
    blocks += [_wrapped(text) for text in wording.notices(edition)]
    blocks += [f"To be read at\n{online}"] if online else []
    if edition.narrative is not None:
        blocks.append(_ruled(edition.narrative.headline))
        blocks += [
            _wrapped(" ".join(claim.text for claim in part)) for part in wording.paragraphs(edition.narrative.sentences)
        ]
    for page in edition.pages:
        if page.pieces:
            blocks.append(_ruled(page.title))
            blocks += [block for piece in page.pieces for block in _piece(piece)]
    blocks += [_wrapped(wording.nothing(edition))] if wording.nothing(edition) else []
    if edition.figures:
        blocks.append(_ruled("The numbers"))
        blocks.append("\n".join(_wrapped(f"{figure.name}: {figure.shown}", "  ") for figure in edition.figures))
    blocks += [_ruled("Colophon"), _wrapped(wording.sums(edition.colophon))]
    return "\n\n".join(blocks) + "\n"


def _piece(piece: Piece) -> list[str]:
    mark = "Opinion: " if piece.opinion else ""
    blocks = [_wrapped(f"* {mark}{piece.headline}", "  ")]
    if piece.form == "brief":
        blocks.append(_wrapped(f"  [{wording.brief_mark(piece)}{'; ' + piece.note if piece.note else ''}]", "  "))
    blocks += [_wrapped(f"  {piece.summary}", "  ")] if piece.summary else []
    blocks += [
        _wrapped("  " + " ".join(claim.text for claim in part), "  ") for part in wording.paragraphs(piece.sentences)
    ]
    sources = []
    for credit in piece.credits:
        sources.append(_wrapped(f"  - {credit.name}" + (f", “{credit.title}”" if credit.title else ""), "    "))
        # An address is never broken: a broken one leads nowhere.
        sources += [f"    {href(credit.url)}"] if href(credit.url) else []
    return [*blocks, "\n".join(sources)] if sources else blocks


def _ruled(text: str) -> str:
    said = _wrapped(text)
    return f"\n{said}\n{'-' * min(_WIDTH, max(map(len, said.splitlines()), default=1))}"


def _wrapped(text: str, hanging: str = "") -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=hanging, break_on_hyphens=False, replace_whitespace=False)
