"""Words and runs of capitals: what a name looks like. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.newspaper.evidence import common_words
from app.newspaper.evidence.common_words import listed
from app.newspaper.evidence.number_words import MONTHS, SHORT_MONTHS, WEEKDAYS

_WORD = re.compile(r"[^\W\d_][^\W_]*(?:[.'’&][^\W_]+)*(?:'(?!\w))?")
PARTICLES = listed("van von der den de del della di da dos du la le el al bin ibn ben ten ter zu und of")
_DATES = frozenset(MONTHS) - SHORT_MONTHS | frozenset(WEEKDAYS)
_MOST_PARTICLES = 3


@dataclass(frozen=True, slots=True)
class Token:
    """A word: as it stands, folded, its place, whether it has a capital, whether it opens a sentence, and the place of
    the word that goes on its run of capitals (``gap``: what stands between it and the word before)."""

    text: str
    folded: str
    start: int
    end: int
    capital: bool
    opens: bool
    gap: str

    @property
    def acronym(self) -> bool:
        letters = [c for c in self.text.removesuffix("s") if c.isalpha()]
        return len(letters) > 1 and sum(c.isupper() for c in letters) >= max(2, len(letters) - 1)


Name = tuple[Token, ...]


def fold(word: str) -> str:
    """For comparison: without possessive, dots, apostrophes, accents and case."""
    word = re.sub(r"['’]s?$", "", word)
    word = re.sub(r"[.'’]", "", unicodedata.normalize("NFKD", word))
    return "".join(c for c in word if not unicodedata.combining(c)).casefold()


@lru_cache(maxsize=4096)
def tokens_of(text: str) -> tuple[Token, ...]:
    found: list[Token] = []
    end = 0
    for match in _WORD.finditer(text):
        gap = text[end : match.start()]
        opens = not found or re.search(r"[.!?:;…•*#|]\W*$|[\"“„«(\[‘–—]\s*$|\n", gap) is not None
        if found and gap.startswith(".") and _abbreviated(found[-1]):
            opens = False
        word = match.group()
        capital = any(c.isupper() for c in word)  # iPhone too
        found.append(Token(word, fold(word), match.start(), match.end(), capital, opens, gap))
        end = match.end()
    return tuple(found)


def _abbreviated(token: Token) -> bool:
    return len(token.folded) == 1 or "." in token.text or token.folded in common_words.ADDRESS | {
        "st", "jr", "sr", "gen", "lt", "sen", "rep", "gov", "col", "sgt", "capt", "no",
    }  # fmt: skip


def linked(before: Token, token: Token) -> bool:
    """Do two words with capitals belong to one name, by what stands between them?"""
    if token.gap in (" ", "-", "–", " & ", "/") or (token.gap == ". " and _abbreviated(before)):
        return not before.text.endswith(("'s", "’s", "'", "’"))
    return False


def runs_of(tokens: Sequence[Token]) -> Iterator[Name]:
    """Runs of capitalised words; particles inside a run link it and are left out."""
    run: list[Token] = []
    particles = 0
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else None
        joined = before is not None and linked(before, token)
        if token.capital and token.folded not in _DATES and token.folded != "i":
            if run and not joined:
                yield tuple(run)
                run = []
            run.append(token)
            particles = 0
        elif run and joined and token.folded in PARTICLES - {"of", "und"} and particles < _MOST_PARTICLES:
            particles += 1
        elif run:
            yield tuple(run)
            run, particles = [], 0
    if run:
        yield tuple(run)


def is_title(tokens: Sequence[Token], text: str) -> bool:
    """Is it written with capitals throughout, as headlines are?"""
    stopped = text.rstrip("\"'”’)").endswith((".", "!", "?"))
    long = [token for token in tokens if len(token.folded) > 3]
    return len(long) >= 3 and sum(token.capital for token in long) > (0.85 if stopped else 0.6) * len(long)


_BRACKETED = re.compile(r"\s*\([^\W_][\w.&/-]{0,14}\)")


def without_brackets(text: str) -> tuple[str, ...]:
    """A sentence; and without its single words in brackets, abbreviations mostly, where it has any."""
    bare = _BRACKETED.sub("", text)
    return (text,) if bare == text else (text, bare)


_ADDRESS = re.compile(r"(?<![\w.@#/-])(?:[@#]\w+|[\w.+-]+@[\w.-]+\w|(?:[\w-]+\.)+[a-z]{2,12}(?![\w@]))", re.I)


def addresses_not_in(text: str, known: Iterable[str]) -> Iterator[str]:
    """``usa.gov``, ``@usagov``, ``#opengov`` that stand nowhere there."""
    there = {found.casefold() for each in known for found in _ADDRESS.findall(each)}
    for found in _ADDRESS.findall(text):
        if found.casefold() not in there and not re.fullmatch(r"(?:\w\.)+\w", found):
            yield found
