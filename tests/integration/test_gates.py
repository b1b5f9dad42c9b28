"""The gates against a real Redis. Time is given to the scripts where a test has to move it."""

from __future__ import annotations

import math
import multiprocessing
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry

from app.core.errors import ServiceMissing
from app.core.values import Limits
from app.embedded.binaries import redis_server
from app.gates.breaker import Breaker
from app.gates.day import day_of
from app.gates.limits import Denied, Gates, Grant, Known, Money, Scope
from app.gates.pulse import Pulses
from app.gates.scripts import stem

NOON = int(datetime(2025, 3, 12, 12, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
WINDOW = 61_000


@pytest.fixture
def gates(redis_client: redis.Redis) -> Gates:
    gates = Gates(redis_client)
    gates.clock.test_ms = NOON
    return gates


def open_scope(gates: Gates, known: Known | None = None, zone: str = "UTC", **limits: int) -> Scope:
    scope = Scope(f"provider:{uuid4().hex[:8]}", Limits(**limits), zone)
    assert gates.warm(scope, known or Known())
    return scope


def take(gates: Gates, scope: Scope, calls: int = 1, tokens: int = 0, lease_s: float = 600) -> Grant:
    grant = gates.reserve([scope], calls, tokens, lease_s=lease_s)
    assert isinstance(grant, Grant), grant
    return grant


def deny(gates: Gates, scope: Scope, calls: int = 1, tokens: int = 0) -> Denied:
    denied = gates.reserve([scope], calls, tokens, lease_s=600)
    assert isinstance(denied, Denied), denied
    return denied


def used(gates: Gates, scope: Scope) -> dict[str, int]:
    return {rule.rule: rule.used for rule in gates.usage(scope).rules}


def sleep_to(gates: Gates, ms: int) -> None:
    gates.clock.test_ms = ms


def wait(gates: Gates, ms: int) -> None:
    gates.clock.test_ms = gates.now_ms() + ms


# --- no bursts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def smooth(redis_client: redis.Redis) -> Gates:
    """Gates that let a tenth of a minute's quota leave within one second."""
    gates = Gates(redis_client, burst=0.1)
    gates.clock.test_ms = NOON
    return gates


def test_a_tenth_of_a_minutes_requests_leaves_within_a_second(smooth: Gates) -> None:
    scope = open_scope(smooth, rpm=100)
    take(smooth, scope, 6)
    wait(smooth, 400)
    assert deny(smooth, scope, 25) == Denied("rate", f"{scope.name} burst", 600, 4)
    take(smooth, scope, 4)
    assert deny(smooth, scope, 6) == Denied("rate", f"{scope.name} burst", 600, 0)
    wait(smooth, 599)
    assert deny(smooth, scope).wait_ms == 1
    wait(smooth, 1)
    take(smooth, scope, 6)


def test_however_small_the_limit_one_call_a_second_may_leave(smooth: Gates) -> None:
    scope = open_scope(smooth, rpm=5, tpm=1000)
    take(smooth, scope, 1, 300)
    assert deny(smooth, scope, 1, 300).wait_ms == 1_000
    wait(smooth, 1_000)
    take(smooth, scope, 1, 300)


def test_a_tenth_of_a_minutes_tokens_leaves_within_a_second(smooth: Gates) -> None:
    scope = open_scope(smooth, tpm=1000)
    take(smooth, scope, 2, 80)
    assert deny(smooth, scope, 2, 60) == Denied("tokens", f"{scope.name} burst", 1_000, 0)
    take(smooth, scope, 1, 20)


# --- the rules, one by one ------------------------------------------------------------------------------------------


def test_waiting_exactly_as_long_as_told_succeeds_and_one_ms_less_does_not(gates: Gates) -> None:
    scope = open_scope(gates, rpm=10, tpm=1000)
    take(gates, scope, 4, 100)
    wait(gates, 7_000)
    take(gates, scope, 5, 800)
    wait(gates, 3_000)
    denied = deny(gates, scope, 4, 40)
    assert denied == Denied("rate", f"{scope.name} rpm", WINDOW - 10_000, 1)
    by_tokens = deny(gates, scope, 1, 201)
    assert by_tokens == Denied("tokens", f"{scope.name} tpm", WINDOW - 3_000, 0)
    wait(gates, denied.wait_ms - 1)
    assert deny(gates, scope, 4, 40).wait_ms == 1
    wait(gates, 1)
    take(gates, scope, 4, 40)


def test_room_is_what_fits_at_once(gates: Gates) -> None:
    scope = open_scope(gates, rpm=100, tpm=1000)
    denied = deny(gates, scope, 25, 2500)
    assert (denied.reason, denied.room, denied.wait_ms) == ("tokens", 10, -1)
    take(gates, scope, denied.room, 1000)
    assert deny(gates, scope, 1, 100) == Denied("tokens", f"{scope.name} tpm", WINDOW, 0)


def test_more_than_the_limit_waits_for_as_much_as_the_limit_ever_allows(gates: Gates) -> None:
    scope = open_scope(gates, rpm=30)
    assert deny(gates, scope, 100) == Denied("rate", f"{scope.name} rpm", -1, 30)
    take(gates, scope, 20)
    wait(gates, 1_000)
    take(gates, scope, 9)
    denied = deny(gates, scope, 100)
    assert (denied.room, denied.wait_ms) == (1, WINDOW)
    wait(gates, denied.wait_ms)
    assert deny(gates, scope, 100).room == 30


def test_a_call_that_can_never_fit_is_told_so(gates: Gates) -> None:
    scope = open_scope(gates, tpm=1000, tpd=5000)
    assert deny(gates, scope, 1, 1001) == Denied("tokens", f"{scope.name} tpm", -1, 0)
    assert deny(gates, open_scope(gates, rpm=0)).wait_ms == -1


def test_all_or_nothing_over_two_scopes_money_and_breaker(gates: Gates) -> None:
    wide, narrow = open_scope(gates, rpm=100, tpm=10_000), open_scope(gates, rpd=3)
    gates.warm_money("j", 0)

    def ask(calls: int, limit: int = 1000) -> Grant | Denied:
        money = Money("j", limit, 100 * calls)
        return gates.reserve([wide, narrow], calls, 10 * calls, money=money, lease_s=60, breaker="groq/x")

    denied = ask(4)
    assert isinstance(denied, Denied)
    assert (denied.reason, denied.rule, denied.room) == ("day_requests", f"{narrow.name} rpd", 3)
    broke = ask(3, limit=250)
    assert broke == Denied("money", "job:j money", -1, 2)
    assert used(gates, wide) == dict.fromkeys(("rpm", "tpm", "rpd", "tpd", "concurrency"), 0) == used(gates, narrow)
    grant = ask(3)
    assert isinstance(grant, Grant)
    assert used(gates, wide) == used(gates, narrow) == {"rpm": 3, "tpm": 30, "rpd": 3, "tpd": 30, "concurrency": 3}
    gates.give_back(grant, calls=3, tokens=30, micro=300)
    assert set(used(gates, wide).values()) == {0} == set(used(gates, narrow).values())
    assert isinstance(ask(3, limit=300), Grant)


def test_slots_come_back_when_calls_end_or_their_lease_does(gates: Gates) -> None:
    scope = open_scope(gates, concurrency=4)
    first = take(gates, scope, 3, lease_s=30)
    denied = deny(gates, scope, 2)
    assert (denied.reason, denied.room, denied.wait_ms) == ("concurrency", 1, 50)
    gates.true_up(first, calls=1, reserved_tokens=0, actual_tokens=0)
    take(gates, scope, 2, lease_s=60)
    wait(gates, 29_990)
    assert deny(gates, scope, 1).wait_ms == 10
    wait(gates, 10)
    assert deny(gates, scope, 3).room == 2
    gates.true_up(first, calls=2, reserved_tokens=0, actual_tokens=0)
    assert gates.usage(scope).in_flight == 2


def test_a_hold_shuts_the_scope_and_is_never_shortened(gates: Gates) -> None:
    scope = open_scope(gates, rpm=10)
    assert gates.hold(scope.name, 20) == NOON + 20_000
    assert gates.hold(scope.name, 5) == NOON + 20_000
    assert deny(gates, scope) == Denied("hold", f"{scope.name} hold", 20_000, 0)
    wait(gates, 19_999)
    assert deny(gates, scope).wait_ms == 1
    wait(gates, 1)
    take(gates, scope)
    assert gates.hold(scope.name, math.inf) == gates.now_ms() + 86_400_000
    other = open_scope(gates)
    assert gates.hold(other.name, math.nan) == gates.hold(other.name, -3) == gates.now_ms()


def test_the_walk_over_the_oldest_stops_at_the_first_that_frees_enough(gates: Gates) -> None:
    scope = open_scope(gates, rpm=250, tpm=10_000)
    for _ in range(250):
        take(gates, scope, 1, 30)
        wait(gates, 100)
    ages = 25_000
    for calls in (1, 99, 100, 101, 102, 200, 250):
        assert deny(gates, scope, calls).wait_ms == WINDOW - ages + 100 * (calls - 1)
    assert deny(gates, scope, 1, 2_531).wait_ms == deny(gates, scope, 2).wait_ms


def test_a_part_needs_its_share_of_the_tokens_rounded_up(gates: Gates) -> None:
    scope = open_scope(gates, concurrency=2, tpm=100)
    for tokens in (50, 1):
        grant = take(gates, scope, 1, tokens)
        gates.true_up(grant, calls=1, reserved_tokens=tokens, actual_tokens=tokens)
        wait(gates, 1_000)
    # Two of three calls share 100 of 149 tokens (99.3 rounded up): both reservations have to leave first.
    assert deny(gates, scope, 3, 149).wait_ms == WINDOW - 1_000
    # Of 148 they share 99 (98.7 rounded up): it is enough that the older one leaves.
    assert deny(gates, scope, 3, 148).wait_ms == WINDOW - 2_000


def test_what_the_ledger_dates_ahead_of_redis_counts_from_now(gates: Gates) -> None:
    scope = open_scope(gates, Known(window=((NOON + 9_000, 5, 0), (NOON - WINDOW + 1, 1, 0))), rpm=6)
    assert deny(gates, scope, 1).wait_ms == 1
    assert deny(gates, scope, 2).wait_ms == WINDOW


def test_an_overdrawn_budget_denies_a_call_without_tokens(gates: Gates) -> None:
    scope = open_scope(gates, tpm=100)
    grant = take(gates, scope, 1, 90)
    gates.true_up(grant, calls=1, reserved_tokens=90, actual_tokens=101)
    assert deny(gates, scope, 2, 0) == Denied("tokens", f"{scope.name} tpm", WINDOW, 0)


# --- days -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [("America/Los_Angeles", (2025, 3, 9), 23), ("America/Los_Angeles", (2025, 11, 2), 25), ("UTC", (2025, 3, 9), 24)],
)
def test_the_daily_quota_resets_at_the_zones_midnight(
    gates: Gates, zone: str, date: tuple[int, int, int], hours: int
) -> None:
    midnight = int(datetime(*date, tzinfo=ZoneInfo(zone)).timestamp() * 1000)
    sleep_to(gates, midnight)
    scope = open_scope(gates, rpd=5, tpd=100, zone=zone)
    take(gates, scope, 5, 50)
    denied = deny(gates, scope, 1, 1)
    assert (denied.reason, denied.wait_ms) == ("day_requests", hours * 3_600_000)
    wait(gates, denied.wait_ms - 1)
    assert deny(gates, scope, 1, 1).wait_ms == 1
    wait(gates, 1)
    assert len(take(gates, scope, 5, 50).days) == 1
    assert used(gates, scope)["tpd"] == 50


def test_the_last_moment_of_a_day_is_closed_where_a_day_is_limited(gates: Gates) -> None:
    end = day_of("UTC", NOON).end_ms
    daily, free = open_scope(gates, rpd=5), open_scope(gates, rpm=5)
    sleep_to(gates, end - 1_001)
    take(gates, daily)
    wait(gates, 1)
    assert deny(gates, daily) == Denied("day_requests", f"{daily.name} rpd", 1_000, 0)
    take(gates, free)


def test_a_grant_of_yesterday_does_not_change_today(gates: Gates) -> None:
    scope = open_scope(gates, tpd=1000)
    grant = take(gates, scope, 2, 300)
    sleep_to(gates, day_of("UTC", NOON).end_ms + 5)
    take(gates, scope, 1, 100)
    gates.true_up(grant, calls=2, reserved_tokens=300, actual_tokens=0)
    assert used(gates, scope)["tpd"] == 100


def test_a_clock_that_steps_back_over_midnight_forgets_nothing(gates: Gates) -> None:
    scope = open_scope(gates, rpd=5)
    sleep_to(gates, day_of("UTC", NOON).end_ms + 1)
    take(gates, scope, 5)
    wait(gates, -3_600_000)
    assert deny(gates, scope).reason == "day_requests"


@given(
    st.sampled_from(["UTC", "America/Los_Angeles", "America/St_Johns", "America/Sao_Paulo", "Asia/Kolkata"]),
    st.integers(0, 2_000_000_000_000),
)
def test_days_hold_their_moment_and_join(zone: str, at_ms: int) -> None:
    day = day_of(zone, at_ms)
    assert day.start_ms <= at_ms < day.end_ms
    assert 1 <= (day.end_ms - day.start_ms) / 3_600_000 <= 25
    assert day_of(zone, day.end_ms).id > day.id


# --- corrections ----------------------------------------------------------------------------------------------------


def test_true_up_corrects_window_day_and_money_by_the_difference(gates: Gates) -> None:
    scope = open_scope(gates, tpm=1000, tpd=2000, concurrency=9)
    gates.warm_money("j", 500)
    grant = gates.reserve([scope], 4, 400, money=Money("j", 1000, 400), lease_s=60)
    assert isinstance(grant, Grant)
    gates.true_up(grant, calls=3, reserved_tokens=300, actual_tokens=120, reserved_micro=300, actual_micro=50)
    assert used(gates, scope) == {"rpm": 4, "tpm": 220, "rpd": 4, "tpd": 220, "concurrency": 1}
    gates.true_up(grant, calls=1, reserved_tokens=100, actual_tokens=900, reserved_micro=100, actual_micro=250)
    assert used(gates, scope) == {"rpm": 4, "tpm": 1020, "rpd": 4, "tpd": 1020, "concurrency": 0}
    assert deny(gates, scope, 1, 1).room == 0
    spent = 500 + 50 + 250
    free = open_scope(gates)
    refused = gates.reserve([free], 1, 0, money=Money("j", 1000, 1001 - spent), lease_s=60)
    assert isinstance(refused, Denied)
    assert refused.reason == "money"
    assert isinstance(gates.reserve([free], 1, 0, money=Money("j", 1000, 1000 - spent), lease_s=60), Grant)


def test_after_the_window_only_the_day_is_corrected_and_nothing_goes_below_zero(gates: Gates) -> None:
    scope = open_scope(gates, tpm=1000, tpd=2000, concurrency=9)
    grant = take(gates, scope, 2, 400, lease_s=10)
    wait(gates, WINDOW)
    take(gates, scope, 1, 100)
    gates.true_up(grant, calls=2, reserved_tokens=400, actual_tokens=150)
    assert used(gates, scope) == {"rpm": 1, "tpm": 100, "rpd": 3, "tpd": 250, "concurrency": 1}
    for _ in range(3):
        gates.give_back(grant, calls=2, tokens=400, micro=10_000)
    assert used(gates, scope) == {"rpm": 1, "tpm": 100, "rpd": 0, "tpd": 0, "concurrency": 1}


# --- cold and warm --------------------------------------------------------------------------------------------------


def test_a_flushed_redis_is_cold_until_the_ledger_has_spoken_once(gates: Gates, redis_client: redis.Redis) -> None:
    scope, other = open_scope(gates, rpm=10, rpd=50, concurrency=9), open_scope(gates, rpm=10)
    take(gates, scope)
    redis_client.flushdb()
    money = Money("j", 100, 1)
    cold = gates.reserve([scope, other], 1, 0, money=money, lease_s=60)
    assert cold == Denied("cold", f"{scope.name} cold", 1_000, 0, (scope.name, other.name, "job:j"))
    assert gates.usage(scope).warm is False
    wait(gates, 400)
    again = gates.reserve([scope, other], 1, 0, money=money, lease_s=60)
    assert isinstance(again, Denied)
    assert again.wait_ms == 600
    now = gates.now_ms()
    known = Known(((now - WINDOW, 5, 0), (now - 30_000, 7, 70)), 40, 400, ((now - 1, 9), (now + 5_000, 2)))
    assert gates.warm(scope, known) is True
    assert gates.warm(scope, Known()) is False
    assert gates.warm(other, Known())
    assert gates.warm_money("j", 99) is True
    assert gates.warm_money("j", 0) is False
    assert used(gates, scope) == {"rpm": 7, "tpm": 70, "rpd": 40, "tpd": 400, "concurrency": 2}
    assert isinstance(gates.reserve([scope, other], 1, 0, money=money, lease_s=60), Grant)
    broke = gates.reserve([scope, other], 1, 0, money=money, lease_s=60)
    assert isinstance(broke, Denied)
    assert broke.reason == "money"
    assert deny(gates, scope, 3).wait_ms == 31_000


def test_only_one_of_many_warmers_wins(gates: Gates, redis_client: redis.Redis) -> None:
    scope = Scope("provider:x", Limits(rpd=100))
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: gates.warm(scope, Known(day_calls=10)), range(16)))
    assert won.count(True) == 1
    assert used(gates, scope)["rpd"] == 10


