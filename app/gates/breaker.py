"""The circuit breaker of a deployment, shared by all processes.

    closed ── 5 failures in a row, or half of the last 20 (10 seen at least) ──► open
    open ── 30 s ──► half open: the next reservation of exactly one call is the probe (``Gates.reserve``)
    half open ── probe ok ──► closed, in slow start; ── probe failed ──► open for twice as long, up to 5 minutes
    half open ── the probe's lease ends without a word ──► the next one may probe

Slow start: after the probe 5 % of the deployment's capacity may be in flight (one call at least), then 20, then 50,
then all of it. A step is left when as many calls as it allows, and 5 at least, have succeeded in a row; a failure
leads back to the step before. Only at the end of it is the doubled time forgotten.
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
_FIRST_SHARE = 5


@dataclass(frozen=True, slots=True)
class BreakerView:
    state: State
    until_ms: int
    """Redis ms at which an open breaker lets a probe through; 0 when closed."""
    failures: int
    """Among the last 20 calls."""
    share: float = 1.0
    """Of the capacity that may be in flight: 0.05, 0.2 or 0.5 in slow start, 0 where it is not closed."""


class Breaker:
    """``name`` is a deployment's throughout. Raises ``ServiceMissing`` where Redis does not answer.

    Warning: the breaker is a kindness to the provider and to latency, not a promise: when Redis loses its data
    every breaker is closed again.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.clock = Clock(client)
        self._record = Lua(client, "breaker", self.clock)

    def record(self, name: str, ok: int, failed: int, *, capacity: int, grant: Grant | None = None) -> State:
        """Takes in ``ok`` calls that succeeded and ``failed`` that the server's side spoilt (5xx, resets, timeouts).

        ``capacity``: calls that it may have in flight at full load, of which slow start allows a share.
        A 429 is neither: it goes to ``Gates.hold``. Pass the grant of the calls: only then is a straggler, granted
        before the breaker closed, told from fresh news, and the probe's outcome from another's. A probe that proved
        nothing (a 429, a call not made) is reported as ``record(name, 0, 0, ...)`` with its
        grant, which lets another try.
        """
        grant_id, at_ms = (grant.id, grant.at_ms) if grant else ("", "")
        return _STATES[text(self._record([_key(name)], ok, failed, grant_id, at_ms, capacity))]

    def states(self, names: Sequence[str]) -> dict[str, BreakerView]:
        """All of them in one trip. One that was never heard of is closed."""
        now = self.clock.now_ms()
        with reaching_redis():
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                pipe.hmget(_key(name) + ":state", ["state", "until", "ring", "share"])
            return {name: _view(reply, now) for name, reply in zip(names, pipe.execute(), strict=True)}

    def force_open(self, name: str, for_s: float) -> None:
        """Opens it now, for a reason of the caller's (a bad key, an operator); afterwards a probe decides."""
        until_ms = self.clock.now_ms() + int(for_s * 1000)
        key = _key(name) + ":state"
        with reaching_redis():
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(key, mapping={"state": "open", "until": until_ms, "backoff": _FIRST_BACKOFF_MS})
            pipe.hdel(key, "probe", "probe_until", "share", "ramp", "ramp_ok")
            pipe.pexpire(key, int(for_s * 1000) + _IDLE_MS)
            pipe.execute()

    def recover(self, name: str) -> None:
        """Closes it, whatever it was, and begins the slow start: somebody else has seen the deployment recover.

        One call may be in flight until the first of them has come back; then the shares hold.
        """
        key, now_ms = _key(name) + ":state", self.clock.now_ms()
        with reaching_redis():
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(key, mapping={"state": "closed", "streak": 0, "ring": "", "since": now_ms})
            pipe.hset(key, mapping={"share": _FIRST_SHARE, "ramp": 1, "ramp_ok": 0})
            pipe.hdel(key, "until", "probe", "probe_until")
            pipe.pexpire(key, _IDLE_MS)
            pipe.execute()

    def reset(self, name: str) -> None:
        """Closes it and forgets what it saw; calls in flight stay counted."""
        with reaching_redis():
            self._client.delete(_key(name) + ":state")


def _key(name: str) -> str:
    return stem(f"breaker:{name}")


def _view(reply: list[bytes | str | None], now_ms: int) -> BreakerView:
    state, until, ring, share = ("" if field is None else text(field) for field in reply)
    failures = ring.count("0")
    if state != "open":
        return BreakerView("closed", 0, failures, int(share) / 100 if share else 1.0)
    return BreakerView("open" if now_ms < int(until) else "half_open", int(until), failures, 0.0)
