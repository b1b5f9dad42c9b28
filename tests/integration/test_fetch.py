"""The checked client against real sockets: what it calls, under which name, and how much and how long it listens."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app.fetch import Fetched, Fetcher, Unfetched
from tests.integration.receivers import HttpReceiver, certified, http_receiver

NAME = "hooks.example"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as server:
        yield server


def inner(**more: object) -> Fetcher:
    return Fetcher(allow_private=True, allow_http=True, max_bytes=50_000, **more)  # type: ignore[arg-type]


def unfetched(got: Fetched | Unfetched) -> Unfetched:
    assert isinstance(got, Unfetched)
    return got


def test_what_is_sent_arrives_and_what_is_answered_comes_back(receiver: HttpReceiver) -> None:
    receiver.answers = [(201, {"X-Said": "yes"})]
    got = inner().post(f"{receiver.url}/in?a=1", b"body", {"content-type": "text/plain"})
    assert isinstance(got, Fetched)
    assert (got.status, got.headers["x-said"], got.body) == (201, "yes", b"ok")
    (sent,) = receiver.got
    assert (sent.method, sent.path, sent.body) == ("POST", "/in?a=1", b"body")
    assert sent.headers["content-type"] == "text/plain"
    assert sent.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_loopback_is_not_called_unless_allowed(receiver: HttpReceiver) -> None:
    assert "loopback" in unfetched(Fetcher(allow_http=True).get(receiver.url)).said
    assert "only https" in unfetched(Fetcher(allow_private=True).get(receiver.url)).said
    assert receiver.got == []


def test_a_name_is_looked_up_once_and_the_connection_goes_where_it_pointed_then(receiver: HttpReceiver) -> None:
    """DNS rebinding: the second look-up, had there been one, would lead to the metadata service."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    fetcher = inner(resolve=resolve)
    assert isinstance(fetcher.get(f"http://{NAME}:{receiver.port}/"), Fetched)
    assert asked == [NAME]
    assert receiver.got[0].headers["host"] == f"{NAME}:{receiver.port}"
    assert "metadata" in unfetched(fetcher.get(f"http://{NAME}:{receiver.port}/")).said
    assert len(receiver.got) == 1


def test_tls_is_spoken_with_the_name_not_with_the_address(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make a certificate with")
    keys = certified(tmp_path, NAME)

    def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    with http_receiver(keys.server) as receiver:
        fetcher = Fetcher(allow_private=True, resolve=resolve, tls=keys.client)
        got = fetcher.get(f"https://{NAME}:{receiver.port}/x")
        assert isinstance(got, Fetched)
        assert got.status == 204
        wrong_name = unfetched(fetcher.get(f"https://other.example:{receiver.port}/x"))
        assert "ClientConnectorCertificateError" in wrong_name.said
        strangers = unfetched(Fetcher(allow_private=True, resolve=resolve).get(f"https://{NAME}:{receiver.port}/x"))
        assert "ClientConnectorCertificateError" in strangers.said
        assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(receiver: HttpReceiver) -> None:
    got = unfetched(inner().get(f"{receiver.url}/redirect"))
    assert "redirect" in got.said
    assert "secret" not in got.said
    assert [sent.path for sent in receiver.got] == ["/redirect"]


def followed(**more: object) -> Fetcher:
    return inner(redirects=3, **more)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_client_made_for_it_follows_a_redirect(receiver: HttpReceiver, status: int) -> None:
    receiver.answers = [(200, {})]
    got = followed().get(f"{receiver.url}/to?{status}:/to?302:{receiver.url}/feed?a=1", {"If-None-Match": '"1"'})
    assert isinstance(got, Fetched)
    assert (got.status, got.body, got.url) == (200, b"ok", f"{receiver.url}/feed?a=1")
    assert [sent.path for sent in receiver.got][1:] == [f"/to?302:{receiver.url}/feed?a=1", "/feed?a=1"]
    assert [sent.headers["if-none-match"] for sent in receiver.got] == ['"1"'] * 3


def test_redirects_come_to_an_end(receiver: HttpReceiver) -> None:
    assert "more redirects than are followed" in unfetched(followed().get(f"{receiver.url}/round")).said
    assert len(receiver.got) == 4


def test_a_redirect_of_what_is_posted_is_not_followed(receiver: HttpReceiver) -> None:
    assert "redirect" in unfetched(followed().post(f"{receiver.url}/redirect", b"body")).said
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "file:///etc/passwd", "javascript:1", "",
     "http://user:secret@127.0.0.1/", "http://2130706433/", "//169.254.169.254/x", "gopher://127.0.0.1/"],
)  # fmt: skip
def test_a_redirects_target_is_looked_at_like_the_first_address(receiver: HttpReceiver, target: str) -> None:
    got = unfetched(followed().get(f"{receiver.url}/to?302:{target}"))
    assert got.refused
    assert "redirects" in got.said
    assert "secret" not in got.said
    assert len(receiver.got) == 1


