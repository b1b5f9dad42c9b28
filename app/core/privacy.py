"""Personal data and secrets in a text: where they stand, and the text without them. Pure, offline, nothing learned.

``find`` reads a text as people do: digits of any script and width, without the characters that nobody sees, with
separators between digits, and with "(at)" and "dot" spelt out. What has a check digit is held to it.

Warning: it knows shapes. A name, a street, a diagnosis has none, and passes; so does what somebody set out to hide
(base64, numbers in words). Where that matters, submit with tier private.
"""

from __future__ import annotations

import ipaddress
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.core import identities
from app.core import sensitive as shapes

EMAIL, PHONE, IBAN, CARD, IP = "email", "phone", "iban", "card", "ip"
NATIONAL_ID, ACCOUNT, SECRET = "national-id", "account", "secret"
KINDS = (EMAIL, PHONE, IBAN, CARD, IP, NATIONAL_ID, ACCOUNT, SECRET)

_LEAST_DIGITS, _MOST_DIGITS = 9, 19
_MOST_GROUPS = 7
"""Of digits in one number, but for a number that is written digit by digit."""
_BESIDE = 40
"""Characters before a number in which a word may say what it is."""

# Every finding holds one of these characters, or one of the words below.
_TRIGGER = re.compile(r"[0-9@_=:({\[<-]")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20e3\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_DASHES = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u058a\u30fc", "-")
_STOPS = {"\u3002": ".", "\u2024": ".", "\u00b7": ".", "\u2022": ".", "\u06d4": "."}
_ORDINARY = {*"éèêëàâäáãåæçñöôóòõøüûúùíìîïßÉÈÊÀÂÄÁÅÆÇÑÖÔÓØÜÚÍ‘’“”„«»–—…€£©®™°•"} - {*_DASHES, *_STOPS, "…", "™"}

_PLAIN_VALUES = frozenset(
    {"true", "false", "none", "null", "required", "optional", "string", "password", "secret", "incorrect", "correct"}
)


@dataclass(frozen=True, slots=True)
class Span:
    """``text[start:end]`` is of that ``kind``."""

    kind: str
    start: int
    end: int


def find(text: str) -> tuple[Span, ...]:
    """Every finding in ``text``, in order, none overlapping another."""
    if text.isascii():
        if (_TRIGGER.search(text) is None and not _triggered(text)) or _dull(text):
            return ()
        return _united(_search(text))
    plain, places = _plain(text)
    if _TRIGGER.search(plain) is None and not _triggered(plain):
        return ()
    found = _united(_search(plain))
    if places is None:
        return found
    return tuple(Span(s.kind, places[s.start], places[s.end - 1] + 1) for s in found)


def _dull(text: str) -> bool:
    """Is it a text of short words, with a short number here and there, and no word that says what the number is? A
    quick look at what most texts are, so that the search is for the others."""
    if shapes.DULL.fullmatch(text) is None:
        return False
    lowered = " " + text.lower().replace('"', " ").replace("'", " ")
    return " dot " not in lowered and not any(word in lowered for word in shapes.TELLING_WORDS)


def kinds(spans: Iterable[Span]) -> dict[str, int]:
    """Kind → how many."""
    return dict(sorted(Counter(span.kind for span in spans).items()))


def _triggered(text: str) -> bool:
    return " dot " in text or " DOT " in text or "AKIA" in text or "eyJ" in text


def _plain(text: str) -> tuple[str, list[int] | None]:
    """``text`` in plain characters, and for each of them where it stood; None: each where it was."""
    parts: list[str] = []
    places: list[int] = []
    moved = False
    last = 0
    for match in _FOREIGN.finditer(text):
        char, at = match.group(), match.start()
        if char in _ORDINARY:
            continue
        if _UNSEEN.match(char):
            plain = ""
        elif char in _DASHES or char in _STOPS:
            plain = _DASHES.get(char) or _STOPS[char]
        elif (digit := unicodedata.decimal(char, -1)) >= 0:
            plain = str(digit)
        else:
            plain = unicodedata.normalize("NFKC", char)
            if plain == char:
                continue
        if len(plain) != 1 and not moved:
            moved = True
        parts += (text[last:at], plain)
        places += (*range(last, at), *([at] * len(plain)))
        last = at + 1
    if not parts:
        return text, None
    parts.append(text[last:])
    if not moved:
        return "".join(parts), None
    places += range(last, len(text))
    return "".join(parts), places


