"""What befalls a press room on the way: it dies, hangs, finds its ledger spoiled. One edition a date all the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event

from app.fetch import Fetcher
from app.ledger import editions, publications
from app.ledger.door import Row
from app.services.jobspec import spec_of
from app.services.press.gathering import Gatherer
from app.services.press.publishing import Publisher
from app.services.press.room import PressRoom
from app.services.submitting import Submitter
from tests.integration.newsroom import FLEET, Newsroom
from tests.integration.small_yard import SmallYard


@pytest.fixture
def newsroom(small_yard: SmallYard, tmp_path: Path) -> Newsroom:
    small_yard.open(FLEET)
    small_yard.weather(kind="journalist", error_rate={"default": 0.0})
    return Newsroom(small_yard, tmp_path)


@pytest.fixture
def deserted(small_yard: SmallYard, tmp_path: Path) -> Newsroom:
    """No provider answers."""
    small_yard.open(FLEET, healthy=False, simulated=False)
    small_yard.mark("down", *(d.name for d in small_yard.yard.fleet.current().deployments))
    return Newsroom(small_yard, tmp_path)


class _Died(BaseException):
    """As a process that is killed: nothing catches it."""


def _dies(news: Newsroom, at: int) -> bool:
    """One look of a press room that dies before its commit number ``at``. Did it live?"""
    engine = create_engine(news.yard.engine.url)
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1
        if commits >= at:
            raise _Died

    event.listen(engine, "commit", count)
    room = PressRoom(
        engine, news.yard.yard.fleet, Gatherer(engine, Fetcher()), Publisher(engine, {}), clock=lambda: news.now
    )
    try:
        room.look(news.paper, news.home)
    except _Died:
        return False
    finally:
        engine.dispose()  # and with its connections go its locks
    return True


def test_a_press_room_may_die_at_every_commit_of_an_edition(small_yard: SmallYard, tmp_path: Path) -> None:
    small_yard.open(FLEET)
    small_yard.weather(kind="journalist", error_rate={"default": 0.0})
    news = Newsroom(small_yard, tmp_path, daily={"at": "12:00"})
    deaths = 0
    while small_yard.rows("SELECT state FROM editions") != [("published",)]:
        at = 1
        while not _dies(news, at):
            at, deaths = at + 1, deaths + 1
        small_yard.work()
        assert deaths < 2000
    assert deaths > 40
    [(made, date, run)] = small_yard.rows("SELECT id, date::text, run FROM editions")
    assert (date, run) == ("2026-11-20", 1)
    edition = news.edition(made)
    assert [piece.form for page in edition.pages for piece in page.pieces] == ["article"] * 3
    assert edition.narrative is not None
    steps = small_yard.rows("SELECT step, job_id FROM edition_steps WHERE job_id IS NOT NULL")
    assert len({job for _, job in steps}) == len(steps) == small_yard.value("SELECT count(*) FROM jobs")
    # A job was submitted once, so that nothing is asked twice; what was asked is in both books.
    small_yard.books_agree()
    assert [path.name for path in (tmp_path / "out").glob("20*")] == ["2026-11-20"]


def test_whoever_hangs_with_an_edition_does_not_keep_it_from_shipping(deserted: Newsroom) -> None:
    made = deserted.open()
    with editions.alone(deserted.yard.engine, made) as hanging:
        assert hanging
        deserted.later(minutes=58)
        deserted.look()
        assert deserted.state(made) == "open"
        deserted.later(minutes=1.8)
        deserted.look()
    opened = editions.edition(deserted.yard.engine, made)
    assert opened.state == "published"
    assert opened.made_at is not None
    assert opened.made_at < opened.deadline_at
    assert len(deserted.edition(made).pages) == 3


def test_a_step_of_which_nothing_can_be_read_costs_the_edition_its_articles_and_no_more(newsroom: Newsroom) -> None:
    made = newsroom.open()
    newsroom.look()
    newsroom.yard.work()
    newsroom.look()
    # As another version might write it.
    spoiled = newsroom.yard.change(
        "UPDATE edition_steps SET answers = (SELECT jsonb_object_agg(key, value || '{\"text\": [7]}')"
        " FROM jsonb_each(answers)), closed_at = begun_at WHERE step LIKE 'sort:%%' AND answers IS NOT NULL"
    )
    assert spoiled > 0
    newsroom.later(minutes=30)
    newsroom.look()
    assert newsroom.state(made) == "open"  # it may be mended
    newsroom.later(minutes=29.5)
    newsroom.look()
    assert newsroom.state(made) == "published"
    assert [piece.headline for page in newsroom.edition(made).pages for piece in page.pieces]


def test_a_key_that_somebody_else_has_used_costs_one_step(newsroom: Newsroom) -> None:
    key = f"press/courier/daily/{newsroom.now.date()}/1/sort:genre"
    theirs = {"task": "classify", "labels": ["news", "opinion"], "team": "press", "idempotency_key": key}
    submitter = Submitter(newsroom.yard.engine, newsroom.yard.yard.fleet)
    job = submitter.submit(spec_of(theirs), [Row(1, "theirs", "of somebody else")]).job_id
    made = newsroom.open()
    newsroom.press()
    taken = newsroom.yard.rows("SELECT step, said FROM edition_steps WHERE job_id = %s OR job_id IS NULL", job)
    assert [step for step, _ in taken] == ["sort:genre"]
    assert "key" in taken[0][1]
    edition = newsroom.edition(made)
    assert [piece.form for page in edition.pages for piece in page.pieces] == ["article"] * 3


def _unknown_to_this_version(news: Newsroom, edition: int) -> None:
    news.yard.change("UPDATE editions SET document = document || '{\"new\": 1}' WHERE id = %s", edition)


def test_an_edition_that_another_version_wrote_keeps_no_later_one_from_appearing(deserted: Newsroom) -> None:
    def day() -> int:
        made = deserted.open()
        deserted.later(minutes=59.5)
        deserted.look()
        deserted.later(days=1, minutes=-59.5)
        return made

    _unknown_to_this_version(deserted, day())
    second = day()
    assert deserted.state(second) == "published"
    assert (deserted.home / "out" / "2026-11-21" / "index.html").exists()
    weekly = deserted.open("weekly")
    deserted.later(minutes=59.5)
    deserted.look()
    assert deserted.state(weekly) == "published"


def test_an_edition_that_cannot_be_read_is_tried_for_a_day_and_given_up(deserted: Newsroom) -> None:
    made = deserted.open()
    blocked = deserted.home / "out"
    blocked.write_text("no folder")  # it is made, and cannot be published at once
    deserted.later(minutes=59.5)
    deserted.look()
    assert deserted.state(made) == "made"
    _unknown_to_this_version(deserted, made)
    blocked.unlink()
    for _ in range(40):
        deserted.later(hours=1.1)
        deserted.look()
    assert publications.publish_state(deserted.yard.engine, made)[0][2:4] == (
        "this version of Switchyard cannot read the edition",
        True,
    )
    assert deserted.state(made) == "published"


_BY_HAND: list[Callable[[Newsroom], Any]] = [
    lambda news: news.yard.change("UPDATE jobs SET state = 'paused' WHERE state = 'running'"),
    lambda news: news.yard.change("UPDATE jobs SET state = 'cancelled' WHERE state = 'running'"),
]


@pytest.mark.parametrize("hand", _BY_HAND, ids=["paused", "cancelled"])
def test_jobs_that_are_held_by_hand_hold_up_no_edition(newsroom: Newsroom, hand: Callable[[Newsroom], Any]) -> None:
    made = newsroom.open()
    until = newsroom.now + dt.timedelta(minutes=60)
    while newsroom.now < until and newsroom.state(made) != "published":
        newsroom.look()
        hand(newsroom)
        newsroom.later(minutes=0.5)
    opened = editions.edition(newsroom.yard.engine, made)
    assert opened.state == "published"
    assert opened.made_at is not None
    assert opened.made_at <= opened.deadline_at
    assert sum(len(page.pieces) for page in newsroom.edition(made).pages) == 3
    assert newsroom.yard.rows("SELECT DISTINCT state FROM jobs") == [("cancelled",)]
