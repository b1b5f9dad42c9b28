"""Nearly identical texts: Jaccard's index over character shingles, found by MinHash with banding.

The index of two texts is the share of their shingles (runs of five characters of the normalised text) that both hold.
Signatures only say whom to look at (Broder 1997, "On the resemblance and containment of documents"; banding as in
Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3); the index itself is counted, never estimated.
With ten bands of four hashes a pair of 0.8 is looked at in 995 cases of 1,000, one of 0.9 in all but a few of 100,000.
"""

from __future__ import annotations

import random
from collections import Counter
from zlib import crc32

from app.core.sameness import normalised

LEAST = 0.8
"""Below this banding would miss too many pairs, and too different texts would share an answer."""
MOST_ITEMS = 50_000
MOST_CHARS = 50_000_000
"""What one job may hold: about 300 MB at the most."""

_SHINGLE = 5
_BANDS, _ROWS = 10, 4
_MOST_LOOKED_AT = 20
"""Candidates a text, those first that share most bands with it: where all are half alike, time stays linear."""
_MASK = (1 << 64) - 1
_seeded = random.Random(0x51A11A2)
_HASHES = [(_seeded.getrandbits(64) | 1, _seeded.getrandbits(64)) for _ in range(_BANDS * _ROWS)]


def shingles(text: str) -> frozenset[str]:
    said = normalised(text)
    return frozenset(said[at : at + _SHINGLE] for at in range(max(1, len(said) - _SHINGLE + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


class Alike:
    """Takes texts one after the other. A text that is like an earlier one belongs to that one, and none to it."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._buckets: dict[int, list[int]] = {}
        self._texts: dict[int, str] = {}

    def first_like(self, key: int, text: str) -> tuple[int, float] | None:
        """(key of the most similar text before it, the index), the earliest of equals; None: there is none, and it is
        remembered under ``key``."""
        own = shingles(text)
        bands = _bands(own)
        shared = Counter(other for band in bands for other in self._buckets.get(band, ()))
        near = [other for other, _ in shared.most_common(_MOST_LOOKED_AT)]
        best = max(((jaccard(own, shingles(self._texts[other])), -other) for other in near), default=(0.0, 0))
        if best[0] >= self._least:
            return -best[1], best[0]
        self._texts[key] = text
        for band in bands:
            self._buckets.setdefault(band, []).append(key)
        return None


def _bands(own: frozenset[str]) -> list[int]:
    """One number a band: equal where all its hashes are."""
    codes = [crc32(shingle.encode(errors="surrogatepass")) for shingle in own]
    least = [min([a * code + b & _MASK for code in codes]) for a, b in _HASHES]
    return [hash((at, *least[at * _ROWS : (at + 1) * _ROWS])) for at in range(_BANDS)]
