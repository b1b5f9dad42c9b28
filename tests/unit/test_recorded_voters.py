"""Thirteen recorded real models: what their votes alone tell of them, against what they really are worth."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
from pathlib import Path
from statistics import correlation
from typing import Any

import pytest

from app.core.accuracy import Answered, Known, records
from app.core.dawid_skene import Question, infer
from app.core.kinship import measure
from app.core.task import Task
from app.core.values import TaskKind

LETTERS = tuple("ABCDEFGHIJ")
_SHARED = Path(os.environ.get("SWITCHYARD_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
_COUNT = 400


@pytest.fixture(scope="module")
def council() -> list[Question]:
    """The first questions with every model's letter, and the truth."""
    directory = _SHARED / "recorded"
    if not directory.is_dir():
        pytest.skip(f"no recorded answers: set SWITCHYARD_SHARED_DATA ({directory} is not there)")

    def lines(name: str) -> list[dict[str, Any]]:
        with gzip.open(directory / name, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line, _ in zip(file, range(_COUNT), strict=False)]

    task = Task(TaskKind.CLASSIFY, LETTERS)
    truths = {row["question_id"]: row["answer"] for row in lines("mmlu_pro_questions_sample.jsonl.gz")}
    return [
        Question(
            {model: read for model, said in row["outputs"].items() if said and (read := task.read(said).answer)},
            truths[row["question_id"]],
        )
        for row in lines("mmlu_pro_raw_13models_sample.jsonl.gz")
        if row["question_id"] in truths
    ]


def _true(council: list[Question]) -> dict[str, float]:
    right: dict[str, list[bool]] = {}
    for question in council:
        for model, said in question.votes.items():
            right.setdefault(model, []).append(said == question.truth)
    return {model: sum(of) / len(of) for model, of in right.items()}


def test_agreement_ranks_real_models_and_flatters_them(council: list[Question]) -> None:
    assert len(council) > _COUNT / 2
    true = _true(council)
    found = infer([Question(q.votes) for q in council], LETTERS).accuracy
    assert correlation([true[m] for m in true], [found[m] for m in true]) > 0.9
    assert all(found[m] > true[m] - 0.05 for m in true), "their shared errors are taken for truth, hardly the contrary"
    error = sum(abs(found[m] - true[m]) for m in true) / len(true)
    assert error < 0.2


def test_with_every_fifth_truth_known_the_estimates_are_nearer(council: list[Question]) -> None:
    true = _true(council)

    def error(known: int) -> float:
        asked = [Question(q.votes, q.truth if known and n % known == 0 else None) for n, q in enumerate(council)]
        found = infer(asked, LETTERS).accuracy
        return sum(abs(found[m] - true[m]) for m in true)

    assert error(2) < error(5) < error(0)


def test_real_models_are_no_clones_and_a_planted_one_is(council: list[Question]) -> None:
    assert [k for k in measure(council, _true(council), len(LETTERS)) if k.clones] == []
    dice = random.Random(3)
    original = max(_true(council), key=_true(council).__getitem__)
    planted = []
    for q in council:
        votes = dict(q.votes)
        if original in votes:
            votes["planted"] = votes[original] if dice.random() > 0.05 else dice.choice(LETTERS)
        planted.append(Question(votes, q.truth))
    found = [{k.first, k.second} for k in measure(planted, _true(council), len(LETTERS)) if k.clones]
    assert found == [{"planted", original}]


def test_voices_weighed_by_agreement_are_not_below_plain_majority(council: list[Question]) -> None:
    """Learned on one half without a truth, applied to the other."""
    half = len(council) // 2
    learned, fresh = council[:half], council[half:]
    belief = infer([Question(q.votes) for q in learned], LETTERS)
    answers = [
        Answered(model, said, f"job-{n % 5}", truth, hard=len(set(q.votes.values())) > 1)
        for n, (q, truth) in enumerate(zip(learned, belief.truths, strict=True))
        for model, said in q.votes.items()
    ]
    skill = {model: Known(0.5, own=record.evidence).voice for (model, _), record in records(answers).items()}

    def right(weight: dict[str, float]) -> float:
        hits = 0
        for q in fresh:
            sums: dict[str, float] = {}
            for model, said in sorted(q.votes.items()):
                sums[said] = sums.get(said, 0.0) + weight[model]
            hits += max(sums, key=lambda label: sums[label]) == q.truth
        return hits / len(fresh)

    plain = right(dict.fromkeys(skill, 1.0))
    # A wrong voice is reckoned to be spread over two others, and none to weigh less than half a nat.
    assert right({m: max(0.5, math.log(2 * a / (1 - a))) for m, a in skill.items()}) >= plain
