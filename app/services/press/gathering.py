"""Gathering: every feed of a paper by itself and at the same time, whatever the others do.

A feed that cannot be had is what it said last. Nothing here raises for what stands behind an address or in a file: the
report says it in one line, with no text out of the feed.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from app.fetch import Fetched, Fetcher, Unfetched
from app.ledger import feed_answers
from app.ledger.feed_answers import PAGE, FeedAnswer
from app.newspaper.feeds import MOST_BYTES, Entry, FeedRead, read_feed
from app.newspaper.material import Article, FeedReport
from app.newspaper.paper import Feed, Paper
from app.newspaper.reading import article, article_text, printable_url
from app.services.press.folders import read_path

SHORT_TEXT = 700
"""Characters: an entry that says less has its page fetched."""
MOST_PAGES = 15
"""Pages fetched for one feed and edition."""
_KEEP_PAGES = dt.timedelta(days=14)
_LEAST_TURN = dt.timedelta(seconds=2)
_AHEAD = dt.timedelta(days=1)
"""A date further in the future is no date."""
_ACCEPT_FEED = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
)
_ACCEPT_PAGE = "text/html, application/xhtml+xml, */*;q=0.1"


def feed_fetcher(*, allow_private: bool = False, timeout_s: float = 20.0) -> Fetcher:
    """The checked client as feeds want it: they stand on plain http, too, and move."""
    return Fetcher(allow_private=allow_private, allow_http=True, timeout_s=timeout_s, max_bytes=MOST_BYTES, redirects=5)


@dataclass(frozen=True, slots=True)
class Gathered:
    """``articles``: in the order of the paper's feeds, each feed's newest first, none twice. ``reports``: one of each
    feed, in the paper's order."""

    articles: tuple[Article, ...]
    reports: tuple[FeedReport, ...]


@dataclass(frozen=True, slots=True)
class _Had:
    """What a feed says, wherever that was had from."""

    state: Literal["read", "unchanged", "kept", "failed"]
    read: FeedRead
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Taken:
    """The entries of a feed that come into question, and the articles they make."""

    feed: Feed
    had: _Had
    made: tuple[tuple[Entry, Article, bool], ...] = ()
    """Entry, article, whether the feed has its address more than once."""
    notes: tuple[str, ...] = ()


class _Turns:
    """Shares the time until ``until`` out among ``many`` that are waited for ``at_once`` at a time: each has as much as
    would bring all of them to their turn if all of them took theirs, so that those that hang do not use up what the
    others need. One that is quick leaves its rest to those behind it. Thread-safe."""

    def __init__(self, many: int, at_once: int, until: dt.datetime) -> None:
        self._waiting = many
        self._at_once = at_once
        self._until = until
        self._lock = threading.Lock()

    def next(self) -> dt.datetime:
        """The end of the turn that begins now."""
        now = _now()
        with self._lock:
            turn = (self._until - now) * self._at_once / max(1, self._waiting)
            self._waiting -= 1
        return min(self._until, now + max(turn, _LEAST_TURN))


