"""The circuit breaker of a deployment, shared by all processes.

    closed ── 5 failures in a row, or half of the last 20 (10 seen at least) ──► open
    open ── 30 s ──► half open: the next reservation of exactly one call is the probe (``Gates.reserve``)
    half open ── probe ok ──► closed, in slow start; ── probe failed ──► open for twice as long, up to 5 minutes
    half open ── the probe's lease ends without a word ──► the next one may probe

Slow start: after the probe at most 2 calls may be in flight; each time as many have succeeded in a row without a
failure between, twice that: 4, 8, 16, 32, then no bound of ours. Only at the end of it is the doubled time forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import redis

from app.gates.limits import Grant
from app.gates.scripts import Clock, Lua, reaching_redis, stem, text

State = Literal["closed", "open", "half_open"]

_STATES: dict[str, State] = {"closed": "closed", "open": "open", "half_open": "half_open"}
_FIRST_BACKOFF_MS = 30_000
_IDLE_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class BreakerView:
    state: State
    until_ms: int
    """Redis ms at which an open breaker lets a probe through; 0 when closed."""
    failures: int
    """Among the last 20 calls."""


class Breaker:
    """``name`` is a deployment's throughout. Raises ``ServiceMissing`` where Redis does not answer.

    Warning: the breaker is a kindness to the provider and to latency, not a promise: when Redis loses its data
    every breaker is closed again.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.clock = Clock(client)
        self._record = Lua(client, "breaker", self.clock)

    def record(self, name: str, ok: int, failed: int, *, grant: Grant | None = None) -> State:
        """Takes in ``ok`` calls that succeeded and ``failed`` that the server's side spoilt (5xx, resets, timeouts).

        A 429 is neither: it goes to ``Gates.hold``. Pass the grant of the calls: only then is a straggler, granted
        before the breaker closed, told from fresh news, and the probe's outcome from another's. A probe that proved
        nothing (a 429, a call not made) is reported as ``record(name, 0, 0, grant=grant)``, which lets another try.
        """
        grant_id, at_ms = (grant.id, grant.at_ms) if grant else ("", "")
        return _STATES[text(self._record([_key(name)], ok, failed, grant_id, at_ms))]

    def states(self, names: Sequence[str]) -> dict[str, BreakerView]:
        """All of them in one trip. One that was never heard of is closed."""
        now = self.clock.now_ms()
        with reaching_redis():
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                pipe.hmget(_key(name) + ":state", ["state", "until", "ring"])
            return {name: _view(reply, now) for name, reply in zip(names, pipe.execute(), strict=True)}

    def force_open(self, name: str, for_s: float) -> None:
        """Opens it now, for a reason of the caller's (a bad key, an operator); afterwards a probe decides."""
        until_ms = self.clock.now_ms() + int(for_s * 1000)
        key = _key(name) + ":state"
        with reaching_redis():
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(key, mapping={"state": "open", "until": until_ms, "backoff": _FIRST_BACKOFF_MS})
            pipe.hdel(key, "probe", "probe_until", "ramp", "ramp_ok")
            pipe.pexpire(key, int(for_s * 1000) + _IDLE_MS)
            pipe.execute()

    def reset(self, name: str) -> None:
        """Closes it and forgets what it saw; calls in flight stay counted."""
        with reaching_redis():
            self._client.delete(_key(name) + ":state")


def _key(name: str) -> str:
    return stem(f"breaker:{name}")


def _view(reply: list[bytes | str | None], now_ms: int) -> BreakerView:
    state, until, ring = ("" if field is None else text(field) for field in reply)
    failures = ring.count("0")
    if state != "open":
        return BreakerView("closed", 0, failures)
    return BreakerView("open" if now_ms < int(until) else "half_open", int(until), failures)