def _search(text: str) -> Iterator[Span]:
    """The parts of the search whose ground is there at all: a text costs what it holds, not what might be in it."""
    lowered = text.lower()
    if "@" in text or "%40" in text or "&#" in text or " dot " in lowered or _bracketed(text):
        yield from _emails(text)
    long = shapes.LONG.search(text) is not None
    if shapes.NEAR_DIGITS.search(text) is not None:
        yield from _numeric(text, lowered, long)
    elif long:
        yield from _lettered(text)
    if text.count(":") > 1:
        yield from _ipv6(text)
    if long or "://" in text or "-----" in text or "eyJ" in text or "xox" in text or "_live_" in text:
        yield from _keys(text)
    yield from _named(text, lowered)


def _numeric(text: str, lowered: str, long: bool) -> Iterator[Span]:
    """Where digits stand near each other; most such texts hold a date or a sum, and nobody's number."""
    clusters = [m.span() for m in shapes.CLUSTER.finditer(text)]
    most = max((_digits(text[slice(*cluster)]) for cluster in clusters), default=0)
    if long or most >= _LEAST_DIGITS or shapes.LETTER_AT_END.search(text) is not None:
        yield from _lettered(text)
    if text.count(".") > 2 or "[." in text or "(." in text or "[dot]" in lowered:
        for match in shapes.IPV4.finditer(text):
            if shapes.NOBODY.fullmatch(match.group()) is None:
                yield Span(IP, *match.span())
    if most == 0:
        return
    for start, end in clusters:
        yield from _called(text, start, end)
    if most >= _LEAST_DIGITS - 1:
        yield from _numbers(text)
    if "+" in text or most >= _LEAST_DIGITS:
        yield from _phones(text)
    if any(word in lowered for word in shapes.ACCOUNT_WORDS):
        for match in shapes.ACCOUNT.finditer(text):
            yield Span(ACCOUNT, *match.span("number"))


def _bracketed(text: str) -> bool:
    return ("(" in text or "[" in text or "{" in text or "<" in text) and _BRACKETED.search(text) is not None


_BRACKETED = re.compile(r"[(\[{<]\s?at\s?[)\]}>]", re.IGNORECASE)


def _emails(text: str) -> Iterator[Span]:
    for at in shapes.AT.finditer(text):
        before = shapes.LOCAL.search(text, max(0, at.start() - 150), at.start())
        if before is None:
            continue
        spelt = at["word"] is not None or " @" in at.group() or "@ " in at.group()
        domain = (shapes.SPELT_DOMAIN if at["word"] else shapes.DOMAIN).match(text, at.end())
        if domain is None or not before.group().strip(".'%&-+"):
            continue
        if spelt and at["word"] is None and not _KNOWN_TOP.search(domain.group()):
            continue
        yield Span(EMAIL, before.start(), domain.end())


_KNOWN_TOP = re.compile(r"(?:com|org|net|edu|gov|info|io|co|biz|de|uk|fr|es|it|nl|eu|us|ca|au|in|ch|at|se)$", re.I)


def _numbers(text: str) -> Iterator[Span]:
    """Cards, national ids and account numbers in runs of digits, with or without separators."""
    for match in shapes.IBAN.finditer(text):
        if (end := _iban_end(match.group())) is not None:
            yield Span(IBAN, match.start(), match.start() + end)
    if (shapes.RUN.search(text)) is None:
        return
    bare = shapes.UUID.sub(lambda m: "x" * len(m.group()), text) if "-" in text else text
    for run in shapes.RUN.finditer(bare):
        yield from _in_run(bare, run.start(), run.end())


