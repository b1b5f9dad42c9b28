"""Balancing: in which order the deployments are asked that may serve. Pure; a mode has no state but the tracks.

Whoever has room within the horizon comes before those who have none, whatever the mode: so every mode fills every
track, and throughput is lost by none where the work is enough. Of those with room, specialists of the items' domain
come first, then the better grade of the score where it decides (``selection.graded``), and among equals the mode:

    soonest-free   whoever has worked off its queue first; by itself what uses the allowed rate best (the default)
    round-robin    each in turn: every deployment is first once in as many chunks as there are deployments
    weighted       by chance, in proportion to what is left of the limits
    least-busy     the fewest calls waiting and under way
    latency        the fastest
    cost           the cheapest; an unknown price last

Without grades and specialists ``soonest-free`` goes by time alone, and the score breaks ties. ``round-robin`` and
``weighted`` are functions of the tracks and the chunk's seed, which must differ from chunk to chunk (its number does).
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Literal, get_args

from app.core import selection
from app.core.kinship import diverse
from app.core.routing import Wanted
from app.core.tracks import Track

Mode = Literal["soonest-free", "round-robin", "weighted", "least-busy", "latency", "cost"]
MODES: tuple[Mode, ...] = get_args(Mode)

_GRADE = 0.05
"""Scores that differ by less are equal."""
_PASSED_BY_S = 300.0
"""A track whose quota is kept for others is passed by for one that is free within so long."""
_UNBOUNDED = 1e6
_AHEAD_S = 60.0
"""How far ahead ``weighted`` looks: the longest that a limit a minute can hold anybody up."""

_Key = Callable[[Track], float]


def plain(wanted: Wanted) -> bool:
    """Is it time alone that decides?"""
    timely = wanted.routing.balance in ("", "soonest-free") and not wanted.lane.domain
    return timely and not selection.graded(wanted.routing, wanted.lane)


def spares(wanted: Wanted) -> bool:
    """Are these easy items, whose voices leave a scarce quota to those that need it more?"""
    return not wanted.lane.hard and not wanted.recipe.models and wanted.recipe.shape.order == "free"


def in_order(
    tracks: Sequence[Track],
    wanted: Wanted,
    *,
    horizon_s: float = math.inf,
    seed: int = 0,
    late: bool = False,
    calls: float = 0.0,
) -> list[Track]:
    """The tracks, whoever is to be asked first first.

    ``late``: for voices that follow, to which more of a kept quota is open. ``calls``: what each would have to answer
    before it counts as free.
    """
    only_time, easy = plain(wanted), spares(wanted)
    graded = selection.graded(wanted.routing, wanted.lane)
    better = _scores(tracks, wanted)

    def rank(track: Track) -> tuple[float, ...]:
        spare = track.spare_late if late else track.spare
        place = _place(track, kept=easy and spare < 1)
        if only_time:
            return (place,)
        grade = round(better(track) / _GRADE) if graded else 0
        full = track.free_in_s(calls) > horizon_s
        return (place, full, track.behind_s, not selection.specialist(track.deployment, wanted), -grade)

    ordered: list[Track] = []
    for _, group in itertools.groupby(sorted(tracks, key=rank), key=rank):
        equals = list(group)
        turn = _turn(equals, wanted.routing.balance or "soonest-free", seed, calls)
        ordered += _diverse(sorted(equals, key=lambda t: (turn(t), -better(t), t.deployment.name)), turn, better)
    return ordered


def _diverse(ordered: list[Track], turn: _Key, better: _Key) -> list[Track]:
    """Of those whose turn it is alike and who score alike, the one least kin to those before it first: voices that err
    together tell little beside each other."""
    if not any(track.kin for track in ordered):
        return ordered
    return diverse(
        ordered,
        lambda one, other: turn(one) == turn(other) and abs(better(one) - better(other)) < _GRADE,
        lambda one, other: one.kin.get(other.deployment.name, 0.0),
    )


def _place(track: Track, *, kept: bool) -> int:
    """Whoever is free soon, then those whose quota is kept for others, then those that are shut for long."""
    if kept:
        return 1
    return 0 if track.drained_in_s() <= _PASSED_BY_S else 2


def _turn(equals: Sequence[Track], mode: str, seed: int, calls: float) -> _Key:
    match mode:
        case "round-robin":
            places = _rotation(sorted(t.deployment.name for t in equals), seed)
            return lambda track: places[track.deployment.name]
        case "weighted":
            return lambda track: _drawn(track, seed)
        case "least-busy":
            return lambda track: track.queued
        case "latency":
            return lambda track: track.latency_ms
        case "cost":
            return lambda track: math.inf if track.cost_micro is None else track.cost_micro
        case _:
            return lambda track: round(track.free_in_s(calls) + track.behind_s, 1)


def _rotation(names: list[str], seed: int) -> dict[str, int]:
    """Name → place. In any run of as many seeds as there are names, begun at a multiple of that, each comes first once.

    Each such run has an order of its own: else a job that gets every second number would meet half of the names.
    """
    run, at = divmod(seed, len(names))
    random.Random(run).shuffle(names)
    return {name: (place - at) % len(names) for place, name in enumerate(names)}


def _drawn(track: Track, seed: int) -> float:
    """Exponential of a rate that is what is left: the least of several is each with the chance of its share (Efraimidis
    and Spirakis, 2006: so drawn, the order is a sample without replacement)."""
    least = random.Random(f"{seed}:{track.deployment.name}").random()
    return -math.log(1.0 - least) / max(left(track), 1e-9)


def left(track: Track) -> float:
    """Calls that its limits leave it for the next minute, beyond its queue, and no more than its day does."""
    minute = min(track.room + track.pace * _AHEAD_S, track.speed * _AHEAD_S, _UNBOUNDED) - track.queued
    return max(0.0, min([minute, *(quota.left for quota in track.quotas)]))


def _scores(tracks: Sequence[Track], wanted: Wanted) -> _Key:
    dearest = max((t.cost_micro or 0.0 for t in tracks), default=0.0) or 1.0
    slowest = max((t.latency_ms for t in tracks), default=0.0) or 1.0
    weighed = selection.weights(wanted.routing, wanted.lane)

    def of(track: Track) -> float:
        return selection.score(
            track.deployment.quality, track.cost_micro, track.latency_ms,
            dearest=dearest, slowest=slowest, weighed=weighed,
        )  # fmt: skip

    return of
