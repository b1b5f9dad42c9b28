"""The same story from several sources becomes one, with all its sources.

Tellings that are surely of one story (``tellings``) are put together by rule, the doubtful are put to the vote, the
rest stays apart. Stories must not chain (A is like B, B is like C, so A and C are one), so a story is a star: the
articles are gone through from the fullest to the shortest, and each joins the story whose *fullest* telling it is
surely equal to, the most alike of several, or begins one of its own. Then the votes, the likeliest pair first: two
stories become one where more of the votes between their articles say that they are the same than that they are not.

Neither puts together what has nothing in common: any two articles of a story have a cosine of ``LEAST_CHAINED``, or
were voted the same themselves. So a round-up that holds five stories does not make them one.

Without a vote the doubtful stay apart: a story told twice is a smaller fault than two stories told as one.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from app.newspaper import tellings
from app.newspaper.material import Article, Story
from app.newspaper.paper import Paper
from app.newspaper.steps import Heard, Item, Wish
from app.newspaper.tellings import Shelf, Telling

STEP = "merge"
SAME = "same story"
DIFFERENT = "different stories"
MOST_DOUBTFUL = 60
LEAST_CHAINED = 0.15
_MOST_CHAINED = 10
"""Articles of a story that another one is held against, the fullest."""
_OPENING_CHARS = 600
"""Of each telling. A pair of them is short enough to share a call with others (``core.packing``)."""
_BETWEEN = "+"

_PROMPT = (
    "The item holds two newspaper articles from different sources, first and second. Do they report the same story: "
    "the same event, announcement, decision or piece of work? Other words, another length, another headline or another "
    f'order do not make it another story: answer "{SAME}". Articles on one topic, two parts of a series, two issues of '
    f'a regular report, or the same kind of event at another time or place are not the same: answer "{DIFFERENT}".'
)


def doubtful(articles: Sequence[Article]) -> tuple[tuple[str, str], ...]:
    """Pairs of article ids that somebody ought to look at, the fuller telling first, the likeliest pair first;
    ``MOST_DOUBTFUL`` at most, of any two stories one pair."""
    return _compared(_once(articles)).doubtful


def wish(paper: Paper, articles: Sequence[Article], due: dt.datetime) -> Wish | None:
    """The vote on the doubtful pairs; None where there are none."""
    pairs = doubtful(articles)
    if not pairs:
        return None
    by_id = {article.id: article for article in articles}
    step = paper.steps.merge
    spec: dict[str, Any] = {
        "task": "classify",
        "labels": [SAME, DIFFERENT],
        "prompt": _PROMPT,
        "strategy": step.strategy,
        "tier": step.tier,
        "pack": step.pack,
    }
    items = tuple(Item(_BETWEEN.join(pair), _shown(by_id[pair[0]], by_id[pair[1]])) for pair in pairs)
    return Wish(STEP, spec, items, due)


def merged(articles: Sequence[Article], heard: Heard | None) -> tuple[Story, ...]:
    """Every article in one story. Of each story the fullest telling first, then the others by length; the stories in
    the order of their first article."""
    articles = _once(articles)
    compared = _compared(articles)
    groups = {leader: set(members) for leader, members in compared.stars.items()}
    votes = _votes(heard, compared.by_id.keys())
    for pair in dict.fromkeys((*compared.doubtful, *sorted(votes))):
        if votes.get(pair):
            leaders = {next(leader for leader, members in groups.items() if name in members) for name in pair}
            first, *rest = sorted(leaders, key=lambda name: compared.by_id[name].fullness)
            for second in rest:
                ours, theirs = groups[first], groups[second]
                if _voted_one(votes, ours, theirs) and _chained(compared.by_id, ours, theirs, votes):
                    groups[first] |= groups.pop(second)
    place = {article.id: at for at, article in enumerate(articles)}
    stories = [
        Story(id=leader, articles=tuple(sorted(members, key=lambda name: compared.by_id[name].fullness)))
        for leader, members in groups.items()
    ]
    return tuple(sorted(stories, key=lambda story: min(place[name] for name in story.articles)))


@dataclass(frozen=True, slots=True)
class _Compared:
    """``stars``: the fullest telling's id → the ids of the story, itself among them."""

    by_id: dict[str, Telling]
    stars: dict[str, tuple[str, ...]]
    doubtful: tuple[tuple[str, str], ...]


def _once(articles: Sequence[Article]) -> tuple[Article, ...]:
    """The same article out of two feeds has the same id, and counts as one."""
    by_id: dict[str, Article] = {}
    for article in articles:
        by_id.setdefault(article.id, article)
    return tuple(by_id.values())


@lru_cache(maxsize=2)
def _compared(articles: tuple[Article, ...]) -> _Compared:
    """The making looks at the same articles again and again."""
    shelf = Shelf()
    stars: dict[str, list[str]] = {}
    perhaps: list[tuple[float, str, str]] = []
    by_id = {telling.id: telling for telling in tellings.tellings(articles)}
    for telling in sorted(by_id.values(), key=lambda one: one.fullness):
        found = [(tellings.likeness(other, telling), other) for other in shelf.near(telling)]
        sure = sorted((-like.likely, other.id) for like, other in found if like.sure)
        leader = next((name for _, name in sure if _chained(by_id, stars[name], [telling.id])), None)
        if leader is not None:
            stars[leader].append(telling.id)
            continue
        perhaps += [(-like.likely, other.id, telling.id) for like, other in found if like.sure or like.doubtful]
        stars[telling.id] = [telling.id]
        shelf.add(telling)
    pairs = tuple((one, other) for _, one, other in sorted(perhaps)[:MOST_DOUBTFUL])
    return _Compared(by_id, {leader: tuple(members) for leader, members in stars.items()}, pairs)


def _chained(
    by_id: Mapping[str, Telling],
    ours: Iterable[str],
    theirs: Iterable[str],
    votes: Mapping[tuple[str, str], bool] = MappingProxyType({}),
) -> bool:
    """Has each of the one something in common with each of the other?"""
    few = [sorted(names, key=lambda name: by_id[name].fullness)[:_MOST_CHAINED] for names in (ours, theirs)]
    return all(
        votes.get((one, other)) or votes.get((other, one)) or tellings.cosine(by_id[one], by_id[other]) >= LEAST_CHAINED
        for one in few[0]
        for other in few[1]
    )


def _shown(fuller: Article, shorter: Article) -> str:
    first, second = (
        {"title": article.title, "text": _opening(article.text if article.text else article.summary)}
        for article in (fuller, shorter)
    )
    return json.dumps({"first": first, "second": second}, ensure_ascii=False)


def _opening(text: str) -> str:
    return text if len(text) <= _OPENING_CHARS else text[:_OPENING_CHARS].rsplit(" ", 1)[0] + " …"


def _votes(heard: Heard | None, known: Set[str]) -> dict[tuple[str, str], bool]:
    """Pair → were they said to be the same? What was not decided is not in it."""
    votes = {}
    for name, answer in (heard.answers if heard is not None else {}).items():
        one, _, other = name.partition(_BETWEEN)
        if {one, other} <= known and answer.text in (SAME, DIFFERENT):
            votes[one, other] = answer.text == SAME
    return votes


def _voted_one(votes: Mapping[tuple[str, str], bool], ours: Set[str], theirs: Set[str]) -> bool:
    between = [
        same
        for (one, other), same in votes.items()
        if (one in ours and other in theirs) or (one in theirs and other in ours)
    ]
    return 2 * sum(between) > len(between)
