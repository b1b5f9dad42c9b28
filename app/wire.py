"""The only socket to providers: one event loop and one HTTP client a process, in a thread of their own.

httpx over aiohttp, its transport called directly: httpx's own makes a tenth of the calls a second. Nothing here
retries, follows a redirect, keeps a cookie or reads a proxy from the environment. Answers are read up to a size,
counted after decompression, and within a time. Every exception becomes a Failure whose message names the exception's
type and nothing of its text: the text may hold a URL or a header with a key.

Warning: a connection that the provider closes just as a call is put on it is a ``server_error`` like any reset:
nobody can tell whether the call was read. Idle connections are dropped after 15 s to make that rare.

Drills strike here: a layer that is handed in may put a fault in the place of a call's answer. What comes of it takes
the same way as the real thing, through the same ``hear``.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from queue import SimpleQueue
from typing import Any, Protocol

import aiohttp
import httpx
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict

from app.core.drills import DRILL, DRILL_SLOW, Fault, Instead, Late, Reset, Silence
from app.core.values import Answer, Failure, FailureKind

_HEADERS = {"accept-encoding": "gzip, deflate", "user-agent": "switchyard"}
_IDLE_S = 15.0
_CLOSE_S = 5.0
# A drilled refusal takes about as long as a quick one over the net.
_CANNED_S = 0.03

Hear = Callable[[int, Mapping[str, str], bytes], Answer | Failure]


@dataclass(frozen=True, slots=True)
class Unsent:
    """The call was not made: its reservation had grown stale before there was a connection to make it on."""


@dataclass(frozen=True, slots=True)
class Response:
    """``body`` is decompressed; ``headers`` look names up in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One call. ``token`` comes back with what was heard; ``timeout_s`` bounds the whole call, body included.

    ``not_after`` (``time.monotonic()``): the request leaves by then or not at all. ``deployment`` and ``protocol`` are
    for the fault layer.
    """

    token: Any
    url: str
    headers: dict[str, str]
    body: bytes
    timeout_s: float
    hear: Hear
    not_after: float | None = None
    deployment: str = ""
    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """``sent``: the request may have reached the provider, who may count and charge it.

    ``latency_ms`` runs from the start of the call, waiting for a connection included. ``flags``: what a drill did.
    ``headers``: of the response, where there was one.
    """

    result: Answer | Failure | Unsent
    latency_ms: int
    status: int | None = None
    sent: bool = True
    bytes_out: int = 0
    bytes_in: int = 0
    flags: tuple[str, ...] = ()
    headers: Mapping[str, str] | None = None


class FaultLayer(Protocol):
    """What strikes calls. Asked in the thread that starts them; must neither raise nor take long."""

    def befalling(self, call: Outgoing, /) -> Fault | None: ...


@dataclass(slots=True)
class _Flight:
    not_after: float | None
    sent: bool = False


class _StaleError(Exception):
    """The connection came too late for its reservation."""


_flight: ContextVar[_Flight] = ContextVar("flight")


class _Connector(aiohttp.TCPConnector):
    """Looks at the clock between having a connection and writing on it: connecting may take seconds.

    A connection that came too late goes into the pool, unused, so the next try finds it open.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        flight = _flight.get()
        if flight.not_after is not None and time.monotonic() > flight.not_after:
            connection.release()
            raise _StaleError
        flight.sent = True
        return connection


class _Post(httpx.Request):
    """What the transport reads of a request, ready made: httpx's own preparation is a fifth of a call's cost.

    The headers are aiohttp's kind of mapping, which it takes as it is; length and host it adds itself.
    """

    def __init__(self, url: httpx.URL, headers: CIMultiDict[str], body: bytes, connect_timeout_s: float) -> None:
        self.method = "POST"
        self.url = url
        self.headers = headers  # type: ignore[assignment]
        self.extensions = {"timeout": {"connect": connect_timeout_s}}
        self._body = body

    @property
    def content(self) -> bytes:
        return self._body


