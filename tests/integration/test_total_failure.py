"""Nobody can be asked: what is remembered, what waits and for what, what is given up, and how few calls it takes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}
THREE = [vendor(name) for name in ("x", "y", "z")]


def ahead(yard: SmallYard, job_id: str) -> Any:
    return yard.yard.lookout.of_job(job_id)


def all_down(yard: SmallYard) -> None:
    """Every provider answers 503, and those that were asked have opened their breakers."""
    yard.weather(*({"provider": name, "kind": "error", "status": 503} for name in ("x", "y", "z")))


def test_items_wait_while_all_are_down_and_are_decided_after(small_yard: SmallYard) -> None:
    yard = small_yard.open(THREE)
    all_down(yard)
    job_id = yard.submit(60, **SINGLE)
    yard.work()
    assert yard.decisions() == []
    calls = len(yard.sim.calls())
    # Each breaker closes the way after five failures in a row; what was under way with them is a chunk at most.
    assert calls <= 3 * 25
    yard.work()
    for chunk_id in [row[0] for row in yard.rows("SELECT id FROM chunks")]:
        assert yard.settle(chunk_id).wave == ()
    assert len(yard.sim.calls()) == calls
    assert yard.yard.sweeper.becalmed()
    waits = ahead(yard, job_id)
    assert {s.deployment for s in waits.waiting} == {"x/m", "y/m", "z/m"}
    assert all("breaker" in s.why for s in waits.waiting)
    assert 0 < waits.opens_s <= 30

    yard.weather()
    for name in ("x/m", "y/m", "z/m"):
        yard.yard.breaker.reset(name)
    yard.yard.redis.delete("gate:{retries}")  # as if the minute of their failures were over
    assert ahead(yard, job_id) is None
    for chunk_id in [row[0] for row in yard.rows("SELECT id FROM chunks")]:
        yard.change("UPDATE chunks SET wake_at = clock_timestamp() WHERE id = %s", chunk_id)
        yard.follow(yard.settle(chunk_id).wave)
    yard.work()
    assert [row[1] for row in yard.decisions()] == ["decided"] * 60
    assert not yard.yard.sweeper.becalmed()
    yard.books_agree()


def test_a_look_ends_the_calm_as_soon_as_somebody_answers(small_yard: SmallYard) -> None:
    yard = small_yard.open(THREE)
    all_down(yard)
    yard.submit(60, **SINGLE)
    yard.work()
    calls = len(yard.sim.calls())
    yard.yard.monitor.check()
    assert len(yard.sim.calls()) == calls, "what is new of live traffic is judged by itself"
    yard.yard.monitor.check()
    assert yard.yard.sweeper.becalmed()
    assert calls < len(yard.sim.calls()) <= calls + 3 * 3, "pings, though there was live traffic a moment ago"
    yard.weather({"provider": "x", "kind": "error", "status": 503})
    yard.yard.monitor.check()
    states = yard.yard.breaker.states(["x/m", "y/m", "z/m"])
    assert [(view.state, view.share < 1) for view in states.values()] == [
        ("open", True),
        ("closed", True),
        ("closed", True),
    ]
    assert not yard.yard.sweeper.becalmed()


def test_the_monitor_is_rung_only_while_something_waits_for_nobody(small_yard: SmallYard) -> None:
    yard = small_yard.open(THREE)
    yard.mark("down", "x/m", "y/m", "z/m")
    assert not yard.yard.sweeper.becalmed(), "nothing waits"
    yard.submit(3, **SINGLE)
    assert yard.yard.sweeper.becalmed()
    yard.change("UPDATE health SET state = 'degraded' WHERE deployment = 'y/m'")
    assert not yard.yard.sweeper.becalmed(), "somebody may be seated"


def test_retries_of_a_fleet_in_trouble_stay_within_the_budget(small_yard: SmallYard) -> None:
    """Nine providers fail every call; without a budget each item would be put to all of them in turn."""
    names = [f"p{n}" for n in range(9)]
    yard = small_yard.open([vendor(name) for name in names])
    yard.weather(*({"provider": name, "kind": "error", "status": 503} for name in names))
    yard.submit(200, **SINGLE)
    asks = yard.dispatch()
    first = 0
    for ask in asks:  # the first wave of every chunk: first calls, and their repetitions
        yard.yard.asker.ask(ask.id)
    first = yard.value("SELECT count(DISTINCT item_id) FROM attempts WHERE state <> 'unsent'")
    made = len(yard.sim.calls())
    budget = yard.yard.gates.retry_budget()
    assert made - first <= budget.used <= budget.allowed <= 60 + first / 10
    assert first > 0


def test_a_job_may_take_what_an_earlier_one_decided(small_yard: SmallYard) -> None:
    yard = small_yard.open(THREE)
    texts = ["one", "two", "three"]
    earlier = yard.submit(texts=texts[:2], **SINGLE)
    yard.work()
    yard.mark("down", "x/m", "y/m", "z/m")
    taking = yard.submit(texts=texts, allow_cached=True, **SINGLE)
    refusing = yard.submit(texts=texts, **SINGLE)
    other_task = yard.submit(texts=texts, allow_cached=True, labels=["a", "b", "c"], **SINGLE)
    other_team = yard.submit(texts=texts, allow_cached=True, team="strangers", **SINGLE)
    calls = len(yard.sim.calls())
    _, chunks, _ = yard.yard.sweeper.sweep()
    for chunk_id in chunks:
        yard.settle(chunk_id)
    assert len(yard.sim.calls()) == calls
    found = yard.rows("SELECT job_id, answer, flags, votes, calls FROM decisions WHERE job_id <> %s", earlier)
    assert found == [(taking, "a", ["cached"], 1, 0)] * 2
    assert yard.value("SELECT count(*) FROM items WHERE job_id = %s AND state = 'ready'", taking) == 1
    for job_id in (refusing, other_task, other_team):
        assert yard.value("SELECT count(*) FROM items WHERE job_id = %s AND state = 'ready'", job_id) == 3

    from app.services import replaying

    checked, differences = replaying.verify(yard.engine, taking)
    assert (checked, differences) == (2, [])


def test_an_item_on_its_track_takes_a_memory_before_it_waits(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(texts=["one"], **SINGLE)
    yard.work()
    yard.weather({"provider": "x", "kind": "auth"})
    taking = yard.submit(texts=["one", "new"], allow_cached=True, **SINGLE)
    yard.work()
    found = yard.rows("SELECT status, answer, reason, flags FROM decisions WHERE job_id = %s ORDER BY item_id", taking)
    assert found == [("decided", "a", None, ["cached"]), ("undecided", None, "no_answer: auth", [])]


def test_a_quota_that_comes_back_after_the_deadline_is_not_waited_for(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpd=2, quota_reset="UTC")])
    left_s = (dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0) + dt.timedelta(days=1)) - dt.datetime.now(
        dt.UTC
    )
    if left_s.total_seconds() < 120:
        pytest.skip("the day ends within two minutes")
    yard.submit(4, deadline_s=60, **SINGLE)
    yard.work()
    for chunk_id in [row[0] for row in yard.rows("SELECT id FROM chunks WHERE state <> 'done'")]:
        yard.settle(chunk_id)
    said = [row[1:] for row in yard.decisions()]
    assert said.count(("decided", "a", None)) == 2
    assert said.count(("undecided", None, "no_reset: quota_exhausted")) == 2


def test_a_quota_that_comes_back_in_time_is_waited_for(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpd=2, quota_reset="UTC")])
    job_id = yard.submit(4, deadline_s=2 * 86_400, **SINGLE)
    yard.work()
    assert len(yard.decisions()) == 2
    waits = ahead(yard, job_id)
    assert [(s.deployment, s.why) for s in waits.waiting] == [("x/m", "its requests of today are used up")]
    assert 0 < waits.opens_s <= 86_400
