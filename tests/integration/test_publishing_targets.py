"""Bucket, webhook and mail against real servers: what they are sent, and what is said when they refuse."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.carriers.smtp import Relay
from app.carriers.webhook import Hook
from app.fetch import Fetcher
from app.newspaper.paper import Bucket
from app.publishing.bucket import BucketTarget
from app.publishing.mail import MailTarget, address_of
from app.publishing.webhook import WebhookTarget
from tests.integration.printed import HEADLINE, MADE_AT, a_bundle, an_edition
from tests.integration.receivers import HttpReceiver, http_receiver, mail_receiver

ID = "paper-daily-2026-11-20-1"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ACCESS, KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/hunter2"
ENVIRON = {"S3_ACCESS": ACCESS, "S3_KEY": KEY}


def bucket(server: HTTPServer, environ: dict[str, str] | None = None, **more: Any) -> BucketTarget:
    row = {"name": "paper", "endpoint": f"http://127.0.0.1:{server.port}", "prefix": "news", "region": "eu-west-1",
           "access_key_env": "S3_ACCESS", "secret_key_env": "S3_KEY", **more}  # fmt: skip
    return BucketTarget(Bucket.model_validate(row), ENVIRON if environ is None else environ)


def signed_right(request: Request) -> bool:
    """AWS Signature Version 4 for S3, worked out anew from the request as it came."""
    given = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\S+?)/(\d{8})/([a-z0-9-]+)/s3/aws4_request,"
        r" SignedHeaders=(\S+), Signature=(\w+)",
        request.headers["Authorization"],
    )
    assert given is not None
    access, day, region, names, signature = given.groups()
    assert (access, region) == (ACCESS, "eu-west-1")
    payload = hashlib.sha256(request.get_data()).hexdigest()
    assert request.headers["x-amz-content-sha256"] == payload, "the body is signed, too"
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names.split(";"))
    canonical = f"{request.method}\n{quote(request.path)}\n\n{headers}\n{names}\n{payload}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = (
        f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    )
    key = f"AWS4{KEY}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest() == signature


def test_a_bucket_gets_the_edition_first_and_the_index_last(httpserver: HTTPServer) -> None:
    httpserver.expect_request(re.compile("/.*")).respond_with_data("")
    bundle = a_bundle()
    target = bucket(httpserver)
    assert target.publish(bundle, ID) is None
    requests = [request for request, _ in httpserver.log]
    assert [(request.method, request.path) for request in requests] == [
        ("PUT", "/paper/news/2026-11-20/charts/cost.svg"),
        ("PUT", "/paper/news/2026-11-20/edition.json"),
        ("PUT", "/paper/news/2026-11-20/index.html"),
        ("PUT", "/paper/news/atom.xml"),
        ("PUT", "/paper/news/index.html"),
    ]
    assert [request.get_data() for request in requests[:3]] == [
        bundle.files[name] for name in ("charts/cost.svg", "edition.json", "index.html")
    ]
    assert [request.headers["Content-Type"] for request in requests] == [
        "image/svg+xml", "application/json", "text/html; charset=utf-8", "application/atom+xml; charset=utf-8",
        "text/html; charset=utf-8",
    ]  # fmt: skip
    assert [request.headers["Cache-Control"] for request in requests] == ["public, max-age=600"] * 3 + [
        "public, max-age=60"
    ] * 2
    assert all(signed_right(request) for request in requests)
    assert target.where == f"s3://paper/news at 127.0.0.1:{httpserver.port}"


def refusal(code: str) -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{KEY} {ACCESS}</Message></Error>"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "these keys may not write to it (HTTP 403)"),
        (403, "SignatureDoesNotMatch", "the secret key is wrong (HTTP 403)"),
        (404, "NoSuchBucket", "there is no such bucket (HTTP 404)"),
        (503, "SlowDown", "it asks to slow down (HTTP 503)"),
        (400, ACCESS, "HTTP 400"),
        (500, "<![CDATA[hunter2]]>", "HTTP 500"),
    ],
)
def test_a_bucket_that_refuses_is_asked_once_and_shows_no_key(
    httpserver: HTTPServer, status: int, code: str, said: str
) -> None:
    httpserver.expect_request(re.compile("/.*")).respond_with_data(refusal(code), status=status)
    target = bucket(httpserver)
    untaken = target.publish(a_bundle(), ID)
    assert untaken is not None and not untaken.final
    assert untaken.said == f"the bucket {target.where} did not take it: {said}"
    assert len(httpserver.log) == 1, "retries of the library's own"


def test_what_breaks_off_in_the_middle_left_no_index(httpserver: HTTPServer) -> None:
    answers = iter([200, 200, 500])

    def answer(request: Request) -> Response:
        return Response("", status=next(answers))

    httpserver.expect_request(re.compile("/.*")).respond_with_handler(answer)
    assert bucket(httpserver).publish(a_bundle(), ID) is not None
    assert not any(request.path == "/paper/news/index.html" for request, _ in httpserver.log)


def test_a_bucket_that_is_not_there(httpserver: HTTPServer) -> None:
    port = httpserver.port
    httpserver.stop()
    target = bucket(httpserver, endpoint=f"http://127.0.0.1:{port}")
    untaken = target.publish(a_bundle(), ID)
    assert untaken is not None
    assert untaken.said == f"the bucket {target.where} cannot be reached: EndpointConnectionError"
    httpserver.start()


def test_keys_are_read_when_they_are_used(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither another pair nor another endpoint of the machine's own is taken instead.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    httpserver.expect_request(re.compile("/.*")).respond_with_data("")
    environ: dict[str, str] = {}
    target = bucket(httpserver, environ)
    untaken = target.publish(a_bundle(), ID)
    assert untaken is not None and untaken.said == "the bucket wants its keys: set S3_ACCESS and S3_KEY"
    environ.update(ENVIRON)
    assert target.publish(a_bundle(), ID) is None
    assert KEY not in repr(target) and ACCESS not in repr(target)


WITHOUT_BOTO = """
import sys
from importlib.machinery import PathFinder
class Finder:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Finder())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "boto3" else find_spec(name, *a)
from pathlib import Path
from app.newspaper.paper import Paper
from app.publishing.configured import targets
paper = Paper.model_validate({"title": "T", "desk": [{"name": "w", "title": "W", "description": "w"}],
                              "feed": [{"name": "a", "path": "a"}], "publish": {"bucket": {"name": "paper"}}})
