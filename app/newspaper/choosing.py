"""What runs and where. These are the rules, and all of them:

1. Left out, each named with its reason: what is written in none of the paper's languages, advertisements, and what no
   desk wants.
2. On each desk stories are ranked: news before opinion, so that opinion leads only where a desk has nothing else; then
   by importance (front, major, minor); then by the number of feeds that tell it; then the freshest first, those without
   a date last; then by id.
3. The stories are ranked against each other in the same way, whatever their desk.
4. Every desk gets its first story, the best ranked first, while there is room in the paper.
5. Then every desk gets its second story, in the same way.
6. What room is left goes to the best ranked of the others, whatever their desk.
7. No desk gets more than its ``most``, and the paper no more than its ``stories``. Whatever finds no room is left out
   and named.

On the page a desk's stories stand by rank, and opinion is marked. The order in which stories come in does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.newspaper.edition import Dropped
from app.newspaper.material import Article, Story
from app.newspaper.paper import Paper
from app.newspaper.sorting import OTHER

STEP = "choose"
_IMPORTANCE = ("front", "major", "minor", "")
_WHATEVER_DESK = 2
"""The turn of all that come after their desk's first and second."""

Rank = tuple[bool, int, int, float, str]


@dataclass(frozen=True, slots=True)
class Chosen:
    """``desks``: name → its stories, the leading one first; the desks that have any, in the paper's order."""

    desks: dict[str, tuple[Story, ...]]
    dropped: tuple[Dropped, ...]


def choose(paper: Paper, stories: Sequence[Story], articles: Mapping[str, Article]) -> Chosen:
    """``stories`` are sorted ones. Each of them is in a desk or among the dropped, once."""
    ranked = sorted(stories, key=lambda story: rank(story, articles))
    most = {desk.name: desk.most for desk in paper.desk}
    reasons = {story.id: _unwanted(paper, story) for story in ranked}
    turn: dict[str, int] = {}
    on_desk: Counter[str] = Counter()
    for story in ranked:
        if not reasons[story.id]:
            turn[story.id] = min(on_desk[story.sorted.desk], _WHATEVER_DESK)
            on_desk[story.sorted.desk] += 1
    taken: dict[str, list[Story]] = {desk.name: [] for desk in paper.desk}
    room = paper.stories
    for story in sorted((story for story in ranked if story.id in turn), key=lambda story: turn[story.id]):
        desk = story.sorted.desk
        if not room:
            reasons[story.id] = "no room left in the paper"
        elif len(taken[desk]) == most[desk]:
            reasons[story.id] = f"no room left on the desk {desk}"
        else:
            taken[desk].append(story)
            room -= 1
    return Chosen(
        {desk: tuple(chosen) for desk, chosen in taken.items() if chosen},
        tuple(
            Dropped(what=articles[story.id].title, why=reasons[story.id], step=STEP)
            for story in ranked
            if reasons[story.id]
        ),
    )


def rank(story: Story, articles: Mapping[str, Article]) -> Rank:
    """Sorts the best first."""
    told = [articles[name] for name in story.articles]
    freshest = max((article.published.timestamp() for article in told if article.published is not None), default=0.0)
    return (
        story.sorted.genre == "opinion",
        _IMPORTANCE.index(story.sorted.importance),
        -len({article.feed for article in told}),
        -freshest,
        story.id,
    )


def _unwanted(paper: Paper, story: Story) -> str:
    """Why a story is left out whatever room there is; empty where it is not."""
    if story.sorted.language == OTHER:
        return "not in a language of the paper"
    if story.sorted.genre == "advertisement":
        return "an advertisement"
    if story.sorted.desk not in {desk.name for desk in paper.desk}:
        return "no desk wants it"
    return ""
