"""Packing: several short items in one call, so arranged that no item meets another twice.

What an item says may sway the answers to those beside it, by chance or by intent. So the items of a chunk are dealt out
anew for every voter: to the first two as the rows and columns of a grid, to later ones so that none sits beside one it
has met, if need be in a smaller pack. Whatever a text does to its neighbours, it does to each of them at one voter.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.pricing import guess_tokens

MOST = 50
"""Items in one call, at most."""
LONGEST_TOKENS = 600
"""An item that takes more by our guess travels alone: it would save little and crowd the others out."""
TOKENS_AROUND = 16
"""What an item's marker lines take in the question; its id in the answer takes half of that."""
TRIAL_ITEMS = 40
TRIAL_REPEATS = 20
"""Items of the trial that are asked singly a second time at each seat: how far single answers agree with themselves."""
TRIAL_SIZES = (5, 10, 20)
WORTH_A_TRIAL = 100
"""Items of a job below which a trial would cost more calls than packs could save."""
_LEAST_CALLS = 5
"""Calls of a pack chunk that even a slow seat is given: with fewer a grid has no room."""
_SIGNIFICANT = 0.05
_LEAST_PAIRS = 20

Pack = tuple[int, ...]


def too_long(text: str) -> bool:
    return guess_tokens(text) > LONGEST_TOKENS


def load(wanted: int, *, chunk_size: int, calls: int, voices: int, available: int) -> tuple[int, int]:
    """(items of a chunk, items a pack) for a job that ``wanted`` so many a pack and a seat with room for ``calls``.

    Where more than one voice may be heard a pack holds no more items than there are packs: that is what a grid takes.
    The end of a job makes smaller packs.
    """
    if wanted <= 1:
        return min(chunk_size, calls, available), 1
    calls = max(calls, min(wanted, _LEAST_CALLS))
    if voices < 2:
        return min(max(chunk_size, wanted * wanted), wanted * calls, available), wanted
    wanted = min(wanted, calls)
    size = min(max(chunk_size, wanted * wanted), wanted * calls, available)
    return size, max(1, min(wanted, math.isqrt(size)))


def arrange(
    items: Sequence[int],
    size: int,
    *,
    seed: int,
    place: int,
    whole: Sequence[int] = (),
    earlier: Iterable[Pack] = (),
) -> list[Pack]:
    """The packs of one voter, each in the order in which it is shown.

    ``place``: of the voter among all. ``whole``: the chunk's items, all of which the first voters are asked about at
    the same time; ``earlier``: packs that other voters have seen. Any two of the ``items`` share a pack only where
    they share none there; the first two voters of a chunk of ``size`` squared items or more never repeat a pair.
    The same arguments give the same packs, whatever the order of the items.
    """
    grid = _grid(whole, size, seed)
    if place < 2 and set(items) == set(whole):
        return [_shown(pack, seed, place) for pack in grid[place]]
    met = [*earlier, *(pack for at, packs in enumerate(grid) if at != place for pack in packs)]
    if set(items) == set(whole):
        for other in range(2, place):
            met += arrange(items, size, seed=seed, place=other, whole=whole, earlier=earlier)
    return [_shown(pack, seed, place) for pack in _apart(_shuffled(items, seed), size, met)]


def _grid(items: Sequence[int], size: int, seed: int) -> tuple[list[Pack], list[Pack]]:
    """Rows and columns. A stretch down the columns holds one item a row as long as it is no longer than a column."""
    rows = _cut(_shuffled(items, seed), size)
    longest = max(map(len, rows), default=0)
    down = [row[at] for at in range(longest) for row in rows if at < len(row)]
    return rows, _cut(down, size)


