"""The week: when it began and ended, what was printed in it, and what a narrative of it may tell."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from app.newspaper.calendar import moment
from app.newspaper.edition import Chart, Credit, Edition, Page, Piece, Point
from app.newspaper.material import Dossier, Source
from app.newspaper.paper import Paper
from app.newspaper.sentences import sentences

DAYS = 7
WEEK = dt.timedelta(DAYS)
MOST_PIECES = 40
MOST_CHARS = 12_000
"""Of the dossier's sentences and titles, all together."""
MOST_SENTENCES = 4
"""Of one piece: its beginning, so that more of the week has room."""
MOST_OF_A_DESK = 12
"""Headlines under one desk in the weekly edition."""
_MOST_BARS = 10
_IMPORTANCE = ("front", "major", "minor", "")
_FORMS = ("article", "brief", "headline")


def midnight(date: dt.date, tz: ZoneInfo) -> dt.datetime:
    """The first moment of a date by a clock, in UTC. Where the clock passes over midnight it is the moment after, and
    where midnight comes twice the first of them."""
    return moment(date, dt.time(), tz)


def week(date: dt.date, tz: ZoneInfo) -> tuple[dt.datetime, dt.datetime]:
    """From when (included) until when (not) the seven days were that ended before ``date``, by the paper's clock."""
    return midnight(date - WEEK, tz), midnight(date, tz)


def day_starts(date: dt.date, tz: ZoneInfo, weeks: int = 1) -> tuple[dt.datetime, ...]:
    """The first moments of the days of so many weeks before ``date``, and of ``date`` itself, in order."""
    return tuple(midnight(date - dt.timedelta(n), tz) for n in range(weeks * DAYS, -1, -1))


def dates(date: dt.date) -> tuple[dt.date, dt.date]:
    """The first and the last day of the week that ended before ``date``."""
    return date - WEEK, date - dt.timedelta(1)


def dossier(editions: Sequence[Edition]) -> Dossier:
    """The pieces of the week's daily editions, most important first from each day in turn, as far as there is room;
    told in the order of the days.

    A day that had no article gives its briefs, and one that had none of these its headlines; opinion is left out.
    Sources are named by their pieces, as in ``pages``: ``a0123456789.2`` is the second sentence of that piece.
    """
    turns: list[tuple[int, int, Source]] = []
    for day, (edition, placed) in enumerate(_numbered(editions)):
        pieces = [piece for _, piece in placed if not piece.opinion]
        forms = {piece.form for piece in pieces}
        form = next((form for form in _FORMS if form in forms), None)
        best = sorted((piece for piece in pieces if piece.form == form), key=_importance)
        turns += [(rank, day, _source(edition, piece)) for rank, piece in enumerate(best)]
    taken, chars = [], 0
    for rank, day, source in sorted(turns, key=lambda turn: turn[:2])[:MOST_PIECES]:
        chars += len(source.title) + sum(len(text) for text in source.sentences.values())
        if chars > MOST_CHARS:
            break
        taken.append((day, rank, source))
    return Dossier(id="week", sources=tuple(source for _, _, source in sorted(taken, key=lambda one: one[:2])))


def words(paper: Paper) -> str:
    """What is to be written, for the prompt of its job."""
    return (
        f"You write the story of the week for {paper.title} out of the pieces in the item, which it printed in the last"
        " seven days, each with its day. With a headline, tell in one flowing narrative what the week was about: the"
        " few threads that run through it, what began, what went on and what ended. Do not list everything, and do not"
        " say that things hang together where they do not."
    )


