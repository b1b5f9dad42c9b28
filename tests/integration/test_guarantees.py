"""Guarantees through the whole yard: audits, the rest that waits for them, rulings, a drift, and what is told."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from app.core import guarantee
from app.core.errors import UsageError
from app.core.guarantee import NEVER
from app.ledger import door, guarantees
from app.ledger.door import Row
from app.ledger.settling import RungAsk
from app.registry.fleet import FleetFile
from app.services import replaying
from app.services.jobspec import spec_of
from app.services.submitting import Submitter
from tests.integration.commands import Run
from tests.integration.small_yard import SmallYard, vendor

LABELS = ["red", "green", "blue", "white", "black"]
CHEAP = ("x", "y", "z")
VENDORS = [
    *(vendor(name, model=f"m-{name}") for name in CHEAP),
    vendor("big", model="strong", tier="complex", quality=0.95),
]
PROMISE = {"guarantee": 0.9, "against": "big/strong", "labels": LABELS}


def open_yard(small_yard: SmallYard, rates: dict[str, float], items: int, **more: int) -> tuple[SmallYard, list[Row]]:
    """The strong model knows every label; the cheap ones miss it at their rates."""
    yard = small_yard.open(VENDORS, latency_ms=1.0, horizon_s=600.0, **more)
    rows = [Row(n, f"i{n}", f"thing {n:05d} lies on the table", LABELS[n % 5]) for n in range(1, items + 1)]
    say(yard, rates, rows)
    return yard, rows


def say(yard: SmallYard, rates: dict[str, float], rows: list[Row]) -> None:
    path = Path(yard.home / "gold.csv")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "gold"), *((row.text, row.gold) for row in rows)])
    errors = {"default": 0.0, **{f"m-{name}": rate for name, rate in rates.items()}}
    yard.weather(kind="gold", file=str(path), error_rate=errors)


def submit(yard: SmallYard, rows: list[Row], **spec: object) -> str:
    wanted = spec_of({"task": "classify", **PROMISE, **spec})
    return Submitter(yard.engine, FleetFile(yard.path)).submit(wanted, rows).job_id


def agreement(yard: SmallYard) -> float:
    """With the strong model, which is always right here."""
    return float(yard.value("SELECT avg((d.answer = i.gold)::int) FROM decisions d JOIN items i ON i.id = d.item_id"))


def test_the_rest_waits_for_the_audit_and_is_accepted_by_what_it_proved(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, dict.fromkeys(CHEAP, 0.05), 300)
    job = submit(yard, rows)
    audited = yard.value("SELECT count(*) FROM items WHERE lane = 'arm=00a'")
    assert 40 < audited < 120
    yard.work()
    assert yard.value("SELECT count(*) FROM decisions WHERE status = 'decided'") == 300
    at = guarantees.standing(yard.engine, job)
    assert at is not None and at.stopped is None
    [ruling] = at.rulings
    assert ruling.threshold < NEVER
    assert ruling.audited == audited
    assert agreement(yard) >= 0.9
    strong = yard.value("SELECT count(*) FROM attempts WHERE deployment = 'big/strong'")
    assert audited <= strong < 0.6 * 300
    checked, differences = replaying.verify(yard.engine, job)
    assert (checked, differences) == (300, [])
    yard.books_agree()


def test_nobody_of_the_rest_is_decided_before_its_audit_is_in(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, dict.fromkeys(CHEAP, 0.0), 200)
    job = submit(yard, rows)
    bells: defaultdict[int, list[RungAsk]] = defaultdict(list)
    for ask in yard.dispatch():
        bells[ask.chunk_id].append(ask)
    rest = {row[0] for row in yard.rows("SELECT id FROM chunks WHERE lane = 'arm=00r'")}
    for chunk_id in rest:
        yard.follow(bells[chunk_id])
    assert yard.value("SELECT count(*) FROM decisions") == 0
    assert set(yard.rows("SELECT state FROM chunks WHERE lane = 'arm=00r'")) == {("parked",)}
    for chunk_id in bells.keys() - rest:
        yard.follow(bells[chunk_id])
    assert yard.value("SELECT count(*) FROM decisions WHERE status = 'decided'") == 200
    assert yard.value("SELECT state FROM jobs WHERE id = %s", job) == "done"


def test_cheap_voices_that_are_wrong_together_are_not_accepted(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, dict.fromkeys(CHEAP, 0.5), 200)
    job = submit(yard, rows, council=1)
    yard.work()
    at = guarantees.standing(yard.engine, job)
    assert at is not None
    assert at.rulings[0].threshold == NEVER
    assert agreement(yard) == 1.0


def test_a_job_too_small_for_a_sample_is_the_strong_models(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, dict.fromkeys(CHEAP, 0.0), 12)
    job = submit(yard, rows)
    yard.work()
    at = guarantees.standing(yard.engine, job)
    assert at is not None and at.stopped == "too small"
    assert yard.rows("SELECT DISTINCT deployment FROM attempts") == [("big/strong",)]
    assert replaying.verify(yard.engine, job) == (12, [])


def test_a_strong_model_that_is_lost_leaves_items_undecided_not_guessed(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, dict.fromkeys(CHEAP, 0.0), 200)
    job = submit(yard, rows)
    yard.weather({"provider": "big", "kind": "deprecated"}, kind="fixed", text="red")
    yard.work()
    yard.change("UPDATE jobs SET deadline_at = clock_timestamp()")
    for (chunk_id,) in yard.rows("SELECT id FROM chunks WHERE state <> 'done' ORDER BY id"):
        yard.follow(yard.settle_on(chunk_id))
    assert yard.rows("SELECT DISTINCT status FROM decisions") == [("undecided",)]
    say(yard, dict.fromkeys(CHEAP, 0.0), rows)
    yard.healthy("big/strong")
    yard.yard.breaker.recover("big/strong")
    assert door.retry_failed(yard.engine, job, 3600.0) == 200
    yard.work()
    assert yard.rows("SELECT DISTINCT status FROM decisions") == [("decided",)]
    assert replaying.verify(yard.engine, job) == (200, []), "what was ruled on is what was heard then"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"against": "big/stronk"}, "no deployment 'big/stronk' to agree with"),
        ({"council": 4}, "4 cheap voices need as many model families beside big/strong"),
        ({"strategy": "single-query"}, "a strategy of its own"),
        ({"similar": 0.9}, "counts every item for itself"),
        ({"against": None}, "a guarantee needs against"),
        ({"guarantee": None}, "against names the model of a guarantee"),
    ],
)
def test_what_cannot_be_promised_is_refused(small_yard: SmallYard, spec: dict[str, object], message: str) -> None:
    yard = small_yard.open(VENDORS, simulated=False)
    with pytest.raises(UsageError, match=message):
        submit(yard, [Row(1, "a", "text")], **spec)
    assert yard.value("SELECT count(*) FROM jobs") == 0


def test_a_drift_stops_it_and_is_told(small_yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four blocks of 150; when the second is through the cheap models are swapped for ones that know nothing."""
    monkeypatch.setattr(guarantee, "_BLOCK_ITEMS", 150)
    monkeypatch.setattr(guarantee, "_MOST_BLOCKS", 4)
    yard, rows = open_yard(small_yard, dict.fromkeys(CHEAP, 0.02), 600, chunk_size=5)
    job = submit(yard, rows, guarantee=0.8)
    assert yard.value("SELECT count(DISTINCT lane) FROM items") == 8
    calm = True
    while asks := yard.dispatch():
        block = {chunk: int(lane[4:6]) for chunk, lane in yard.rows("SELECT id, lane FROM chunks")}
        for ask in sorted(asks, key=lambda ask: block[ask.chunk_id]):
            if calm and block[ask.chunk_id] > 1:
                say(yard, dict.fromkeys(CHEAP, 1.0), rows)
                calm = False
            yard.follow([ask])
    at = guarantees.standing(yard.engine, job)
    assert at is not None and at.stopped == "drift"
    assert [ruling.threshold < NEVER for ruling in at.rulings][:3] == [True, True, False]
    assert agreement(yard) >= 0.8
    assert yard.value("SELECT count(*) FROM decisions WHERE status = 'decided'") == 600
    assert replaying.verify(yard.engine, job) == (600, [])
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    shown = command("status", job)
    assert "80.0% agree with big/strong, with 95% confidence" in shown.out
    assert "the audits break the promise" in shown.out
    told = command("status", job, "--json").json["guarantee"]
    assert (told["stopped"], told["thresholds"][2], told["lost"] > 10) == ("drift", None, True)
    assert told["against_all_strong"]["audited"] >= told["audited"]
    [notice] = [notice for notice in yard.yard.alerting.look() if notice.name == "guarantee"]
    assert (notice.firing, notice.subject) == (True, job)
    assert "80.0% agreement is promised" in notice.message
    explained = command("explain", job, "i1")
    assert "the rest of block 0, threshold" in explained.out or "audited, block 0" in explained.out


def test_an_altered_audit_is_found_by_a_replay(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, dict.fromkeys(CHEAP, 0.05), 200)
    job = submit(yard, rows)
    yard.work()
    yard.change("UPDATE guarantee_blocks SET lost = lost + 1")
    assert "other rulings" in replaying.verify(yard.engine, job)[1][0].what
    yard.change("UPDATE guarantee_blocks SET lost = lost - 1, differ = heard")
    assert "its audit heard something else" in replaying.verify(yard.engine, job)[1][0].what
