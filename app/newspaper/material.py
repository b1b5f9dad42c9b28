"""What a paper is made from: the articles that came in, the stories they tell, and sentences that can be cited.

A citation is the id of a sentence: ``2.7`` is the seventh sentence of a dossier's second source. Whatever a model
writes cites such ids, and is checked against those sentences; so do the narrative (whose sources are the printed
articles) and the growth report (whose sources are the ledger's figures).
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict

MOST_TITLE = 300
MOST_SUMMARY = 1_000
MOST_TEXT = 40_000


class Value(BaseModel):
    """Of the newspaper: frozen, and as JSON in the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Article(Value):
    """One entry of one feed, cleaned: plain text without markup, control or direction characters.

    ``id``: ``a`` and ten hexadecimal digits of what it says, the same whenever it is gathered. ``url``: http or https,
    never an inner address; empty where it has none that may be printed. ``text``: the article, paragraphs divided by
    a blank line; at least its title. ``removed``: sentences that tried to instruct their reader and were taken out.
    """

    id: str
    feed: str
    """The feed's name, as printed."""
    url: str = ""
    title: str
    summary: str = ""
    text: str
    author: str = ""
    published: dt.datetime | None = None
    language: str = ""
    """As the feed says (``en``, ``de``); empty: it does not."""
    desk: str = ""
    """Where the feed belongs to one desk."""
    removed: int = 0


class FeedReport(Value):
    """What became of one feed: one line for people. ``said`` holds neither secrets nor text out of the feed."""

    feed: str
    state: Literal["read", "unchanged", "kept", "failed"]
    """``kept``: it could not be had, and what it last said was taken."""
    articles: int = 0
    said: str = ""


class Sorted(Value):
    """What sorting has said of a story. Empty where it could not say."""

    desk: str = ""
    importance: Literal["", "front", "major", "minor"] = ""
    genre: Literal["", "news", "opinion", "advertisement"] = ""
    language: str = ""
    """``other``: none of the paper's."""


class Story(Value):
    """One story and all who tell it, the fullest telling first. ``id`` is that article's."""

    id: str
    articles: tuple[str, ...]
    sorted: Sorted = Sorted()


class Source(Value):
    """A text that can be cited, in sentences; ``sentences`` maps ``1.1``, ``1.2`` … to them. ``title`` and ``name``
    (who says it) may be cited as ``1.0``."""

    id: str
    name: str
    title: str = ""
    url: str = ""
    published: dt.datetime | None = None
    sentences: dict[str, str]


class Dossier(Value):
    """All that may be said of one thing, and nothing else may."""

    id: str
    sources: tuple[Source, ...]

    def sentence(self, cited: str) -> str | None:
        """The text of a citation; None: there is no such sentence."""
        for source in self.sources:
            if cited == f"{source.id}.0":
                return f"{source.title} ({source.name})"
            if cited in source.sentences:
                return source.sentences[cited]
        return None


class Claim(Value):
    """One sentence that somebody wrote, and the sentences it says to rest on."""

    text: str
    cites: tuple[str, ...] = ()


class Draft(Value):
    """What a writer made of a dossier."""

    headline: Claim
    summary: Claim
    sentences: tuple[Claim, ...]
