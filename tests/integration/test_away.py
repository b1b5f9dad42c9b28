"""Postgres away, Redis away, Redis back and empty: nothing is paid for twice, and no limit is forgotten."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from sqlalchemy import create_engine
from structlog.testing import capture_logs

from app.core.values import FailureKind
from app.embedded import Embedded
from app.embedded.binaries import redis_server
from app.gates.limits import Denied, Gates, Grant, Money, Scope
from app.ledger import journal
from app.ledger.journal import Casting, Closing, Opening
from app.ledger.migrate import upgrade
from app.ledger.states import AttemptState
from app.services.recording import Record
from app.services.scopes import scopes_of
from bench.harness import free_port
from tests.integration.small_yard import SmallYard, until, vendor

SINGLE = {"strategy": "single-query"}
MARGIN_S = 0.5


@pytest.fixture
def own_postgres() -> Iterator[tuple[Embedded, str]]:
    """A Postgres of this test's own, that it may stop."""
    # Not pytest's tmp_path: its parents are closed to the user that root hands Postgres to.
    home = Path(tempfile.mkdtemp(prefix="switchyard-away-"))
    home.chmod(0o711)
    servers = Embedded(home, redis=False)
    try:
        url = servers.start().database_url
        assert url is not None
        upgrade(url)
        yield servers, url
    finally:
        servers.stop()
        shutil.rmtree(home, ignore_errors=True)


