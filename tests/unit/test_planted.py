"""Lies planted in real articles: how many does the mechanical check catch alone, and how many honest sentences does it
refuse? The second model is left out: whatever it would add comes on top."""

from __future__ import annotations

import functools
import gzip
import html
import json
import math
import os
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.newspaper.evidence.facts import Evidence
from app.newspaper.evidence.number_words import MONTHS, UNITS
from app.newspaper.material import Claim, Dossier, Source
from app.newspaper.sentences import sentences

EVERY = int(os.environ.get("PLANTED_EVERY", "4"))
"""Every fourth article runs with the suite; ``make fuzz`` takes them all."""
NEWS = Path(os.environ.get("SWITCHYARD_SHARED_DATA", "../shared/data")) / "news" / "digitalgov_news.jsonl.gz"
pytestmark = pytest.mark.skipif(not NEWS.exists(), reason="the recorded news are not on this machine")

Lie = Callable[[str, "Told", random.Random], str | None]


class Told:
    """One article as a dossier, with the names that stand in it."""

    def __init__(self, row: dict[str, str]) -> None:
        body = _prose(row["body"])
        self.before = ""
        """The sentence before the one that is lied about."""
        self.sentences = {f"1.{n}": line for n, line in enumerate(sentences(body), 1)}
        self.title = html.unescape(row["title"])
        self.summary = sentences(_prose(row["summary"] or ""))
        source = Source(id="1", name="digital.gov", title=self.title, sentences=self.sentences)
        self.evidence = Evidence(Dossier(id="a", sources=(source,)))
        self.names = sorted({name for line in self.sentences.values() for name in names_in(line)})


def is_prose(line: str) -> bool:
    """A whole sentence, and no heading or list of names, whose capitals say nothing."""
    words = line.split()
    return len(words) > 7 and line[-1] in '.!?”"' and sum(word[0].isupper() for word in words) < 0.5 * len(words)


def _prose(text: str) -> str:
    text = re.sub(r"\{\{.*?\}\}|<[^>]+>|https?://\S+|www\.\S+", "", html.unescape(text))
    text = re.sub(r"\[([^\]\[]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\*\*|__|`|^#+\s*|[\u00ad\u200b]", "", text, flags=re.MULTILINE)
    return re.sub(r"\[\]\([^)\s]*\)?|\]\(", "", text)


@functools.cache
def news() -> tuple[Told, ...]:
    with gzip.open(NEWS, "rt", encoding="utf-8") as lines:
        told = (Told(json.loads(line)) for n, line in enumerate(lines) if n % EVERY == 0)
        return tuple(each for each in told if len(each.sentences) > 2)


_NAME = re.compile(r"(?<=[a-z,] )(?:[A-Z][\w’'&-]*[a-zA-Z])(?: (?:[A-Z][\w’'&-]*[a-zA-Z]))*")
_NO_NAMES = re.compile(
    r"(?:I|I’m|I've|January|February|March|April|May|June|July|August|September|October|November|December|\w+day)\b"
)


def names_in(line: str) -> list[str]:
    """Names in the midst of a sentence (its start would need a dictionary)."""
    if not is_prose(line):
        return []
    return [found for found in _NAME.findall(line) if not _NO_NAMES.match(found) and len(found) > 2]


# Lies ---------------------------------------------------------------------------------------------------------------

_DIGITS = re.compile(r"(?<![\w.,/-])\$?(\d+(?:,\d{3})*(?:\.\d+)?)(?![\w/-]|[.,]\d)")


def _number(change: Callable[[str, random.Random], str]) -> Lie:
    def lie(line: str, told: Told, chance: random.Random) -> str | None:
        found = list(_DIGITS.finditer(line))
        if not found:
            return None
        match = chance.choice(found)
        return line[: match.start(1)] + change(match[1], chance) + line[match.end(1) :]

    return lie


def _off(raw: str, chance: random.Random) -> str:
    value = float(raw.replace(",", "")) + chance.choice((-3, -2, -1, 1, 2, 3, 10))
    value += abs(value) == float(raw.replace(",", ""))
    return f"{abs(value):g}" if "." in raw else f"{abs(int(value)):,}" if "," in raw else str(abs(int(value)))


