"""An edition as it is handed to targets, put together by hand."""

from __future__ import annotations

import datetime as dt
from typing import Any

from app.newspaper.edition import Colophon, Credit, Edition, Page, Piece
from app.newspaper.setting.bundle import Bundle, Letter

MADE_AT = dt.datetime(2026, 11, 20, 5, 41, 12, tzinfo=dt.UTC)
HEADLINE = "Bridge reopens after four years"


def an_edition(**changes: Any) -> Edition:
    piece = Piece(
        id="a1b2c3",
        form="brief",
        headline=HEADLINE,
        summary="The bridge carries cars again.",
        credits=(Credit(name="Daily", title="Bridge open", url="https://example.com/bridge"),),
        note="written by nobody",
    )
    whole: dict[str, Any] = {
        "paper": "paper",
        "title": "The Test",
        "language": "en",
        "kind": "daily",
        "date": dt.date(2026, 11, 20),
        "pages": (Page(desk="world", title="World", pieces=(piece,)),),
        "colophon": Colophon(made_at=MADE_AT),
    }
    return Edition(**{**whole, **changes})


def a_bundle(edition: Edition | None = None) -> Bundle:
    edition = edition or an_edition()
    text = f"{edition.title}, {edition.date}"
    files = {"index.html": b"<!doctype html>", "charts/cost.svg": b"<svg/>"}
    return Bundle(
        edition.name,
        {**files, "edition.json": edition.model_dump_json().encode()},
        {"index.html": b"<!doctype html>all", "atom.xml": b"<feed/>"},
        Letter(
            text, f"{text}\n\nBridge – reopens\n.\nQUIT\n", f"<!doctype html><h1>{text}</h1><p>Bridge – reopens</p>"
        ),
    )
