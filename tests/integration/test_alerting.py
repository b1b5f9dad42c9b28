"""Alerts from a real ledger: what is measured, that each change is written once, and that each notice arrives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from app.core.alerts import Calls, Cost, Fallback, Notice, Quality
from app.gates.limits import Known
from app.ledger import alerts
from app.services.alerting import Alerting, retry_in_s
from tests.integration.receivers import HttpReceiver, http_receiver
from tests.integration.small_yard import SmallYard, vendor

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SINGLE = {"strategy": "single-query"}


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as server:
        yield server


def opened(small_yard: SmallYard, receiver: HttpReceiver | None = None, **more: Any) -> SmallYard:
    told: dict[str, Any] = {"allow_private_addresses": True, **more}
    if receiver is not None:
        told |= {
            "alert_webhook_url": SecretStr(f"{receiver.url}/hook"),
            "alert_webhook_secret": SecretStr(SECRET),
        }
    return small_yard.open([vendor("x"), vendor("y")], simulated=False, **told)


def heard(receiver: HttpReceiver) -> list[tuple[str, str, str]]:
    said = [json.loads(got.body) for got in receiver.got]
    return [(each["type"], each["data"]["name"], each["data"]["subject"]) for each in said]


def rang(alerting: Alerting) -> list[Notice]:
    notices = alerting.look()
    alerting.deliver()
    return notices


def test_a_provider_that_goes_out_and_comes_back_is_told_twice_in_all(
    small_yard: SmallYard, receiver: HttpReceiver
) -> None:
    yard = small_yard.open(
        [vendor("x"), vendor("y")],
        allow_private_addresses=True,
        alert_webhook_url=SecretStr(f"{receiver.url}/hook"),
        alert_webhook_secret=SecretStr(SECRET),
    )
    alerting = yard.yard.alerting
    rang(alerting)
    assert heard(receiver) == []
    yard.weather({"provider": "x", "kind": "auth"})
    yard.yard.monitor.check(everyone=True)
    for _ in range(3):
        rang(alerting)
    assert heard(receiver) == [("alert.firing", "provider_out", "x")]
    assert json.loads(receiver.got[0].body)["data"]["message"].startswith("x: 1 of 1 deployments are down or out: auth")
    assert [(f.name, f.subject) for f in alerts.firing(yard.engine)] == [("provider_out", "x")]
    yard.weather()
    for _ in range(2):  # one answered ping is not yet a recovery
        yard.yard.monitor.check(everyone=True)
        rang(alerting)
    rang(alerting)
    assert heard(receiver) == [("alert.firing", "provider_out", "x"), ("alert.recovered", "provider_out", "x")]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 2
    assert alerts.firing(yard.engine) == []
    assert {n.state for n in alerts.latest(yard.engine, 20)} == {"sent"}
    assert [n.sink for n in alerts.latest(yard.engine, 20)] == ["webhook", "log", "webhook", "log"]


def test_several_processes_looking_at_once_write_one_notice(small_yard: SmallYard) -> None:
    yard = opened(small_yard)
    yard.mark("out", "x/m")
    found: list[Notice] = []
    processes = [yard.worker() for _ in range(4)]
    start = threading.Barrier(len(processes))

    def look(alerting: Alerting) -> None:
        start.wait(10)
        found.extend(alerting.look())

    threads = [threading.Thread(target=look, args=(process.alerting,)) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [(n.name, n.subject, n.firing) for n in found] == [("provider_out", "x", True)]
    assert yard.rows("SELECT sink, firing FROM alert_notices") == [("log", True)]


def test_a_look_while_another_is_under_way_leaves_it_alone(small_yard: SmallYard) -> None:
    yard = opened(small_yard)
    yard.mark("out", "x/m")
    with alerts.looking(yard.engine) as mine:
        assert mine is not None
        assert yard.yard.alerting.look() == []
    assert len(yard.yard.alerting.look()) == 1


def test_providers_that_left_the_fleet_file_are_told_of_no_more(small_yard: SmallYard) -> None:
    yard = opened(small_yard)
    yard.mark("out", "gone/m")
    assert yard.yard.alerting.look() == []


def test_a_key_that_is_refused_is_told_by_its_name_until_it_is_taken_again(small_yard: SmallYard) -> None:
    yard = opened(small_yard)
    insert = "INSERT INTO key_health (provider, key_ref, state, reason) VALUES (%s, 'KEY_2', 'out', 'auth: revoked')"
    yard.change(insert, "x")
    yard.change(insert, "gone")
    (notice,) = yard.yard.alerting.look()
    assert (notice.name, notice.subject) == ("key_out", "x KEY_2")
    assert notice.message == "x refuses its key KEY_2: auth: revoked"
    yard.change("UPDATE key_health SET state = 'healthy'")
    assert [(n.name, n.firing) for n in yard.yard.alerting.look()] == [("key_out", False)]


def test_a_quota_nearly_spent_is_told_and_a_redis_that_lost_it_changes_nothing(
    small_yard: SmallYard, redis_client: Any
) -> None:
    yard = small_yard.open([vendor("x", rpd=100, rpm=1000)], simulated=False, cold=True)
    yard.open_gates(Known(day_calls=91))
    alerting = yard.yard.alerting
    (notice,) = alerting.look()
    assert (notice.name, notice.subject, notice.firing) == ("quota", "provider:x rpd", True)
    assert notice.message == "provider:x: 91 of 100 used (rpd), 91% (threshold 90%)"
    redis_client.flushdb()
    assert alerting.look() == []
    yard.open_gates(Known(day_calls=3))
    assert [(n.name, n.firing) for n in alerting.look()] == [("quota", False)]


# What is measured


def rewrite(engine: Engine, *statements: str) -> None:
    """Change what is closed: another past, which the ledger's own guards would rightly refuse."""
    with engine.begin() as c:
        c.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            c.exec_driver_sql(statement)


