"""Replay: the ledger read again. Without a recipe it proves the decisions; with one it asks what would have been."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine

from app.core import replay
from app.core.ballots import Status
from app.core.recipe import Recipe
from app.core.replay import Difference
from app.ledger import testimony
from app.ledger.testimony import Decided

MOST_SHOWN = 1_000


def verify(engine: Engine, job_id: str) -> tuple[int, list[Difference]]:
    """Check every decision of a job: (how many, what differs). Streams; keeps the first ``MOST_SHOWN`` differences.

    A decision made in the yard (overdue or cancelled before its item was planned) has no chunk: it must be undecided,
    on no ballots.
    """
    checked = 0
    differences: list[Difference] = []
    for item in testimony.decided(engine, job_id):
        checked += 1
        difference = _difference(item)
        if difference is not None and len(differences) < MOST_SHOWN:
            differences.append(difference)
    return checked, differences


def _difference(item: Decided) -> Difference | None:
    if item.plan is not None:
        return replay.verify(item.custom_id, item.plan, item.seen, item.kept, item.verdict)
    if item.seen or item.kept:
        return Difference(item.custom_id, "it has ballots, but no plan that asked for them")
    if item.verdict.status is not Status.UNDECIDED or item.verdict.reason not in ("overdue", "cancelled"):
        return Difference(item.custom_id, f"it is {item.verdict.status.value} without a plan or a vote")
    return None


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What another recipe would have said to the votes that were bought.

    ``unknown``: items for which it wants a vote that was never bought. ``accuracy_*``: over the items with a gold
    label that both have decided; None where there are none.
    """

    recipe: str
    items: int
    same: int
    changed: int
    unknown: int
    undecided: int
    accuracy_before: float | None
    accuracy_after: float | None
    examples: tuple[tuple[str, str | None, str | None], ...]
    """(custom_id, answer before, answer now) of the first that changed."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def under(engine: Engine, job_id: str, recipe: Recipe) -> Counterfactual:
    """Re-tally a job under another recipe, without a call."""
    items = same = changed = unknown = undecided = with_gold = right_before = right_after = 0
    examples: list[tuple[str, str | None, str | None]] = []
    for item in testimony.decided(engine, job_id):
        items += 1
        verdict = replay.under(recipe, item.plan, item.kept) if item.plan is not None else None
        if verdict is None:
            unknown += 1
            continue
        if verdict.status is not Status.DECIDED:
            undecided += 1
        if verdict.answer == item.verdict.answer:
            same += 1
        else:
            changed += 1
            if len(examples) < 20:
                examples.append((item.custom_id, item.verdict.answer, verdict.answer))
        if item.gold is not None and verdict.answer is not None and item.verdict.answer is not None:
            with_gold += 1
            right_before += item.verdict.answer == item.gold
            right_after += verdict.answer == item.gold
    return Counterfactual(
        str(recipe),
        items,
        same,
        changed,
        unknown,
        undecided,
        round(right_before / with_gold, 4) if with_gold else None,
        round(right_after / with_gold, 4) if with_gold else None,
        tuple(examples),
    )
