"""An edition, and the index of all editions, as one HTML page each: nothing in it is fetched, and nothing in it runs.

The policy in the page allows its one style sheet, by digest, and pictures out of the page itself. All text goes through
the templates' escaping, all addresses of others through ``text.href``; ids are counted, never taken from what came in.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from app.newspaper import growth
from app.newspaper.edition import Chart, Credit, Edition, Page, Piece
from app.newspaper.material import Claim
from app.newspaper.paper import Paper
from app.newspaper.setting import wording
from app.newspaper.setting.charts import svg
from app.newspaper.setting.listed import Listed
from app.newspaper.setting.text import host, href

_HERE = "app.newspaper.setting"
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Mark:
    """The little number after a sentence. ``name``: what it is called where it cannot be seen."""

    number: int
    anchor: str
    name: str


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A piece in its place. ``span``: of the six parts of a row."""

    anchor: str
    piece: Piece
    span: int
    body: tuple[tuple[Sentence, ...], ...]
    credits: tuple[tuple[str, Credit], ...]
    """(anchor, credit)."""


@dataclass(frozen=True, slots=True)
class Section:
    """A desk: what was written, what stands there in its source's words, and headlines."""

    anchor: str
    title: str
    articles: tuple[Told, ...]
    briefs: tuple[Told, ...]
    headlines: tuple[Told, ...]

    def __iter__(self) -> Iterator[Told]:
        return iter((*self.articles, *self.briefs, *self.headlines))


@dataclass(frozen=True, slots=True)
class Target:
    """What a narrative can cite."""

    anchor: str
    title: str
    where: str


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader(_HERE, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(href=href, host=host, count=wording.count, money=wording.money, paragraphs=wording.paragraphs)
    made.globals.update(wording=wording)
    return made


def edition_page(edition: Edition, paper: Paper) -> str:
    """``edition``: cleaned."""
    sections = [_section(n, page) for n, page in enumerate(edition.pages, 1) if page.pieces]
    cited, lead = _lead(edition, sections)
    return _render(
        "edition.html.j2",
        edition.language,
        edition=edition,
        paper=paper,
        sections=sections,
        cited=cited,
        lead=lead,
        charts=[(chart, _drawn(chart, f"c{n}")) for n, chart in enumerate(edition.charts, 1)],
        formats=paper.publish.formats,
    )


def index_page(paper: Paper, editions: Sequence[Listed]) -> str:
    """``editions``: the newest first."""
    months = [
        (f"{wording.MONTHS[month - 1]} {year}", list(group))
        for (year, month), group in groupby(editions, key=lambda one: (one.date.year, one.date.month))
    ]
    return _render("index.html.j2", paper.language, paper=paper, months=months, formats=paper.publish.formats)


def _render(template: str, language: str, **values: object) -> str:
    language = language if _LANGUAGE.fullmatch(language) else ""
    css = files(_HERE).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        environment()
        .get_template(template)
        .render(
            language=language,
            direction=wording.direction(language),
            # Around words of our own on a page in another language.
            en=Markup("") if language == "en" else Markup(' lang="en" dir="ltr"'),
            css=Markup(css),  # noqa: S704 - the package's own file
            policy=policy,
            **values,
        )
    )


def _drawn(chart: Chart, anchor: str) -> Markup:
    return Markup(svg(chart, anchor))  # noqa: S704 - escapes all it is given


def _section(n: int, page: Page) -> Section:
    def of(form: str) -> list[Piece]:
        return [piece for piece in page.pieces if piece.form == form]

    articles, briefs = of("article"), of("brief")
    return Section(
        anchor=f"d{n}",
        title=page.title,
        articles=tuple(_told(f"d{n}-a{k}", piece, span) for k, (piece, span) in enumerate(_laid_out(articles), 1)),
        briefs=tuple(_told(f"d{n}-b{k}", piece, span) for k, (piece, span) in enumerate(_brief_row(briefs), 1)),
        headlines=tuple(_told(f"d{n}-h{k}", piece, 6) for k, piece in enumerate(of("headline"), 1)),
    )


def _laid_out(pieces: Sequence[Piece]) -> list[tuple[Piece, int]]:
    """Each with its part of a row of six, so that every row is full and the first pieces have the most room: three to a
    row in the end, one or two in the first rows."""
    over = len(pieces) % 3
    first = {0: (6, 3, 3), 1: (6,), 2: (3, 3)}[over]
    return [(piece, first[n] if n < len(first) else 2) for n, piece in enumerate(pieces)]


def _brief_row(pieces: Sequence[Piece]) -> list[tuple[Piece, int]]:
    """Briefs: two or three to a row, all alike."""
    return [(piece, 3 if len(pieces) in (1, 2, 4) else 2) for piece in pieces]


def _told(anchor: str, piece: Piece, span: int) -> Told:
    credits = tuple((f"{anchor}-s{n}", credit) for n, credit in enumerate(piece.credits, 1))

    def sentence(claim: Claim) -> Sentence:
        marks = tuple(
            Mark(n, credits[n - 1][0], f"Source {n}: {credits[n - 1][1].name}")
            for n in wording.cited(claim, len(credits))
        )
        return Sentence(claim.text, marks)

    return Told(anchor, piece, span, _set(piece.sentences, sentence), credits)


def _lead(edition: Edition, sections: Sequence[Section]) -> tuple[list[Target], tuple[tuple[Sentence, ...], ...]]:
    """(what the narrative cites, in the order of its first mention; its paragraphs)."""
    if edition.narrative is None:
        return [], ()
    known = {figure.id: Target(f"f{n}", figure.name, "") for n, figure in enumerate(edition.figures, 1)}
    known |= {growth.citation(n): known[figure.id] for n, figure in enumerate(edition.figures, 1)}
    known |= {told.piece.id: Target(told.anchor, told.piece.headline, one.title) for one in sections for told in one}
    numbers: dict[str, int] = {}
    for claim in edition.narrative.sentences:
        for cite in claim.cites:
            head = _cited_of(cite, known)
            if head:
                numbers.setdefault(head, len(numbers) + 1)

    def sentence(claim: Claim) -> Sentence:
        heads = sorted({_cited_of(cite, known) for cite in claim.cites} - {""}, key=numbers.__getitem__)
        kind = "Figure" if edition.kind == "growth" else "Story"
        marks = (
            Mark(numbers[head], known[head].anchor, f"{kind} {numbers[head]}: {known[head].title}") for head in heads
        )
        return Sentence(claim.text, tuple(marks))

    return [known[head] for head in numbers], _set(edition.narrative.sentences, sentence)


def _cited_of(cite: str, known: dict[str, Target]) -> str:
    """The piece or figure that a citation names: ``a1b2c3`` of ``a1b2c3.4``; empty: none that is printed here."""
    head = cite.rpartition(".")[0]
    return head if head in known else cite if cite in known else ""


def _set(claims: Sequence[Claim], sentence: Callable[[Claim], Sentence]) -> tuple[tuple[Sentence, ...], ...]:
    return tuple(tuple(sentence(claim) for claim in part) for part in wording.paragraphs(claims))