@pytest.fixture
def story(ledger: Engine, worked_job: Callable[..., str]) -> Engine:
    """One job of three items: one agreed, one contested, one lost to three timeouts; every call 250 ms."""
    worked_job(state="running", waiting=2)
    return ledger


def test_calls_are_counted_by_deployment_and_only_what_is_the_providers_fault(story: Engine) -> None:
    with alerts.looking(story) as connection:
        assert connection is not None
        assert alerts.calls(connection) == (
            Calls("groq/mid", 2, 250, 3, 1),
            Calls("groq/small", 2, 250, 3, 1),
            Calls("mistral/large", 1, 250, 2, 1),
        )
    rewrite(
        story,
        "UPDATE attempts SET failure_kind = 'content_filter' WHERE state = 'failed'",
        "UPDATE attempts SET flags = '{cold_start}' WHERE deployment = 'groq/small' AND seat = 0",
        "UPDATE attempts SET started_at = now() - interval '6 minutes' WHERE deployment = 'groq/mid'",
    )
    with alerts.looking(story) as connection:
        assert connection is not None
        assert alerts.calls(connection) == (Calls("groq/small", 0, None, 2, 0), Calls("mistral/large", 1, 250, 1, 0))
        assert [c.deployment for c in alerts.calls(connection, 600)] == ["groq/mid", "groq/small", "mistral/large"]


@pytest.mark.parametrize("kind", ["auth", "billing", "model_not_found"])
def test_a_refusal_that_puts_a_deployment_out_is_no_part_of_its_error_rate(story: Engine, kind: str) -> None:
    rewrite(story, f"UPDATE attempts SET failure_kind = '{kind}' WHERE state = 'failed'")
    with alerts.looking(story) as connection:
        assert connection is not None
        assert [(c.ended, c.failed) for c in alerts.calls(connection)] == [(2, 0), (2, 0), (1, 0)]


