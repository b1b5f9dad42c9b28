"""The weekly edition and the growth report, made in the press room out of what the yard and the paper did."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from app.newspaper import growth
from tests.integration.newsroom import FLEET, Newsroom
from tests.integration.small_yard import SmallYard

JOURNALISTS: dict[str, Any] = {"kind": "journalist", "error_rate": {"default": 0.0}}


def newsroom_of(yard: SmallYard, home: Path) -> Newsroom:
    """Today by the real clock: the ledger's calls bear its moments."""
    newsroom = Newsroom(yard, home)
    newsroom.now = dt.datetime.now(dt.UTC)
    return newsroom


@pytest.fixture
def newsroom(small_yard: SmallYard, tmp_path: Path) -> Newsroom:
    """One that has printed a daily edition, two days ago."""
    small_yard.open(FLEET)
    small_yard.weather(**JOURNALISTS)
    newsroom = newsroom_of(small_yard, tmp_path)
    newsroom.open()
    newsroom.press()
    newsroom.later(days=2)
    return newsroom


def test_a_growth_report_tells_the_ledgers_figures_and_no_others(newsroom: Newsroom) -> None:
    calls = newsroom.yard.value("SELECT count(*) FROM attempts WHERE state <> 'unsent'")
    made = newsroom.open("growth")
    newsroom.press()
    edition = newsroom.edition(made)
    values = {figure.id: figure.value for figure in edition.figures}
    assert (values["calls"], values["editions"], values["articles"]) == (calls, 1, 3), "its own calls are not in it"
    assert {chart.id for chart in edition.charts} >= {"calls-by-day", "cost-by-day", "calls-by-provider"}
    assert edition.narrative is not None
    told = growth.dossier(edition.figures)
    cited = [cite for claim in edition.narrative.sentences for cite in claim.cites]
    assert cited and all(told.sentence(cite) for cite in cited)
    assert [line.step for line in edition.colophon.steps][:2] == ["growth:write", "growth:check"]
    page = (newsroom.home / "out" / edition.name / "index.html").read_text()
    assert f"<bdi>{calls:,}</bdi>" in page


def test_a_weekly_edition_tells_what_was_printed_and_leads_to_it(newsroom: Newsroom) -> None:
    made = newsroom.open("weekly")
    newsroom.press()
    edition = newsroom.edition(made)
    pieces = {piece.id: piece for page in edition.pages for piece in page.pieces}
    assert len(pieces) == 3
    assert {piece.form for piece in pieces.values()} == {"headline"}
    assert all(piece.credits[0].name == "The Elm Courier" for piece in pieces.values())
    assert edition.narrative is not None
    assert {cite.partition(".")[0] for claim in edition.narrative.sentences for cite in claim.cites} <= pieces.keys()
    assert {chart.id for chart in edition.charts} == {"stories-by-desk", "stories-by-source", "sentences-by-day"}


def test_a_growth_report_that_nobody_could_write_ships_its_figures(small_yard: SmallYard, tmp_path: Path) -> None:
    small_yard.open(FLEET, healthy=False, simulated=False)
    small_yard.mark("down", *(d.name for d in small_yard.yard.fleet.current().deployments))
    newsroom = newsroom_of(small_yard, tmp_path)
    small_yard.change(
        "INSERT INTO attempts (purpose, provider, deployment, state, failure_kind, started_at)"
        " VALUES ('ping', 'one', 'one/one', 'failed', 'server_error', %s)",
        newsroom.now - dt.timedelta(days=1),
    )
    made = newsroom.open("growth")
    deadline = newsroom.now + dt.timedelta(hours=2)
    while not any(looked.published for looked in newsroom.look()):
        assert newsroom.now < deadline, "it never shipped"
        newsroom.yard.work()
        newsroom.later(minutes=5)
    edition = newsroom.edition(made)
    assert (edition.narrative, edition.bulletin) == (None, False)
    values = {figure.id: figure.value for figure in edition.figures}
    assert (values["calls"], values["failed_calls"], values["jobs"]) == (1, 1, 0)
    assert [chart.id for chart in edition.charts] == ["calls-by-day", "calls-by-provider", "failed_calls-by-kind"]
    assert [dropped.what for dropped in edition.colophon.dropped] == ["the growth report"]
    assert edition.colophon.made_at is not None and edition.colophon.deadline_at is not None
    assert edition.colophon.made_at <= edition.colophon.deadline_at
