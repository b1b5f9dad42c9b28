"""What a request is like, why, and in which lane it travels for that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.classifying import Classifier, classifier
from app.core.routing import Lane, Routing
from app.core.task import Task
from app.core.values import TaskKind, Tier

FREE = Task(TaskKind.GENERATE)
LABELLED = Task(TaskKind.CLASSIFY, ("a", "b"))


def of(
    task: Task = FREE, routing: Routing | None = None, *, deadline_s: float = 86_400.0, widest: int = 0
) -> Classifier:
    return classifier(task, Tier.CHEAP, routing or Routing(), deadline_s=deadline_s, widest=widest)


@pytest.mark.parametrize(
    ("text", "trait", "value"),
    [
        ("Prove that the square root of two is irrational.", "complexity", "reasoning"),
        ("First read the file, then sort it, and finally print the sum.", "complexity", "multi-step"),
        ("Who? When? Where? And why?", "complexity", "multi-step"),
        ("Write me a short poem about trains.", "complexity", "creative"),
        ("Write me a short poem about trains.", "domain", "creative"),
        ("Why does this fail?\n```\nx = 1/0\n```", "domain", "code"),
        ("Which python library sorts with a regex?", "domain", "code"),
        ("Extract all names and dates from the letter below.", "domain", "extraction"),
    ],
)
def test_the_words_of_a_question_say_what_it_is(text: str, trait: str, value: str) -> None:
    found = of().of(text)
    assert found is not None
    assert found[trait][0] == value
    assert found[trait][1], "and which rule says so"


@pytest.mark.parametrize("text", ["When was the Treaty of Utrecht signed?", "Is my card on its way?", "Hello"])
def test_an_ordinary_question_is_nothing_else(text: str) -> None:
    assert of().of(text) is None
    assert of().ordinary.complexity.value == "factual"


def test_where_the_job_has_a_prompt_its_items_are_data() -> None:
    made = of(Task(TaskKind.GENERATE, prompt="Prove it: {text}"))
    assert made.ordinary.complexity.value == "reasoning"
    assert made.of("Write a poem, step by step.") is None
    assert str(made.lane()) == "", "how much capability such a job wants is its tier's to say"
    assert of(LABELLED).of("Prove that python code in a regex is a poem.") is None


def test_the_producers_word_comes_first() -> None:
    made = of(routing=Routing(complexity="reasoning", domain="code", latency="interactive"))
    assert made.lane() == Lane(domain="code", hard=True)
    assert made.of("Write me a poem about trains, first this, then that, finally more.") is None
    assert made.ordinary.latency.value == "interactive"
    assert "says so" in made.ordinary.domain.why
    assert of(LABELLED, Routing(domain="none")).lane() == Lane()


def test_a_short_deadline_is_haste() -> None:
    assert of(deadline_s=30).ordinary.latency.value == "interactive"
    assert of().ordinary.latency.value == "batch"


def test_a_long_item_asks_for_a_window_that_somebody_has() -> None:
    text = "word " * 60_000
    found = of(LABELLED, widest=200_000).of(text)
    assert found is not None
    assert of(LABELLED).lane_of(found) == Lane(domain="long-documents", context=32_769)
    nobody = of(LABELLED, widest=8_000).of(text)
    assert nobody is not None
    assert "context" not in nobody, "where nobody has the window it is cut to fit, as ever"


@given(st.lists(st.text(max_size=300), max_size=30), st.sampled_from([FREE, LABELLED]))
def test_lanes_are_few_and_canonical(texts: list[str], task: Task) -> None:
    made = of(task, widest=1_000_000)
    words = ["prove", "poem", "write a", "```x```", "first then finally", "extract all names", "w " * 20_000]
    lanes = {str(made.lane_of(made.of(text + word))) for text in texts for word in words}
    assert len(lanes) <= 11
    assert all(str(Lane.parse(lane)) == lane for lane in lanes)
