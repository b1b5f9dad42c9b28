"""How alike two tellings are: three figures, counted from the texts of the night and from nothing else.

- **cosine** of their words, weighed by tf-idf (Salton and Buckley 1988, "Term-weighting approaches in automatic text
  retrieval": the rarer tonight, the heavier); the title's words count more, and so do names and numbers;
- **contained**: the share of the shorter one's runs of three words that stand in the fuller one too (containment,
  Broder 1997, "On the resemblance and containment of documents"). A telling cut to its first third is contained whole;
- **agreed**: the share of the shorter one's numbers that the fuller one has too. Two issues of one report are alike in
  everything else.

Whom to compare at all is found by the heaviest words of each. No clock, no randomness; near linear in the articles.

Weakness: the figures are about words. Tellings that share no name, number or phrase are not found, nor translations.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.core import similarity
from app.core.sameness import normalised
from app.newspaper.material import Article

WINDOW = dt.timedelta(days=3)
"""Tellings further apart in time are of different stories. One without a date may be of any."""

SURE_COSINE, SURE_CONTAINED, SURE_AGREED = 0.4, 0.35, 0.6
"""All three reached: the same story. Set where planted doubles and different articles part (``bench.news``)."""
DOUBTFUL_COSINE, DOUBTFUL_CONTAINED = 0.35, 0.5
"""One of them reached: somebody ought to look."""
_LEAST_RUNS = 25
"""Of a text shorter than that, an equal half says nothing: a rubric's standing words may be it."""
_LEAST_WORDS = 8
"""A text of fewer words, though equal, may be a rubric's head."""

_COMPARED_CHARS = 6_000
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_]+")
"""Numbers, ideographs and kana one by one, words."""
_GLUE_LETTERS = 3
"""Words that short, names apart, hold sentences together in most languages, and say nothing of what they are about."""
_TITLE_TIMES = 2
_NAME_TIMES = 1.5
"""And numbers."""
_LEAST_NIGHT = 50
"""So many articles are reckoned with at least: of ten, every word is rare."""
_HEAVIEST = 40
_MOST_POSTED = 200
"""A word under which so many different stories stand already is common tonight, and leads to nobody."""
_MOST_LOOKED_AT = 20


@dataclass(frozen=True, slots=True, eq=False)
class Telling:
    """An article as it is compared. ``weights``: of its words, a vector of length 1."""

    id: str
    published: dt.datetime | None
    title: str
    text: str
    weights: Mapping[str, float]
    runs: frozenset[tuple[str, str, str]]
    words: int
    numbers: frozenset[str]
    title_numbers: frozenset[str]
    title_words: frozenset[str]

    @property
    def fullness(self) -> tuple[int, str]:
        """Sorts the fullest first; ties by id."""
        return -len(self.text), self.id


@dataclass(frozen=True, slots=True)
class Likeness:
    """``sure``: the same story. ``doubtful``: perhaps. Neither: apart."""

    cosine: float
    contained: float
    sure: bool
    doubtful: bool

    @property
    def likely(self) -> float:
        return self.cosine + self.contained


def tellings(articles: Sequence[Article]) -> list[Telling]:
    """In their order. What a word weighs depends on all of them."""
    texts = [(article.text if len(article.text) >= len(article.summary) else article.summary) for article in articles]
    said = [_words(text[:_COMPARED_CHARS]) for text in texts]
    titles = [_words(article.title[:_COMPARED_CHARS]) for article in articles]
    counts = [
        Counter([word.lower() for word in body] + [word.lower() for word in title] * _TITLE_TIMES)
        for body, title in zip(said, titles, strict=True)
    ]
    held_by = Counter(word for count in counts for word in count)
    night = max(len(articles), _LEAST_NIGHT)
    rarity = {word: math.log((night + 1) / (by + 0.5)) for word, by in held_by.items()}
    return [
        _telling(article, text, body, title, _weights(count, _names(body), rarity))
        for article, text, body, title, count in zip(articles, texts, said, titles, counts, strict=True)
    ]


def _words(text: str) -> list[str]:
    return [word.replace(",", "") if word[0].isdigit() else word for word in _WORD.findall(text)]


def _names(body: Sequence[str]) -> set[str]:
    """Words that are only ever written with a capital, and numbers."""
    plain = {word for word in body if word.islower()}
    return {low for word in body if not word.islower() and (low := word.lower()) not in plain}


