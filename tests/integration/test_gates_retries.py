"""The retry budget against a real Redis: a fleet in trouble is asked little more than a fleet in health."""

from __future__ import annotations

from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.values import Limits
from app.gates.limits import Denied, Gates, Grant, Known, Money, RetryBudget, Scope

SPAN = 5_000
START = 1_741_780_800_000  # the first ms of a span
FLOOR = 60


@pytest.fixture
def gates(redis_client: redis.Redis) -> Gates:
    gates = Gates(redis_client)
    gates.clock.test_ms = START
    return gates


@pytest.fixture
def scope(gates: Gates) -> Scope:
    scope = Scope(f"provider:{uuid4().hex[:8]}", Limits())
    assert gates.warm(scope, Known())
    return scope


def ask(gates: Gates, scope: Scope, calls: int, retries: int = 0) -> Grant | Denied:
    return gates.reserve([scope], calls, 0, lease_s=1, retries=retries)


def wait(gates: Gates, ms: int) -> None:
    gates.clock.test_ms = gates.now_ms() + ms


def test_first_calls_fill_the_budget_and_retries_draw_on_it(gates: Gates, scope: Scope) -> None:
    assert gates.retry_budget() == RetryBudget(0, FLOOR)
    assert isinstance(ask(gates, scope, 100), Grant)
    assert gates.retry_budget() == RetryBudget(0, FLOOR + 10)
    grant = ask(gates, scope, FLOOR + 9, retries=FLOOR + 9)
    assert isinstance(grant, Grant)
    assert grant.retries == FLOOR + 9
    assert gates.retry_budget() == RetryBudget(FLOOR + 9, FLOOR + 10)
    # Ten first calls make room for one more retry; of the three retries behind them two fit.
    assert ask(gates, scope, 13, retries=3) == Denied("retries", "retries", 13 * SPAN, 12)
    assert isinstance(ask(gates, scope, 12, retries=2), Grant)
    assert ask(gates, scope, 1, retries=1) == Denied("retries", "retries", 13 * SPAN, 0)
    assert isinstance(ask(gates, scope, 1), Grant), "first calls need no budget"


def test_nobody_shares_limits_but_everybody_the_budget(gates: Gates, scope: Scope) -> None:
    other = Scope("provider:other", Limits())
    gates.warm(other, Known())
    assert isinstance(ask(gates, scope, FLOOR, retries=FLOOR), Grant)
    assert isinstance(ask(gates, other, 1, retries=1), Denied)


def test_waiting_exactly_as_long_as_told_frees_a_retry(gates: Gates, scope: Scope) -> None:
    wait(gates, 1_234)
    assert isinstance(ask(gates, scope, 20, retries=20), Grant)
    wait(gates, SPAN)
    assert isinstance(ask(gates, scope, 40, retries=40), Grant)
    denied = ask(gates, scope, 20, retries=20)
    assert denied == Denied("retries", "retries", 12 * SPAN - 1_234, 0)
    assert ask(gates, scope, 21, retries=21).wait_ms == 13 * SPAN - 1_234  # type: ignore[union-attr]
    wait(gates, denied.wait_ms - 1)
    assert isinstance(ask(gates, scope, 20, retries=20), Denied)
    wait(gates, 1)
    assert isinstance(ask(gates, scope, 20, retries=20), Grant)


def test_a_wait_takes_into_account_that_first_calls_are_forgotten_too(gates: Gates, scope: Scope) -> None:
    assert isinstance(ask(gates, scope, 500), Grant)
    wait(gates, SPAN)
    assert isinstance(ask(gates, scope, FLOOR + 50, retries=FLOOR + 50), Grant)
    # One more: when the first calls are forgotten nothing is won; only when these retries are.
    assert ask(gates, scope, 1, retries=1) == Denied("retries", "retries", 13 * SPAN, 0)
    wait(gates, 11 * SPAN)
    assert gates.retry_budget() == RetryBudget(FLOOR + 50, FLOOR), "overdrawn now, and that is all"


