"""What runs and where: the rules in the module's docstring, one by one, and what follows from them."""

from __future__ import annotations

import datetime as dt
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.newspaper.choosing import Chosen, choose
from app.newspaper.material import Article, Sorted, Story
from app.newspaper.paper import Paper

NOON = dt.datetime(2026, 11, 19, 12, tzinfo=dt.UTC)


def paper(most: dict[str, int], stories: int = 20) -> Paper:
    desks = [{"name": name, "title": name, "description": name, "most": many} for name, many in most.items()]
    feed = [{"name": "Feed", "path": "feed.xml"}]
    return Paper.model_validate({"title": "The Marlow Evening", "desk": desks, "feed": feed, "stories": stories})


def told(
    name: str,
    desk: str = "town",
    importance: str = "major",
    *,
    genre: str = "news",
    language: str = "en",
    feeds: int = 1,
    hours: float | None = 0,
) -> tuple[Story, dict[str, Article]]:
    """A story and its articles. ``hours``: its age; None: it has no date."""
    published = None if hours is None else NOON - dt.timedelta(hours=hours)
    articles = {
        f"{name}.{n}": Article(id=f"{name}.{n}", feed=f"Feed {n}", title=f"Title {name}", text="x", published=published)
        for n in range(feeds)
    }
    sorted_as = Sorted.model_validate({"desk": desk, "importance": importance, "genre": genre, "language": language})
    return Story(id=f"{name}.0", articles=tuple(articles), sorted=sorted_as), articles


def chosen(paper: Paper, *stories: tuple[Story, dict[str, Article]]) -> Chosen:
    articles = {name: article for _, known in stories for name, article in known.items()}
    return choose(paper, [story for story, _ in stories], articles)


def names(result: Chosen) -> dict[str, list[str]]:
    return {desk: [story.id.removesuffix(".0") for story in stories] for desk, stories in result.desks.items()}


def dropped(result: Chosen) -> dict[str, str]:
    assert all(one.step == "choose" for one in result.dropped)
    return {one.what.removeprefix("Title "): one.why for one in result.dropped}


def test_rule_1_what_is_left_out_is_named_with_its_reason() -> None:
    result = chosen(
        paper({"town": 5}),
        told("foreign", language="other"),
        told("advert", genre="advertisement"),
        told("homeless", desk=""),
        told("elsewhere", desk="gone"),
        told("unknown", genre="", importance="", language=""),
    )
    assert names(result) == {"town": ["unknown"]}
    assert dropped(result) == {
        "foreign": "not in a language of the paper",
        "advert": "an advertisement",
        "homeless": "no desk wants it",
        "elsewhere": "no desk wants it",
    }


def test_rule_2_news_then_importance_then_sources_then_freshness_then_id() -> None:
    result = chosen(
        paper({"town": 20}),
        told("view", importance="front", genre="opinion", feeds=4),
        told("z", hours=1),
        told("undated", hours=None),
        told("minor", importance="minor", feeds=5),
        told("y", hours=1),
        told("fresh", hours=0),
        told("shared", hours=9, feeds=3),
        told("front", importance="front", hours=30),
        told("unsorted", importance=""),
    )
    expected = ["front", "shared", "fresh", "y", "z", "undated", "minor", "unsorted", "view"]
    assert names(result) == {"town": expected}


def test_articles_of_one_feed_are_one_source() -> None:
    story, known = told("many", feeds=3, hours=5)
    same_feed = {name: article.model_copy(update={"feed": "One"}) for name, article in known.items()}
    assert names(chosen(paper({"town": 5}), (story, same_feed), told("two", feeds=2, hours=9))) == {
        "town": ["two", "many"]
    }


def test_opinion_leads_only_where_there_is_nothing_else() -> None:
    result = chosen(
        paper({"town": 5, "views": 5}),
        told("view", "views", "front", genre="opinion"),
        told("comment", "town", "front", genre="opinion"),
        told("note", "town", "minor"),
    )
    assert names(result) == {"town": ["note", "comment"], "views": ["view"]}


