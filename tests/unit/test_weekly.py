"""The week by the paper's clock, and what a narrative of it is told."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.newspaper import weekly
from app.newspaper.edition import Credit, Edition, Page, Piece
from app.newspaper.material import Claim
from app.newspaper.paper import Paper

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
MONDAY = dt.date(2026, 11, 16)
PAPER = Paper.model_validate(
    {
        "title": "The Specimen",
        "desk": [{"name": n, "title": n.title(), "description": n} for n in ("world", "science")],
        "feed": [{"name": "One", "url": "https://example.com/feed"}],
        "publish": {"url": "https://paper.example/news/"},
    }
)


@given(zone=st.sampled_from(ZONES), date=st.dates(dt.date(1960, 1, 1), dt.date(2040, 12, 31)))
def test_a_day_begins_with_its_first_moment_in_every_zone(zone: str, date: dt.date) -> None:
    tz = zoneinfo.ZoneInfo(zone)
    begins = weekly.midnight(date, tz)
    assert begins.utcoffset() == dt.timedelta()
    # The first moment whose date is this one, or the next where the zone left the whole day out (Samoa, 2011).
    assert begins.astimezone(tz).date() >= date
    assert (begins - dt.timedelta(microseconds=1)).astimezone(tz).date() < date


@given(zone=st.sampled_from(ZONES), date=st.dates(dt.date(1960, 1, 1), dt.date(2040, 12, 31)))
def test_weeks_follow_each_other_without_gap_or_overlap(zone: str, date: dt.date) -> None:
    tz = zoneinfo.ZoneInfo(zone)
    since, until = weekly.week(date, tz)
    assert weekly.week(date - weekly.WEEK, tz)[1] == since
    days = weekly.day_starts(date, tz, weeks=2)
    assert (len(days), days[7], days[-1]) == (15, since, until)
    assert list(days) == sorted(days)
    assert weekly.dates(date) == (date - weekly.WEEK, date - dt.timedelta(1))


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [
        ("Europe/Berlin", dt.date(2026, 4, 6), 7 * 24),
        ("Europe/Berlin", dt.date(2026, 3, 30), 7 * 24 - 1),
        ("Europe/Berlin", dt.date(2026, 10, 26), 7 * 24 + 1),
        # Clocks put forward at midnight: the day begins at one.
        ("America/Asuncion", dt.date(2023, 10, 1), 7 * 24),
        ("America/Asuncion", dt.date(2023, 10, 2), 7 * 24 - 1),
        # Clocks put back from one to midnight, which comes twice.
        ("America/Havana", dt.date(2026, 11, 2), 7 * 24 + 1),
        # A day that there never was.
        ("Pacific/Apia", dt.date(2012, 1, 1), 6 * 24),
        ("UTC", dt.date(2026, 3, 30), 7 * 24),
    ],
)
def test_a_week_is_as_long_as_the_clock_makes_it(zone: str, date: dt.date, hours: int) -> None:
    since, until = weekly.week(date, zoneinfo.ZoneInfo(zone))
    assert until - since == dt.timedelta(hours=hours)


def piece(
    id_: str, form: str = "article", importance: str = "", words: int = 8, sentences: int = 6, opinion: bool = False
) -> Piece:
    told = tuple(Claim(text=f"Sentence {n} of {id_} " + "and so on " * words, cites=("1.1",)) for n in range(sentences))
    more: dict[str, Any] = {"article": {"sentences": told}, "brief": {"summary": f"In brief, {id_}. And no more."}}.get(
        form, {}
    )
    credit = Credit(name=f"Feed {id_[-1]}", title="T", url="https://example.com/a")
    return Piece.model_validate(
        {
            "id": id_,
            "form": form,
            "headline": f"Head of {id_}",
            "importance": importance,
            "credits": (credit,),
            "opinion": opinion,
            **more,
        }
    )


def edition(n: int, **desks: list[Piece]) -> Edition:
    pages = tuple(Page(desk=desk, title=desk.title(), pieces=tuple(pieces)) for desk, pieces in desks.items())
    return Edition(
        paper="paper", title="The Specimen", language="en", kind="daily", date=MONDAY + dt.timedelta(n), pages=pages
    )


def test_the_most_important_of_each_day_is_told_first_and_in_the_order_of_days() -> None:
    week = [
        edition(1, world=[piece("a11", importance="minor"), piece("a12", importance="front")]),
        edition(0, world=[piece("a01", importance="major")], science=[piece("a02"), piece("a03", "brief")]),
    ]
    told = weekly.dossier(week)
    assert [source.id for source in told.sources] == ["a01", "a02", "a12", "a11"]
    first = told.sources[0]
    assert (first.name, first.title) == ("The Specimen, Monday", "Head of a01")
    assert first.published == dt.datetime(2026, 11, 16, tzinfo=dt.UTC)
    assert list(first.sentences) == [f"a01.{n}" for n in range(1, weekly.MOST_SENTENCES + 1)]
    sentence = told.sentence("a12.2")
    assert sentence is not None and sentence.startswith("Sentence 1 of a12 ")
    assert told.sentence("a03.1") is None, "a brief is told only of a day that had no article"


def test_a_day_without_articles_gives_briefs_or_headlines_and_opinion_is_left_out() -> None:
    week = [
        edition(0, world=[piece("a01", "brief"), piece("a02", "headline")]),
        edition(1, world=[piece("a11", "headline")]),
        edition(2, world=[piece("a21", opinion=True)]),
    ]
    told = weekly.dossier(week)
    assert {source.id: list(source.sentences.values()) for source in told.sources} == {
        "a01": ["In brief, a01.", "And no more."],
        "a11": ["Head of a11"],
    }


@given(
    days=st.lists(
        st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["front", "major", "minor", ""])), max_size=30),
        max_size=7,
    )
)
def test_what_is_told_has_its_bounds_and_every_id_is_one_piece(days: list[list[tuple[int, Any]]]) -> None:
    week = [
        edition(n, world=[piece(f"a{i}", importance=weight, words=40) for i, weight in pieces])
        for n, pieces in enumerate(days)
    ]
    told = weekly.dossier(week)
    assert len(told.sources) <= weekly.MOST_PIECES
    size = sum(len(s.title) + sum(len(text) for text in s.sentences.values()) for s in told.sources)
    assert size <= weekly.MOST_CHARS
    ids = [source.id for source in told.sources]
    assert len(set(ids)) == len(ids)
    # No day is told of twice before each that has as much was told of once.
    asked = {edition.date: sum(len(page.pieces) for page in edition.pages) for edition in week}
    got = {date: sum(s.published.date() == date for s in told.sources if s.published) for date in asked}
    assert all(got[one] + 1 >= min(got[other], asked[one]) for one in asked for other in asked)
    printed = {piece.id: piece for page in weekly.pages(week, PAPER) for piece in page.pieces}
    for source in told.sources:
        if source.id in printed:
            assert printed[source.id].headline == source.title, "an id means the same piece in both"


def test_pages_of_the_week_are_headlines_by_desk_with_their_sources_and_edition() -> None:
    week = [
        edition(0, science=[piece("a01", importance="minor")], sports=[piece("a02")]),
        edition(1, world=[piece("a11", "brief", "minor"), piece("a12", importance="front")], science=[piece("a01")]),
    ]
    pages = weekly.pages(week, PAPER)
    assert [(page.desk, page.title, [p.id for p in page.pieces]) for page in pages] == [
        ("world", "World", ["a12", "a11"]),
        ("science", "Science", ["a01", "a01x2"]),
        ("sports", "Sports", ["a02"]),
    ]
    top = pages[0].pieces[0]
    assert (top.form, top.sentences, top.importance) == ("headline", (), "front")
    assert [(c.name, c.url) for c in top.credits] == [
        ("The Specimen", "https://paper.example/news/2026-11-17/index.html"),
        ("Feed 2", "https://example.com/a"),
    ]
    unpublished = PAPER.model_copy(update={"publish": PAPER.publish.model_copy(update={"url": None})})
    assert weekly.pages(week, unpublished)[0].pieces[0].credits[0].url == ""
    many = edition(2, world=[piece(f"b{n}") for n in range(30)])
    assert len(weekly.pages([many], PAPER)[0].pieces) == weekly.MOST_OF_A_DESK


def test_charts_of_the_week_count_what_was_printed() -> None:
    week = [edition(1, world=[piece("a11")]), edition(0, world=[piece("a01"), piece("a02", "brief")], science=[])]
    charts = {chart.id: {point.at: point.value for point in chart.points} for chart in weekly.charts(week)}
    assert charts == {
        "stories-by-desk": {"World": 3},
        "stories-by-source": {"Feed 1": 2, "Feed 2": 1},
        "sentences-by-day": {"2026-11-16": 6, "2026-11-17": 6},
    }
    assert weekly.charts([]) == ()
    assert weekly.charts([edition(0)]) == ()


def test_the_prompts_words_are_the_papers_and_no_articles() -> None:
    assert PAPER.title in weekly.words(PAPER)
