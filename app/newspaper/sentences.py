"""Sentences of news prose: what citations number. Pure, and linear in the text's length.

A quotation that holds several sentences stays in one piece, for half of it cannot be cited. No dictionary is asked: an
abbreviation that is not in the list and stands before a capital ends a sentence too early. That costs a reader nothing
and the checks little, for they look at a sentence's neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.newspaper.evidence.common_words import listed
from app.newspaper.evidence.number_words import MONTHS

LONGEST = 900
"""Characters of a sentence; what is longer is cut between words."""
_LONGEST_QUOTATION = 600
"""One that is longer, or never closed, holds no sentences together."""

_BULLET = r"(?:[-*•‣▪◦·–—+]|\(?\d{1,2}[.)]|[a-z]\))\s+"
_STARTS_ITEM = re.compile(_BULLET)
_BLANK_LINE = re.compile(r"\n[ \t\r\f\v]*\n\s*")
# Joined lines are those of a text that was wrapped: long, without a stop, going on in lower case.
_WRAPPED = 45
_ENDS_SENTENCE = re.compile(r"[.!?…:。！？][\"'”’»)\]]*$")
_STOP = re.compile(r"(?:[.!?…]+[\"'”’“»›)\]]*(?=\s|$))|(?:[。！？｡]+[」』”’）)]*)")
_WORD_BEFORE = re.compile(r"([^\W\d_]+(?:\.[^\W\d_]+)*|\d+)$")
_NEXT = re.compile(r"[\s\"'“‘„«»‹(\[]*(\w)?")
_SAYS = re.compile(
    r"\s+(?:[\w.'’-]+\s+){0,4}?(?:said|says|asked|asks|wrote|writes|added|adds|told|replied|explained|noted|argued)\b"
)
_ABBREVIATIONS = listed(
    "mr mrs ms dr prof rev hon sr jr st mt ft gen col lt capt sgt cmdr adm maj gov sen rep pres sec supt amb atty asst"
    " dept dist div est etc inc corp co ltd llc bros vs v cf al approx ca no nos vol pp p fig figs ed eds ph.d m.d b.a"
    " m.a j.d d.c u.s u.k u.n e.u a.m p.m i.e e.g jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu"
    " thur thurs fri sat sun ave blvd rd hwy bldg calif fla mass penn tenn tex wash ariz colo conn ill"
    " bzw ca usw vgl zb z.b d.h u.a o.ä bspw evtl ggf inkl nr st str tel abs art mio mrd prof dipl hr fr"
    " m mm mme mlle env sté sr sra dña ud uds pág dott sig avv"
)
"""Before a capital these end no sentence. The last rows are German, French, Spanish and Italian."""
_MAY_END = listed("etc inc corp co ltd llc jr sr a.m p.m u.s u.k u.n e.u d.c ph.d m.d usw")
"""Of those: before one of ``_OPENERS`` they do."""
_OPENERS = listed(
    "the a an in on at he she it they we i you this that these those but and or for from as after before when while"
    " if his her its their our my there here what who how why with by to of der die das ein eine er sie es wir le la"
    " les un une il elle nous el los las"
)
_FIRST_WORD = re.compile(r"[\s\"'“‘„«»‹(\[]*([^\W\d_]+)")
_CLOSER = {"“": "”", "„": "“”", "«": "»", "‹": "›", "「": "」", "『": "』"}


def sentences(text: str) -> list[str]:
    """The sentences of a text in their order, each stripped and on one line; list items and headings are sentences."""
    found: list[str] = []
    for block in _blocks(text):
        for sentence in _split(block):
            found.extend(_cut(sentence))
    return found


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, list items and headings, each on one line."""
    for paragraph in _BLANK_LINE.split(text.replace("\r\n", "\n").replace("\u2029", "\n\n").replace("\u2028", "\n")):
        held: list[str] = []
        for line in (" ".join(raw.split()) for raw in paragraph.split("\n")):
            if not line:
                continue
            if held and not _goes_on(held[-1], line):
                yield " ".join(held)
                held = []
            held.append(line)
        if held:
            yield " ".join(held)


def _goes_on(line: str, following: str) -> bool:
    if _STARTS_ITEM.match(following):
        return False
    return following[0].islower() or (len(line) >= _WRAPPED and not _ENDS_SENTENCE.search(line[-8:]))


def _split(block: str) -> Iterator[str]:
    quotations = _quotations(block)
    at = start = seen = 0
    worded = False
    for stop in _STOP.finditer(block):
        end = stop.end()
        worded = worded or any(character.isalnum() for character in block[seen:end])
        seen = end
        while at < len(quotations) and quotations[at][1] <= end:
            at += 1
        if at < len(quotations) and quotations[at][0] < stop.start():
            continue
        if end < len(block) and not _ends(block, stop):
            continue
        if worded:
            yield block[start:end].strip()
            start, worded = end, False
    if rest := block[start:].strip():
        yield rest


def _ends(block: str, stop: re.Match[str]) -> bool:
    mark, end = stop.group(), stop.end()
    if mark[0] in "。！？｡":
        return True
    following = _NEXT.match(block, end)
    letter = following.group(1) if following is not None else None
    if letter is not None and letter.islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return len(mark) == 1 or not _SAYS.match(block[end : end + 80])
    if len(mark) > 1:
        return True
    before = _WORD_BEFORE.search(block[max(0, stop.start() - 24) : stop.start()])
    if before is None:
        return True
    word = before.group().casefold()
    if word.isdigit():
        # The number of a list item, or a German ordinal: "3. Oktober".
        opener = _FIRST_WORD.match(block, end, end + 40)
        dated = opener is not None and opener.group(1).casefold() in MONTHS
        return not (len(word) < 3 and (stop.start() <= 3 or dated))
    if word in _ABBREVIATIONS or (len(word) == 1 and word != "i") or re.fullmatch(r"\w(?:\.\w)+", word):
        opener = _FIRST_WORD.match(block, end, end + 40)
        may_end = word in _MAY_END or re.fullmatch(r"\w(?:\.\w)+", word) is not None
        return may_end and opener is not None and opener.group(1).casefold() in _OPENERS
    return True


def _quotations(block: str) -> list[tuple[int, int]]:
    """Start and end of quotations that are closed and not too long, in order, without those inside others."""
    found: list[tuple[int, int]] = []
    opened, closers = -1, ""
    for match in re.finditer('["“”„«»‹›「」『』]', block):
        character, place = match.group(), match.start()
        if opened >= 0 and place - opened > _LONGEST_QUOTATION:
            opened = -1
        if opened >= 0 and character in closers:
            found.append((opened, place + 1))
            opened = -1
        elif opened < 0 and (character == '"' or character in _CLOSER):
            opened, closers = place, _CLOSER.get(character, '"')
    return found


def _cut(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST:
        at = sentence.rfind(" ", LONGEST // 2, LONGEST)
        at = LONGEST if at < 0 else at
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence
