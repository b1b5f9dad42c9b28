"""The numbers of a text, whatever they are spelled like, and whether two of them are the same. Pure, exact.

Digits (``1,234.5``, ``1.234,5``, ``1 234``), words (``twenty-three``, ``half a million``, ``dreiundzwanzig``), percent,
money, measures, ordinals, shares (``two thirds``, ``half``), multiples (``doubled``), vague ones (``thousands``), times
of day and dates (``moments``), and codes that hold digits (``COVID-19``, ``18F``). Words are read in five languages
(``number_words``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from app.newspaper.evidence import moments
from app.newspaper.evidence import number_words as words
from app.newspaper.evidence.number import Kind, Number

_FRACTIONS = {c: unicodedata.normalize("NFKC", c).replace("⁄", "/") for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"}
_SUPERSCRIPT = re.compile("[¹²³⁰⁴-⁹]+")
_GROUPED = re.compile("(?<=\\d)[\u00a0\u202f\u2009'’](?=\\d{3}(?!\\d))")
_GROUPED_BY_BLANKS = re.compile(r"(?<![\d.,])(\d{1,3}(?: \d{3})+)(?![\d])")


def plain(text: str, language: str = "en") -> str:
    """The text with one spelling for blanks, fractions and digits, which all places in it refer to."""
    for character, spelled in _FRACTIONS.items():
        if character in text:
            text = text.replace(character, f" {spelled}")
    text = _GROUPED.sub("", _SUPERSCRIPT.sub("", text))
    if language != "en":
        text = _GROUPED_BY_BLANKS.sub(lambda found: found.group().replace(" ", ""), text)
    text = unicodedata.normalize("NFKC", text).replace("−", "-").replace("‐", "-").replace("‑", "-")
    return "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)


@lru_cache(maxsize=4096)
def numbers(text: str, language: str) -> tuple[Number, ...]:
    """Of a ``plain`` text, in their order. ``language`` decides what a comma and a word mean."""
    found: list[Number] = []
    taken = bytearray(len(text))
    for reader in (moments.dates, moments.times, _parts, _digits, _words, _singles, _groups, _romans):
        for number in reader(text, language):
            if not any(taken[number.start : number.end]):
                taken[number.start : number.end] = b"\1" * (number.end - number.start)
                found.append(number)
    found.sort(key=lambda number: number.start)
    return tuple(_inherited(text, found))


def same(claimed: Number, stands: Number) -> bool:
    """Does ``stands``, a number of a source, bear out ``claimed``?"""
    if claimed.kind == "date":
        return any(_agrees(one, other) for one in claimed.dates for other in stands.dates)
    if claimed.kind in ("code", "weekday", "time", "ordinal", "roman"):
        shared = bool(claimed.values & stands.values)
        return claimed.kind == stands.kind and (claimed.code == stands.code if claimed.code else shared)
    if claimed.kind == "vague":
        return any(_vaguely(least, stands) for least in claimed.values)
    if stands.kind in ("vague", "date", "code", "weekday", "time", "ordinal", "roman"):
        return False
    if {claimed.kind, stands.kind} == {"share", "count"}:
        counted = claimed if claimed.kind == "count" else stands
        return (
            "%" in counted.units
            and {v * 100 for v in (claimed if counted is stands else stands).values} & set(counted.values) != set()
        )
    if claimed.kind != stands.kind:
        return False
    return bool(claimed.values & stands.values) and any(
        _one_unit(mine, its) for mine in claimed.units for its in stands.units
    )


def _one_unit(mine: str, its: str) -> bool:
    """Equal; or one of them names none, and it is not one that makes another number of it."""
    if mine == its:
        return True
    if mine == "":
        return its not in ("%", "pp")
    return its == "" and mine in _UNMARKED


_UNMARKED = frozenset(words.MEASURES.values())


def _agrees(claimed: tuple[int, int, int], stands: tuple[int, int, int]) -> bool:
    """What the claim says of a date stands there; a year may stand elsewhere, and is looked for by itself."""
    (year, month, day), (its_year, its_month, its_day) = claimed, stands
    if month != its_month or (day and day != its_day):
        return False
    return not year or not its_year or year == its_year


def _vaguely(least: Fraction, stands: Number) -> bool:
    if stands.kind == "vague":
        return least in stands.values
    if stands.units == {""} and stands.end - stands.start == 4 and all(1900 <= v < 2100 for v in stands.values):
        return False  # a year
    return stands.kind == "count" and any(2 * least <= value < 1000 * least for value in stands.values)


# Counts -------------------------------------------------------------------------------------------------------------


def _any(spellings: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, spellings), key=len, reverse=True))


@lru_cache(maxsize=16)
def _scale_after(language: str) -> re.Pattern[str]:
    scales = words.SCALES.get(language)
    return re.compile(rf"[\s-]*({_any(scales)})(?!\w)\.?" if scales else "(?!)", re.I)


_CURRENCY_BEFORE = re.compile(r"(US\$|C\$|A\$|HK\$|[$€£¥₹₽₩]|\b(?:USD|EUR|GBP|CHF|JPY))\s?$", re.I)
_POINTS = re.compile(rf"\s*-?(?:{_any(words.POINTS)})(?!\w)", re.I)
_PERCENT = re.compile(rf"\s*-?(?:{_any(words.PERCENT)})(?!\w)", re.I)
_CURRENCY_AFTER = re.compile(rf"\s*-?({_any(words.CURRENCIES)})(?!\w)", re.I)
_MEASURE_AFTER = re.compile(rf"\s*-?({_any(words.MEASURES)})(?![\w])", re.I)
_TIMES_AFTER = re.compile(r"\s*-?(?:times|fold|fach|mal|fois|veces|volte|x)(?!\w)", re.I)
_ORDINAL_AFTER = re.compile(r"(?:st|nd|rd|th)(?!\w)")
_SHORT_AFTER = re.compile(rf"\s?({_any(words.SHORT_SCALES)})(?!\w)")
_GLUED = re.compile(r"[^\W\d_][\w-]*")
_RAW = re.compile(r"\d+(?:[.,]\d+)*")
_CODE_BEFORE = re.compile(r"(?<![^\W_])[^\W\d_]*[A-Z][^\W\d_]*[-_]?$|(?<![^\W_])[^\W\d_]+$")
_PARTS = re.compile(rf"\b(?:(a|an|one|two|three|four|five|six|seven|\d)[\s-]+)?({_any(words.ENGLISH_PARTS)})\b", re.I)
_SLASHED_PART = re.compile(r"(?<![\d/.,])(?:(\d+)\s+)?(\d)/(\d{1,2})(?![\d/])")


def _parts(text: str, language: str) -> Iterator[Number]:
    """``two thirds``, ``a quarter of``, ``3/4``. Without a count an ordinal word is none (``the third``)."""
    for match in _SLASHED_PART.finditer(text):
        if int(match[3]):
            value = int(match[1] or 0) + Fraction(int(match[2]), int(match[3]))
            yield _counted(text, match.start(), match.end(), value, language, "share" if not match[1] else "count")
    if language != "en":
        return
    for match in _PARTS.finditer(text):
        count, part = (match[1] or "").casefold(), match[2].casefold()
        of = re.match(r"\s+of\b", text[match.end() :]) is not None
        if part in ("half", "halves") or not count or (count in ("a", "an", "one") and not of and count != "one"):
            continue
        many = 1 if count in ("a", "an", "one") else words.UNITS["en"].get(count) or int(count)
        if many == 1 or part.endswith("s") or of:
            yield Number("share", match.start(), match.end(), frozenset({Fraction(many, words.ENGLISH_PARTS[part])}))


def _digits(text: str, language: str) -> Iterator[Number]:
    for match in _RAW.finditer(text):
        start, end = match.span()
        before = _CODE_BEFORE.search(text, max(0, start - 30), start)
        scaled = _suffix(
            text, end, language, money=_CURRENCY_BEFORE.search(text[max(0, start - 5) : start]) is not None
        )
        after = _GLUED.match(text, end) if scaled == end and not _ORDINAL_AFTER.match(text, end) else None
        if after is not None and re.match(r"\d+(?:[.,]\d+)*s$", text[start : after.end()]) is None:
            end = after.end()
        capital = before is not None and (not before[0].endswith("-") or any(c.isupper() for c in before[0]))
        if capital and before is not None and not _CURRENCY_BEFORE.search(before[0]):
            yield _code(text, before.start(), end)
        elif after is not None:
            yield _code(text, start, end)
        else:
            yield from _read(text, start, match.end(), language)


def _code(text: str, start: int, end: int) -> Number:
    return Number("code", start, end, code=re.sub(r"[\W_]", "", text[start:end]).casefold())


def _suffix(text: str, at: int, language: str, *, money: bool = False) -> int:
    """Where the unit that is glued to a number, or follows it, ends; ``at`` where there is none."""
    for pattern in (_POINTS, _PERCENT, _SHORT_AFTER, _CURRENCY_AFTER, _MEASURE_AFTER, _TIMES_AFTER):
        if found := pattern.match(text, at):
            return found.end()
    if money and (found := re.compile(r"m(?!\w)").match(text, at)):
        return found.end()
    found = _scale_after(language).match(text, at)
    return found.end() if found else at


def _read(text: str, start: int, end: int, language: str) -> Iterator[Number]:
    raw = text[start:end]
    if re.match(r"0\d", raw):  # an area code, a version
        yield Number("code", start, end, code=raw)
        return
    value = _value(raw, language)
    if value is None:  # "2.0.1" is a version, "1,2,3" a list
        if "," not in raw:
            yield Number("code", start, end, code=raw)
            return
        for each in re.finditer(r"[\d.]+", raw):
            yield from _read(text, start + each.start(), start + each.end(), language)
        return
    if _ORDINAL_AFTER.match(text, end) or (language == "de" and re.match(r"\.\s+[a-zäöü]", text[end : end + 4])):
        yield Number("ordinal", start, min(len(text), end + 2), frozenset({value}))
    elif len(raw) in (2, 4) and re.match(r"s\b", text[end:]):
        yield Number("code", start, end + 1, code=raw[-2:] + "s")  # the 1990s, the '90s
    else:
        yield _counted(text, start, end, value, language)


def _value(raw: str, language: str) -> Fraction | None:
    """By the language: what stands before the last three digits, and what before decimals."""
    marks = set(raw) - set("0123456789")
    if not marks:
        return Fraction(int(raw[:400]))
    group, point = (",", ".") if language in ("en", "zh", "ja", "ko", "he", "th", "hi") else (".", ",")
    if len(marks) == 2:
        group, point = sorted(marks, key=raw.rfind)
        if raw.count(point) > 1:
            return None
    mark = next(iter(marks)) if len(marks) == 1 else ""
    if mark in (group, "") or raw.count(mark) > 1:
        whole, _, rest = raw.partition(point) if mark == "" else (raw, "", "")
        groups = whole.split(mark or group)
        if len(groups[0]) <= 3 and groups[0] != "0" and all(len(each) == 3 for each in groups[1:]):
            return Fraction("".join(groups) + (f".{rest}" if rest else ""))
        if mark == "" or raw.count(mark) > 1:
            return None
        if mark == "," and language == "en" and len(groups[-1]) != 1 and len(groups[-1]) != 2:
            return None
    return Fraction(raw.replace(mark, ".")[:400])


def _counted(text: str, start: int, end: int, value: Fraction, language: str, kind: Kind = "count") -> Number:
    """A number with the scale and the unit around it."""
    before = _CURRENCY_BEFORE.search(text[max(0, start - 5) : start])
    unit = words.CURRENCIES[before[1].casefold()] if before else ""
    begin = start - (len(before[0]) if before else 0)
    sign = re.search(r"(?:^|[\s(])(-|minus )$", text[max(0, begin - 8) : begin])
    if sign and not re.search(r"\d\s*-$", text[max(0, begin - 8) : begin]):
        value = -value
    while found := _scale_after(language).match(text, end):
        value, end, kind = value * words.SCALES[language][found[1].casefold()], found.end(), "count"
    if end == start or text[end - 1].isdigit():
        if found := _SHORT_AFTER.match(text, end):
            value, end = value * words.SHORT_SCALES[found[1]], found.end()
        elif unit and (found := re.compile(r"m(?!\w)").match(text, end)):
            value, end = value * 10**6, found.end()
    for pattern, named in ((_POINTS, "pp"), (_PERCENT, "%")):
        if found := pattern.match(text, end):
            return Number("count", begin, found.end(), frozenset({value}), frozenset({named}))
    if found := _TIMES_AFTER.match(text, end):
        return Number("times", begin, found.end(), frozenset({value}))
    if unit == "" and (found := _CURRENCY_AFTER.match(text, end)):
        unit, end = words.CURRENCIES[found[1].casefold()], found.end()
    elif unit == "" and (found := _MEASURE_AFTER.match(text, end)):
        unit, end = words.MEASURES[found[1].casefold()], found.end()
    return Number(kind, begin, end, frozenset({value}), frozenset({unit}))


# Words --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _phrase(language: str) -> re.Pattern[str] | None:
    units, scales, ordinals = (table.get(language, {}) for table in (words.UNITS, words.SCALES, words.ORDINALS))
    if not units:
        return None
    any_word = _any({*units, *scales, *ordinals})
    return re.compile(rf"(?<![\w])(?:{any_word})(?:(?:\s+and\s+|\s+|-)(?:{any_word}))*(?!\w)", re.I)


def _words(text: str, language: str) -> Iterator[Number]:
    pattern = _phrase(language)
    for match in pattern.finditer(text) if pattern is not None else ():
        yield from _composed(text, match, language)


def _composed(text: str, match: re.Match[str], language: str) -> Iterator[Number]:
    """The numbers of a run of number words: ``one hundred and five`` is one, ``two, three`` and ``one two`` are two."""
    units, scales = words.UNITS[language], words.SCALES[language]
    total = part = Fraction(0)
    start: int | None = None
    end = match.start()
    last = 10**18
    for each in re.finditer(r"[^\s-]+(?:-(?:sept|huit|neuf))?", match.group()):
        word, at = each.group().casefold(), match.start() + each.start()
        ordinal = words.ORDINALS[language].get(word)
        value = units.get(word, ordinal)
        if word == "and":
            continue
        if value is not None:
            if start is not None and (value >= 100 or last < 20 or (last < 100 and value >= 10)) and last < 100:
                yield _counted(text, start, end, total + part, language)
                start, total, part, last = None, Fraction(0), Fraction(0), 10**18
            start = at if start is None else start
            part, last = part + value, value
        elif scales[word] in (100, 12):
            start = at if start is None else start
            part, last = (part or Fraction(1)) * scales[word], 10**17
        else:
            start = at if start is None else start
            total, part, last = total + (part or Fraction(1)) * scales[word], Fraction(0), 10**17
        end = match.start() + each.end()
        if ordinal is not None and word not in units:
            yield Number("ordinal", start, end, frozenset({total + part}))
            start, total, part, last = None, Fraction(0), Fraction(0), 10**18
    if start is not None:
        half = re.search(r"\bhalf (?:an? )?$", text[max(0, start - 8) : start], re.I) if language == "en" else None
        number = _counted(text, start, end, (total + part) / (2 if half else 1), language)
        yield replace(number, start=start - len(half[0])) if half else number


def _singles(text: str, language: str) -> Iterator[Number]:
    """Words that are numbers by themselves: shares, multiples, vague ones."""
    tables: tuple[tuple[Kind, Mapping[str, Mapping[str, Fraction | int]]], ...]
    tables = (("share", words.SHARES), ("times", words.TIMES), ("vague", words.VAGUE))
    for match in re.finditer(r"[^\W\d_]+", text):
        word = match.group().casefold()
        for kind, table in tables:
            value = table.get(language, {}).get(word)
            if value is not None:
                if kind == "share" and (
                    many := re.search(r"(\w+)\s+$", text[max(0, match.start() - 12) : match.start()])
                ):
                    value = value * words.UNITS.get(language, {}).get(many[1].casefold(), 1)
                yield Number(kind, match.start(), match.end(), frozenset({Fraction(value)}))


_GROUP = re.compile(rf"\ban?\s+({_any(words.ENGLISH_GROUPS)})\s+of\b|\b(duo|trio|threesome|quartet|quintet)\b", re.I)
_SPAN = re.compile(
    r"\b(?:(?P<part>half|quarter)[\s-]?(?:of\s+)?(?:an?\s+)?|an?\s+)(?P<long>decade|century|fortnight|millennium)\b"
    r"|\b(?:in|within|for|after|over|under|about|nearly|almost|than|every)\s+an?\s+(?P<short>year|month|week|day|hour)\b",
    re.I,
)


def _groups(text: str, language: str) -> Iterator[Number]:
    """English: ``a pair of``, ``the trio``; ``a decade``, ``half a century``, ``within a week``."""
    if language != "en":
        return
    for match in _GROUP.finditer(text):
        value = Fraction(words.ENGLISH_GROUPS[(match[1] or match[2]).casefold()])
        yield Number("count", match.start(), match.end(), frozenset({value}))
    for match in _SPAN.finditer(text):
        unit = (match["long"] or match["short"]).casefold()
        value = Fraction(1, {"half": 2, "quarter": 4}.get((match["part"] or "").casefold(), 1))
        yield Number(
            "count", match.start(), match.end(), frozenset({value}), frozenset({words.MEASURES.get(unit, unit)})
        )


_ROMAN = re.compile(r"(?<=[^\W\d_] )(?=[IVX]{2,6}\b)(X{0,3})(IX|IV|V?I{0,3})\b")


def _romans(text: str, language: str) -> Iterator[Number]:
    """``Title IX``: two letters and more, up to XXXIX."""
    for match in _ROMAN.finditer(text):
        small = {"": 0, "I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9}[match[2]]
        yield Number("roman", match.start(), match.end(), frozenset({Fraction(10 * len(match[1]) + small)}))


_BETWEEN = re.compile(r"\s*(-|–|—|,|to|and|or|bis|und|oder|à|et|ou|y|o|e|/)\s*(?:and\s+|or\s+)?[$€£¥]?\s*$")
_SCALED = re.compile(r"[^\W\d_]")


def _inherited(text: str, found: list[Number]) -> Iterator[Number]:
    """``5 to 10 percent``, ``$4 or 5 million``, ``1-3 p.m.``: what only one of two neighbours names, both may mean."""
    for place in range(len(found) - 2, -1, -1):
        one, other = found[place], found[place + 1]
        link = _BETWEEN.match(text[one.end : other.start])
        if link is None or one.kind != "count" or other.kind not in ("count", "time"):
            continue
        if other.kind == "time":
            hours = {(v % 12 + add) * 60 for v in one.values if 1 <= v <= 12 for add in (0, 12)}
            if hours and text[one.end - 1].isdigit() and text[one.start].isdigit():
                found[place] = replace(one, kind="time", values=frozenset(hours), units=frozenset({""}))
            continue
        if link[1] == "," and other.units != {"%"}:
            continue
        scale = next((s for s in (10**12, 10**9, 10**6, 10**3) if all(v >= s for v in other.values)), 1)
        if scale > 1 and all(v < 1000 for v in one.values) and _SCALED.search(text[other.start : other.end]):
            one = replace(one, values=one.values | {v * scale for v in one.values})
        if one.units == {""}:
            one = replace(one, units=one.units | other.units)
        elif other.units == {""} and not one.units & {"%", "pp"}:
            found[place + 1] = replace(other, units=other.units | one.units)
        found[place] = one
    yield from found
