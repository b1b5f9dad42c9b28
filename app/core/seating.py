"""Whom to seat: of the tracks that may serve (``selection``) those whose turn it is (``balancing``).

All numbers come from outside: a ``Track`` is what is known of a deployment at this moment. Seating a chunk
lengthens the tracks it takes, so the next chunk sees the load of the one before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.core import balancing, ladder, packing, selection
from app.core.ballots import Verdict
from app.core.ladder import Place
from app.core.plan import AUDIT, STRONG, Plan, Seat, seat
from app.core.recipe import Recipe
from app.core.routing import Wanted
from app.core.strategies import decide
from app.core.tracks import Track
from app.core.values import Deployment, Tier

BENCH_LOAD = 0.35
"""Share of a chunk expected to come back for the first seat on the bench: how often two voices differ."""

_ROLE_CANDIDATES = 3

Climb = tuple[Track, float]
"""Whom an item may come up to, and the share of a chunk that is expected to."""


@dataclass(frozen=True, slots=True)
class Chunk:
    size: int
    plan: Plan


def _may_vote(track: Track, wanted: Wanted) -> bool:
    """Whom the voices are measured against is no voice."""
    return track.deployment.name != wanted.recipe.against and track.refusal(wanted) is None


def _may_decide(track: Track, wanted: Wanted) -> bool:
    """Is it the one that the recipe names to decide, and may it see the item? Pinned voices do not pin it."""
    unpinned = replace(wanted, recipe=replace(wanted.recipe, models=()))
    return track.deployment.name == wanted.recipe.against and track.refusal(unpinned) is None


def serving(tracks: Iterable[Track], wanted: Wanted) -> list[Track]:
    """The tracks of the lowest tier that satisfies the job, then those above: a cheap job does not start at the top.

    The higher tiers serve only where the wanted one cannot fill the council with distinct families, and hard items,
    whose strongest come first; but not where the job is to be cheap. A ladder leads to the strongest of all, and so
    does the want of a specialist.
    """
    allowed = [t for t in tracks if _may_vote(t, wanted)]
    hard = wanted.lane.hard and wanted.routing.optimise != "cost"
    return allowed if hard or wanted.recipe.shape.order in ("ladder", "domain") else _lowest(allowed, wanted)


def _lowest(allowed: list[Track], wanted: Wanted) -> list[Track]:
    """Those of the lowest tier, and of as many above as the council needs families."""
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

    The voices that are asked at once are those whose turn it is (by default those free soonest); the others of the
    council and the bench follow. ``ranked-fallback`` is the exception: it goes by rank, whatever the load. Lengthens
    the tracks.
    """
    recipe = wanted.recipe
    serves = serving(tracks, wanted)
    ordered = _places(tracks, serves, wanted, horizon_s, seed)
    beside = _roles(tracks, wanted)
    first, leading = _asked_at_once(ordered, beside, recipe)
    at_once = [*(t for t, _ in first), *leading]
    later = _called_in_later(ordered, first, recipe)
    if not at_once or any(t.free_in_s() > horizon_s for t in (*at_once, *(t for t, _ in later))):
        return None
    fits = min(_fits(t, wanted, horizon_s) for t in at_once)
    fits = min([fits, *(max(1, int(_fits(t, wanted, horizon_s) / share)) for t, share in later)])
    size, pack = packing.load(
        wanted.pack, chunk_size=chunk_size, calls=fits, voices=recipe.council, available=available
    )
    calls = -(-size // pack)
    others = [place for place in ordered if place not in first]
    if recipe.shape.order in ("free", "rank"):
        others = [(t, 0) for t in _bench([t for t, _ in others], wanted, horizon_s, seed, calls)]
    seats = [*_voices([*first, *others][: recipe.attempts], recipe, pack), *(_seat(t, role) for t, role in beside)]
    _load(at_once, [t for t, _ in others], later, recipe, calls)
    labels = wanted.labels if recipe.shape.weighed else None
    exact = wanted.exact if recipe.shape.likeness else None
    return Chunk(size, Plan(recipe, tuple(seats), seed, exact=exact, labels=labels))


def further_seats(tracks: Sequence[Track], wanted: Wanted, plan: Plan, used: frozenset[str]) -> tuple[Seat, ...]:
    """Seats to append once the bench has run out: deployments not called for this chunk before, soonest free first.

    ``used`` are the deployments that were really called; a seat that was only refused by our own gate may come
    again under a new number.
    """
    serves = [t for t in tracks if _may_vote(t, wanted) and t.deployment.name not in used]
    pack = max((s.pack for s in plan.seats if s.role == wanted.recipe.shape.voice), default=1)
    if wanted.recipe.shape.order in ("ladder", "domain"):
        places = _places(serves, serves, wanted, math.inf, plan.seed)
    else:
        places = [(t, 0) for t in balancing.in_order(serves, wanted, seed=plan.seed, late=True)]
    seats = _voices(places, wanted.recipe, pack)
    voice = wanted.recipe.shape.voice
    spoken = {(s.role, s.deployment) for s in plan.seats if s.role != voice and s.deployment in used}
    beside = [_seat(t, role) for t, role in _roles(tracks, wanted)]
    return (*seats, *(s for s in beside if (s.role, s.deployment) not in spoken))


def _places(tracks: Iterable[Track], serves: list[Track], wanted: Wanted, horizon_s: float, seed: int) -> list[Place]:
    """Whom to ask, first ones first, each with its rung; all stand on the same where the strategy does not climb."""
    allowed = [t for t in tracks if t.refusal(wanted) is None]
    match wanted.recipe.shape.order:
        case "ladder":
            return ladder.places(allowed, wanted, horizon_s)
        case "domain":
            knowing = [t for t in allowed if selection.specialist(t.deployment, wanted)]
            knowing = _ordered(_lowest(knowing, wanted), wanted, horizon_s, seed)
            return [*((t, 0) for t in knowing), *((t, 1) for t in sorted(allowed, key=_by_rank) if t not in knowing)]
        case _:
            return [(t, 0) for t in _ordered(serves, wanted, horizon_s, seed)]


def _ordered(tracks: list[Track], wanted: Wanted, horizon_s: float, seed: int, *, late: bool = False) -> list[Track]:
    recipe = wanted.recipe
    if recipe.models:
        return sorted(tracks, key=lambda t: recipe.models.index(t.deployment.name))
    match recipe.shape.order:
        case "rank":
            return sorted(tracks, key=_by_rank)
        case _:
            return balancing.in_order(tracks, wanted, horizon_s=horizon_s, seed=seed, late=late)


def _asked_at_once(
    ordered: list[Place], beside: list[tuple[Track, str]], recipe: Recipe
) -> tuple[list[Place], list[Track]]:
    """Whom the strategy asks first, were all seated in this order: its own first move. (voices, roles beside)"""
    seats = [*_voices(ordered, recipe), *(_seat(t, role) for t, role in beside)]
    move = decide(Plan(recipe, tuple(seats)), ())
    assert not isinstance(move, Verdict)
    asked = sorted(ask.seat for ask in move)
    voices = len(ordered)
    return [ordered[n] for n in asked if n < voices], [beside[n - voices][0] for n in asked if n >= voices]


def _called_in_later(ordered: list[Place], first: list[Place], recipe: Recipe) -> list[Climb]:
    """The strong one of a ladder, with the share of a chunk that is expected to come up to it: it must be free too, or
    what is not accepted would pile up before it."""
    if recipe.shape.order != "ladder":
        return []
    strong = next((t for t, rung in ordered if rung == ladder.STRONG), None)
    low = [t for t, rung in first if rung == ladder.CHEAP]
    return [(strong, max(0.1, ladder.escalating(low)))] if strong is not None and low else []


def _fits(track: Track, wanted: Wanted, horizon_s: float) -> int:
    """How many items this seat can answer within the horizon, at least one; of easy ones no more than it can spare."""
    allowed = min(max(track.room - track.queued, track.pace * horizon_s), track.speed * horizon_s)
    if track.spare >= 1 and balancing.spares(wanted):
        allowed = min(allowed, track.spare)
    return max(1, int(allowed))


def _bench(others: list[Track], wanted: Wanted, horizon_s: float, seed: int, size: int) -> list[Track]:
    """The bench, first those that soonest have answered what is expected to come back: a slow seat would hold it up."""
    if wanted.recipe.strongest_late and not wanted.recipe.models:
        load = size * BENCH_LOAD
        return sorted(others, key=lambda t: (t.free_in_s(load) > horizon_s, t.behind_s, _by_rank(t)))
    if wanted.recipe.shape.order != "free" or wanted.recipe.models or not balancing.plain(wanted):
        return _ordered(others, wanted, horizon_s, seed, late=True)
    return balancing.in_order(others, wanted, late=True, calls=size * BENCH_LOAD)


def _load(first: list[Track], others: list[Track], later: Sequence[Climb], recipe: Recipe, size: int) -> None:
    for track in first:
        track.take(size)
    for track, share in later:
        track.take(size * share)
    if recipe.shape.tallied and not recipe.full:
        families = {t.deployment.family for t in first}
        third = next((t for t in others if t.deployment.family not in families), None)
        if third is not None:
            third.take(size * BENCH_LOAD)


def _roles(tracks: Sequence[Track], wanted: Wanted) -> list[tuple[Track, str]]:
    """For each role beside the voices the strongest that may see the item, best first."""
    allowed = [t for t in tracks if t.refusal(wanted) is None]
    best = sorted(allowed, key=_by_rank)[:_ROLE_CANDIDATES]
    strong = [t for t in tracks if _may_decide(t, wanted)] if wanted.recipe.against else []
    beside = [(t, role) for role in wanted.recipe.roles for t in (strong if role == STRONG else best)]
    if wanted.lane.audit:
        beside += [(t, AUDIT) for t in tracks if _is_baseline(t.deployment, wanted)]
    return beside


def _is_baseline(deployment: Deployment, wanted: Wanted) -> bool:
    """It need not be of the job's tier or models: it serves nobody. What may not leave may not leave for it either."""
    return deployment.name == wanted.routing.baseline and (deployment.local or wanted.tier is not Tier.PRIVATE)


def _voices(places: Iterable[Place], recipe: Recipe, pack: int = 1) -> list[Seat]:
    seats = [_seat(t, recipe.shape.voice, rung) for t, rung in places]
    # Who climbs a ladder hears what was said of each item below.
    return seats if pack == 1 else [s if s.rung else replace(s, pack=pack) for s in seats]


def _seat(track: Track, role: str, rung: int = 0) -> Seat:
    return seat(track.deployment, role, track.latency_ms, rung)


def _by_rank(track: Track) -> tuple[float, str]:
    return seat(track.deployment).rank
