"""A track: what is known of one deployment at this moment, as the dispatcher sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.quotas import Quota
from app.core.routing import Wanted
from app.core.selection import eligible
from app.core.values import Deployment


@dataclass(slots=True)
class Track:
    """One deployment as the dispatcher sees it now.

    ``pace``: calls a second that its limits allow in the long run. ``speed``: calls a second it can answer while
    its windows are open: its concurrency over its latency. ``queued``: calls waiting or running. ``room``: calls
    its windows would let through at once. ``opens_s``: seconds until the gate lets the next call through, once the
    room is used.
    """

    deployment: Deployment
    pace: float
    speed: float = math.inf
    queued: float = 0.0
    room: float = 0.0
    opens_s: float = 0.0
    latency_ms: float = 1000.0
    cost_micro: float | None = 0.0
    """Of an ordinary call; None: unknown. It is not taken for cheap."""
    asks: float = math.inf
    """Further asks that its queue may take: nothing floods a queue, however fast it drains."""
    behind_s: float = 0.0
    """It is passed by for one that is free no later than so much before it: it is not well."""
    siblings: list[Track] = field(default_factory=list)
    """The other models of the account, where the account's own limits are shared between them."""
    measured_ms: float | None = None
    """As ``latency_ms``; None where it was never measured."""
    quotas: tuple[Quota, ...] = ()
    """What is left of its day and month."""
    kin: Mapping[str, float] = field(default_factory=dict)
    """Deployment → how much it is wrong together with this one, at least (``core.kinship``)."""
    spare: float = math.inf
    """Calls that the plan of its quotas gives to easy first voices now; below 1 they pass it by."""
    spare_late: float = math.inf
    """The same for their late voices."""

    def take(self, calls: float) -> None:
        """Put one ask of so many calls on this track."""
        self.asks -= 1
        self.spare -= calls
        self.spare_late -= calls
        for track in (self, *self.siblings):
            track.queued += calls

    def free_in_s(self, calls: float = 0.0) -> float:
        """Seconds until this track has worked off its queue and ``calls`` more."""
        return math.inf if self.asks < 1 else self.drained_in_s(calls)

    def drained_in_s(self, calls: float = 0.0) -> float:
        """As ``free_in_s``, whether or not its queue may take a further ask."""
        ahead = self.queued + calls
        beyond = ahead - self.room
        allowed_s = 0.0 if beyond < 0 else self.opens_s + beyond / self.pace
        return max(allowed_s, ahead / self.speed)

    def refusal(self, wanted: Wanted) -> str | None:
        """The constraint that forbids it to serve, by what is known of it now; None: it may."""
        return eligible(self.deployment, wanted, latency_ms=self.measured_ms, cost_micro=self.cost_micro)
