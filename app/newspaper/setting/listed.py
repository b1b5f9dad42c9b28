"""An edition as the index and the feed name it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from app.newspaper.edition import Edition, Kind
from app.newspaper.setting import wording
from app.newspaper.setting.text import cleaned, cut

_MOST_SUMMARY = 400


@dataclass(frozen=True, slots=True)
class Listed:
    """One line about one edition. ``flags``: ``Specimen``, ``Bulletin``, ``Late edition``, ``Reprint 2``."""

    name: str
    kind: Kind
    date: dt.date
    run: int
    updated: dt.datetime
    """When it was made, with a zone."""
    headline: str
    summary: str
    flags: tuple[str, ...]


def listed(edition: Edition) -> Listed:
    """Out of its document alone, so that the index can be made anew at any time."""
    edition = cleaned(edition)
    pieces = [piece for page in edition.pages for piece in page.pieces]
    if edition.narrative is not None:
        headline = edition.narrative.headline
        summary = " ".join(claim.text for claim in edition.narrative.sentences[:2])
    else:
        headline = pieces[0].headline if pieces else "Nothing was printed"
        summary = " · ".join(piece.headline for piece in pieces[1:4])
    made = edition.colophon.made_at or dt.datetime.combine(edition.date, dt.time(), dt.UTC)
    return Listed(
        name=edition.name,
        kind=edition.kind,
        date=edition.date,
        run=edition.run,
        updated=made if made.tzinfo is not None else made.replace(tzinfo=dt.UTC),
        headline=headline,
        summary=cut(summary, _MOST_SUMMARY),
        flags=wording.flags(edition),
    )


def newest_first(earlier: tuple[Listed, ...], own: Listed, keep: int | None) -> tuple[Listed, ...]:
    """All of them, each name once: of two printings the later."""
    by_name: dict[str, Listed] = {}
    for one in (*earlier, own):
        held = by_name.get(one.name)
        if held is None or one.run >= held.run:
            by_name[one.name] = one
    order = sorted(by_name.values(), key=lambda one: (one.date, one.kind), reverse=True)
    return tuple(order[:keep])
