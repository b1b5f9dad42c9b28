"""Packs through the yard: several items in one call, one row, one bill, and every item its own answer."""

from __future__ import annotations

import csv

import pytest

from app.services import replaying
from tests.integration.small_yard import SmallYard, vendor

TEXTS = [f"{n:04d} a customer writes about case {n:04d}" for n in range(1, 201)]


@pytest.fixture
def yard(small_yard: SmallYard) -> SmallYard:
    return small_yard.open([vendor(name, quality=0.5 + n / 10) for n, name in enumerate("xyz")])


def knows(yard: SmallYard, texts: list[str], *, error_rate: float = 0.0, **answers: object) -> dict[str, str]:
    """The simulated models know every text's label, a and b in turn."""
    gold = {text: "ab"[n % 2] for n, text in enumerate(texts)}
    path = yard.home / "gold.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "gold"), *gold.items()])
    yard.weather(kind="gold", file=str(path), error_rate={"default": error_rate}, **answers)
    return gold


def labels(yard: SmallYard, job: str) -> dict[str, str]:
    rows = yard.rows(
        "SELECT i.text, d.answer FROM decisions d JOIN items i ON i.id = d.item_id WHERE d.job_id = %s", job
    )
    return dict(rows)


def sums_agree(yard: SmallYard, job: str) -> None:
    """What the items paid is what the calls cost, and that is what the provider booked."""
    of_items = yard.value("SELECT sum(cost_micro) FROM decisions WHERE job_id = %s", job)
    of_calls = yard.value("SELECT sum(cost_micro) FROM attempts WHERE job_id = %s", job)
    assert of_items == of_calls
    yard.books_agree()
    assert replaying.verify(yard.engine, job)[1] == []


def test_ten_items_share_a_call_and_its_bill(yard: SmallYard) -> None:
    gold = knows(yard, TEXTS[:100])
    job = yard.submit(texts=TEXTS[:100], pack=10)
    yard.work()
    assert labels(yard, job) == gold
    assert yard.rows("SELECT cardinality(item_ids), count(*) FROM attempts GROUP BY 1") == [(10, 20)]
    assert yard.rows("SELECT DISTINCT calls, packed FROM decisions") == [(2, 2)]
    sums_agree(yard, job)
