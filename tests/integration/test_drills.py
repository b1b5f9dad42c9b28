"""Drills: what each failure, let loose at the wire, makes of a job; that no provider hears of it; and that it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue

import pytest
import redis

from app.core.drills import DRILLS, WHOLE_FLEET
from app.core.values import Failure, FailureKind
from app.dialects import DIALECTS
from app.gates.faults import Faults
from app.ledger import reports
from app.services.drilling import Weather
from app.wire import Heard, Outgoing, Unsent, Wire
from tests.integration.small_yard import SmallYard, until, vendor

NOBODY = "http://127.0.0.1:9"
"""Where no provider is: whoever calls it gets ``server_error``, and nothing else."""


# The store


@pytest.fixture
def faults(redis_client: redis.Redis) -> Faults:
    return Faults(redis_client)


def names(faults: Faults) -> list[tuple[str, str]]:
    return [(s.drill.name, s.target) for s in faults.active()[1]]


def test_a_drill_stands_until_it_is_cleared_or_its_time_is_up(faults: Faults, redis_client: redis.Redis) -> None:
    faults.set(DRILLS["auth"], "x", for_s=0.2, share=1.0)
    faults.set(DRILLS["outage"], WHOLE_FLEET, for_s=60, share=0.5)
    faults.set(DRILLS["slow"], "x/m", for_s=60, share=1.0, delay_s=2.0)
    assert sorted(names(faults)) == [("auth", "x"), ("outage", "all"), ("slow", "x/m")]
    assert names(faults)[0] == ("slow", "x/m"), "a drill of one deployment goes before that of its provider"
    until(lambda: ("auth", "x") not in names(faults))
    assert faults.clear(DRILLS["outage"], WHOLE_FLEET)
    assert not faults.clear(DRILLS["outage"], WHOLE_FLEET)
    assert names(faults) == [("slow", "x/m")]
    assert 0 < redis_client.pttl("yard:drills") <= 3_600_000, "nothing is left behind, whatever happens"


def test_set_again_it_is_replaced(faults: Faults) -> None:
    faults.set(DRILLS["slow"], "x", for_s=60, share=1.0, delay_s=2.0)
    faults.set(DRILLS["slow"], "x", for_s=60, share=0.5, delay_s=3.0)
    (standing,) = faults.active()[1]
    assert (standing.share, standing.delay_s) == (0.5, 3.0)


@pytest.mark.parametrize(("for_s", "share"), [(0, 1), (3601, 1), (float("nan"), 1), (60, 0), (60, 1.01)])
def test_no_drill_without_an_end_or_a_share(faults: Faults, for_s: float, share: float) -> None:
    with pytest.raises(ValueError, match="a drill needs"):
        faults.set(DRILLS["auth"], "x", for_s=for_s, share=share)


# The layer


def outgoing(deployment: str = "x/m", *, timeout_s: float = 5.0, **more: float) -> Outgoing:
    return Outgoing(
        "t", NOBODY, {}, b"{}", timeout_s, DIALECTS["openai"].hear, deployment=deployment, protocol="openai", **more
    )


@pytest.fixture
def wire(faults: Faults) -> Iterator[Wire]:
    wire = Wire(faults=Weather(faults, look_every_s=0.0))
    yield wire
    wire.close()


def heard(wire: Wire, call: Outgoing) -> Heard:
    done: SimpleQueue[tuple[str, Heard]] = SimpleQueue()
    wire.start([call], done)
    return done.get(timeout=20)[1]


def kind(said: Heard) -> FailureKind:
    assert isinstance(said.result, Failure)
    return said.result.kind


@pytest.mark.parametrize("name", [k.value for k in FailureKind if k.value in DRILLS])
def test_every_failure_kind_can_be_drilled(faults: Faults, wire: Wire, name: str) -> None:
    faults.set(DRILLS[name], "x", for_s=60, share=1.0, delay_s=0.05)
    said = heard(wire, outgoing())
    assert kind(said) == name
    assert (said.flags, said.sent) == (("drill",), False)


def test_only_what_is_aimed_at_is_struck(faults: Faults, wire: Wire) -> None:
    faults.set(DRILLS["auth"], "x", for_s=60, share=1.0)
    faults.set(DRILLS["billing"], "x/other", for_s=60, share=1.0)
    assert kind(heard(wire, outgoing("x/m"))) is FailureKind.AUTH
    assert kind(heard(wire, outgoing("x/other"))) is FailureKind.BILLING
    for aside in ("y/m", "xx/m"):
        said = heard(wire, outgoing(aside))
        assert (kind(said), said.flags) == (FailureKind.SERVER_ERROR, ()), "this one went out to nobody"
    faults.set(DRILLS["overloaded"], WHOLE_FLEET, for_s=60, share=1.0)
    assert kind(heard(wire, outgoing("y/m"))) is FailureKind.OVERLOADED


def test_a_share_of_the_calls_is_struck(faults: Faults) -> None:
    drawn = iter([0.29, 0.0, 0.31, 0.3])
    layer = Weather(faults, look_every_s=0.0, draw=lambda: next(drawn))
    faults.set(DRILLS["auth"], "x", for_s=60, share=0.3)
    assert [layer.befalling(outgoing()) is not None for _ in range(3)] == [True, False, False]


def test_a_timeout_takes_the_calls_own_time(faults: Faults, wire: Wire) -> None:
    faults.set(DRILLS["timeout"], "x", for_s=60, share=1.0)
    said = heard(wire, outgoing(timeout_s=0.3))
    assert kind(said) is FailureKind.TIMEOUT
    assert 300 <= said.latency_ms < 2000


def test_a_stale_reservation_is_not_used_by_a_drill_either(faults: Faults, wire: Wire) -> None:
    faults.set(DRILLS["auth"], "x", for_s=60, share=1.0)
    said = heard(wire, outgoing(not_after=time.monotonic() - 1))
    assert (said.result, said.flags) == (Unsent(), ())


def test_the_quota_is_back_when_the_drill_is_over(faults: Faults, wire: Wire) -> None:
    faults.set(DRILLS["quota_exhausted"], "x", for_s=20, share=1.0)
    said = heard(wire, outgoing())
    assert isinstance(said.result, Failure)
    assert said.result.retry_after_s is not None
    assert 15 < said.result.retry_after_s <= 20


def test_a_drill_ends_by_the_process_s_own_clock_where_redis_is_away(faults: Faults) -> None:
    faults.set(DRILLS["auth"], "x", for_s=0.5, share=1.0)
    layer = Weather(faults, look_every_s=3600.0)
    assert layer.befalling(outgoing()) is not None
    until(lambda: layer.befalling(outgoing()) is None, 5)


def test_a_redis_that_is_away_does_no_harm() -> None:
    with redis.Redis.from_url("redis://127.0.0.1:9/0", socket_connect_timeout=1) as nobody:
        assert Weather(Faults(nobody)).befalling(outgoing()) is None


# What the product does


@dataclass(frozen=True)
class Expected:
    """Of one item asked by ranked-fallback of ``x``, which is drilled, then ``y``, which is well and has more room.

    ``calls``: at x, at least and at most. ``by``: who may have answered it in the end; empty: nobody, it failed.
    ``then``: what is to be seen of x afterwards.
    """

    calls: tuple[int, int]
    by: frozenset[str]
    then: Callable[[SmallYard], bool] = lambda _: True


def _out(yard: SmallYard) -> bool:
    return str(yard.value("SELECT state FROM health WHERE deployment = 'x/m'")) == "out"


def _benched(yard: SmallYard) -> bool:
    """Nothing more goes to x until the drill's end, which is when its quota comes back."""
    (seen,) = (seen for seen in yard.yard.view.look() if seen.deployment.name == "x/m")
    return any(10_000 < usage.hold_ms <= 60_000 for usage in seen.usage)


