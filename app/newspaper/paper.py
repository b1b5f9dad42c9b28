"""``newspaper.toml`` as a value: what a paper is, when it appears, how it is made and where it goes.

Everything but ``title``, one desk and one feed has a default. Secrets do not stand in it: keys that end in ``_env`` are
names of environment variables.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from app.core import recipe as recipes
from app.core.errors import RecipeError

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Minutes = Annotated[float, Field(gt=0, le=24 * 60, allow_inf_nan=False)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Format = Literal["html", "markdown", "pdf", "atom"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Desk(_Table):
    """``description`` is what sorting tells models of it."""

    name: Slug
    title: Line
    description: Line
    most: Annotated[int, Field(ge=1, le=50)] = 6
    """Stories at most."""


class Feed(_Table):
    """One of ``url`` (RSS, Atom or JSON feed), or ``path``: a feed file or a folder of text, Markdown or HTML files;
    a relative one starts beside ``newspaper.toml``."""

    name: Line
    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    path: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    desk: Slug | None = None
    language: str | None = None
    most: Annotated[int, Field(ge=1, le=1000)] = 50
    """Articles taken at most, the newest first."""
    articles: bool = True
    """Fetch an entry's page where the feed holds a summary only."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("a feed has one of url and path")
        if self.url is not None and not self.url.startswith(("https://", "http://")):
            raise ValueError("url must begin with https:// or http://")
        return self


class Step(_Table):
    """How a step's job is put to the yard."""

    strategy: Annotated[str, StringConstraints(max_length=4000)]
    tier: Literal["cheap", "standard", "complex", "private"]
    pack: Annotated[int, Field(ge=1, le=50)] = 1

    @field_validator("strategy")
    @classmethod
    def _known(cls, strategy: str) -> str:
        try:
            recipes.parse(strategy)
        except RecipeError as error:
            raise ValueError(f"{error}; {error.hint}" if error.hint else str(error)) from None
        return strategy


class Steps(_Table):
    merge: Step = Step(strategy="majority-vote", tier="cheap", pack=5)
    sort: Step = Step(strategy="majority-vote", tier="cheap", pack=10)
    write: Step = Step(strategy="ranked-fallback", tier="standard")
    check: Step = Step(strategy="thinker-worker-verifier", tier="standard")
    lead: Step = Step(strategy="synthesize-best", tier="complex")
    growth: Step = Step(strategy="ranked-fallback(council=6)", tier="standard")


class Appearance(_Table):
    """When an edition is made: begun at ``at`` by the paper's clock, shipped after ``minutes`` at the latest.

    A missed one is still made up to ``catch_up_hours`` later.
    """

    at: dt.time = dt.time(5, 0)
    minutes: Minutes = 60.0
    catch_up_hours: Annotated[float, Field(ge=0, le=7 * 24, allow_inf_nan=False)] = 12.0
    on: Weekday | None = None
    """The day of a weekly one; a daily one has none."""

    @field_validator("at")
    @classmethod
    def _local(cls, at: dt.time) -> dt.time:
        if at.tzinfo is not None:
            raise ValueError("at is a time of day by the paper's time_zone, without a zone of its own")
        return at


class Bucket(_Table):
    """S3-compatible. Keys from the environment under the names given."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    endpoint: str | None = None
    """Left out: Amazon's."""
    region: str = "us-east-1"
    prefix: str = ""
    access_key_env: EnvName = "AWS_ACCESS_KEY_ID"
    secret_key_env: EnvName = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a name, no key


class Webhook(_Table):
    """Told of every edition; signed as Standard Webhooks has it."""

    url_env: EnvName
    secret_env: EnvName


class Mail(_Table):
    """The edition as a letter. ``smtp_env`` holds ``smtp://user:password@host:587`` or ``smtps://``."""

    smtp_env: EnvName
    sender: Line
    to: Annotated[tuple[Line, ...], Field(min_length=1, max_length=100)]


class Publish(_Table):
    folder: Annotated[str, StringConstraints(min_length=1, max_length=1000)] = "editions"
    """Relative to ``newspaper.toml``."""
    formats: tuple[Format, ...] = ("html", "markdown", "atom")
    url: Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[^\s<>\"']+$")] | None = None
    """Where the folder can be read by others; the Atom feed's links begin with it."""
    keep: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Editions that the index lists; left out: all."""
    bucket: Bucket | None = None
    webhook: Webhook | None = None
    mail: Mail | None = None


class Paper(_Table):
    """One newspaper."""

    name: Slug = "paper"
    """Its identity in the ledger. Changed, it is another paper."""
    title: Line
    motto: Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    time_zone: str = "UTC"
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")] = "en"
    """What it is written in."""
    languages: Annotated[tuple[Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")], ...], Field(max_length=20)]
    """What its sources may be written in; left out: its own."""
    style: Line = "plain, factual, in short sentences; no adjectives of praise or blame"
    words: Annotated[int, Field(ge=40, le=2000)] = 180
    """Of an article, about."""
    stories: Annotated[int, Field(ge=1, le=200)] = 20
    """In one edition, at most."""
    front: Annotated[int, Field(ge=1, le=20)] = 5
    """Stories that the front page's narrative tells of, at most."""
    max_age_hours: Annotated[float, Field(gt=0, le=24 * 60, allow_inf_nan=False)] = 36.0
    """Older entries are no news. Entries without a date are taken as new until they have been printed."""
    max_cost_usd: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None
    """Of one edition."""
    daily: Appearance | None = Appearance()
    weekly: Appearance | None = None
    growth: Appearance | None = None
    desk: Annotated[tuple[Desk, ...], Field(min_length=1, max_length=30)]
    feed: Annotated[tuple[Feed, ...], Field(min_length=1, max_length=500)]
    steps: Steps = Steps()
    publish: Publish = Publish()

    @model_validator(mode="before")
    @classmethod
    def _own_language(cls, data: object) -> object:
        if isinstance(data, dict) and "languages" not in data:
            return {**data, "languages": (data.get("language", "en"),)}
        return data

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            raise ValueError("is no IANA time zone, such as Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        desks = [desk.name for desk in self.desk]
        feeds = [feed.name for feed in self.feed]
        for what, names in (("desk", desks), ("feed", feeds)):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"two {what}s are called {twice!r}")
        for feed in self.feed:
            if feed.desk is not None and feed.desk not in desks:
                raise ValueError(f"the feed {feed.name!r} names a desk that is not there; there are {', '.join(desks)}")
        for kind in ("weekly", "growth"):
            appearance = getattr(self, kind)
            if appearance is not None and appearance.on is None:
                raise ValueError(f'{kind} wants the day it appears on: on = "sunday"')
        if self.daily is not None and self.daily.on is not None:
            raise ValueError("a daily edition appears every day: leave on out")
        if PurePosixPath(self.publish.folder).name in ("", "..") or re.search(r"[\x00-\x1f]", self.publish.folder):
            raise ValueError("publish.folder names no folder")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def appearance(self, kind: str) -> Appearance | None:
        found: Appearance | None = getattr(self, kind)
        return found
