"""Drilling: which calls a drill strikes, and what befalls them. The fault layer of the wire."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable

import structlog

from app.core.drills import SLOW_S, Effect, Fault, Instead, Late, Reset, Silence, Standing, Trouble
from app.core.values import FailureKind
from app.dialects import canned
from app.gates.faults import Faults
from app.wire import Outgoing

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.5
_RATE_LIMIT_S = 2
"""What a drilled ``rate_limit`` asks for: short enough to be waited for."""


class Weather:
    """The drills that stand in Redis, as one process knows them: looked up at most twice a second, by whoever calls.

    Each is forgotten at its end by this process's own clock, so one that Redis was lost over ends all the same.

    Warning: a drill that is stopped strikes for up to half a second more, and a drilled timeout is waited out.
    """

    def __init__(
        self, faults: Faults, *, look_every_s: float = _LOOK_EVERY_S, draw: Callable[[], float] = random.random
    ) -> None:
        self._faults = faults
        self._look_every_s = look_every_s
        self._draw = draw
        self._lock = threading.Lock()
        self._looked_at = -math.inf
        self._standing: list[tuple[float, Standing]] = []
        """(its end by ``time.monotonic()``, the drill)"""

    def befalling(self, call: Outgoing) -> Fault | None:
        """The fault for ``call``, drawn anew for every call: of several drills the first that strikes."""
        now = time.monotonic()
        if now - self._looked_at >= self._look_every_s:
            self._look(now)
        for ends_at, standing in self._standing:
            if now < ends_at and standing.aims_at(call.deployment) and self._draw() < standing.share:
                effects = standing.drill.effects
                return _fault(effects[int(self._draw() * len(effects))], standing, call, ends_at - now)
        return None

    def _look(self, now: float) -> None:
        """One thread looks; the others go by what was known. Where Redis is away, so does this one."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._looked_at = now
            redis_ms, found = self._faults.active()
            self._standing = [(now + (s.until_ms - redis_ms) / 1000, s) for s in found]
        except Exception as error:  # a layer for practice must not end the work it is for
            log.warning("no look at the drills", action="drill.blind", error=type(error).__name__)
        finally:
            self._lock.release()


def _fault(effect: Effect, standing: Standing, call: Outgoing, left_s: float) -> Fault:
    match effect:
        case FailureKind.TIMEOUT:
            return Silence(standing.delay_s)
        case Trouble.RESET:
            return Reset()
        case Trouble.SLOW:
            return Late(SLOW_S if standing.delay_s is None else standing.delay_s)
        case FailureKind():
            # A drilled quota is back when the drill is over: nothing is to be benched by it for longer.
            wait_s = math.ceil(left_s) if effect is FailureKind.QUOTA_EXHAUSTED else _RATE_LIMIT_S
            model = call.deployment.partition("/")[2]
            said = canned.refusal(call.protocol, effect, model=model, retry_after_s=wait_s)
            return Instead(said.status, said.headers, said.body)
