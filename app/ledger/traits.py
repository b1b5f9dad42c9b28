"""What was found out about items at the door, as a job keeps it: lanes, traits, and how many items have which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from app.core.classifying import classifier
from app.core.routing import Lane, Routing
from app.core.task import Task
from app.core.values import Tier

_BY_LANE = """
SELECT lane, count(*), count(*) FILTER (WHERE traits ? 'redacted') FROM items
WHERE job_id = %s AND (lane <> '' OR traits IS NOT NULL) GROUP BY lane ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True, slots=True)
class Sorting:
    """Items of a job that are not its ordinary ones. ``lanes``: lane → how many, the most first."""

    private: int
    redacted: int
    lanes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {"private": self.private, "redacted": self.redacted, "lanes": self.lanes}


def sorting(engine: Engine, job_id: str) -> Sorting:
    """How the items of a job were sorted at the door."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(_BY_LANE, (job_id,)).all()
    return Sorting(
        sum(count for lane, count, _ in rows if Lane.parse(lane).private),
        sum(redacted for *_, redacted in rows),
        {lane: count for lane, count, _ in rows if lane},
    )


def traits_of(job: dict[str, Any], own: dict[str, Any] | None) -> dict[str, Any]:
    """An item's traits: those of its job's ordinary item, but for its ``own``. Each with the rule that found it.

    ``job``: tier, task, routing, deadline_s and max_cost_micro, as the ledger has them.
    """
    micro = job["max_cost_micro"]
    made = classifier(
        Task.from_json(job["task"]),
        Tier(job["tier"]),
        Routing.from_json(job["routing"]),
        deadline_s=job["deadline_s"],
        max_cost_usd=None if micro is None else micro / 1e6,
    )
    own = own or {}
    changed: dict[str, Any] = {
        name: {"value": own[name][0], "why": own[name][1]} for name in ("complexity", "domain") if name in own
    }
    others = {name: value for name, value in own.items() if name not in changed}
    return {**made.ordinary.to_json(), **changed, **others}