class Wire:
    """Threads hand it calls and get what was heard on a queue. The loop starts at the first call, after any fork."""

    def __init__(
        self,
        *,
        max_answer_bytes: int = 2_000_000,
        connect_timeout_s: float = 10.0,
        max_connections: int = 512,
        faults: FaultLayer | None = None,
    ) -> None:
        self._max_answer_bytes = max_answer_bytes
        self._connect_timeout_s = connect_timeout_s
        self._max_connections = max_connections
        self._faults = faults
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._transport: AiohttpTransport | None = None
        self._tasks: dict[asyncio.Task[None], Any] = {}
        self._closed = False
        _wires.add(self)

    async def post(
        self, url: str, headers: dict[str, str], body: bytes, timeout_s: float, *, not_after: float | None = None
    ) -> Response | Failure | Unsent:
        """One call, from any event loop."""
        flight = _Flight(not_after)
        call = self._exchange(url, headers, body, timeout_s, flight)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._running_loop()))

    def start(self, calls: Iterable[Outgoing], done: SimpleQueue[Any]) -> None:
        """Begin all ``calls``; each puts ``(token, Heard)`` on ``done`` exactly once, as it completes.

        ``hear`` runs in the loop's thread. One wake-up of the loop for all of them. Raises RuntimeError once closed.
        """
        faults = self._faults
        batch = [(call, None if faults is None else faults.befalling(call)) for call in calls]
        if batch:
            self._running_loop().call_soon_threadsafe(self._begin, batch, done)

    def drop(self, tokens: Collection[Any]) -> None:
        """Hang up on these calls, wherever they are; each is heard as ``ambiguous``, if it has not been heard yet."""
        loop = self._loop
        if loop is not None and tokens:
            loop.call_soon_threadsafe(self._drop, frozenset(tokens))

    def _drop(self, tokens: frozenset[Any]) -> None:
        for task, token in list(self._tasks.items()):
            if token in tokens:
                task.cancel()

    def close(self) -> None:
        """Drop what is in flight (heard as ``ambiguous``), close the connections, end the thread."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._hang_up(), loop).result(_CLOSE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_CLOSE_S)
        loop.close()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is not None:
            return loop
        with self._lock:
            if self._closed:
                raise RuntimeError("the wire is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
                self._thread.start()
            return self._loop

    def _forget(self) -> None:
        """In a forked child: the parent's loop, thread and sockets are not ours. Kept alive, never touched."""
        _inherited.append((self._loop, self._thread, self._transport, self._tasks))
        self._lock = threading.Lock()
        self._loop = self._thread = self._transport = None
        self._tasks = {}

    async def _hang_up(self) -> None:
        flying = asyncio.all_tasks() - {asyncio.current_task()}
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None
            # Sockets close in the loop's next round, after aclose has returned (docs.aiohttp.org, graceful shutdown).
            await asyncio.sleep(0)

    def _begin(self, batch: list[tuple[Outgoing, Fault | None]], done: SimpleQueue[Any]) -> None:
        for call, fault in batch:
            task = asyncio.get_running_loop().create_task(self._run(call, fault, done))
            self._tasks[task] = call.token
            task.add_done_callback(partial(self._ended, done))

    def _ended(self, done: SimpleQueue[Any], task: asyncio.Task[None]) -> None:
        token = self._tasks.pop(task, None)
        if task.cancelled():  # before its first step: nothing was sent, and nobody else will answer for it
            done.put((token, Heard(Unsent(), 0, sent=False)))

    async def _run(self, call: Outgoing, fault: Fault | None, done: SimpleQueue[Any]) -> None:
        started = time.monotonic()
        flight = _Flight(call.not_after)
        status, bytes_in, headers = None, 0, None
        flags: tuple[str, ...] = ()
        result: Answer | Failure | Unsent
        try:
            if fault is None:
                got = await self._exchange(call.url, call.headers, call.body, call.timeout_s, flight)
            else:
                got, flags = await self._struck(call, fault, flight)
            if isinstance(got, Response):
                status, bytes_in, headers = got.status, len(got.body), got.headers
                result = call.hear(got.status, got.headers, got.body)
            else:
                result = got
        except asyncio.CancelledError:
            result = Failure(FailureKind.AMBIGUOUS, "the call was dropped in flight")
        except Exception as error:  # a bug in hear: the caller waits for every token
            result = Failure(FailureKind.MALFORMED, f"reading the answer failed: {type(error).__name__}", status)
        latency_ms = round((time.monotonic() - started) * 1000)
        heard = Heard(result, latency_ms, status, flight.sent, len(call.body), bytes_in, flags, headers)
        done.put((call.token, heard))

    async def _struck(
        self, call: Outgoing, fault: Fault, flight: _Flight
    ) -> tuple[Response | Failure | Unsent, tuple[str, ...]]:
        """What comes of a call under a drill, with its flags. As with a real one, a stale reservation is not used."""
        if flight.not_after is not None and time.monotonic() > flight.not_after:
            return Unsent(), ()
        match fault:
            case Late(by_s) if by_s < call.timeout_s:
                got = await self._exchange(call.url, call.headers, call.body, call.timeout_s - by_s, flight)
                if isinstance(got, Unsent):
                    return got, ()
                await asyncio.sleep(by_s)
                return got, (DRILL_SLOW,)
            case Instead(status, headers, body):
                await asyncio.sleep(_CANNED_S)
                return Response(status, headers, body, round(_CANNED_S * 1000)), (DRILL,)
            case Reset():
                await asyncio.sleep(_CANNED_S)
                return _failed(ConnectionResetError(), sent=True), (DRILL,)
            case Silence(float() as after_s) if after_s < call.timeout_s:
                await asyncio.sleep(after_s)
            case _:
                await asyncio.sleep(call.timeout_s)
        return _failed(TimeoutError(), sent=True), (DRILL,)

    async def _exchange(
        self, url: str, headers: dict[str, str], body: bytes, timeout_s: float, flight: _Flight
    ) -> Response | Failure | Unsent:
        started = time.monotonic()
        if flight.not_after is not None and started > flight.not_after:
            return Unsent()
        _flight.set(flight)
        try:
            async with asyncio.timeout(timeout_s):
                request = _Post(_parsed(url), CIMultiDict({**_HEADERS, **headers}), body, self._connect_timeout_s)
                response = await self._open_transport().handle_async_request(request)
                try:
                    content = await self._read(response)
                finally:
                    await response.stream.aclose()  # type: ignore[union-attr]
        except _StaleError:
            return Unsent()
        except Exception as error:
            return _failed(error, flight.sent)
        if isinstance(content, Failure):
            return content
        return Response(response.status_code, response.headers, content, round((time.monotonic() - started) * 1000))

    async def _read(self, response: httpx.Response) -> bytes | Failure:
        status = response.status_code
        if 300 <= status < 400:
            return Failure(FailureKind.SERVER_ERROR, f"HTTP {status}: redirect refused", status)
        coding = b",".join(value for name, value in response.headers.raw if name.lower() == b"content-encoding")
        if coding.strip().lower() not in (b"", b"identity", b"gzip", b"deflate"):
            # Codings stacked on each other multiply: one chunk of "gzip, gzip" could unpack to gigabytes.
            return Failure(FailureKind.MALFORMED, "the answer's content-encoding was not asked for", status)
        chunks: list[bytes] = []
        size = 0
        plain = coding in (b"", b"identity")
        async for chunk in response.stream if plain else response.aiter_bytes():  # type: ignore[union-attr]
            size += len(chunk)
            if size > self._max_answer_bytes:
                return Failure(
                    FailureKind.MALFORMED, f"the answer is larger than {self._max_answer_bytes} bytes", status
                )
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _open_transport(self) -> AiohttpTransport:
        if self._transport is None:
            tls = httpx.create_ssl_context(trust_env=False)
            connector = _Connector(limit=self._max_connections, keepalive_timeout=_IDLE_S, ssl=tls, ttl_dns_cache=60)
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
            self._transport = AiohttpTransport(verify=tls, trust_env=False, client=session)
        return self._transport


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def _failed(error: Exception, sent: bool) -> Failure:
    """httpx_aiohttp calls a dropped connection a ConnectTimeout, so the exception beneath is what counts."""
    cause = error.__cause__ if isinstance(error, httpx.TransportError) and error.__cause__ else error
    name = type(cause).__name__
    if isinstance(cause, TimeoutError):
        what = "no answer in time" if sent else "no connection in time"
        return Failure(FailureKind.TIMEOUT, f"{what}: {name}")
    if isinstance(cause, httpx.DecodingError):
        return Failure(FailureKind.MALFORMED, f"the answer cannot be decompressed: {name}")
    unusable = isinstance(cause, (ValueError, httpx.InvalidURL, httpx.UnsupportedProtocol))
    if unusable and not isinstance(cause, OSError):  # a certificate that is refused is both
        return Failure(FailureKind.INVALID_REQUEST, f"the request cannot be sent: {name}")
    return Failure(FailureKind.SERVER_ERROR, f"{'the connection broke' if sent else 'no connection'}: {name}")


_wires: weakref.WeakSet[Wire] = weakref.WeakSet()
_inherited: list[Any] = []


def _after_fork_in_child() -> None:
    for wire in list(_wires):
        wire._forget()


os.register_at_fork(after_in_child=_after_fork_in_child)