def _digit(raw: str, chance: random.Random) -> str:
    place = chance.choice([n for n, c in enumerate(raw) if c.isdigit()])
    return raw[:place] + chance.choice([c for c in "123456789" if c != raw[place]]) + raw[place + 1 :]


def _swapped_digits(raw: str, chance: random.Random) -> str:
    digits = [c for c in raw if c.isdigit()]
    return raw if len(set(digits)) < 2 else "".join(reversed(digits))


def _scale(line: str, told: Told, chance: random.Random) -> str | None:
    changed = re.sub(r"\b(\d[\d.,]*) (million|billion|thousand|hundred)\b", _other_scale, line, count=1)
    if changed == line:
        match = _DIGITS.search(line)
        changed = (
            line
            if match is None or not match[1].strip("0")  # a thousand times nothing is nothing
            else f"{line[: match.end(1)]} {chance.choice(('million', 'thousand'))}{line[match.end(1) :]}"
        )
    return changed


def _other_scale(match: re.Match[str]) -> str:
    return (
        f"{match[1]} "
        + {"million": "billion", "billion": "million", "thousand": "million", "hundred": "thousand"}[match[2]]
    )


def _word(line: str, told: Told, chance: random.Random) -> str | None:
    words = [m for m in re.finditer(r"\b[a-z]+\b", line) if m[0] in UNITS["en"] and m[0] != "zero"]
    if not words:
        return None
    match = chance.choice(words)
    other = chance.choice([word for word in UNITS["en"] if word not in (match[0], "zero", "fourty")])
    return line[: match.start()] + other + line[match.end() :]


def _word_for_digits(line: str, told: Told, chance: random.Random) -> str | None:
    match = re.search(r"(?<![\w.,$-])\d(?![\w.,%-])", line)
    if match is None:
        return None
    return (
        line[: match.start()]
        + chance.choice([w for w, v in UNITS["en"].items() if v != int(match[0])])
        + line[match.end() :]
    )


def _percent(line: str, told: Told, chance: random.Random) -> str | None:
    match = re.search(r"\b(\d+(?:\.\d+)?)( ?%| percent)", line)
    return None if match is None else line[: match.start()] + _off(match[1], chance) + match[2] + line[match.end() :]


def _percent_added(line: str, told: Told, chance: random.Random) -> str | None:
    match = re.search(r"(?<![\w.,$/-])\d{1,2}(?= [a-z]{4,})(?! ?%| percent)", line)
    return None if match is None else f"{line[: match.end()]} percent of{line[match.end() :]}"


def _month(line: str, told: Told, chance: random.Random) -> str | None:
    months = [m for m in MONTHS if m in line.casefold() and len(m) > 3]
    match = re.search(r"\b(January|February|March|April|June|July|August|September|October|November|December)\b", line)
    if match is None or not months:
        return None
    other = chance.choice([m for m in ("January", "April", "June", "August", "November") if m not in line])
    return line[: match.start()] + other + line[match.end() :]


def _day(line: str, told: Told, chance: random.Random) -> str | None:
    match = re.search(
        r"\b(January|February|March|April|May|June|July|August|September|October|November|December) (\d{1,2})\b", line
    )
    if match is None:
        return None
    day = chance.choice([d for d in range(1, 29) if str(d) not in line])
    return f"{line[: match.start(2)]}{day}{line[match.end(2) :]}"


def _year(line: str, told: Told, chance: random.Random) -> str | None:
    match = re.search(r"\b(?:19|20)\d\d\b", line)
    if match is None:
        return None
    year = chance.choice([y for y in range(1990, 2026) if str(y) not in line])
    return f"{line[: match.start()]}{year}{line[match.end() :]}"


def _added_number(line: str, told: Told, chance: random.Random) -> str | None:
    number = chance.choice([n for n in range(2, 9000) if str(n) not in line])
    return f"{line.rstrip('.')}, {number} of them in all."


