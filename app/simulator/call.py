"""The life of one call at a provider: the door, the work, the answer, the books.

Order at the door: outage, key, body, model, billing, day's quota, refusals out of the blue, length, limits. Whoever is
turned away consumes nothing. From then on the call is in flight until its answer begins to leave: it is booked and its
place given up *before* the last byte is sent, so that a client that has read its answer finds it in the books.

A client that leaves does not stop the work: the answer is made, billed, and marked ``client_gone``. Only a ``hang``,
which makes no answer, ends with its client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from app.simulator import openai_chat
from app.simulator.answers import is_ping
from app.simulator.ask import Ask, BadRequest, Reply, compose
from app.simulator.books import CLIENT_GONE, UNREADABLE, Books, key_mark
from app.simulator.fleet import Model, Provider
from app.simulator.house import House, Scope, tightest
from app.simulator.meter import Entry, Refusal
from app.simulator.vendors import Fault
from app.simulator.weather import Event, Params, roll

BAD_KEY = "bad-key"
"""The one key that every provider refuses."""

_THOUGHTS = "The question is clear. Weigh what speaks for each possibility, then choose the one that fits best."
_HTML = "<html>\n<head><title>{title}</title></head>\n<body><center><h1>{title}</h1></center></body>\n</html>\n"
_LOOK_S = 0.05
"""How often a hanging call looks whether its client is still there."""


@dataclass(slots=True)
class Call:
    house: House
    books: Books
    provider: Provider
    request: web.BaseRequest
    arrived: float
    """Monotonic seconds."""
    wall: float
    key: str = ""
    model: str = ""
    known: Model | None = None
    ordinal: int = 0
    prompt_tokens: int = 0
    effect: str = ""
    scopes: list[Scope] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    booked: bool = False

    def strike(self, kind: str) -> Event | None:
        if kind not in self.house.weather.at(self.provider.name, self.model):
            return None
        event = self.house.weather.strike(kind, self.provider.name, self.model, self.arrived, self.ordinal)
        if event is not None:
            self.effect = kind
        return event

    @property
    def client_gone(self) -> bool:
        transport = self.request.transport
        return transport is None or transport.is_closing()

    def book(self, status: int, reply: Reply | None = None, flags: int = 0) -> None:
        """Give the call's place up and write it down. ``reply``: what is billed. Only the first time counts."""
        if self.booked:
            return
        self.booked = True
        for scope, entry in zip(self.scopes, self.entries, strict=False):
            scope.meter.settle(entry, reply.completion_tokens if reply else None)
        money = self.known.price.micro(reply.prompt_tokens, reply.completion_tokens) if reply and self.known else 0
        self.books.record(
            arrived_at=self.wall,
            provider=self.provider.name,
            model=self.model,
            key=key_mark(self.key),
            status=status,
            prompt_tokens=reply.prompt_tokens if reply else 0,
            completion_tokens=reply.completion_tokens if reply else 0,
            reasoning_tokens=reply.reasoning_tokens if reply else 0,
            money_micro=money,
            request_ref=self.request.headers.get("x-request-id", ""),
            flags=flags | (CLIENT_GONE if self.client_gone else 0),
            effect=self.effect,
        )


async def serve_call(house: House, provider: Provider, request: web.BaseRequest, arrived: float) -> web.StreamResponse:
    """Answer one chat completion. ``arrived``: monotonic seconds at which its head had been read."""
    wall = time.time()
    body = await request.read()
    call = Call(house, house.books, provider, request, arrived, wall, key=_bearer(request))
    ask: Ask | BadRequest
    try:
        ask = openai_chat.read(body)
        call.model = ask.model
        call.prompt_tokens = ask.prompt_tokens
    except BadRequest as error:
        ask = error
    call.known = provider.models.get(call.model)
    call.ordinal = house.next_ordinal(provider.name, call.model)
    if call.strike("outage"):
        call.book(0)
        return _hang_up(request)
    call.scopes = house.scopes(provider, call.known, arrived)
    for scope in call.scopes:
        scope.meter.arrive(arrived)
    fault = _at_the_door(call, ask)
    if fault is not None or isinstance(ask, BadRequest):
        return _refuse(call, fault or Fault("invalid", 400))
    call.entries = [scope.meter.admit(arrived, wall, call.prompt_tokens, scope.limits) for scope in call.scopes]
    try:
        return await _work(call, ask)
    finally:
        call.book(0)  # only where the work was broken off: the process is stopping, or a fault of ours