def _iban_end(text: str) -> int | None:
    """Where an IBAN that begins ``text`` ends; None: none begins there."""
    wanted = identities.IBAN_LENGTHS.get(text[:2].upper(), 0)
    seen: list[str] = []
    for place, char in enumerate(text):
        if char.isalnum():
            seen.append(char.upper())
            if len(seen) == wanted:
                return place + 1 if identities.iban("".join(seen)) else None
    return None


_GROUP = re.compile(r"\d+")
_BY_LENGTH: dict[int, list[identities.Number]] = {}
for _number in identities.NUMBERS:
    _BY_LENGTH.setdefault(_number.length, []).append(_number)


def _in_run(text: str, start: int, end: int) -> Iterator[Span]:
    groups = [m.span() for m in _GROUP.finditer(text, start, end)]
    if start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        groups = groups[1:]
    if end < len(text) and (text[end].isalnum() or text[end] == "_"):
        groups = groups[:-1]
    most = _MOST_DIGITS if len(groups) <= _MOST_DIGITS else _MOST_GROUPS
    first = 0
    while first < len(groups):
        digits, sizes, best = "", [], 0
        kind = ""
        for last in range(first, min(len(groups), first + most)):
            digits += text[slice(*groups[last])]
            sizes.append(groups[last][1] - groups[last][0])
            if len(digits) > _MOST_DIGITS:
                break
            if len(digits) < _LEAST_DIGITS:
                continue
            within = _Within(
                first == 0 and last == len(groups) - 1,
                _goes_on(text, groups, first - 1, first) or _goes_on(text, groups, last + 1, last),
            )
            if known := _known(text, digits, sizes, groups[first : last + 1], within):
                best, kind = last + 1, known
        if best:
            yield Span(kind, groups[first][0], groups[best - 1][1])
        first = max(best, first + 1)


@dataclass(frozen=True, slots=True)
class _Within:
    """Where a number stands in its row of digits: is it the ``whole`` of it; is a ``longer`` row divided alike?"""

    whole: bool
    longer: bool


def _goes_on(text: str, groups: Sequence[tuple[int, int]], other: int, edge: int) -> bool:
    """Is the group beside the edge of a number as large as that, and as far from it as a digit group?"""
    if not 0 <= other < len(groups):
        return False
    (a, b), (c, d) = sorted((groups[other], groups[edge]))
    return b - a == d - c and c - b == 1


def _known(text: str, digits: str, sizes: list[int], groups: Sequence[tuple[int, int]], within: _Within) -> str | None:
    """What a number is, given how it is divided; None: nobody's, for all that is known."""
    marks = {text[a[1] : b[0]] for a, b in pairwise(groups)}
    whole = len(sizes) == 1
    regular = len(marks) < 2 and (len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0] <= 5)
    if all(size == 4 for size in sizes) and all(text[a : a + 2] in ("19", "20") for a, _ in groups):
        return None  # a row of years
    if len(sizes) == 2 and marks == {"."} and sizes[0] < 6 < sizes[1]:
        return None  # a fraction
    if len(sizes) > 1 and sizes[0] > 1 and all(text[a:b].endswith("00") or text[a:b] == "0" for a, b in groups):
        return None  # round numbers
    if (
        len(digits) >= 12
        and len(marks) < 2
        and ((regular and within.whole) or len(sizes) <= 6)
        and identities.card(digits)
    ):
        return CARD
    for number in _BY_LENGTH.get(len(digits), ()):
        laid = tuple(sizes) in number.layouts and not within.longer
        if not (laid or whole or (regular and within.whole and sizes[0] < 4)) or not number.valid(digits):
            continue
        if laid or (whole and number.alone) or _named_before(text, groups[0][0]):
            return NATIONAL_ID
        if not whole and number.alone:
            return NATIONAL_ID
    return None


def _named_before(text: str, at: int) -> bool:
    return shapes.IDENTIFIED.search(text, max(0, at - _BESIDE), at) is not None


