"""Finished calls that Postgres could not take: kept in Redis until it is back, so that no answer is asked twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import redis

from app.core.errors import ServiceMissing
from app.gates.scripts import reaching_redis

_WAITING = "ledger:spill"
_UNDER_WAY = "ledger:spill:under-way"
_DRAINING = "ledger:spill:draining"
_LONGEST_S = 40.0


class Spill:
    """A list of ledger writes. Raises ``ServiceMissing`` where Redis does not answer.

    Draining is at least once: what is drained must be safe to write twice."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def push(self, parameters: dict[str, Any]) -> None:
        with reaching_redis():
            self._client.rpush(_WAITING, orjson.dumps(parameters))

    def drain(self, write: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
        """Write everything that waits, in the order in which it came, and return it. Where ``write`` raises, the rest
        stays and the error goes up. One drains at a time; raises ``ServiceMissing`` where another does not come to its
        end.
        """
        with reaching_redis():
            alone = self._client.lock(_DRAINING, timeout=_LONGEST_S, blocking_timeout=_LONGEST_S / 2)
            if not alone.acquire():
                raise ServiceMissing("another drain is under way")
        try:
            return self._drain(write)
        finally:
            with suppress(redis.RedisError):  # it may have taken longer than its lock
                alone.release()

    def _drain(self, write: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
        written = []
        while self._move(_UNDER_WAY, _WAITING, "RIGHT", "LEFT") is not None:
            pass  # left over from a drain that died
        while (body := self._move(_WAITING, _UNDER_WAY, "LEFT", "RIGHT")) is not None:
            parameters: dict[str, Any] = orjson.loads(body)
            write(parameters)
            with reaching_redis():
                self._client.lrem(_UNDER_WAY, 1, body)  # type: ignore[arg-type]  # the stubs know text only
            written.append(parameters)
        return written

    def _move(self, source: str, target: str, off: str, on: str) -> bytes | None:
        with reaching_redis():
            return self._client.lmove(source, target, off, on)  # type: ignore[return-value]
