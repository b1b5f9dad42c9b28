"""What is asked of models about a story, and what is made of their answers and of their silence."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.newspaper import sorting
from app.newspaper.material import Article, Sorted, Story
from app.newspaper.paper import Paper
from app.newspaper.sorting import sorted_stories, wishes
from app.newspaper.steps import Answer, Heard
from app.services.jobspec import JobSpec

DUE = dt.datetime(2026, 11, 19, 5, 20, tzinfo=dt.UTC)
DESKS = [
    {"name": "town", "title": "Town", "description": "the council, streets, bridges and schools of Marlow"},
    {"name": "nature", "title": "Nature", "description": "animals, rivers, weather and gardens"},
]


def paper(desks: list[dict[str, str]] = DESKS, **more: object) -> Paper:
    feed = [{"name": "Feed", "path": "feed.xml"}]
    return Paper.model_validate({"title": "The Marlow Evening", "desk": desks, "feed": feed, **more})


def article(name: str, **more: object) -> Article:
    said = {"id": name, "feed": f"Feed {name}", "title": f"Title {name}", "text": f"Text {name}.", "language": "en"}
    return Article.model_validate(said | more)


def night(*articles: Article) -> tuple[tuple[Story, ...], dict[str, Article]]:
    return tuple(Story(id=one.id, articles=(one.id,)) for one in articles), {one.id: one for one in articles}


def said(step: str, answers: dict[str, str | None]) -> dict[str, Heard]:
    return {step: Heard("job-1", True, {name: Answer(text) for name, text in answers.items()})}


def test_each_step_is_a_job_the_yard_takes_and_its_prompt_is_the_papers_words_only() -> None:
    stories, articles = night(article("a1", language=""), article("a2", text="word " * 400, language=""))
    made = wishes(paper(), stories, articles, DUE)
    assert [wish.step for wish in made] == ["sort:desk", "sort:importance", "sort:genre", "sort:language"]
    labels = [JobSpec.model_validate(dict(wish.spec)).labels for wish in made]
    assert labels == [
        ["town", "nature", "none"],
        ["front", "major", "minor"],
        ["news", "opinion", "advertisement"],
        ["English", "other"],
    ]
    assert all((wish.spec["strategy"], wish.spec["pack"], wish.due) == ("majority-vote", 10, DUE) for wish in made)
    assert all(f"- {desk['name']}: {desk['description']}" in made[0].spec["prompt"] for desk in DESKS)
    assert not any("Title" in str(wish.spec) for wish in made)
    first, second = made[0].items
    assert (first.id, first.text) == ("a1", "Title a1\n\nText a1.")
    assert second.text.startswith("Title a2\n\nword word")
    assert len(second.text) < sorting.OPENING_CHARS + 20


def test_what_the_feed_says_is_not_asked() -> None:
    stories, articles = night(article("a1", desk="nature", language="EN-gb"), article("a2", language="de"))
    made = {wish.step: [item.id for item in wish.items] for wish in wishes(paper(), stories, articles, DUE)}
    assert made == {"sort:desk": ["a2"], "sort:importance": ["a1", "a2"], "sort:genre": ["a1", "a2"]}
    first, second = sorted_stories(paper(), stories, articles, said("sort:desk", {"a1": "town", "a2": "none"}))
    assert (first.sorted.desk, first.sorted.language) == ("nature", "en")
    assert (second.sorted.desk, second.sorted.language) == ("", "other")


def test_a_story_is_on_the_desk_of_any_feed_that_tells_it() -> None:
    _, articles = night(article("a1"), article("a2", desk="nature"), article("a3", desk="gone"))
    stories = (Story(id="a1", articles=("a1", "a2")), Story(id="a3", articles=("a3",)))
    assert [item.id for item in wishes(paper(), stories, articles, DUE)[0].items] == ["a3"]
    assert sorted_stories(paper(), stories, articles, {})[0].sorted.desk == "nature"


def test_answers_are_taken_and_languages_become_codes() -> None:
    stories, articles = night(article("a1", language=""), article("a2", language=""))
    heard = {
        **said("sort:desk", {"a1": "town", "a2": "nature"}),
        **said("sort:importance", {"a1": "front", "a2": "minor"}),
        **said("sort:genre", {"a1": "opinion", "a2": "advertisement"}),
        **said("sort:language", {"a1": "German", "a2": "other"}),
    }
    sorted_as = [story.sorted for story in sorted_stories(paper(languages=("en", "de")), stories, articles, heard)]
    assert sorted_as == [
        Sorted(desk="town", importance="front", genre="opinion", language="de"),
        Sorted(desk="nature", importance="minor", genre="advertisement", language="other"),
    ]


def test_without_answers_words_sources_and_the_headline_decide() -> None:
    bridge = article("a1", title="The council closes two bridges", text="Schools are reached by ferry.", feed="One")
    again = article("a2", feed="Two")
    third = article("a3", feed="Three")
    otters = article("a4", title="Comment: otters", text="Animals of our rivers deserve peace.", feed="One")
    nobody = article("a5", title="Quarterly figures", text="Profits rose.", feed="Two", language="")
    offer = article("a6", title="Sponsored | A garden hose", feed="Three")
    articles = {one.id: one for one in (bridge, otters, again, nobody, third, offer)}
    stories = (
        Story(id="a1", articles=("a1", "a2", "a3")),
        Story(id="a4", articles=("a4",)),
        Story(id="a5", articles=("a5",)),
        Story(id="a6", articles=("a6",)),
    )
    heard = said("sort:desk", {"a4": None, "a5": "no such desk"})
    assert [story.sorted for story in sorted_stories(paper(), stories, articles, heard)] == [
        Sorted(desk="town", importance="front", genre="news", language="en"),
        Sorted(desk="nature", importance="minor", genre="opinion", language="en"),
        Sorted(desk="", importance="minor", genre="news", language=""),
        Sorted(desk="nature", importance="minor", genre="advertisement", language="en"),
    ]


@pytest.mark.parametrize(
    ("heard", "desk"),
    [({}, "town"), (said("sort:desk", {"a1": None}), "town"), (said("sort:desk", {"a2": "nature"}), "")],
    ids=["not-asked", "no-answer", "another-answered"],
)
def test_where_nobody_was_heard_a_story_without_a_desk_is_on_the_first(heard: dict[str, Heard], desk: str) -> None:
    """A bulletin has headlines, whatever words its desks are described in."""
    stories, articles = night(article("a1", title="Quarterly figures", text="Profits rose."), article("a2"))
    assert sorted_stories(paper(), stories, articles, heard)[0].sorted.desk == desk


@pytest.mark.parametrize("feeds", [("One",), ("One", "Two")])
def test_a_story_matters_more_where_two_tell_it_or_a_feed_begins_with_it(feeds: tuple[str, ...]) -> None:
    told = [article(f"a{n}", feed=feed) for n, feed in enumerate(feeds)]
    _, articles = night(*told)
    (story,) = sorted_stories(paper(), (Story(id="a0", articles=tuple(articles)),), articles, {})
    assert story.sorted.importance == "major"


def test_a_desk_called_none_is_a_desk() -> None:
    stories, articles = night(article("a1"), article("a2"))
    odd = paper([{"name": "none", "title": "None", "description": "what the {text} does not say"}])
    (wish, *_) = wishes(odd, stories, articles, DUE)
    assert wish.spec["labels"] == ["none", "no-desk"]
    assert "{text}" not in wish.spec["prompt"]
    heard = said("sort:desk", {"a1": "none", "a2": "no-desk"})
    assert [story.sorted.desk for story in sorted_stories(odd, stories, articles, heard)] == ["none", ""]


ANSWERS = st.dictionaries(st.sampled_from(["a0", "a1", "a2", "zz"]), st.none() | st.text(max_size=9), max_size=4)


@given(ANSWERS, ANSWERS, ANSWERS, ANSWERS)
def test_whatever_is_answered_only_known_words_come_of_it(
    desk: dict[str, str | None], importance: dict[str, str | None], genre: dict[str, str | None], tongue: dict[str, str]
) -> None:
    stories, articles = night(*(article(f"a{n}", language="") for n in range(3)))
    steps = (sorting.DESK, sorting.IMPORTANCE, sorting.GENRE, sorting.LANGUAGE)
    heard = {
        name: one
        for step, answers in zip(steps, (desk, importance, genre, tongue), strict=True)
        for name, one in said(step, dict(answers)).items()
    }
    done = sorted_stories(paper(), stories, articles, heard)
    assert [story.id for story in done] == ["a0", "a1", "a2"]
    for story in done:
        Sorted.model_validate(story.sorted.model_dump())
        assert story.sorted.desk in ("", "town", "nature")
        assert story.sorted.language in ("", "en", "other")