def _weights(count: Counter[str], names: set[str], rarity: Mapping[str, float]) -> dict[str, float]:
    weights = {
        word: (1 + math.log(times)) * max(rarity[word], 0.0) * (_NAME_TIMES if word in names else 1.0)
        for word, times in count.items()
        if word in names or len(word) > _GLUE_LETTERS or not word[0].islower()
    }
    length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    return {word: weight / length for word, weight in weights.items()}


def _telling(
    article: Article, text: str, body: Sequence[str], title: Sequence[str], weights: Mapping[str, float]
) -> Telling:
    low = [word.lower() for word in body]
    return Telling(
        id=article.id,
        published=article.published,
        title=article.title,
        text=text,
        weights=weights,
        runs=frozenset(zip(low, low[1:], low[2:], strict=False)),
        words=len(low),
        numbers=frozenset(word for word in low if word[0].isdigit()),
        title_numbers=frozenset(word for word in title if word[0].isdigit()),
        title_words=frozenset(word.lower() for word in title if not word[0].isdigit()),
    )


def cosine(one: Telling, other: Telling) -> float:
    small, large = sorted((one.weights, other.weights), key=len)
    return sum(weight * large.get(word, 0.0) for word, weight in small.items())


def likeness(fuller: Telling, shorter: Telling) -> Likeness:
    alike = cosine(fuller, shorter)
    contained = len(shorter.runs & fuller.runs) / max(1, len(shorter.runs))
    together = _in_window(fuller, shorter)
    sure = together and _agree(fuller, shorter) and _surely(fuller, shorter, alike, contained)
    by_runs = contained >= DOUBTFUL_CONTAINED and shorter.words >= _LEAST_WORDS
    return Likeness(alike, contained, sure, together and not sure and (alike >= DOUBTFUL_COSINE or by_runs))


def _in_window(one: Telling, other: Telling) -> bool:
    return one.published is None or other.published is None or abs(one.published - other.published) <= WINDOW


def _agree(fuller: Telling, shorter: Telling) -> bool:
    """Do their numbers speak against it? ``Part 1`` and ``Part 2`` under one title do, and figures of another week."""
    ours, theirs = fuller.title_numbers, shorter.title_numbers
    common = 2 * len(fuller.title_words & shorter.title_words)
    one_title = common >= min(len(fuller.title_words), len(shorter.title_words))
    if one_title and ours and theirs and not (ours <= theirs or theirs <= ours):
        return False
    return len(shorter.numbers & fuller.numbers) >= SURE_AGREED * len(shorter.numbers)


def _surely(fuller: Telling, shorter: Telling, alike: float, contained: float) -> bool:
    if shorter.words >= _LEAST_WORDS and normalised(fuller.text) == normalised(shorter.text):
        return len(shorter.runs) >= _LEAST_RUNS or normalised(fuller.title) == normalised(shorter.title)
    if alike < SURE_COSINE:
        return False
    if len(shorter.runs) >= _LEAST_RUNS:
        return contained >= SURE_CONTAINED
    # What has few words may be long all the same, in a script that does not divide them.
    ours, theirs = similarity.shingles(fuller.text), similarity.shingles(shorter.text)
    return min(len(ours), len(theirs)) >= 4 * _LEAST_RUNS and similarity.jaccard(ours, theirs) >= similarity.LEAST


class Shelf:
    """Tellings that others are compared with, found by their heaviest words and by equal texts."""

    def __init__(self) -> None:
        self._by_word: dict[str, list[Telling]] = defaultdict(list)
        self._by_text: dict[str, Telling] = {}

    def add(self, telling: Telling) -> None:
        self._by_text.setdefault(normalised(telling.text), telling)
        for word in _heaviest(telling):
            if len(self._by_word[word]) <= _MOST_POSTED:
                self._by_word[word].append(telling)

    def near(self, telling: Telling) -> Iterator[Telling]:
        """Those on the shelf that it may be like, the likeliest first."""
        found: dict[str, Telling] = {}
        score: dict[str, float] = defaultdict(float)
        for word in _heaviest(telling):
            if len(posted := self._by_word.get(word, ())) <= _MOST_POSTED:
                for other in posted:
                    found[other.id] = other
                    score[other.id] += telling.weights[word] * other.weights[word]
        equal = self._by_text.get(normalised(telling.text))
        if equal is not None:
            found[equal.id] = equal
            score[equal.id] += 1.0
        for name in sorted(score, key=lambda one: (-score[one], one))[:_MOST_LOOKED_AT]:
            yield found[name]


def _heaviest(telling: Telling) -> list[str]:
    return sorted(telling.weights, key=lambda word: (-telling.weights[word], word))[:_HEAVIEST]
