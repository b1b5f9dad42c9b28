"""A plan: the recipe plus the ranked seats, written down when a chunk leaves the yard.

The world enters a decision once, here. A plan only ever grows: seats are appended when the bench has run out
and the fleet has more to offer, and it is closed (with a reason) when no seat will ever come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from app.core import recipe as recipes
from app.core.recipe import Recipe
from app.core.values import Deployment

VOICE = "voice"
SYNTHESISER = "synthesiser"
JUDGE = "judge"
"""Picks one of the candidates: its vote is ``seat:3``, the seat whose answer it chose."""
VERIFIER = "verifier"
"""Checks one answer: its vote is ``accept:3`` or ``reject:3``, the verdict on the answer of that seat."""
THINKER = "thinker"
WORKER = "worker"
AUDIT = "audit"
"""The baseline that a job's receipt compares with: asked of some items drawn at random; nothing else hangs on it."""
STRONG = "strong"
"""The model that a guarantee promises agreement with: its answer stands."""
CALIBRATION = "calibration"
"""Asked what others were asked, to see whether packs change an answer: it has no say."""
CACHE = "cache"
"""The seat of an earlier job's decision on the same question, where a job takes one for want of anybody to ask."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One deployment at the table. ``quality`` breaks ties: the rank of the seat, whatever its place in the order.

    ``window`` (tokens) and ``latency_ms`` are what was known of it when it was seated; plans of before they were
    written down have neither, and are decided as they were then.
    """

    deployment: str
    family: str
    quality: float
    role: str = VOICE
    window: int | None = None
    latency_ms: int | None = None
    rung: int = 0
    """How far up the ladder, where the strategy climbs one."""
    pack: int = 1
    """Items that go into one call to it, at most."""

    @property
    def provider(self) -> str:
        return self.deployment.partition("/")[0]

    @property
    def rank(self) -> tuple[float, str]:
        return (-self.quality, self.deployment)


@dataclass(frozen=True, slots=True)
class Plan:
    """``seats`` in the order in which they are asked: the council first, then the bench.

    What was known when the chunk left the yard, where its recipe asks for it: ``skills``, how often each deployment is
    right (deployment → label → share, "" for all labels); ``threshold``, calibrated for the job; ``choice``, how the
    recipe itself was chosen where others might have been (an experiment's arm, a bandit's with its propensity);
    ``exact``, whether answers are of a closed form, the same or not, where the strategy compares them otherwise by
    their words; ``labels``, how many the task has.
    """

    recipe: Recipe
    seats: tuple[Seat, ...]
    seed: int = 0
    closed: str | None = None
    skills: dict[str, dict[str, float]] | None = None
    threshold: float | None = None
    choice: dict[str, Any] | None = None
    exact: bool | None = None
    labels: int | None = None

    @property
    def waits(self) -> bool:
        """Is its threshold the business of an audit of others, which may not be in yet?"""
        return self.choice is not None and self.choice.get("part") == "rest"

    @property
    def packs(self) -> bool:
        """Does any call carry several items?"""
        return any(seat.pack > 1 for seat in self.seats)

    def heard(self, seat: int) -> bool:
        """Does what that seat says count? A trial's does not, and nobody waits for it."""
        return seat >= len(self.seats) or self.seats[seat].role != CALIBRATION

    def extended(self, seats: tuple[Seat, ...]) -> Plan:
        return replace(self, seats=self.seats + seats)

    def ended(self, reason: str) -> Plan:
        return replace(self, closed=reason)

    def to_json(self) -> dict[str, Any]:
        known = {"skills": self.skills, "threshold": self.threshold, "choice": self.choice}
        known |= {"exact": self.exact, "labels": self.labels}
        return {
            "recipe": str(self.recipe),
            "seats": [_row(s) for s in self.seats],
            "seed": self.seed,
            "closed": self.closed,
            **{key: value for key, value in known.items() if value is not None},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        return cls(
            recipe=recipes.parse(data["recipe"]),
            seats=tuple(Seat(*row) for row in data["seats"]),
            seed=data["seed"],
            closed=data["closed"],
            skills=data.get("skills"),
            threshold=data.get("threshold"),
            choice=data.get("choice"),
            exact=data.get("exact"),
            labels=data.get("labels"),
        )


def seat(deployment: Deployment, role: str = VOICE, latency_ms: float | None = None, rung: int = 0) -> Seat:
    return Seat(
        deployment.name,
        deployment.family,
        deployment.quality,
        role,
        deployment.context_window,
        None if latency_ms is None else round(latency_ms),
        rung,
    )


def _row(seat: Seat) -> list[Any]:
    """As short as it was before its later fields came in: a plan that does not use them is written as it always was."""
    row = [seat.deployment, seat.family, seat.quality, seat.role]
    if seat.rung or seat.pack > 1:
        return [*row, seat.window, seat.latency_ms, seat.rung, seat.pack]
    return row if seat.window is None and seat.latency_ms is None else [*row, seat.window, seat.latency_ms]
