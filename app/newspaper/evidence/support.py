"""Does a statement tell what the sentences tell that it cites, as far as words show it? Pure.

A statement that rests on a sentence has words in common with it, however freely it is told. One that has next to none
is of something else, whoever says that it is supported: a headline that somebody else wished for, say. An order to the
reader rests on nothing.

Warning: it sees words, no meaning; what has been turned round has all of them. Of texts in two languages, or in a
writing without blanks or capitals, it cannot say anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.newspaper.evidence.common_words import listed

LEAST_SHARED = 1 / 4
"""Of a statement's content words. Human headlines have fewer in common with the two sentences nearest to them in one
case of fifty (932 articles of Digital.gov), headlines of other articles in three of four."""
_FEW = 2
"""Content words: fewer say nothing."""
_STEM = 5
_WORD = re.compile(r"[^\W_]+")
_LIGHT = listed(
    "the and for with that this from have has had was were will its his her our their are but not more than about over"
    " who which said says new now after before into out all can may also been being would could should them they you"
    " der die das den dem des ein eine einen einem einer und von mit für auf aus bei nach ist sind war wird hat haben"
    " les des une dans pour par sur avec est sont que qui aux las los una del con por para como il lo gli della nel"
)
_ORDERS = re.compile(
    r"(?i)^\W*(?:please |now )?(?:buy|click|subscribe|download|install|invest|donate|order|join|send|share|forward"
    r"|visit|call|log ?in|sign up|register|enter|transfer|wire|pay|vote|follow|trust|scan|claim|act)\b"
    r"(?:(?: [\w’'.-]+){0,4}? (?:now|here|today|immediately|at once)\W*$"
    r"| (?:now|here|this|these|us|me|your|my|our)\b)"
)


def orders(text: str) -> bool:
    """Does it tell its reader to buy, to click, to send?"""
    return _ORDERS.search(text) is not None


def retells(text: str, cited: Iterable[str]) -> bool:
    """Both in one language."""
    mine = _stems(text)
    return len(mine) < _FEW or len(mine & _stems(" ".join(cited))) >= LEAST_SHARED * len(mine)


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORD.findall(text.casefold()) if len(word) > 2 and word not in _LIGHT}
