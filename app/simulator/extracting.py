"""An honest article out of other people's sentences: taken word for word or shortened, each with where it stands.

    {"sources": [{"id": "1", "from": "Feed", "title": "…", "sentences": {"1.1": "…", "1.2": "…"}}], "rejected": […]}

Sources that tell one story become one article: the fullest telling, and what only the others have. Sources that tell
different stories, as those of a front page do, are each given their first sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from app.simulator.comparing import balanced, likeness, words

LEAST, MOST = 4, 8
"""Sentences of an article."""
_MOST_IN_TURN = 14
_ONE_STORY = 0.3
_REPEATS, _SAYS_THE_HEADLINE = 0.5, 0.5
_LEAST_WORDS, _LONG_WORDS, _LEAST_SHORTENED = 3, 30, 10
_OF_OTHERS = 2
"""Sentences taken from each further telling, at most."""
_SHARE_OF_FULLEST = 0.7
_ORDERS = re.compile(r"\b(?:previous|these|above|your) (?:instructions|prompts?)\b|\byou are now\b", re.IGNORECASE)
_LEANS = re.compile(
    r"(?:He|She|It|They|We|His|Her|Its|Their|This|That|These|Those|But|And|So|Then|Both|Neither|One|Others?|There|"
    r"The (?:others?|former|latter|first|second|same|work|company|new|old|ship|county|team)|Even so|Instead|However|"
    r"Among|In it|On the other|[\"“„])\b|[\"“„]"
)
_ASIDE = re.compile(r" \([^()]*\)")
_TAIL = re.compile(r",? (?:which|who|where|although|because|since)\b[^\"“”,]*(?=\.$)")


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence as it is written, and the sentences that it rests on."""

    text: str
    cites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A source: its sentences by id, in order. ``name``: who says it."""

    id: str
    name: str
    title: str
    sentences: Mapping[str, str]

    @property
    def text(self) -> str:
        return " ".join(self.sentences.values())


def told(item: Mapping[str, Any]) -> list[Told]:
    """The sources of an item that have anything to say."""
    found = []
    for row in item.get("sources", ()):
        if isinstance(row, dict) and isinstance(row.get("sentences"), dict):
            sentences = {str(name): " ".join(str(text).split()) for name, text in row["sentences"].items()}
            title = " ".join(str(row.get("title") or "").split())
            found.append(Told(str(row.get("id", "")), str(row.get("from", "")), title, sentences))
    return [one for one in found if one.sentences or one.title]


def article(item: Mapping[str, Any], wanted_words: int, *, summed_up: bool = True) -> tuple[Said, Said, list[Said]]:
    """Headline, summary and sentences of about so many words. ``summed_up`` False: nobody wants the summary, and what
    would stand in it opens the text. Raises ``ValueError`` where no source says anything."""
    sources = told(item)
    refused = [str(row.get("text", "")) for row in item.get("rejected", ()) if isinstance(row, dict)]
    usable = [(one, _usable(one, refused)) for one in sources]
    usable = [(one, names) for one, names in usable if names]
    if not usable:
        raise ValueError("no source says anything")
    together = _of_one_story([one for one, _ in usable])
    if not together:
        chosen = _in_turn(usable, wanted_words)
        return _headline(usable[0][0], usable[0][1][0], refused), chosen[0], chosen
    usable.sort(key=lambda pair: -len(pair[0].text))
    chosen = _merged(usable, wanted_words)
    headline = _headline(usable[0][0], usable[0][1][0], refused)
    summary = chosen[0]
    if len(usable) > 1:
        other, names = usable[1]
        summary = _said(other, names[0])
        chosen = [one for one in chosen if one.cites != summary.cites]
    elif summed_up and len(chosen) > 1:
        chosen = chosen[1:]
    return headline, summary, chosen[:MOST]


def _usable(one: Told, refused: Sequence[str]) -> list[str]:
    """Names of the sentences that can be taken, in order: whole ones that speak of something and order nobody."""
    return [
        name
        for name, text in one.sentences.items()
        if len(words(text)) >= _LEAST_WORDS
        and balanced(text)
        and not _ORDERS.search(text)
        and all(likeness(text, other) < _REPEATS for other in refused)
    ]


def _of_one_story(sources: Sequence[Told]) -> bool:
    first = sources[0]
    return all(likeness(first.text, other.text) >= _ONE_STORY for other in sources[1:])


def _merged(usable: Sequence[tuple[Told, list[str]]], wanted_words: int) -> list[Said]:
    """The beginning of the fullest telling, then what the others alone have."""
    (fullest, names), *others = usable
    room = wanted_words * (_SHARE_OF_FULLEST if others else 1.0)
    chosen = _beginning(fullest, names, room)
    for other, own in others:
        taken = 0
        for name in own:
            text = other.sentences[name]
            if taken == _OF_OTHERS or _length(chosen) + len(words(text)) > wanted_words:
                break
            if not _LEANS.match(text) and all(likeness(text, one.text) < _REPEATS for one in chosen):
                chosen.append(_said(other, name))
                taken += 1
    return chosen


def _beginning(one: Told, names: Sequence[str], room: float) -> list[Said]:
    """Sentences in their order; one that leans on the sentence before is taken only with that."""
    order = list(one.sentences)
    chosen: list[Said] = []
    last = -1
    for name in names:
        at = order.index(name)
        said = _said(one, name)
        full = _length(chosen) + len(words(said.text)) > room and len(chosen) >= LEAST
        if len(chosen) > MOST or full:
            break
        if chosen and _LEANS.match(said.text) and at != last + 1:
            continue
        chosen.append(said)
        last = at
    return chosen


def _in_turn(usable: Sequence[tuple[Told, list[str]]], wanted_words: int) -> list[Said]:
    """Of every source an opening, then a second sentence of each, as long as there is room. Sentences of one source
    stand together; the first source's headline is that of the whole, and is not said again."""
    rows: list[tuple[int, Said]] = []
    size = 0
    for turn in zip_longest(*(_opening(one, names, at > 0) for at, (one, names) in enumerate(usable))):
        for at, said in enumerate(turn):
            if said is None or len(rows) >= _MOST_IN_TURN:
                continue
            size += len(words(said.text))
            if size <= wanted_words or len(rows) < LEAST:
                rows.append((at, said))
    return [said for _, said in sorted(rows, key=lambda row: row[0])]


