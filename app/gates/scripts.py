"""The Lua scripts of this room, and the one place where Redis's absence becomes ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import redis

from app.core.errors import ServiceMissing


def stem(name: str) -> str:
    """The start of every key about ``name``. The braces keep them all in one cluster slot."""
    return f"gate:{{{name}}}"


def text(reply: Any) -> str:
    """A string out of a reply, whether or not the client decodes responses."""
    return reply.decode() if isinstance(reply, bytes) else str(reply)


@contextmanager
def reaching_redis() -> Iterator[None]:
    """Raises ``ServiceMissing`` where Redis cannot be reached or does not answer in time."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ServiceMissing(f"Redis does not answer: {error}", hint="Is it up? Check SWITCHYARD_REDIS_URL.") from error


class Clock:
    """Redis's clock, in ms since 1970: the only one that the gates go by.

    ``test_ms`` puts another time in its place. It exists for tests, which cannot move the server's clock.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.test_ms: int | None = None

    @property
    def argument(self) -> int | str:
        """ARGV[1] of every script."""
        return "" if self.test_ms is None else self.test_ms

    def now_ms(self) -> int:
        if self.test_ms is not None:
            return self.test_ms
        with reaching_redis():
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000


class Lua:
    """One script: sent by its hash, and again in full where the server does not know it (it was restarted)."""

    def __init__(self, client: redis.Redis, name: str, clock: Clock) -> None:
        room = files("app.gates")
        source = room.joinpath("common.lua").read_text() + room.joinpath(f"{name}.lua").read_text()
        self._script = client.register_script(source)
        self._clock = clock

    def __call__(self, keys: Sequence[str], *args: int | str) -> Any:
        """Runs it; the clock goes in front of ``args``. Raises ``ServiceMissing``."""
        with reaching_redis():
            return self._script(keys=keys, args=[self._clock.argument, *args])