class Server:
    """A redis-server of the test's own, to be stopped and started again on the same snapshot."""

    def __init__(self, home: Path) -> None:
        self.path = str(home / "redis.sock")
        listen = ["--port", "0", "--unixsocket", self.path]
        self.command = [str(redis_server()), *listen, "--dir", str(home), "--save", "", "--appendonly", "no"]

    def __enter__(self) -> redis.Redis:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        self.client = redis.Redis(unix_socket_path=self.path, retry=Retry(ConstantBackoff(0.01), 500))
        self.client.ping()
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait()


def test_a_snapshot_of_an_earlier_run_is_not_trusted(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with server as client:
        gates = Gates(client)
        scope = open_scope(gates, rpm=10)
        take(gates, scope, 2)
        client.save()
        take(gates, scope, 8)
    with server as client:
        gates = Gates(client)
        assert client.exists(f"gate:{{{scope.name}}}:win"), "the snapshot was restored"
        assert deny(gates, scope).reason == "cold"
        gates.warm(scope, Known(window=((gates.now_ms(), 10, 0),)))
        assert deny(gates, scope).reason == "rate"
    with redis.Redis(unix_socket_path=server.path, retry=Retry(NoBackoff(), 0)) as gone, pytest.raises(ServiceMissing):
        Gates(gone).now_ms()


def test_what_ends_while_a_scope_is_cold_leaves_no_trace(gates: Gates, redis_client: redis.Redis) -> None:
    scope = open_scope(gates, rpm=10)
    gates.warm_money("j", 0)
    grant = gates.reserve([scope], 2, 20, money=Money("j", 10, 1), lease_s=60)
    assert isinstance(grant, Grant)
    redis_client.flushdb()
    gates.true_up(grant, calls=1, reserved_tokens=10, actual_tokens=30, reserved_micro=1, actual_micro=9)
    gates.give_back(grant, calls=1, tokens=10)
    assert redis_client.keys("*") == []


def test_scripts_come_back_when_the_server_forgets_them(gates: Gates, redis_client: redis.Redis) -> None:
    scope = open_scope(gates, rpm=10)
    take(gates, scope)
    redis_client.script_flush()
    take(gates, scope)
    assert used(gates, scope)["rpm"] == 2


def test_a_repeated_command_reserves_once(gates: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = open_scope(gates, rpm=10)
    monkeypatch.setattr(os, "urandom", lambda n: b"\x01" * n)
    first = take(gates, scope, 3)
    wait(gates, 10)
    assert take(gates, scope, 3) == first
    assert used(gates, scope)["rpm"] == 3


# --- against a naive model ------------------------------------------------------------------------------------------


class Naive:
    """The rules said the slow way: every reservation kept for ever, every question asked of all of them."""

    def __init__(self, limits: Limits, zone: str) -> None:
        self.limits, self.zone = limits, ZoneInfo(zone)
        self.entries: list[dict[str, int]] = []
        self.held = 0

    def date(self, ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, self.zone).date().isoformat()

    def flying(self, now: int) -> int:
        return sum(e["flying"] for e in self.entries if e["lease"] > now)

    def fits(self, calls: int, tokens: int, now: int, *, slots: bool = True) -> bool:
        window = [e for e in self.entries if e["at"] > now - WINDOW]
        today = [e for e in self.entries if self.date(e["at"]) == self.date(now)]
        limits, infinite = self.limits, 10**9
        daily = limits.rpd is not None or limits.tpd is not None
        return (
            now >= self.held
            and not (daily and self.date(now) != self.date(now + 1_000))
            and sum(e["calls"] for e in window) + calls <= (infinite if limits.rpm is None else limits.rpm)
            and sum(e["tokens"] for e in window) + tokens <= (infinite if limits.tpm is None else limits.tpm)
            and sum(e["calls"] for e in today) + calls <= (infinite if limits.rpd is None else limits.rpd)
            and sum(e["day_tokens"] for e in today) + tokens <= (infinite if limits.tpd is None else limits.tpd)
            and (
                not slots
                or self.flying(now) + calls <= (infinite if limits.concurrency is None else limits.concurrency)
            )
        )

    def first_fit(self, calls: int, tokens: int, now: int) -> int:
        """ms until it fits, concurrency aside; -1: never. Tries every moment at which something changes."""
        moments = {now, self.held, day_of(str(self.zone), now).end_ms, *(e["at"] + WINDOW for e in self.entries)}
        later = sorted(moment for moment in moments if moment >= now)
        return next((moment - now for moment in later if self.fits(calls, tokens, moment, slots=False)), -1)


LIMIT = st.none() | st.integers(1, 12)
AMOUNT = st.none() | st.integers(1, 60)
STEP = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 6), st.integers(0, 30)),
    st.tuples(st.just("sleep"), st.sampled_from([1, 400, 9_000, 30_000, 60_999, 61_000, 61_001]), st.just(0)),
    st.tuples(st.just("sleep_as_told"), st.integers(-1, 0), st.just(0)),
    st.tuples(st.just("true_up"), st.integers(0, 9), st.integers(-8, 8)),
    st.tuples(st.just("give_back"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("hold"), st.integers(1, 70_000), st.just(0)),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limits=st.builds(Limits, rpm=LIMIT, rpd=AMOUNT, tpm=AMOUNT, tpd=AMOUNT, concurrency=LIMIT),
    start=st.sampled_from([0, 23 * 3_600_000 - 90_000, 24 * 3_600_000 - 90_000, 12 * 3_600_000]),
    steps=st.lists(STEP, min_size=5, max_size=40),
)
def test_every_answer_is_that_of_a_naive_model(
    gates: Gates, limits: Limits, start: int, steps: list[tuple[str, int, int]]
) -> None:
    zone = "America/Los_Angeles"  # the day chosen has 23 hours
    sleep_to(gates, int(datetime(2025, 3, 9, tzinfo=ZoneInfo(zone)).timestamp() * 1000) + start)
    model = Naive(limits, zone)
    scope = replace(open_scope(gates, zone=zone), limits=limits)
    grants: list[tuple[Grant, dict[str, int]]] = []
    told = 0
    for step, a, b in steps:
        now = gates.now_ms()
        if step == "reserve":
            reply = gates.reserve([scope], a, b, lease_s=20)
            assert isinstance(reply, Grant) == model.fits(a, b, now), reply
            if isinstance(reply, Grant):
                entry = {"at": now, "calls": a, "tokens": b, "day_tokens": b, "flying": a, "lease": now + 20_000}
                model.entries.append(entry)
                grants.append((reply, entry))
                continue
            assert reply.room == max(n for n in range(a) if n == 0 or model.fits(n, math.ceil(n * b / a), now))
            told = max(0, reply.wait_ms)
            check_wait(model, reply, a, b, now)
        elif step == "sleep":
            wait(gates, a)
        elif step == "sleep_as_told":
            wait(gates, max(0, told + a))
            told = 0
        elif step == "hold":
            model.held = max(model.held, gates.hold(scope.name, a / 1000))
        elif grants:
            grant, entry = grants.pop(a % len(grants))
            change(gates, grant, entry, step, b)
        assert gates.usage(scope).in_flight == model.flying(gates.now_ms())


