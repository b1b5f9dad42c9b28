"""Finished calls that Postgres could not take: kept in Redis until it is back, so that no answer is asked twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import redis

from app.gates.scripts import reaching_redis

_WAITING = "ledger:spill"
_UNDER_WAY = "ledger:spill:under-way"


class Spill:
    """A list of ledger writes. Raises ``ServiceMissing`` where Redis does not answer.

    Draining is at least once: what is drained must be safe to write twice."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def push(self, parameters: dict[str, Any]) -> None:
        with reaching_redis():
            self._client.rpush(_WAITING, orjson.dumps(parameters))

    def drain(self, write: Callable[[dict[str, Any]], None]) -> list[dict[str, Any]]:
        """Write everything that waits and return it. Where ``write`` raises, the rest stays and the error goes up."""
        written = []
        while self._move(_UNDER_WAY, _WAITING) is not None:
            pass  # left over from a drain that died
        while (body := self._move(_WAITING, _UNDER_WAY)) is not None:
            parameters: dict[str, Any] = orjson.loads(body)
            write(parameters)
            with reaching_redis():
                self._client.lrem(_UNDER_WAY, 1, body)  # type: ignore[arg-type]  # the stubs know text only
            written.append(parameters)
        return written

    def _move(self, source: str, target: str) -> bytes | None:
        with reaching_redis():
            return self._client.lmove(source, target, "LEFT", "RIGHT")  # type: ignore[return-value]
