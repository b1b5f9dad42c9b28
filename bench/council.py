"""A real council at a desk: ``python -m bench.council [--train N] [--seed N] [--data DIR] [--json]``.

Raw answers of real models to multiple-choice questions (the ``*.jsonl.gz`` of the folder ``recorded``) are read by the
output contract and played through seating and ``decide``, without a network. How good each model is, is learned on the
first N questions of a seeded shuffle; all figures are of the others. Nothing here knows a model by name, so any other
recorded council may stand in the folder.

The folder knows no prices, so the cost is in calls: of all models, and of the strongest alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.core.ballots import Ballot, Verdict
from app.core.plan import Plan
from app.core.recipe import parse
from app.core.routing import Terms
from app.core.seating import seat_chunk
from app.core.strategies import decide
from app.core.task import Task
from app.core.tracks import Track
from app.core.values import Deployment, TaskKind, Tier

ROOT = Path(__file__).resolve().parent.parent
LABELS = tuple("ABCDEFGHIJ")
TASK = Task(TaskKind.CLASSIFY, LABELS)
PRIOR_ANSWERS = 10
"""A model's accuracy is learned as if so many answers of the mean accuracy came before."""

Skills = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Question:
    """``votes``: model → letter; None: its answer cannot be read, or it has none."""

    number: int
    truth: str
    votes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Score:
    """``strong_calls``: of the strongest model, an item; ``confidence``: mean of what the verdicts claimed."""

    name: str
    questions: int
    accuracy: float
    calls: float
    strong_calls: float
    confidence: float


def data() -> Path:
    shared = os.environ.get("SWITCHYARD_SHARED_DATA")
    return (Path(shared) if shared else ROOT.parent / "shared" / "data") / "recorded"


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def questions(directory: Path) -> list[Question]:
    """Raises ``FileNotFoundError`` where the folder holds no council."""
    rows = [row for path in sorted(directory.glob("*.jsonl.gz")) for row in lines(path)]
    outputs = {row["question_id"]: row["outputs"] for row in rows if "outputs" in row}
    found = [
        Question(
            row["question_id"],
            row["answer"],
            {model: TASK.read(text).answer if text else None for model, text in outputs[row["question_id"]].items()},
        )
        for row in rows
        if "outputs" not in row and row["question_id"] in outputs
    ]
    if not found:
        raise FileNotFoundError(f"{directory} holds no recorded council (*.jsonl.gz)")
    return found


@dataclass(frozen=True, slots=True)
class Learned:
    """Of every model, drawn towards the mean of all: the share of questions it answers rightly (``quality``: what
    cannot be read is not right), and the share of its votes that are right (``skill``)."""

    quality: dict[str, float]
    skill: dict[str, float]

    def only(self, models: Iterable[str]) -> Learned:
        names = set(models)
        return Learned(*({m: x for m, x in known.items() if m in names} for known in (self.quality, self.skill)))


def learned(train: Sequence[Question]) -> Learned:
    models = sorted({model for q in train for model in q.votes})
    all_ = {m: [q.votes.get(m) == q.truth for q in train] for m in models}
    cast = {m: [q.votes[m] == q.truth for q in train if q.votes.get(m) is not None] for m in models}
    return Learned(_shares(all_), _shares(cast))


def _shares(said: Mapping[str, Sequence[bool]]) -> dict[str, float]:
    mean = sum(map(sum, said.values())) / max(1, sum(map(len, said.values())))
    return {m: (sum(right) + PRIOR_ANSWERS * mean) / (len(right) + PRIOR_ANSWERS) for m, right in said.items()}


def seated(known: Learned, recipe: str, skilled: bool = False) -> Plan:
    """The plan that seating makes of a fleet of these models, all free."""
    tracks = [
        Track(Deployment("p" + str(n), model, Tier.CHEAP, model, 32_000, 4_000, quality=quality), 1.0, cost_micro=None)
        for n, (model, quality) in enumerate(known.quality.items())
    ]
    wanted = Terms(Tier.CHEAP, TASK).wanted(parse(recipe))
    chunk = seat_chunk(tracks, wanted, available=1, chunk_size=1, horizon_s=20.0, seed=0)
    assert chunk is not None
    rates: Skills = {t.deployment.name: {"": known.skill[t.deployment.model]} for t in tracks}
    return replace(chunk.plan, skills=rates, closed="nobody_left") if skilled else chunk.plan.ended("nobody_left")


def play(plan: Plan, question: Question) -> tuple[Verdict, list[str]]:
    """The verdict on one question, and the models that were called for it, a call each."""
    heard: list[Ballot] = []
    while not isinstance(move := decide(plan, heard), Verdict):
        assert move, "the plan is closed, so nothing is waited for"
        heard += [Ballot(ask.seat, question.votes.get(_model(plan, ask.seat))) for ask in move]
    return move, [_model(plan, ballot.seat) for ballot in heard]


def _model(plan: Plan, seat: int) -> str:
    return plan.seats[seat].deployment.partition("/")[2]


def score(name: str, plan: Plan, test: Sequence[Question], strongest: str) -> Score:
    right = calls = strong = 0
    sure = 0.0
    for question in test:
        verdict, called = play(plan, question)
        right += verdict.answer == question.truth
        calls += len(called)
        strong += called.count(strongest)
        sure += verdict.confidence or 0.0
    n = len(test)
    return Score(name, n, round(right / n, 4), round(calls / n, 3), round(strong / n, 4), round(sure / n, 4))


def split(asked: Sequence[Question], train: int, seed: int) -> tuple[list[Question], list[Question]]:
    mixed = sorted(asked, key=lambda q: q.number)
    random.Random(seed).shuffle(mixed)
    return mixed[:train], mixed[train:]


def council(asked: Sequence[Question], train: int, seed: int) -> list[Score]:
    """Every model alone, then the strategies, by what was learned on ``train`` of the questions."""
    before, test = split(asked, train, seed)
    known = learned(before)
    best = sorted(known.quality, key=lambda m: -known.quality[m])
    strongest = best[0]
    scores = [score(f"alone: {m}", seated(known.only([m]), "single-query"), test, strongest) for m in best]
    scores.append(score("cheap-first", seated(known, "cheap-first"), test, strongest))
    for size in (3, 5, 7, len(best)):
        some = known.only(best[:size])
        many = min(size, 15)
        for name, recipe, skilled in (
            (f"majority of the best {size}", f"majority-vote(council={many})", False),
            (f"weighted, the best {size}", f"weighted-vote(council={many})", True),
            (f"weighted, nothing measured, the best {size}", f"weighted-vote(council={many})", False),
            (f"first ahead by 2, the best {size}", f"first-ahead(council={many})", False),
        ):
            scores.append(score(name, seated(some, recipe, skilled), test, strongest))
    return scores


def main(argv: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=int, default=500, help="questions to learn accuracies on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=data(), help="folder of the recorded council")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(None if argv is None else list(argv))
    try:
        asked = questions(arguments.data)
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    scores = council(asked, arguments.train, arguments.seed)
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(s) for s in scores], indent=2) + "\n")
        return 0
    table = Table("recipe", "accuracy", "calls an item", "of them to the strongest", "mean confidence")
    for one in scores:
        table.add_row(
            one.name, f"{one.accuracy:.1%}", f"{one.calls:.2f}", f"{one.strong_calls:.1%}", f"{one.confidence:.2f}"
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
