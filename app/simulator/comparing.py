"""How the simulated journalist compares texts: words without their endings, numbers, names and quotations.

It judges what the product prints, so it shares nothing with the product's own checking, and is simpler: it knows texts
that were taken from other texts, and what was changed in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d[\d.,:]*\d|\d")
_QUOTED = re.compile(r"[\"“”„«»]([^\"“”„«»]+)[\"“”„«»]")
_MARKS = re.compile(r"[\"“”„«»]")
_ENDINGS = ("ings", "ing", "ied", "ies", "ers", "er", "ed", "es", "ly", "s", "e", "y")
_LEAST_STEM = 3
_MOSTLY = 0.75
"""Share of a sentence's words that has to stand in what it cites."""

NUMBER_WORDS = (
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy",
    "eighty", "ninety",
)  # fmt: skip
SCALES = ("hundred", "thousand", "million", "billion", "trillion")
_COUNTED = frozenset((*NUMBER_WORDS, *SCALES))

_STOP = """
    a about after all also an and any are as at be because been before being but by can could did do does for from
    had has have he her hers him his how i if in into is it its just like may me more most my no not now of off on once
    one only or other our out over own s said same say says she should since so some such t than that the their them
    then there these they this those to too under until up upon was we were what when where which while who whose why
    will with would you your
"""
STOP_WORDS = frozenset(_STOP.split())


def words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def stem(word: str) -> str:
    """A word without its ending, roughly."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            return word[: -len(ending)]
    return word


@lru_cache(maxsize=4096)
def stems(text: str) -> frozenset[str]:
    """What a text is about: the stems of its words, without stop words."""
    return frozenset(stem(word) for word in words(text) if word not in STOP_WORDS)


def likeness(one: str, other: str) -> float:
    """0 to 1: how much of the smaller text's words the larger one has."""
    first, second = stems(one), stems(other)
    smaller = min(len(first), len(second))
    return len(first & second) / smaller if smaller else 0.0


def numbers(text: str) -> frozenset[str]:
    """In digits or in words, each as it is written; scales too. Thousands are not divided."""
    figures = {re.sub(r"[.,:]$", "", found).replace(",", "") for found in _NUMBER.findall(text)}
    return frozenset(figures | {word for word in words(text) if word in _COUNTED})


def names(text: str) -> list[str]:
    """Words with a capital, but for stop words."""
    return [word for word in _WORD.findall(text) if word[0].isupper() and word.lower() not in STOP_WORDS]


def quotations(text: str) -> list[str]:
    """What stands between quotation marks, as plain words."""
    return [" ".join(words(found)) for found in _QUOTED.findall(text)]


def balanced(text: str) -> bool:
    """Is every quotation that begins in it ended in it?"""
    return len(_MARKS.findall(text)) % 2 == 0


def wrong(claim: str, cited: Iterable[str]) -> str:
    """Why a claim does not rest on the sentences it cites; empty where it does."""
    ground = "\n".join(cited)
    if not ground.strip():
        return "it cites nothing"
    said = f" {' '.join(words(ground))} "
    for figure in sorted(numbers(claim) - numbers(ground)):
        return f"{figure} is not in the cited sentences"
    for quotation in quotations(claim):
        if f" {quotation} " not in said:
            return "the quotation is not in the cited sentences"
    for name in names(claim):
        if f" {name.lower()} " not in said:
            return f"{name} is not in the cited sentences"
    own = stems(claim)
    if own and len(own & stems(ground)) < _MOSTLY * len(own):
        return "the cited sentences say something else"
    return ""
