"""The yard under SIGKILL and FLUSHALL, in small. ``make chaos`` is the same in large."""

from __future__ import annotations

from bench import chaos

# Shorter leases than anybody would run with, so that what 90 s are promised for takes a few. The seed spares the
# control process: what it was about to ring is rung again after 45 s, which is left to the large run.
_ENV = {"SWITCHYARD_LEASE_S": "4", "SWITCHYARD_SWEEP_EVERY_S": "1"}


def test_nothing_is_lost_and_nothing_paid_twice_under_kills_and_a_flush() -> None:
    result = chaos.run(400, kills=4, flushes=1, restarts=0, seed=1, workers=2, latency_ms=150.0, env=_ENV)
    assert result["violations"] == []
    assert result["blows"] == {"kill": 4, "flush": 1, "postgres": 0}
    assert result["decisions"] == {"decided": 400}
    assert result["balance"]["ambiguous"] <= result["in_flight_at_kills"]


def test_answers_outlast_a_postgres_that_crashes_and_a_redis_that_comes_back_empty() -> None:
    # Nobody is killed, so leases may be as long as Postgres takes to come back on a busy machine.
    env = {**_ENV, "SWITCHYARD_LEASE_S": "30"}
    result = chaos.run(150, kills=0, flushes=1, restarts=1, seed=5, workers=1, latency_ms=150.0, env=env)
    assert result["violations"] == []
    assert result["balance"]["ambiguous"] == 0
    assert result["decisions"] == {"decided": 150}