def _opening(one: Told, names: Sequence[str], titled: bool) -> list[Said]:
    """Two sentences: the headline and what it does not say itself, or where not ``titled`` the first two that can stand
    alone."""
    own = [_said(one, name) for name in names if not _LEANS.match(one.sentences[name])] or [_said(one, names[0])]
    if not titled or len(one.sentences) == 1 or not one.title:
        return own[:2]
    stop = "" if one.title[-1] in ".!?" else "."
    below = [said for said in own if likeness(said.text, one.title) < _SAYS_THE_HEADLINE] or own
    return [Said(f"{one.title}{stop}", (f"{one.id}.0",)), below[0]]


def _headline(one: Told, first: str, refused: Sequence[str]) -> Said:
    """The source's own, or its first sentence where it has none or that was refused."""
    title = one.title.strip()
    if title and all(title != text for text in refused):
        return Said(title, (f"{one.id}.0",))
    return _said(one, first)


def _said(one: Told, name: str) -> Said:
    return Said(shortened(one.sentences[name]), (name,))


def shortened(sentence: str) -> str:
    """A long sentence without its aside or its last subordinate clause. Quotations are left as they are."""
    if len(words(sentence)) <= _LONG_WORDS or any(mark in sentence for mark in '"“”„«»'):
        return sentence
    shorter = _TAIL.sub("", _ASIDE.sub("", sentence))
    return shorter if len(words(shorter)) >= _LEAST_SHORTENED else sentence


def _length(said: Iterable[Said]) -> int:
    return sum(len(words(one.text)) for one in said)