print(targets(paper, Path("/base"), {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})[1])
"""


def test_without_boto3_the_line_to_install_is_said() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_BOTO], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(
        ["publish.bucket wants boto3, which is not installed: pip install 'switchyard[s3]'"]
    )


def test_boto3_is_imported_only_where_something_is_sent() -> None:
    code = "import sys, app.publishing.configured; print('boto3' in sys.modules, 'weasyprint' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False False"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as server:
        yield server


FETCHER = Fetcher(allow_private=True, allow_http=True, timeout_s=5)


def webhook(receiver: HttpReceiver, url: str | None = "https://news.example/paper/") -> WebhookTarget:
    return WebhookTarget(Hook(SecretStr(f"{receiver.url}/hook/hunter2"), SecretStr(SECRET), FETCHER), url)


def test_a_webhook_tells_of_the_edition_and_not_its_text(receiver: HttpReceiver) -> None:
    assert webhook(receiver).publish(a_bundle(), ID) is None
    (got,) = receiver.got
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = b".".join([got.headers["webhook-id"].encode(), got.headers["webhook-timestamp"].encode(), got.body])
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert got.headers["webhook-id"] == ID and "." not in ID
    assert json.loads(got.body) == {
        "type": "edition.published",
        "timestamp": "2026-11-20T05:41:12+00:00",
        "data": {
            "id": ID,
            "paper": "paper",
            "title": "The Test",
            "kind": "daily",
            "date": "2026-11-20",
            "run": 1,
            "specimen": False,
            "bulletin": False,
            "late": False,
            "url": "https://news.example/paper/2026-11-20/index.html",
            "headline": None,
            "headlines": [{"id": "a1b2c3", "desk": "world", "headline": HEADLINE}],
        },
    }


def test_a_webhook_again_is_the_same_message(receiver: HttpReceiver) -> None:
    receiver.answers = [(503, {}), (410, {})]
    target = webhook(receiver, None)
    first, second = target.publish(a_bundle(), ID), target.publish(a_bundle(), ID)
    assert first is not None and (first.said, first.final) == ("the webhook did not take it: HTTP 503", False)
    assert second is not None and second.final and "410" in second.said
    assert target.publish(a_bundle(), ID) is None
    assert len({got.body for got in receiver.got}) == len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert json.loads(receiver.got[0].body)["data"]["url"] is None
    assert "hunter2" not in f"{target!r}{target.where}{first}{second}"


SENDER = address_of("The Test <news@example.com>")


def letter(port: int, to: str = "reader@example.com", n: int = 1) -> MailTarget:
    relay = Relay(SecretStr(f"smtp://user:hunter2@127.0.0.1:{port}"))
    return MailTarget(relay, SENDER, address_of(to), n)


def test_a_letter_has_text_and_page_and_one_recipient() -> None:
    with mail_receiver() as server:
        assert letter(server.port, "One Reader <reader@example.com>").publish(a_bundle(), ID) is None
        assert letter(server.port, "other@example.com", 2).publish(a_bundle(), ID) is None
    mail, other = server.mails
    assert mail["From"] == "The Test <news@example.com>"
    assert mail["To"] == "One Reader <reader@example.com>"
    assert mail["Subject"] == "The Test, 2026-11-20"
    assert mail["Message-ID"] == f"<{ID}@example.com>" == other["Message-ID"]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == MADE_AT  # type: ignore[union-attr]
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()  # type: ignore[attr-defined]
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().splitlines() == a_bundle().letter.text.splitlines()
    assert "Bridge – reopens" in html.get_content()
    assert "reader@example.com" not in other.as_string() and "other@example.com" not in mail.as_string()


@pytest.mark.parametrize(("answer", "final"), [(b"550 no such user", True), (b"451 come back later", False)])
def test_a_recipient_that_is_refused_for_good_is_not_tried_again(answer: bytes, final: bool) -> None:
    with mail_receiver() as server:
        server.refuse = answer
        target = letter(server.port)
        untaken = target.publish(a_bundle(), ID)
    assert untaken is not None and untaken.final == final
    assert untaken.said == f"the mail server refused the recipients: [{answer[:3].decode()}]"
    gone = target.publish(a_bundle(), ID)
    assert gone is not None and not gone.final
    assert gone.said == "the mail server cannot be reached: ConnectionRefusedError"
    shown = f"{target!r}{target.where}{target.name}{untaken}{gone}"
    assert "hunter2" not in shown and "reader" not in shown


def test_no_title_becomes_a_header() -> None:
    evil = a_bundle(an_edition(title="News\r\nBcc: victim@example.com"))
    with mail_receiver() as server:
        assert letter(server.port).publish(evil, ID) is None
    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "News Bcc: victim@example.com, 2026-11-20"


def test_an_edition_that_does_not_say_when_it_was_made_has_its_day() -> None:
    from app.newspaper.edition import Colophon

    with mail_receiver() as server:
        assert letter(server.port).publish(a_bundle(an_edition(colophon=Colophon())), ID) is None
    assert server.mails[0]["Date"].datetime == dt.datetime(2026, 11, 20, tzinfo=dt.UTC)  # type: ignore[union-attr]