def test_an_item_fell_back_if_it_was_asked_elsewhere_after_a_failure(story: Engine) -> None:
    def seen() -> Fallback:
        with alerts.looking(story) as connection:
            assert connection is not None
            return alerts.fallback(connection)

    assert seen() == Fallback(3, 1), "the lost one; the contested one's third voice is no fallback"
    with story.begin() as c:
        c.exec_driver_sql("UPDATE votes SET cast_at = clock_timestamp() + interval '1 hour'")
    assert seen() == Fallback(3, 0), "what failed only after the others had begun sent nobody elsewhere"


def test_cost_and_quality_are_those_of_what_was_decided_lately(story: Engine) -> None:
    with story.begin() as c:
        c.exec_driver_sql("UPDATE jobs SET max_cost_micro = 5000")
    with alerts.looking(story) as connection:
        assert connection is not None
        (cost,) = alerts.costs(connection)
        assert cost == Cost("job-one", 3, pytest.approx((2000 + 3000 + 3000) / 3), 5, 5000)
        assert alerts.qualities(connection) == (Quality("job-one", 2, 0.5, True),)
    with story.begin() as c:
        c.exec_driver_sql("UPDATE jobs SET has_gold = false")
    with alerts.looking(story) as connection:
        assert connection is not None
        (quality,) = alerts.qualities(connection)
        assert (quality.judged, quality.gold) == (2, False)
        assert quality.mean == pytest.approx((1 + 2 / 3) / 2, abs=1e-3)
    rewrite(story, "UPDATE decisions SET decided_at = now() - interval '6 minutes'")
    with alerts.looking(story) as connection:
        assert connection is not None
        assert alerts.costs(connection) == ()
        assert alerts.qualities(connection) == ()


def idle(engine: Engine) -> float | None:
    with alerts.looking(engine) as connection:
        assert connection is not None
        return alerts.idle_s(connection)


def minutes_pass(engine: Engine, minutes: int) -> None:
    columns = (("alerts", "since"), ("decisions", "decided_at"), ("attempts", "started_at"))
    rewrite(engine, *(f"UPDATE {t} SET {c} = {c} - interval '{minutes} minutes'" for t, c in columns))


def test_standing_still_is_counted_from_the_last_decision_or_from_when_there_was_work(
    ledger: Engine, worked_job: Callable[..., str]
) -> None:
    assert idle(ledger) is None
    minutes_pass(ledger, 60)
    worked_job(state="running", waiting=2)
    assert idle(ledger) == pytest.approx(0, abs=30), "work that comes after a quiet hour"
    minutes_pass(ledger, 7)
    assert idle(ledger) == pytest.approx(420, abs=30)
    with ledger.begin() as c:
        c.exec_driver_sql("UPDATE jobs SET state = 'paused'")
    assert idle(ledger) is None
    with ledger.begin() as c:
        c.exec_driver_sql("UPDATE jobs SET state = 'running'")
    assert idle(ledger) == pytest.approx(0, abs=30), "a job that was resumed has its ten minutes, too"


def test_a_yard_that_stands_still_is_told_once_and_its_next_decision_ends_it(
    small_yard: SmallYard, worked_job: Callable[..., str]
) -> None:
    yard = opened(small_yard)
    worked_job(state="running", waiting=2)
    alerting = yard.yard.alerting
    assert alerting.look() == []
    minutes_pass(yard.engine, 11)
    (notice,) = alerting.look()
    assert (notice.name, notice.subject, notice.message) == (
        "stalled", "yard", "nothing was decided for 11 minutes, and there is work",
    )  # fmt: skip
    assert alerting.look() == []
    rewrite(yard.engine, "UPDATE attempts SET started_at = now()")
    assert alerting.look() == [], "calls alone decide nothing"
    rewrite(yard.engine, "UPDATE decisions SET decided_at = clock_timestamp()")
    assert [(n.name, n.firing) for n in alerting.look()] == [("stalled", False)]
    assert alerting.look() == []


# What is sent


