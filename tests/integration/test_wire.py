"""The wire against real sockets: an aiohttp server, and bare TCP servers for what no HTTP server would do."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest
from aiohttp import web

from app.core.values import Answer, Failure, FailureKind
from app.dialects.openai import hear
from app.wire import Heard, Outgoing, Response, Unsent, Wire

COMPLETION = b'{"id":"c1","model":"m","choices":[{"index":0,"message":{"content":"OK"},"finish_reason":"stop"}]}'
SECRET = "sk-very-secret-key-000000"


class Upstream:
    """An HTTP server on a free port, in a thread of its own. ``requests`` holds what it was sent."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.arrivals: SimpleQueue[None] = SimpleQueue()
        self.let_go = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port: int = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        self.url = f"http://127.0.0.1:{self.port}"

    async def _serve(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/{what:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        self.arrivals.put(None)
        match request.match_info["what"]:
            case "redirect":
                return web.Response(status=307, headers={"location": f"{self.url}/ok"})
            case "large":
                return web.Response(body=b"x" * 200_001)
            case "bomb":
                return web.Response(body=gzip.compress(b"\0" * 50_000_000), headers={"content-encoding": "gzip"})
            case "stacked":
                packed = gzip.compress(gzip.compress(COMPLETION))
                return web.Response(body=packed, headers={"content-encoding": "gzip, gzip"})
            case "gzip":
                return web.Response(body=gzip.compress(COMPLETION), headers={"content-encoding": "gzip"})
            case "broken-gzip":
                return web.Response(body=b"\x1f\x8b not gzip at all", headers={"content-encoding": "gzip"})
            case "hang":
                await self.let_go.wait()
                return web.Response()
            case "drip":
                response = web.StreamResponse()
                await response.prepare(request)
                with pytest.raises((ConnectionError, asyncio.CancelledError)):
                    while True:
                        await response.write(b" ")
                        await asyncio.sleep(0.02)
                return response
            case "cookie":
                return web.Response(body=COMPLETION, headers={"set-cookie": "a=b; Path=/"})
            case "limited":
                return web.Response(status=429, body=b'{"error":{"message":"slow"}}', headers={"Retry-After": "7"})
        return web.Response(body=COMPLETION)

    @staticmethod
    async def _rounds() -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    def close(self) -> None:
        async def stop() -> None:
            self.let_go.set()
            await self._rounds()  # connections that wait to be accepted would be nobody's after the clean-up
            await self._runner.cleanup()
            await self._rounds()  # and transports let go of their sockets only after they were closed

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire(max_answer_bytes=200_000)
    yield wire
    wire.close()


@contextmanager
def bare_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server for one connection, handled by ``serve``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def ask(wire: Wire, url: str, *, timeout_s: float = 5.0, **more: Any) -> Heard:
    done: SimpleQueue[tuple[str, Heard]] = SimpleQueue()
    headers = {"content-type": "application/json", "authorization": f"Bearer {SECRET}"}
    wire.start([Outgoing("t", url, headers, b"{}", timeout_s, more.pop("hear", hear), **more)], done)
    token, heard = done.get(timeout=20)
    assert token == "t"
    assert done.empty()
    assert SECRET not in repr(heard)
    return heard


def failure(heard: Heard) -> Failure:
    assert isinstance(heard.result, Failure), heard
    assert heard.result.message
    return heard.result


def test_an_answer_is_heard(wire: Wire, upstream: Upstream) -> None:
    heard = ask(wire, f"{upstream.url}/v1/chat/completions")
    assert isinstance(heard.result, Answer)
    assert heard.result.text == "OK"
    assert (heard.status, heard.sent, heard.bytes_out, heard.bytes_in) == (200, True, 2, len(COMPLETION))
    assert 0 <= heard.latency_ms < 5000
    request = upstream.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {SECRET}"
    assert request.headers["host"] == f"127.0.0.1:{upstream.port}"
    assert request.headers["content-length"] == "2"
    assert upstream.bodies == [b"{}"]


def test_every_token_of_a_batch_comes_back_once_and_connections_are_kept(wire: Wire, upstream: Upstream) -> None:
    done: SimpleQueue[tuple[int, Heard]] = SimpleQueue()
    for start in range(0, 300, 30):
        wire.start([Outgoing(n, upstream.url, {}, b"{}", 10, hear) for n in range(start, start + 30)], done)
        for _ in range(30):
            assert isinstance(done.get(timeout=10)[1].result, Answer)
    assert len(upstream.requests) == 300
    assert len({request.transport for request in upstream.requests}) <= 30


def test_the_headers_of_an_error_are_heard(wire: Wire, upstream: Upstream) -> None:
    refused = failure(ask(wire, f"{upstream.url}/limited"))
    assert (refused.kind, refused.retry_after_s, refused.status) == (FailureKind.RATE_LIMIT, 7.0, 429)


def test_a_redirect_is_refused(wire: Wire, upstream: Upstream) -> None:
    refused = failure(ask(wire, f"{upstream.url}/redirect"))
    assert refused.kind is FailureKind.SERVER_ERROR
    assert "redirect refused" in refused.message
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("what", ["large", "bomb", "stacked", "broken-gzip"])
def test_a_body_that_is_too_large_or_packed_to_harm_is_malformed(wire: Wire, upstream: Upstream, what: str) -> None:
    assert failure(ask(wire, f"{upstream.url}/{what}")).kind is FailureKind.MALFORMED


def test_a_packed_answer_is_unpacked(wire: Wire, upstream: Upstream) -> None:
    assert isinstance(ask(wire, f"{upstream.url}/gzip").result, Answer)


@pytest.mark.parametrize("what", ["hang", "drip"])
def test_the_whole_call_is_bounded_in_time(wire: Wire, upstream: Upstream, what: str) -> None:
    heard = ask(wire, f"{upstream.url}/{what}", timeout_s=0.3)
    assert failure(heard).kind is FailureKind.TIMEOUT
    assert heard.sent
    assert 250 <= heard.latency_ms < 2000


def test_a_refused_connection_was_not_sent(wire: Wire) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    heard = ask(wire, f"http://127.0.0.1:{port}")
    assert failure(heard).kind is FailureKind.SERVER_ERROR
    assert not heard.sent


def test_a_name_that_does_not_resolve_was_not_sent(wire: Wire) -> None:
    heard = ask(wire, "http://nowhere.invalid/")
    assert failure(heard).kind is FailureKind.SERVER_ERROR
    assert not heard.sent


def test_a_server_that_speaks_no_tls_was_not_sent_the_key(wire: Wire, upstream: Upstream) -> None:
    heard = ask(wire, upstream.url.replace("http:", "https:"))
    assert failure(heard).kind is FailureKind.SERVER_ERROR
    assert not heard.sent
    assert upstream.requests == []


def _read_request(connection: socket.socket) -> None:
    while b"{}" not in connection.recv(65536):
        pass


def _reset(connection: socket.socket) -> None:
    _read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def _hang_up(connection: socket.socket) -> None:
    _read_request(connection)


def _cut(connection: socket.socket) -> None:
    _read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n" + COMPLETION)


def _babble(connection: socket.socket) -> None:
    _read_request(connection)
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


@pytest.mark.parametrize("serve", [_reset, _hang_up, _cut, _babble])
def test_a_broken_connection_is_a_server_error_that_was_sent(
    wire: Wire, serve: Callable[[socket.socket], None]
) -> None:
    with bare_server(serve) as port:
        heard = ask(wire, f"http://127.0.0.1:{port}")
    assert failure(heard).kind is FailureKind.SERVER_ERROR
    assert heard.sent


def test_a_stale_call_is_not_made(wire: Wire, upstream: Upstream) -> None:
    heard = ask(wire, upstream.url, not_after=time.monotonic() - 0.001)
    assert heard.result == Unsent()
    assert not heard.sent
    assert upstream.requests == []
    assert isinstance(ask(wire, upstream.url, not_after=time.monotonic() + 5).result, Answer)


def test_a_call_that_waited_too_long_for_its_connection_is_not_made(upstream: Upstream) -> None:
    wire = Wire(max_connections=1)
    try:
        done: SimpleQueue[tuple[str, Heard]] = SimpleQueue()
        slow = Outgoing("slow", f"{upstream.url}/hang", {}, b"{}", 0.5, hear)
        late = Outgoing("late", upstream.url, {}, b"{}", 5.0, hear, not_after=time.monotonic() + 0.1)
        wire.start([slow, late], done)
        heard = dict(done.get(timeout=10) for _ in range(2))
        assert failure(heard["slow"]).kind is FailureKind.TIMEOUT
        assert (heard["late"].result, heard["late"].sent) == (Unsent(), False)
        assert len(upstream.requests) == 1
    finally:
        wire.close()


def test_a_connection_that_came_too_late_serves_the_next_call(
    monkeypatch: pytest.MonkeyPatch, wire: Wire, upstream: Upstream
) -> None:
    looked_up: list[str] = []
    look_up = socket.getaddrinfo

    def slow_look_up(host: Any, *rest: Any, **more: Any) -> Any:
        looked_up.append(host)
        time.sleep(0.2)
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow_look_up)
    url = f"http://localhost:{upstream.port}"
    heard = ask(wire, url, not_after=time.monotonic() + 0.1)
    assert (heard.result, heard.sent) == (Unsent(), False)
    assert upstream.requests == []
    assert isinstance(ask(wire, url, not_after=time.monotonic() + 0.1).result, Answer)
    assert looked_up == ["localhost"]


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    wire = Wire()
    try:
        assert isinstance(ask(wire, upstream.url).result, Answer)
    finally:
        wire.close()


def test_no_cookie_is_kept(wire: Wire, upstream: Upstream) -> None:
    ask(wire, f"{upstream.url}/cookie")
    ask(wire, f"{upstream.url}/cookie")
    assert "cookie" not in upstream.requests[1].headers


@pytest.mark.parametrize(
    "url", ["", "not a url", "ftp://127.0.0.1/x", "http://", "http://[::1", "http://127.0.0.1:99999"]
)
def test_a_bad_address_is_a_failure_like_any(wire: Wire, url: str) -> None:
    heard = ask(wire, url)
    assert isinstance(heard.result, Failure)
    assert not heard.sent


def test_a_header_that_cannot_be_sent_does_not_leak(wire: Wire, upstream: Upstream) -> None:
    done: SimpleQueue[tuple[int, Heard]] = SimpleQueue()
    wire.start([Outgoing(1, upstream.url, {"authorization": f"Bearer {SECRET}\r\nx: y"}, b"{}", 5, hear)], done)
    heard = done.get(timeout=10)[1]
    assert failure(heard).kind is FailureKind.INVALID_REQUEST
    assert SECRET not in repr(heard)


def test_a_bug_in_hearing_still_brings_the_token_back(wire: Wire, upstream: Upstream) -> None:
    def broken(status: int, headers: Any, body: bytes) -> Answer:
        raise KeyError(SECRET)

    assert failure(ask(wire, upstream.url, hear=broken)).kind is FailureKind.MALFORMED


def test_post_serves_any_loop(wire: Wire, upstream: Upstream) -> None:
    async def call() -> Response | Failure | Unsent:
        return await wire.post(upstream.url, {}, b"{}", 5.0)

    for _ in range(2):
        response = asyncio.run(call())
        assert isinstance(response, Response)
        assert (response.status, response.body) == (200, COMPLETION)


def test_closing_answers_for_what_is_in_flight(upstream: Upstream) -> None:
    wire = Wire()
    done: SimpleQueue[tuple[int, Heard]] = SimpleQueue()
    wire.start([Outgoing(n, f"{upstream.url}/hang", {}, b"{}", 30, hear) for n in range(3)], done)
    for _ in range(3):
        upstream.arrivals.get(timeout=5)
    wire.close()
    heard = dict(done.get(timeout=5) for _ in range(3))
    assert set(heard) == {0, 1, 2}
    assert all(failure(said).kind is FailureKind.AMBIGUOUS and said.sent for said in heard.values())
    wire.close()
    with pytest.raises(RuntimeError):
        wire.start([Outgoing(4, upstream.url, {}, b"{}", 30, hear)], done)


def test_a_dropped_call_is_heard_once_as_ambiguous_and_the_others_go_on(upstream: Upstream) -> None:
    wire = Wire()
    done: SimpleQueue[tuple[int, Heard]] = SimpleQueue()
    wire.start([Outgoing(n, f"{upstream.url}/hang", {}, b"{}", 30, hear) for n in range(2)], done)
    for _ in range(2):
        upstream.arrivals.get(timeout=5)
    wire.start([Outgoing(2, upstream.url, {}, b"{}", 30, hear)], done)
    wire.drop([1, 2, 99])
    first, second = done.get(timeout=5), done.get(timeout=5)
    heard = dict([first, second])
    assert isinstance(heard[2].result, Unsent), "dropped before its first step: nothing was sent"
    assert failure(heard[1]).kind is FailureKind.AMBIGUOUS
    assert heard[1].sent, "it was on its way: the provider may count it"
    wire.drop([1, 2])
    wire.drop([0])
    assert done.get(timeout=5)[0] == 0
    assert done.empty()
    wire.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_its_own_sockets(wire: Wire, upstream: Upstream) -> None:
    assert isinstance(ask(wire, upstream.url).result, Answer)
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = isinstance(ask(wire, upstream.url).result, Answer)
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert isinstance(ask(wire, upstream.url).result, Answer)
    assert len({request.transport for request in upstream.requests}) == 2
