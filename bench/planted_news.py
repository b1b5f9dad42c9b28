"""Real articles, and doubles planted among them: the same story told again in ways that newsrooms tell it.

The articles are 932 of digital.gov (public domain), which stand beside the repository. All comes from a seed. Of the
copies each knows whose it is; every two articles of different origin are different stories, except the few that the
collection itself holds twice (``_TWICE``, and those with the same title).
"""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import html
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from app.newspaper.material import Article

FULL = ("identical", "retitled", "third", "reworded", "agency-short", "agency-long")
"""Kinds of doubles that tell at least a third of the story."""
KINDS = (*FULL, "summary")
FEEDS = ("Herald", "Courier", "Observer", "Tribune", "Gazette")
ONE_DAY = dt.datetime(2026, 11, 19, 12, 0, tzinfo=dt.UTC)
NEGATIVES = ("column", "issue")
_LEAST_FIGURES = 6
_LEAST_SENTENCES = 10
_LEAST_CHARS = 600
"""A text has to be so long to be told anew."""

_SYNONYMS: dict[str, str] = {
    first: second
    for first, _, second in (
        pair.strip().partition(" ")
        for pair in """
    help assist, new fresh, launched started, agency office, agencies offices, federal national, government state,
    public open, website site, websites sites, use employ, used employed, using employing, users visitors, user visitor,
    show demonstrate, shows demonstrates, make create, makes creates, made created, important crucial, improve enhance,
    improved enhanced, improving enhancing, team group, teams groups, people persons, work labor, need require,
    needs requires, information details, data figures, services offerings, service offering, content material,
    project undertaking, projects undertakings, program scheme, provide supply, provides supplies, develop build,
    developed built, developing building, create produce, created produced, find discover, found discovered,
    many numerous, several various, first initial, also additionally, however nevertheless, because since,
    customers clients, customer client, citizens residents, research study, design layout, mobile portable,
    learn discover, learned understood, share present, shared presented, sharing presenting, tools instruments,
    tool instrument, way manner, ways manners, better superior, best finest, good fine, great excellent, large big,
    small little, begin start, began started, community network, communities networks, digital electronic,
    experience encounter, goal aim, goals aims, support back, supports backs, including such, through via,
    across throughout, year twelvemonth, issues problems, issue problem, challenge difficulty, challenges difficulties,
    ensure guarantee, ensures guarantees, access entry, easy simple, easier simpler, test try, testing trying,
    questions queries, question query, feedback comments, process procedure, plan scheme, plans schemes, offer give,
    offers gives, build construct, building constructing, change alter, changes alterations, get obtain, want wish,
    wants wishes, look glance, think believe, say state, said stated, says states, today now, recently lately
    """.replace("\n", " ").split(",")
    )
}
_TWICE = (
    ("Spotlight Chat: Planning a Federal Prize Competition", "Planning a Federal Prize Competition"),
    ("Shared infrastructure as code again", "Shared infrastructure as code"),
    (
        "Ideas on How to Keep Your Citizens Informed",
        "Get More Health Content for Your Websites, Apps, and Social Media",
    ),
    (
        "Collaboration, Usability, and Trust: Lessons Learned from a Bureau-Wide Usability Group",
        "Building a Bureau-Wide Usability Collaboration Group: Lessons Learned from the U.S. Geological Survey",
    ),
)
"""What the collection holds twice under two titles: the same passages word for word, read and found so."""
_PADDING = (
    "The announcement was made late on the day and confirmed by a spokesperson who asked not to be named.",
    "Further particulars were not at hand when this edition went to press.",
    "Observers had been waiting for a decision of that sort for some time.",
    "Reactions from those concerned were mixed at first, and warmer later on.",
    "Correspondents in several cities contributed to this report.",
    "A reader can follow the matter in the coming weeks on these pages.",
)


@dataclass(frozen=True, slots=True)
class Night:
    """``copied``: a double's id → that of the article it tells again. ``kinds``: of all that was planted. ``origin``:
    article id → number of the story that it tells."""

    articles: tuple[Article, ...]
    copied: dict[str, str]
    origin: dict[str, int]
    kinds: dict[str, str]
    topics: dict[str, tuple[str, ...]]
    """Of the originals."""

    def same(self, one: str, other: str) -> bool:
        return self.origin[one] == self.origin[other]


