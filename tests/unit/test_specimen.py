"""What ships for the specimen: feeds that were written for it, its newspaper, its fleet and its weather."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core import prompts
from app.core.task import Task
from app.core.values import Deployment, TaskKind, Tier
from app.newspaper import drafts
from app.newspaper.dossiers import dossier
from app.newspaper.evidence.facts import Evidence
from app.newspaper.feeds import FeedRead
from app.newspaper.material import Article, Claim, Draft, Story
from app.newspaper.merging import merged, wish
from app.newspaper.paper import Paper
from app.newspaper.reading import article, clean
from app.newspaper.steps import Answer, Heard
from app.registry.fleet import load
from app.registry.paperfile import PaperFile
from app.services.press.folders import read_path
from app.simulator.answers import read_packs
from app.simulator.ask import Ask
from app.simulator.lies import Lie
from app.simulator.weather import Weather, read_weather_file

SPECIMEN = Path(__file__).parents[2] / "app" / "specimen"
FEEDS = SPECIMEN / "feeds"
PAPER = Paper.model_validate(tomllib.loads((SPECIMEN / "newspaper.toml").read_text(encoding="utf-8")))


def read(name: str) -> FeedRead:
    return read_path(FEEDS / name)


@pytest.fixture(scope="module")
def articles() -> dict[str, Article]:
    """Title → article, as gathering makes them of every entry of every feed."""
    found = {}
    for feed in PAPER.feed:
        assert feed.path is not None
        for entry in read_path(SPECIMEN / feed.path).entries:
            made = article(entry, feed)
            assert isinstance(made, Article), made
            found[made.title] = made
    return found


@pytest.mark.parametrize(
    ("name", "form", "entries"),
    [
        ("courier.xml", b"<rss", 9),
        ("tide.xml", b"<feed", 8),
        ("business.json", b"jsonfeed.org/version/1.1", 6),
        ("fell-and-field.xml", b'encoding="windows-1252"', 6),
        ("lamplighter.xml", b"<feed", 5),
    ],
)
def test_the_feeds_are_of_several_kinds_and_sound(name: str, form: bytes, entries: int) -> None:
    assert form in (FEEDS / name).read_bytes()[:400]
    feed = read(name)
    assert (feed.known, feed.faults, len(feed.entries)) == (True, (), entries)


def test_the_windows_feed_has_letters_that_other_encodings_would_spoil() -> None:
    raw = (FEEDS / "fell-and-field.xml").read_bytes()
    with pytest.raises(UnicodeDecodeError):
        raw.decode("utf-8")
    text = raw.decode("windows-1252")
    assert {"£", "é", "“", "”", "’"} <= set(text)


def test_one_feed_is_broken_and_can_be_read_all_the_same() -> None:
    feed = read("valley-sport.xml")
    assert feed.known and len(feed.faults) == 1
    assert len(feed.entries) == 6
    assert "Saltmere women win the Sound Regatta by a length & a half" in [clean(e.title, 300) for e in feed.entries]


def test_there_are_some_forty_whole_articles_and_none_has_a_date(articles: dict[str, Article]) -> None:
    assert 40 <= len(articles) <= 48
    lengths = [len(one.text.split()) for one in articles.values()]
    assert min(lengths) >= 70 and max(lengths) <= 300
    assert sum(length >= 120 for length in lengths) >= 36
    assert not any(one.published for one in articles.values())
    assert all(one.author for one in articles.values() if one.feed != "Parish Notes")


def test_it_has_what_a_newsroom_has_to_cope_with(articles: dict[str, Article]) -> None:
    raw = "\n".join(path.read_text("cp1252") for path in sorted(FEEDS.rglob("*.*")))
    for trick in (
        "IGNORE ALL PREVIOUS INSTRUCTIONS",
        "&lt;script&gt;",
        "javascript:",
        "onerror=",
        "onclick=",
        "&lt;iframe",
    ):
        assert trick in raw
    whole = "\n".join(one.text for one in articles.values())
    for trick in ("IGNORE ALL", "instructions", "press office", "stolen", "alert", "169.254", "127.0.0.1"):
        assert trick not in whole
    assert "Order now and save up to 50%" in whole and "I believe that a town" in whole and "Die neue" in whole


def test_whatever_it_links_to_is_nowhere(articles: dict[str, Article]) -> None:
    """RFC 2606: .example is nobody's."""
    for one in articles.values():
        assert one.feed == "Parish Notes" or re.match(r"https://[a-z]+\.example/", one.url)


def test_several_stories_are_told_twice(articles: dict[str, Article]) -> None:
    told = [story for story in merged(tuple(articles.values()), _same(tuple(articles.values()))) if story.articles[1:]]
    feeds = {one.id: one.feed for one in articles.values()}
    assert len(told) >= 4
    assert all(len({feeds[name] for name in story.articles}) == len(story.articles) for story in told)


