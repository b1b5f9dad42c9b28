"""Which drills are on, for all processes. They stand in Redis and end by themselves, whoever set them is gone or not.

    yard:drills   hash   "<drill> <target>" → JSON: name, target, share, delay_s, until (ms by Redis's clock)

The hash itself expires ``LONGEST_S`` after the last drill was set, so that nothing is ever left behind.
"""

from __future__ import annotations

import orjson
import redis

from app.core.drills import DRILLS, LONGEST_S, Drill, Standing
from app.gates.scripts import reaching_redis, text

_KEY = "yard:drills"


class Faults:
    """Sets and shows drills. Raises ``ServiceMissing`` where Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def set(self, drill: Drill, target: str, *, for_s: float, share: float, delay_s: float | None = None) -> Standing:
        """Let it stand for ``for_s`` seconds from now; the same drill at the same target is replaced."""
        if not 0 < for_s <= LONGEST_S or not 0 < share <= 1:
            raise ValueError("a drill needs an end within the hour and a share of calls above 0")
        standing = Standing(drill, target, share, delay_s, self._now_ms() + int(for_s * 1000))
        body = {"name": drill.name, "target": target, "share": share, "delay_s": delay_s, "until": standing.until_ms}
        with reaching_redis():
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(_KEY, _field(drill, target), orjson.dumps(body))
            pipe.pexpire(_KEY, int(LONGEST_S * 1000))
            pipe.execute()
        return standing

    def clear(self, drill: Drill, target: str) -> bool:
        """End it now, whoever set it. False: it was not on."""
        with reaching_redis():
            return bool(self._client.hdel(_KEY, _field(drill, target)))

    def active(self) -> tuple[int, list[Standing]]:
        """(Redis's time in ms, the drills that are on by it), in one trip; those with the nearest aim first."""
        with reaching_redis():
            pipe = self._client.pipeline(transaction=False)
            pipe.time()
            pipe.hgetall(_KEY)
            (seconds, micros), fields = pipe.execute()
        now = int(seconds) * 1000 + int(micros) // 1000
        standing = [read for body in fields.values() if (read := _read(text(body))) and read.until_ms > now]
        return now, sorted(standing, key=lambda s: ("/" not in s.target, s.target, s.drill.name))

    def _now_ms(self) -> int:
        with reaching_redis():
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000


def _field(drill: Drill, target: str) -> str:
    return f"{drill.name} {target}"


def _read(body: str) -> Standing | None:
    """None: a drill that this version does not know."""
    found = orjson.loads(body)
    drill = DRILLS.get(found["name"])
    if drill is None:
        return None
    return Standing(drill, found["target"], found["share"], found["delay_s"], found["until"])
