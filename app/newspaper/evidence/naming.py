"""Names in statements and in sources. Pure.

A name is a run of capitalised words. A statement may name who stands in a sentence it cites, under the name that stands
there (``Smith`` for ``Ann Smith``, an acronym for what it abbreviates there). At a sentence's start, in a headline with
capitals throughout, and in German, where every noun has one, a word counts as a name only if it is used as one in the
dossier, is an acronym, or is none that is known (``common_words``).

Warning: without a dictionary of names this is a rule of thumb; it errs towards refusing what is new in a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from app.newspaper.evidence import common_words
from app.newspaper.evidence.capitals import (
    PARTICLES,
    Name,
    Token,
    addresses_not_in,
    is_title,
    linked,
    runs_of,
    tokens_of,
    without_brackets,
)
from app.newspaper.evidence.common_words import listed

_ARTICLES_DE = listed(
    "der die das den dem des ein eine einen einem einer eines kein keine keinen im am zum zur vom beim ins ans aufs"
    " diese dieser dieses diesen diesem jede jeder jedes jeden alle aller allen viele vieler mehr einige seine seiner"
    " seinen seinem sein ihre ihrer ihren ihrem ihr unsere unser unserer mit ohne für gegen durch um bei nach aus zu"
    " von auf in an über unter vor hinter zwischen neben als wie und oder pro je welche beide"
)
_NOUN_DE = re.compile(
    r"(?:ung|ungen|heit|heiten|keit|keiten|schaft|schaften|tion|tionen|tät|täten|nis|nisse|tum|chen|lein|ling|ismus"
    r"|enz|anz|ment|mente|eur|euren|ist|isten|innen|in|er|ern|en)$"
)


def related(one: Name, other: Name) -> bool:
    """May both be one name: do they share a word, or does one abbreviate the other?"""
    if any(_alike(a.folded, b.folded) for a in one for b in other):
        return True
    return _abbreviated_by(one, other)


def _abbreviated_by(one: Name, other: Name) -> bool:
    """``GSA`` and ``General Services Administration``, either way; ``U.S.`` and ``United States``."""
    if {_SAME_NAME.get(a.folded, "") for a in one} & {_SAME_NAME.get(b.folded, " ") for b in other}:
        return True
    initials = ["".join(token.folded[0] for token in name) for name in (one, other)]
    return any(
        len(short) > 1 and short in (token.folded for token in whole if token.acronym)
        for short, whole in zip(initials, (other, one), strict=True)
    )


def _alike(one: str, other: str) -> bool:
    """The same word, its plural, or the people of a country."""
    if one == other:
        return True
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 3 or not longer.startswith(shorter[: max(3, len(shorter) - 2)]):
        return False
    if longer in (f"{shorter}s", f"{shorter}es"):
        return True
    return (
        len(shorter) > 4
        and re.fullmatch(r"(?:n|an|ns|ian|ians|ans|ish|ese|er|en|ern|ische[rnms]?)", longer[len(shorter) :]) is not None
    )


_SAME_NAME = {
    **dict.fromkeys(("us", "usa", "america", "american", "americans"), "us"),
    **dict.fromkeys(("uk", "britain", "british", "britons"), "uk"),
    **dict.fromkeys(("eu", "europe", "european", "europeans"), "eu"),
}


class _Place:
    """Sentences in which a name is looked up: their words, and the runs of capitals among them."""

    def __init__(self, texts: Iterable[str]) -> None:
        texts = list(texts)
        self.sentences = [tokens_of(text) for text in texts]
        self.bare = [tokens_of(each) for text in texts for each in without_brackets(text)[1:]]
        self.words = {token.folded for tokens in self.sentences for token in tokens}
        self.names = {token.folded for tokens in self.sentences for token in tokens if token.capital}
        self.acronyms = {token.folded for tokens in self.sentences for token in tokens if token.acronym}
        self.words -= {"us"} - self.names  # the pronoun
        self.words |= {_SAME_NAME[word] for word in self.names & set(_SAME_NAME) - ({"us"} - self.acronyms)}
        if any(
            a.folded == "united" and b.folded in ("states", "kingdom") for s in self.sentences for a, b in pairwise(s)
        ):
            self.words |= {"us"} if "states" in self.words else {"uk"}
        self.runs = [run for tokens in self.sentences for run in runs_of(tokens)]
        self.pairs: set[tuple[str, str]] = set()
        self.starts: set[str] = set()
        self.ends: set[str] = set()
        for tokens in self.sentences:
            kept = [t for t in tokens if t.capital or t.folded not in PARTICLES]
            for place, token in enumerate(kept):
                before = kept[place - 1] if place else None
                joined = before is not None and before.capital and token.capital and _linked_over(before, token)
                if before is not None:
                    self.pairs.add((before.folded, token.folded))
                if not joined or (before is not None and before.opens and common_words.is_common(before.folded)):
                    self.starts.add(token.folded)
                    if before is not None:
                        self.ends.add(before.folded)
            if kept:
                self.ends.add(kept[-1].folded)

    def has(self, word: str) -> bool:
        return (
            word in self.words or _SAME_NAME.get(word, word) in self.words or any(_alike(word, w) for w in self.words)
        )

    def abbreviates(self, name: Name) -> bool:
        """Does an acronym of it stand here, or, where it is one, the words it stands for?"""
        first = "".join(t.folded[0] for t in name)
        if len(name) > 1:
            return len(first) > 1 and first in self.acronyms
        letters = name[0].folded
        return (
            name[0].acronym
            and len(letters) > 1
            and any(
                letters in (initials := "".join(t.folded[0] for t in run), initials[run[0].opens :])
                or (len(letters) > 2 and letters in initials)
                for run in self._long_runs
            )
        )

    @property
    def _long_runs(self) -> Iterator[Name]:
        """Runs that small words may link: ``Department of Health and Human Services``."""
        for tokens in self.sentences:
            run: list[Token] = []
            for token in tokens:
                if token.capital:
                    run.append(token)
                elif not (run and token.folded in ("of", "the", "for", "and", "on", "in")):
                    if len(run) > 1:
                        yield tuple(run)
                    run = []
            if len(run) > 1:
                yield tuple(run)


def _linked_over(before: Token, token: Token) -> bool:
    return linked(before, token) or token.gap == " "


class Profile:
    """How a dossier uses capitals. ``language``: of the statements."""

    def __init__(self, texts: Sequence[str], language: str) -> None:
        self._language = language
        self._places: dict[tuple[str, ...], _Place] = {}
        lower: set[str] = set()
        names: set[str] = set()
        letters = "".join(text[:200] for text in texts[:50])
        self.has_capitals = any(c.isupper() for c in letters)
        for text in texts:
            tokens = tokens_of(text)
            lower.update(token.folded for token in tokens if not token.capital)
            if is_title(tokens, text):
                continue
            for place, token in enumerate(tokens):
                article = language == "de" and place and tokens[place - 1].folded in _ARTICLES_DE
                if token.capital and not token.opens and not article:
                    names.add(token.folded)
        self._lower = lower
        self._names = names - lower
        if language == "de":
            self._names -= {
                t.folded for text in texts for a, t in pairwise(tokens_of(text)) if a.folded in _ARTICLES_DE
            }

    def names(self, text: str) -> tuple[Name, ...]:
        """All names of a text, as well as capitals tell."""
        tokens = tokens_of(text)
        return tuple(self._names_of(tokens, is_title(tokens, text))) if self.has_capitals else ()

    def misplaced(
        self, text: str, cited: Sequence[str], *, near: Sequence[str], whole: Sequence[str], tellers: Sequence[str]
    ) -> Iterator[str]:
        """The names of a statement that it may not use. ``near``: title and sentence before each cited one, from which
        a pronoun is resolved; ``whole``: all of their sources, where a name may stand in full; ``tellers``: who says
        it."""
        tokens = tokens_of(text)
        names = list(self._names_of(tokens, is_title(tokens, text)))
        here, around = _Place(list(cited)), _Place(list(near))
        yield from _turned_round(tokens, here)
        yield from addresses_not_in(text, [*cited, *near, *tellers])
        yield from self._uncapitalised(tokens, here, around)
        if not names:
            return
        everywhere, by = self._place(tuple(whole)), self._place(tuple(tellers))
        budget = _anaphors(" ".join(cited)) - _anaphors(text)
        borrowed: dict[tuple[str, ...], None] = {}
        for name in names:
            folded = tuple(token.folded for token in name)
            if _stands(name, here) or _stands(name, by) or _in_full(name, here, everywhere):
                if self._in_place_of_another(name, tokens, here):
                    yield _shown(name)
                continue
            if folded in borrowed:
                continue
            known = all(token.folded in around.names for token in name) and not _quoted_as_source(text, name)
            if len(borrowed) < budget and ((known and _stands(name, around)) or _in_full(name, around, everywhere)):
                borrowed[folded] = None
                if not self._in_place_of_another(name, tokens, here):
                    continue
            yield _shown(name)

    def _uncapitalised(self, tokens: Sequence[Token], here: _Place, around: _Place) -> Iterator[str]:
        """Words in small letters that the dossier knows as names only."""
        for token in tokens:
            folded = token.folded
            if token.capital or len(folded) < 4 or folded not in self._names or common_words.is_common(folded):
                continue
            if not here.has(folded) and not around.has(folded):
                yield token.text

    def _place(self, texts: tuple[str, ...]) -> _Place:
        """Whole sources are looked through for every statement."""
        if texts not in self._places:
            self._places[texts] = _Place(texts)
        return self._places[texts]

    def _names_of(self, tokens: tuple[Token, ...], title: bool = False) -> Iterator[Name]:
        for run in runs_of(tokens):
            part: list[Token] = []
            for token in run:
                doubtful = title or token.opens or self._language == "de"
                before = _before(tokens, token)
                if token.folded in common_words.ADDRESS or (doubtful and not self._is_name(token, before, run)):
                    if part:
                        yield tuple(part)
                    part = []
                else:
                    part.append(token)
            if part:
                yield tuple(part)

    def _is_name(self, token: Token, before: Token | None, run: Name) -> bool:
        """Of a word whose capital says little."""
        if token.acronym or token.folded in self._names:
            return True
        if token.folded in self._lower or common_words.is_common(token.folded):
            return False
        if self._language == "en":
            return True
        if self._language == "de":
            if before is not None and (
                before.folded in _ARTICLES_DE
                or (not before.capital and before.folded.endswith(("e", "en", "er", "es", "em")))
            ):
                return False
            return len(run) > 1 and not any(_NOUN_DE.search(t.folded) and t.folded not in self._names for t in run[:1])
        return len(run) > 1

    def _in_place_of_another(self, name: Name, tokens: tuple[Token, ...], here: _Place) -> bool:
        """Does it stand among the words that another name has there, and not among its own?"""
        mine = _context(tokens, name)
        folded = {token.folded for token in name}
        own, other, by_whom = 0, 0, False
        passive = _passive(tokens)
        for sentence in here.bare:
            for run in self._names_of(sentence):
                if folded & {token.folded for token in run}:
                    own = max(own, _nearness(mine, _context(sentence, run)))
        for sentence in here.sentences:
            for run in self._names_of(sentence):
                theirs = {token.folded for token in run}
                score = _nearness(mine, _context(sentence, run))
                if folded & theirs or _abbreviated_by(name, run):
                    own = max(own, score)
                    by_whom = by_whom or passive != _passive(sentence)
                elif score > other and not _listed(sentence, run, folded):
                    other = score
        return other >= 4 and other >= own + 2 and not by_whom


def _quoted_as_source(text: str, name: Name) -> bool:
    """``according to Smith``: no pronoun is resolved so."""
    return re.search(r"\b(?:according to|laut|selon|según)\s+(?:the\s+)?$", text[: name[0].start], re.I) is not None


def _turned_round(tokens: tuple[Token, ...], here: _Place) -> Iterator[str]:
    """``Smith Ann`` for ``Ann Smith``, whether these are names or not."""
    for run in runs_of(tokens):
        for one, other in pairwise(run):
            pair = (one.folded, other.folded)
            both = one.folded in here.names and other.folded in here.names and pair[0] != pair[1]
            if both and pair not in here.pairs and (pair[1], pair[0]) in here.pairs:
                yield f"{one.text} {other.text}"


def _before(tokens: tuple[Token, ...], token: Token) -> Token | None:
    place = tokens.index(token)
    return tokens[place - 1] if place else None


def _shown(name: Name) -> str:
    return " ".join(token.text for token in name)


def _anaphors(text: str) -> int:
    words = re.findall(r"[^\W\d_]+", text.casefold())
    return sum(word in common_words.ANAPHORS for word in words) + len(common_words.DEFINITE.findall(text))


def _stands(name: Name, place: _Place) -> bool:
    """All its words are there, and those that are joined here are nowhere joined to others only."""
    if place.abbreviates(name):
        return True
    if not all(place.has(token.folded) for token in name):
        return False
    for one, other in pairwise(name):
        pair = (one.folded, other.folded)
        if pair in place.pairs:
            continue
        if (pair[1], pair[0]) in place.pairs:
            return False
        # Two names side by side: one has to end, and the other to begin a name there.
        if (
            pair[0] in place.words
            and pair[1] in place.words
            and (pair[0] not in place.ends or pair[1] not in place.starts)
        ):
            return False
    return True


def _in_full(name: Name, here: _Place, everywhere: _Place) -> bool:
    """A part of it is here, and the whole stands elsewhere in the source."""
    if len(name) < 2 or not any(token.folded in here.words for token in name):
        return False
    wanted = tuple(token.folded for token in name)
    known = {token.folded for token in name if token.folded in here.words}
    for run in everywhere.runs:
        folded = tuple(token.folded for token in run)
        for at in range(len(folded) - len(wanted) + 1):
            if folded[at : at + len(wanted)] == wanted:
                # Another bearer of the name here is somebody else.
                return not any(
                    known & {t.folded for t in other}
                    and len(other) > 1
                    and not {t.folded for t in other} >= set(wanted)
                    for other in here.runs
                )
    return False


def _context(tokens: Sequence[Token], name: Name) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The three words before it and the three behind it, nearest first; other names are marked as such."""
    first, last = tokens.index(name[0]), tokens.index(name[-1])
    before = [_seen(token) for token in reversed(tokens[max(0, first - 3) : first])]
    after = [_seen(token) for token in tokens[last + 1 : last + 4]]
    return tuple(before), tuple(after)