class Gatherer:
    """``most_at_once``: addresses that are fetched at the same time. ``pages``: the client for what entries link to;
    left out, one that calls public addresses only, for a link is a stranger's, where the feed itself is the paper's."""

    def __init__(
        self, engine: Engine, fetcher: Fetcher, most_at_once: int = 16, *, pages: Fetcher | None = None
    ) -> None:
        self._engine = engine
        self._fetcher = fetcher
        self._pages = pages or feed_fetcher()
        self._most_at_once = most_at_once

    def gather(self, paper: Paper, base: Path, opened_at: dt.datetime, until: dt.datetime) -> Gathered:
        """All articles for an edition. ``base``: the folder that relative paths start from. No fetch goes on after
        ``until``: what is not there by then is what it said last, or failed."""
        feed_answers.forget_pages(self._engine, _now() - _KEEP_PAGES)
        with ThreadPoolExecutor(self._most_at_once, thread_name_prefix="gather") as pool:
            turns = self._turns(sum(feed.url is not None for feed in paper.feed), until)
            taken = list(pool.map(lambda feed: self._take(feed, paper, base, opened_at, turns), paper.feed))
            urls = _short_of_text(taken)
            turns = self._turns(len(urls), until)
            pages = dict(zip(urls, pool.map(lambda url: self._page(url, turns), urls), strict=True))
        return _together([_with_pages(each, pages) for each in taken])

    def _turns(self, many: int, until: dt.datetime) -> _Turns:
        return _Turns(many, self._most_at_once, until)

    def _take(self, feed: Feed, paper: Paper, base: Path, opened_at: dt.datetime, turns: _Turns) -> _Taken:
        try:
            had = self._from_url(feed.url, turns) if feed.url is not None else _from_path(feed.path or "", base)
            entries, notes = _in_question(had.read.entries, feed, paper, opened_at)
            made, unfit = _articles(entries, feed)
            return _Taken(feed, had, made, (*notes, *unfit))
        except Exception as error:  # whatever one feed can do to us, the others are gathered
            return _Taken(feed, _Had("failed", FeedRead(()), (f"could not be read ({type(error).__name__})",)))

    def _from_url(self, url: str, turns: _Turns) -> _Had:
        stored = feed_answers.get(self._engine, url)
        got = _fetched(self._fetcher, url, {"accept": _ACCEPT_FEED, **_conditions(stored)}, turns.next())
        if isinstance(got, Unfetched):
            return _last_said(stored, got.said)
        if got.status == 304 and stored is not None:
            feed_answers.touch(self._engine, url, _now())
            read = read_feed(stored.body, stored.headers)
            return _Had("unchanged", read, read.faults)
        if got.status != 200:
            return _last_said(stored, f"it answered with HTTP {got.status}")
        headers = _reading_headers(got)
        read = read_feed(got.body, headers)
        if not read.known:
            return _last_said(stored, f"what it answered with is no feed: {'; '.join(read.faults)}")
        feed_answers.put(
            self._engine,
            url,
            etag=_token(got.headers.get("etag")),
            last_modified=_token(got.headers.get("last-modified")),
            headers=headers,
            body=got.body,
            at=_now(),
        )
        return _Had("read", read, read.faults)

    def _page(self, url: str, turns: _Turns) -> str:
        """The text of an article's page; empty where it cannot be had."""
        until = turns.next()
        try:
            stored = feed_answers.get(self._engine, PAGE + url)
            if stored is not None:
                return stored.body.decode()
            got = _fetched(self._pages, url, {"accept": _ACCEPT_PAGE}, until)
            if isinstance(got, Unfetched) or got.status != 200:
                return ""
            text = article_text(got.body)
            feed_answers.put(
                self._engine, PAGE + url, etag=None, last_modified=None, headers={}, body=text.encode(), at=_now()
            )
            return text
        except Exception:  # a page is a bonus; its entry stands without it
            return ""


def _fetched(fetcher: Fetcher, url: str, headers: Mapping[str, str], until: dt.datetime) -> Fetched | Unfetched:
    left = (until - _now()).total_seconds()
    if left <= 0:
        return Unfetched("there was no time left to fetch it")

    async def exchange() -> Fetched | Unfetched:
        async with asyncio.timeout(left):
            return await fetcher.send("GET", url, headers)

    try:
        return asyncio.run(exchange())
    except TimeoutError:
        return Unfetched("it did not answer in the time there was for it")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _conditions(stored: FeedAnswer | None) -> dict[str, str]:
    """RFC 9110, 13.1."""
    if stored is None:
        return {}
    found = {"if-none-match": stored.etag, "if-modified-since": stored.last_modified}
    return {name: value for name, value in found.items() if value}


def _token(value: str | None) -> str | None:
    """A validator that can be sent back; None: there is none, or nothing of that kind."""
    return value if value and len(value) <= 500 and value.isascii() and value.isprintable() else None


def _reading_headers(got: Fetched) -> dict[str, str]:
    """What reading a feed needs to know. ``content-location`` is where it came from, whatever it says itself."""
    served = {name: _token(got.headers.get(name)) for name in ("content-type", "content-language")}
    return {**{name: value for name, value in served.items() if value}, "content-location": got.url}


