"""The ladder of ``cheap-first``: who answers first, and who is climbed to.

The strong one is whoever has the highest quality of all that may serve, of any tier. The cheap ones are chosen for the
calls of the strong one that they save. Two models of qualities ``p`` and ``q`` agree on the right answer with a chance
of ``pq`` (errors taken for independent; where they are shared, agreement is more frequent), so the strong one is wanted
for ``1 - pq`` of the items, and of one model alone for ``1 - p``. Among those whose expected cost,
``c1 + c2 + (1 - pq) * c_strong``, is below that of asking the strong one alone, the fewest such calls win: the same
choice also makes agreement most trustworthy, for what two models agree on is taken unseen. A job that optimises cost
takes the least expected cost instead. Where prices tell of no saving (unknown, free, all alike) it is the tier that
tells who is cheap: then they come from the job's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from app.core.plan import seat
from app.core.recipe import AGREEMENT
from app.core.routing import Wanted
from app.core.tracks import Track
from app.core.values import Tier

CHEAP, STRONG = 0, 1
_MOST_CONSIDERED = 24
_SPARES = 4
_TIERS = (Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX)

Place = tuple[Track, int]
"""A track and the rung on which it is seated."""


def places(allowed: Sequence[Track], wanted: Wanted, horizon_s: float) -> list[Place]:
    """The cheap ones, the strong one, then spares for each rung; no cheap ones where no other family is left.

    ``allowed``: all that may serve. Whoever opens only after the horizon is left out as long as others are there.
    Models that the recipe names are taken in its order: the last is the strong one.
    """
    open_soon = [t for t in allowed if t.opens_s <= horizon_s] or list(allowed)
    if not open_soon:
        return []
    pinned = wanted.recipe.models
    best = sorted(open_soon, key=_rank)
    top = max(open_soon, key=lambda t: pinned.index(t.deployment.name)) if pinned else best[0]
    others = [t for t in best if t.deployment.family != top.deployment.family]
    low = _in_order(others, wanted) if pinned else _cheapest(others, top, wanted)
    spares = [t for t in best if t is not top and t not in low][:_SPARES]
    kin = top.deployment.family
    return [
        *((t, CHEAP) for t in low),
        (top, STRONG),
        *((t, CHEAP) for t in spares if t.deployment.family != kin),
        *((t, STRONG) for t in spares),
    ]


def escalating(low: Sequence[Track]) -> float:
    """The share of items that the strong one is expected to be asked for."""
    share = 1.0
    for track in low:
        share *= min(max(track.deployment.quality, 0.0), 1.0)
    return 1.0 - share


def _voices(wanted: Wanted) -> int:
    return 2 if wanted.recipe.check == AGREEMENT else 1


def _in_order(others: list[Track], wanted: Wanted) -> list[Track]:
    named = sorted(others, key=lambda t: wanted.recipe.models.index(t.deployment.name))
    return named[: _voices(wanted)]


def _of_tier(others: list[Track], wanted: Wanted) -> list[Track]:
    """Of the lowest tier, and of those above only where it has too few families."""
    if wanted.tier is Tier.PRIVATE:
        return others
    found: list[Track] = []
    for tier in _TIERS:
        found += [t for t in others if t.deployment.tier is tier]
        if len({t.deployment.family for t in found}) >= _voices(wanted):
            break
    return found


def _cheapest(others: list[Track], top: Track, wanted: Wanted) -> list[Track]:
    by_cost = wanted.routing.optimise == "cost"

    def key(group: tuple[Track, ...]) -> tuple[float, float]:
        cost, calls = _cost(group, top), escalating(group)
        known = cost if cost is not None else float("inf")
        return (known, calls) if by_cost else (calls, known)

    considered = sorted(others, key=_price if by_cost else _rank)[:_MOST_CONSIDERED]
    saving = [g for g in _groups(considered, wanted) if (cost := _cost(g, top)) is not None and cost < _own(top)]
    own_tier = _of_tier(others, wanted)[:_MOST_CONSIDERED]
    groups = saving or _groups(own_tier, wanted)
    if not groups:  # fewer families than voices: whoever is there has its say, and the strong one decides
        return own_tier[:1]
    return list(sorted(groups, key=key)[0])


def _groups(tracks: list[Track], wanted: Wanted) -> list[tuple[Track, ...]]:
    """As many as speak first, each of another family; best first."""
    groups = itertools.combinations(sorted(tracks, key=_rank), _voices(wanted))
    return [group for group in groups if len({t.deployment.family for t in group}) == len(group)]


def _own(top: Track) -> float:
    return top.cost_micro or 0.0


def _cost(group: tuple[Track, ...], top: Track) -> float | None:
    """Micro-dollars an item is expected to cost; None: a price is unknown."""
    own = [t.cost_micro for t in group if t.cost_micro is not None]
    if len(own) < len(group) or top.cost_micro is None:
        return None
    return sum(own) + escalating(group) * top.cost_micro


def _rank(track: Track) -> tuple[float, float, str]:
    """Best first; of equal ones the less dear."""
    return (-seat(track.deployment).quality, *_price(track))


def _price(track: Track) -> tuple[float, str]:
    return (float("inf") if track.cost_micro is None else track.cost_micro, track.deployment.name)
