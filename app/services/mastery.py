"""What is known of who is right how often, for people: of one job as it stands, or of all as it was last learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from app.core.accuracy import Evidence, Record
from app.core.values import TaskKind
from app.ledger import outcomes, skills
from app.services.schooling import learned_from


def of_all(engine: Engine, by: str) -> list[dict[str, Any]]:
    """``by`` model, label, kind or use-case: n, accuracy, its interval, and ``source``; what is known best first."""
    merged: dict[str, Record] = {}
    for row in skills.recorded(engine):
        if (row.label != "") == (by == "label"):
            key = {"model": row.deployment, "label": row.label, "kind": row.kind, "use-case": row.use_case}[by]
            merged.setdefault(key, Record({}, Evidence())).add(row.counts)
    return _rows(merged, by)


def of_job(engine: Engine, job_id: str, by: str) -> list[dict[str, Any]]:
    """As ``of_all``, worked out anew from the job's latest items. Raises ``NotFound``."""
    task = outcomes.task_of(engine, job_id)
    course = skills.course_of(engine, job_id)
    assert course is not None
    merged: dict[str, Record] = {}
    for (voter, label), record in learned_from(skills.votes_of(engine, job_id), TaskKind(task.kind)).records.items():
        if (label != "") == (by == "label"):
            key = {"model": voter, "label": label, "kind": course.kind, "use-case": course.use_case}[by]
            merged.setdefault(key, Record({}, Evidence())).add(record.counts)
    return _rows(merged, by)


def _rows(merged: Mapping[str, Record], by: str) -> list[dict[str, Any]]:
    rows = []
    for key, record in merged.items():
        if record.accuracy is None:
            continue
        low, high = record.interval
        rows.append(
            {
                by.replace("-", "_"): key,
                "n": round(record.n, 2),
                "accuracy": round(record.accuracy, 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "source": record.source,
            }
        )
    return sorted(rows, key=lambda row: (row["source"] == "agreement", -row["accuracy"], row[by.replace("-", "_")]))


def kin(engine: Engine, every: bool) -> list[dict[str, Any]]:
    """Pairs that are one voice, or ``every`` pair that was measured, nearest first."""
    return [row for row in skills.kin(engine) if every or row["clones"]]