NEXT, EITHER, NOBODY_ANSWERS = frozenset({"y"}), frozenset({"x", "y"}), frozenset[str]()

OUTCOMES: dict[str, Expected] = {
    "rate_limit": Expected((1, 3), EITHER),
    "quota_exhausted": Expected((1, 1), NEXT, _benched),
    "timeout": Expected((1, 1), NEXT),
    "server_error": Expected((2, 3), NEXT),
    "overloaded": Expected((2, 3), NEXT),
    "malformed": Expected((2, 2), NEXT),
    "context_length": Expected((1, 2), NEXT),
    "content_filter": Expected((1, 1), NEXT),
    "auth": Expected((1, 1), NEXT, _out),
    "billing": Expected((1, 1), NEXT, _out),
    "model_not_found": Expected((1, 1), NEXT, _out),
    "invalid_request": Expected((1, 1), NOBODY_ANSWERS),
    "outage": Expected((2, 3), NEXT),
}
BRIEF_S = {"rate_limit": 1.0}
"""Drills that end while the item still waits: it is then answered by whoever was to be waited for."""


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_a_failure_makes_of_an_item(small_yard: SmallYard, name: str) -> None:
    yard = small_yard.open([vendor("x", quality=0.9), vendor("y", quality=0.5, context_window=64000)], drills=True)
    expected = OUTCOMES[name]
    yard.yard.faults.set(DRILLS[name], "x", for_s=BRIEF_S.get(name, 60.0), share=1.0, delay_s=0.1)
    yard.submit(1, strategy="ranked-fallback")
    yard.work()

    struck = yard.value("SELECT count(*) FROM attempts WHERE 'drill' = ANY(flags) AND provider = 'x'")
    assert expected.calls[0] <= struck <= expected.calls[1]
    assert yard.value("SELECT count(*) FROM attempts WHERE 'drill' = ANY(flags) AND provider <> 'x'") == 0
    ((_, status, answer, reason),) = yard.decisions()
    if expected.by:
        assert (status, answer) == ("decided", "a")
        by = yard.value("SELECT provider FROM attempts WHERE state = 'answered'")
        assert by in expected.by
    else:
        assert (status, reason) == ("failed", name)
        assert yard.sim.calls() == []
    assert expected.then(yard)

    assert yard.value("SELECT sum(cost_micro) FROM attempts WHERE 'drill' = ANY(flags)") == 0
    yard.books_agree()
    assert sum(row["calls"] for row in reports.spend(yard.engine, "provider")) == len(yard.sim.calls())
    assert yard.rows("SELECT * FROM learned_limits") == [], "what a drill says of limits is not believed"


