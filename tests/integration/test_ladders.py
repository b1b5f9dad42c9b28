"""The ladder, the weighed vote, the specialist through the whole yard: who is asked and told what, what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import UsageError
from app.services import replaying
from app.services.jobspec import spec_of
from tests.integration.small_yard import SmallYard, vendor

FLEET = [
    vendor("low", model="low", quality=0.5),
    vendor("mid", model="mid", quality=0.6),
    vendor("best", model="best", tier="complex", quality=0.95),
    vendor("next", model="next", tier="complex", quality=0.9),
]
GENERATE: dict[str, Any] = {"task": "generate", "labels": [], "prompt": "Give the order's number."}


def play(yard: SmallYard, lines: list[dict[str, Any]], **spec: Any) -> tuple[Any, ...]:
    """(status, answer, flags) of a job's one item, after it was replayed and its books compared."""
    yard.weather(kind="scripted", text="not what was asked", line=lines)
    job_id = yard.submit(texts=["Where is my order?"], **spec)
    yard.work()
    yard.books_agree()
    assert replaying.verify(yard.engine, job_id) == (1, [])
    return yard.rows("SELECT status, answer, flags FROM decisions")[0]


def called(yard: SmallYard) -> list[str]:
    return [row[0] for row in yard.rows("SELECT deployment FROM attempts ORDER BY id")]


def says(model: str, what: str, **more: str) -> dict[str, str]:
    return {"model": model, "says": what, **more}