def _traded_numbers(line: str, told: Told, chance: random.Random) -> str | None:
    found = [m for m in _DIGITS.finditer(line) if re.match(r" [a-z]{4,}", line[m.end() :])]
    nouns = {re.match(r" [a-z]+", line[m.end() :])[0] for m in found}  # type: ignore[index]
    if len(found) < 2 or found[0][1] == found[1][1] or len(nouns) < len(found):
        return None
    one, other = found[0], found[1]
    return line[: one.start(1)] + other[1] + line[one.end(1) : other.start(1)] + one[1] + line[other.end(1) :]


_QUOTE = re.compile(r"[“\"]([^“”\"]{12,300})[”\"]")
_INVENTED = (
    "We have never seen anything like it", "This will change everything for our users", "It was a terrible mistake",
    "Nobody told us about the costs", "I am proud of what we did", "The budget is gone",
)  # fmt: skip


def _invented_quote(line: str, told: Told, chance: random.Random) -> str | None:
    one, other = chance.choice((("“", "”"), ('"', '"'), ("«", "»"), ("„", "“"), ("‘", "’"), ("“", "")))
    return f"{line.rstrip('.')}. {one}{chance.choice(_INVENTED)}{other}"


def _quoted_indirectly(line: str, told: Told, chance: random.Random) -> str | None:
    words = line.rstrip(".").split()
    if len(words) < 9 or re.search(r"[“”\"‘]", line):
        return None
    words[5] = chance.choice(("hardly", "seldom", "gladly"))
    return f"The office said: “{' '.join(words)}.”"


def _quote_word(line: str, told: Told, chance: random.Random) -> str | None:
    match = _QUOTE.search(line) if line.count('"') in (0, 2) else None
    words = match[1].split() if match is not None else []
    if match is None or len(words) < 3:
        return None
    words[chance.randrange(len(words))] = chance.choice(("never", "terrible", "wonderful", "nobody"))
    return f"{line[: match.start(1)]}{' '.join(words)}{line[match.end(1) :]}"


def _quote_elsewhere(line: str, told: Told, chance: random.Random) -> str | None:
    """A quotation out of another sentence, far from the cited one, or of another article."""
    if told.evidence is None:
        return None
    others = [m[1] for t in chance.sample(news(), 12) for other in t.sentences.values() for m in _QUOTE.finditer(other)]
    others = [quote for quote in others if len(quote.split()) > 3]
    return f"{line.rstrip('.')}: “{chance.choice(others)}”" if others else None


_SAID = re.compile(
    r"((?:said|says|explained|noted|according to) )([A-Z][a-z]+(?: [A-Z][a-z]+)+)"
    r"|([A-Z][a-z]+(?: [A-Z][a-z]+)+)( (?:said|says|explained|noted))"
)


def _other_speaker(line: str, told: Told, chance: random.Random) -> str | None:
    match = _SAID.search(line)
    speaker = match and (match[2] or match[3])
    others = [name for name in told.names if " " in name and name not in line]
    if not match or not speaker or not others or not re.search(r"[“\"]", line):
        return None
    return line.replace(speaker, chance.choice(others), 1)


def _named(pick: Callable[[str, str, Told, random.Random], str | None]) -> Lie:
    def lie(line: str, told: Told, chance: random.Random) -> str | None:
        found = names_in(line)
        if not found:
            return None
        name = chance.choice(found)
        other = pick(name, line, told, chance)
        if other is None or other.casefold() in line.casefold():
            return None
        return re.sub(rf"(?<=[a-z,] ){re.escape(name)}", lambda _: other, line, count=1)

    return lie


def _of_here(name: str, line: str, told: Told, chance: random.Random) -> str | None:
    """Another name of the same article, such that it is another."""
    lower = line.casefold()
    others = [n for n in told.names if not set(n.casefold().split()) & set(re.findall(r"\w+", lower))]
    return chance.choice(others) if others else None


def _of_next_door(name: str, line: str, told: Told, chance: random.Random) -> str | None:
    """One out of the sentence before: the hardest."""
    words = set(re.findall(r"\w+", line.casefold()))
    others = [n for n in names_in(told.before) if not set(n.casefold().split()) & words]
    return chance.choice(others) if others else None


def _of_elsewhere(name: str, line: str, told: Told, chance: random.Random) -> str | None:
    other = chance.choice(news())
    here = " ".join(told.sentences.values()).casefold()
    others = [n for n in other.names if n.casefold() not in here and not all(w in here for w in n.casefold().split())]
    return chance.choice(others) if others else None


