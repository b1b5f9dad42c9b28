"""One call at a provider: who asks whom for what, which weather befalls it, and its line in the books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from app.simulator.ask import Reply
from app.simulator.books import CLIENT_GONE, Books
from app.simulator.fleet import Model, Provider
from app.simulator.heading import Target
from app.simulator.house import House, Scope
from app.simulator.meter import Entry
from app.simulator.protocols import Speech
from app.simulator.weather import Event, Weather


@dataclass(slots=True)
class Call:
    house: House
    books: Books
    provider: Provider
    request: web.BaseRequest
    speech: Speech
    target: Target
    arrived: float
    """Monotonic seconds."""
    wall: float
    key: str
    mark: str
    """What the books show of the key."""
    model: str = ""
    known: Model | None = None
    ordinal: int = 0
    prompt_tokens: int = 0
    effect: str = ""
    scopes: list[Scope] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    filtered: bool = False
    """A content filter takes the answer away."""
    booked: bool = False
    _weather: Weather | None = None
    _sky: Mapping[str, object] = field(default_factory=dict)

    def may(self, kind: str) -> bool:
        """Can this kind of weather touch the call at all? To be asked once its model is known."""
        weather = self.house.weather
        if weather is not self._weather:
            self._weather, self._sky = weather, weather.at(self.provider.name, self.model)
        return kind in self._sky

    def strike(self, kind: str) -> Event | None:
        if not self.may(kind):
            return None
        event = self.house.weather.strike(kind, self.provider.name, self.model, self.arrived, self.ordinal)
        if event is not None:
            self.effect = kind
        return event

    @property
    def id(self) -> str:
        """What the vendor calls it: of its provider, model and number."""
        return f"req_sim_{self.provider.name}_{self.ordinal:08d}"

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
            key=self.mark,
            status=status,
            prompt_tokens=reply.prompt_tokens if reply else 0,
            completion_tokens=reply.completion_tokens if reply else 0,
            reasoning_tokens=reply.reasoning_tokens if reply else 0,
            money_micro=money,
            request_ref=self.request.headers.get("x-request-id", ""),
            flags=flags | (CLIENT_GONE if self.client_gone else 0),
            effect=self.effect,
        )
