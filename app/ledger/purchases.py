"""What a job bought: every vote beside its cost, so that other recipes may be played over them.

Read-only, and streamed: memory does not grow with the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Engine

from app.core.ballots import Status, Verdict
from app.core.plan import VOICE, Plan
from app.core.task import Task
from app.core.values import FailureKind, Tier
from app.core.whatif import Bought, Case, Played
from app.ledger.reports import no_job

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Purchase:
    """One decided item. ``plan``: of its chunk; ``answer``: what was decided; ``case``: its votes, by deployment.

    ``beside``: the (calls, micro-dollars or None where unknown) of seats that no other recipe may count on: judges,
    writers, verifiers, and a deployment's earlier seat. They belong to what the item took all the same.
    """

    plan: Plan
    status: Status
    answer: str | None
    case: Case
    beside: tuple[tuple[float, float | None], ...] = ()

    def as_it_was(self) -> Played:
        made = [*((b.calls, b.cost_micro) for b in self.case.bought.values()), *self.beside]
        costs = [cost for _, cost in made]
        cost = None if None in costs else sum(c or 0.0 for c in costs)
        verdict = Verdict(self.status, self.answer)
        return Played(verdict, tuple(self.case.bought), sum(calls for calls, _ in made), cost)


# A plan is sent once a chunk, with its first row. An item that asks the same as one before it has that one's votes, and
# paid nothing for them. Of a call that carried several it has its part.
_BOUGHT = """
SELECT i.custom_id, t.truth, d.chunk_id,
       CASE WHEN row_number() OVER (PARTITION BY d.chunk_id ORDER BY i.n) = 1 THEN c.plan END, d.status, d.answer,
       (SELECT jsonb_agg(jsonb_build_array(v.seat, v.answer, v.failure_kind, v.tries, v.flags,
                                           a.calls, a.cost, a.unknown) ORDER BY v.seat)
        FROM votes v, LATERAL (
            SELECT coalesce(sum(1.0 / carried), 0) AS calls, coalesce(sum(cost_micro::float8 / carried), 0) AS cost,
                   bool_or(cost_micro IS NULL) AS unknown
            FROM (
                SELECT cost_micro, 1 AS carried FROM attempts
                WHERE item_id = d.item_id AND chunk_id = v.chunk_id AND seat = v.seat AND state <> 'unsent'
                UNION ALL
                SELECT cost_micro, cardinality(item_ids) FROM attempts
                WHERE job_id = d.job_id AND chunk_id = v.chunk_id AND seat = v.seat AND state <> 'unsent'
                  AND item_ids IS NOT NULL AND item_ids @> ARRAY[d.item_id]
            ) AS made
        ) AS a WHERE v.chunk_id = d.chunk_id AND v.item_id = coalesce(i.same_as, i.id))
FROM decisions d JOIN items i ON i.id = d.item_id JOIN chunks c ON c.id = d.chunk_id
LEFT JOIN v_truths t ON t.item_id = i.id
WHERE d.job_id = %s ORDER BY d.chunk_id, i.n
"""


def purchases(engine: Engine, job_id: str) -> Iterator[Purchase]:
    """Every decision of a job that was on a track, a chunk after the other."""
    with engine.begin() as connection:
        streaming = connection.execution_options(stream_results=True, yield_per=_BATCH)
        plan = None
        for custom_id, gold, _, sent, status, answer, votes in streaming.exec_driver_sql(_BOUGHT, (job_id,)):
            plan = Plan.from_json(sent) if sent is not None else plan
            assert plan is not None
            bought: dict[str, Bought] = {}
            beside: list[tuple[float, float | None]] = []
            for seat, said, failure, tries, flags, calls, cost, unknown in votes or ():
                of = plan.seats[seat] if seat < len(plan.seats) else None
                paid = None if unknown else cost
                if of is None or of.role != VOICE:
                    beside.append((calls, paid))
                    continue
                # The last word of a deployment that was seated twice: the earlier seat was refused by ourselves.
                if (earlier := bought.get(of.deployment)) is not None:
                    beside.append((earlier.calls, earlier.cost_micro))
                kind = FailureKind(failure) if failure else None
                bought[of.deployment] = Bought(said, kind, tries, tuple(flags), calls, paid)
            yield Purchase(plan, Status(status), answer, Case(custom_id, bought, gold), tuple(beside))


def question(engine: Engine, job_id: str) -> tuple[Tier, Task]:
    """What a job asked, and of which tier. Raises ``NotFound``."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql("SELECT tier, task FROM jobs WHERE id = %s", (job_id,)).first()
    if row is None:
        raise no_job(job_id)
    return Tier(row[0]), Task.from_json(row[1])
