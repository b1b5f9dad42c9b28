"""What stands between quotation marks, and whether it stands so in a source. Pure.

Straight and curly marks, guillemets in either direction, German low marks, CJK brackets, nested, unclosed (to the end
of the text), and marks typed as two commas or backticks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_PAIRS = {
    '"': '"”', "“": '”"', "”": "”", "„": '“”"', "«": "»", "»": "«", "‹": "›", "›": "‹", "「": "」", "『": "』",
    "‘": "’", "‚": "‘’", "'": "'",
}  # fmt: skip
"""Opening mark → what closes it. Swedes open and close with ”."""
_MARK = re.compile("[" + "".join(_PAIRS) + "’」』]")
_ELIDED = re.compile(r"'(?:\d0s|em|til|tis|twas|cause|n)\b", re.I)


@dataclass(frozen=True, slots=True)
class Quotation:
    """``start`` and ``end``: with its marks, in the text that ``quotations`` was given."""

    start: int
    end: int
    inner: str


def quotations(text: str) -> tuple[Quotation, ...]:
    """All of them, those inside others too, in the order in which they end. ``text`` in any form."""
    text = _one_spelling(text)
    found: list[Quotation] = []
    opened: list[tuple[str, int]] = []
    for match in _MARK.finditer(text):
        mark, place = match.group(), match.start()
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        if mark in "'’‘" and before.isalnum() and after.isalnum():
            continue  # an apostrophe
        level = next((n for n in range(len(opened) - 1, -1, -1) if mark in _PAIRS[opened[n][0]]), -1)
        closes = level >= 0 and place > opened[level][1] + 1 and (before.strip() != "" or mark not in "\"'")
        if closes and not (mark in "'’" and after.isalnum()):
            start = opened[level][1]
            found.append(Quotation(start, place + 1, text[start + 1 : place]))
            del opened[level:]
        elif mark in _PAIRS and not (mark == "'" and (before.isalnum() or _ELIDED.match(text, place))):
            if mark == '"' and before.isdigit() and not after.isalnum():
                continue  # inches
            opened.append((mark, place))
    for mark, place in opened:
        # A single mark that nothing closes was an apostrophe.
        if mark not in "'‚›»”" and text[place + 1 :].strip():
            found.append(Quotation(place, len(text), text[place + 1 :]))
    return tuple(found)


def _one_spelling(text: str) -> str:
    """Of the same length."""
    for typed, mark in (("``", " “"), ("''", "” "), (",,", " „"), ("<<", " «"), (">>", "» "), ("＂", '"'), ("″", '"')):
        text = text.replace(typed, mark)
    return text


_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[%$€£¥]")
_MARKS_OUT = re.compile("['‘’‚\u00ad\u200b]")
_LEFT_OUT = re.compile(r"\s*(?:[\[(]\s*(?:…|\.{3,4})\s*[\])]|…|\.(?:\s?\.){2,3})\s*")


def flat(text: str) -> str:
    """The words of a text between single blanks, in lower case, one spelling for each: for looking one text up in
    another. It begins and ends with a blank."""
    folded = unicodedata.normalize("NFKC", _MARKS_OUT.sub("", text)).casefold()
    return " " + " ".join(_WORD.findall(folded)) + " "


def parts_of(inner: str) -> list[str]:
    """A quotation in the parts that ``…`` divides."""
    return [part for part in _LEFT_OUT.split(inner) if flat(part).strip()]


def stands_in(inner: str, texts: Sequence[str]) -> int | None:
    """The place of the first of the ``flat`` texts in which a quotation stands word by word; None: in none of them.

    Where it leaves something out (``…``), its parts stand there in their order, each of two words and more. Words put
    in between brackets are words like others.
    """
    parts = [flat(part) for part in parts_of(inner)]
    if len(parts) > 1 and any(len(part.split()) < 2 for part in parts):
        return None
    for place, text in enumerate(texts):
        at = 0
        for part in parts:
            at = text.find(part, at)
            if at < 0:
                break
            at += len(part) - 1
        else:
            return place
    return None