def pages(editions: Sequence[Edition], paper: Paper) -> tuple[Page, ...]:
    """The week's stories by desk, the most important of each first: headlines with their sources, and the edition in
    which they stand."""
    desks: defaultdict[str, list[tuple[int, int, Piece]]] = defaultdict(list)
    titles: dict[str, str] = {}
    for edition, placed in _numbered(editions):
        for page, piece in placed:
            titles.setdefault(page.desk, page.title)
            desks[page.desk].append((_importance(piece), -edition.date.toordinal(), _headline(edition, piece, paper)))
    of_paper = {desk.name: desk.title for desk in paper.desk}
    titles |= of_paper
    order = [*(desk for desk in of_paper if desk in desks), *sorted(desks.keys() - of_paper)]
    return tuple(
        Page(
            desk=desk,
            title=titles[desk],
            pieces=tuple(piece for *_, piece in sorted(desks[desk], key=lambda one: one[:2])[:MOST_OF_A_DESK]),
        )
        for desk in order
    )


def charts(editions: Sequence[Edition]) -> tuple[Chart, ...]:
    """Of what was printed: stories by desk, by source, and checked sentences a day."""
    if not editions:
        return ()
    in_order = sorted(editions, key=lambda edition: edition.date)
    first, last = in_order[0].date, in_order[-1].date
    note = f"From the daily editions of {first} to {last}." if first < last else f"From the daily edition of {first}."
    desks = Counter(page.title for edition in in_order for page in edition.pages for _ in page.pieces)
    sources = Counter(
        name for edition in in_order for piece in _printed(edition) for name in {c.name for c in piece.credits}
    )
    checked = [(f"{edition.date}", float(_checked(edition))) for edition in in_order]
    found = (
        Chart(id="stories-by-desk", title="Stories by desk", form="bars", points=_bars(desks), note=note),
        Chart(id="stories-by-source", title="Stories by source", form="bars", points=_bars(sources), note=note),
        Chart(
            id="sentences-by-day",
            title="Checked sentences a day",
            form="bars",
            points=tuple(Point(at=at, value=value) for at, value in checked),
            note=note,
        ),
    )
    return tuple(chart for chart in found if any(point.value for point in chart.points))


def _numbered(editions: Iterable[Edition]) -> list[tuple[Edition, list[tuple[Page, Piece]]]]:
    """Each edition with its pieces, the earliest first; a piece whose id an earlier one has gets one of its own."""
    seen: Counter[str] = Counter()
    found = []
    for edition in sorted(editions, key=lambda edition: edition.date):
        placed = []
        for page in edition.pages:
            for piece in page.pieces:
                seen[piece.id] += 1
                own = piece.id if seen[piece.id] == 1 else f"{piece.id}x{seen[piece.id]}"
                placed.append((page, piece.model_copy(update={"id": own})))
        found.append((edition, placed))
    return found


def _printed(edition: Edition) -> list[Piece]:
    return [piece for page in edition.pages for piece in page.pieces]


def _importance(piece: Piece) -> int:
    return _IMPORTANCE.index(piece.importance)


def _source(edition: Edition, piece: Piece) -> Source:
    told = [claim.text for claim in piece.sentences] or sentences(piece.summary) or [piece.headline]
    return Source(
        id=piece.id,
        name=f"{edition.title}, {edition.date:%A}",
        title=piece.headline,
        published=dt.datetime.combine(edition.date, dt.time(), dt.UTC),
        sentences={f"{piece.id}.{n}": text for n, text in enumerate(told[:MOST_SENTENCES], 1)},
    )


def _headline(edition: Edition, piece: Piece, paper: Paper) -> Piece:
    base = paper.publish.url
    url = "" if base is None else f"{base.rstrip('/')}/{edition.name}/index.html"
    printed_in = Credit(name=edition.title, title=f"Edition of {edition.date}", url=url)
    return Piece(
        id=piece.id,
        form="headline",
        headline=piece.headline,
        credits=(printed_in, *piece.credits),
        opinion=piece.opinion,
        importance=piece.importance,
    )


def _checked(edition: Edition) -> int:
    return sum(len(piece.sentences) for piece in _printed(edition) if piece.form == "article")


def _bars(counted: Counter[str]) -> tuple[Point, ...]:
    largest = sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:_MOST_BARS]
    return tuple(Point(at=name, value=count) for name, count in largest)
