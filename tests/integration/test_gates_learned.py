"""Limits that teach themselves: at the gates, in the ledger, and back again when Redis was lost."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine

from app.core.learning import Lesson
from app.core.values import Limits, Observed
from app.gates.limits import Denied, Gates, Grant, Known, Learned, RuleUsage, Scope
from app.ledger import learned
from app.services.learning import Learner
from app.services.warming import Warmer

NOON = 1_741_780_800_000


@pytest.fixture
def gates(redis_client: redis.Redis) -> Gates:
    gates = Gates(redis_client)
    gates.clock.test_ms = NOON
    return gates


def open_scope(gates: Gates, known: Known | None = None, *, upwards: bool = False, **limits: int) -> Scope:
    scope = Scope(f"provider:{uuid4().hex[:8]}", Limits(**limits), learn_upwards=upwards)
    assert gates.warm(scope, known or Known(hour=(), month=(0, 0)))
    return scope


def ask(gates: Gates, scope: Scope, calls: int = 1, tokens: int = 0) -> Grant | Denied:
    return gates.reserve([scope], calls, tokens, lease_s=600)


def wait(gates: Gates, ms: int) -> None:
    gates.clock.test_ms = gates.now_ms() + ms


def rule(gates: Gates, scope: Scope, name: str = "rpm") -> RuleUsage:
    return next(rule for rule in gates.usage(scope).rules if rule.rule == name)


def test_the_smaller_limit_holds_while_it_lasts(gates: Gates) -> None:
    scope = open_scope(gates, rpm=10)
    assert gates.learn(scope.name, "rpm", 4, 30)
    assert ask(gates, scope, 10) == Denied("rate", f"{scope.name} rpm", -1, 4)
    lesson = Learned(4, NOON + 30_000, NOON, inferred=False)
    assert rule(gates, scope) == RuleUsage("rpm", 0, 4, 0, configured=10, learned=lesson)
    wait(gates, 29_999)
    assert isinstance(ask(gates, scope, 5), Denied)
    wait(gates, 1)
    assert isinstance(ask(gates, scope, 10), Grant)
    assert rule(gates, scope) == RuleUsage("rpm", 10, 10, 61_000, configured=10)
    assert gates.lessons(scope.name) == {"rpm": lesson}, "remembered for a while"


@pytest.mark.parametrize("name", ["rpm", "tpm", "rph", "tph", "rpd", "tpd", "rpmo", "tpmo", "concurrency"])
def test_every_rule_can_be_learned_where_the_file_names_none(gates: Gates, name: str) -> None:
    scope = open_scope(gates)
    assert gates.learn(scope.name, name, 3, 60)  # type: ignore[arg-type]
    denied = ask(gates, scope, 4, 4)
    assert isinstance(denied, Denied)
    assert (denied.rule, denied.room) == (f"{scope.name} {name}", 3)
    assert isinstance(ask(gates, scope, 3, 3), Grant)
    assert isinstance(ask(gates, scope, 1, 1), Denied)
    shown = rule(gates, scope, name)
    assert (shown.used, shown.limit, shown.configured) == (3, 3, None)


def test_upwards_only_where_the_provider_may_teach_it(gates: Gates) -> None:
    modest, told = open_scope(gates, rpm=5), open_scope(gates, rpm=5, upwards=True)
    for scope in (modest, told):
        assert gates.learn(scope.name, "rpm", 9, 60)
    assert ask(gates, modest, 9).room == 5  # type: ignore[union-attr]
    assert rule(gates, modest).limit == 5
    assert isinstance(ask(gates, told, 9), Grant)
    assert (rule(gates, told).limit, rule(gates, told).configured) == (9, 5)


def test_the_burst_follows_what_was_learned(redis_client: redis.Redis) -> None:
    gates = Gates(redis_client, burst=0.1)
    gates.clock.test_ms = NOON
    scope = open_scope(gates, rpm=240)
    gates.learn(scope.name, "rpm", 30, 60)
    assert ask(gates, scope, 24) == Denied("rate", f"{scope.name} burst", -1, 3)


def test_all_processes_know_at_once(gates: Gates, redis_client: redis.Redis) -> None:
    scope = open_scope(gates, rpm=10)
    other = Gates(redis_client)
    other.clock.test_ms = NOON
    assert isinstance(ask(other, scope, 2), Grant)
    gates.learn(scope.name, "rpm", 2, 60)
    assert isinstance(ask(other, scope), Denied)


def test_a_refusal_of_calls_older_than_the_lesson_is_old_news(gates: Gates) -> None:
    scope = open_scope(gates, rpm=10)
    assert gates.learn(scope.name, "rpm", 7, 60, refused_at_ms=NOON - 100)
    assert not gates.learn(scope.name, "rpm", 4, 60, refused_at_ms=NOON), "granted before the lesson"
    assert not gates.learn(scope.name, "rpm", 8, 60), "a stated limit does not lift an inferred one"
    assert rule(gates, scope).limit == 7
    wait(gates, 1)
    assert gates.learn(scope.name, "rpm", 4, 60, refused_at_ms=NOON + 1)
    assert gates.learn(scope.name, "rpm", 3, 60)
    assert gates.learn(scope.name, "rpm", 8, 60), "what was stated can be stated anew"
    assert rule(gates, scope).limit == 8
    wait(gates, 60_000)
    assert gates.learn(scope.name, "rpm", 2, 60, refused_at_ms=NOON), "the last lesson has ended"


def test_lessons_vanish_by_themselves(gates: Gates, redis_client: redis.Redis) -> None:
    scope = open_scope(gates)
    gates.learn(scope.name, "rpm", 2, 60)
    assert 0 < redis_client.pttl(f"gate:{{{scope.name}}}:learned") <= 60_000 + 7_200_000
    with pytest.raises(ValueError, match="one of the rules"):
        gates.learn(scope.name, "rpx", 1, 60)  # type: ignore[arg-type]


# --- hours and months -----------------------------------------------------------------------------------------------


def test_an_hour_rolls_in_steps_of_ten_seconds(gates: Gates) -> None:
    scope = open_scope(gates, rph=5, tph=1000)
    wait(gates, 3_000)
    assert isinstance(ask(gates, scope, 2, 100), Grant)
    wait(gates, 60_000)
    assert isinstance(ask(gates, scope, 3, 300), Grant)
    denied = ask(gates, scope, 2)
    # The span of the first two ends at 10 s; an hour and the margin later they are forgotten.
    assert denied == Denied("hour_requests", f"{scope.name} rph", 10_000 + 3_601_000 - 63_000, 0)
    assert [rule(gates, scope, name).used for name in ("rph", "tph")] == [5, 400]
    wait(gates, denied.wait_ms - 1)
    assert isinstance(ask(gates, scope, 1), Denied)
    wait(gates, 1)
    assert isinstance(ask(gates, scope, 2, 600), Grant)
    assert ask(gates, scope, 1).reason == "hour_requests"  # type: ignore[union-attr]


def test_an_hour_is_corrected_by_what_calls_took(gates: Gates) -> None:
    scope = open_scope(gates, tph=1000, tpmo=5000)
    grant = ask(gates, scope, 2, 900)
    assert isinstance(grant, Grant)
    assert ask(gates, scope, 1, 200).reason == "hour_tokens"  # type: ignore[union-attr]
    wait(gates, 120_000)
    gates.true_up(grant, calls=1, reserved_tokens=450, actual_tokens=50)
    gates.give_back(grant, calls=1, tokens=450)
    assert [rule(gates, scope, name).used for name in ("tph", "tpmo", "tpd")] == [50, 50, 50]
    assert isinstance(ask(gates, scope, 1, 950), Grant)


def test_an_hours_memory_is_bounded(gates: Gates, redis_client: redis.Redis) -> None:
    scope = open_scope(gates, rph=10**6)
    for _ in range(800):
        assert isinstance(ask(gates, scope, 3, 30), Grant)
        wait(gates, 10_000)
    key = f"gate:{{{scope.name}}}:hour:"
    assert redis_client.zcard(key + "win") == redis_client.hlen(key + "amt") - 2 == 362
    assert rule(gates, scope, "rph").used == 361 * 3


def test_months_are_those_of_the_calendar(gates: Gates) -> None:
    scope = open_scope(gates, Known(month=(7, 70)), rpmo=10, tpmo=100)
    assert isinstance(ask(gates, scope, 3, 30), Grant)
    denied = ask(gates, scope, 1, 1)
    april = 1_743_465_600_000
    assert denied == Denied("month_requests", f"{scope.name} rpmo", april - NOON, 0)
    wait(gates, denied.wait_ms - 1)
    assert isinstance(ask(gates, scope), Denied)
    wait(gates, 1)
    assert isinstance(ask(gates, scope, 10, 100), Grant)
    assert ask(gates, scope, 1, 1).reason == "month_requests"  # type: ignore[union-attr]
    assert ask(gates, open_scope(gates, Known(month=(0, 99)), tpmo=99), 1, 1).reason == "month_tokens"  # type: ignore[union-attr]


def test_the_last_moment_of_a_month_is_closed(gates: Gates) -> None:
    scope = open_scope(gates, rpmo=10)
    gates.clock.test_ms = 1_743_465_600_000 - 1_000
    assert ask(gates, scope) == Denied("month_requests", f"{scope.name} rpmo", 1_000, 0)


def test_a_limit_on_an_hour_that_was_not_counted_asks_the_ledger_first(gates: Gates) -> None:
    free = open_scope(gates, Known())
    assert isinstance(ask(gates, free, 5), Grant)
    assert [r.rule for r in gates.usage(free).rules] == ["rpm", "tpm", "rpd", "tpd", "concurrency"]
    scope = replace(free, limits=Limits(rph=8, rpmo=50))
    assert ask(gates, scope) == Denied("cold", f"{scope.name} cold", 1_000, 0, (scope.name,))
    assert gates.usage(scope).warm is False
    wait(gates, 1_000)
    assert gates.warm(scope, Known(hour=((NOON, 5, 0),), month=(20, 0)))
    assert not gates.warm(scope, Known(hour=((NOON, 1, 0),), month=(0, 0)))
    assert rule(gates, scope, "rpm").used == 5, "the minute is not loaded twice"
    assert ask(gates, scope, 9).room == 3  # type: ignore[union-attr]
    assert isinstance(ask(gates, free, 2), Grant)
    assert rule(gates, scope, "rph").used == 7, "counted from now on, whoever asks"


# --- learning from the ledger and into it ---------------------------------------------------------------------------


def answered(ledger: Engine, provider: str, calls: int, ago_s: float, key_ref: str | None = None) -> None:
    with ledger.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO attempts (provider, deployment, key_ref, state, started_at, input_tokens)"
            " SELECT %s, %s, %s::text, 'answered', clock_timestamp() - %s * interval '1 second', 10"
            " FROM generate_series(1, %s)",
            (provider, f"{provider}/m", key_ref, ago_s, calls),
        )


def test_what_is_stated_with_every_answer_is_written_when_it_changes(redis_client: redis.Redis, ledger: Engine) -> None:
    gates = Gates(redis_client)
    scope, learner = open_scope(gates, rpm=240, rpd=1000), Learner(ledger, gates)
    for _ in range(3):
        learner.heard(scope, [Observed("rpm", 30, 12, 4.0), Observed("rpd", 10**6)])
    (first,) = learned.in_force(ledger, scope.name)
    assert (first.rule, first.value) == ("rpm", 30)
    assert 3500 < first.for_s <= 3600
    assert first.why == "the response states 30 rpm; the fleet file has 240"
    learner.heard(scope, [Observed("rpm", 20)])
    assert [limit.value for limit in learned.in_force(ledger)] == [20]
    assert rule(gates, scope).limit == 20
    learner.heard(scope, [Observed("rpm", 500)])
    assert rule(gates, scope).limit == 240, "taken back, but not beyond the file"


def test_nothing_left_shuts_the_scope_before_it_refuses(redis_client: redis.Redis, ledger: Engine) -> None:
    gates = Gates(redis_client)
    scope, learner = open_scope(gates, rpm=240), Learner(ledger, gates)
    learner.heard(scope, [Observed("rpm", 240, 0, 9.0)])
    assert 8_000 < gates.usage(scope).hold_ms <= 9_000
    full = open_scope(gates, rpm=2)
    assert isinstance(ask(gates, full, 2), Grant)
    learner.heard(full, [Observed("rpm", 2, 0, 50.0)])
    assert gates.usage(full).hold_ms == 0, "our own window is shut and knows better"


def test_refusals_without_a_reason_slow_down_and_survive_redis(redis_client: redis.Redis, ledger: Engine) -> None:
    gates = Gates(redis_client)
    scope = open_scope(gates, rpm=240)
    learner = Learner(ledger, gates)
    learner.refused(scope, gates.now_ms())
    assert rule(gates, scope).limit == 240, "nothing was accepted: it is shut, not slower"
    answered(ledger, scope.subject, 100, ago_s=5)
    answered(ledger, scope.subject, 500, ago_s=70)
    granted = gates.now_ms()
    for _ in range(25):
        learner.refused(scope, granted)
    assert rule(gates, scope).limit == 120, "refusals of one grant teach once: half of what held, at most"
    (limit,) = learned.in_force(ledger, scope.name)
    assert 590 < limit.for_s <= 600
    assert limit.why == "refused without a reason when 100 calls a minute were accepted"
    redis_client.flushdb()
    Warmer(ledger, gates, 0.0).warm([scope.name], [scope], 0, 60)
    shown = rule(gates, scope)
    assert (shown.limit, shown.configured, shown.used) == (120, 240, 100)


def test_a_lesson_learned_again_lasts_longer(gates: Gates, ledger: Engine) -> None:
    scope, learner = open_scope(gates, rpm=100), Learner(ledger, gates)
    answered(ledger, scope.subject, 80, ago_s=1)
    learner.refused(scope, NOON)
    wait(gates, 5_000)  # what was accepted a second ago was accepted since
    learner.refused(scope, gates.now_ms())
    lesson = gates.lessons(scope.name)["rpm"]
    assert (lesson.value, lesson.until_ms - lesson.at_ms, lesson.inferred) == (55, 1_200_000, True)


def test_each_keys_calls_come_back_to_its_own_scope(redis_client: redis.Redis, ledger: Engine) -> None:
    gates = Gates(redis_client)
    name = uuid4().hex[:8]
    scopes = [Scope(f"provider:{name}#{ref}", Limits(rpm=100), key_ref=ref) for ref in ("A_KEY", "B_KEY")]
    for calls, ref in ((3, "A_KEY"), (4, "B_KEY"), (5, "OLD_KEY"), (1, None)):
        answered(ledger, name, calls, ago_s=5, key_ref=ref)
    Warmer(ledger, gates, 1.0).warm([scope.name for scope in scopes], scopes, 0, 60)
    assert [rule(gates, scope).used for scope in scopes] == [4, 5], "its own, and those of nobody knows which key"


def test_hours_and_months_come_back_from_the_ledger(redis_client: redis.Redis, ledger: Engine) -> None:
    gates = Gates(redis_client)
    scope = Scope(f"provider:{uuid4().hex[:8]}", Limits(rph=1000, tpmo=10**6))
    plain = replace(scope, limits=Limits())
    for calls, ago_s in ((3, 5), (4, 100), (5, 1800), (6, 3700)):
        answered(ledger, scope.subject, calls, ago_s)
    Warmer(ledger, gates, 1.0).warm([plain.name], [plain], 0, 60)
    assert isinstance(ask(gates, scope), Denied), "the hour was not wanted then"
    Warmer(ledger, gates, 1.0).warm([scope.name], [scope], 0, 60)
    assert [rule(gates, scope, name).used for name in ("rpm", "rph")] == [3, 12]
    assert rule(gates, scope, "tpmo").used in (30, 70, 120, 180), "all of this month, if it is older than an hour"
    with ledger.begin() as connection:
        connection.exec_driver_sql("DELETE FROM attempts")
    learned.write(ledger, scope.name, Lesson("rph", 9, 60.0, "test"))
    redis_client.flushdb()
    Warmer(ledger, gates, 1.0).warm([plain.name], [plain], 0, 60)
    assert ask(gates, plain, 10).room == 9, "a learned hour is looked up too"  # type: ignore[union-attr]
