"""Planted falsehoods: what a lying model makes of a sentence, and the list of the lies it told.

    number   a digit, a scale or a number in words is changed into one that does not stand in the sentences cited
    quote    a word of a quotation is changed; where there is none, one is invented
    name     a name is swapped with another from the dossier, or with an invented one

A lie is a function of seed, model and sentence. Where a sentence has no place for one kind, the next is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from app.simulator.comparing import NUMBER_WORDS, SCALES, STOP_WORDS, numbers, quotations, words
from app.simulator.weather import roll

KINDS = ("number", "quote", "name")
_FIGURE = re.compile(r"\d[\d.,:]*\d|\d")
_COUNTED = re.compile(rf"\b(?:{'|'.join((*NUMBER_WORDS, *SCALES))})\b", re.IGNORECASE)
_INSIDE = re.compile(r"(?<=[\"“„«])[^\"“”„«»]+(?=[\"”“»])")
_NAME = re.compile(r"(?<![.!?:\"“] )(?<![\"“„])(?<!^)\b[A-Z][a-zé]+(?: [A-Z][a-zé]+)*\b")
_DATES = """
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August
    September October November December
"""
_NO_NAMES = frozenset(_DATES.split())
_INVENTED_NAMES = ("Horatio Blenkinsop", "Verena Achterberg", "Thaddeus Quill", "Lavinia Sproat", "Port Ambrose")
_INVENTED_WORDS = ("disaster", "scandal", "triumph", "nonsense", "fortune", "shame")
_INVENTED_QUOTES = (
    "nobody told us anything until it was far too late",
    "this is the greatest day in our history",
    "we shall fight this decision in every court",
)
_TRIES = 9


@dataclass(frozen=True, slots=True)
class Lie:
    """``text``: as it was said; ``was``: the sentence before it was falsified."""

    model: str
    kind: str
    text: str
    was: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Liar:
    """``told`` is where its lies are written down, each once."""

    def __init__(self, rate: Callable[[str], float], kinds: Sequence[str], seed: int, told: dict[Lie, None]) -> None:
        self._rate = rate
        self._kinds = tuple(kinds)
        self._seed = seed
        self._told = told

    def say(self, model: str, text: str, cited: Iterable[str], dossier: Sequence[str]) -> str:
        """The sentence as this model writes it: mostly as it is. ``dossier``: all sentences it may know names from."""
        if not self._kinds or self._chance(model, text, "lies") >= self._rate(model):
            return text
        first = int(self._chance(model, text, "kind") * len(self._kinds))
        for kind in (*self._kinds[first:], *self._kinds[:first]):
            lie = self._falsified(kind, model, text, "\n".join(cited), dossier)
            if lie is not None and lie != text:
                self._told[Lie(model, kind, lie, text)] = None
                return lie
        return text

    def _chance(self, *parts: str) -> float:
        return roll(self._seed, *parts)

    def _one_of(self, choices: Sequence[str], *parts: str) -> str:
        return choices[int(self._chance(*parts) * len(choices))]

    def _falsified(self, kind: str, model: str, text: str, cited: str, dossier: Sequence[str]) -> str | None:
        match kind:
            case "number":
                return self._wrong_number(model, text, cited)
            case "quote":
                return self._wrong_quote(model, text, cited)
            case _:
                return self._wrong_name(model, text, cited, dossier)

    def _wrong_number(self, model: str, text: str, cited: str) -> str | None:
        places = [*_FIGURE.finditer(text), *_COUNTED.finditer(text)]
        if not places:
            return None
        place = places[int(self._chance(model, text, "where") * len(places))]
        for turn in range(_TRIES):
            other = self._other_number(place[0], model, text, str(turn))
            lie = text[: place.start()] + other + text[place.end() :]
            if numbers(lie) - numbers(cited) - numbers(text):
                return lie
        return None

    def _other_number(self, figure: str, *parts: str) -> str:
        if figure.lower() in SCALES:
            return self._one_of([scale for scale in SCALES if scale != figure.lower()], *parts, "scale")
        if not figure[0].isdigit():
            other = self._one_of([word for word in NUMBER_WORDS if word != figure.lower()], *parts, "word")
            return other.capitalize() if figure[0].isupper() else other
        digits = [at for at, sign in enumerate(figure) if sign.isdigit()]
        at = digits[int(self._chance(*parts, "digit") * len(digits))]
        others = [sign for sign in "123456789" if sign != figure[at]]
        return figure[:at] + self._one_of(others, *parts, "by") + figure[at + 1 :]

    def _wrong_quote(self, model: str, text: str, cited: str) -> str:
        inside = _INSIDE.search(text)
        if inside is None or not quotations(text):
            said = self._one_of(_INVENTED_QUOTES, model, text, "quote")
            return f'{text} "{said[0].upper()}{said[1:]}," a spokesman said.'
        said = inside[0]
        places = [found for found in re.finditer(r"[^\W\d_]{4,}", said) if found[0].lower() not in STOP_WORDS]
        fresh = [word for word in _INVENTED_WORDS if word not in words(cited)]
        if not places:
            return f"{text[: inside.end()]} and a {fresh[0]}{text[inside.end() :]}"
        place = places[int(self._chance(model, text, "where") * len(places))]
        changed = said[: place.start()] + self._one_of(fresh, model, text, "by") + said[place.end() :]
        return text[: inside.start()] + changed + text[inside.end() :]

    def _wrong_name(self, model: str, text: str, cited: str, dossier: Sequence[str]) -> str | None:
        places = _names(text)
        if not places:
            return None
        place = places[int(self._chance(model, text, "where") * len(places))]
        known = {found[0] for sentence in dossier for found in _names(sentence)}
        here = set(words(cited)) | set(words(text))
        others = sorted(name for name in known if not here & set(words(name)))
        other = self._one_of(others or _INVENTED_NAMES, model, text, "by")
        return text[: place.start()] + other + text[place.end() :]


def _names(text: str) -> list[re.Match[str]]:
    """Where names stand that do not open a sentence."""
    return [
        found
        for found in _NAME.finditer(text)
        if not _NO_NAMES.intersection(found[0].split()) and found[0].split()[0].lower() not in STOP_WORDS
    ]
