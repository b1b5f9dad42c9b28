"""Packs on a yard of real processes, held against the provider's books."""

from __future__ import annotations

from bench import packing


def test_three_votes_in_packs_of_ten_take_a_quarter_of_a_call_an_item() -> None:
    found = packing.run(800, 10, kill=False)
    assert found["violations"] == [], "each label as of single calls, the hostile item's neighbours' too"
    assert found["labels_changed"] == 0
    assert found["calls_an_item"] <= 0.25
    assert found["calls_an_item_singly"] > 2
    assert found["book_micro"] == found["ledger_micro"]
    assert found["hostile_flags"] == ["suspicious_item"]


def test_a_worker_killed_in_the_middle_of_packs_loses_nothing_and_pays_nothing_twice() -> None:
    found = packing.run(300, 10, kill=True)
    assert found["violations"] == []
    assert found["book_micro"] >= found["ledger_micro"]
