"""Vouching for choices: what was chosen for a chunk follows again from what was written down, or something was altered.

The votes are another matter (``replaying``): a plan replays by itself, whatever the choice was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine

from app.core import bandits, choices, guarantee
from app.core.choices import Experiment
from app.core.replay import Difference
from app.core.routing import Lane
from app.ledger import experiments, guarantees


def differences(engine: Engine, job_id: str) -> Iterator[Difference]:
    """Of a job's choices; none for a job with one recipe."""
    with engine.begin() as connection:
        choice = experiments.choice_of(connection, job_id)
        match (choice or {}).get("kind"):
            case choices.EXPERIMENT:
                yield from _experiment(connection, job_id, choice or {})
            case choices.BANDIT:
                yield from _bandit(connection, job_id)
            case choices.GUARANTEE:
                yield from _guarantee(connection, job_id)


def _experiment(connection: Connection, job_id: str, choice: dict[str, Any]) -> Iterator[Difference]:
    experiment = choices.from_json(choice)
    assert isinstance(experiment, Experiment)
    for chunk in experiments.chunks(connection, job_id):
        note = chunk.plan["choice"]
        arm = choice.get("winner") if note.get("settled") else Lane.parse(chunk.lane).arm
        if note["arm"] != arm or chunk.plan["recipe"] != str(experiment.recipe(note["arm"])):
            yield Difference(f"chunk {chunk.id}", f"it was asked by arm {note['arm']}, not by its own")
    for custom_id, use_case, lane in experiments.drawn(connection, job_id):
        if Lane.parse(lane).arm != experiment.arm_of(custom_id, use_case):
            yield Difference(custom_id, "it is not in the arm that its id gives it")


def _bandit(connection: Connection, job_id: str) -> Iterator[Difference]:
    for chunk in experiments.chunks(connection, job_id):
        note = chunk.plan["choice"]
        if not _follows(note) or chunk.plan["recipe"] != note["arm"]:
            yield Difference(f"chunk {chunk.id}", "its arm does not follow from what was known of the arms")


def _follows(note: dict[str, Any]) -> bool:
    try:
        return bandits.again(note).to_json() == note
    except (KeyError, TypeError, ValueError):  # what was altered may be of any shape
        return False


def _guarantee(connection: Connection, job_id: str) -> Iterator[Difference]:
    at = guarantees.lock(connection, job_id)
    for block, audit in enumerate(at.audits):
        if guarantee.evidence(at.course.council, guarantees.audited(connection, job_id, block)) != audit:
            yield Difference(f"block {block}", "its audit heard something else than is written down")
    if tuple(guarantee.rulings(at.promise, at.course, at.audits)) != at.rulings:
        yield Difference("guarantee", "the audits lead to other rulings than are written down")
    for chunk in experiments.chunks(connection, job_id):
        note, threshold = chunk.plan["choice"], chunk.plan.get("threshold")
        ruled = dict(enumerate(ruling.threshold for ruling in at.rulings))
        given = ruled.get(note.get("block"), guarantee.NEVER if at.stopped is not None else None)
        if note["part"] == "rest" and threshold is not None and threshold not in (given, guarantee.NEVER):
            yield Difference(f"chunk {chunk.id}", "its threshold is not that of its block")