def test_what_fits_nowhere_fails_and_nobody_with_the_same_room_is_asked(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", quality=0.9), vendor("y", quality=0.5)], drills=True)
    yard.yard.faults.set(DRILLS["context_length"], "x", for_s=60, share=1.0)
    yard.submit(1, strategy="ranked-fallback")
    yard.work()
    assert [row[1] for row in yard.decisions()] == ["failed"]
    assert yard.sim.calls() == []


@pytest.mark.parametrize("name", ["auth", "billing", "model_not_found"])
def test_a_deployment_that_is_out_is_called_no_more(small_yard: SmallYard, name: str) -> None:
    yard = small_yard.open([vendor("x", quality=0.9), vendor("y", quality=0.5)], drills=True)
    yard.yard.faults.set(DRILLS[name], "x", for_s=60, share=1.0)
    for _ in range(3):
        yard.submit(2, strategy="ranked-fallback")
        yard.work()
    assert {row[1] for row in yard.decisions()} == {"decided"}
    chunks = yard.value("SELECT count(DISTINCT chunk_id) FROM attempts WHERE provider = 'x'")
    assert chunks == 1, "the calls of the first chunk were in flight together; after them none"
    # A ping is drilled as well, so it stays out; after the drill a ping finds it well again.
    yard.yard.monitor.check(everyone=True)
    assert _out(yard)
    assert yard.yard.faults.clear(DRILLS[name], "x")
    until(lambda: yard.yard.monitor.check(everyone=True) and not _out(yard))
    yard.books_agree()


def test_a_slow_answer_is_a_real_call_and_paid_for(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")], drills=True)
    yard.yard.faults.set(DRILLS["slow"], "x", for_s=60, share=1.0, delay_s=0.4)
    yard.submit(1, strategy="single-query")
    yard.work()
    ((state, latency_ms, flags, cost),) = yard.rows("SELECT state, latency_ms, flags, cost_micro FROM attempts")
    assert state == "answered"
    assert "drill_slow" in flags
    assert "drill" not in flags
    assert latency_ms >= 400
    assert cost > 0
    yard.books_agree()


def test_slower_than_the_call_may_take_is_a_timeout_without_a_call(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", timeout_s=1)], drills=True)
    yard.yard.faults.set(DRILLS["slow"], "x", for_s=60, share=1.0, delay_s=1.0)
    yard.submit(1, strategy="single-query@1(attempts=1)")
    yard.work()
    assert yard.rows("SELECT failure_kind, 'drill' = ANY(flags) FROM attempts") == [("timeout", True)]
    assert yard.sim.calls() == []


def test_a_yard_that_does_not_allow_drills_is_not_struck(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.yard.faults.set(DRILLS["auth"], WHOLE_FLEET, for_s=60, share=1.0)
    yard.submit(1, strategy="single-query")
    yard.work()
    assert yard.attempts() == [(1, "answered", None, 200)]


def test_an_outage_opens_the_breaker(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", quality=0.9), vendor("y", quality=0.5)], drills=True)
    yard.yard.faults.set(DRILLS["outage"], "x", for_s=60, share=1.0)
    yard.submit(8, strategy="ranked-fallback")
    yard.work()
    assert yard.yard.breaker.states(["x/m"])["x/m"].state == "open"
    assert {row[1] for row in yard.decisions()} == {"decided"}


def test_answers_are_heard_as_ever_beside_a_drill(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")], drills=True)
    yard.yard.faults.set(DRILLS["auth"], "y", for_s=60, share=1.0)
    found = {c.deployment: c.known.state for c in yard.yard.monitor.check(everyone=True)}
    assert found == {"x/m": "healthy", "y/m": "out"}
