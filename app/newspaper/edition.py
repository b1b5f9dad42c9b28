"""An edition as it is printed: what setting gets, and what the ledger keeps for good."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from app.newspaper.material import Claim, FeedReport, Value

Kind = Literal["daily", "weekly", "growth"]
KINDS: tuple[Kind, ...] = ("daily", "weekly", "growth")


class Credit(Value):
    """A source as the reader sees it."""

    name: str
    title: str
    url: str = ""


class Piece(Value):
    """What is printed of one story.

    ``article``: written and checked, every sentence with its citations (``cites`` of ``1.4`` name the first credit).
    ``brief``: the source's own summary, marked as such, with ``note`` saying why. ``headline``: the source's headline
    alone.
    """

    id: str
    form: Literal["article", "brief", "headline"]
    headline: str
    summary: str = ""
    sentences: tuple[Claim, ...] = ()
    credits: tuple[Credit, ...]
    opinion: bool = False
    importance: Literal["", "front", "major", "minor"] = ""
    note: str = ""
    writer: str = ""
    """The deployment (provider/model) that wrote it."""
    checkers: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    """The ledger's jobs in which it was written and checked."""


class Page(Value):
    """One desk."""

    desk: str
    title: str
    pieces: tuple[Piece, ...]


class Narrative(Value):
    """The front page's or the week's. Its citations name pieces: ``a1b2c3.4`` is the fourth sentence of a piece."""

    headline: str
    sentences: tuple[Claim, ...]
    writer: str = ""
    checkers: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


class Figure(Value):
    """A number of the yard's own, as the ledger has it. ``value`` is exact, ``shown`` is how it is printed."""

    id: str
    name: str
    value: float
    shown: str
    before: float | None = None
    """The same of the week before."""
    before_shown: str = ""
    """How that is printed; left out: in the form of ``shown``."""


class Point(Value):
    at: str
    """A date or a name."""
    value: float


class Chart(Value):
    """Bars or a line, drawn as SVG. ``unit`` stands behind each value. ``note``: its source, for people."""

    id: str
    title: str
    form: Literal["line", "bars"]
    unit: str = ""
    points: tuple[Point, ...]
    note: str = ""


class Dropped(Value):
    """Something that was not printed. ``what``: a headline or ``a sentence of …``; never the text that was refused."""

    what: str
    why: str
    step: str = ""
    job: str = ""


class Hand(Value):
    """What one deployment did in one step."""

    deployment: str
    step: str
    calls: int
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0
    """None: its price is unknown."""


class Weather(Value):
    """Failures of the night by who and what: ``groq``, ``rate_limit``, 12."""

    provider: str
    kind: str
    count: int


class StepLine(Value):
    """One step of the making, as its job stands in the ledger."""

    step: str
    job: str = ""
    items: int = 0
    decided: int = 0
    said: str = ""
    """``in time``, ``at its deadline``, ``not needed`` …"""


class Colophon(Value):
    """How it was made. Sums are of the hands; ``unpriced_calls`` are in no sum of money."""

    steps: tuple[StepLine, ...] = ()
    hands: tuple[Hand, ...] = ()
    weather: tuple[Weather, ...] = ()
    feeds: tuple[FeedReport, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    calls: int = 0
    votes: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_calls: int = 0
    opened_at: dt.datetime | None = None
    made_at: dt.datetime | None = None
    deadline_at: dt.datetime | None = None


class Edition(Value):
    """``specimen``: made by simulated models, and marked so. ``bulletin``: nobody could be asked in time; it holds
    headlines and sources only. ``late``: made after its day's deadline, for it was missed."""

    paper: str
    """The name in the ledger."""
    title: str
    motto: str = ""
    language: str
    kind: Kind
    date: dt.date
    run: int = 1
    """2 and more: reprints."""
    specimen: bool = False
    bulletin: bool = False
    late: bool = False
    narrative: Narrative | None = None
    pages: tuple[Page, ...] = ()
    figures: tuple[Figure, ...] = ()
    charts: tuple[Chart, ...] = ()
    colophon: Colophon = Colophon()

    @property
    def name(self) -> str:
        """The edition's folder and its part of addresses: ``2026-11-20``, ``2026-11-20-weekly``."""
        return name_of(self.kind, self.date)


def name_of(kind: str, date: dt.date) -> str:
    return f"{date}" + ("" if kind == "daily" else f"-{kind}")
