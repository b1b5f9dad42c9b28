"""A caller's pattern means what Python's own matcher says, and cannot be made to take long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.core.contract import Parsed
from app.core.pattern import MOST_ANSWER, Pattern, PatternError
from app.core.task import NO_MATCH, Task
from app.core.values import TaskKind

_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", "(?:ab)", "(a|b)", "(?i:A)", "(|b)"])
_REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "*?", "+?", "{0,2}?", "{2,}"])
_PIECES = st.tuples(_ATOMS, _REPEATS).map("".join)
_ROWS = st.lists(_PIECES, max_size=4).map("".join)
_PATTERNS = st.one_of(
    _ROWS,
    st.lists(_ROWS, min_size=2, max_size=3).map("|".join),
    st.tuples(_ROWS, _REPEATS.filter(bool)).map(lambda x: f"({x[0]}){x[1]}"),
    _ROWS.map(lambda row: f"^{row}$"),
)


@settings(max_examples=500, deadline=None)
@given(_PATTERNS, st.text("abAB1 \n_", max_size=8))
def test_it_matches_what_re_matches(pattern: str, text: str) -> None:
    try:
        known = re.compile(pattern)
    except re.error:
        assume(False)
    assert Pattern(pattern).matches(text) == (known.fullmatch(text) is not None)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", ".*.*.*.*.*x", "(.{0,20},?){0,20}x"])
def test_what_would_take_python_s_matcher_for_ever_takes_no_time(pattern: str) -> None:
    before = time.process_time()
    assert not Pattern(pattern).matches("a" * MOST_ANSWER)
    assert time.process_time() - before < 5


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(a)\1", "a backreference"),
        ("(?=a)b", "a look ahead or behind"),
        ("(?<!a)b", "a look ahead or behind"),
        ("(?>a)b", "an atomic group"),
        ("a++b", "a possessive repeat"),
        (r"\bfoo", "a word boundary"),
        ("a$b", "an anchor"),
        ("(a)(?(1)b|c)", "a condition on a group"),
        ("(", "no regular expression"),
        ("a{501}", "more than 500 times"),
        ("((a{100}){100}){100}", "too large"),
        ("(" * 240 + "a" + ")" * 240, ""),
        ("x" * 501, "longer than 500"),
    ],
)
def test_what_no_automaton_can_do_is_refused(pattern: str, why: str) -> None:
    try:
        Pattern(pattern)
    except PatternError as error:
        assert why in str(error)
    else:
        assert not why


def test_an_answer_too_long_to_be_looked_at_does_not_match() -> None:
    assert Pattern(".*").matches("a" * MOST_ANSWER)
    assert not Pattern(".*").matches("a" * (MOST_ANSWER + 1))


def test_a_task_with_a_pattern_takes_nothing_else_for_an_answer() -> None:
    task = Task(TaskKind.GENERATE, pattern=r"[A-Z]{2}-\d+")
    assert task.read("  AB-12\n").answer == "AB-12", "the answer is matched, not what is around it"
    assert task.read("It is AB-12.") == Parsed(None, (), NO_MATCH)
    fields = Task(TaskKind.EXTRACT, schema={"type": "object"}, pattern=r'\{"n":\d+\}')
    assert fields.read('```json\n{"n": 1}\n```').answer == '{"n":1}', "of JSON its canonical form is matched"
    assert fields.read('{"n": "x"}').answer is None
    assert Task.from_json(task.to_json()) == task
    assert "pattern" not in Task(TaskKind.GENERATE).to_json()