def test_rules_4_to_6_every_desk_its_first_then_its_second_then_the_best() -> None:
    stories = [told(f"w{n}", "world", "front", hours=n) for n in range(6)]
    stories += [told(f"t{n}", "town", "minor", hours=n) for n in range(3)]
    stories += [told("g0", "garden", "minor", hours=20)]
    most = {"town": 5, "world": 4, "garden": 5}
    assert names(chosen(paper(most, 3), *stories)) == {"town": ["t0"], "world": ["w0"], "garden": ["g0"]}
    assert names(chosen(paper(most, 5), *stories)) == {"town": ["t0", "t1"], "world": ["w0", "w1"], "garden": ["g0"]}
    result = chosen(paper(most, 8), *stories)
    assert names(result) == {"town": ["t0", "t1", "t2"], "world": ["w0", "w1", "w2", "w3"], "garden": ["g0"]}
    assert dropped(result) == {
        "w4": "no room left on the desk world",
        "w5": "no room left on the desk world",
    }
    assert dropped(chosen(paper(most, 7), *stories))["t2"] == "no room left in the paper"
    assert names(chosen(paper(most, 1), *stories)) == {"world": ["w0"]}


DESKS = ("town", "world", "garden", "")
STORIES = st.lists(
    st.tuples(
        st.sampled_from(DESKS),
        st.sampled_from(["front", "major", "minor", ""]),
        st.sampled_from(["news", "opinion", "advertisement", ""]),
        st.sampled_from(["en", "other", ""]),
        st.integers(1, 3),
        st.none() | st.integers(0, 5),
    ),
    max_size=25,
)


@given(STORIES, st.tuples(*(st.integers(1, 6) for _ in range(3))), st.integers(1, 12), st.randoms())
def test_what_always_holds(
    drawn: list[tuple[str, str, str, str, int, int | None]],
    most: tuple[int, int, int],
    room: int,
    dice: object,
) -> None:
    made = [
        told(f"s{n}", desk, importance, genre=genre, language=language, feeds=feeds, hours=hours)
        for n, (desk, importance, genre, language, feeds, hours) in enumerate(drawn)
    ]
    of_desk = dict(zip(DESKS, most, strict=False))
    its_paper = paper(of_desk, room)
    result = chosen(its_paper, *made)
    placed = [story for stories in result.desks.values() for story in stories]
    # Never more than the most of a desk, and of the paper.
    assert all(1 <= len(stories) <= of_desk[desk] for desk, stories in result.desks.items())
    assert len(placed) <= room
    # Every story once: on its desk, or dropped.
    assert Counter([story.id for story in placed] + [f"{name}.0" for name in dropped(result)]) == Counter(
        story.id for story, _ in made
    )
    assert len(result.dropped) + len(placed) == len(made)
    assert all(story.sorted.desk == desk for desk, stories in result.desks.items() for story in stories)
    assert list(result.desks) == [desk for desk in of_desk if desk in result.desks]
    # No desk goes short of its share while another has more: its first before any second, its second before any third.
    had = {desk: len(result.desks.get(desk, ())) for desk in of_desk}
    refused = {one.what for one in result.dropped if one.why == "no room left in the paper"}
    for story, known in made:
        if known[story.id].title in refused:
            desk = story.sorted.desk
            assert had[desk] >= 1 or max(had.values()) <= 1
            assert had[desk] >= 2 or max(had.values()) <= 2
    assert not refused or len(placed) == room
    # Opinion leads only where there is no news.
    for stories in result.desks.values():
        opinions = [story.sorted.genre == "opinion" for story in stories]
        assert opinions == sorted(opinions)
    # The order in which they come in does not matter.
    shuffled = list(made)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert chosen(its_paper, *shuffled) == result