def due_now(yard: SmallYard) -> None:
    yard.change("UPDATE alert_notices SET next_at = now() WHERE next_at < 'infinity'")


def test_what_was_not_taken_is_sent_again_under_the_same_id_and_in_order(
    small_yard: SmallYard, receiver: HttpReceiver
) -> None:
    yard = opened(small_yard, receiver)
    alerting = yard.yard.alerting
    receiver.answers = [(500, {}), (503, {"Retry-After": "200"})]
    yard.mark("out", "x/m")
    rang(alerting)
    yard.mark("healthy", "x/m")
    rang(alerting)
    assert len(receiver.got) == 1, "not due yet; and its recovery does not overtake it"
    assert yard.rows("SELECT error, tries FROM alert_notices WHERE sink = 'webhook' ORDER BY id") == [
        ("HTTP 500", 1), (None, 0),
    ]  # fmt: skip
    due_now(yard)
    alerting.deliver()
    wait_s = yard.value("SELECT extract(epoch FROM next_at - now())::float8 FROM alert_notices WHERE tries = 2")
    assert 190 < wait_s <= 200, "as long as the receiver asked for"
    due_now(yard)
    assert alerting.deliver().sent == 2
    types = [type_ for type_, _, _ in heard(receiver)]
    assert types == ["alert.firing", "alert.firing", "alert.firing", "alert.recovered"]
    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert len(set(ids[:3])) == 1
    assert ids[3] not in ids[:3]
    assert alerting.deliver().sent == 0


def test_a_notice_under_way_in_one_process_is_not_sent_by_another(
    small_yard: SmallYard, receiver: HttpReceiver
) -> None:
    yard = opened(small_yard, receiver)
    yard.mark("out", "x/m", "y/m")
    yard.yard.alerting.look()
    mine = alerts.claim(yard.engine, "webhook", 90)
    assert mine is not None
    assert mine.notice.subject == "x"
    assert yard.worker().alerting.deliver().sent == 3
    assert [subject for _, _, subject in heard(receiver)] == ["y"]


def test_a_sink_in_trouble_holds_up_no_other_and_is_given_up_after_a_day(
    small_yard: SmallYard, receiver: HttpReceiver, capfd: pytest.CaptureFixture[str]
) -> None:
    yard = opened(small_yard, receiver, alert_slack_url=SecretStr("http://127.0.0.1:9/services/hunter2"))
    alerting = yard.yard.alerting
    yard.mark("out", "x/m")
    alerting.look()
    delivered = alerting.deliver()
    assert (delivered.sent, delivered.failed, delivered.given_up) == (2, 1, 0)
    yard.change("UPDATE alert_notices SET created_at = created_at - interval '25 hours'")
    due_now(yard)
    assert alerting.deliver().given_up == 1
    (slack,) = [n for n in alerts.latest(yard.engine, 20) if n.sink == "slack"]
    assert (slack.state, slack.tries) == ("given up", 2)
    assert slack.error == "http://127.0.0.1/*** cannot be reached: ClientConnectorError"
    assert alerting.deliver().failed == 0
    said = capfd.readouterr()
    assert "hunter2" not in said.out + said.err + str(yard.rows("SELECT n::text FROM alert_notices n"))


def test_a_receiver_that_wants_no_more_is_asked_no_more(small_yard: SmallYard, receiver: HttpReceiver) -> None:
    yard = opened(small_yard, receiver)
    receiver.answers = [(410, {})]
    yard.mark("out", "x/m")
    rang(yard.yard.alerting)
    due_now(yard)
    yard.yard.alerting.deliver()
    assert len(receiver.got) == 1
    assert [n.state for n in alerts.latest(yard.engine, 20) if n.sink == "webhook"] == ["given up"]


def test_tries_come_further_apart_and_never_more_than_an_hour() -> None:
    assert [retry_in_s(tries, 1.0) for tries in (1, 2, 3, 8, 100)] == [5, 15, 45, 3600, 3600]
    assert retry_in_s(1, 0.0) == 2.5
