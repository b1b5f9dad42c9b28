"""Looks at the fleet by several processes, over time: one ping at a time, two looks for a change, models that sleep."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.ledger import health
from app.services.health import PING_TIMEOUT_S, ping_timeout_s
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}
_OK = {"choices": [{"index": 0, "message": {"content": "OK"}, "finish_reason": "stop"}], "usage": {}}


class Slow:
    """A provider that answers nobody until it is let."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = f"http://{server.host}:{server.port}/v1"
        self.asked = threading.Semaphore(0)
        self.let = threading.Event()
        self.calls = 0
        server.expect_request("/v1/chat/completions").respond_with_handler(self._answer)

    def _answer(self, _: Request) -> Response:
        self.calls += 1
        self.asked.release()
        assert self.let.wait(20)
        return Response(json.dumps(_OK), 200, content_type="application/json")


@pytest.fixture
def slow(httpserver: HTTPServer) -> Iterator[Slow]:
    provider = Slow(httpserver)
    yield provider
    provider.let.set()


def state(yard: SmallYard, name: str = "x/m") -> str:
    found: str = yard.value("SELECT state FROM health WHERE deployment = %s", name)
    return found


def history(yard: SmallYard) -> list[str]:
    return [row[0] for row in yard.rows("SELECT state FROM health_history ORDER BY at")]


def pings(yard: SmallYard) -> list[tuple[Any, ...]]:
    return yard.rows("SELECT state, failure_kind, flags FROM attempts WHERE purpose = 'ping' ORDER BY id")


def traffic(
    yard: SmallYard, answered: int, failed: int, *, latency_ms: int = 100, flags: str = "{}", hours_ago: float = 0
) -> None:
    """Live calls that came to their end then, by default just now."""
    for count, end, kind in ((answered, "answered", None), (failed, "failed", "server_error")):
        yard.change(
            "INSERT INTO attempts (provider, deployment, state, failure_kind, latency_ms, output_tokens, flags,"
            " started_at, closed_at) SELECT 'x', 'x/m', %s, %s, %s, 10, %s, at, at FROM generate_series(1, %s),"
            " LATERAL (SELECT clock_timestamp() - %s * interval '1 hour' AS at) AS ended",
            *(end, kind, latency_ms, flags, count, hours_ago),
        )


def test_two_monitors_make_one_ping(small_yard: SmallYard, slow: Slow) -> None:
    yard = small_yard.open([vendor("x", base_url=slow.url)], simulated=False, healthy=False)
    other = yard.worker()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(yard.yard.monitor.check, everyone=True)
        assert slow.asked.acquire(timeout=10)
        looked = pool.submit(other.monitor.check, everyone=True)
        assert looked.result(5) == [], "one is under way: nothing to wait for, and nothing is waited for"
        slow.let.set()
        assert [noted.known.state for noted in first.result(10)] == ["healthy"]
    assert slow.calls == 1
    used = {rule.rule: rule.used for rule in yard.yard.view.look()[0].usage[0].rules}
    assert (used["rpm"], used["concurrency"]) == (1, 0), "what the other had reserved is given back"


