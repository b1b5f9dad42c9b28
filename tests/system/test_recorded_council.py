"""Real models' recorded answers, served over HTTP: what the yard decides is what a tally at a desk gives.

The tally here is its own: a regular expression and a counter.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.ledger.door import Row
from bench import council
from bench.harness import ROOT, Rig, provider

_COUNT = int(os.environ.get("SWITCHYARD_RECORDED_COUNT", "200"))
_LETTERS = "ABCDEFGHIJ"
# The three best of the thirteen, by how often they are right alone on all 2,000 questions.
_COUNCIL = {"gemini-1.5-pro-002": 0.72, "gemini-1.5-flash-002": 0.64, "Meta-Llama-3_1-70B-Instruct": 0.63}
_STATED = re.compile(r"(?:answer is:?|Answer:)\s*\**\s*(?:\\\(|\$)?\s*(?:\\boxed\{)?\(?([A-J])\b")
_PROMPT = "Answer the question by the letter of the right option."


def _directory() -> Path:
    shared = os.environ.get("SWITCHYARD_SHARED_DATA")
    return (Path(shared) if shared else ROOT.parent / "shared" / "data") / "recorded"


def _lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(_directory() / name, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@pytest.fixture(scope="module")
def recorded() -> tuple[list[dict[str, Any]], dict[int, dict[str, str | None]]]:
    if not _directory().is_dir():
        pytest.skip(f"no recorded answers: set SWITCHYARD_SHARED_DATA ({_directory()} is not there)")
    questions = list(_lines("mmlu_pro_questions_sample.jsonl.gz"))[:_COUNT]
    outputs = {row["question_id"]: row["outputs"] for row in _lines("mmlu_pro_raw_13models_sample.jsonl.gz")}
    return questions, outputs


def _text(question: dict[str, Any]) -> str:
    options = "\n".join(f"{letter}. {option}" for letter, option in zip(_LETTERS, question["options"], strict=False))
    return f"{question['question']}\nOptions:\n{options}"


def _tally(outputs: dict[str, str | None]) -> str | None:
    """The letter most of the council state, the best model's where they differ; None with fewer than two voices."""
    votes = [stated[-1] for model in _COUNCIL if (stated := _STATED.findall(outputs[model] or ""))]
    counts = Counter(votes)
    return max(counts, key=lambda letter: counts[letter]) if len(votes) > 1 else None


def test_every_verdict_is_that_of_the_tally(recorded: Any) -> None:
    questions, outputs = recorded
    rows = [Row(n, str(q["question_id"]), _text(q), q["answer"]) for n, q in enumerate(questions, 1)]
    weather = f'[answers]\nkind = "recorded"\ndirectory = "{_directory()}"\n'
    providers = [
        provider(f"r{n}", model=model, quality=quality, concurrency=16)
        for n, (model, quality) in enumerate(_COUNCIL.items())
    ]
    with Rig(providers, weather=weather, workers=1, latency_ms=20.0) as rig:
        job = rig.submit(rows, strategy="majority-vote", labels=_LETTERS, prompt=_PROMPT)
        rig.wait(job, 40 + _COUNT / 20)
        found = dict(rig.query("SELECT i.custom_id, d.answer FROM decisions d JOIN items i ON i.id = d.item_id"))
    wanted = {str(q["question_id"]): _tally(outputs[q["question_id"]]) for q in questions}
    assert {key: (found[key], wanted[key]) for key in wanted if found[key] != wanted[key]} == {}
    right = sum(found[str(q["question_id"])] == q["answer"] for q in questions) / len(questions)
    assert 0.6 < right < 0.8


def test_cheap_first_over_http_is_what_it_is_at_the_desk(recorded: Any) -> None:
    """All the models, none named: how good each is, is learned on the questions that are not asked here.

    Answers are those of the same play without a network; the strongest is called for at most 37 % of the questions, and
    the whole is no worse than it alone (on few questions: beyond noise).
    """
    questions, _ = recorded
    asked = {q["question_id"] for q in questions}
    known = council.questions(_directory())
    test = [q for q in known if q.number in asked]
    learned = council.learned([q for q in known if q.number not in asked] or known)
    strongest = max(learned.quality, key=lambda m: learned.quality[m])
    providers = [
        provider(f"p{n}", model=model, family=model, quality=quality, concurrency=16)
        for n, (model, quality) in enumerate(learned.quality.items())
    ]
    rows = [Row(n, str(q["question_id"]), _text(q), q["answer"]) for n, q in enumerate(questions, 1)]
    weather = f'[answers]\nkind = "recorded"\ndirectory = "{_directory()}"\n'
    with Rig(providers, weather=weather, workers=1, latency_ms=20.0) as rig:
        job = rig.submit(rows, strategy="cheap-first", labels=_LETTERS, prompt=_PROMPT)
        rig.wait(job, 60 + _COUNT / 20)
        found = dict(rig.query("SELECT i.custom_id, d.answer FROM decisions d JOIN items i ON i.id = d.item_id"))
        calls = rig.one(
            "SELECT count(DISTINCT item_id) FROM attempts WHERE purpose = 'vote' AND deployment LIKE %s",
            (f"%/{strongest}",),
        )
    plan = council.seated(learned, "cheap-first")
    wanted = {str(q.number): council.play(plan, q)[0].answer for q in test}
    assert {key: (found[key], wanted[key]) for key in wanted if found[key] != wanted[key]} == {}
    alone = sum(q.votes[strongest] == q.truth for q in test)
    right = sum(found[str(q.number)] == q.truth for q in test)
    noise = 2 * len(test) ** 0.5 * 0.35 if len(test) < 1_500 else 0
    assert right >= alone - noise
    assert calls <= 0.37 * len(test) + noise
