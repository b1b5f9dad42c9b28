"""The life of one call at a provider: the door, the work, the answer, the books.

An outage meets a call before the door does. From the door on the call is in flight until its answer begins to leave:
it is booked and its place given up *before* the last byte is sent, so that a client that has read its answer finds it
in the books.

A client that leaves does not stop the work: the answer is made, billed, and marked ``client_gone``. Only a ``hang``,
which makes no answer, ends with its client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import orjson
from aiohttp import web

from app.simulator.answers import is_ping
from app.simulator.ask import Ask, BadRequest, Reply, Stamp, compose
from app.simulator.books import UNREADABLE, key_mark
from app.simulator.call import Call
from app.simulator.door import fault_at_the_door
from app.simulator.fleet import Provider
from app.simulator.heading import Target
from app.simulator.house import House, tightest
from app.simulator.manners import Fault, Headers
from app.simulator.protocols import Speech
from app.simulator.weather import Event, roll

_JSON = "application/json"
_THOUGHTS = "The question is clear. Weigh what speaks for each possibility, then choose the one that fits best."
_HTML = "<html>\n<head><title>{title}</title></head>\n<body><center><h1>{title}</h1></center></body>\n</html>\n"
_LOOK_S = 0.05
"""How often a hanging call looks whether its client is still there."""


async def serve_call(
    house: House, provider: Provider, request: web.BaseRequest, arrived: float, speech: Speech, target: Target
) -> web.StreamResponse:
    """Answer one call. ``arrived``: monotonic seconds at which its head had been read."""
    wall = time.time()
    body = await request.read()
    house.keep(provider.name, body)
    key = speech.key_of(request.headers)
    call = Call(house, house.books, provider, request, speech, target, arrived, wall, key, key_mark(key))
    ask: Ask | BadRequest
    try:
        ask = speech.read(body, target)
        call.model = ask.model
        call.prompt_tokens = ask.prompt_tokens
    except BadRequest as error:
        ask = error
    call.known = provider.models.get(call.model)
    call.ordinal = house.next_ordinal(provider.name, call.model)
    if call.strike("outage"):
        call.book(0)
        return _hang_up(request)
    call.scopes = house.scopes(provider, call.known, arrived, call.mark)
    for scope in call.scopes:
        scope.meter.arrive(arrived)
    fault = fault_at_the_door(call, ask)
    if fault is not None or isinstance(ask, BadRequest):
        return _refuse(call, fault or Fault("invalid", 400))
    call.entries = [scope.meter.admit(arrived, wall, call.prompt_tokens, scope.limits) for scope in call.scopes]
    try:
        return await _work(call, ask)
    finally:
        call.book(0)  # only where the work was broken off: the process is stopping, or a fault of ours


def _headers(call: Call, kind: str, now: float) -> Headers:
    """Content type, limits as they stand, and the call's id, in the vendor's words."""
    vendor = call.house.vendor(call.provider)
    headers = vendor.standing(tightest(call.scopes, now, call.wall), call.wall)
    headers["content-type"] = kind
    headers[vendor.id_header] = call.id
    return headers


def _refuse(call: Call, fault: Fault) -> web.Response:
    vendor = call.house.vendor(call.provider)
    headers = _headers(call, _JSON, call.arrived)
    if fault.refusal is not None:
        headers |= vendor.refused(fault.refusal, call.wall)
    body = vendor.body(replace(fault, request_id=call.id))
    status = vendor.status(fault)
    call.book(status)
    return web.Response(status=status, body=orjson.dumps(body), headers=headers)


async def _work(call: Call, ask: Ask) -> web.StreamResponse:
    """Think for as long as this call takes, then answer, well or badly."""
    latency_s = call.house.latency_s(call.provider.name, call.model, call.arrived, call.ordinal)
    loading_s = call.house.loading_s(call.provider.name, call.model, call.arrived)
    if loading_s:
        call.effect = "cold_start"
        latency_s += loading_s
    fault = _fault_at_work(call)
    hang = call.strike("hang") if fault is None else None
    if hang is not None and not await _hang(call, hang.params["hang_s"]):
        call.book(0)
        return _hang_up(call.request)
    await asyncio.sleep(max(0.0, call.arrived + latency_s - time.monotonic()))
    if fault is not None:
        return _refuse(call, fault) if isinstance(fault, Fault) else _page(call, int(fault.params["status"]))
    spoilt = call.strike("wrong_json")
    form = spoilt.params["form"] if spoilt else ""
    if form == "html":
        # A proxy in front of the provider answered: nothing was generated, nothing is billed.
        call.book(200, flags=UNREADABLE)
        return web.Response(text=_HTML.format(title="Welcome"), content_type="text/html")
    reply = _reply(call, ask, empty=form == "empty_content")
    kind, pieces = _written(call, ask, reply, hollow=form == "empty_choices")
    if form == "truncated":
        whole = b"".join(pieces)
        pieces = [whole[: len(whole) // 2]]
    return await _send(call, reply, kind, pieces, streams=ask.stream, flags=UNREADABLE if form == "truncated" else 0)


def _fault_at_work(call: Call) -> Fault | Event | None:
    """Why the work comes to nothing; an event where it is a proxy that says so, with a page."""
    if call.strike("overloaded"):
        return Fault("overloaded", 503, call.model)
    error = call.strike("error")
    if error is None or error.params["html"]:
        return error
    return Fault("server", int(error.params["status"]), call.model)


def _written(call: Call, ask: Ask, reply: Reply, *, hollow: bool) -> tuple[str, Sequence[bytes]]:
    """The answer as it goes onto the wire: its content type and its pieces."""
    vendor = call.house.vendor(call.provider)
    stamp = Stamp(len(call.books) + 1, call.wall)
    if ask.stream:
        return call.speech.stream(ask, reply, stamp, vendor)
    data = call.speech.write(ask, reply, stamp, vendor)
    if hollow:
        call.speech.hollow(data)
    return _JSON, (orjson.dumps(data),)


def _hang_up(request: web.BaseRequest) -> web.Response:
    """Close the connection without a word; the response returned has nowhere to go."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _hang(call: Call, hang_s: float | None) -> bool:
    """Say nothing. True: the time is up and the client still there."""
    until = float("inf") if hang_s is None else call.arrived + hang_s
    while not call.client_gone:
        left_s = until - time.monotonic()
        if left_s <= 0:
            return True
        await asyncio.sleep(min(_LOOK_S, left_s))
    return False