class OwnRedis:
    """A Redis of this test's own, that it may kill; it comes back empty, at the same address."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        listen = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(home)]
        self._command = [str(redis_server()), *listen, "--save", "", "--appendonly", "no"]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url, retry=Retry(ConstantBackoff(0.02), 300)) as client:
            client.ping()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    yield server
    server.kill()


def test_answers_that_postgres_cannot_take_wait_in_redis_and_are_not_asked_again(
    own_postgres: tuple[Embedded, str], redis_url: str, tmp_path: Path
) -> None:
    servers, url = own_postgres
    yard = SmallYard(tmp_path, url, redis_url)
    try:
        yard.open([vendor("x"), vendor("y"), vendor("z")], latency_ms=10)
        yard.weather({"provider": "*", "kind": "latency", "mean_ms": 1500.0, "jitter": 0.0})
        job = yard.submit(4)
        asks = yard.dispatch()
        with ThreadPoolExecutor(2) as pool, capture_logs() as logs:
            asking = [pool.submit(yard.worker().asker.ask, ask.id) for ask in asks]
            until(lambda: yard.sim.books()["in_flight"] == 8)
            servers.stop()
            for done in asking:
                assert done.result(30) is not None, "an answered ask ends, wherever its answers had to go"
        assert [entry["action"] for entry in logs].count("ledger.spill") == 2
        assert len(yard.sim.calls()) == 8
        assert servers.start().database_url == url
        yard.engine.dispose()
        assert yard.state("attempts") == ["open"] * 8
        assert yard.state("asks") == ["running"] * 2
        assert yard.yard.sweeper.drain() == [asks[0].chunk_id]
        assert yard.yard.sweeper.drain() == []
        assert yard.state("asks") == ["done"] * 2
        assert yard.settle(asks[0].chunk_id).job_done == job
        assert {row[1:3] for row in yard.decisions()} == {("decided", "a")}
        assert len(yard.sim.calls()) == 8
        yard.books_agree()
    finally:
        yard.close()


def test_what_was_spilled_is_written_before_leases_end_so_that_no_call_becomes_ambiguous(
    own_postgres: tuple[Embedded, str], redis_url: str, tmp_path: Path
) -> None:
    servers, url = own_postgres
    yard = SmallYard(tmp_path, url, redis_url)
    try:
        yard.open([vendor("x")])
        yard.weather({"provider": "*", "kind": "latency", "mean_ms": 700.0, "jitter": 0.0})
        yard.submit(2, **SINGLE)
        (ask,) = yard.dispatch()
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(yard.yard.asker.ask, ask.id)
            until(lambda: yard.sim.books()["in_flight"] == 2)
            servers.stop()
            asking.result(30)
        servers.start()
        yard.engine.dispose()
        # The outage lasted longer than the lease.
        yard.change("UPDATE asks SET lease_until = clock_timestamp() - interval '1 minute'")
        swept, chunks, _ = yard.yard.sweeper.sweep()
        assert (swept.ambiguous, swept.rung, chunks) == (0, (), [ask.chunk_id])
        assert yard.settle(ask.chunk_id).finished
        assert yard.attempts() == [(1, "answered", None, 200)] * 2
        assert len(yard.sim.calls()) == 2
    finally:
        yard.close()


def test_what_follows_a_spilled_answer_is_written_after_it(small_yard: SmallYard) -> None:
    """Else an ask would be done before its votes are in, and be asked again; and a finished call would pass for one
    that was written down and never made."""
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    (ask,) = yard.dispatch()
    taken = journal.take_ask(yard.engine, ask.id, "w", 60.0)
    assert taken is not None
    one, two = (item.id for item in taken.items)
    openings = [Opening(one, 1, 5), Opening(two, 1, 5)]
    opened = journal.open_attempts(yard.engine, taken, "w", openings, provider="x", price=None)
    away = create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none", connect_args={"connect_timeout": 1})
    record = Record(away, yard.yard.spill, taken, "w")
    record.close(Closing(opened[one], AttemptState.ANSWERED, text="a"))
    record.cast(Casting(one, opened[one], "a", None, 1))
    record.write(last=False, grounded=False)
    record._engine = yard.engine  # Postgres is back
    record.unsure = True
    record.cast(Casting(two, None, None, FailureKind.OVERDUE, 0))
    record.write(last=True, grounded=True)
    assert record.ended
    assert yard.state("attempts") == ["open"] * 2
    assert yard.state("asks") == ["running"], "it is not done before what it said is written"
    assert yard.yard.sweeper.drain() == [ask.chunk_id]
    assert yard.state("attempts") == ["answered", "unsent"]
    assert yard.votes() == [(0, "a", None, 1), (0, None, "overdue", 0)]
    away.dispose()


def test_two_drains_do_not_overtake_each_other(small_yard: SmallYard) -> None:
    spill = small_yard.open([vendor("x")], simulated=False).yard.spill
    for n in range(3):
        spill.push({"n": n})
    seen: list[int] = []

    def slow(parameters: dict[str, int]) -> None:
        if parameters["n"] == 0 and not seen:
            seen.append(-1)
            raise OSError("Postgres went away again")
        seen.append(parameters["n"])

    with pytest.raises(OSError, match="went away"):
        spill.drain(slow)
    assert [row["n"] for row in spill.drain(slow)] == [0, 1, 2]
    assert seen == [-1, 0, 1, 2], "what a drain left behind comes first again"


def test_an_ask_waits_for_redis_and_goes_on(own_redis: OwnRedis, database_url: str, tmp_path: Path) -> None:
    yard = SmallYard(tmp_path, database_url, own_redis.url)
    try:
        yard.open([vendor("x", rpm=10)], gate_margin_s=MARGIN_S)
        yard.submit(3, **SINGLE)
        (ask,) = yard.dispatch()
        own_redis.kill()
        with ThreadPoolExecutor(1) as pool, capture_logs() as logs:
            asking = pool.submit(yard.yard.asker.ask, ask.id)
            until(lambda: any(entry["action"] == "ask.wait" for entry in logs))
            assert yard.value("SELECT count(*) FROM attempts") == 0
            own_redis.start()
            assert asking.result(30) is not None
        assert yard.votes() == [(0, "a", None, 1)] * 3
        assert len(yard.sim.calls()) == 3
        # It came back empty: the gates were opened by what the ledger knows, and have counted since.
        rules = {rule.rule: rule.used for rule in yard.yard.view.look()[0].usage[0].rules}
        assert rules["rpm"] == 3
    finally:
        yard.close()


def flushed(yard: SmallYard, client: redis.Redis) -> tuple[Gates, tuple[Scope, ...]]:
    """Redis has lost everything; the gates, and the scopes of the fleet's one deployment."""
    client.flushdb()
    fleet = yard.yard.fleet.current()
    return yard.yard.gates, scopes_of(fleet, fleet.deployments[0])


