"""Sinks against real receivers: signatures that can be checked, escaped text, mail without foreign headers."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import shutil
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from app.carriers.webhook import key_of, sign
from app.core.alerts import Notice
from app.fetch import Fetcher
from app.sinks.letter import Letter
from app.sinks.mail import MailSink
from app.sinks.slack import SlackSink
from app.sinks.webhook import WebhookSink
from tests.integration.receivers import Certified, Got, HttpReceiver, certified, http_receiver, mail_receiver

# The example of the reference libraries (github.com/standard-webhooks/standard-webhooks, libraries).
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

AT = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
NOTICE = Notice("provider_out", "groq", True, 2.0, None, "groq: 2 of 2 deployments are down or out: auth: bad key")
LETTER = Letter("alert-7-1790000000000", AT, NOTICE)
EVIL = Notice(
    "error_rate", "x/m\r\nBcc: victim@example.com", True, 0.5, 0.01, "<!channel> <http://evil|click> & \r\n.\r\nQUIT"
)
FROM, TO = SecretStr("yard@example.com"), SecretStr("ops@example.com, night@example.com")


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as server:
        yield server


FETCHER = Fetcher(allow_private=True, allow_http=True, timeout_s=5)


def test_the_signature_is_that_of_the_reference_libraries() -> None:
    assert sign(key_of(VECTOR_SECRET), *VECTOR) == VECTOR_SIGNATURE


@pytest.mark.parametrize("secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_%%%%"])
def test_a_secret_of_another_form_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_") as caught:
        key_of(secret)
    assert not secret or secret == "whsec_" or secret not in str(caught.value)


def verified(got: Got, secret: str) -> None:
    """As a receiver does it, written from the specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([got.headers["webhook-id"].encode(), got.headers["webhook-timestamp"].encode(), got.body])
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert f"v1,{expected}" in got.headers["webhook-signature"].split(" ")
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60


def test_a_webhook_is_signed_and_keeps_its_id_at_every_try(receiver: HttpReceiver) -> None:
    sink = WebhookSink(SecretStr(f"{receiver.url}/hook/secret"), SecretStr(VECTOR_SECRET), FETCHER)
    receiver.answers = [(503, {"Retry-After": "120"}), (204, {})]
    trouble = sink.send(LETTER)
    assert trouble is not None
    assert (trouble.said, trouble.retry_after_s, trouble.final) == ("HTTP 503", 120.0, False)
    assert sink.send(LETTER) is None
    for got in receiver.got:
        verified(got, VECTOR_SECRET)
        assert got.headers["webhook-id"] == LETTER.id
    assert "." not in LETTER.id, "the specification forbids full stops: they would move the signed parts"
    assert json.loads(receiver.got[0].body) == {
        "type": "alert.firing",
        "timestamp": "2026-11-20T12:00:00+00:00",
        "data": {
            "name": "provider_out",
            "subject": "groq",
            "firing": True,
            "value": 2.0,
            "threshold": None,
            "message": NOTICE.message,
        },
    }
    assert sink.where == "http://127.0.0.1/***"


@pytest.mark.parametrize(
    ("status", "headers", "wait_s", "final"),
    [
        (400, {}, None, False),
        (410, {}, None, True),
        (429, {"Retry-After": "999999"}, 3600.0, False),
        (429, {"Retry-After": "soon"}, None, False),
        (502, {"Retry-After": "Fri, 20 Nov 2020 12:00:00 GMT"}, 0.0, False),
    ],
)
def test_what_a_receiver_answers_decides_on_the_next_try(
    receiver: HttpReceiver, status: int, headers: dict[str, str], wait_s: float | None, final: bool
) -> None:
    receiver.answers = [(status, headers)]
    trouble = SlackSink(SecretStr(receiver.url), FETCHER).send(LETTER)
    assert trouble is not None
    assert (trouble.retry_after_s, trouble.final) == (wait_s, final)
    assert str(status) in trouble.said


def test_slack_text_neither_calls_a_channel_nor_holds_a_link(receiver: HttpReceiver) -> None:
    sink = SlackSink(SecretStr(f"{receiver.url}/services/T0/B0/secret"), FETCHER)
    assert sink.send(Letter("alert-8-1", AT, EVIL)) is None
    said = json.loads(receiver.got[0].body)
    assert "&lt;!channel&gt; &lt;http://evil|click&gt; &amp;" in said["text"]
    assert "<" not in receiver.got[0].body.decode()
    assert [block["type"] for block in said["blocks"]] == ["section", "context"]
    long = Notice("n", "s", True, None, None, "&" * 10_000)
    assert sink.send(Letter("alert-9-1", AT, long)) is None
    assert len(json.loads(receiver.got[1].body)["blocks"][0]["text"]["text"]) <= 3000
    assert "secret" not in sink.where


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make a certificate with")
    return certified(tmp_path_factory.mktemp("keys"), "localhost")


def test_mail_arrives_and_no_text_becomes_a_header_or_a_command() -> None:
    with mail_receiver() as server:
        sink = MailSink(SecretStr(f"smtp://127.0.0.1:{server.port}"), FROM, TO)
        assert sink.send(Letter("alert-8-1", AT, EVIL)) is None
        assert sink.send(LETTER) is None
    evil, plain = server.mails
    assert evil["Bcc"] is None
    assert evil["Subject"] == "[switchyard] firing: error_rate x/m Bcc: victim@example.com"
    assert (plain["From"], plain["To"]) == ("yard@example.com", "ops@example.com, night@example.com")
    assert plain["Message-ID"] == "<alert-7-1790000000000@example.com>"
    assert NOTICE.message in plain.get_content()  # type: ignore[attr-defined]
    assert [line.split("<")[1].rstrip(">") for line in server.recipients[2:]] == [
        "ops@example.com",
        "night@example.com",
    ]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mail_is_encrypted_where_the_server_can_and_logs_in_only_then(keys: Certified, scheme: str) -> None:
    with mail_receiver(keys.server, implicit=scheme == "smtps") as server:
        url = SecretStr(f"{scheme}://yard:p%40ss@localhost:{server.port}")
        assert MailSink(url, FROM, TO, keys.client).send(LETTER) is None
        assert server.logins == [("yard", "p@ss", True)]
        assert server.encrypted == [True]
        stranger = MailSink(url, FROM, TO).send(LETTER)
        assert stranger is not None
        assert stranger.said == "the mail server cannot be reached: SSLCertVerificationError"
        assert len(server.mails) == 1


def test_a_refusal_says_a_code_and_no_secret() -> None:
    with mail_receiver() as server:
        server.refuse = b"550 no such user hunter2"
        trouble = MailSink(SecretStr(f"smtp://yard:hunter2@127.0.0.1:{server.port}"), FROM, TO).send(LETTER)
    assert trouble is not None
    assert trouble.said == "the mail server refused the recipients: [550]"
    gone = MailSink(SecretStr(f"smtp://yard:hunter2@127.0.0.1:{server.port}"), FROM, TO).send(LETTER)
    assert gone is not None
    assert gone.said == "the mail server cannot be reached: ConnectionRefusedError"


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("http://host", "a@b"),
        ("smtp://", "a@b"),
        ("smtp://host:port", "a@b"),
        ("smtp://host", ""),
        ("smtp://host", "nobody"),
        ("smtp://host", "a@b\r\nBcc: c@d"),
        ("smtp://host", "a@b; c@d"),
    ],
)
def test_a_mail_sink_that_cannot_work_is_not_built(url: str, to: str) -> None:
    with pytest.raises(ValueError, match="SWITCHYARD_ALERT_"):
        MailSink(SecretStr(url), FROM, SecretStr(to))