def _bearer(request: web.BaseRequest) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _at_the_door(call: Call, ask: Ask | BadRequest) -> Fault | None:
    model = call.model
    if (call.provider.needs_key and not call.key) or call.key == BAD_KEY or call.strike("auth"):
        return Fault("auth", 401)
    if isinstance(ask, BadRequest):
        return Fault("invalid", 400, message=str(ask), param=ask.param)
    if call.known is None or call.strike("deprecated"):
        return Fault("model", 404, model, param="model")
    billing = call.strike("billing")
    if billing:
        return Fault("billing", int(billing.params["status"]), model)
    limits = [scope.limits for scope in call.scopes]
    if call.strike("quota"):
        tpd = next((limit.tpd for limit in limits if limit.tpd), 100_000)
        left_s = call.scopes[0].meter.day_left_s(call.wall)
        return Fault("limit", 429, model, refusal=Refusal("tpd", tpd, tpd, call.prompt_tokens, left_s))
    sudden = call.strike("rate_limit")
    if sudden:
        rpm = next((limit.rpm for limit in limits if limit.rpm), 30)
        return Fault("limit", 429, model, refusal=Refusal("rpm", rpm, rpm, 1, float(sudden.params["retry_after"])))
    window = call.known.context_window
    if window is not None and call.prompt_tokens > window:
        message = (
            f"This model's maximum context length is {window} tokens. However, your messages resulted in "
            f"{call.prompt_tokens} tokens. Please reduce the length of the messages."
        )
        return Fault("context", 400, model, message=message, param="messages")
    return _over_a_limit(call)


def _over_a_limit(call: Call) -> Fault | None:
    for scope in call.scopes:
        refusal = scope.meter.refusal(call.arrived, call.wall, call.prompt_tokens, scope.limits)
        if refusal is not None:
            scope.meter.refusals[refusal.rule] += 1
            call.effect = f"limit:{refusal.rule}"
            return Fault("limit", 429, call.model, refusal=refusal)
    return None


def _refuse(call: Call, fault: Fault) -> web.Response:
    vendor = call.house.vendor(call.provider.name)
    headers = vendor.standing(tightest(call.scopes, call.arrived, call.wall), call.wall)
    if fault.refusal is not None:
        headers |= vendor.refused(fault.refusal, call.wall)
    call.book(fault.status)
    return web.Response(
        status=fault.status,
        body=orjson.dumps(vendor.body(fault)),
        headers=headers,
        content_type="application/json",
    )


async def _work(call: Call, ask: Ask) -> web.StreamResponse:
    """Think for as long as this call takes, then answer, well or badly."""
    latency_s = call.house.latency_s(call.provider.name, call.model, call.arrived, call.ordinal)
    error = call.strike("error")
    hang = call.strike("hang") if error is None else None
    if hang is not None and not await _hang(call, hang.params["hang_s"]):
        call.book(0)
        return _hang_up(call.request)
    await asyncio.sleep(max(0.0, call.arrived + latency_s - time.monotonic()))
    if error is not None:
        return _fail(call, error)
    spoilt = call.strike("wrong_json")
    form = spoilt.params["form"] if spoilt else ""
    if form == "html":
        # A proxy in front of the provider answered: nothing was generated, nothing is billed.
        call.book(200, flags=UNREADABLE)
        return web.Response(text=_HTML.format(title="Welcome"), content_type="text/html")
    reply = _reply(call, ask, empty=form == "empty_content")
    data = openai_chat.write(
        ask,
        reply,
        number=len(call.books) + 1,
        created=int(call.wall),
        reasoning_field=call.house.vendor(call.provider.name).reasoning_field,
    )
    if form == "empty_choices":
        data["choices"] = []
    body = orjson.dumps(data)
    if form == "truncated":
        body = body[: len(body) // 2]
    return await _send(call, reply, body, flags=UNREADABLE if form == "truncated" else 0)


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


def _fail(call: Call, error: Event) -> web.Response:
    status = int(error.params["status"])
    if not error.params["html"]:
        return _refuse(call, Fault("server", status, call.model))
    call.book(status)
    titles = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Time-out"}
    title = f"{status} {titles.get(status, 'Overloaded')}"
    return web.Response(status=status, text=_HTML.format(title=title), content_type="text/html")


def _reply(call: Call, ask: Ask, *, empty: bool) -> Reply:
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


async def _send(call: Call, reply: Reply, body: bytes, *, flags: int) -> web.StreamResponse:
    vendor = call.house.vendor(call.provider.name)
    cut = call.strike("cut")
    slow = None if cut else call.strike("slow_body")
    if cut is None and slow is None:
        call.book(200, reply, flags)
        headers = vendor.standing(tightest(call.scopes, time.monotonic(), call.wall), call.wall)
        return web.Response(body=body, headers=headers, content_type="application/json")
    response = web.StreamResponse(headers=vendor.standing(tightest(call.scopes, call.arrived, call.wall), call.wall))
    response.content_type = "application/json"
    response.content_length = len(body)
    if cut is not None:
        call.book(200, reply, UNREADABLE)
        await response.prepare(call.request)
        await response.write(body[: len(body) // 2])
        if call.request.transport is not None:
            call.request.transport.close()
        return response
    if slow is not None:
        await _drip(call, response, body, slow.params, lambda: call.book(200, reply, flags))
    return response


async def _drip(
    call: Call, response: web.StreamResponse, body: bytes, params: Params, book: Callable[[], None]
) -> None:
    """Send the body in pieces over ``total_ms``; ``book`` is rung before the last of them."""
    pieces = max(2, int(params["pieces"]))
    size = -(-len(body) // pieces)
    try:
        await response.prepare(call.request)
        for start in range(0, len(body), size):
            await asyncio.sleep(params["total_ms"] / 1000 / pieces)
            if start + size >= len(body):
                book()
            await response.write(body[start : start + size])
    except ConnectionError:
        book()