def _page(call: Call, status: int) -> web.Response:
    call.book(status)
    titles = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}
    title = f"{status} {titles.get(status, 'Overloaded')}"
    return web.Response(status=status, text=_HTML.format(title=title), content_type="text/html")


def _reply(call: Call, ask: Ask, *, empty: bool) -> Reply:
    reply = _said(call, ask, empty=empty)
    cached = call.strike("prompt_cache")
    return replace(reply, cached_tokens=int(cached.params["share"] * reply.prompt_tokens)) if cached else reply


def _said(call: Call, ask: Ask, *, empty: bool) -> Reply:
    if call.filtered:
        return replace(compose(ask, "", ""), filtered=True)
    leak = call.strike("leak_reasoning")
    reasons = call.known is not None and call.known.reasoning
    thoughts = _THOUGHTS if leak or reasons else ""
    if is_ping(ask):
        # A ping's few tokens would go on long thoughts; reasoning models are known to leak even here.
        return compose(ask, "Easy." if thoughts else "", "OK", leak=bool(thoughts))
    text = "" if empty else call.house.answers.text(ask)
    unclosed = leak is not None and leak.params["unclosed"] > 0 and _unclosed(call, leak)
    return compose(ask, thoughts, text, leak=leak is not None, unclosed=unclosed)


def _unclosed(call: Call, leak: Event) -> bool:
    chance = roll(call.house.seed, leak.number, "unclosed", call.provider.name, call.model, call.ordinal)
    return chance < float(leak.params["unclosed"])


async def _send(
    call: Call, reply: Reply, kind: str, pieces: Sequence[bytes], *, streams: bool, flags: int
) -> web.StreamResponse:
    cut = call.strike("cut")
    slow = None if cut else call.strike("slow_body")
    if cut is None and slow is None and not streams:
        call.book(200, reply, flags)
        return web.Response(body=pieces[0], headers=_headers(call, kind, time.monotonic()))
    response = web.StreamResponse(headers=_headers(call, kind, call.arrived))
    size = sum(map(len, pieces))
    if streams:
        response.enable_chunked_encoding()
    else:
        response.content_length = size
    if cut is not None:
        call.book(200, reply, flags | UNREADABLE)
        await response.prepare(call.request)
        await response.write(b"".join(pieces)[: size // 2])
        if call.request.transport is not None:
            call.request.transport.close()
        return response
    total_s = 0.0
    if slow is not None:
        total_s = slow.params["total_ms"] / 1000
        if not streams:
            pieces = _split(pieces[0], max(2, int(slow.params["pieces"])))
    await _drip(call, response, pieces, total_s, reply, flags)
    return response


def _split(body: bytes, pieces: int) -> list[bytes]:
    size = -(-len(body) // pieces)
    return [body[start : start + size] for start in range(0, len(body), size)]


async def _drip(
    call: Call, response: web.StreamResponse, pieces: Sequence[bytes], total_s: float, reply: Reply, flags: int
) -> None:
    """Send the pieces over ``total_s``; the call is booked before the last of them."""
    try:
        await response.prepare(call.request)
        for place, piece in enumerate(pieces, 1):
            await asyncio.sleep(total_s / len(pieces))
            if place == len(pieces):
                call.book(200, reply, flags)
            await response.write(piece)
    except ConnectionError:
        call.book(200, reply, flags)
