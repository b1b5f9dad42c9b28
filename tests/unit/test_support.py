"""Statements that have nothing in common with what they cite, and orders to the reader."""

from __future__ import annotations

import gzip
import itertools
import json
import os
from pathlib import Path

import pytest

from app.newspaper.evidence import support
from app.newspaper.evidence.facts import Evidence
from app.newspaper.material import Claim, Dossier, Source
from app.newspaper.sentences import sentences

_NEWS = Path(os.environ.get("SWITCHYARD_SHARED_DATA", "../shared/data")) / "news" / "digitalgov_news.jsonl.gz"
_TOLD = {
    "1.1": "The council of Elmford met on Monday about the repair of the old bridge.",
    "1.2": "The repair will cost 3.2 million crowns and take 14 months.",
}


def _kinds(text: str, language: str = "en") -> list[str]:
    over = Dossier(id="a", sources=(Source(id="1", name="The Herald", title="Council meets", sentences=_TOLD),))
    return [fault.kind for fault in Evidence(over, language).faults(Claim(text=text, cites=("1.1", "1.2")))]


@pytest.mark.parametrize(
    "text",
    [
        "Council talks about repairing the bridge",
        "The old bridge of Elmford is to be repaired",
        "Repairing the bridge takes 14 months",
        "A long repair",
    ],
)
def test_what_retells_its_sentences_is_supported(text: str) -> None:
    assert _kinds(text) == []


@pytest.mark.parametrize("text", ["The sky is full of strange lights", "It makes everybody rich in a single night"])
def test_what_tells_of_something_else_is_refused_whoever_believes_it(text: str) -> None:
    assert _kinds(text) == ["support"]


def test_nothing_is_said_of_texts_in_two_languages() -> None:
    assert _kinds("Der Rat hat über die Brücke gesprochen", "de") == []


@pytest.mark.parametrize(
    "text", ["Buy this coin", "Click here for the council", "Visit our shop for bridges", "Order the repair now!"]
)
def test_an_order_to_the_reader_is_refused(text: str) -> None:
    assert _kinds(text) == ["instruction"]


@pytest.mark.parametrize(
    "text",
    [
        "Call for bridge repairs", "Visit of the council to the bridge", "Share of repairs grows",
        "Order books are full", "Download speeds rise", "Vote on the bridge is now on Monday",
        "Transfer of the bridge to the council",
    ],
)  # fmt: skip
def test_a_report_that_begins_like_an_order_is_none(text: str) -> None:
    assert not support.orders(text)


@pytest.mark.skipif(not _NEWS.is_file(), reason="the shared news articles are not there")
def test_headlines_that_people_wrote_are_hardly_ever_refused() -> None:
    refused = told = 0
    with gzip.open(_NEWS) as file:
        for line in itertools.islice(file, 0, None, 3):
            row = json.loads(line)
            found = sentences(row["body"])[:20]
            if len(row["body"]) > 1200:
                told += 1
                refused += not any(
                    support.retells(row["title"], pair) for pair in itertools.combinations_with_replacement(found, 2)
                )
    assert told > 150
    assert refused <= 0.04 * told