def check_wait(model: Naive, reply: Denied, calls: int, tokens: int, now: int) -> None:
    """``wait_ms`` is when the largest part that is ever allowed fits."""
    empty = Naive(model.limits, str(model.zone))
    noon = now - now % 86_400_000 + 20 * 3_600_000  # no day ends then in that zone
    parts = [(n, math.ceil(n * tokens / calls)) for n in range(1, calls + 1)]
    ever = [(n, t) for n, t in parts if empty.fits(n, t, noon)]
    if not ever or reply.room == ever[-1][0]:
        assert reply.wait_ms == -1
    elif reply.reason == "concurrency":
        assert 1 <= reply.wait_ms <= 50
        assert model.first_fit(*ever[-1], now) <= reply.wait_ms
    else:
        at_least = model.first_fit(*ever[-1], now)
        # A slot that is wanted as well may only make it longer, by one look.
        assert reply.wait_ms == at_least or (model.limits.concurrency and at_least <= reply.wait_ms <= 50)


def change(gates: Gates, grant: Grant, entry: dict[str, int], step: str, b: int) -> None:
    in_window = entry["at"] > gates.now_ms() - WINDOW
    if step == "true_up":
        actual = max(0, grant.tokens + b)
        gates.true_up(grant, calls=grant.calls, reserved_tokens=grant.tokens, actual_tokens=actual)
        entry["day_tokens"] = actual
        entry["tokens"] = actual if in_window else 0
    else:
        gates.give_back(grant, calls=grant.calls, tokens=grant.tokens)
        entry.update(calls=0, tokens=0, day_tokens=0)
    entry["flying"] = 0


