"""What a job waits for, and until when: told from what is known of the deployments that may serve it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

MOVING_S = 5.0
"""A gate that opens this soon is the ordinary pace of a limit, not something to wait for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One deployment that may serve. ``opens_s``: until the next call is possible; infinite where nobody knows.

    ``sure``: it surely does not open sooner (a quota, a provider's own word), whoever else recovers meanwhile.
    """

    deployment: str
    why: str
    opens_s: float
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Outlook:
    """Nothing moves. ``waiting``: why, by deployment, the first to open first."""

    waiting: tuple[Standing, ...]

    @property
    def opens_s(self) -> float:
        return min((s.opens_s for s in self.waiting), default=math.inf)

    @property
    def hopeless_within_s(self) -> float:
        """So long surely nobody opens: 0 where somebody may at any moment."""
        return min((s.opens_s if s.sure else 0.0 for s in self.waiting), default=math.inf)

    def to_json(self) -> dict[str, Any]:
        return {
            "opens_s": _finite(self.opens_s),
            "for": [{"deployment": s.deployment, "why": s.why, "opens_s": _finite(s.opens_s)} for s in self.waiting],
        }


def outlook(standings: Iterable[Standing]) -> Outlook | None:
    """None where somebody can be asked now or in a moment."""
    found = sorted(standings, key=lambda s: (s.opens_s, s.deployment))
    if found and found[0].opens_s <= MOVING_S:
        return None
    return Outlook(tuple(found))


def _finite(seconds: float) -> float | None:
    return None if math.isinf(seconds) else round(seconds, 1)
