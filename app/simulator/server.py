"""The simulated fleet on one port of 127.0.0.1.

    POST /<provider>/<what the provider's protocol has there>: v1/chat/completions, v1/responses, v1/messages,
         v1beta/models/<model>:generateContent and :streamGenerateContent, v2/chat,
         client/v4/accounts/<account>/ai/run/<model>, api/chat
    GET  /<provider>/<where the protocol lists its models>
    GET  /books                               totals, peaks and violations by provider, model and key
    GET  /books/calls?after=N&limit=M         the calls themselves, in the order they ended
    GET  /books/usage?from=&to=               totals by provider/model of a span of epoch seconds
    GET  /books/bodies?provider=P&after=N&limit=M     what was sent to a provider, since bodies are kept
    GET  /books/lies                          what simulated journalists have falsified, each once
    POST /control/keep                        keep the bodies of all calls from now on, refused ones too
    POST /control/weather                     replace the weather (JSON, the same keys as the file)
    POST /control/reset                       empty books and windows

A provider cannot be called ``books`` or ``control``. One whose protocol is not spoken here answers 501.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from app.simulator.house import House
from app.simulator.manners import Fault
from app.simulator.protocols import SPOKEN
from app.simulator.serving import serve_call
from app.simulator.weather import WeatherError, read_weather_file

LATENCY_MS = 200.0
_PAGE = 10_000
_BODIES = 1_000
_MAX_BODY = 16 * 1024 * 1024


def _json(data: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(data), content_type="application/json")


class Simulator:
    def __init__(self, house: House) -> None:
        self._house = house

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        arrived = time.monotonic()
        house = self._house
        first, _, rest = request.path.lstrip("/").partition("/")
        if first in ("books", "control"):
            return await self._office(request, first, rest)
        house.fleet.refresh(arrived)
        provider = house.fleet.providers.get(first)
        if provider is None:
            return _json({"error": {"message": f"The simulated fleet has no provider {first!r}."}}, 404)
        spoken = SPOKEN.get(provider.protocol)
        if spoken is None:
            return _json({"error": {"message": f"The simulator does not speak {provider.protocol!r}."}}, 501)
        if request.method == "POST":
            for speech in spoken:
                target = speech.find(rest, request)
                if target is not None:
                    return await serve_call(house, provider, request, arrived, speech, target)
        elif request.method == "GET":
            listed = spoken[0].listing(rest, provider)
            if listed is not None:
                return _json(listed)
        vendor = house.vendor(provider)
        fault = Fault("route", 404, message=f"Unknown request URL: {request.method} {request.path}")
        return _json(vendor.body(fault), vendor.status(fault))

    async def _office(self, request: web.BaseRequest, first: str, rest: str) -> web.Response:
        house = self._house
        try:
            match request.method, first, rest:
                case "GET", "books", "":
                    return _json(house.report())
                case "GET", "books", "calls":
                    after = int(request.query.get("after", 0))
                    return _json(house.books.calls(after, int(request.query.get("limit", _PAGE))))
                case "GET", "books", "usage":
                    since = float(request.query.get("from", 0))
                    return _json(house.books.usage(since, float(request.query.get("to", "inf"))))
                case "GET", "books", "bodies":
                    sent = [body for name, body in house.kept or () if name == request.query.get("provider", name)]
                    after = int(request.query.get("after", 0))
                    page = sent[after : after + int(request.query.get("limit", _BODIES))]
                    return _json([body.decode(errors="replace") for body in page])
                case "GET", "books", "lies":
                    return _json([lie.as_dict() for lie in house.lies])
                case "POST", "control", "keep":
                    house.kept = []
                    return _json({})
                case "POST", "control", "weather":
                    data = orjson.loads(await request.read())
                    if not isinstance(data, dict):
                        raise WeatherError("weather: must be a JSON object")
                    house.set_weather(data, Path(), time.monotonic())
                    return _json({"events": len(house.weather.events)})
                case "POST", "control", "reset":
                    house.reset()
                    return _json({})
        except ValueError as error:  # WeatherError and JSONDecodeError are ValueErrors
            return _json({"error": str(error)}, 400)
        return _json({"error": f"no such page: {request.method} {request.path}"}, 404)


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)


async def serve(
    fleet_path: Path,
    weather_path: Path | None,
    port: int,
    *,
    seed: int = 0,
    latency_ms: float = LATENCY_MS,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve until cancelled. ``port`` 0 takes a free one; ``ready`` is told which once connections are taken.

    Raises ``WeatherError`` for the weather, ``OSError`` and ``ValueError`` for the fleet file.
    """
    weather = read_weather_file(weather_path) if weather_path else {}
    base = weather_path.parent if weather_path else Path()
    house = House(fleet_path, weather=weather, base=base, seed=seed, latency_ms=latency_ms, now=time.monotonic())
    # The handler is not cancelled when a client leaves (aiohttp's default): what was computed is billed.
    server = web.Server(Simulator(house).handle, request_factory=_make_request, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", port, backlog=2048)
    try:
        if ready is not None:
            ready(listener.sockets[0].getsockname()[1])
        await asyncio.Event().wait()
    finally:
        listener.close()
        await server.shutdown(timeout=0.1)


def run(
    fleet_path: Path,
    weather_path: Path | None,
    port: int,
    *,
    seed: int = 0,
    latency_ms: float = LATENCY_MS,
) -> None:
    """Serve until SIGINT or SIGTERM. The first line on stdout is ``ready <port>``."""

    def ready(taken: int) -> None:
        sys.stdout.write(f"ready {taken}\n")
        sys.stdout.flush()

    async def main() -> None:
        serving = asyncio.ensure_future(
            serve(fleet_path, weather_path, port, seed=seed, latency_ms=latency_ms, ready=ready)
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
        try:
            await serving
        except asyncio.CancelledError:
            return

    asyncio.run(main())
