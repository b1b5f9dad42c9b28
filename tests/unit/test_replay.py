"""Golden histories: what every version of every strategy did must stay what it does, for ever.

``golden/<strategy>@<version>.json`` holds histories: a plan, then steps, each one of

- ``{"ring": {"asks": [[seat, tries], ...]}}`` or ``{"ring": {"verdict": {...}}}``: ``decide`` was called and said so;
- ``{"hear": [seat, answer, failure, tries, flags]}``: an open seat was heard (a ballot as it is stored);
- ``{"slow": seat}``: an open seat takes longer than it mostly does;
- ``{"plan": {...}}``: the plan grew, or was closed.

The files are data and are never written again: a change that breaks one needs a new version of the strategy. To add
a history for a new version: choose panel and fates, start from ``Plan(parse(recipe), seats)`` and no ballots, write
down what ``decide`` says at every ring, lay each ask on the table as ``Ballot(seat, open=True, tries=tries)``, hear
one open seat between two rings, lengthen or close the plan where nothing is open and nothing is asked; stop at the
verdict. Read every line before it is kept: from then on it is the law.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core import replay
from app.core.ballots import Ballot, Verdict
from app.core.plan import Plan
from app.core.recipe import parse
from app.core.strategies import decide
from app.core.table import HEDGED
from app.core.values import FailureKind
from tests.unit.recipes import SHORTEST

GOLDEN = Path(__file__).parent / "golden"


def _histories() -> Iterator[Any]:
    for path in sorted(GOLDEN.glob("*.json")):
        for history in json.loads(path.read_text()):
            yield pytest.param(path.stem, history, id=f"{path.stem}: {history['name']}")


def _move(plan: Plan, ballots: dict[int, Ballot]) -> dict[str, Any]:
    move = decide(plan, ballots.values())
    if isinstance(move, Verdict):
        return {"verdict": json.loads(move.to_bytes())}
    for ask in move:
        ballots[ask.seat] = Ballot(ask.seat, open=True, tries=ask.tries)
    return {"asks": sorted([ask.seat, ask.tries] for ask in move)}


@pytest.mark.parametrize(("name", "history"), list(_histories()))
def test_a_history_replays_to_the_same_moves(name: str, history: dict[str, Any]) -> None:
    plan = Plan.from_json(history["plan"])
    assert str(plan.recipe).startswith(name + "(")
    assert plan.to_json() == history["plan"]
    ballots: dict[int, Ballot] = {}
    for step in history["steps"]:
        match step:
            case {"ring": said}:
                assert _move(plan, ballots) == said
            case {"hear": row}:
                ballot = Ballot.from_json(row)
                assert ballots[ballot.seat].open
                ballots[ballot.seat] = ballot
            case {"slow": seat}:
                ballots[seat] = replace(ballots[seat], flags=(HEDGED,))
            case {"plan": changed}:
                plan = Plan.from_json(changed)
            case _:
                raise AssertionError(step)
    assert "verdict" in history["steps"][-1]["ring"]


def test_every_strategy_has_its_histories() -> None:
    known = {str(parse(strategy)).partition("(")[0] for strategy in SHORTEST}
    assert known <= {path.stem for path in GOLDEN.glob("*.json")}
    assert all(len(json.loads(path.read_text())) >= 15 for path in GOLDEN.glob("*.json"))


# Replay names what is wrong


def _decided() -> tuple[Plan, list[Ballot], Verdict]:
    history = next(h for h in json.loads((GOLDEN / "majority-vote@1.json").read_text()) if "third settles" in h["name"])
    ballots = [Ballot.from_json(step["hear"]) for step in history["steps"] if "hear" in step]
    plan = Plan.from_json(history["plan"])
    verdict = decide(plan, ballots)
    assert isinstance(verdict, Verdict)
    return plan, ballots, verdict


def test_an_altered_vote_is_named_by_item_and_deployment() -> None:
    plan, ballots, verdict = _decided()
    kept = [replace(ballots[0], answer="forged"), *ballots[1:]]
    difference = replay.verify("row-17", plan, ballots, kept, verdict)
    assert difference is not None
    assert difference.custom_id == "row-17"
    assert plan.seats[0].deployment in difference.what


def test_a_vote_on_a_seat_that_never_was_is_a_difference_not_a_crash() -> None:
    plan, ballots, verdict = _decided()
    difference = replay.verify("row-17", plan, ballots, [*ballots, Ballot(99, "x")], verdict)
    assert difference is not None
    assert "seat 99" in difference.what


def test_votes_altered_in_both_places_still_betray_the_verdict() -> None:
    plan, ballots, verdict = _decided()
    forged = [replace(b, answer="forged") for b in ballots]
    difference = replay.verify("row-17", plan, forged, forged, verdict)
    assert difference is not None
    assert "forged" in difference.what
    lost = [replace(ballots[0], answer=None, failure=FailureKind.TIMEOUT), *ballots[1:2]]
    difference = replay.verify("row-17", plan, lost, lost, verdict)
    assert difference is not None
    assert difference.what == "the votes lead to no verdict"


def test_an_altered_verdict_is_a_difference_even_where_the_answer_stands() -> None:
    plan, ballots, verdict = _decided()
    difference = replay.verify("row-17", plan, ballots, ballots, replace(verdict, agreement=1.0))
    assert difference is not None
