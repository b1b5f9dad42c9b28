"""Dates, days of the week and times of day in a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from app.newspaper.evidence import number_words as words
from app.newspaper.evidence.number import Number

_MONTH = "(?P<month>" + "|".join(sorted(words.MONTHS, key=len, reverse=True)) + r")\b\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th|er)?"
_TO = r"\s*(?:-|–|—|to|and|through|bis|und|et|au|y|al|e)\s*"
_NO_MORE = r"(?![\d%:]|[.,]\d|\s*(?:percent|per cent|a\.?m\b|p\.?m\b))"
_MONTH_DAY = re.compile(
    rf"\b{_MONTH}\s+(?:the\s+)?(?P<days>{_DAY}{_NO_MORE}(?:{_TO}{_DAY}\b{_NO_MORE})*)(?:,?\s+(?P<year>\d{{4}})\b)?",
    re.I,
)
_DAY_MONTH = re.compile(
    rf"(?<![\d.,$€£])(?P<days>{_DAY}\.?(?:{_TO}{_DAY}\.?)*)\s*(?:of\s+|de\s+|-)?\b{_MONTH}(?:,?\s*(?:de\s+|-)?(?P<year>\d{{4}})\b)?",
    re.I,
)
_MONTH_YEAR = re.compile(rf"\b{_MONTH},?\s+(?:of\s+|de\s+)?(?P<year>\d{{4}})\b", re.I)
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_SLASHED = re.compile(r"(?<![\d/.])(\d{1,2})([/.])(\d{1,2})\2(\d{4}|\d{2})(?![\d/]|\.\d)")
_MONTH_ALONE = re.compile(rf"\b{_MONTH}", re.I)
_WEEKDAY = re.compile(r"\b(" + "|".join(words.WEEKDAYS) + r")\b", re.I)
_TWELVE = re.compile(r"(?<![\d.,:])(\d{1,2})(?:[:.](\d{2}))?\s*([ap])\.?\s?m\b\.?(?!\w)", re.I)
_TWENTY_FOUR = re.compile(r"(?<![\d.,:])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])(?:\s*Uhr\b)?")
_NAMED_TIME = re.compile(r"\b(noon|midnight)\b", re.I)


def dates(text: str, language: str) -> Iterator[Number]:
    for match in _ISO.finditer(text):
        yield _date(match, (int(match[1]), int(match[2]), int(match[3])))
    for match in _SLASHED.finditer(text):
        one, other, year = int(match[1]), int(match[3]), int(match[4])
        year += 2000 if year < 70 else 1900 if year < 100 else 0
        readings = [(year, m, d) for m, d in ((one, other), (other, one)) if 1 <= m <= 12 and 1 <= d <= 31]
        if readings:
            yield _date(match, *readings)
    for pattern in (_MONTH_DAY, _DAY_MONTH):
        for match in pattern.finditer(text):
            month = words.MONTHS[match["month"].casefold()]
            year = int(match["year"] or 0)
            days = [int(each) for each in re.findall(r"\d{1,2}", match["days"])]
            if all(1 <= day <= 31 for day in days):
                for place, day in enumerate(days):
                    # Several days of one month are so many dates, which share its letters out.
                    start = match.start() + place
                    end = match.end() if place == len(days) - 1 else start + 1
                    yield Number("date", start, end, dates=frozenset({(year, month, day)}))
    for match in _MONTH_YEAR.finditer(text):
        yield _date(match, (int(match["year"]), words.MONTHS[match["month"].casefold()], 0))
    for match in _MONTH_ALONE.finditer(text):
        named = match["month"]
        # In lower case they are verbs (may, march, mars), or belong to languages whose other numbers are looked at.
        if named[0].isupper() and named.casefold() not in words.SHORT_MONTHS:
            yield _date(match, (0, words.MONTHS[named.casefold()], 0))
    for match in _WEEKDAY.finditer(text):
        if match[0][0].isupper():
            value = words.WEEKDAYS[match[0].casefold()]
            yield Number("weekday", match.start(), match.end(), frozenset({Fraction(value)}))


def _date(match: re.Match[str], *readings: tuple[int, int, int]) -> Number:
    return Number("date", match.start(), match.end(), dates=frozenset(readings))


def times(text: str, language: str) -> Iterator[Number]:
    """Minutes of the day."""
    for match in _TWELVE.finditer(text):
        hour = int(match[1]) % 12 + (12 if match[3] in "pP" else 0)
        if int(match[1]) <= 12:
            yield Number("time", match.start(), match.end(), frozenset({Fraction(hour * 60 + int(match[2] or 0))}))
    for match in _TWENTY_FOUR.finditer(text):
        hour, minutes = int(match[1]), int(match[2])
        if hour < 24 and minutes < 60:
            both = {hour, (hour + 12) % 24} if 1 <= hour <= 12 else {hour}
            values = frozenset(each * 60 + minutes + Fraction(int(match[3] or 0), 60) for each in both)
            yield Number("time", match.start(), match.end(), values)
    for match in _NAMED_TIME.finditer(text):
        yield Number("time", match.start(), match.end(), frozenset({Fraction(720 if match[0][0] in "nN" else 0)}))