def _seen(token: Token) -> str:
    return "\0" if token.capital and not token.opens else token.folded


def _nearness(mine: tuple[tuple[str, ...], tuple[str, ...]], its: tuple[tuple[str, ...], tuple[str, ...]]) -> int:
    score = 0
    for own, other in zip(mine, its, strict=True):
        for place, word in enumerate(own):
            if word == "\0":
                continue
            weight = 1 if word in _LIGHT else 2
            if place < len(other) and other[place] == word:
                score += weight + (place == 0)
            elif word in other:
                score += weight - 1
        score += not own and not other
    return score


_LIGHT = listed(
    "a an the of in on at by for from to and or as is was are were be has have had with that which its their his her"
    " der die das und von mit im am le la les de des et en el los y il di e"
)


def _passive(tokens: Sequence[Token]) -> bool:
    return any(
        one.folded in ("was", "were", "been", "being", "is", "are", "be", "wurde", "wurden") for one in tokens
    ) and any(token.folded in ("by", "von", "durch") for token in tokens)


def _listed(sentence: Sequence[Token], run: Name, folded: set[str]) -> bool:
    """Do the two stand side by side in one list there?"""
    runs = list(runs_of(sentence))
    for one, other in pairwise(runs):
        pair = ({t.folded for t in one}, {t.folded for t in other})
        if {t.folded for t in run} in pair and any(folded & each for each in pair):
            between = sentence[list(sentence).index(one[-1]) + 1 : list(sentence).index(other[0])]
            if all(token.folded in ("and", "or", "und", "oder", "et", "y", "e") for token in between):
                return True
    return False