def _invented(name: str, line: str, told: Told, chance: random.Random) -> str | None:
    return chance.choice(
        ("Kowalski", "Marta Lindqvist", "Hollis Grane", "Bertelmann", "ZQXA", "Veldhoven", "Orrin Pace")
    )


def _exchanged(name: str, line: str, told: Told, chance: random.Random) -> str | None:
    words = name.split()
    return " ".join(reversed(words)) if len(words) == 2 and words[0] != words[1] else None


def _other_first(name: str, line: str, told: Told, chance: random.Random) -> str | None:
    words = name.split()
    return f"{chance.choice(('Harriet', 'Olaf', 'Dmitri'))} {words[-1]}" if len(words) == 2 else None


def _other_last(name: str, line: str, told: Told, chance: random.Random) -> str | None:
    """The last name of another of this article."""
    words = name.split()
    seconds = [n.split()[-1] for n in told.names if len(n.split()) == 2 and n.split()[-1] not in line]
    return f"{words[0]} {chance.choice(seconds)}" if len(words) == 2 and seconds else None


def _acronym(line: str, told: Told, chance: random.Random) -> str | None:
    found = re.findall(r"\b[A-Z]{3,5}\b", line)
    if not found:
        return None
    others = [a for a in ("NASA", "DOE", "FEMA", "NOAA", "HUD", "SSA", "USDA", "FTC", "EPA") if a not in line]
    return re.sub(rf"\b{found[0]}\b", chance.choice(others), line, count=1)


def _subject(line: str, told: Told, chance: random.Random) -> str | None:
    """Somebody else at the very start."""
    if re.match(r"(?:This|These|That|Those|We|He|She|It|They|I|You|As|What|How|Why|Do|Did|If)\b", line) or not is_prose(
        line
    ):
        return None
    match = re.match(r"(?:The )?([A-Z][\w’-]+(?: [A-Z][\w’-]+)*) (?=[a-z]+(?:s|ed)\b)", line)
    if match is None:
        return None
    others = [n for n in told.names if not set(n.casefold().split()) & set(re.findall(r"\w+", line.casefold()))]
    others = [n for n in others if " " in n or n.isupper()]  # a single word may be none that stood in a heading
    return chance.choice(others) + line[match.end(1) :] if others else None


def _traded_names(line: str, told: Told, chance: random.Random) -> str | None:
    """Two names of one sentence change places; not in a list, where that says the same."""
    found = list(dict.fromkeys(names_in(line)))
    if len(found) != 2 or any(one in other for one in found for other in found if one != other):
        return None
    one, other = line.index(found[0]), line.index(found[1])
    if other < one or re.fullmatch(r"\W*(?:and|or|&)?\W*", line[one + len(found[0]) : other]):
        return None
    swapped = {found[0]: found[1], found[1]: found[0]}
    return re.sub("|".join(re.escape(name) for name in found), lambda m: swapped[m[0]], line)


NUMBERS: dict[str, Lie] = {
    "number off": _number(_off),
    "digit changed": _number(_digit),
    "digits reversed": _number(_swapped_digits),
    "scale changed": _scale,
    "number word changed": _word,
    "word for another digit": _word_for_digits,
    "percent changed": _percent,
    "percent added": _percent_added,
    "month changed": _month,
    "day changed": _day,
    "year changed": _year,
    "number added": _added_number,
    "numbers traded": _traded_numbers,
}
QUOTES: dict[str, Lie] = {
    "quotation invented": _invented_quote,
    "narration quoted wrongly": _quoted_indirectly,
    "word of a quotation changed": _quote_word,
    "quotation from elsewhere": _quote_elsewhere,
    "other speaker": _other_speaker,
}
NAMES: dict[str, Lie] = {
    "name of the same source": _named(_of_here),
    "name of the sentence before": _named(_of_next_door),
    "name of another source": _named(_of_elsewhere),
    "name invented": _named(_invented),
    "first and last exchanged": _named(_exchanged),
    "another's first name": _named(_other_first),
    "another's last name": _named(_other_last),
    "acronym": _acronym,
    "other subject": _subject,
    "names traded": _traded_names,
}


