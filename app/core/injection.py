"""Text that tries to instruct whoever reads it, and marks that no text can forge. Pure.

``suspicions`` is a net with wide meshes: it finds the attacks that are known, and misses new ones. What must hold
whatever it misses hangs on the marks, on the strict reading of judges, and on the tally.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

SUSPICIOUS = "suspicious"
"""Flag of an answer that addresses its reader. It cannot win unless another voice gives the same one."""
SUSPICIOUS_ITEM = "suspicious_item"
"""Flag of whatever is said of an item that addresses its reader."""
_MARK_LETTERS = 8


def mark(texts: Iterable[str], salt: str = "") -> str:
    """Eight hexadecimal letters that occur in none of the texts, the same for the same texts and salt."""
    whole = "\0".join(texts)
    lowered = whole.lower()
    for turn in range(1_000_000):
        digest = hashlib.blake2b(f"{salt}\0{turn}\0{whole}".encode("utf-8", "replace")).hexdigest()
        if (found := digest[:_MARK_LETTERS]) not in lowered:
            return found
    raise AssertionError("a text that holds a million marks is longer than any window")


def suspicions(text: str, *, answer: bool = False) -> tuple[str, ...]:
    """Names of the tricks in a text; ``answer``: it is a candidate, not an item."""
    return ()