def test_more_retries_than_ever_fit_are_told_the_part_that_does(gates: Gates, scope: Scope) -> None:
    assert ask(gates, scope, FLOOR + 5, retries=FLOOR + 5) == Denied("retries", "retries", -1, FLOOR)


def test_what_was_not_sent_goes_back(gates: Gates, scope: Scope) -> None:
    grant = ask(gates, scope, 30, retries=10)
    assert isinstance(grant, Grant)
    assert gates.retry_budget() == RetryBudget(10, FLOOR + 2)
    gates.give_back(grant, calls=25, tokens=0, retries=7)
    assert gates.retry_budget() == RetryBudget(3, FLOOR)
    gates.true_up(grant, calls=5, reserved_tokens=0, actual_tokens=0)
    assert gates.retry_budget() == RetryBudget(3, FLOOR)
    wait(gates, 2 * SPAN)
    gates.give_back(grant, calls=5, tokens=0, retries=3)
    assert gates.retry_budget() == RetryBudget(0, FLOOR), "counted where the grant was"
    gates.give_back(grant, calls=5, tokens=0, retries=3)
    assert gates.retry_budget() == RetryBudget(0, FLOOR), "never below zero"


def test_a_denial_by_another_rule_spends_nothing(gates: Gates, scope: Scope) -> None:
    gates.warm_money("j", 0)
    broke = gates.reserve([scope], 5, 0, money=Money("j", 10, 11), lease_s=1, breaker="groq/x", retries=5)
    assert isinstance(broke, Denied)
    assert broke.reason == "money"
    assert gates.retry_budget().used == 0
    paid = gates.reserve([scope], 5, 0, money=Money("j", 10, 10), lease_s=1, breaker="groq/x", retries=5)
    assert isinstance(paid, Grant)
    assert gates.retry_budget().used == 5
    gates.give_back(paid, calls=5, tokens=0, micro=10, retries=5)
    assert gates.retry_budget().used == 0
    with pytest.raises(ValueError, match="some of the calls"):
        ask(gates, scope, 1, retries=2)


def test_a_lost_redis_starts_the_budget_anew(gates: Gates, scope: Scope, redis_client: redis.Redis) -> None:
    grant = ask(gates, scope, FLOOR, retries=FLOOR)
    assert isinstance(grant, Grant)
    redis_client.flushdb()
    gates.give_back(grant, calls=FLOOR, tokens=0, retries=FLOOR)
    assert gates.retry_budget() == RetryBudget(0, FLOOR)


def test_the_budget_keeps_no_more_than_a_minute(gates: Gates, scope: Scope, redis_client: redis.Redis) -> None:
    for _ in range(60):
        ask(gates, scope, 11, retries=1)
        wait(gates, SPAN)
    assert redis_client.hlen("gate:{retries}:spans") == 2 * 13
    assert redis_client.pttl("gate:{retries}:spans") > 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 20_000)), min_size=5, max_size=60))
def test_no_minute_that_ends_with_a_retry_holds_more_than_its_share(
    gates: Gates, scope: Scope, redis_client: redis.Redis, steps: list[tuple[int, int, int]]
) -> None:
    redis_client.delete("gate:{retries}:spans")
    made: list[tuple[int, int, int]] = []
    for first, retries, pause in steps:
        wait(gates, pause)
        reply = ask(gates, scope, first + retries, retries) if first + retries else None
        if isinstance(reply, Denied):
            reply = ask(gates, scope, reply.room, max(0, reply.room - first)) if reply.room else None
        if not isinstance(reply, Grant):
            continue
        now = gates.now_ms()
        made.append((now, reply.calls - reply.retries, reply.retries))
        minute = [(f, r) for at, f, r in made if at > now - 60_000]
        if reply.retries:
            assert sum(r for _, r in minute) <= FLOOR + sum(f for f, _ in minute) / 10