def _phones(text: str) -> Iterator[Span]:
    for shape in shapes.PHONES:
        for match in shape.finditer(text):
            long = 9 <= _digits(match.group()) <= 16 or match.group()[0] == "+"
            if long and shapes.DATED.match(match.group()) is None:
                yield Span(PHONE, *match.span())


def _called(text: str, start: int, end: int) -> Iterator[Span]:
    """Digits after a word that says that they are to be called."""
    if 7 <= _digits(text[start:end]) <= 15 and shapes.DATED.match(text, start) is None:
        before = text[max(0, start - _BESIDE) : start]
        if shapes.CALLED.search(before) is not None:
            yield Span(PHONE, start - (before[-1:] in ("+", "(")), end)


def _digits(text: str) -> int:
    return sum(map(str.isdigit, text))


def _lettered(text: str) -> Iterator[Span]:
    for shape, valid in shapes.LETTERED:
        for match in shape.finditer(text):
            if valid(shapes.SIGNS.sub("", match.group()).upper() if shape is not _HETU else match.group().upper()):
                yield Span(NATIONAL_ID, *match.span())


_HETU = next(shape for shape, valid in shapes.LETTERED if valid is identities.hetu)
"""The sign within it is part of it."""


def _ipv6(text: str) -> Iterator[Span]:
    for match in shapes.IPV6.finditer(text):
        groups = [group for group in match.group().split(":") if group]
        if len(groups) < 2 or not any(c.isdigit() for c in match.group()) or max(map(len, groups)) < 3:
            continue
        try:
            ipaddress.IPv6Address(match.group())
        except ValueError:
            continue
        yield Span(IP, *match.span())


def _keys(text: str) -> Iterator[Span]:
    for shape in (shapes.KEY, shapes.PEM, shapes.WEBHOOK, shapes.CONNECTION):
        for match in shape.finditer(text):
            yield Span(SECRET, *match.span())


def _named(text: str, lowered: str) -> Iterator[Span]:
    if any(word in lowered for word in shapes.PAPER_WORDS):
        for match in shapes.PAPERS.finditer(text):
            yield Span(NATIONAL_ID, *match.span("number"))
    if not any(word in lowered for word in shapes.SECRET_WORDS):
        return
    for match in shapes.NAMED.finditer(text):
        value = match["value"].rstrip(".,;:!?)]}")
        if _secretive(value, written="=" in match["as"]):
            yield Span(SECRET, match.start("value"), match.start("value") + len(value))
    for match in shapes.FAINTLY_NAMED.finditer(text):
        if _random(match["value"]):
            yield Span(SECRET, *match.span("value"))
    for match in (*shapes.BEARER.finditer(text), *shapes.PIN.finditer(text)):
        yield Span(SECRET, *match.span("value"))


def _secretive(value: str, *, written: bool) -> bool:
    """Is what follows a word for a password one? ``written``: as in a program or a file of settings."""
    if len(value) < 5 or value[0] in "[{$%*<" or value.lower() in _PLAIN_VALUES or "***" in value:
        return False
    mixed = any(c.isdigit() for c in value) or any(c in "!@#$%^&*+=~" for c in value[:-1])
    return (mixed and any(c.isalpha() for c in value)) or (written and len(value) >= 6 and "(" not in value)


def _random(value: str) -> bool:
    """Letters and digits without order: at least three bits a character."""
    if not any(c.isdigit() for c in value) or not any(c.isalpha() for c in value):
        return False
    counts = Counter(value).values()
    return -sum(n * math.log2(n / len(value)) for n in counts) / len(value) >= 3.0


def _united(spans: Iterable[Span]) -> tuple[Span, ...]:
    """In order; those that overlap are one, of the kind of the longest."""
    united: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if united and span.start < united[-1].end:
            before = united[-1]
            kind = before.kind if before.end - before.start >= span.end - span.start else span.kind
            united[-1] = Span(kind, before.start, max(before.end, span.end))
        else:
            united.append(span)
    return tuple(united)
