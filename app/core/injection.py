"""Text that tries to instruct whoever reads it, and marks that no text can forge. Pure.

``suspicions`` is a net with wide meshes: it finds the tricks that are known (OWASP LLM01 prompt injection; the "master
keys" that judges fall for, Zhao et al. 2025, "One Token to Fool LLM-as-a-Judge"; look-alikes after Unicode TR 39) and
misses new ones. What must hold whatever it misses hangs on the marks, on the strict reading of judges, on the tally.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from app.core.tricks import HOLLOW, TRICKS

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


_LONGEST_READ = 20_000
"""Characters at the start and at the end of a text that are looked at."""
_LONGEST_OPENER = 120

_ZERO_WIDTH = re.compile("[\u200b\u2060-\u2064\ufeff\u00ad\u180e]")
_JOINER_BETWEEN_LATIN = re.compile("(?<=[A-Za-z])[\u200c\u200d\u200e\u200f\u034f\u115f\u3164](?=[A-Za-z])")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0001-\U000e007f]|[\U000e0100-\U000e01ef]{2}")
_WORD = re.compile(r"[^\W\d_]+")
# Greek letters that formulas write beside Latin ones (nα, μs, πr) are none.
_FOREIGN = re.compile("[οιυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ\u0400-\u052f\u0561-\u0587\u13a0-\u13ff]")
_LATIN = re.compile("[A-Za-z]")
_STYLED = re.compile("[\U0001d400-\U0001d7ff]{3}|[\u24b6-\u24e9]{3}|[\uff21-\uff3a\uff41-\uff5a]{3}")
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

# Letters that look like Latin ones (a small part of Unicode's confusables.txt: Cyrillic, Greek, Armenian).
_LIKE = str.maketrans(
    "аеорсухіјѕԁһӏкмтвнгпАВЕКМНОРСТУХІЈЅԌαβεικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսցոհ",
    "aeopcyxijsdhlkmtbhrnABEKMHOPCTYXIJSGabeiknoptuxwABEZHIKMNOPTYXougnh",
)  # fmt: skip


def suspicions(text: str, *, answer: bool = False) -> tuple[str, ...]:
    """Names of the tricks in a text, in a fixed order; none for ordinary text. ``answer``: it is a candidate, of which
    nothing but punctuation or the opening of a thought is a trick too.
    """
    if len(text) > 2 * _LONGEST_READ:
        text = f"{text[:_LONGEST_READ]}\n{text[-_LONGEST_READ:]}"
    plain = text.lower() if text.isascii() else skeleton(text)
    found = [] if text.isascii() else _hidden(text)
    for trick in TRICKS:
        if trick.found_in(plain):
            found.append(trick.name)
    if answer and len(plain) <= _LONGEST_OPENER and HOLLOW.fullmatch(plain):
        found.append("hollow")
    return tuple(found)


def skeleton(text: str) -> str:
    """What a reader sees, in lower case: compatibility forms and look-alikes made Latin, invisible characters gone."""
    seen = unicodedata.normalize("NFKC", text)
    seen = "".join(c for c in seen if unicodedata.category(c) not in ("Cf", "Mn") or c in "\n\t")
    return seen.translate(_LIKE).lower()


def _hidden(text: str) -> list[str]:
    """Characters that a reader does not see, or takes for others. Joiners and marks that scripts need are none."""
    found = []
    body = text.removeprefix("\ufeff")
    if _ZERO_WIDTH.search(body) or _JOINER_BETWEEN_LATIN.search(body) or _BIDI.search(body) or _TAGS.search(body):
        found.append("invisible_characters")
    mixed = _FOREIGN.search(text) is not None and any(
        _FOREIGN.search(word) and len(_LATIN.findall(word)) > 1 for word in _WORD.findall(text)
    )
    if mixed or (_STYLED.search(text) and not _EAST_ASIAN.search(text)):
        found.append("look_alikes")
    return found
