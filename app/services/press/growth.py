"""The growth report's numbers: counted once, when the edition is opened, and printed as they were counted."""

from __future__ import annotations

from sqlalchemy import Engine

from app.ledger import growth as ledger
from app.ledger.editions import Opened
from app.newspaper import growth, weekly
from app.newspaper.edition import Chart, Figure
from app.newspaper.paper import Paper


def gather_growth(engine: Engine, paper: Paper, edition: Opened) -> tuple[tuple[Figure, ...], tuple[Chart, ...]]:
    """Of the week that ended before the edition's date, with the week before it beside; whoever asks later, or at the
    same time, is told the same."""
    found = ledger.kept(engine, edition.id)
    if found is None:
        before, this = ledger.counted(
            engine,
            edition.paper,
            weekly.day_starts(edition.date, paper.zone, weeks=2),
            edition.date - 2 * weekly.WEEK,
        )
        charts = growth.charts(this, edition.date - weekly.WEEK, paper.time_zone)
        ledger.keep(engine, edition.id, growth.figures(this, before), charts)
        found = ledger.kept(engine, edition.id)
    assert found is not None, "it was kept just now"
    return found