# Light paraphrases --------------------------------------------------------------------------------------------------

_SYNONYMS = {
    "said": "stated", "announced": "made known", "use": "apply", "help": "assist", "helps": "assists",
    "many": "numerous", "important": "significant", "also": "", "very": "", "new": "", "launched": "started",
    "create": "make", "provide": "offer", "provides": "offers", "about": "on", "improve": "better", "however": "",
    "percent": "%", "because": "since", "while": "whereas", "big": "large", "shows": "reveals", "begin": "start",
}  # fmt: skip


def paraphrased(line: str, chance: random.Random) -> str:
    """Other words for some, without brackets, the last clause first: what a writer does without adding anything."""
    if not re.search(r"[“\"‘]", line):
        line = re.sub(
            r"\b[a-z]+\b", lambda m: _SYNONYMS[m[0]] if m[0] in _SYNONYMS and chance.random() < 0.8 else m[0], line
        )
        line = re.sub(r"\s*\([^()]{1,60}\)", "", line)
        opening = re.match(r"((?:In|On|At|For|With|After|During|Since|By) [^,]{3,60}), ([^,]+)\.$", line)
        if opening is not None and chance.random() < 0.7:
            first = (
                opening[2]
                if re.match(r"[A-Z]{2}|[A-Z]\w+ [A-Z]", opening[2])
                else opening[2][0].upper() + opening[2][1:]
            )
            line = f"{first} {opening[1][0].lower()}{opening[1][1:]}."
    return re.sub(r"\s+([,.;])", r"\1", re.sub(r"\s{2,}", " ", line)).replace(" %", "%").strip()


# Lies about a sentence that is cited together with its neighbours ---------------------------------------------------


def _of_the_neighbours(told: Told, place: int, chance: random.Random) -> Iterator[tuple[str, str]]:
    """(form, lie): what stands in the cited sentences, but belongs elsewhere. The hardest of all."""
    lines = list(told.sentences.values())
    line, near = lines[place], [*lines[max(0, place - 2) : place], *lines[place + 1 : place + 3]]
    found = list(_DIGITS.finditer(line))
    if len(line.split()) < 6:
        return
    other_numbers = [m[1] for other in near for m in _DIGITS.finditer(other) if m[1] not in line]
    if found and other_numbers:
        match = chance.choice(found)
        yield (
            "number of a cited neighbour",
            line[: match.start(1)] + chance.choice(other_numbers) + line[match.end(1) :],
        )
    if len({match[1] for match in found}) > 1:
        one, other = found[0], next(match for match in found if match[1] != found[0][1])
        yield (
            "numbers of one sentence traded",
            (line[: one.start(1)] + other[1] + line[one.end(1) : other.start(1)] + one[1] + line[other.end(1) :]),
        )
    lie = _named(lambda name, line, told, chance: _of_lines(near, line, chance))(line, told, chance)
    if lie is not None:
        yield "name of a cited neighbour", lie


def _of_lines(near: list[str], line: str, chance: random.Random) -> str | None:
    words = {word.removesuffix("’s") for word in re.findall(r"[\w’]+", line.casefold())}
    others = [n.removesuffix("’s") for other in near for n in names_in(other)]
    others = [n for n in others if not set(n.casefold().split()) & words]
    return chance.choice(others) if others else None


def test_what_stands_in_a_cited_neighbour_does_not_stand_everywhere() -> None:
    chance = random.Random(20261120)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    missed: dict[str, list[str]] = defaultdict(list)
    honest = [0, 0]
    for told in news():
        ids = list(told.sentences)
        for place in range(len(ids)):
            if chance.random() > 0.4:
                continue
            cites = tuple(ids[max(0, place - 2) : place + 3])
            line = told.sentences[ids[place]]
            honest[0] += any(f.kind != "instruction" for f in told.evidence.faults(Claim(text=line, cites=cites)))
            honest[1] += 1
            for form, lie in _of_the_neighbours(told, place, chance):
                caught = bool(told.evidence.faults(Claim(text=lie, cites=cites)))
                counts[form][0] += caught
                counts[form][1] += 1
                if not caught:
                    missed[form].append(f"{lie[:160]!r} of {line[:160]!r}")
    for form, (caught, of) in counts.items():
        print(f"{form:32} {caught:5} of {of:5}  {caught / of:7.2%}")
        assert caught >= enough(of), missed[form][:20]
    assert honest[0] <= 0.002 * honest[1]


