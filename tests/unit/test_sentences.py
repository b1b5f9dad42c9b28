"""Splitting news prose into sentences."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.newspaper.sentences import LONGEST, sentences


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Ada M. Brook of the U.S. Senate met Gen. J. R. Stone on Jan. 5.", "They spoke for an hour."],
        ["It rose 4.5 percent to $3.2 billion.", "Nobody knew why."],
        ['"I came. I saw. I left," said Brook.', "She smiled."],
        ["“Is it over? Yes. It is.”", "He left the room."],
        ['"Will it last?" Brook asked.', "No one knew."],
        ["It is over!", "Is it?", "It is…", "So be it."],
        ["The firm, Acme Inc., is in St. Louis.", "It sells anvils."],
        ["He lives in the U.S.", "The house is big."],
        ["See www.example.org or mail a.b@c.de for more.", "Thanks."],
        ["Der 3. Oktober ist ein Feiertag.", "Das gilt z. B. in Bonn.", "Am 4. Mai nicht."],
        ["Prof. Dr. Meier kam um 15.30 Uhr.", "Er blieb bis ca. 17 Uhr."],
        ["„Es geht. Wirklich“, sagte sie.", "Dann ging sie."],
        ["M. Dupont est venu.", "« C'est fini. Adieu », a-t-il dit."],
        ["No. 5 was sold.", "The buyer paid cash."],
    ],
)
def test_sentences_of_a_paragraph(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


def test_cjk_stops_need_no_blank() -> None:
    assert sentences("今日は晴れです。明日は雨でしょう。") == ["今日は晴れです。", "明日は雨でしょう。"]
    assert sentences("他说：「我来了。我走了。」他离开。") == ["他说：「我来了。我走了。」", "他离开。"]


def test_list_items_and_headings_are_sentences_and_wrapped_lines_are_none() -> None:
    text = (
        "What is new\n\nThree things:\n* one thing\n* another. It is good.\n- the last\n\n"
        "A line that was wrapped after\nsome words goes on."
    )
    assert sentences(text) == [
        "What is new", "Three things:", "* one thing", "* another.", "It is good.", "- the last",
        "A line that was wrapped after some words goes on.",
    ]  # fmt: skip


def test_a_quotation_that_is_never_closed_holds_nothing_together() -> None:
    assert sentences('He said "nay. She said yes. They left.') == ['He said "nay.', "She said yes.", "They left."]


def test_what_has_no_stop_is_cut_between_words() -> None:
    found = sentences("word " * 2000)
    assert all(len(each) <= LONGEST for each in found)
    assert " ".join(found).split() == ["word"] * 2000


@given(st.text(alphabet="aB.!?\"'“”„ \n-1。「」…", max_size=300))
def test_nothing_but_white_space_and_lone_marks_is_lost(text: str) -> None:
    kept = [c for c in text if c.isalnum()]
    assert [c for each in sentences(text) for c in each if c.isalnum()] == kept
    assert all(each == each.strip() and "\n" not in each for each in sentences(text))


@pytest.mark.parametrize("piece", ['"', "“a. ", "a.b.", "U.S. ", "! ", "A. ", "\n- ", 'said. "', "x" * 50 + "? B "])
def test_time_is_linear(piece: str) -> None:
    def took(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.perf_counter()
        sentences(text)
        return time.perf_counter() - began

    took(10_000)
    assert took(200_000) < max(0.5, 60 * min(took(20_000) for _ in range(3)))
