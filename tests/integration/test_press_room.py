"""The press room: one edition a date whatever happens, made of jobs in the yard, and shipped on time."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import Conflict
from app.ledger import edition_steps, editions
from tests.integration.newsroom import FLEET, Newsroom
from tests.integration.small_yard import SmallYard

JOURNALISTS: dict[str, Any] = {"kind": "journalist", "error_rate": {"default": 0.0}}


@pytest.fixture
def newsroom(small_yard: SmallYard, tmp_path: Path) -> Newsroom:
    small_yard.open(FLEET)
    small_yard.weather(**JOURNALISTS)
    return Newsroom(small_yard, tmp_path)


@pytest.fixture
def deserted(small_yard: SmallYard, tmp_path: Path) -> Newsroom:
    """No provider answers."""
    small_yard.open(FLEET, healthy=False, simulated=False)
    small_yard.mark("down", *(d.name for d in small_yard.yard.fleet.current().deployments))
    return Newsroom(small_yard, tmp_path)


def test_an_edition_is_made_of_jobs_in_the_yard_and_published(newsroom: Newsroom) -> None:
    made = newsroom.open()
    newsroom.press()
    edition = newsroom.edition(made)
    assert not edition.bulletin
    forms = [piece.form for page in edition.pages for piece in page.pieces]
    assert forms == ["article"] * 3
    assert edition.narrative is not None
    page = newsroom.home / "out" / "2026-11-20" / "index.html"
    assert "Bridge over the Elm reopens" in page.read_text()
    calls, tokens, cost = newsroom.yard.rows(
        "SELECT count(*), sum(input_tokens + cached_tokens + output_tokens + reasoning_tokens), sum(cost_micro)"
        " FROM attempts WHERE purpose <> 'ping' AND state <> 'unsent'"
    )[0]
    told = edition.colophon
    assert (told.calls, told.input_tokens + told.output_tokens) == (calls, tokens)
    assert round(told.cost_usd * 1e6) == cost > 0
    assert {row[0] for row in newsroom.yard.rows("SELECT team FROM jobs")} == {"press"}
    newsroom.yard.books_agree()


def test_the_next_day_does_not_print_what_has_run(newsroom: Newsroom) -> None:
    newsroom.open()
    newsroom.press()
    newsroom.later(days=1)
    second = newsroom.open()
    newsroom.press()
    assert newsroom.edition(second).pages == ()
    assert (newsroom.home / "out" / "2026-11-20" / "index.html").exists()
    assert (newsroom.home / "out" / "2026-11-21" / "index.html").exists()


def test_a_date_has_one_edition_unless_a_reprint_is_wished(newsroom: Newsroom) -> None:
    newsroom.open()
    with pytest.raises(Conflict, match="is being made"):
        newsroom.open()
    newsroom.press()
    with pytest.raises(Conflict, match="already"):
        newsroom.open()
    again = newsroom.open(reprint=True)
    newsroom.press()
    assert newsroom.edition(again).run == 2
    assert len(newsroom.edition(again).pages) == 3


def test_where_every_provider_is_down_a_bulletin_ships_at_the_deadline_and_not_before(deserted: Newsroom) -> None:
    made = deserted.open()
    deserted.look()
    deserted.later(minutes=39)  # somebody might still come back in time to write
    deserted.look()
    assert deserted.state(made) == "open"
    deserted.later(minutes=20)
    deserted.look()
    assert deserted.state(made) == "published"
    edition = deserted.edition(made)
    assert edition.bulletin
    pieces = [piece for page in edition.pages for piece in page.pieces]
    assert {piece.form for piece in pieces} == {"headline"}
    assert sorted(piece.headline for piece in pieces)[0] == "Bridge over the Elm reopens"
    assert all(piece.credits for piece in pieces)
    opened = editions.edition(deserted.yard.engine, made)
    assert opened.made_at is not None
    assert opened.made_at <= opened.deadline_at
    # What was asked in vain is called off.
    assert deserted.yard.rows("SELECT DISTINCT state FROM jobs WHERE state NOT IN ('cancelled', 'done')") == []


def test_what_a_closed_step_hears_later_changes_nothing(newsroom: Newsroom) -> None:
    made = newsroom.open()
    newsroom.look()
    newsroom.later(minutes=40)  # nobody has sorted in time
    newsroom.look()
    first = edition_steps.heard(newsroom.yard.engine, made, newsroom.now)
    sort = [step for step in first if step.name.startswith("sort")]
    assert sort
    assert all(step.said == "at its deadline" and step.answers == {} for step in sort)
    newsroom.yard.work()  # now they have
    assert newsroom.yard.value("SELECT count(*) FROM decisions WHERE status = 'decided'") > 0
    later = edition_steps.heard(newsroom.yard.engine, made, newsroom.now)
    assert [step for step in later if step.name.startswith("sort")] == sort
    newsroom.press()


def test_a_press_room_that_died_between_submitting_and_writing_it_down_loses_nothing(newsroom: Newsroom) -> None:
    newsroom.open()
    newsroom.look()
    before = newsroom.yard.rows("SELECT id FROM jobs ORDER BY id")
    newsroom.yard.change("DELETE FROM edition_steps")
    newsroom.look()
    assert newsroom.yard.rows("SELECT id FROM jobs ORDER BY id") == before != []
    newsroom.press()


def test_rooms_that_look_at_the_same_moment_make_one_edition(small_yard: SmallYard, tmp_path: Path) -> None:
    small_yard.open(FLEET)
    small_yard.weather(**JOURNALISTS)
    news = Newsroom(small_yard, tmp_path, skews_s=(0.0, 0.0, 0.0, 0.0), daily={"at": "11:59"})
    with ThreadPoolExecutor(4) as pool:
        for _ in range(30):
            looked = list(pool.map(lambda room: room.look(news.paper, news.home), news.rooms))
            if any(each.published for each in looked):
                break
            small_yard.work()
    assert small_yard.rows("SELECT date::text, state FROM editions") == [("2026-11-20", "published")]
    assert small_yard.value("SELECT count(*) - count(DISTINCT idempotency_key) FROM jobs") == 0
    small_yard.books_agree()


@pytest.mark.parametrize(
    ("zone", "start", "days"),
    [
        ("Europe/Berlin", dt.datetime(2026, 10, 23, 21, 0, tzinfo=dt.UTC), 3),  # the clocks go back
        ("America/New_York", dt.datetime(2026, 3, 7, 3, 0, tzinfo=dt.UTC), 3),  # the clocks go forward
        ("Pacific/Auckland", dt.datetime(2026, 12, 30, 10, 0, tzinfo=dt.UTC), 3),  # a new year
    ],
)
def test_each_date_has_one_edition_on_time_whatever_the_clocks_do(
    small_yard: SmallYard, tmp_path: Path, zone: str, start: dt.datetime, days: int
) -> None:
    small_yard.open(FLEET, healthy=False, simulated=False)
    news = Newsroom(
        small_yard, tmp_path, skews_s=(0.0, 90.0), time_zone=zone, daily={"at": "02:30", "minutes": 60},
    )  # fmt: skip
    news.now = start
    while news.now < start + dt.timedelta(days=days):
        news.look(due=True)
        news.later(seconds=25 if editions.unfinished(small_yard.engine) else 420)
        if news.now.minute % 3 == 0:  # a clock that is put back a little
            news.later(seconds=-10)
    rows = small_yard.rows("SELECT date, state, late, made_at <= deadline_at, run FROM editions ORDER BY date")
    dates = [row[0] for row in rows]
    assert dates == [dates[0] + dt.timedelta(days=n) for n in range(days)]
    assert {row[1:] for row in rows} == {("published", False, True, 1)}
    for date in dates:
        assert (tmp_path / "out" / str(date) / "index.html").exists()


def test_an_edition_that_cannot_go_on_holds_up_no_other(deserted: Newsroom) -> None:
    stuck = deserted.open()
    deserted.later(minutes=1)
    other = deserted.open("weekly")
    # As a later version might find it: a setting that it no longer knows.
    with deserted.yard.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE editions SET settings = settings || '{\"gone\": 1}'::jsonb WHERE id = %s", (stuck,)
        )
    deserted.later(hours=2)
    looked = deserted.look()[0]
    assert (looked.made, looked.published) == ((other,), (other,))
    assert deserted.state(stuck) == "open"


def test_a_missed_night_is_caught_up_within_its_window_and_no_other(deserted: Newsroom) -> None:
    room = Newsroom(deserted.yard, deserted.home, daily={"at": "05:00", "catch_up_hours": 8})
    room.now = dt.datetime(2026, 11, 18, 4, 0, tzinfo=dt.UTC)
    room.look(due=True)
    room.later(days=2, hours=5)  # nobody looked for two nights; it is nine o'clock
    for _ in range(8):
        room.look(due=True)
        room.later(minutes=15)
    rows = room.yard.rows("SELECT date::text, late, state FROM editions ORDER BY date")
    assert rows == [("2026-11-20", True, "published")]


def test_a_budget_that_is_gone_ships_what_there_is(small_yard: SmallYard, tmp_path: Path) -> None:
    small_yard.open(FLEET, gate_margin_s=0.5)
    small_yard.weather(**JOURNALISTS)
    news = Newsroom(small_yard, tmp_path, max_cost_usd=0.03)
    made = news.open()
    for _ in range(30):
        if any(looked.published for looked in news.look()):
            break
        small_yard.work()
        news.later(minutes=8)
    assert news.state(made) == "published"
    assert 0 < small_yard.value("SELECT sum(cost_micro) FROM attempts") <= 30_000
    edition = news.edition(made)
    assert sum(len(page.pieces) for page in edition.pages) == 3
    assert {piece.form for page in edition.pages for piece in page.pieces} == {"brief"}
