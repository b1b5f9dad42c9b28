"""What counts as the same question, and that a change of our wording cannot pass for the same prompt."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.core import prompts
from app.core.sameness import digest, normalised, question_hash
from app.core.similarity import LEAST, Alike, jaccard, shingles
from app.core.task import Task
from app.core.values import Deployment, TaskKind, Tier

CLASSIFY = Task(TaskKind.CLASSIFY, ("a", "b"))
EXTRACT = Task(TaskKind.EXTRACT, schema={"type": "object", "required": ["name"]})
GENERATE = Task(TaskKind.GENERATE, prompt="Write a headline.")
BLANKS = st.text(" \t\n\r\u00a0\u2003\u3000", max_size=4)

# Of every question in ``_questions``, as worded in the version that stands beside it.
WORDED = (1, "52dd24f27bcb8604b5a123c728847190e3745ec06cd459bcf0b2a597426ee5d3")


def _questions() -> str:
    tasks = [
        CLASSIFY,
        replace(CLASSIFY, prompt="Which?"),
        replace(CLASSIFY, prompt="Is {text} a or b?"),
        EXTRACT,
        GENERATE,
        replace(GENERATE, prompt=None),
        replace(GENERATE, prompt="Title of {text}?"),
    ]
    seats = [
        Deployment("p", family, Tier.CHEAP, family, 32_000, 4_000, capabilities=frozenset(able))
        for family in ("plain", "gemma-2-9b", "claude-3-haiku", "qwen3-8b", "deepseek-r1")
        for able in ((), ("json", "schema"), ("reasoning",))
    ]
    turns = (("system", "Be brief."), ("user", "Hello"))
    return "\n".join(
        repr(prompts.ask(task, "The item", seat, turns=chat, restated=restated))
        for task in tasks
        for seat in seats
        for chat in (None, turns)
        for restated in (False, True)
    )


def test_the_wording_does_not_change_without_its_version() -> None:
    """Votes on another wording would pass for votes on this one. Grow ``prompts.WORDING``, then note both here."""
    assert (prompts.WORDING, hashlib.sha256(_questions().encode()).hexdigest()) == WORDED


def test_what_is_asked_is_told_apart_by_all_that_goes_into_the_prompt() -> None:
    tasks = [
        CLASSIFY,
        replace(CLASSIFY, labels=("b", "a")),
        replace(CLASSIFY, prompt="Which?"),
        EXTRACT,
        replace(EXTRACT, schema=None),
        GENERATE,
    ]
    assert len({question_hash(task) for task in tasks} | {question_hash(CLASSIFY, "redact")}) == len(tasks) + 1
    assert question_hash(CLASSIFY) == question_hash(Task.from_json(CLASSIFY.to_json()))


@given(st.lists(st.text(min_size=1).filter(lambda t: t.split() == [t]), min_size=1), BLANKS.filter(bool), BLANKS)
def test_white_space_makes_no_other_question(words: list[str], gap: str, end: str) -> None:
    assert digest(end + gap.join(words) + end) == digest(" ".join(words))


@given(st.text())
def test_the_way_a_character_is_written_makes_no_other_question(text: str) -> None:
    assert digest(unicodedata.normalize("NFD", text)) == digest(unicodedata.normalize("NFC", text))
    assert normalised(normalised(text)) == normalised(text)


@given(st.text(), st.text())
def test_other_texts_are_other_questions(one: str, other: str) -> None:
    assert (digest(one) == digest(other)) == (normalised(one) == normalised(other))


def test_case_and_speakers_count() -> None:
    assert digest("US") != digest("us")
    said = (("user", "Hi"),)
    assert digest("User: Hi", said) == digest("anything", (("user", " Hi\n"),))
    assert len({digest("Hi"), digest("Hi", said), digest("Hi", (("system", "Hi"),))}) == 3


_SAID = ("where", "is", "my", "card", "it", "has", "not", "come", "since", "monday", "please", "help")
_WORDS = st.lists(st.sampled_from(_SAID), max_size=14)


@given(st.lists(_WORDS.map(" ".join), max_size=12))
def test_a_text_joins_the_most_similar_one_before_it_and_never_a_less_similar_one(texts: list[str]) -> None:
    alike = Alike(LEAST)
    firsts: dict[int, str] = {}
    for key, text in enumerate(texts):
        found = alike.first_like(key, text)
        if found is None:
            firsts[key] = text
            continue
        first, index = found
        near = {other: jaccard(shingles(text), shingles(kept)) for other, kept in firsts.items()}
        assert index == near[first] >= LEAST
        assert index == max(near.values()) or max(near.values()) < 0.95, "a close one is never missed"


def test_near_doubles_are_found_among_many_texts() -> None:
    """Each of 300 long texts comes again with one word changed: all but one in a thousand must be seen."""
    body = "The parcel {0} left the depot {1} on day {0} and was seen at hub {1} twice before it came to door {0}"
    alike = Alike(LEAST)
    firsts = [body.format(hashlib.md5(str(n).encode()).hexdigest(), n * 7919) for n in range(300)]
    assert all(alike.first_like(n, text) is None for n, text in enumerate(firsts))
    again = [alike.first_like(1000 + n, text.replace("twice", "thrice")) for n, text in enumerate(firsts)]
    assert [found[0] for found in again if found is not None] == list(range(300))