def collection(folder: Path) -> list[dict[str, object]]:
    """The rows of ``news/digitalgov_news.jsonl.gz``; raises ``FileNotFoundError`` where it is missing."""
    with gzip.open(folder / "news" / "digitalgov_news.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def night(rows: Sequence[dict[str, object]], seed: int, *, each: int, one_day: bool) -> Night:
    """All the articles with ``each`` doubles of every kind, and as many hard negatives of two kinds.

    ``column``: another article under the same head and with the same first two sentences. ``issue``: the next issue of
    a report, half its sentences as before, all its figures others. What is new in them is out of articles that are
    nowhere else.

    ``one_day``: everything is of the same day; else dates are the collection's and copies are up to two days later.
    """
    dice = random.Random(seed)
    originals = [_original(number, row, one_day) for number, row in enumerate(rows)]
    also = {_plain(one): _plain(other) for one, other in _TWICE}
    twins: dict[str, int] = {}
    origin = {
        article.id: twins.setdefault(also.get(title := _plain(article.title), title), n)
        for n, article in enumerate(originals)
    }
    kinds: dict[str, str] = {}
    copied: dict[str, str] = {}
    copies: list[Article] = []
    long = [article for article in originals if len(article.text) >= _LEAST_CHARS]
    wanted = [kind for kind in (*KINDS, *NEGATIVES) for _ in range(each)]
    twice = {title for pair in _TWICE for title in pair}
    drawn = [article for article in dice.sample(long, len(long)) if article.title not in twice]
    elsewhere = [drawn.pop() for _ in range(len(NEGATIVES) * each)]
    for kind in wanted:
        article = next(one for one in drawn if _fits(one, kind))
        drawn.remove(article)
        copy = _copy(article, kind, elsewhere[len(copies) % len(elsewhere)], dice, one_day)
        copies.append(copy)
        kinds[copy.id] = kind
        if kind in NEGATIVES:
            origin[copy.id] = len(originals) + len(copies)
        else:
            origin[copy.id], copied[copy.id] = origin[article.id], article.id
    articles = [*(article for article in originals if article not in elsewhere), *copies]
    dice.shuffle(articles)
    topics = {
        article.id: tuple(str(topic) for topic in _list(row["topics"]))
        for article, row in zip(originals, rows, strict=True)
    }
    return Night(tuple(articles), copied, origin, kinds, topics)


def _fits(article: Article, kind: str) -> bool:
    """A hard negative may not hold most of what it was made from."""
    if kind == "issue":
        return len(re.findall(r"\d\d+", article.text)) >= _LEAST_FIGURES
    return kind != "column" or len(sentences(article.text)) >= _LEAST_SENTENCES


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _original(number: int, row: dict[str, object], one_day: bool) -> Article:
    title = _clean(str(row["title"]))
    summary = _clean(str(row["summary"] or ""))
    day = dt.datetime.strptime(str(row["published"])[:10], "%Y-%m-%d").replace(tzinfo=dt.UTC)
    return Article(
        id=_id(f"{number} {title}"),
        feed=FEEDS[number % len(FEEDS)],
        url=str(row["url"]),
        title=title[:300],
        summary=summary[:1000],
        text=_clean(str(row["body"] or "")) or summary or title,
        published=ONE_DAY if one_day else day,
        language="en",
    )


def _copy(article: Article, kind: str, other: Article, dice: random.Random, one_day: bool) -> Article:
    title, text, said = article.title, article.text, sentences(article.text)
    match kind:
        case "retitled":
            title = _headline(dice.choice(said[1:6] or said))
        case "third":
            text = f"{text[: len(text) // 3].rsplit(' ', 1)[0]} …"
        case "reworded":
            title = _reworded(title, 0.5, 0.0, dice)
            text = " ".join(_reworded(one, 0.5, 0.05, dice) for one in _stirred(said, dice))
        case "agency-short":
            kept = [said[0], *(one for one in said[1:] if dice.random() < 0.5)]
            title = _headline(_reworded(said[0], 0.7, 0.0, dice))
            text = "WASHINGTON (Wire) - " + " ".join(_reworded(one, 0.7, 0.12, dice) for one in kept)
        case "agency-long":
            title = _headline(_reworded(said[0], 0.7, 0.0, dice))
            told = [_reworded(one, 0.7, 0.08, dice) for one in said]
            for one in _PADDING:
                told.insert(dice.randrange(1, len(told) + 1), one)
            text = "WASHINGTON (Wire) - " + " ".join(told)
        case "summary":
            text = article.summary or said[0]
        case "column":
            title = f"{' '.join(title.split()[:3])}: {other.title}"
            text = " ".join([*said[:2], *sentences(other.text)])
        case "issue":
            news = iter(sentences(other.text))
            told = [next(news, "") if dice.random() < 0.5 else one for one in said]
            text = re.sub(r"\d", lambda found: str((int(found[0]) + 1) % 10), " ".join(told))
    assert article.published is not None
    later = dt.timedelta(0) if one_day else dt.timedelta(hours=dice.randrange(48))
    return Article(
        id=_id(f"{kind} {article.id} {title}"),
        feed=FEEDS[(FEEDS.index(article.feed) + dice.randrange(1, len(FEEDS))) % len(FEEDS)],
        url=f"https://wire.example/{kind}/{article.id}",
        title=title[:300],
        summary=text[:300],
        text=text,
        published=article.published + later,
        language="en",
    )


def sentences(text: str) -> list[str]:
    return [one for one in re.split(r"(?<=[.!?])\s+|\n+", text) if one.strip()] or [text]


def _stirred(said: Sequence[str], dice: random.Random) -> list[str]:
    """Every second pair of sentences in the other order."""
    order = list(said)
    for first, second in pairwise(range(len(order))):
        if dice.random() < 0.3:
            order[first], order[second] = order[second], order[first]
    return order


def _reworded(text: str, share: float, dropped: float, dice: random.Random) -> str:
    """``share`` of the words that have a synonym get it, and ``dropped`` of all are left out."""
    told = []
    for word in text.split():
        bare = word.strip(".,;:!?()\"'").lower()
        if dice.random() < dropped:
            continue
        told.append(_SYNONYMS[bare] if bare in _SYNONYMS and dice.random() < share else word)
    return " ".join(told) or text


def _headline(sentence: str) -> str:
    return " ".join(sentence.split()[:9]).rstrip(".,;:")


def _clean(text: str) -> str:
    """Without the marks of Markdown, as an article's text is after reading."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"[*_#`>]{1,6}", " ", text)
    return re.sub(r"[ \t]+", " ", text).strip()


def _plain(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.lower()))


def _id(said: str) -> str:
    return "a" + hashlib.blake2b(said.encode(), digest_size=5).hexdigest()
