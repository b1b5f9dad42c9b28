"""How dates, numbers and the marks of an edition are put into words. Month names are English; other languages get ISO
dates."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from itertools import pairwise

from app.newspaper import weekly
from app.newspaper.edition import Colophon, Edition, Figure, Kind, Piece
from app.newspaper.material import Claim

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
KIND_NAMES: dict[Kind, str] = {"daily": "Daily edition", "weekly": "The week", "growth": "Growth report"}
STATE_NAMES = {
    "read": "read", "unchanged": "unchanged since", "kept": "not reached; its last answer was taken",
    "failed": "failed",
}  # fmt: skip
# For a language that is written from right to left.
_LEFTWARD = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})


def direction(language: str) -> str:
    return "rtl" if language in _LEFTWARD else "ltr"


def long_date(date: dt.date, language: str = "en") -> str:
    if language != "en":
        return date.isoformat()
    return f"{_DAYS[date.weekday()]}, {date.day} {MONTHS[date.month - 1]} {date.year}"


def number_of(kind: Kind, date: dt.date) -> str:
    """The edition's number within its year: one for each date, so that it does not depend on which were made."""
    if kind == "daily":
        return f"No. {date.timetuple().tm_yday} of {date.year}"
    year, week, _ = date.isocalendar()
    return f"Week {week} of {year}"


def period(edition: Edition) -> str:
    """The days that it tells of, ``13 November to 19 November 2026``; empty for a daily one."""
    if edition.kind == "daily":
        return ""
    first, last = weekly.dates(edition.date)
    if edition.language != "en":
        return f"{first} to {last}"
    year = f" {first.year}" if first.year != last.year else ""
    return f"{first.day} {MONTHS[first.month - 1]}{year} to {last.day} {MONTHS[last.month - 1]} {last.year}"


def numbered(edition: Edition) -> str:
    """``No. 324 of 2026 · Daily edition``."""
    told_of = period(edition)
    names = (number_of(edition.kind, edition.date), KIND_NAMES[edition.kind], *([told_of] if told_of else ()))
    return " · ".join(names)


def clock(at: dt.datetime | None, zone: dt.tzinfo) -> str:
    """``2026-11-20 05:31 CET``."""
    if at is None:
        return "not known"
    if at.tzinfo is None:
        at = at.replace(tzinfo=dt.UTC)
    at = at.astimezone(zone)
    return f"{at:%Y-%m-%d %H:%M} {at.tzname() or ''}".strip()


def count(number: float) -> str:
    """With commas between thousands: ``12,345``."""
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,}"


def counted(number: int, one: str, many: str = "") -> str:
    """``1 call``, ``1,200 calls``."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def money(usd: float | None) -> str:
    """To the cent, or as many digits as a small sum needs; None: its price is unknown."""
    if usd is None:
        return "unknown"
    if usd == 0 or abs(usd) >= 0.01:
        return f"${usd:,.2f}"
    return f"${usd:.6f}".rstrip("0").removesuffix(".")


def before(figure: Figure) -> str:
    """The figure of the week before, as it says or else in the form in which this week's is shown. Empty: there was
    none."""
    if figure.before is None or figure.before_shown:
        return figure.before_shown
    shown = re.search(r"\d[\d,]*(?:\.\d+)?", figure.shown)
    if shown is not None:
        digits = shown.group()
        whole, _, decimals = digits.partition(".")
        form = f"{',' if ',' in whole or len(whole) < 4 else ''}.{len(decimals)}f"
        for scale in (1.0, 100.0, 1e-3, 1e-6):
            if format(abs(figure.value) * scale, form) == digits:
                minus = "-" if figure.before < 0 else ""
                lead = figure.shown[: shown.start()].replace("-", "").replace("−", "")
                return f"{minus}{lead}{format(abs(figure.before) * scale, form)}{figure.shown[shown.end() :]}"
    return f"{figure.before:,.6g}"


def flags(edition: Edition) -> tuple[str, ...]:
    """What a reader must know of the edition as a whole."""
    said = (
        ("Specimen", edition.specimen),
        ("Bulletin", edition.bulletin),
        ("Late edition", edition.late),
        (f"Reprint {edition.run}", edition.run > 1),
    )
    return tuple(name for name, holds in said if holds)


def edition_names(edition: Edition) -> tuple[str, str]:
    """(of its kind, of its date): ``Daily edition``, ``Friday, 20 November 2026``."""
    return KIND_NAMES[edition.kind], long_date(edition.date, edition.language)


def brief_mark(piece: Piece) -> str:
    """Why a text that nobody of the paper wrote stands in it."""
    return "In brief: the source’s own words" if piece.form == "brief" else "The source’s headline"


def notices(edition: Edition) -> tuple[str, ...]:
    """The same in sentences, where it needs one."""
    said = []
    if edition.specimen:
        said.append(
            "Specimen. This edition was made by simulated models out of the sources’ own sentences. It shows how the "
            "paper is made; no real model wrote or checked a word of it."
        )
    if edition.bulletin:
        said.append("Bulletin. No model could be asked in time: these are the headlines, and where they were found.")
    if edition.late:
        said.append("Late edition. Its deadline was missed, and it was made afterwards.")
    return tuple(said)


def nothing(edition: Edition) -> str:
    """Why there is nothing in it, in a sentence; empty where there is something."""
    if edition.narrative is not None or edition.figures or any(page.pieces for page in edition.pages):
        return ""
    if edition.kind == "weekly":
        return f"Nothing was printed: there was no daily edition from {period(edition)}."
    feeds = edition.colophon.feeds
    if feeds and all(feed.state == "failed" for feed in feeds):
        return "Nothing was printed: none of the feeds could be read. The colophon says why of each."
    if edition.colophon.dropped:
        return "Nothing was printed: no desk had a story. The colophon names what was left out, and why."
    return "Nothing was printed: there was nothing new in the feeds."


def paragraphs(sentences: Sequence[Claim]) -> list[Sequence[Claim]]:
    """Sentences as paragraphs of two to four, as even as can be: a writer says sentences only. One ends a sentence
    earlier or later where what is said of one source would be torn apart otherwise."""
    many = max(1, round(len(sentences) / 3))
    bounds = [round(n * len(sentences) / many) for n in range(many + 1)]
    for n in range(1, many):
        before, at, after = bounds[n - 1 : n + 2]
        places = [place for place in (at, at + 1, at - 1) if before + 2 <= place <= min(before + 4, after - 2)]
        bounds[n] = next((place for place in places if _apart(sentences[place - 1], sentences[place])), at)
    return [sentences[a:b] for a, b in pairwise(bounds) if a < b]


def _apart(one: Claim, other: Claim) -> bool:
    """Have they no source in common?"""
    first, second = ({cite.rpartition(".")[0] for cite in claim.cites} for claim in (one, other))
    return first.isdisjoint(second)


def cited(claim: Claim, most: int) -> list[int]:
    """The numbers of the credits (from 1) that a sentence rests on, each once, in order."""
    heads = {cite.partition(".")[0] for cite in claim.cites}
    return [n for n in range(1, most + 1) if str(n) in heads]


def sums(colophon: Colophon) -> str:
    """What it took, in one sentence."""
    spent = f"{money(colophon.cost_usd)}"
    if colophon.unpriced_calls:
        spent += f", and {counted(colophon.unpriced_calls, 'call')} whose price is unknown"
    return (
        f"{counted(colophon.calls, 'call')}, {counted(colophon.votes, 'vote')}, "
        f"{counted(colophon.input_tokens, 'token')} read and {count(colophon.output_tokens)} written, {spent}."
    )
