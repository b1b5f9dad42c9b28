"""A statement laid beside a sentence it cites, word by word: what stands in the place of what? Pure.

Numbers and names are blanked on both sides before the words are matched, so that one that was exchanged comes to lie
on the one whose place it took, wherever else that number or name may stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from app.newspaper.evidence.capitals import Name
from app.newspaper.evidence.number import Number

NEAR = 0.7
"""Share of a statement's words that stand in a sentence in the same order, two and more at a time: from here on it is
that sentence told again, and what stands in it has a place there."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Mark:
    """A number or a name, and where it stands."""

    kind: Literal["#", "@"]
    start: int
    end: int
    what: Number | Name


Laid = tuple[tuple[str, Mark | None], ...]


def laid_out(text: str, numbers: Sequence[Number], names: Sequence[Name]) -> Laid:
    """The words of a text in lower case, each number and name as one blank."""
    marks = [Mark("#", each.start, each.end, each) for each in numbers]
    marks += [
        Mark("@", each[0].start, each[-1].end, each)
        for each in names
        if not any(mark.start < each[-1].end and each[0].start < mark.end for mark in marks)
    ]
    found: list[tuple[str, Mark | None]] = []
    at = 0
    for mark in sorted(marks, key=lambda mark: mark.start):
        found.extend((word, None) for word in _WORD.findall(text[at : mark.start].casefold()))
        found.append((mark.kind, mark))
        at = mark.end
    found.extend((word, None) for word in _WORD.findall(text[at:].casefold()))
    return tuple(found)


def exchanged(statement: Laid, sentence: Laid, agree: Callable[[Mark, Mark], bool]) -> tuple[Mark, ...] | None:
    """The marks of a statement that lie on others of the sentence; None: it is not this sentence told again."""
    if not statement or not sentence:
        return None
    words = {word for word, _ in sentence}
    if sum(word in words for word, _ in statement) < NEAR * len(statement):
        return None
    matcher = SequenceMatcher(None, [w for w, _ in statement], [w for w, _ in sentence], autojunk=False)
    blocks = [block for block in matcher.get_matching_blocks() if block.size > 1]
    if sum(block.size for block in blocks) < NEAR * len(statement):
        return None
    found = []
    for block in blocks:
        for offset in range(block.size):
            mine, its = statement[block.a + offset][1], sentence[block.b + offset][1]
            if mine is not None and its is not None and not agree(mine, its):
                found.append(mine)
    return tuple(found)
