"""The one client for addresses that somebody gave: webhooks, feeds.

The name is resolved once, every address it has is checked, and the connection goes to a checked one and nowhere else,
so that a name that points elsewhere a moment later (DNS rebinding) gains nothing; TLS and the Host header keep the
name. No redirect is followed unless the client was made to (feeds move, webhooks do not), and then its target is looked
at as the first address was. No proxy is read from the environment, no cookie is kept; an answer has a size, counted
after decompression, and the whole exchange a time. What goes wrong is a value whose words name scheme and host and
nothing behind them: the path of a webhook is a secret.

The networks are those of the IANA special-purpose address registries (RFC 6890 and its updates).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Resolve = Callable[[str, int], Sequence[str]]
"""Host and port → addresses as text. May block; raises OSError where the name has none."""

_HEADERS = {"accept-encoding": "gzip", "user-agent": "switchyard"}
_CHUNK = 65_536

# Allowed by the setting for inner networks.
_INNER = {
    "private": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
    "loopback": ["127.0.0.0/8", "::1/128"],
    "carrier-grade NAT": ["100.64.0.0/10"],
}
# Where clouds hand out the credentials of the machine: AWS, GCP, Azure, Oracle, Alibaba. Never allowed.
_METADATA = [
    "169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32", "168.63.129.16/32",
    "192.0.0.192/32", "fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128",
]  # fmt: skip
_NEVER = {
    "link-local": ["169.254.0.0/16", "fe80::/10"],
    "unspecified": ["0.0.0.0/8", "::/128"],
    "multicast": ["224.0.0.0/4", "ff00::/8"],
    "reserved": [
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
        "fec0::/10",
    ],
}  # fmt: skip


def _networks(rows: Mapping[str, Sequence[str]]) -> list[tuple[str, Any]]:
    return [(name, ip_network(network)) for name, networks in rows.items() for network in networks]


_INNER_NETWORKS, _NEVER_NETWORKS = _networks(_INNER), _networks(_NEVER)
_METADATA_NETWORKS = [network for _, network in _networks({"metadata": _METADATA})]
_GLOBAL_V6 = ip_network("2000::/3")
_MAPPED, _NAT64, _6TO4 = ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96"), ip_network("2002::/16")

_NUMERIC = re.compile(r"(?:\d+|0[xX][0-9a-fA-F]*)")
_DOTTED = re.compile(r"(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}")
_USERINFO = re.compile(r"[^/?#]*//[^/?#]*@")
_PLAIN = re.compile(r"[^\s\x00-\x20\x7f-\x9f\\]+")


@dataclass(frozen=True, slots=True)
class Fetched:
    """``body`` is decompressed; ``headers`` look names up in any case. ``url``: where the answer came from, after
    redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""


@dataclass(frozen=True, slots=True)
class Unfetched:
    """``said`` is safe to store and show. ``refused``: the address itself will not do, now or later."""

    said: str
    refused: bool = False


class _RefusedError(Exception):
    """The address may not be called; the text says why."""


@dataclass(frozen=True, slots=True)
class _Moved:
    """A redirect. ``to`` is as the answer has it."""

    status: int
    to: str


_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_CARRIED = frozenset({"accept", "accept-language", "if-modified-since", "if-none-match"})
"""Headers that go along to another host; whatever else a caller gave was meant for the first."""


def shown(url: str) -> str:
    """Scheme and host, for people; whatever else stands in the URL may be a secret."""
    try:
        parsed = URL(url)
    except (ValueError, TypeError):
        return "the address"
    return f"{parsed.scheme}://{parsed.host}/***" if parsed.host else "the address"


def why_refused(address: str, *, allow_private: bool) -> str | None:
    """What is wrong with an address as a target, in a word or two; None where it may be called."""
    ip = ip_address(address)
    seen = _meant(ip)
    for each in {ip, seen}:
        if any(each in network for network in _METADATA_NETWORKS):
            return "a cloud's metadata service"
    for name, network in _NEVER_NETWORKS:
        if ip in network or seen in network:
            return name
    for name, network in _INNER_NETWORKS:
        if seen in network:
            return None if allow_private else name
    if isinstance(seen, IPv6Address) and seen not in _GLOBAL_V6:
        return "reserved"
    return None


def _meant(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4). Teredo is reserved as a whole."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _MAPPED or ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return IPv4Address(int(ip) >> 80 & 0xFFFFFFFF) if ip in _6TO4 else IPv6Address(int(ip))


def _system_resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in found]


class _Pinned(AbstractResolver):
    """Knows one name and its checked addresses."""

    def __init__(self, host: str, addresses: Sequence[str]) -> None:
        self._host = host
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host != self._host:
            raise OSError("another name was asked for than the one that was checked")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        return