def test_many_monitors_at_once_never_have_two_pings_in_the_air(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")], healthy=False, latency_ms=150.0)
    monitors = [yard.worker().monitor for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        for looked in [pool.submit(monitor.check, everyone=True) for monitor in monitors * 2]:
            looked.result(30)
    flights = yard.rows("SELECT started_at, closed_at FROM attempts WHERE state = 'answered' ORDER BY started_at")
    assert len(flights) >= 1
    assert all(later[0] >= earlier[1] for earlier, later in pairwise(flights))
    yard.books_agree()


def test_a_ping_that_nobody_closed_is_given_up_after_its_time(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", timeout_s=10)], healthy=False)
    deployment = yard.yard.fleet.current().deployment("x/m")
    lost = health.open_ping(yard.engine, deployment, 1, lost_after_s=15)
    assert lost is not None
    yard.yard.monitor.check()
    assert len(pings(yard)) == 1, "its process may yet close it"
    yard.change("UPDATE attempts SET started_at = started_at - interval '16 seconds'")
    yard.yard.monitor.check()
    assert [row[0] for row in pings(yard)] == ["ambiguous", "answered"]


def test_the_sweep_gives_up_a_ping_after_the_longest_that_one_may_last(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", timeout_s=10)])
    assert health.open_ping(yard.engine, yard.yard.fleet.current().deployment("x/m"), 1, lost_after_s=15) is not None
    yard.yard.sweeper.sweep()
    assert [row[0] for row in pings(yard)] == ["open"]
    yard.change("UPDATE attempts SET started_at = started_at - interval '16 seconds'")
    yard.yard.sweeper.sweep()
    assert [row[0] for row in pings(yard)] == ["ambiguous"]


def test_two_looks_at_bad_traffic_degrade_and_two_at_good_restore(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")])
    traffic(yard, 16, 4)
    yard.yard.monitor.check()
    assert state(yard) == "healthy"
    yard.worker().monitor.check()
    yard.yard.monitor.check(everyone=True)
    assert state(yard) == "healthy", "who looks again at the same calls has seen nothing new; no ping speaks for them"
    traffic(yard, 16, 4)
    yard.yard.monitor.check()
    assert state(yard) == "degraded"
    reason = yard.value("SELECT reason FROM health WHERE deployment = 'x/m'")
    assert reason == "4 of 20 calls failed (20%)"
    yard.submit(1, **SINGLE)
    assert [ask.provider for ask in yard.dispatch()] == ["y"], "the healthy come first"
    yard.submit(1, council=2)
    assert {ask.provider for ask in yard.dispatch()} == {"x", "y"}, "but it may be seated"
    traffic(yard, 30, 0)
    yard.yard.monitor.check()
    traffic(yard, 30, 0)
    yard.yard.monitor.check()
    assert state(yard) == "healthy"
    assert history(yard)[-2:] == ["degraded", "healthy"]
    assert yard.yard.view.look()[0].breaker.share == 1.0, "it was never away"


def test_slow_is_what_takes_three_times_the_usual_for_its_length(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    traffic(yard, 200, 0, latency_ms=1000, hours_ago=3)
    for latency_ms, expected in ((2800, "healthy"), (3200, "degraded"), (2500, "degraded"), (1800, "healthy")):
        for _ in range(2):
            traffic(yard, 40, 0, latency_ms=latency_ms)
            yard.yard.monitor.check()
        assert state(yard) == expected, latency_ms
    for _ in range(2):
        traffic(yard, 40, 0, latency_ms=9000, flags="{cold_start}")
        yard.yard.monitor.check()
    assert state(yard) == "healthy", "a model that is being loaded is not slow"


def test_who_comes_back_begins_slowly(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", concurrency=40)])
    for away in ("down", "out"):
        yard.mark(away, "x/m")
        yard.yard.monitor.check()
        (seen,) = yard.yard.view.look()
        assert (seen.usable, seen.breaker.share) == (True, 0.05)
        (track,) = yard.yard.view.tracks({})
        yard.yard.breaker.reset("x/m")
        (at_full,) = yard.yard.view.tracks({})
        assert track.speed == pytest.approx(at_full.speed / 20), "dispatch puts no more on it than it may answer"


def test_who_is_out_gets_no_call_but_the_ping(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", concurrency=4)], chunk_size=4)
    yard.weather({"provider": "x", "kind": "auth"})
    yard.submit(24, **SINGLE)
    asks = yard.dispatch()
    assert len(asks) == 6
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda ask: yard.yard.asker.ask(ask.id), asks))
    in_flight = len(yard.sim.calls())
    assert in_flight <= 4, "those that were in the air when the first of them came back"
    yard.submit(1, **SINGLE)
    assert yard.dispatch() == []
    yard.yard.monitor.check()
    assert [row[1] for row in pings(yard)] == ["auth"]
    assert len(yard.sim.calls()) == in_flight + 1


@pytest.mark.parametrize("weather", [{"kind": "error", "status": 503}, {"kind": "outage"}, {"kind": "wrong_json"}])
def test_the_load_on_who_fails_falls_to_the_probe_within_ten_calls(
    small_yard: SmallYard, weather: dict[str, Any]
) -> None:
    yard = small_yard.open([vendor("x", concurrency=4)], chunk_size=5)
    yard.submit(60, **SINGLE)
    asks = yard.dispatch()
    assert len(asks) == 12
    yard.follow(asks[:1])
    before = len(yard.sim.calls())
    yard.weather({"provider": "x", **weather})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda ask: yard.yard.asker.ask(ask.id), asks[1:8]))
    failed = len(yard.sim.calls()) - before
    assert 4 < failed <= 10
    assert yard.yard.view.look()[0].breaker.state == "open"
    assert yard.yard.redis.hset("gate:{breaker:x/m}:state", "until", 1) == 0, "its time has passed"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda ask: yard.yard.asker.ask(ask.id), asks[8:]))
    assert len(yard.sim.calls()) - before - failed == 1, "of four asks that wait one makes one call: the probe"
    assert yard.yard.view.look()[0].breaker.state == "open"


def test_the_first_calls_after_a_pause_are_marked_and_teach_nothing(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    for expected in ({"cold_start"}, set(), set()):
        yard.submit(3, **SINGLE)
        yard.follow(yard.dispatch())
        flags = yard.value("SELECT flags FROM attempts ORDER BY id DESC LIMIT 1")
        assert set(flags or ()) == expected
    assert yard.yard.pulses.estimates(["x/m"], "classify")["x/m"].samples == 6, "of nine calls"
    assert yard.yard.redis.delete("gate:{pulse:x/m}:awake") == 1, "five minutes have passed"
    yard.submit(1, **SINGLE)
    yard.follow(yard.dispatch())
    assert yard.value("SELECT flags FROM attempts ORDER BY id DESC LIMIT 1") == ["cold_start"]


def test_a_model_that_is_loaded_too_long_is_forgiven_once(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", timeout_s=1), vendor("y", timeout_s=1)])
    yard.weather({"provider": "x", "kind": "hang"})
    yard.submit(1, strategy="ranked-fallback")
    for failures in (0, 1):
        (ask,) = yard.dispatch() or [None]
        assert ask is not None
        assert ask.provider == "x"
        yard.yard.asker.ask(ask.id)
        assert yard.yard.breaker.states(["x/m"])["x/m"].failures == failures
        yard.submit(1, strategy="ranked-fallback")


def test_a_ping_may_wake_a_model_and_is_forgiven_once(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", timeout_s=1, local=True)])
    yard.weather({"provider": "x", "kind": "hang"})
    yard.yard.monitor.check()
    assert pings(yard) == [
        ("failed", "timeout", ["cold_start"]), ("failed", "timeout", None), ("failed", "timeout", None),
    ]  # fmt: skip
    assert state(yard) == "down", "one woke it in vain, one told, one confirmed"


def test_a_local_server_may_load_its_model_as_long_as_a_call_may_last(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("here", local=True, timeout_s=180), vendor("there", timeout_s=180)], simulated=False)
    here, there = yard.yard.fleet.current().deployments
    assert (ping_timeout_s(here, cold=True), ping_timeout_s(here, cold=False)) == (180, PING_TIMEOUT_S)
    assert (ping_timeout_s(there, cold=True), ping_timeout_s(there, cold=False)) == (PING_TIMEOUT_S, PING_TIMEOUT_S)


def test_the_history_is_read_as_spells(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")], simulated=False, healthy=False)
    for hours, what in ((50, "out"), (30, "healthy"), (3, "down"), (2, "healthy")):
        yard.change(
            "INSERT INTO health_history (deployment, state, at)"
            " VALUES ('x/m', %s, clock_timestamp() - %s * interval '1 h')",
            *(what, hours),
        )
    now, found = health.history(yard.engine)
    assert [spell.state.value for spell in found["x/m"]] == ["healthy", "down", "healthy"], "and none that is past"
    assert found["x/m"][-1].end == now
    assert [(spell.end - spell.begin).total_seconds() // 3600 for spell in found["x/m"]] == [27, 1, 2]