def reserve(yard: SmallYard, scopes: tuple[Scope, ...], calls: int, money: Money | None = None) -> Grant | Denied:
    # Without the bound on one second: here the minute and the day are looked at.
    return Gates(yard.yard.redis, margin_s=MARGIN_S).reserve(scopes, calls, calls, money=money, lease_s=30)


def test_gates_that_were_lost_open_with_what_the_ledger_knows(small_yard: SmallYard, redis_client: redis.Redis) -> None:
    yard = small_yard.open([vendor("x", rpm=40, rpd=50)], gate_margin_s=MARGIN_S)
    yard.submit(4, **SINGLE)
    yard.work()
    assert len(yard.sim.calls()) == 4
    gates, scopes = flushed(yard, redis_client)
    cold = reserve(yard, scopes, 1)
    assert isinstance(cold, Denied)
    assert (cold.reason, set(cold.cold)) == ("cold", {"provider:x", "deployment:x/m"})
    yard.yard.warmer.warm(cold.cold, scopes, cold.wait_ms, 10.0)
    before = {rule.rule: rule.used for rule in gates.usage(scopes[0]).rules}
    assert (before["rpm"], before["rpd"], before["concurrency"]) == (4, 4, 0)
    tokens = yard.value("SELECT sum(input_tokens + output_tokens) FROM attempts")
    assert (before["tpm"], before["tpd"]) == (tokens, tokens)
    assert isinstance(reserve(yard, scopes, 36), Grant)
    denied = reserve(yard, scopes, 1)
    assert isinstance(denied, Denied)
    assert (denied.reason, denied.rule) == ("rate", "provider:x rpm")
    # Until the oldest call leaves the window: a minute and the margin after it was made.
    age_s = yard.value("SELECT extract(epoch FROM clock_timestamp() - min(started_at))::float8 FROM attempts")
    assert denied.wait_ms / 1000 == pytest.approx(60 + MARGIN_S - age_s, abs=1.0)


def test_the_day_is_not_forgotten(small_yard: SmallYard, redis_client: redis.Redis) -> None:
    yard = small_yard.open([vendor("x", rpd=5)], gate_margin_s=MARGIN_S)
    yard.submit(4, **SINGLE)
    yard.work()
    # Long out of the minute's window, and the same day still.
    midnight = "date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
    yard.change("ALTER TABLE attempts DISABLE TRIGGER attempts_closed")
    yard.change(f"UPDATE attempts SET started_at = greatest({midnight}, clock_timestamp() - interval '10 hours')")
    flushed(yard, redis_client)
    yard.submit(3, **SINGLE)
    yard.follow(yard.dispatch())
    yard.work()
    assert len(yard.sim.calls()) == 5
    assert yard.value("SELECT count(*) FROM votes WHERE failure_kind = 'quota_exhausted'") >= 1


def test_what_a_job_has_spent_is_not_forgotten(small_yard: SmallYard, redis_client: redis.Redis) -> None:
    # A call sets aside the dearest that it may be, 1,024 tokens at 2 USD the million; it costs some 70 micro-dollars.
    yard = small_yard.open([vendor("x")], gate_margin_s=MARGIN_S, chunk_size=2)
    job = yard.submit(4, max_cost_usd=0.0045, **SINGLE)
    asks = yard.dispatch()
    yard.follow(asks[:1])
    spent = yard.value("SELECT sum(cost_micro) FROM attempts")
    assert spent > 0
    _, scopes = flushed(yard, redis_client)
    yard.follow(asks[1:])
    assert yard.value("SELECT state FROM jobs WHERE id = %s", job) == "done"
    assert [row[1] for row in yard.decisions()] == ["decided"] * 4
    total = int(yard.value("SELECT sum(cost_micro) FROM attempts"))
    denied = reserve(yard, scopes, 1, Money(job, 4500, 4500 - total + 1))
    assert isinstance(denied, Denied)
    assert denied.reason == "money"
    assert isinstance(reserve(yard, scopes, 1, Money(job, 4500, 4500 - total)), Grant)
