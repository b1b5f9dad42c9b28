"""Cutting items to a window: what is kept, what is never touched, and that it fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.pricing import guess_tokens
from app.core.trimming import LEAST_TOKENS, Turns, count_turns, cut_text, cut_turns, stated_share

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=3000)
ROLES = st.sampled_from(["system", "user", "assistant"])
CHATS = st.lists(st.tuples(ROLES, st.text(max_size=400)), min_size=1, max_size=12).map(tuple)


def test_a_document_loses_its_middle_and_says_so() -> None:
    text = "BEGIN " + "x" * 10_000 + " END"
    cut = cut_text(text, 200)
    assert cut is not None
    assert cut.startswith("BEGIN x")
    assert cut.endswith("x END")
    head, _, rest = cut.partition("\n[… ")
    left_out, _, tail = rest.partition(" characters left out …]\n")
    assert len(head) + int(left_out) + len(tail) == len(text)


@given(TEXTS, st.integers(-5, 2000))
def test_a_cut_text_fits_and_what_fits_is_left_alone(text: str, tokens: int) -> None:
    cut = cut_text(text, tokens)
    if guess_tokens(text) <= tokens:
        assert cut == text
    elif cut is None:
        assert tokens < LEAST_TOKENS
    else:
        assert guess_tokens(cut) <= tokens
        assert cut[:10] == text[:10]


@given(CHATS, st.integers(-5, 1200))
def test_a_cut_chat_fits_and_keeps_its_instructions_and_its_last_turn(turns: Turns, tokens: int) -> None:
    cut = cut_turns(turns, tokens)
    if count_turns(turns) <= tokens:
        assert cut == turns
    elif cut is not None:
        assert count_turns(cut) <= tokens
        assert [t for t in cut[:-1] if t[0] == "system"] == [t for t in turns[:-1] if t[0] == "system"]
        assert cut[-1][0] == turns[-1][0]
        spoken = [t for t in cut[:-1] if t[0] != "system"]
        assert not spoken or (spoken[0][0] == "user" and cut[-1] == turns[-1])
        assert spoken == [t for t in turns[:-1] if t[0] != "system"][-len(spoken) :] if spoken else True


def test_a_chat_is_cut_from_the_oldest() -> None:
    turns = (("system", "Be brief."), ("user", "a" * 600), ("assistant", "b" * 600), ("user", "c" * 90), ("user", "d"))
    assert cut_turns(turns, 100) == (("system", "Be brief."), ("user", "c" * 90), ("user", "d"))


def test_instructions_that_fill_the_window_leave_nothing_to_cut() -> None:
    assert cut_turns((("system", "rule " * 1000), ("user", "question " * 100)), 500) is None


@pytest.mark.parametrize(
    ("message", "share"),
    [
        ("maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens", 8192 / 9000),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200_000 / 210_000),
        ("The input token count (1,200,000) exceeds the maximum number of tokens allowed (1,000,000).", 1 / 1.2),
        ("too long", None),
        ("the limit is 8192 tokens", None),
        ("limit 500, error 500", None),
        ("HTTP 413 at 1234567890123: 200", None),
    ],
)
def test_a_refusal_may_name_how_much_fits(message: str, share: float | None) -> None:
    assert stated_share(message) == (None if share is None else pytest.approx(share))
