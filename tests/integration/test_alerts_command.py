"""switchyard alerts, alerts test, and what doctor says of sinks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.core.alerts import Notice
from app.ledger import alerts
from tests.integration.commands import Run
from tests.integration.receivers import HttpReceiver, http_receiver, mail_receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def cli(command: Run) -> Run:
    return command


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as server:
        yield server


def told(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"SWITCHYARD_{name}", value)


def test_what_fires_and_what_was_sent_is_shown(
    cli: Run, ledger: Engine, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, DATABASE_URL=database_url, REDIS_URL=redis_url)
    empty = cli("alerts")
    assert (empty.code, empty.out, empty.err) == (0, "", "nothing fires\n")
    with alerts.looking(ledger) as connection:
        assert connection is not None
        notice = Notice("provider_out", "groq", True, 2, None, "groq: all is \x1b[31mlost")
        alerts.write(connection, [notice], ["log", "slack"])
    waiting = alerts.claim(ledger, "slack", 60)
    assert waiting is not None
    alerts.failed(ledger, waiting.id, "HTTP 500", None)
    shown = cli("alerts")
    assert shown.code == 0
    assert "provider_out" in shown.out
    assert "given up" in shown.out
    assert "\x1b" not in shown.out
    said = cli("alerts", "--json").json
    assert [(f["name"], f["subject"]) for f in said["firing"]] == [("provider_out", "groq")]
    assert [(n["sink"], n["state"], n["error"]) for n in said["notices"]] == [
        ("slack", "given up", "HTTP 500"),
        ("log", "waiting", None),
    ]


def test_a_test_notice_goes_to_every_sink_and_each_answer_is_said(
    cli: Run, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_receiver() as mails:
        told(
            monkeypatch,
            ALLOW_PRIVATE_ADDRESSES="1",
            ALERT_WEBHOOK_URL=f"{receiver.url}/hook/hunter2",
            ALERT_WEBHOOK_SECRET=SECRET,
            ALERT_SLACK_URL="http://127.0.0.1:9/services/hunter2",
            ALERT_SMTP_URL=f"smtp://yard:hunter2@127.0.0.1:{mails.port}",
            ALERT_MAIL_FROM="yard@example.com",
            ALERT_MAIL_TO="ops@example.com",
        )
        ran = cli("alerts", "test", "--json")
    assert ran.code == 1
    assert [(row["sink"], row["answer"]) for row in ran.json] == [
        ("log", "taken"),
        ("webhook", "taken"),
        ("slack", "http://127.0.0.1/*** cannot be reached: ClientConnectorError"),
        ("mail", "taken"),
    ]
    assert json.loads(receiver.got[0].body)["data"]["name"] == "test"
    assert mails.mails[0]["Subject"] == "[switchyard] firing: test switchyard"
    assert "hunter2" not in ran.out + ran.err
    assert '"action": "alert.firing"' in ran.err, "the log is a sink as well"


def test_inner_addresses_are_refused_with_the_reason_unless_the_setting_is_on(
    cli: Run, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, ALERT_SLACK_URL="https://127.0.0.1/services/hunter2")
    ran = cli("alerts", "test")
    assert ran.code == 1
    assert "is refused: its address is not a public one (loopback)" in ran.out
    assert "hunter2" not in ran.out + ran.err
    assert receiver.got == []


def test_with_nothing_set_the_log_speaks(cli: Run) -> None:
    ran = cli("alerts", "test")
    assert ran.code == 0
    assert ran.out.split() == ["SINK", "TO", "ANSWER", "log", "stderr", "taken"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ALERT_WEBHOOK_URL": "https://hooks.example/hunter2"}, "wants SWITCHYARD_ALERT_WEBHOOK_SECRET"),
        ({"ALERT_WEBHOOK_SECRET": "hunter2"}, "wants SWITCHYARD_ALERT_WEBHOOK_URL"),
        (
            {"ALERT_WEBHOOK_URL": "https://hooks.example/", "ALERT_WEBHOOK_SECRET": "hunter2"},
            "SWITCHYARD_ALERT_WEBHOOK_SECRET must be whsec_",
        ),
        ({"ALERT_SMTP_URL": "smtp://u:hunter2@host"}, "SWITCHYARD_ALERT_MAIL_FROM and SWITCHYARD_ALERT_MAIL_TO"),
        ({"ALERT_MAIL_TO": "ops@example.com"}, "mail wants SWITCHYARD_ALERT_SMTP_URL and SWITCHYARD_ALERT_MAIL_FROM"),
        (
            {"ALERT_SMTP_URL": "http://hunter2", "ALERT_MAIL_TO": "a@b", "ALERT_MAIL_FROM": "a@b"},
            "must be smtp://host:port",
        ),
    ],
)
def test_what_is_half_configured_is_said_by_doctor_and_by_the_test(
    cli: Run, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    told(monkeypatch, **variables)
    doctor = cli("doctor", "--json")
    (finding,) = [f for f in doctor.json if f["what"] == "alerts" and f["state"] == "wrong"]
    assert said in finding["said"]
    test = cli("alerts", "test")
    assert test.code == 1
    assert said in test.out
    assert "hunter2" not in doctor.out + doctor.err + test.out + test.err


def test_doctor_says_where_alerts_go(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, ALERT_SLACK_URL="https://hooks.slack.com/services/hunter2", ALLOW_PRIVATE_ADDRESSES="1")
    found = [f for f in cli("doctor", "--json").json if f["what"] == "alerts"]
    assert [(f["state"], f["said"]) for f in found] == [
        ("ok", "go to log (stderr), slack (https://hooks.slack.com/***)"),
        ("warn", "SWITCHYARD_ALLOW_PRIVATE_ADDRESSES is on"),
    ]
