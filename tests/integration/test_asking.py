"""One ask from its bell to its votes: who takes it, what is called, and what is left when a worker is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.ledger import door, journal, upkeep
from app.ledger.settling import RungAsk
from app.ledger.states import JobState
from tests.integration.small_yard import SmallYard, until, vendor

SINGLE = {"strategy": "single-query"}
SLOW = {"provider": "slow", "kind": "latency", "mean_ms": 700.0, "jitter": 0.0}


def test_the_main_line(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y"), vendor("z")])
    job = yard.submit(5)
    yard.work()
    assert yard.decisions() == [(f"i{n}", "decided", "a", None) for n in range(1, 6)]
    assert yard.attempts() == [(1, "answered", None, 200)] * 10
    assert yard.votes() == [(0, "a", None, 1), (1, "a", None, 1)] * 5
    assert yard.rows("SELECT id, state FROM jobs") == [(job, "done")]
    assert yard.state("chunks") == ["done"]
    assert yard.state("asks") == ["done", "done"]
    yard.books_agree()


def test_a_doubled_bell_finds_nothing_to_take(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(3, **SINGLE)
    (ask,) = yard.dispatch()
    first = yard.yard.asker.ask(ask.id)
    assert first is not None
    assert (first.chunk_id, first.provider, first.rings, first.handed_back) == (ask.chunk_id, "x", 1, False)
    assert yard.yard.asker.ask(ask.id) is None
    assert yard.worker().asker.ask(ask.id) is None
    assert yard.yard.asker.ask(987_654) is None
    assert len(yard.sim.calls()) == 3


def test_rows_whose_commit_was_never_confirmed_are_no_calls(
    small_yard: SmallYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    really = journal.open_attempts
    lost = iter([True])

    def answer_lost_on_its_way(*args: Any, **kwargs: Any) -> dict[int, int]:
        opened = really(*args, **kwargs)
        if next(lost, False):
            raise OperationalError("INSERT", None, Exception("server closed the connection unexpectedly"))
        return opened

    monkeypatch.setattr(journal, "open_attempts", answer_lost_on_its_way)
    yard.work()
    assert sorted(yard.attempts()) == [(1, "unsent", None, None)] * 2 + [(2, "answered", None, 200)] * 2
    assert yard.votes() == [(0, "a", None, 1)] * 2
    assert len(yard.sim.calls()) == 2
    yard.books_agree()


def test_of_two_workers_at_one_ask_one_works(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")], chunk_size=2)
    yard.submit(8, **SINGLE)
    workers = [yard.worker(), yard.worker()]
    asks = yard.dispatch()
    assert len(asks) == 4
    start = threading.Barrier(2)

    def race(which: int) -> list[bool]:
        start.wait()
        return [workers[which].asker.ask(ask.id) is not None for ask in asks]

    with ThreadPoolExecutor(2) as pool:
        took = list(zip(*pool.map(race, (0, 1)), strict=True))
    assert [sorted(pair) for pair in took] == [[False, True]] * 4
    assert len(yard.sim.calls()) == 8
    assert yard.value("SELECT max(takes) FROM asks") == 1
    yard.books_agree()


class Zombie:
    """A worker that is at work on an ask whose lease somebody ends under it."""

    def __init__(self, yard: SmallYard, ask: RungAsk) -> None:
        self.worker = yard.worker()
        self._pool = ThreadPoolExecutor(1)
        self.done = self._pool.submit(self.worker.asker.ask, ask.id)

    def finish(self) -> Any:
        try:
            return self.done.result(20)
        finally:
            self._pool.shutdown()


def lost_worker(yard: SmallYard, items: int) -> tuple[Zombie, RungAsk]:
    """A worker two of whose calls are in flight at ``slow`` when its lease ends; the sweep has been round."""
    (ask,) = yard.dispatch()
    zombie = Zombie(yard, ask)
    until(lambda: yard.sim.books()["in_flight"] == 2)
    assert upkeep.rescue(yard.engine, zombie.worker.worker) == 1
    swept, _, _ = yard.yard.sweeper.sweep()
    assert swept.ambiguous == 2
    assert swept.rung == (ask,)
    assert yard.state("asks") == ["sent"]
    assert sorted(state for _, state, _, _ in yard.attempts()) == ["ambiguous"] * 2
    assert yard.votes() == [(0, None, "ambiguous", 1)] * 2
    return zombie, ask


def test_a_lost_workers_calls_are_ambiguous_and_the_rest_is_asked_again_at_the_same_seat(
    small_yard: SmallYard,
) -> None:
    yard = small_yard.open([vendor("slow", concurrency=2, quality=0.9), vendor("spare", quality=0.1)])
    yard.weather(SLOW)
    job = yard.submit(5, strategy="ranked-fallback")
    zombie, ask = lost_worker(yard, 5)
    # The two whose calls are lost go on to the next seat; the three that were never asked stay where they are.
    wave = yard.settle(ask.chunk_id).wave
    assert [row.provider for row in wave] == ["spare"]
    assert yard.value("SELECT cardinality(item_ids) FROM asks WHERE id = %s", wave[0].id) == 2
    yard.follow([ask, *wave])
    assert zombie.finish() is not None
    assert yard.settle(ask.chunk_id).wave == ()
    assert yard.value("SELECT state FROM jobs WHERE id = %s", job) == "done"
    assert {status for _, status, _, _ in yard.decisions()} == {"decided"}
    by_seat = yard.rows("SELECT deployment, count(*) FROM attempts GROUP BY 1 ORDER BY 1")
    assert by_seat == [("slow/m", 5), ("spare/m", 2)]
    assert yard.completed_twice() == []
    assert len(yard.sim.calls()) == 7
    # What the lost worker's calls cost was heard late, and it is in the books; its voice was not counted.
    late = yard.rows("SELECT state, late, status, input_tokens > 0, cost_micro > 0, text FROM attempts WHERE late")
    assert late == [("ambiguous", True, 200, True, True, "a")] * 2
    assert yard.rows("SELECT answer, failure_kind FROM votes WHERE attempt_id IN (SELECT id FROM attempts WHERE late)")
    assert not yard.rows("SELECT FROM votes v JOIN attempts a ON a.id = v.attempt_id WHERE a.late AND answer = 'a'")
    yard.books_agree()


def test_a_worker_that_lost_its_lease_makes_no_further_call(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("slow", concurrency=2)])
    yard.weather(SLOW)
    yard.submit(5, **SINGLE)
    zombie, _ = lost_worker(yard, 5)
    zombie.finish()
    assert len(yard.sim.calls()) == 2
    assert yard.state("asks") == ["sent"]
    assert yard.value("SELECT count(*) FROM votes") == 2
    # Its reservations for calls it did not make are returned: all slots are free again.
    assert all(seen.usage[0].in_flight == 0 for seen in yard.yard.view.look())


def test_a_process_does_not_take_an_ask_that_one_of_its_threads_still_has(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("slow", concurrency=2)])
    yard.weather(SLOW)
    yard.submit(3, **SINGLE)
    zombie, ask = lost_worker(yard, 3)
    assert zombie.worker.asker.ask(ask.id) is None, "both threads would go by the same name in the lease"
    zombie.finish()
    assert zombie.worker.asker.ask(ask.id) is not None
    assert yard.completed_twice() == []
    assert len(yard.sim.calls()) == 3


def test_a_worker_that_drains_finishes_what_flies_and_hands_back_the_rest(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("slow", concurrency=1)])
    yard.weather({**SLOW, "mean_ms": 200.0})
    yard.submit(4, **SINGLE)
    (ask,) = yard.dispatch()
    leaving = Zombie(yard, ask)
    until(lambda: yard.sim.books()["in_flight"] == 1)
    leaving.worker.draining.set()
    asked = leaving.finish()
    assert asked is not None
    assert asked.handed_back
    assert yard.rows("SELECT state, worker, rings FROM asks") == [("sent", None, 2)]
    assert "open" not in yard.state("attempts")
    assert 1 <= len(yard.sim.calls()) < 4
    yard.follow([ask])
    assert yard.state("asks") == ["done"]
    assert len(yard.sim.calls()) == 4
    assert yard.completed_twice() == []


# Own refusals: no call is made, and the ballot says so with no tries used.


def refused(yard: SmallYard, ask: RungAsk, kind: str, items: int = 2) -> None:
    assert yard.yard.asker.ask(ask.id) is not None
    assert yard.attempts() == []
    assert yard.sim.calls() == []
    assert yard.votes() == [(0, None, kind, 0)] * items
    assert yard.state("asks") == ["done"]


def test_an_open_breaker_refuses(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    (ask,) = yard.dispatch()
    yard.yard.breaker.force_open("x/m", 60)
    refused(yard, ask, "breaker_open")


def test_a_used_up_day_refuses(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpd=1)])
    yard.submit(2, **SINGLE)
    asks = yard.dispatch()
    yard.follow(asks[:1])
    assert yard.value("SELECT count(*) FROM attempts") == 1
    assert yard.rows("SELECT failure_kind, tries FROM votes WHERE answer IS NULL") == [("quota_exhausted", 0)]
    assert len(yard.sim.calls()) == 1


def test_a_used_up_purse_refuses(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    job = yard.submit(2, max_cost_usd=0.000001, **SINGLE)
    yard.yard.gates.warm_money(job, 0)
    (ask,) = yard.dispatch()
    refused(yard, ask, "budget")
    assert yard.settle().decided == 2
    assert {reason for _, _, _, reason in yard.decisions()} == {"no_answer: budget"}


def test_a_missing_key_refuses(small_yard: SmallYard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    yard = small_yard.open([vendor("x", api_key_env="NO_SUCH_KEY")])
    yard.submit(2, **SINGLE)
    (ask,) = yard.dispatch()
    refused(yard, ask, "auth")
    assert yard.rows("SELECT DISTINCT reason FROM votes") == [("no key: set the environment variable NO_SUCH_KEY",)]


def test_a_passed_deadline_refuses(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    (ask,) = yard.dispatch()
    yard.change("UPDATE jobs SET deadline_at = clock_timestamp() - interval '1 second'")
    refused(yard, ask, "overdue")


def test_a_cancelled_job_is_not_asked_for(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    job = yard.submit(2, **SINGLE)
    (ask,) = yard.dispatch()
    door.change_state(yard.engine, job, JobState.CANCELLED)
    refused(yard, ask, "overdue")
    assert yard.settle().finished
    assert [row[1] for row in yard.decisions()] == ["undecided"] * 2


def test_a_deployment_that_left_the_fleet_refuses(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    (ask,) = yard.dispatch()
    yard.write_fleet([vendor("elsewhere")])
    refused(yard, ask, "model_not_found")


def test_an_ask_that_outlives_its_workers_is_given_up(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    (ask,) = yard.dispatch()
    yard.change("UPDATE asks SET takes = 10")
    refused(yard, ask, "ambiguous")
