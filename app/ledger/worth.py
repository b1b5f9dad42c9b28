"""Which answers turned out right, and what they cost. Of what nobody judged nothing is said: neither free nor guessed.

An answer is known to be accepted where the item's last outcome, or its true label, agrees with it. The cost of an
accepted answer is what all judged ones cost, the wrong ones among them, over how many were accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from app.ledger import reports
from app.ledger.packs import SHARED_CALLS


@dataclass(frozen=True, slots=True)
class Accepted:
    """``judged``: answers of which it is known; ``cost_micro``: of those, None where a part of it is unknown."""

    judged: int
    accepted: int
    cost_micro: int | None

    @property
    def cost_each_usd(self) -> float | None:
        """None where nothing was accepted, or the cost is unknown."""
        return self.cost_micro / self.accepted / 1e6 if self.accepted and self.cost_micro is not None else None


_RIGHT = "CASE WHEN t.truth IS NOT NULL THEN {answer} = t.truth WHEN {answer} = t.barred THEN false END"

# Whole items: what a decision cost, as it was decided.
_DECISIONS = f"""
SELECT key, count(*), count(*) FILTER (WHERE accepted),
       CASE WHEN bool_or(cost_micro IS NULL) THEN NULL ELSE sum(cost_micro)::bigint END
FROM (
    SELECT {{column}} AS key, {_RIGHT.format(answer="d.answer")} AS accepted, d.cost_micro
    FROM v_truths t JOIN decisions d ON d.item_id = t.item_id JOIN jobs j ON j.id = t.job_id
    WHERE d.status = 'decided'
) AS judged WHERE accepted IS NOT NULL GROUP BY 1
"""  # noqa: S608 - no value in it

# Single voices: what was paid to one for an item, its failed calls among them.
_VOICES = f"""
SELECT key, count(*), count(*) FILTER (WHERE accepted),
       CASE WHEN bool_or(cost_micro IS NULL) THEN NULL ELSE sum(cost_micro)::bigint END
FROM (
    SELECT a.{{column}} AS key, {_RIGHT.format(answer="v.answer")} AS accepted, paid.cost_micro
    FROM v_truths t JOIN items i ON i.id = t.item_id AND i.same_as IS NULL
    JOIN votes v ON v.item_id = t.item_id AND v.answer IS NOT NULL
    JOIN attempts a ON a.id = v.attempt_id AND a.purpose = 'vote' AND a.job_id = t.job_id,
    LATERAL (
        SELECT CASE WHEN bool_or(cost_micro IS NULL) THEN NULL ELSE sum(cost_micro) END AS cost_micro
        FROM {SHARED_CALLS.format(item="t.item_id", job="t.job_id", chunk="v.chunk_id")} WHERE seat = v.seat
    ) AS paid
) AS judged WHERE accepted IS NOT NULL GROUP BY 1
"""  # noqa: S608 - no value in it

_COLUMNS = {
    "team": "j.team",
    "use-case": "j.use_case",
    "tier": "j.tier",
    # Where the job has a choice, what was chosen for the chunk.
    "strategy": "split_part(coalesce(CASE WHEN j.choice IS NOT NULL THEN (SELECT c.plan ->> 'recipe' FROM chunks c"
    " WHERE c.id = d.chunk_id) END, j.recipe), '@', 1)",
    "day": "(d.decided_at AT TIME ZONE 'UTC')::date",
}


def accepted(engine: Engine, by: str) -> dict[object, Accepted]:
    """By model or provider of single voices, by anything else that ``spend`` takes of decided items."""
    sql = (
        _VOICES.format(column={"model": "deployment"}.get(by, by))
        if by in ("model", "provider")
        else _DECISIONS.format(column=_COLUMNS[by])
    )
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(sql, {}).all()
    return {key: Accepted(judged, right, None if cost is None else int(cost)) for key, judged, right, cost in rows}


def spend(engine: Engine, by: str) -> list[dict[str, Any]]:
    """As ``reports.spend``, with what the money bought as far as it is known: ``judged`` answers, those ``accepted``,
    and the cost of each of these; null where nothing was judged, or its cost is unknown."""
    key = by.replace("-", "_")
    known = {str(name): found for name, found in accepted(engine, by).items()}
    rows = []
    for row in reports.spend(engine, by):
        found = known.get(str(row[key]))
        each = None if found is None else found.cost_each_usd
        told = {
            "judged": found and found.judged,
            "accepted": found and found.accepted,
            "cost_per_accepted_usd": None if each is None else round(each, 9),
        }
        rows.append({**row, **told, "cost_usd": row["cost_usd"]})
    return rows
