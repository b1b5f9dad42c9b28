"""Has Redis lost its memory? Then the bells in its queues are lost with it."""

from __future__ import annotations

import redis

from app.gates.scripts import reaching_redis

_MARK = "yard:known"


class Memory:
    """A mark that a Redis which came back empty no longer holds. Raises ``ServiceMissing`` where it does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def is_new(self) -> bool:
        """True once after every loss, and at the very first look, for one caller of all processes."""
        with reaching_redis():
            return bool(self._client.set(_MARK, 1, nx=True))
