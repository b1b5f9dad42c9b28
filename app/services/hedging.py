"""Hedging: an ask whose calls take longer than they mostly do says so, and hangs up once somebody else has answered.

Dean and Barroso, "The Tail at Scale" (CACM 56/2, 2013): a second request only after the 95th percentile of the first's
expected time costs a few percent more calls and cuts the tail.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.gates.pulse import Pulse
from app.ledger import journal

log = structlog.get_logger(__name__)

UNKNOWN_S = 5.0
"""Of a deployment that nobody has seen answer yet."""
_MEDIAN_TO_P95 = 2.0
"""Where too few calls were seen for a percentile. Of a lognormal latency with a spread of 0.4 it is 1.9."""
_LOOK_S = 0.2

Ring = Callable[[int], None]


def patience_s(pulse: Pulse, seat_latency_ms: int | None) -> float:
    """How long most answers take there."""
    if pulse.latency_p95_ms:
        return pulse.latency_p95_ms / 1000
    ms = pulse.latency_ms or seat_latency_ms
    return UNKNOWN_S if not ms else _MEDIAN_TO_P95 * ms / 1000


@dataclass(slots=True)
class Hedge:
    """Watches the flights of one ask. ``ring``: has a chunk settled, so that the hedge is asked at once."""

    engine: Engine
    ask_id: int
    chunk_id: int
    patience_s: float
    ring: Ring
    _since: float | None = None
    _told: bool = False
    _looked_at: float = 0.0

    def outrun(self, flying: Mapping[int, Collection[int]], waiting: Collection[int]) -> frozenset[int]:
        """Items of this ask that have been decided without it. ``flying``: attempt → its items; ``waiting``: items not
        asked yet. Says that the ask is slow, once its first call has flown for longer than most."""
        now = time.monotonic()
        if self._since is None:
            self._since = now if flying else None
        if self._since is None or now < self._since + self.patience_s:
            return frozenset()
        try:
            if not self._told and flying:
                journal.mark_slow(self.engine, self.ask_id)
                self._told = True
                self.ring(self.chunk_id)
                log.info("an ask is slow; it is hedged", action="ask.hedge", ask=self.ask_id)
                return frozenset()
            if self._told and now >= self._looked_at + _LOOK_S:
                self._looked_at = now
                items = {item_id for carried in flying.values() for item_id in carried} | set(waiting)
                return journal.decided_of(self.engine, sorted(items))
        except DBAPIError:
            log.warning("the ledger is away; nothing is hedged", action="ask.hedge.away", ask=self.ask_id)
        return frozenset()

    def look_again_s(self) -> float | None:
        """Until there is something to see; None before anything flies."""
        if self._since is None:
            return None
        return _LOOK_S if self._told else max(0.01, self._since + self.patience_s - time.monotonic())