def enough(of: int) -> float:
    """95 %, less what a sample may fall short of it by chance (one standard deviation)."""
    return 0.95 * of - (math.sqrt(of * 0.95 * 0.05) if EVERY > 1 else 0)


# What is measured ---------------------------------------------------------------------------------------------------


def _planted(lies: dict[str, Lie], share: float, seed: int) -> Iterator[tuple[str, bool, str, str]]:
    """(form, caught, the lie, the sentence it is made of)."""
    chance = random.Random(seed)
    for told in news():
        for (id, line), before in zip(told.sentences.items(), ("", *told.sentences.values()), strict=False):
            if chance.random() > share:
                continue
            for form, lie in lies.items():
                honest = paraphrased(line, chance) if chance.random() < 0.5 else line
                told.before = before
                lied = lie(honest, told, chance)
                if lied is None or lied == honest:
                    continue
                yield form, bool(told.evidence.faults(Claim(text=lied, cites=(id,)))), lied, line


def _rates(lies: dict[str, Lie], share: float, seed: int = 20261120) -> tuple[dict[str, tuple[int, int]], list[str]]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    missed: list[str] = []
    for form, caught, lied, line in _planted(lies, share, seed):
        counts[form][0] += caught
        counts[form][1] += 1
        if not caught:
            missed.append(f"{form}: {lied[:200]!r} of {line[:200]!r}")
    for form, (caught, of) in counts.items():
        print(f"{form:32} {caught:5} of {of:5}  {caught / of:7.2%}")
    return {form: (caught, of) for form, (caught, of) in counts.items()}, missed


def test_every_wrong_number_is_caught() -> None:
    counts, missed = _rates(NUMBERS, 0.25)
    assert set(counts) == set(NUMBERS)
    assert not missed, missed[:10]


def test_every_wrong_quotation_is_caught() -> None:
    counts, missed = _rates(QUOTES, 0.1)
    speakers, missed_speakers = _rates({"other speaker": _other_speaker}, 1.0)
    assert set(counts) | set(speakers) == set(QUOTES)
    assert not missed, missed[:10]
    assert not missed_speakers, missed_speakers[:10]


def test_wrong_names_are_caught() -> None:
    counts, missed = _rates(NAMES, 0.15)
    assert set(counts) == set(NAMES)
    assert sum(caught for caught, _ in counts.values()) >= 0.97 * sum(of for _, of in counts.values()), missed[:20]
    for form, (caught, of) in counts.items():
        assert caught >= enough(of), (form, [each for each in missed if each.startswith(form)][:10])


def test_honest_sentences_are_let_through() -> None:
    """Verbatim; lightly paraphrased; and the articles' own summaries, each cited to the whole article."""
    chance = random.Random(20261120)
    refused = {"verbatim": [0, 0], "paraphrased": [0, 0], "summary": [0, 0]}
    for told in news():
        for id, line in told.sentences.items():
            if chance.random() < 0.4:
                for form, text in (("verbatim", line), ("paraphrased", paraphrased(line, chance))):
                    found = [f for f in told.evidence.faults(Claim(text=text, cites=(id,))) if f.kind != "instruction"]
                    refused[form][0] += bool(found)
                    refused[form][1] += 1
        for line in told.summary:
            found = told.evidence.faults(Claim(text=line, cites=tuple(told.sentences)))
            refused["summary"][0] += bool(found)
            refused["summary"][1] += 1
    for form, (wrong, of) in refused.items():
        print(f"{form:32} {wrong:5} of {of:5}  {wrong / of:7.2%}")
    assert refused["verbatim"][0] <= 0.002 * refused["verbatim"][1]
    assert refused["paraphrased"][0] <= 0.05 * refused["paraphrased"][1]
    assert refused["summary"][0] <= 0.10 * refused["summary"][1]
