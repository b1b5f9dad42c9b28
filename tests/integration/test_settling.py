"""Settling and sweeping: bells may be doubled or lost, chunks may be stuck; every item is decided once all the same."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from app.core.errors import Conflict
from app.ledger import door
from app.ledger.settling import RungAsk
from app.ledger.states import JobState
from app.services import replaying
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}
THREE = ("x", "y", "z")


def ask_all(yard: SmallYard, asks: list[RungAsk]) -> None:
    for ask in asks:
        yard.yard.asker.ask(ask.id)


def plan(yard: SmallYard) -> dict[str, Any]:
    found: dict[str, Any] = yard.value("SELECT plan FROM chunks ORDER BY id DESC LIMIT 1")
    return found


def let_time_pass(yard: SmallYard, seconds: int = 60) -> None:
    """Everything in the yard was written so much earlier."""
    gone = f"interval '{seconds} seconds'"
    yard.change(f"UPDATE asks SET lease_until = lease_until - {gone}")
    yard.change(f"UPDATE chunks SET created_at = created_at - {gone}, wake_at = wake_at - {gone}")


# Doubled and lost bells


def test_settling_twice_does_nothing_twice(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE])
    yard.submit(4)
    asks = yard.dispatch()
    early = yard.settle()
    assert (early.wave, early.decided, early.finished) == ((), 0, False), "nobody has said anything yet"
    ask_all(yard, asks)
    first = yard.settle()
    assert (first.decided, first.finished, first.wave) == (4, True, ())
    before = yard.rows("SELECT * FROM decisions ORDER BY item_id")
    again = yard.settle()
    assert (again.decided, again.finished, again.wave, again.job_done) == (0, False, (), None)
    assert yard.rows("SELECT * FROM decisions ORDER BY item_id") == before
    assert yard.value("SELECT count(*) FROM asks") == 2


def test_a_wave_is_asked_once_however_often_settle_is_rung(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE])
    yard.weather({"provider": "x", "kind": "deprecated"})
    yard.submit(2, strategy="majority-vote")
    ask_all(yard, yard.dispatch())
    assert yard.value("SELECT count(*) FROM votes WHERE failure_kind IS NOT NULL") == 2, "x is a first voice"
    wave = yard.settle().wave
    assert len(wave) == 1
    assert yard.settle().wave == ()
    yard.follow(wave)
    assert [row[1] for row in yard.decisions()] == ["decided"] * 2
    assert yard.value("SELECT count(*) FROM asks") == 3


def test_a_lost_settle_bell_is_found_by_the_sweep(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE])
    yard.submit(2)
    asks = yard.dispatch()
    yard.yard.sweeper.sweep()  # the first look at a Redis is like a loss of it
    ask_all(yard, asks)
    assert yard.yard.sweeper.sweep()[1] == [], "the chord's body is still to be waited for"
    let_time_pass(yard)
    swept, chunks, _ = yard.yard.sweeper.sweep()
    assert (swept.rung, chunks) == ((), [asks[0].chunk_id])
    assert yard.settle(chunks[0]).finished


def test_a_lost_ask_bell_is_rung_again_after_the_patience(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE])
    yard.submit(2)
    asks = yard.dispatch()
    assert set(yard.yard.sweeper.sweep()[0].rung) == set(asks), "a Redis never seen before has no bells in it"
    assert yard.yard.sweeper.sweep()[0].rung == ()
    let_time_pass(yard)
    assert set(yard.yard.sweeper.sweep()[0].rung) == set(asks)
    assert yard.yard.sweeper.sweep()[0].rung == ()
    assert yard.rows("SELECT DISTINCT rings FROM asks") == [(3,)]
    yard.follow(asks)
    assert yard.state("jobs") == ["done"]


def test_all_bells_are_rung_at_once_after_redis_lost_its_memory(
    small_yard: SmallYard, redis_client: redis.Redis
) -> None:
    yard = small_yard.open([vendor(name) for name in THREE], chunk_size=2)
    yard.submit(6)
    asks = yard.dispatch()
    assert len(asks) == 6
    yard.yard.sweeper.sweep()
    yard.yard.asker.ask(asks[0].id)
    assert yard.yard.sweeper.sweep()[0].rung == ()
    redis_client.flushdb()
    assert set(yard.yard.sweeper.sweep()[0].rung) == set(asks[1:])
    assert yard.worker().sweeper.sweep()[0].rung == (), "once, for one of all the processes"


def test_a_job_whose_last_settle_died_before_its_end_is_finished_by_the_sweep(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE])
    job = yard.submit(2)
    yard.work()
    yard.change("ALTER TABLE jobs DISABLE TRIGGER jobs_transition")
    yard.change("UPDATE jobs SET state = 'running', finished_at = NULL")
    assert yard.yard.sweeper.sweep()[2] == [job]
    assert yard.state("jobs") == ["done"]


# Chunks that are stuck


def test_a_bench_that_has_run_out_is_extended_by_who_has_come_since(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")], healthy=False)
    yard.healthy("x/m")
    yard.weather({"provider": "x", "kind": "deprecated"})
    job = yard.submit(2, **SINGLE)
    asks = yard.dispatch()
    assert [seat[0] for seat in plan(yard)["seats"]] == ["x/m"]
    ask_all(yard, asks)
    yard.healthy("y/m")
    settled = yard.settle()
    assert [ask.provider for ask in settled.wave] == ["y"]
    assert [seat[0] for seat in plan(yard)["seats"]] == ["x/m", "y/m"]
    yard.follow(settled.wave)
    assert [row[1:3] for row in yard.decisions()] == [("decided", "a")] * 2
    assert replaying.verify(yard.engine, job) == (2, [])


def test_a_stuck_chunk_parks_until_its_deployment_is_back(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    asks = yard.dispatch()
    yard.yard.breaker.force_open("x/m", 120)
    ask_all(yard, asks)
    settled = yard.settle()
    assert (settled.wave, settled.decided, settled.finished) == ((), 0, False)
    assert yard.state("chunks") == ["parked"]
    for_s = yard.value("SELECT extract(epoch FROM wake_at - clock_timestamp())::float8 FROM chunks")
    assert 100 < for_s <= 120, "until the breaker lets a probe through"
    yard.yard.sweeper.sweep()
    assert yard.yard.sweeper.sweep()[1] == []
    yard.yard.breaker.reset("x/m")
    let_time_pass(yard, 120)
    assert yard.yard.sweeper.sweep()[1] == [asks[0].chunk_id]
    wave = yard.settle().wave
    assert [ask.provider for ask in wave] == ["x"], "it was refused, never called: it may sit again"
    assert yard.state("chunks") == ["open"]
    yard.follow(wave)
    assert [row[1:3] for row in yard.decisions()] == [("decided", "a")] * 2
    assert yard.state("jobs") == ["done"]


def test_news_of_a_healthy_deployment_wakes_what_is_parked(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(1, **SINGLE)
    asks = yard.dispatch()
    yard.yard.breaker.force_open("x/m", 120)
    ask_all(yard, asks)
    yard.settle()
    yard.yard.breaker.reset("x/m")
    yard.mark("down", "x/m")
    assert yard.yard.sweeper.sweep()[1] == []
    yard.yard.monitor.check()
    assert yard.yard.sweeper.sweep()[1] == [asks[0].chunk_id]
    yard.follow(yard.settle().wave)
    assert [row[1] for row in yard.decisions()] == ["decided"]


def test_a_parked_chunk_whose_deployment_is_still_away_parks_again(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(1, **SINGLE)
    asks = yard.dispatch()
    yard.yard.breaker.force_open("x/m", 600)
    ask_all(yard, asks)
    for _ in range(3):
        yard.settle()
        assert yard.state("chunks") == ["parked"]
    assert len(plan(yard)["seats"]) == 1
    assert yard.value("SELECT extract(epoch FROM wake_at - clock_timestamp())::float8 FROM chunks") <= 300


def test_nobody_is_left_when_the_fleet_has_too_few_families(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", family="one"), vendor("y", family="two"), vendor("z", family="one")])
    yard.weather({"provider": "y", "kind": "deprecated"})
    yard.submit(2)
    yard.work()
    # y is out, and two voices of one family are one voice.
    assert yard.state("chunks") == ["done"]
    assert plan(yard)["closed"] == "nobody_left"
    assert {row[1:] for row in yard.decisions()} == {("undecided", None, "quorum_lost: model_not_found")}
    assert yard.state("jobs") == ["done"]


def test_a_stuck_chunk_ends_with_its_deadline(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    asks = yard.dispatch()
    yard.yard.breaker.force_open("x/m", 600)
    ask_all(yard, asks)
    yard.settle()
    assert yard.state("chunks") == ["parked"]
    yard.yard.sweeper.sweep()
    yard.change("UPDATE jobs SET deadline_at = clock_timestamp()")
    assert yard.yard.sweeper.sweep()[1] == [asks[0].chunk_id], "a deadline wakes it before its time"
    assert yard.settle().finished
    assert {row[1:] for row in yard.decisions()} == {("undecided", None, "overdue: breaker_open")}


def test_items_that_never_left_the_yard_are_overdue_too(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")], healthy=False)
    job = yard.submit(3, **SINGLE)
    assert yard.dispatch() == []
    yard.change("UPDATE jobs SET deadline_at = clock_timestamp()")
    assert yard.yard.sweeper.sweep()[2] == [job]
    assert {row[1:] for row in yard.decisions()} == {("undecided", None, "overdue")}
    assert yard.state("jobs") == ["done"]


def test_cancelling_decides_what_waits_and_ends_what_is_on_its_tracks(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE], chunk_size=2)
    job = yard.submit(4)
    asks = yard.dispatch()
    assert len(asks) == 4
    yard.yard.asker.ask(asks[0].id)
    assert door.change_state(yard.engine, job, JobState.CANCELLED) is JobState.RUNNING
    yard.follow(asks[1:])
    assert yard.state("chunks") == ["done", "done"]
    assert {row[1] for row in yard.decisions()} == {"undecided"}
    assert all(reason.startswith("cancelled") for _, _, _, reason in yard.decisions())
    assert len(yard.sim.calls()) == 2
    assert yard.state("jobs") == ["cancelled"]
    assert door.change_state(yard.engine, job, JobState.CANCELLED) is JobState.CANCELLED
    with pytest.raises(Conflict, match="is cancelled"):
        door.change_state(yard.engine, job, JobState.RUNNING)


def test_a_used_up_budget_closes_the_chunk(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE])
    job = yard.submit(2, max_cost_usd=0.00001)
    yard.yard.gates.warm_money(job, 0)
    yard.work()
    assert yard.state("chunks") == ["done"]
    assert plan(yard)["closed"] == "budget"
    assert {row[1:] for row in yard.decisions()} == {("undecided", None, "no_answer: budget")}
    assert yard.sim.calls() == []


def test_the_job_is_done_exactly_when_its_last_chunk_is(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in THREE], chunk_size=1)
    job = yard.submit(3)
    asks = yard.dispatch()
    chunks = sorted({ask.chunk_id for ask in asks})
    ask_all(yard, asks)
    ends = []
    for chunk in chunks:
        assert yard.state("jobs") == ["running"]
        ends.append(yard.settle(chunk).job_done)
    assert ends == [None, None, job]
    assert yard.rows("SELECT state, finished_at IS NOT NULL FROM jobs") == [("done", True)]


def test_a_job_with_items_in_the_yard_is_not_done(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", concurrency=1, rpm=1)], chunk_size=1, horizon_s=1.0)
    yard.submit(3, **SINGLE)
    asks = yard.dispatch()
    assert len(asks) < 3
    ask_all(yard, asks[:1])
    assert yard.settle(asks[0].chunk_id).job_done is None
    assert yard.state("jobs") == ["running"]


# Retry on request


def test_a_retry_puts_back_what_failed_and_keeps_what_was_said_before(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")])
    yard.weather(kind="fixed", text="perhaps")
    job = yard.submit(2, **SINGLE)
    yard.work()
    assert {row[1] for row in yard.decisions()} == {"undecided"}
    calls = len(yard.sim.calls())
    yard.weather(kind="fixed", text="b")
    with pytest.raises(Conflict, match="still running"):
        door.retry_failed(yard.engine, yard.submit(1, **SINGLE), 60)
    assert door.retry_failed(yard.engine, job, 3600) == 2
    assert yard.value("SELECT count(*) FROM withdrawn_decisions WHERE decision ->> 'status' = 'undecided'") == 2
    assert yard.value("SELECT state FROM jobs WHERE id = %s", job) == "running"
    assert yard.value("SELECT count(*) FROM items WHERE state = 'ready' AND job_id = %s", job) == 2
    yard.work()
    again = yard.rows("SELECT status, answer FROM decisions WHERE job_id = %s", job)
    assert again == [("decided", "b")] * 2
    assert len(yard.sim.calls()) == calls + 3
    assert yard.value("SELECT state FROM jobs WHERE id = %s", job) == "done"
    assert door.retry_failed(yard.engine, job, 3600) == 0, "nothing of it failed this time"
    assert yard.value("SELECT state FROM jobs WHERE id = %s", job) == "done"
