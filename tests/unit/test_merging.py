"""The same story from several sources becomes one, and different stories stay apart."""

from __future__ import annotations

import datetime as dt
import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.newspaper import merging
from app.newspaper.material import Article
from app.newspaper.merging import DIFFERENT, SAME, doubtful, merged, wish
from app.newspaper.paper import Paper
from app.newspaper.steps import Answer, Heard
from app.services.jobspec import JobSpec

NOON = dt.datetime(2026, 11, 19, 12, tzinfo=dt.UTC)
BRIDGE = (
    "The council of Marlow voted 14 to 9 on Thursday evening to close the Old Lock bridge for eleven months. "
    "Engineers from Hartwell & Sons had found cracks in four of its six piers in September. "
    "Mayor Ines Calder said the repair would cost 3.2 million crowns and that a ferry would run every 20 minutes. "
    "Shopkeepers on the west bank fear for their trade before the winter fair. "
    "The bridge was built in 1911 and carries about 7,400 vehicles on a working day."
)
BRIDGE_RETOLD = (
    "Marlow (wire). Cracks in four of six piers: engineers from Hartwell & Sons found them in September. Now the "
    "council of Marlow has voted 14 to 9 to close the Old Lock bridge for eleven months, and the repair would cost 3.2 "
    "million crowns, Mayor Ines Calder said. A ferry would run every 20 minutes."
)
OTTERS = (
    "Otters have come back to the upper Wend after forty years, the river trust reported. Cameras counted 23 animals "
    "between Felbridge and the Sill weir, among them three mothers with young. Biologist Tomas Reyl credits cleaner "
    "water and the ban on eel traps. Anglers complain about losses at two hatcheries and want compensation."
)
ORCHESTRA = (
    "The radio orchestra will play without a conductor next season. Its musicians elected a board of five, and concert "
    "master Yun Abelard will lead from the first desk. Subscriptions rose by a tenth after the announcement. Critics "
    "recall that a similar attempt in Dorn ended after two programmes and a quarrel about tempi."
)


def article(name: str, title: str, text: str, *, feed: str = "", at: dt.datetime | None = NOON) -> Article:
    return Article(id=f"a{name}", feed=feed or f"Feed {name}", title=title, text=text, published=at)


def ids(articles: list[Article], heard: Heard | None = None) -> list[tuple[str, ...]]:
    return [story.articles for story in merged(articles, heard)]


def votes(said: dict[str, str | None]) -> Heard:
    return Heard("job-1", True, {name: Answer(text) for name, text in said.items()})


A_BRIDGE = article("1", "Marlow closes the Old Lock bridge", BRIDGE)
B_OTTERS = article("2", "Otters return to the Wend", OTTERS)
C_ORCHESTRA = article("3", "No conductor for the radio orchestra", ORCHESTRA)


