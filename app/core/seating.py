"""Whom to seat: the tracks that are free soonest, among those that tier, privacy and capability allow.

All numbers come from outside: a ``Track`` is what is known of a deployment at this moment. Seating a chunk
lengthens the tracks it takes, so the next chunk sees the load of the one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.core.ballots import Verdict
from app.core.plan import Plan, Seat, seat
from app.core.recipe import Recipe
from app.core.routing import Wanted
from app.core.strategies import decide
from app.core.values import Deployment, Tier

QUALITY_WEIGHT, COST_WEIGHT, LATENCY_WEIGHT = 0.4, 0.3, 0.3
BENCH_LOAD = 0.35
"""Share of a chunk expected to come back for the first seat on the bench: how often two voices differ."""

_TIER_ORDER = {Tier.CHEAP: 0, Tier.STANDARD: 1, Tier.COMPLEX: 2}
_ROLE_CANDIDATES = 3


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

    def take(self, calls: float) -> None:
        """Put one ask of so many calls on this track."""
        self.asks -= 1
        for track in (self, *self.siblings):
            track.queued += calls

    def free_in_s(self, calls: float = 0.0) -> float:
        """Seconds until this track has worked off its queue and ``calls`` more."""
        if self.asks < 1:
            return math.inf
        ahead = self.queued + calls
        beyond = ahead - self.room
        allowed_s = 0.0 if beyond < 0 else self.opens_s + beyond / self.pace
        return max(allowed_s, ahead / self.speed)


@dataclass(frozen=True, slots=True)
class Chunk:
    size: int
    plan: Plan


def eligible(deployment: Deployment, wanted: Wanted) -> str | None:
    """None if the deployment may serve, else the name of the constraint that forbids it.

    ``private`` takes local deployments of any tier; the other tiers take their own and any above.
    """
    if wanted.tier is Tier.PRIVATE:
        if not deployment.local:
            return "privacy"
    elif not wanted.recipe.models and _TIER_ORDER[deployment.tier] < _TIER_ORDER[wanted.tier]:
        return "tier"
    if wanted.recipe.models and deployment.name not in wanted.recipe.models:
        return "models"
    if not wanted.needs <= deployment.capabilities:
        return "capabilities"
    if deployment.context_window < wanted.min_context:
        return "context"
    if wanted.priced and deployment.price is None:
        return "unpriced"
    return None


def serving(tracks: Iterable[Track], wanted: Wanted) -> list[Track]:
    """The tracks of the lowest tier that satisfies the job, then those above: a cheap job does not start at the top.

    The higher tiers serve only where the wanted one cannot fill the council with distinct families.
    """
    allowed = [t for t in tracks if eligible(t.deployment, wanted) is None]
    if wanted.tier is Tier.PRIVATE or wanted.recipe.models:
        return allowed
    chosen: list[Track] = []
    for tier in (Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX):
        chosen += [t for t in allowed if t.deployment.tier is tier]
        if len({t.deployment.family for t in chosen}) >= wanted.recipe.council:
            break
    return chosen


def seat_chunk(
    tracks: Sequence[Track], wanted: Wanted, *, available: int, chunk_size: int, horizon_s: float, seed: int
) -> Chunk | None:
    """The next chunk of a job and its plan, or None while no track has room within the horizon.

    The voices that are asked at once are those free soonest; the others of the council and the bench follow in
    the same order. ``ranked-fallback`` is the exception: it goes by rank, whatever the load. Lengthens the tracks.
    """
    serves = serving(tracks, wanted)
    ordered = _ordered(serves, wanted.recipe)
    beside = _roles(tracks, wanted)
    first, leading = _asked_at_once(ordered, beside, wanted.recipe)
    at_once = [*first, *leading]
    if not at_once or any(t.free_in_s() > horizon_s for t in at_once):
        return None
    size = min([chunk_size, available, *(_fits(t, horizon_s) for t in at_once)])
    others = _bench([t for t in ordered if t not in first], wanted.recipe, size)
    voices = [*first, *others][: wanted.recipe.attempts]
    seats = [*_voices(voices, wanted.recipe), *(_seat(t, role) for t, role in beside)]
    _load(at_once, others, wanted.recipe, size)
    return Chunk(size, Plan(wanted.recipe, tuple(seats), seed))


def further_seats(tracks: Sequence[Track], wanted: Wanted, plan: Plan, used: frozenset[str]) -> tuple[Seat, ...]:
    """Seats to append once the bench has run out: deployments not called for this chunk before, soonest free first.

    ``used`` are the deployments that were really called; a seat that was only refused by our own gate may come
    again under a new number.
    """
    serves = [t for t in tracks if eligible(t.deployment, wanted) is None and t.deployment.name not in used]
    seats = _voices(sorted(serves, key=_by_free(serves)), wanted.recipe)
    voice = wanted.recipe.shape.voice
    spoken = {(s.role, s.deployment) for s in plan.seats if s.role != voice and s.deployment in used}
    beside = [_seat(t, role) for t, role in _roles(tracks, wanted)]
    return (*seats, *(s for s in beside if (s.role, s.deployment) not in spoken))


def _ordered(tracks: list[Track], recipe: Recipe) -> list[Track]:
    if recipe.models:
        return sorted(tracks, key=lambda t: recipe.models.index(t.deployment.name))
    match recipe.shape.order:
        case "rank":
            return sorted(tracks, key=_by_rank)
        case "free" | "ladder":
            return sorted(tracks, key=_by_free(tracks))


def _asked_at_once(
    ordered: list[Track], beside: list[tuple[Track, str]], recipe: Recipe
) -> tuple[list[Track], list[Track]]:
    """Whom the strategy asks first, were all seated in this order: its own first move. (voices, roles beside)"""
    seats = [*_voices(ordered, recipe), *(_seat(t, role) for t, role in beside)]
    move = decide(Plan(recipe, tuple(seats)), ())
    assert not isinstance(move, Verdict)
    asked = sorted(ask.seat for ask in move)
    voices = len(ordered)
    return [ordered[n] for n in asked if n < voices], [beside[n - voices][0] for n in asked if n >= voices]


def _fits(track: Track, horizon_s: float) -> int:
    """How many items this seat can answer within the horizon, at least one."""
    allowed = max(track.room - track.queued, track.pace * horizon_s)
    return max(1, int(min(allowed, track.speed * horizon_s)))


def _bench(others: list[Track], recipe: Recipe, size: int) -> list[Track]:
    """The bench, first those that soonest have answered what is expected to come back: a slow seat would hold it up."""
    if recipe.shape.order != "free" or recipe.models:
        return others
    return sorted(others, key=_by_free(others, size * BENCH_LOAD))


def _load(first: list[Track], others: list[Track], recipe: Recipe, size: int) -> None:
    for track in first:
        track.take(size)
    if recipe.strategy == "majority-vote" and not recipe.full:
        families = {t.deployment.family for t in first}
        third = next((t for t in others if t.deployment.family not in families), None)
        if third is not None:
            third.take(size * BENCH_LOAD)


def _roles(tracks: Sequence[Track], wanted: Wanted) -> list[tuple[Track, str]]:
    """For each role beside the voices the strongest that may see the item, best first."""
    allowed = [t for t in tracks if eligible(t.deployment, wanted) is None]
    best = sorted(allowed, key=_by_rank)[:_ROLE_CANDIDATES]
    return [(t, role) for role in wanted.recipe.shape.roles for t in best]


def _voices(tracks: Iterable[Track], recipe: Recipe) -> list[Seat]:
    return [_seat(t, recipe.shape.voice) for t in tracks]


def _seat(track: Track, role: str) -> Seat:
    return seat(track.deployment, role, track.latency_ms)


def _by_rank(track: Track) -> tuple[float, str]:
    return seat(track.deployment).rank


def _by_free(tracks: Sequence[Track], calls: float = 0.0) -> Callable[[Track], tuple[float, float, str]]:
    dearest = max((t.cost_micro or 0.0 for t in tracks), default=0.0) or 1.0
    slowest = max((t.latency_ms for t in tracks), default=0.0) or 1.0

    def key(track: Track) -> tuple[float, float, str]:
        score = (
            QUALITY_WEIGHT * track.deployment.quality
            - COST_WEIGHT * (dearest if track.cost_micro is None else track.cost_micro) / dearest
            - LATENCY_WEIGHT * track.latency_ms / slowest
        )
        return (round(track.free_in_s(calls) + track.behind_s, 1), -score, track.deployment.name)

    return key