def _cut(items: Sequence[int], size: int) -> list[Pack]:
    """As few packs as hold them, of nearly equal length, the longer ones first."""
    count = -(-len(items) // size)
    packs, start = [], 0
    for at in range(count):
        end = start + len(items) // count + (at < len(items) % count)
        packs.append(tuple(items[start:end]))
        start = end
    return packs


def _apart(items: Sequence[int], size: int, met: Iterable[Pack]) -> list[Pack]:
    """Greedy: those that have met most others here first, each into the fullest pack that holds nobody it has met."""
    here = set(items)
    known: dict[int, set[int]] = defaultdict(set)
    for pack in met:
        both = here.intersection(pack)
        for item in both:
            known[item] |= both
    packs: list[set[int]] = []
    for item in sorted(items, key=lambda item: -len(known[item])):
        free = [pack for pack in packs if len(pack) < size and known[item].isdisjoint(pack)]
        if free:
            max(free, key=len).add(item)
        else:
            packs.append({item})
    return [tuple(sorted(pack)) for pack in packs]


def _shuffled(items: Sequence[int], seed: int) -> list[int]:
    shuffled = sorted(items)
    random.Random(f"pack {seed}").shuffle(shuffled)
    return shuffled


def _shown(pack: Pack, seed: int, place: int) -> Pack:
    order = sorted(pack)
    random.Random(f"pack {seed} {place} {order[0]}").shuffle(order)
    return tuple(order)


def share(cost: int, carried: int, at: int) -> int:
    """What one of the items that a call carried pays of its cost: the first pay what is over, so the sum is exact."""
    return cost // carried + (at < cost % carried)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a sample showed. ``singles``: (answers given twice, how many differed), asked singly both times;
    ``packs``: size → (answers, how many differ from the single ones); ``size``: the one that was found to be safe."""

    size: int
    singles: tuple[int, int] = (0, 0)
    packs: Mapping[int, tuple[int, int]] | None = None

    def to_json(self) -> dict[str, Any]:
        packs = {str(size): list(seen) for size, seen in sorted((self.packs or {}).items())}
        return {"pack": self.size, "singles": list(self.singles), "packs": packs}


def tried(singles: tuple[int, int], packs: Mapping[int, tuple[int, int]]) -> Trial:
    """The largest size up to which packed answers differ from single ones no more than these from themselves.

    Fisher's exact test, one-sided, at 5 %: a size is refused where so many differences would come by chance in fewer
    than one trial of twenty. A size with fewer than twenty answers to compare has shown nothing.
    """
    best = 1
    for size in sorted(packs):
        asked, differ = packs[size]
        if asked < _LEAST_PAIRS or _by_chance((asked, differ), singles) < _SIGNIFICANT:
            break
        best = size
    return Trial(best, singles, packs)


def _by_chance(packed: tuple[int, int], single: tuple[int, int]) -> float:
    """How likely so many of the differences, or more, fall on the packed answers if packing makes none."""
    (asked, differ), (others, fewer) = packed, single
    total, bad = asked + others, differ + fewer
    ways = math.comb(total, bad)
    return sum(math.comb(asked, k) * math.comb(others, bad - k) for k in range(differ, min(asked, bad) + 1)) / ways


def compare(
    seats: Mapping[int, tuple[str, str, int]], votes: Collection[tuple[int, int, str | None, str | None]]
) -> tuple[tuple[int, int], dict[int, tuple[int, int]]]:
    """Counts for ``tried`` from a trial's chunk. ``seats``: seat → (deployment, role, pack); ``votes``: (item, seat,
    answer, failure). A call that failed has shown nothing; an answer that is missing or cannot be read differs."""
    said = {(item, seat): (answer, failure) for item, seat, answer, failure in votes}
    first: dict[str, int] = {}
    for seat, (deployment, role, _) in sorted(seats.items()):
        if role == "voice":
            first.setdefault(deployment, seat)
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for (item, seat), (answer, failure) in said.items():
        deployment, role, size = seats[seat]
        single = said.get((item, first.get(deployment, -1)))
        if role != "calibration" or failure is not None or single is None or single[0] is None:
            continue
        counts[size][0] += 1
        counts[size][1] += answer != single[0]
    asked, differ = counts.pop(1, [0, 0])
    return (asked, differ), {size: (n, bad) for size, (n, bad) in counts.items()}
