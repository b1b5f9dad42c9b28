"""A press room over a small yard: feeds in a folder, a clock that is moved by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from app.fetch import Fetcher
from app.ledger import editions
from app.newspaper.edition import Edition
from app.newspaper.paper import Paper
from app.services.press.gathering import Gatherer
from app.services.press.publishing import Publisher
from app.services.press.room import Looked, PressRoom
from tests.integration.small_yard import SmallYard, vendor

FLEET = [
    *(vendor(name, model=name, capabilities=["json"]) for name in ("one", "two", "three")),
    *(
        vendor(name, model=name, tier="standard", quality=quality, capabilities=["json"])
        for name, quality in (("four", 0.7), ("five", 0.75), ("six", 0.8))
    ),
    vendor("best", model="best", tier="complex", quality=0.95, capabilities=["json"]),
    vendor("next", model="next", tier="complex", quality=0.9, capabilities=["json"]),
]
NOON = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)

_ENTRIES = [
    ("Bridge over the Elm reopens", "town", "The bridge over the river Elm reopened on Monday after 14 months of work."
     " The town council paid 3.2 million crowns for the repair. \"We are glad to have it back,\" said mayor Ida Holm."
     " Buses use it again from 6 December. Two lanes are kept for bicycles."),
    ("Tin works hires 120 people", "business", "The Harlow tin works will hire 120 people by the spring."
     " Director Peter Lund announced the plan on Tuesday. Orders from abroad rose by 18 percent in the third quarter."
     " The works has 640 people on its books today. Training begins in January."),
    ("Observatory finds a faint comet", "science", "Astronomers at the Vale observatory have found a faint comet."
     " It was seen on 41 pictures taken since August. Team leader Mara Quist called it a lucky find."
     " The comet will be nearest to the sun in March. It cannot be seen with the naked eye."),
]  # fmt: skip


def rss(entries: list[tuple[str, str, str]]) -> str:
    rows = "".join(
        f"<item><title>{title}</title><link>https://news.example/{desk}/{n}</link><description>{text}</description></item>"
        for n, (title, desk, text) in enumerate(entries, 1)
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>{rows}</channel></rss>'


class Newsroom:
    """``rooms``: press rooms that look in turn, each with a clock that is off by so many seconds."""

    def __init__(self, yard: SmallYard, home: Path, skews_s: tuple[float, ...] = (0.0,), **paper: Any) -> None:
        self.yard = yard
        self.home = home
        self.now = NOON
        (home / "feeds").mkdir(exist_ok=True)
        for _, desk, _ in _ENTRIES:
            own = [entry for entry in _ENTRIES if entry[1] == desk]
            (home / "feeds" / f"{desk}.xml").write_text(rss(own))
        self.paper = Paper.model_validate(
            {
                "title": "The Elm Courier",
                "name": "courier",
                "words": 60,
                "desk": [
                    {"name": "town", "title": "Town", "description": "council, streets, bridges, buses"},
                    {"name": "business", "title": "Business", "description": "works, trade, jobs, orders"},
                    {"name": "science", "title": "Science", "description": "stars, comets, research"},
                ],
                "feed": [{"name": f"The {d}", "path": f"feeds/{d}.xml"} for d in ("town", "business", "science")],
                "publish": {"folder": "out"},
                **paper,
            }
        )
        self.rooms = [self._room(skew) for skew in skews_s]

    def _room(self, skew_s: float) -> PressRoom:
        engine = self.yard.engine
        return PressRoom(
            engine,
            self.yard.yard.fleet,
            Gatherer(engine, Fetcher()),
            Publisher(engine, {}),
            clock=lambda: self.now + dt.timedelta(seconds=skew_s),
        )

    def open(self, kind: Any = "daily", **options: Any) -> int:
        return self.rooms[0].open_now(self.paper, self.home, kind, self.now.date(), **options)

    def look(self, *, due: bool = False) -> list[Looked]:
        return [room.look(self.paper if due else None, self.home) for room in self.rooms]

    def later(self, **span: float) -> None:
        self.now += dt.timedelta(**span)

    def press(self) -> None:
        """Look and work in turn until the edition is published."""
        for _ in range(40):
            if any(looked.published for looked in self.look()):
                return
            self.yard.work()
        raise AssertionError("it was never published")

    def edition(self, edition_id: int) -> Edition:
        return Edition.model_validate(editions.document(self.yard.engine, edition_id))

    def state(self, edition_id: int) -> str:
        return editions.edition(self.yard.engine, edition_id).state
