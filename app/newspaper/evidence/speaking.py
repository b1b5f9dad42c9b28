"""Whose words a statement gives: what it puts between quotation marks, or tells as if somebody said it so. Pure.

A quotation stands word by word in a cited sentence, or runs on into its neighbours. Where the statement names a
speaker, the words stand between quotation marks there as well, and are that speaker's; the source's own words are those
of who tells it. Words told without marks as somebody's own (``Smith: We are proud.``) are quotations too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.newspaper.evidence import common_words
from app.newspaper.evidence.capitals import runs_of, tokens_of
from app.newspaper.evidence.quotations import Quotation, flat, parts_of, quotations, stands_in

_FEW = 2
"""Words between quotation marks that may be a term or a title, whoever uses it."""
_BESIDE = r"(?:\s{4,}[,.;]?\s*[—–―-]|\b(?:in the words of|as))\s*$"
_AFTER = re.compile(
    rf"\.?(?:,[^,.;]{{1,70}},)?\s+(?:also\s+|has\s+|later\s+)?(?:{common_words.SPEECH}|{common_words.NAMING})\b"
    r"|(?:,[^,.;:]{1,70})?:\s(?:\s{3}|$)"
)
_BEFORE = re.compile(rf"\b{common_words.SPEECH}\s+(?:[a-zäöü]+\s+){{0,3}}$|{_BESIDE}", re.I)

Speaker = tuple[str, ...]
"""A name in folded words."""


def speakers(text: str) -> tuple[Speaker, ...]:
    """Whom a text names as speaking: ``said Ann Smith``, ``Smith, its head, told``, ``Smith:`` before a quotation that
    was blanked."""
    found: list[Speaker] = []
    for run in runs_of(tokens_of(text)):
        name = tuple(t for t in run if not (t.opens and common_words.is_common(t.folded)))
        if not name:
            continue
        after = text[name[-1].end : name[-1].end + 90]
        if _AFTER.match(after) or _BEFORE.search(text[max(0, name[0].start - 40) : name[0].start]):
            found.append(tuple(token.folded for token in name if token.folded not in common_words.ADDRESS))
    return tuple(name for name in found if name)


def one_speaker(claimed: Sequence[Speaker], there: Sequence[Speaker]) -> bool:
    """Is somebody whom a statement names as speaking one of those who speak there? The last name decides."""
    return any(one[-1] in other or "".join(w[0] for w in one) in other for one in claimed for other in there)


def blanked(text: str, parts: Sequence[Quotation]) -> str:
    """Of the same length."""
    for part in parts:
        text = text[: part.start] + " " * (part.end - part.start) + text[part.end :]
    return text


_DASHED = re.compile(rf"^\s*[—–―-]\s*(.+?),\s+(?={common_words.SPEECH}\b)")
_NAMED = re.compile(r"^((?:[^\W\d_][\w.’'-]*\s+){0,4}[^\W\d_][\w.’'-]*):\s+(?=[^\W\d_a-z]).+[.!?]$")


def quotations_of(text: str) -> tuple[Quotation, ...]:
    """All that a statement marks as somebody's words, be it by a dash: ``— We won, said Smith.``"""
    dashed = _DASHED.match(text)
    return (*quotations(text), *([Quotation(dashed.start(1), dashed.end(1), dashed[1])] if dashed else ()))


def put_into_a_mouth(text: str, stretches: Sequence[Sequence[str]]) -> str:
    """``Smith: We won.`` where that stands nowhere; else nothing. A headline, which ends without a stop, may begin so
    with what it is about."""
    found = _NAMED.match(text)
    if found is None:
        return ""
    label = tokens_of(found[1])
    if not all(t.capital for t in label) or all(common_words.is_common(t.folded) for t in label):
        return ""
    return "" if any(flat(text) in flat(" ".join(run)) for run in stretches) else text


_FIRST_PERSON = re.compile(
    r"\b(?:[Ww]e|[Oo]urs?|[Oo]urselves|us|[Mm]y|[Mm]ine|me|[Mm]yself)\b|(?<![A-Z]\w )(?<!\w [IVX] )\bI(?=['’]|\s+[a-z])"
)


def first_person(text: str) -> str:
    """The first ``I`` or ``we`` of an English text."""
    found = _FIRST_PERSON.search(text)
    return found.group() if found else ""


def wrong(quoted: Quotation, text: str, stretches: Sequence[Sequence[str]], tellers: Sequence[str]) -> bool:
    """Does a quotation of ``text`` stand nowhere in the stretches (sentences that follow one another), or is it
    somebody else's there? ``tellers``: names of who tells the sources."""
    if not flat(quoted.inner).strip():
        return False
    place = stands_in(quoted.inner, [flat(" ".join(run)) for run in stretches])
    if place is None:
        return True
    run = stretches[place]
    whole = " ".join(run)
    marked = quotations(whole)
    parts = parts_of(quoted.inner)
    holders = [[each for each in marked if stands_in(part, [flat(each.inner)]) is not None] for part in parts]
    if len(parts) > 1 and not _together(holders, run):
        return True
    says = speakers(blanked(text, [quoted]))
    if not says or one_speaker(says, [tuple(t.folded for t in tokens_of(name)) for name in tellers]):
        return False
    for part, held in zip(parts, holders, strict=True):
        if len(flat(part).split()) > _FEW and not held:
            return True
        if (held or len(flat(part).split()) > 3) and (there := _who(part, run)) and not one_speaker(says, there):
            return True
    return False


def _together(holders: Sequence[Sequence[Quotation]], run: Sequence[str]) -> bool:
    """May the parts be one quotation: are they out of one there, or out of one sentence, or all of them unmarked?"""
    if not any(holders) or (all(holders) and set.intersection(*({q.start for q in held} for held in holders))):
        return True
    return any(all(any(stands_in(q.inner, [flat(line)]) is not None for q in held) for held in holders) for line in run)


def _who(part: str, run: Sequence[str]) -> tuple[Speaker, ...]:
    """Who speaks there: whom the sentence names that holds the quotation, else those next to it."""
    holding = next((n for n, line in enumerate(run) if stands_in(part, [flat(line)]) is not None), None)
    if holding is not None and (own := _speakers_of(run[holding])):
        return own
    return _speakers_of(" ".join(run if holding is None else run[max(0, holding - 1) : holding + 2]))


def _speakers_of(text: str) -> tuple[Speaker, ...]:
    return speakers(blanked(text, quotations(text)))