class Fetcher:
    """``allow_private``: private, loopback and carrier-grade NAT addresses too; metadata services never.

    ``timeout_s`` bounds the whole exchange, from the name to the last byte, over all redirects. ``redirects``: how many
    of them a GET follows.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        allow_http: bool = False,
        timeout_s: float = 15.0,
        max_bytes: int = 1_000_000,
        redirects: int = 0,
        resolve: Resolve = _system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._allow_http = allow_http
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._redirects = redirects
        self._resolve = resolve
        self._tls = tls

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Fetched | Unfetched:
        """For threads without an event loop, as ``post``; with one: ``send``."""
        return asyncio.run(self.send("GET", url, headers or {}))

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Fetched | Unfetched:
        return asyncio.run(self.send("POST", url, headers or {}, body))

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Fetched | Unfetched:
        where = shown(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._followed(method, self._parsed(url), headers, body)
        except _RefusedError as error:
            return Unfetched(f"{where} is refused: {error}", refused=True)
        except TimeoutError:
            return Unfetched(f"{where} did not answer within {self._timeout_s:g} s")
        except zlib.error:
            return Unfetched(f"{where}: the answer cannot be decompressed")
        except (OSError, aiohttp.ClientError, ValueError) as error:
            # Their texts may hold the URL; the type alone says what a person needs.
            return Unfetched(f"{where} cannot be reached: {type(error).__name__}")

    def _parsed(self, url: str) -> URL:
        """One parser for what is checked and what is called: two would differ on something."""
        if not _PLAIN.fullmatch(url):
            raise _RefusedError("it holds blanks, control characters or backslashes")
        try:
            parsed = URL(url)
            host, port = parsed.raw_host, parsed.port
        except (ValueError, TypeError):
            raise _RefusedError("it is no URL") from None
        if parsed.scheme != "https" and not (parsed.scheme == "http" and self._allow_http):
            raise _RefusedError("only https is called" if not self._allow_http else "only http and https are called")
        if not host or not port or "%" in host:
            raise _RefusedError("it names no host")
        if parsed.raw_user is not None or _USERINFO.match(url):
            raise _RefusedError("it holds a user or a password")
        if _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]) and not _DOTTED.fullmatch(host):
            raise _RefusedError("an IPv4 address is written as four decimal numbers")
        return parsed

    async def _followed(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> Fetched:
        left = self._redirects if method == "GET" else 0
        got = await self._exchange(method, url, headers, body)
        while isinstance(got, _Moved):
            if got.status not in _FOLLOWED or not left:
                why = "more redirects than are followed" if self._redirects else "a redirect"
                raise _RefusedError(f"it answers with {why} (HTTP {got.status}); give the final address")
            left -= 1
            target = self._redirected(url, got.to)
            if target.origin() != url.origin():
                headers = {name: value for name, value in headers.items() if name.lower() in _CARRIED}
            url = target
            try:
                got = await self._exchange(method, url, headers, body)
            except _RefusedError as error:
                raise _RefusedError(f"it redirects, and there: {error}") from None
        return got

    def _redirected(self, url: URL, to: str) -> URL:
        """A redirect's target by the rules for the first address."""
        try:
            if not _PLAIN.fullmatch(to):
                raise _RefusedError("it holds blanks, control characters or backslashes")
            return self._parsed(str(url.join(URL(to))))
        except _RefusedError as error:
            raise _RefusedError(f"it redirects to an address that will not do: {error}") from None
        except (ValueError, TypeError):
            raise _RefusedError("it redirects to what is no URL") from None

    async def _exchange(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> Fetched | _Moved:
        assert url.raw_host is not None and url.port is not None
        addresses = await self._checked(url.raw_host, url.port)
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(url.raw_host, addresses),
            use_dns_cache=False,
            force_close=True,
            ssl=self._trust(),
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            ) as session,
            session.request(method, url, headers={**_HEADERS, **headers}, data=body, allow_redirects=False) as response,
        ):
            if 300 <= response.status < 400 and response.status != 304:
                return _Moved(response.status, response.headers.get("location", ""))
            return Fetched(response.status, response.headers.copy(), await self._read(response), str(url))

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)  # the same authorities as the wire's
        return self._tls

    async def _checked(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of them fit to be called."""
        try:
            found: Sequence[str] = [str(ip_address(host))]
        except ValueError:
            found = await _in_a_thread(lambda: self._resolve(host, port))
        if not found:
            raise OSError("no address")
        for address in found:
            wrong = why_refused(address, allow_private=self._allow_private)
            if wrong is not None:
                raise _RefusedError(f"its address is not a public one ({wrong})")
        return list(dict.fromkeys(found))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        coding = ",".join(response.headers.getall("content-encoding", [])).strip().lower()
        if coding not in ("", "identity", "gzip"):
            # Codings stacked on each other multiply.
            raise _RefusedError("its answer is packed in a way that was not asked for")
        unpack = zlib.decompressobj(wbits=31) if coding == "gzip" else None
        parts: list[bytes] = []
        room = self._max_bytes + 1
        async for chunk in response.content.iter_chunked(_CHUNK):
            part = unpack.decompress(chunk, room) if unpack else chunk
            parts.append(part)
            room -= len(part)
            if room <= 0:
                raise _RefusedError(f"its answer is larger than {self._max_bytes:,} bytes")
        if unpack is not None and parts and not unpack.eof:
            raise zlib.error("cut off")
        return b"".join(parts)


async def _in_a_thread(work: Callable[[], Sequence[str]]) -> Sequence[str]:
    """In a daemon thread of its own: a resolver that hangs holds up neither the time cap nor the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Sequence[str]] = loop.create_future()

    def tell(settle: Callable[[Any], None], what: Any) -> None:
        if not future.done():
            settle(what)

    def run() -> None:
        try:
            found = work()
        except Exception as error:
            outcome: tuple[Callable[[Any], None], Any] = (future.set_exception, error)
        else:
            outcome = (future.set_result, found)
        with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(tell, *outcome)

    threading.Thread(target=run, name="resolve", daemon=True).start()
    return await future
