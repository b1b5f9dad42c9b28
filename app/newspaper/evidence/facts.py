"""The mechanical check: do the numbers, quotations and names of a statement stand in the sentences it cites? Pure.

Where each may come from:

- a number: from a cited sentence, with the same value and unit. Where another number there stands among the same words
  and this one does not, it has been put in that one's place.
- a quotation: word by word from a cited sentence, or one that runs on into its neighbours; of a speaker, only what
  stands between quotation marks there, and is that speaker's (``speaking``). Nobody says ``we`` who does not there.
- a name: from a cited sentence. From the sentence before it, or the title, only as far as the statement has fewer
  pronouns than the sentence it cites: each may be resolved once. A name that stands among the words of another has been
  put in that one's place (``naming``).

Warning: it sees no meaning. A denial, a wrong verb, a right number of the wrong thing told in other words: these are
for the second model. Names are looked at in scripts that have capitals only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.newspaper.evidence import alignment, naming, numerals, speaking, support
from app.newspaper.evidence.capitals import without_brackets
from app.newspaper.evidence.common_words import listed
from app.newspaper.evidence.number import Number
from app.newspaper.evidence.number_words import language_of
from app.newspaper.evidence.quotations import flat
from app.newspaper.evidence.speaking import blanked
from app.newspaper.material import Claim, Dossier, Source
from app.newspaper.ploys import ploys

FaultKind = Literal["number", "quote", "name", "citation", "support", "instruction"]
_TOLD = {
    "number": "a number that its sources do not have",
    "quote": "a quotation that its sources do not have",
    "name": "a name that its sources do not have there",
    "citation": "it did not say which sentences it rests on",
    "support": "it told what its sources do not tell",
    "instruction": "it held markup, a link or an instruction",
}
_UNPRINTABLE = re.compile(
    r"<\s*[/!?a-z]|&(?:#x?[0-9a-f]+|[a-z]{2,8});|\]\(|\b(?:https?|ftp|file|data|javascript)\s*:\s*\S|\bwww\.\w|```",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Fault:
    """``what``: the number, quotation or name itself; it is for the writer, and stands in nothing that is printed."""

    kind: FaultKind
    what: str

    @property
    def said(self) -> str:
        """To the writer."""
        match self.kind:
            case "number":
                return f"the number {self.what!r} does not stand so in the cited sentences"
            case "quote":
                return f"the quotation {self.what!r} does not stand so in the cited sentences, or is somebody else's"
            case "name":
                return f"the name {self.what!r} does not stand so in the cited sentences; cite the one that names it"
            case "citation":
                return "it cites no sentence of the sources, or too many; cite the one or two that it is taken from"
            case "support":
                return "it tells next to nothing of what the cited sentences tell"
            case "instruction":
                return "it holds markup, a link or an instruction"

    @property
    def told(self) -> str:
        """To readers."""
        return _TOLD[self.kind]


def faults(claim: Claim, dossier: Dossier, language: str = "en") -> tuple[Fault, ...]:
    """What is wrong with a statement. ``language``: that it is written in."""
    return Evidence(dossier, language).faults(claim)


class Evidence:
    """A dossier, prepared for checking many statements against it."""

    def __init__(self, dossier: Dossier, language: str = "en") -> None:
        self._dossier = dossier
        self._language = language
        self._sources = {source.id: source for source in dossier.sources}
        self._owner = {id: source.id for source in dossier.sources for id in source.sentences}
        self._owner |= {f"{source.id}.0": source.id for source in dossier.sources}
        self._languages = {
            source.id: language_of(" ".join([source.title, *source.sentences.values()][:40]), language)
            for source in dossier.sources
        }
        self._profile = naming.Profile(
            [text for source in dossier.sources for text in (source.title, *source.sentences.values())], language
        )

    def faults(self, claim: Claim) -> tuple[Fault, ...]:
        """In the order instruction, citation, quote, number, name, support."""
        if ploys(claim.text) or support.orders(claim.text) or _UNPRINTABLE.search(claim.text):
            return (Fault("instruction", ""),)
        cited = [id for id in dict.fromkeys(claim.cites) if id in self._owner]
        if not cited or not claim.text.strip():
            return (Fault("citation", ""),)
        text, language = numerals.plain(claim.text, self._language), self._language
        stretches = list(self._stretches(cited))
        tellers = list(dict.fromkeys(self._sources[self._owner[id]].name for id in cited))
        quoted = speaking.quotations_of(text)
        wrong = [
            Fault("quote", each.inner.strip()[:80]) for each in quoted if speaking.wrong(each, text, stretches, tellers)
        ]
        if said := speaking.put_into_a_mouth(text, stretches):
            wrong.append(Fault("quote", said[:80]))
        if language == "en" and not any(speaking.first_person(self._text(id)) for id in cited):
            said = speaking.first_person(blanked(text, quoted))
            wrong.extend([Fault("quote", said)] if said else [])
        # Words that stand there as they are bring their numbers and names with them.
        outside = blanked(text, [each for each in quoted if len(flat(each.inner).split()) > 2]) if not wrong else text
        wrong.extend(Fault("number", said) for said in self._wrong_numbers(outside, cited, language))
        wrong.extend(Fault("name", said) for said in self._wrong_names(outside, cited))
        if not wrong:
            wrong.extend(self._exchanged(outside, cited))
        if not wrong and self._profile.has_capitals and not self._retells(text, cited):
            wrong.append(Fault("support", ""))
        return tuple(dict.fromkeys(wrong))

    # Where things stand

    def _text(self, id: str) -> str:
        """A sentence; of a source its title."""
        source = self._sources[self._owner[id]]
        return source.sentences.get(id, source.title)

    def _stretches(self, cited: list[str]) -> Iterator[list[str]]:
        """The cited sentences of a source with their neighbours on either side, each run of them by itself; titles."""
        wanted = set(cited)
        for source in self._sources.values():
            ids = list(source.sentences)
            near = [any(other in wanted for other in ids[max(0, n - 1) : n + 2]) for n in range(len(ids))]
            run: list[str] = []
            for id, is_near in zip(ids, near, strict=True):
                if is_near:
                    run.append(source.sentences[id])
                elif run:
                    yield run
                    run = []
            if run:
                yield run
            if any(self._owner[id] == source.id for id in cited):
                yield [source.title]

    def _retells(self, text: str, cited: list[str]) -> bool:
        owners = {self._owner[id] for id in cited}
        if any(language_of(" ".join(_all_of(self._sources[id])[:40]), "") != self._language for id in owners):
            return True  # in another language, or in one that is not known
        return support.retells(text, [part for id in cited for part in (self._text(id), *self._before(id))])

    # Numbers

    def _wrong_numbers(self, text: str, cited: list[str], language: str) -> Iterator[str]:
        claimed = numerals.numbers(text, language)
        if not claimed:
            return
        standing: list[tuple[Number, tuple[str, ...]]] = []
        told: list[tuple[frozenset[str], tuple[Number, ...]]] = []
        for id in cited:
            spoken = self._languages[self._owner[id]]
            there = numerals.plain(self._text(id), spoken)
            found = numerals.numbers(there, spoken)
            standing.extend((each, _around(there, each)) for each in found)
            told.append((frozenset(word[:5] for word in _TOKEN.findall(there.casefold())), found))
        romans = any(number.kind == "roman" for number, _ in standing)
        years = {year for number, _ in standing for year, _, _ in number.dates}
        years |= {int(v) for number, _ in standing for v in number.values if number.kind == "count" and v == int(v)}
        for number in claimed:
            if number.kind == "roman" and not romans:
                continue
            right = [around for other, around in standing if numerals.same(number, other) or _is_year(number, other)]
            said_years = {year for year, _, _ in number.dates if year}
            if not right and number.kind == "code" and self._spelled(number.code, cited):
                continue
            if not right or (said_years and not said_years & years):
                yield text[number.start : number.end].strip()
                continue
            mine = _around(text, number)
            others = [
                around
                for other, around in standing
                if other.kind == number.kind and not numerals.same(number, other) and not _is_year(number, other)
            ]
            if number.kind == "count" and _how_often(number, claimed) > _how_often(number, [n for n, _ in standing]):
                yield text[number.start : number.end].strip()  # more often than there: in the place of another
                continue
            if number.kind == "count" and number.units <= {"", "%"} and _of_another(number, mine, told):
                yield text[number.start : number.end].strip()
                continue
            best = max(_alike(mine, around) for around in right)
            if number.kind != "ordinal" and any(_alike(mine, around) >= best + 3 for around in others):
                yield text[number.start : number.end].strip()

    def _spelled(self, code: str, cited: list[str]) -> bool:
        """``COVID-19`` as ``Covid 19``."""
        told = "\n".join(re.sub(r"[^\w\n]|_", "", self._text(id)).casefold() for id in cited)
        return any(c.isalpha() for c in code) and re.search(rf"{re.escape(code)}(?!\d)", told) is not None

    def _exchanged(self, text: str, cited: list[str]) -> Iterator[Fault]:
        """What stands in the place of another number or name in the sentence that the statement retells. Where it may
        retell several, as lines of a list, one without such an exchange is enough."""
        mine = self._laid_out(text, self._language)
        found: list[tuple[alignment.Mark, ...]] = []
        for id in cited:
            spoken = self._languages[self._owner[id]]
            for there in without_brackets(numerals.plain(self._text(id), spoken)):
                marks = alignment.exchanged(mine, self._laid_out(there, spoken), self._agree)
                if marks == ():
                    return
                if marks is not None:
                    found.append(marks)
        for mark in min(found, key=len, default=()):
            yield Fault("number" if mark.kind == "#" else "name", text[mark.start : mark.end].strip())

    def _laid_out(self, text: str, language: str) -> alignment.Laid:
        return alignment.laid_out(text, numerals.numbers(text, language), self._profile.names(text))

    @staticmethod
    def _agree(mine: alignment.Mark, its: alignment.Mark) -> bool:
        if isinstance(mine.what, Number) and isinstance(its.what, Number):
            coded = (mine.what.kind == "code") != (its.what.kind == "code")
            return coded or numerals.same(mine.what, its.what) or _is_year(mine.what, its.what)
        if isinstance(mine.what, Number) or isinstance(its.what, Number):
            return True
        return naming.related(mine.what, its.what)

    # Names

    def _wrong_names(self, text: str, cited: list[str]) -> Iterator[str]:
        sources = list(dict.fromkeys(self._owner[id] for id in cited))
        if not self._profile.has_capitals:
            return
        yield from self._profile.misplaced(
            text,
            [self._text(id) for id in cited],
            near=[each for id in cited for each in self._before(id)],
            whole=[t for id in sources for t in _all_of(self._sources[id])],
            tellers=[self._sources[id].name for id in sources],
        )

    def _before(self, id: str) -> list[str]:
        source = self._sources[self._owner[id]]
        ids = list(source.sentences)
        if id not in source.sentences:
            return []
        place = ids.index(id)
        return [source.title, *([source.sentences[ids[place - 1]]] if place else [])]


def _of_another(
    number: Number, mine: tuple[str, ...], told: Sequence[tuple[frozenset[str], tuple[Number, ...]]]
) -> bool:
    """Does what it counts stand in a cited sentence without that number, and not in those that have it?"""
    holding = [
        words for words, found in told if any(numerals.same(number, each) or _is_year(number, each) for each in found)
    ]
    counted = [stem for stem in mine[3:] if stem not in ("", "perce")]
    if not counted or any(stem in words for stem in counted for words in holding):
        return False
    return any(counted[0] in words for words, _ in told)


def _how_often(number: Number, among: Sequence[Number]) -> int:
    """How often its value stands there, in whatever unit."""
    years = sum(bool(number.values & {year for year, _, _ in each.dates}) for each in among)
    return years + sum(each.kind in ("count", "share") and bool(each.values & number.values) for each in among)


def _all_of(source: Source) -> list[str]:
    return [source.title, *source.sentences.values()]


def _is_year(claimed: Number, stands: Number) -> bool:
    """A year by itself may stand in a date there."""
    years = {year for year, _, _ in stands.dates if year}
    return claimed.kind == "count" and bool(years & set(claimed.values)) and claimed.units == {""}


_TOKEN = re.compile(r"[^\W_]+")
_SMALL = listed(
    "a an the of in on at by for from to and or as is was are were be been has have had with that which its their his"
    " her our more than about some over nearly almost around der die das ein eine und von mit im am auf le la les de"
    " des et en el los las y il lo di e"
)


def _around(text: str, number: Number) -> tuple[str, ...]:
    """(word before, content word before, word after, content word after, the one behind it), in short stems."""
    before = _TOKEN.findall(text[max(0, number.start - 80) : number.start].casefold())
    after = _TOKEN.findall(text[number.end : number.end + 80].casefold())
    heavy_before = [word for word in before if word not in _SMALL and not word.isdigit()]
    heavy = [word for word in after if word not in _SMALL and not word.isdigit()] + ["", ""]
    unit = text[number.start : number.end].casefold()
    own = _TOKEN.findall(unit)
    if number.units != {""} and own and own[-1].isalpha():
        heavy = [own[-1], *heavy]
    return (
        before[-1] if before else "",
        heavy_before[-1][:5] if heavy_before else "",
        after[0] if after else "",
        heavy[0][:5],
        heavy[1][:5],
    )


def _alike(mine: tuple[str, ...], its: tuple[str, ...]) -> int:
    """How far two numbers stand among the same words: the thing counted weighs most."""
    score = 3 * (mine[3] != "" and mine[3] == its[3])
    score += mine[3] != "" and mine[3] == its[4]
    score += mine[1] != "" and mine[1] == its[1]
    score += (mine[0] != "" and mine[0] == its[0]) + (mine[2] != "" and mine[2] == its[2])
    return score