# --- many at once ---------------------------------------------------------------------------------------------------


def grab(url: str, scope: Scope) -> tuple[int, int]:
    """One process, two threads: takes what it can until denied; returns (calls granted, most seen in flight)."""
    client = redis.Redis.from_url(url)
    gates = Gates(client)
    most = []

    def run(_: int) -> int:
        granted = 0
        while True:
            reply = gates.reserve([scope], 3, 30, lease_s=60)
            if isinstance(reply, Denied) and reply.room:
                reply = gates.reserve([scope], reply.room, 10 * reply.room, lease_s=60)
            if isinstance(reply, Denied):
                if reply.reason == "rate":
                    return granted
                continue
            granted += reply.calls
            most.append(client.incrby("flying", reply.calls))
            client.decrby("flying", reply.calls)
            gates.true_up(reply, calls=reply.calls, reserved_tokens=reply.tokens, actual_tokens=reply.tokens)

    with ThreadPoolExecutor(2) as pool:
        granted = sum(pool.map(run, range(2)))
    client.close()
    return granted, max(most, default=0)


def test_four_processes_together_never_pass_a_limit(redis_url: str, redis_client: redis.Redis) -> None:
    scope = open_scope(Gates(redis_client), rpm=400, concurrency=7)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        results = pool.starmap(grab, [(redis_url, scope)] * 4)
        pool.close()
        pool.join()
    assert sum(granted for granted, _ in results) == 400
    assert max(most for _, most in results) <= 7
    assert used(Gates(redis_client), scope) == {"rpm": 400, "tpm": 4000, "rpd": 400, "tpd": 4000, "concurrency": 0}