def test_another_headline_a_cut_and_a_retelling_are_the_same_story_the_fullest_first() -> None:
    cut = article("4", "Marlow: bridge to close", BRIDGE[: len(BRIDGE) // 2] + " …")
    retold = article("5", "Fourteen against nine", BRIDGE_RETOLD)
    assert ids([cut, B_OTTERS, retold, A_BRIDGE, C_ORCHESTRA]) == [("a1", "a5", "a4"), ("a2",), ("a3",)]


def test_stories_stand_in_the_order_of_their_first_article() -> None:
    again = article("0", "Old Lock bridge", BRIDGE[:-20])
    assert ids([C_ORCHESTRA, again, B_OTTERS, A_BRIDGE]) == [("a3",), ("a1", "a0"), ("a2",)]


def test_the_same_article_of_two_feeds_is_there_once() -> None:
    assert ids([A_BRIDGE, B_OTTERS, A_BRIDGE]) == [("a1",), ("a2",)]


def test_tellings_days_apart_are_different_stories() -> None:
    later = article("4", A_BRIDGE.title, BRIDGE, at=NOON + dt.timedelta(days=4))
    undated = article("5", A_BRIDGE.title, BRIDGE, at=None)
    assert ids([A_BRIDGE, later]) == [("a1",), ("a4",)]
    assert doubtful([A_BRIDGE, later]) == ()
    assert ids([A_BRIDGE, undated]) == [("a1", "a5")]


def test_the_next_issue_of_a_report_is_put_to_the_vote() -> None:
    told = "In week {} the harbour of Port Selm handled {} ships and {} tonnes. {} came from the north. The harbour "
    told += "master reads the figures to the press every Monday at the tower, and answers questions on dredging."
    first = article("1", "Harbour report, week 41", told.format(41, 118, 20511, 37))
    second = article("2", "Harbour report, week 42", told.format(42, 131, 19877, 52))
    assert ids([first, second]) == [("a1",), ("a2",)]
    assert doubtful([first, second]) == (("a1", "a2"),)


def test_two_parts_of_a_series_are_not_surely_the_same() -> None:
    first = article("1", "The bridge, part 1", BRIDGE)
    second = article("2", "The bridge, part 2", BRIDGE)
    assert len(ids([first, second])) == 2
    assert len(doubtful([first, second])) == 1


def test_a_short_rubric_is_not_one_story_because_its_words_are() -> None:
    said = "Letters from our readers, as they came in this week."
    assert ids([article("1", "Letters", said), article("2", "Your turn", said)]) == [("a1",), ("a2",)]
    assert ids([article("1", "Letters", said), article("2", "Letters", said)]) == [("a1", "a2")]


def test_chinese_needs_no_blanks() -> None:
    text = "市议会周四晚以十四票对九票决定关闭旧闸桥十一个月。工程师九月在六个桥墩中的四个发现裂缝。"
    text += "市长说维修费用为三百二十万。西岸的店主担心冬季集市之前的生意。"
    text += "这座桥建于一九一一年,每个工作日约有七千四百辆车通过。"
    first, second = article("1", "旧闸桥将关闭", text), article("4", "大桥关闭十一个月", text[:60])
    assert ids([first, second, B_OTTERS]) == [("a1", "a4"), ("a2",)]


def test_a_round_up_does_not_make_one_story_of_what_it_holds() -> None:
    round_up = article("9", "The morning in three stories", " ".join((BRIDGE, OTTERS, ORCHESTRA)))
    told = ids([round_up, A_BRIDGE, B_OTTERS, C_ORCHESTRA])
    assert not any({"a1", "a2"} <= set(one) or {"a2", "a3"} <= set(one) or {"a1", "a3"} <= set(one) for one in told)


def pair_in_doubt() -> list[Article]:
    first = article("1", "Marlow council closes Old Lock bridge", BRIDGE)
    second = article(
        "2",
        "Ferry to replace Old Lock bridge in Marlow",
        "Commuters in Marlow will take a ferry from January, Mayor Ines Calder promised, after the council had closed "
        "the Old Lock bridge. The ferry company Wendlines gets two boats ready. School classes ride free of charge.",
    )
    return [first, second]


def test_the_doubtful_are_merged_only_where_the_vote_says_so() -> None:
    both = pair_in_doubt()
    assert doubtful(both) == (("a1", "a2"),)
    assert ids(both) == [("a1",), ("a2",)]
    assert ids(both, votes({"a1+a2": SAME})) == [("a1", "a2")]
    assert ids(both, votes({"a1+a2": DIFFERENT})) == [("a1",), ("a2",)]
    assert ids(both, votes({"a1+a2": None})) == [("a1",), ("a2",)]
    assert ids(both, votes({"a1+a7": SAME, "nonsense": SAME, "a1+a2": "maybe"})) == [("a1",), ("a2",)]


def test_votes_do_not_chain_what_has_nothing_in_common() -> None:
    everyone = [A_BRIDGE, B_OTTERS, C_ORCHESTRA]
    assert len(ids(everyone, votes({"a1+a2": SAME, "a2+a3": SAME}))) == 2
    assert len(ids(everyone, votes({"a1+a2": SAME, "a2+a3": SAME, "a1+a3": SAME}))) == 1
    assert len(ids(everyone, votes({"a1+a2": SAME, "a2+a3": SAME, "a1+a3": DIFFERENT}))) == 2


def test_the_wish_is_a_job_of_pairs_and_holds_no_article_in_its_prompt(paper: Paper) -> None:
    both = pair_in_doubt()
    made = wish(paper, both, NOON)
    assert made is not None
    assert (made.step, made.due) == ("merge", NOON)
    spec = JobSpec.model_validate(dict(made.spec))
    assert spec.labels == [SAME, DIFFERENT]
    assert (spec.strategy, spec.tier, spec.pack) == ("majority-vote", "cheap", 5)
    (item,) = made.items
    assert item.id == "a1+a2"
    shown = json.loads(item.text)
    assert [shown[key]["title"] for key in ("first", "second")] == [one.title for one in both]
    assert shown["first"]["text"] == BRIDGE
    assert "Marlow" not in str(made.spec)
    assert wish(paper, [A_BRIDGE, B_OTTERS], NOON) is None


@pytest.fixture
def paper() -> Paper:
    return Paper.model_validate(
        {
            "title": "The Marlow Evening",
            "desk": [{"name": "town", "title": "Town", "description": "the town"}],
            "feed": [{"name": "Feed", "path": "feed.xml"}],
        }
    )


WORDS = ("bridge", "otter", "Marlow", "Calder", "ferry", "14", "2026", "orchestra", "vote", "river", "the", "of", "桥")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12), st.randoms(use_true_random=False))
def test_every_article_is_in_one_story_and_nothing_depends_on_the_order(
    told: list[tuple[str, str]], dice: random.Random
) -> None:
    articles = [article(str(n), title[:50], text) for n, (title, text) in enumerate(told)]
    heard = votes({f"{one}+{other}": dice.choice([SAME, DIFFERENT, None]) for one, other in doubtful(articles)})
    stories = merged(articles, heard)
    assert sorted(name for story in stories for name in story.articles) == sorted(one.id for one in articles)
    assert all(story.id == story.articles[0] for story in stories)
    lengths = {one.id: len(one.text) for one in articles}
    assert all(lengths[name] <= lengths[story.id] for story in stories for name in story.articles)
    shuffled = dice.sample(articles, len(articles))
    assert set(doubtful(shuffled)) == set(doubtful(articles))
    assert {story.articles for story in merged(shuffled, heard)} == {story.articles for story in stories}


def test_doubtful_pairs_are_bounded_and_of_different_stories() -> None:
    dice = random.Random(3)
    told = "The harbour of Port Selm handled {} ships and {} tonnes last week. {} came from the north. The harbour "
    told += "master reads the figures to the press every Monday at the tower, and answers questions on dredging."
    figures = [[dice.randrange(10**5) for _ in range(3)] for _ in range(60)]
    many = [article(f"{n:03d}", "Harbour report", told.format(*said)) for n, said in enumerate(figures)]
    pairs = doubtful(many)
    assert len(pairs) == merging.MOST_DOUBTFUL
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    stories = {name: story.id for story in merged(many, None) for name in story.articles}
    assert all(stories[one] != stories[other] for one, other in pairs)


def test_a_thousand_articles_take_seconds() -> None:
    dice = random.Random(7)
    vocabulary = [f"word{n}" for n in range(8_000)]
    articles = [
        article(f"{n:04d}", " ".join(dice.choices(vocabulary, k=8)), " ".join(dice.choices(vocabulary, k=500)))
        for n in range(1_000)
    ]
    started = time.process_time()
    assert len(merged(articles, None)) == 1_000
    assert time.process_time() - started < 10