def test_two_cheap_ones_that_agree_are_enough(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    assert play(yard, [says("low", "a"), says("mid", "a")], strategy="cheap-first") == ("decided", "a", [])
    assert sorted(called(yard)) == ["low/low", "mid/mid"]
    recipe = "cheap-first@1(check=agreement, threshold=0.7, attempts=12)"
    assert yard.value("SELECT recipe FROM jobs") == recipe


def test_where_they_differ_the_strongest_of_any_tier_decides_and_is_told_why(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [says("low", "a"), says("mid", "b"), says("best", "b", has="earlier answers to it contradict each other")]
    assert play(yard, lines, strategy="cheap-first") == ("decided", "b", ["escalated"])
    assert called(yard)[2:] == ["best/best"]
    assert yard.value("SELECT plan -> 'seats' -> 2 FROM chunks") == [
        "best/best",
        "family-best",
        0.95,
        "voice",
        32000,
        20,
        1,
        1,
    ]


def test_an_answer_that_does_not_match_the_pattern_is_none_and_climbs(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    told = "answer does not match the pattern"
    lines = [says("low", "soon"), says("mid", "No. 17"), says("best", "AB-17", has=told)]
    spec = {**GENERATE, "strategy": "cheap-first", "accept_pattern": r"[A-Z]{2}-\d+"}
    assert play(yard, lines, **spec) == ("decided", "AB-17", ["escalated"])
    assert "check=pattern" in yard.value("SELECT recipe FROM jobs")
    assert set(yard.rows("SELECT reason FROM votes WHERE answer IS NULL")) == {(told,)}


def test_a_judge_that_is_not_sure_enough_has_not_accepted(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [
        says("best", "ACCEPT {mark} 0.6", role="verifier", has="The rubric:\nNames the street."),
        says("mid", "Soon."),
        says("low", "Soon."),
        says("best", "In Elm Street.", has="an earlier answer was not accepted"),
    ]
    spec = {**GENERATE, "strategy": "cheap-first", "rubric": "Names the street."}
    assert play(yard, lines, **spec) == ("decided", "In Elm Street.", ["escalated"])
    assert yard.rows("SELECT answer FROM votes WHERE answer LIKE 'accept%%'") == [("accept:0@0.6",)]


def test_a_judge_that_is_sure_accepts_and_one_that_cannot_be_read_accepts_nothing(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    judge = says("best", "ACCEPT {mark} 0.9", role="verifier")
    spec = {**GENERATE, "strategy": "cheap-first(check=judge)", "rubric": "Names the street."}
    lines = [judge, says("mid", "In Elm Street."), says("low", "In Elm Street.")]
    assert play(yard, lines, **spec) == ("decided", "In Elm Street.", [])


@pytest.mark.parametrize("verdict", ["ACCEPT", "Thought process:", ":", "ACCEPT {mark}", "ACCEPT {mark} 2", "yes 0.99"])
def test_an_unreadable_judge_has_accepted_nothing(small_yard: SmallYard, verdict: str) -> None:
    yard = small_yard.open(FLEET)
    lines = [
        {"role": "verifier", "says": verdict},
        says("mid", "Soon."),
        says("low", "Soon."),
        says("best", "In Elm Street."),
    ]
    spec = {**GENERATE, "strategy": "cheap-first(check=judge)", "rubric": "Names the street."}
    assert play(yard, lines, **spec) == ("decided", "In Elm Street.", ["escalated"])


def test_the_number_of_labels_stands_in_the_plan_of_a_weighed_vote(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [says("best", "a"), says("next", "b"), says("mid", "b"), says("low", "b")]
    assert play(yard, lines, strategy="weighted-vote", labels=["a", "b", "c", "d"])[:2] == ("decided", "b")
    assert yard.value("SELECT plan -> 'labels' FROM chunks") == 4


def test_the_lane_s_domain_finds_its_specialist(small_yard: SmallYard) -> None:
    yard = small_yard.open([*FLEET, vendor("coder", model="coder", quality=0.4, capabilities=["code"])])
    yard.weather(kind="fixed", text="a")
    yard.submit(texts=["1", "2"], strategy="specialist")
    yard.change("UPDATE items SET lane = 'domain=code' WHERE n = 1")
    yard.work()
    found = yard.rows("SELECT i.n, a.deployment, d.flags FROM items i JOIN decisions d ON d.item_id = i.id"
                      " JOIN attempts a ON a.item_id = i.id ORDER BY i.n")  # fmt: skip
    assert found == [(1, "coder/coder", []), (2, "best/best", ["no_specialist"])]


def test_first_ahead_asks_until_one_is_two_ahead(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [says("best", "a"), says("next", "b"), says("mid", "b"), says("low", "b")]
    assert play(yard, lines, strategy="first-ahead") == ("decided", "b", [])
    assert len(called(yard)) == 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"accept_pattern": "(a+"}, "accept_pattern: the pattern is no regular expression"),
        ({"accept_pattern": r"(a)\1"}, "accept_pattern: the pattern holds a backreference"),
        ({"strategy": "cheap-first(check=pattern)"}, "check=pattern needs the pattern"),
        ({"strategy": "cheap-first(check=judge)"}, "check=judge needs a rubric"),
        ({"rubric": "Names the street."}, "nobody reads the rubric"),
        ({"strategy": "cheap-first(check=contrat)"}, "check=contrat is not possible"),
        (
            {"task": "classify", "labels": ["a", "b"], "accept_pattern": "a"},
            "accept_pattern is for extract",
        ),
    ],
)
def test_a_wrong_wish_is_a_clear_sentence(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(").replace("+", r"\+")):
        assert spec_of({**GENERATE, **fields}).recipe


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"task": "classify", "labels": ["a", "b"]}, "agreement"),
        ({"task": "extract", "labels": []}, "agreement"),
        (GENERATE, "contract"),
        ({**GENERATE, "accept_pattern": r"\d+"}, "pattern"),
        ({**GENERATE, "rubric": "Names the street."}, "judge"),
        ({**GENERATE, "strategy": "cheap-first(check=agreement)"}, "agreement"),
    ],
)
def test_the_check_is_the_one_that_suits_the_task_and_is_spelled_out(fields: dict[str, Any], check: str) -> None:
    spec = spec_of({"strategy": "cheap-first", **fields})
    assert f"check={check}" in str(spec.recipe)