def _same(everything: tuple[Article, ...]) -> Heard:
    """The journalists' vote on the pairs in doubt."""
    asked = wish(PAPER, everything, dt.datetime.now(dt.UTC))
    assert asked is not None
    voter = read_packs({"kind": "journalist", "error_rate": {"default": 0.0}}, Path(), 0)
    instruction = f"{asked.spec['prompt']}\n\nLabels:\n" + "".join(f"- {label}\n" for label in asked.spec["labels"])
    answers = {
        item.id: Answer(voter.text(Ask("m", (("system", instruction), ("user", item.text))))) for item in asked.items
    }
    return Heard("job", True, answers)


def test_the_newspaper_is_one_and_names_every_feed_that_ships() -> None:
    paper = PaperFile(SPECIMEN / "newspaper.toml").current()
    assert paper == PAPER
    assert len(paper.desk) == 5
    assert {SPECIMEN / feed.path for feed in paper.feed if feed.path} == set(FEEDS.iterdir())
    assert not any(feed.articles or feed.url for feed in paper.feed), "a specimen needs no network"
    assert paper.daily is not None and paper.daily.minutes <= 2


def test_the_fleet_has_voices_for_every_tier_and_speaks_every_protocol() -> None:
    fleet = load(SPECIMEN / "fleet.specimen.toml")
    assert 8 <= len(fleet.providers) <= 10
    assert {row.protocol for row in fleet.providers} == {
        "openai", "openai_responses", "anthropic", "gemini", "cohere", "cloudflare", "ollama",
    }  # fmt: skip
    assert all(re.match(r"http://127\.0\.0\.1:\d+/", row.base_url) and not row.api_key_env for row in fleet.providers)
    families: dict[Tier, set[str]] = {tier: set() for tier in (Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX)}
    for deployment in fleet.deployments:
        families[deployment.tier].add(deployment.family)
        assert deployment.price is not None and deployment.max_output >= 4096
    assert [len(families[tier]) for tier in families] == [5, 5, 4]


def test_the_weather_is_mild_and_the_journalists_are_honest() -> None:
    data = read_weather_file(SPECIMEN / "weather.specimen.toml")
    weather = Weather.of(data, seed=0, began=0.0)
    fleet = load(SPECIMEN / "fleet.specimen.toml")
    providers = {row.name for row in fleet.providers}
    assert {event.provider for event in weather.events} == providers
    assert set(data["answers"]["error_rate"]) - {"default"} <= {row.model for row in fleet.deployments}
    kinds = Counter(event.kind for event in weather.events)
    assert kinds.keys() == {"outage", "rate_limit", "hang", "wrong_json", "latency"}
    assert "lies" not in data["answers"]
    assert data["answers"]["kind"] == "journalist"


# The newsroom's own words


def _drafted(told: dict[Lie, None], lies: float) -> Iterator[tuple[Evidence, Draft]]:
    """Every article of the feeds written by a journalist as the writers' step asks for it."""
    writer = read_packs({"kind": "journalist", "lies": {"default": lies}}, Path(), 1, told)
    instruction = drafts.prompt(drafts.ARTICLE, language="en", style=PAPER.style, length=PAPER.words)
    task = Task(TaskKind.EXTRACT, schema=drafts.SCHEMA, prompt=instruction)
    deployment = Deployment("p", "m", Tier.STANDARD, "f", 131_072, 8_192, capabilities=frozenset({"json"}))
    for feed in PAPER.feed:
        assert feed.path is not None
        for entry in read_path(SPECIMEN / feed.path).entries:
            made = article(entry, feed)
            assert isinstance(made, Article)
            over = dossier(Story(id=made.id, articles=(made.id,)), {made.id: made})
            request = prompts.ask(task, drafts.item_of(over), deployment)
            answer = writer.text(Ask("m", tuple((m.role, m.content) for m in request.messages)))
            draft = drafts.read(answer, over)
            assert draft is not None
            yield Evidence(over), draft


def _claims(draft: Draft) -> tuple[Claim, ...]:
    return draft.headline, draft.summary, *draft.sentences


def test_an_honest_article_stands_up_to_the_check_of_facts() -> None:
    for evidence, draft in _drafted({}, 0.0):
        assert len(draft.sentences) >= 4
        # Of the advertisement one sentence tells its reader what to do, and is refused for that.
        told = [claim for claim in _claims(draft) if not claim.text.startswith("Order now")]
        assert not [fault for claim in told for fault in evidence.faults(claim)]


def test_the_check_of_facts_finds_lies_of_every_kind() -> None:
    """Without any second model."""
    told: dict[Lie, None] = {}
    faulty = set()
    for evidence, draft in _drafted(told, 0.5):
        faulty |= {_undotted(claim.text) for claim in _claims(draft) if evidence.faults(claim)}
    kinds = Counter(lie.kind for lie in told)
    missed = Counter(lie.kind for lie in told if _undotted(lie.text) not in faulty)
    assert min(kinds.values()) >= 15 and len(kinds) == 3
    assert missed["number"] == missed["quote"] == 0
    assert missed["name"] <= 0.05 * len(told)


def _undotted(text: str) -> str:
    """Headlines lose their full stop."""
    return text.removesuffix(".")