def test_eight_threads_share_one_gate(redis_client: redis.Redis) -> None:
    gates = Gates(redis_client)
    scope = open_scope(gates, concurrency=5)
    lock, flying, most = threading.Lock(), 0, 0

    def run(_: int) -> None:
        nonlocal flying, most
        for _turn in range(25):
            while isinstance(grant := gates.reserve([scope], 2, 0, lease_s=60), Denied):
                assert grant.reason == "concurrency"
            with lock:
                flying += 2
                most = max(most, flying)
            with lock:
                flying -= 2
            gates.true_up(grant, calls=2, reserved_tokens=0, actual_tokens=0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    assert 2 <= most <= 5
    assert gates.usage(scope).in_flight == 0


def test_memory_follows_the_window_not_the_history(gates: Gates, redis_client: redis.Redis) -> None:
    scope = open_scope(gates, rpm=10_000, tpm=10**9)
    key = f"gate:{{{scope.name}}}:"
    most = 0
    for turn in range(10_000):
        grant = take(gates, scope, 3, 900, lease_s=30)
        if turn % 2:
            gates.true_up(grant, calls=3, reserved_tokens=900, actual_tokens=700)
        wait(gates, 610)
        if turn % 500 == 499:
            most = max(most, redis_client.zcard(key + "win"), redis_client.hlen(key + "amt") - 2)
    assert most == 100  # reservations of a minute and the margin
    assert used(gates, scope)["rpm"] == 99 * 3
    wait(gates, WINDOW)
    gates.usage(scope)
    assert sorted(redis_client.keys(key + "*")) == sorted((key + name).encode() for name in ("day", "warm"))
    one, many = open_scope(gates), open_scope(gates)
    take(gates, one, 1)
    take(gates, many, 100)
    sizes = [redis_client.zcard(stem(scope.name) + ":win") for scope in (one, many)]
    sizes += [redis_client.hlen(stem(scope.name) + ":amt") - 2 for scope in (one, many)]
    assert sizes == [1, 1, 1, 1]


def test_idle_keys_vanish_by_themselves(gates: Gates, redis_client: redis.Redis) -> None:
    scope = open_scope(gates)
    gates.warm_money("j", 0)
    gates.reserve([scope], 1, 1, money=Money("j", 10, 1), lease_s=60, breaker="groq/x")
    Breaker(redis_client).record("groq/x", 0, 1, capacity=64)
    Pulses(redis_client).observe("groq/x", "classify", latencies_ms=[1], tokens_sum=1)
    eternal = [key for key in redis_client.keys("*") if redis_client.pttl(key) < 0]
    assert eternal == [f"gate:{{{scope.name}}}:warm".encode()]


# --- the breaker ----------------------------------------------------------------------------------------------------


@pytest.fixture
def breaker(gates: Gates, redis_client: redis.Redis) -> Breaker:
    breaker = Breaker(redis_client)
    breaker.clock = gates.clock
    breaker._record._clock = gates.clock
    return breaker


def through(gates: Gates, scope: Scope, calls: int = 1, lease_s: float = 60) -> Grant | Denied:
    return gates.reserve([scope], calls, 0, lease_s=lease_s, breaker="groq/x")


def state(breaker: Breaker) -> str:
    return breaker.states(["groq/x"])["groq/x"].state


def test_five_in_a_row_open_it_and_half_of_the_last_twenty_too(breaker: Breaker) -> None:
    assert breaker.record("a", 0, 4, capacity=64) == "closed"
    assert breaker.record("a", 1, 0, capacity=64) == "closed"
    assert breaker.record("a", 0, 4, capacity=64) == "closed"  # 8 of 9: too few seen to go by the half
    assert breaker.record("a", 0, 1, capacity=64) == "open"
    assert breaker.record("b", 20, 0, capacity=64) == "closed"
    for _ in range(2):
        assert breaker.record("b", 1, 4, capacity=64) == "closed"
    assert breaker.record("b", 0, 1, capacity=64) == "closed"  # 9 of 20
    assert breaker.record("b", 0, 1, capacity=64) == "open"
    assert breaker.record("c", 3, 6, capacity=64) == "closed"
    views = breaker.states(["a", "b", "c", "never"])
    assert [views[name].failures for name in "abc"] == [9, 10, 6]
    assert views["never"].state == "closed"
    assert breaker.record("d", 30, 30, capacity=64) == "open"


def test_a_success_from_before_the_trouble_does_not_end_the_streak(gates: Gates, breaker: Breaker) -> None:
    scope = open_scope(gates)
    old = through(gates, scope)
    wait(gates, 10)
    bad = through(gates, scope, 5)
    wait(gates, 10)
    new = through(gates, scope)
    assert isinstance(old, Grant)
    assert isinstance(bad, Grant)
    assert isinstance(new, Grant)
    breaker.record("groq/x", 20, 0, capacity=64)  # so that half of the last twenty is not reached
    assert breaker.record("groq/x", 0, 4, capacity=64, grant=bad) == "closed"
    assert breaker.record("groq/x", 1, 0, capacity=64, grant=new) == "closed"
    assert breaker.record("groq/x", 0, 4, capacity=64, grant=bad) == "closed", "a later success ended it"
    assert breaker.record("groq/x", 1, 0, capacity=64, grant=old) == "closed"
    assert breaker.record("groq/x", 0, 1, capacity=64, grant=bad) == "open", "an earlier one did not"


def test_the_life_of_a_breaker(gates: Gates, breaker: Breaker) -> None:
    scope = open_scope(gates)
    straggler = through(gates, scope)
    assert isinstance(straggler, Grant)
    breaker.record("groq/x", 0, 5, capacity=64)
    assert through(gates, scope) == Denied("breaker_open", "breaker:groq/x", 30_000, 0)
    assert breaker.record("groq/x", 3, 0, capacity=64) == "open"
    wait(gates, 29_999)
    assert through(gates, scope) == Denied("breaker_open", "breaker:groq/x", 1, 0)
    wait(gates, 1)
    assert state(breaker) == "half_open"
    assert through(gates, scope, 25) == Denied("breaker_open", "breaker:groq/x", 500, 1)
    probe = through(gates, scope)
    assert isinstance(probe, Grant)
    assert probe.probe
    assert through(gates, scope) == Denied("breaker_open", "breaker:groq/x", 500, 0)
    assert breaker.record("groq/x", 1, 0, capacity=64, grant=straggler) == "half_open"
    assert breaker.record("groq/x", 0, 1, capacity=64, grant=probe) == "open"
    for seconds in (60, 120, 240, 300, 300):
        wait(gates, seconds * 1000 - 1)
        assert isinstance(through(gates, scope), Denied)
        wait(gates, 1)
        probe = through(gates, scope)
        assert isinstance(probe, Grant)
        assert breaker.record("groq/x", 0, 1, capacity=64, grant=probe) == "open"
    wait(gates, 300_000)
    probe = through(gates, scope)
    assert isinstance(probe, Grant)
    assert breaker.record("groq/x", 1, 0, capacity=64, grant=probe) == "closed"
    assert breaker.record("groq/x", 0, 9, capacity=64, grant=straggler) == "closed", (
        "granted before it closed: old news"
    )


def share(breaker: Breaker) -> float:
    return breaker.states(["groq/x"])["groq/x"].share


def succeed(gates: Gates, breaker: Breaker, scope: Scope, calls: int, capacity: int) -> None:
    grant = through(gates, scope, calls)
    assert isinstance(grant, Grant)
    breaker.record("groq/x", calls, 0, capacity=capacity, grant=grant)
    gates.true_up(grant, calls=calls, reserved_tokens=0, actual_tokens=0)


def recovered(gates: Gates, breaker: Breaker, capacity: int) -> Scope:
    """A breaker whose probe has just succeeded."""
    scope = open_scope(gates)
    breaker.record("groq/x", 0, 5, capacity=capacity)
    wait(gates, 30_000)
    assert share(breaker) == 0.0, "a probe, not a share"
    succeed(gates, breaker, scope, 1, capacity)
    return scope


@pytest.mark.parametrize(
    ("capacity", "allowed"),
    [(64, (3, 12, 32)), (100, (5, 20, 50)), (4, (1, 1, 2)), (1, (1, 1, 1))],
)
def test_slow_start_allows_a_share_of_the_capacity(
    gates: Gates, breaker: Breaker, capacity: int, allowed: tuple[int, ...]
) -> None:
    scope = recovered(gates, breaker, capacity)
    for part, calls in zip((0.05, 0.2, 0.5), allowed, strict=True):
        assert share(breaker) == part
        denied = through(gates, scope, 100)
        assert denied == Denied("concurrency", "breaker:groq/x slow start", 50, calls)
        left = max(5, calls)
        while left:
            batch = min(left, calls)
            assert share(breaker) == part, "as many in a row as it allows, and five at least"
            succeed(gates, breaker, scope, batch, capacity)
            left -= batch
    assert share(breaker) == 1.0
    assert isinstance(through(gates, scope, 100), Grant)


def test_a_failure_in_slow_start_leads_a_step_back(gates: Gates, breaker: Breaker) -> None:
    scope = recovered(gates, breaker, 100)
    succeed(gates, breaker, scope, 5, 100)
    succeed(gates, breaker, scope, 19, 100)
    assert share(breaker) == 0.2
    breaker.record("groq/x", 0, 1, capacity=100)
    assert share(breaker) == 0.05
    breaker.record("groq/x", 0, 1, capacity=100)
    assert share(breaker) == 0.05
    succeed(gates, breaker, scope, 5, 100)
    succeed(gates, breaker, scope, 19, 100)
    assert share(breaker) == 0.2, "what succeeded before the failure does not count"


def test_who_recovers_by_other_evidence_begins_slowly_too(gates: Gates, breaker: Breaker) -> None:
    scope = open_scope(gates)
    breaker.force_open("groq/x", 86_400)
    breaker.recover("groq/x")
    assert share(breaker) == 0.05
    assert through(gates, scope, 9) == Denied("concurrency", "breaker:groq/x slow start", 50, 1)
    succeed(gates, breaker, scope, 1, 100)
    assert through(gates, scope, 9) == Denied("concurrency", "breaker:groq/x slow start", 50, 5)


def test_a_probe_that_dies_or_is_not_made_lets_another_try(gates: Gates, breaker: Breaker) -> None:
    scope = open_scope(gates)
    breaker.force_open("groq/x", 7)
    assert through(gates, scope) == Denied("breaker_open", "breaker:groq/x", 7_000, 0)
    wait(gates, 7_000)
    dead = through(gates, scope, lease_s=20)
    assert isinstance(dead, Grant)
    wait(gates, 19_999)
    assert through(gates, scope) == Denied("breaker_open", "breaker:groq/x", 1, 0)
    wait(gates, 1)
    second = through(gates, scope)
    assert isinstance(second, Grant)
    assert second.probe
    assert breaker.record("groq/x", 0, 1, capacity=64, grant=dead) == "half_open", "its place is taken"
    gates.give_back(second, calls=1, tokens=0)
    third = through(gates, scope)
    assert isinstance(third, Grant)
    assert breaker.record("groq/x", 0, 0, capacity=64, grant=third) == "half_open"
    fourth = through(gates, scope)
    assert isinstance(fourth, Grant)
    breaker.reset("groq/x")
    assert state(breaker) == "closed"
    assert isinstance(through(gates, scope, 50), Grant)


def test_only_one_of_many_gets_the_probe(gates: Gates, breaker: Breaker) -> None:
    scope = open_scope(gates)
    breaker.force_open("groq/x", 0)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: through(gates, scope), range(32)))
    assert sum(isinstance(reply, Grant) for reply in replies) == 1