def _last_said(stored: FeedAnswer | None, why: str) -> _Had:
    if stored is None:
        return _Had("failed", FeedRead(()), (why,))
    read = read_feed(stored.body, stored.headers)
    return _Had("kept", read, (f"{why}; what it said {_ago(_now() - stored.checked_at)} ago was taken", *read.faults))


def _ago(age: dt.timedelta) -> str:
    hours = age.total_seconds() / 3600
    if hours < 2:
        return "a minute" if hours < 1 / 30 else f"{round(hours * 60)} minutes"
    return f"{round(hours)} hours" if hours < 48 else f"{round(hours / 24)} days"


def _from_path(path: str, base: Path) -> _Had:
    read = read_path(base / path)
    return _Had("read" if read.known else "failed", read, read.faults)


def _in_question(
    entries: Sequence[Entry], feed: Feed, paper: Paper, opened_at: dt.datetime
) -> tuple[list[Entry], tuple[str, ...]]:
    """Those that are new enough, the newest first and those without a date behind them; and what was left out."""
    dated = [replace(each, published=None) if _not_yet(each, opened_at) else each for each in entries]
    oldest = opened_at - dt.timedelta(hours=paper.max_age_hours)
    fresh = [each for each in dated if each.published is None or each.published >= oldest]
    fresh.sort(key=lambda each: -each.published.timestamp() if each.published else 0.0)
    notes = []
    if old := len(dated) - len(fresh):
        notes.append(f"{old} too old")
    if (more := len(fresh) - feed.most) > 0:
        notes.append(f"{more} beyond the {feed.most} that are taken")
    return fresh[: feed.most], tuple(notes)


def _not_yet(entry: Entry, opened_at: dt.datetime) -> bool:
    return entry.published is not None and entry.published > opened_at + _AHEAD


def _articles(entries: Sequence[Entry], feed: Feed) -> tuple[tuple[tuple[Entry, Article, bool], ...], list[str]]:
    urls = Counter(printable_url(entry.url) for entry in entries)
    made, unfit = [], Counter[str]()
    for entry in entries:
        shared = urls[printable_url(entry.url)] > 1
        match article(entry, feed, shared=shared):
            case Article() as found:
                made.append((entry, found, shared))
            case why:
                unfit[why] += 1
    return tuple(made), [f"{count} left out: {why}" for why, count in unfit.items()]


def _short_of_text(taken: Sequence[_Taken]) -> list[str]:
    """Addresses of pages to fetch, a feed's first ones before any feed's last. Files are taken as they are: what they
    link to was not asked for."""
    wanted = [
        [made.url for _, made, shared in each.made if made.url and not shared and len(made.text) < SHORT_TEXT][
            :MOST_PAGES
        ]
        for each in taken
        if each.feed.articles and each.feed.url is not None
    ]
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*wanted))
    return list(dict.fromkeys(url for url in in_turn if url))


def _with_pages(taken: _Taken, pages: Mapping[str, str]) -> _Taken:
    made = []
    for entry, before, shared in taken.made:
        page = pages.get(before.url, "") if taken.feed.articles and not shared else ""
        again = article(entry, taken.feed, page=page) if len(page) > len(before.text) else before
        # An address is an article's identity: its page changes the text and nothing else.
        made.append((entry, again if isinstance(again, Article) else before, shared))
    return replace(taken, made=tuple(made))


def _together(taken: Sequence[_Taken]) -> Gathered:
    articles: dict[str, Article] = {}
    reports = []
    for each in taken:
        own = {made.id: made for _, made, _ in each.made if made.id not in articles}
        articles.update(own)
        notes = list(each.notes)
        if again := len(each.made) - len(own):
            notes.append(f"{again} there already")
        if removed := sum(made.removed for made in own.values()):
            notes.append(
                f"{removed} {'sentence' if removed == 1 else 'sentences'} that instruct their reader taken out"
            )
        said = "; ".join((*each.had.said, *notes))
        reports.append(FeedReport(feed=each.feed.name, state=each.had.state, articles=len(own), said=said))
    return Gathered(tuple(articles.values()), tuple(reports))
