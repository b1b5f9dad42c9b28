"""Thinking that leaked into an answer's text, in every form that is known, and text that only speaks of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.reasoning import split_reasoning

LEAKS = [
    ("<think>2+2</think>4", "4", "2+2"),
    ("<think>\n\n</think>\n\n4", "4", ""),
    ("<THINK>2+2</THINK>\n4", "4", "2+2"),
    ("<thinking>2+2</thinking>4", "4", "2+2"),
    ("<reasoning>2+2</reasoning>4", "4", "2+2"),
    ("<thought>2+2</thought>4", "4", "2+2"),
    ("<seed:think>2+2</seed:think>4", "4", "2+2"),
    ("<think budget='9'>2+2</think>4", "4", "2+2"),
    ("[THINK]2+2[/THINK]4", "4", "2+2"),
    ("◁think▷2+2◁/think▷4", "4", "2+2"),
    ("<|begin_of_thought|>2+2<|end_of_thought|>\n<|begin_of_solution|>4<|end_of_solution|>", "4", "2+2"),
    ("<|START_THINKING|>2+2<|END_THINKING|><|START_RESPONSE|>4<|END_RESPONSE|>", "4", "2+2"),
    ("<|START_RESPONSE|>4<|END_RESPONSE|>", "4", ""),
    ("<|inner_prefix|>2+2<|inner_suffix|>4", "4", "2+2"),
    ("<|channel>thought\n2+2<channel|>4", "4", "2+2"),
    ("<unused94>thought\n2+2<unused95>4", "4", "2+2"),
    ("<think>2+2</think><answer>4</answer>", "4", "2+2"),
    ("<think>2+2</think>\n<answer>\n4", "4", "2+2"),
    ("<think>2+2, unclosed", "", "2+2, unclosed"),
    ("Sure.\n<think>2+2", "Sure.", "2+2"),
    ("2+2\n</think>\n\n4", "4", "2+2"),
    ("2+2 makes four.</think>4", "4", "2+2 makes four."),
    ("Sure. <think>2+2</think> It is 4.", "Sure.  It is 4.", "2+2"),
    ("<think>a</think>4<think>b</think>", "4", "a\nb"),
    ("<think>a <think> b</think> c</think>4", "4", "a <think> b\nc"),
    ("<think>it said `</think>` to me</think>4", "4", "it said `</think>` to me"),
    ("<|channel|>analysis<|message|>2+2<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>", "4", "2+2"),
    ("<|channel|>analysis<|message|>2+2", "", "2+2"),
    ("<|channel|>final <|constrain|>json<|message|>{}", "{}", ""),
    (
        "<|channel|>commentary<|message|>soon<|end|><|start|>assistant<|channel|>final<|message|>4 <| 5",
        "4 <| 5",
        "soon",
    ),
    ("analysis2+2<|end|><|start|>assistantfinal<|message|>4", "4", "analysis2+2"),
    ("analysisThe user asks 2+2.assistantfinal4", "4", "The user asks 2+2."),
    (
        "analysis The user asks. assistantcommentary So. assistantfinalIt is 4.",
        "It is 4.",
        "The user asks. assistantcommentary So.",
    ),
    ("assistantfinal4", "4", ""),
    ("Reasoning: 2+2\nAnswer: 4", "4", "2+2"),
    ("**Thinking process:** 2+2\n\n**Final answer:** 4", "4", "2+2"),
    ("Here is my thought process:\n2+2\n\nHere is my response:\n4", "4", "2+2"),
    ("Thinking...\n2+2\n...done thinking.\n\n4", "4", "2+2"),
]


@pytest.mark.parametrize(("text", "said", "thought"), LEAKS)
def test_thinking_is_taken_out_of_the_answer(text: str, said: str, thought: str) -> None:
    got = split_reasoning(text)
    assert (got[0], " ".join(got[1].split()), got[2]) == (said, " ".join(thought.split()), True)


HONEST = [
    "",
    "4",
    " 4 \n",
    "a < b, a[0] > 1",
    "I think it is 4. My reasoning: it follows.",
    "Write your plan between `<think>` and `</think>`, then answer.",
    'The tag "<think>" opens it.',
    "Models put a <think> tag first, for instance.",
    "A lone </think> in a sentence, and </think>. It goes on.",
    "```xml\n<think>\n2+2\n</think>\n```\nis the form.",
    "Use `<|channel|>final` to mark it.",
    "[think] about it",
    "<thinker>Rodin</thinker>",
    "<answer>4</answer>",
    "Thought: I can answer.\nFinal Answer: 4",
    "Reasoning: it is even, so 4.",
    "Analysis of the assistant's final words: none.",
    "Thinking about it, answer: 4",
    "The analysis channel and the final channel",
    "Explanation: 2+2\nAnswer: 4",
]


@pytest.mark.parametrize("text", HONEST)
def test_text_that_only_speaks_of_it_is_left_alone(text: str) -> None:
    assert split_reasoning(text) == (text, "", False)


_PIECES = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<think",
        "</",
        "[THINK]",
        "[/THINK]",
        "<|channel|>",
        "analysis",
        "final",
        "<|message|>",
        "<|end|>",
        "<|start|>assistant",
        "assistantfinal",
        "Reasoning:",
        "Answer:",
        "\n",
        "`",
        "```",
        '"',
        "x",
        "<answer>",
        "</answer>",
        "<|channel>thought",
        "<channel|>",
        "Thinking...",
    ]
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_never_raises_and_answers_hold_no_open_thought(text: str) -> None:
    said, thought, leaked = split_reasoning(text)
    assert leaked or (said, thought) == (text, "")
    assert not leaked or said == said.strip()


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "`<think>", "<|channel|>", "final", "\n<think", "Reasoning:\n", "<|", "\nAnswer"]
)
def test_long_texts_take_no_more_than_their_share_of_time(piece: str) -> None:
    """A text of a hundred thousand characters must not hold up the loop that reads all answers."""
    text = "Reasoning:" * (piece == "\nAnswer") + piece * (100_000 // len(piece))
    began = time.process_time()
    split_reasoning(text)
    assert time.process_time() - began < 2.0