def test_a_public_name_that_redirects_to_loopback_gets_no_further(receiver: HttpReceiver) -> None:
    """The first name is made to be public by its first look-up only; loopback stays closed."""
    fetcher = Fetcher(allow_http=True, redirects=3, resolve=lambda host, port: ["127.0.0.1"])
    assert "loopback" in unfetched(fetcher.get(f"http://{NAME}:{receiver.port}/")).said
    assert receiver.got == []


def test_what_was_meant_for_one_host_is_not_told_another(receiver: HttpReceiver) -> None:
    receiver.answers = [(200, {})]
    there = f"http://{NAME}:{receiver.port}/x"
    fetcher = followed(resolve=lambda host, port: ["127.0.0.1"])
    given = {"Authorization": "Bearer secret", "Cookie": "a=b", "X-Key": "secret", "If-None-Match": '"1"'}
    assert isinstance(fetcher.get(f"{receiver.url}/to?302:{there}", given), Fetched)
    first, second = receiver.got
    assert first.headers["authorization"] == "Bearer secret"
    assert second.headers["host"] == f"{NAME}:{receiver.port}"
    assert second.headers["if-none-match"] == '"1"'
    assert not {"authorization", "cookie", "x-key"} & set(second.headers)


def test_https_does_not_lead_down_to_http(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not there to make a certificate with")
    keys = certified(tmp_path, NAME)
    with http_receiver(keys.server) as secure, http_receiver() as plain:
        fetcher = Fetcher(allow_private=True, redirects=3, resolve=lambda host, port: ["127.0.0.1"], tls=keys.client)
        got = unfetched(fetcher.get(f"https://{NAME}:{secure.port}/to?302:{plain.url}/x"))
        assert "only https" in got.said
        assert plain.got == []


def test_all_redirects_together_have_one_time(receiver: HttpReceiver) -> None:
    began = time.monotonic()
    got = unfetched(followed(timeout_s=0.3).get(f"{receiver.url}/to?302:/to?302:/hang"))
    assert "did not answer within 0.3 s" in got.said
    assert time.monotonic() - began < 5


def test_no_proxy_is_taken_from_the_environment(receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    assert isinstance(inner().get(receiver.url), Fetched)


@pytest.mark.parametrize("path", ["large", "bomb"])
def test_an_answer_has_a_size_counted_after_unpacking(receiver: HttpReceiver, path: str) -> None:
    assert "larger than 50,000 bytes" in unfetched(inner().get(f"{receiver.url}/{path}")).said


def test_packed_answers_are_unpacked_once_and_whole(receiver: HttpReceiver) -> None:
    got = inner().get(f"{receiver.url}/gzip")
    assert isinstance(got, Fetched)
    assert got.body == b"packed"
    assert "decompressed" in unfetched(inner().get(f"{receiver.url}/cut")).said
    assert "not asked for" in unfetched(inner().get(f"{receiver.url}/stacked")).said


@pytest.mark.parametrize("path", ["hang", "drip"])
def test_the_whole_exchange_has_a_time(receiver: HttpReceiver, path: str) -> None:
    began = time.monotonic()
    got = unfetched(inner(timeout_s=0.3).get(f"{receiver.url}/{path}"))
    assert got.said == "http://127.0.0.1/*** did not answer within 0.3 s"
    assert time.monotonic() - began < 5


def test_a_resolver_that_hangs_costs_no_more_than_that_time(receiver: HttpReceiver) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        receiver.let_go.wait(20)
        return ["127.0.0.1"]

    got = unfetched(inner(timeout_s=0.2, resolve=resolve).get(f"http://{NAME}:{receiver.port}/"))
    assert "did not answer within 0.2 s" in got.said


def test_who_is_not_there_is_said_without_the_path(receiver: HttpReceiver) -> None:
    def nobody(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host secret")

    for got in (inner().get("http://127.0.0.1:9/secret"), inner(resolve=nobody).get(f"http://{NAME}/secret")):
        said = unfetched(got).said
        assert "cannot be reached" in said
        assert "secret" not in said
