"""A guarantee in the ledger: which items are audited, what their audits heard, and what was ruled for the others."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, Engine

from app.core.ballots import Ballot
from app.core.guarantee import AUDIT, NEVER, REST, TOO_SMALL, Course, Evidence, Promise, Ruling, course
from app.core.plan import Plan

# Blocks are parts of the job in the order of its input. Who is audited hangs on nothing but the job's id and its own:
# nobody can know it before the job is there, and nobody answers differently for it.
_DRAW = """
UPDATE items SET lane = ltrim(lane || ' arm=' || lpad(placed.block::text, 2, '0')
    || CASE WHEN ('x' || substr(md5(%(job)s || '/' || custom_id), 1, 8))::bit(32)::bigint < %(rate)s * 4294967296.0
            THEN 'a' ELSE 'r' END)
FROM (SELECT id, (row_number() OVER (ORDER BY n) * %(blocks)s - 1) / %(items)s AS block
      FROM items WHERE job_id = %(job)s) AS placed
WHERE items.id = placed.id
"""

# What was ruled on are the first decisions: a retry comes after the ruling, and what it decides is another matter.
_AUDITED = """
SELECT coalesce((w.decision ->> 'chunk_id')::bigint, d.chunk_id),
       CASE WHEN w.decision IS NULL THEN d.answer ELSE w.decision ->> 'answer' END,
       coalesce(w.decision -> 'ballots', d.ballots)
FROM items i LEFT JOIN decisions d ON d.item_id = i.id LEFT JOIN LATERAL (
    SELECT decision FROM withdrawn_decisions WHERE item_id = i.id ORDER BY withdrawn_at LIMIT 1
) AS w ON true
WHERE i.job_id = %s AND i.lane LIKE %s ORDER BY i.n
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job's guarantee stands. ``audits`` and ``rulings``: of the blocks that have theirs, in their order.

    ``stopped``: why nothing is accepted any more; None: it goes on.
    """

    promise: Promise
    course: Course
    stopped: str | None
    audits: tuple[Evidence, ...]
    rulings: tuple[Ruling, ...]


def draw(connection: Connection, job_id: str, items: int) -> None:
    """Lay a new job's items in blocks, and draw those that are audited."""
    choice = connection.exec_driver_sql("SELECT choice FROM jobs WHERE id = %s", (job_id,)).scalar_one()
    laid = course(Promise.from_json(choice), items, choice["council"])
    found = {"course": laid.to_json(), **({"stopped": TOO_SMALL} if laid.rate >= 1 else {})}
    connection.exec_driver_sql(
        "UPDATE jobs SET choice = choice || %s::jsonb WHERE id = %s", (orjson.dumps(found).decode(), job_id)
    )
    if laid.rate < 1:
        connection.exec_driver_sql(
            _DRAW, {"job": job_id, "rate": laid.rate, "blocks": len(laid.blocks), "items": items}
        )


def lock(connection: Connection, job_id: str) -> Standing:
    """Where it stands, under the job's row lock: whoever rules next waits."""
    choice = connection.exec_driver_sql("SELECT choice FROM jobs WHERE id = %s FOR UPDATE", (job_id,)).scalar_one()
    return _standing(connection, job_id, choice)


def standing(engine: Engine, job_id: str) -> Standing | None:
    """None where the job has no guarantee."""
    with engine.begin() as connection:
        choice = connection.exec_driver_sql("SELECT choice FROM jobs WHERE id = %s", (job_id,)).scalar()
        return None if choice is None or "course" not in choice else _standing(connection, job_id, choice)


def _standing(connection: Connection, job_id: str, choice: dict[str, object]) -> Standing:
    rows = connection.exec_driver_sql(
        "SELECT heard, differ, threshold, audited, lost, bound, stopped FROM guarantee_blocks"
        " WHERE job_id = %s ORDER BY block",
        (job_id,),
    ).all()
    stopped = choice.get("stopped")
    return Standing(
        Promise.from_json(choice),
        Course.from_json(choice["course"]),  # type: ignore[arg-type]
        None if stopped is None else str(stopped),
        tuple(Evidence(tuple(row[0]), tuple(row[1])) for row in rows),
        tuple(Ruling(*row[2:]) for row in rows),
    )


def audit_is_in(connection: Connection, job_id: str, block: int) -> bool:
    return not connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM items WHERE job_id = %s AND lane LIKE %s AND state <> 'decided')",
        (job_id, _lanes(block, AUDIT)),
    ).scalar_one()


def audited(connection: Connection, job_id: str, block: int) -> list[tuple[Plan, tuple[Ballot, ...], str | None]]:
    """The audited items of a block: plan, ballots and answer of each that was on a track."""
    rows = connection.exec_driver_sql(_AUDITED, (job_id, _lanes(block, AUDIT))).all()
    ids = list({row[0] for row in rows if row[0] is not None})
    found = connection.exec_driver_sql("SELECT id, plan FROM chunks WHERE id = ANY(%s)", (ids,))
    plans = {chunk_id: Plan.from_json(plan) for chunk_id, plan in found}
    return [
        (plans[chunk_id], tuple(Ballot.from_json(b) for b in ballots), answer)
        for chunk_id, answer, ballots in rows
        if chunk_id is not None
    ]


def write(connection: Connection, job_id: str, block: int, audit: Evidence, ruling: Ruling) -> None:
    connection.exec_driver_sql(
        "INSERT INTO guarantee_blocks (job_id, block, heard, differ, threshold, audited, lost, bound, stopped)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            job_id, block, list(audit.heard), list(audit.differ), ruling.threshold, ruling.audited, ruling.lost,
            ruling.bound, ruling.stopped,
        ),
    )  # fmt: skip


def stop(connection: Connection, job_id: str, why: str) -> None:
    """Accept nothing any more: what has not left the yard goes to the strong model alone."""
    connection.exec_driver_sql(
        "UPDATE jobs SET choice = choice || %s::jsonb WHERE id = %s",
        (orjson.dumps({"stopped": why}).decode(), job_id),
    )


def waiting(connection: Connection, job_id: str, block: int | None) -> list[int]:
    """The chunks of a block that wait for its ruling, or will; None: of all of them."""
    rows = connection.exec_driver_sql(
        "SELECT id FROM chunks WHERE job_id = %s AND state <> 'done' AND lane LIKE %s ORDER BY id",
        (job_id, _lanes(block, REST) if block is not None else f"%arm=__{REST}"),
    )
    return list(rows.scalars())


def threshold(connection: Connection, job_id: str, block: int) -> float | None:
    """That of a block, or one that is never reached once nothing is accepted any more; None: nothing is ruled yet."""
    ruled, stopped = connection.exec_driver_sql(
        "SELECT (SELECT threshold FROM guarantee_blocks b WHERE b.job_id = j.id AND b.block = %s), j.choice ? 'stopped'"
        " FROM jobs j WHERE j.id = %s",
        (block, job_id),
    ).one()
    return float(ruled) if ruled is not None else NEVER if stopped else None


# What the strong model took of each audited item that it answered, all its tries together.
_STRONG = """
SELECT CASE WHEN bool_or(a.cost_micro IS NULL) THEN NULL ELSE sum(a.cost_micro)::bigint END
FROM attempts a JOIN items i ON i.id = a.item_id
WHERE a.job_id = %s AND a.deployment = %s AND a.state <> 'unsent' AND i.lane LIKE '%%arm=__a'
GROUP BY a.item_id HAVING bool_or(a.state = 'answered')
"""


@dataclass(frozen=True, slots=True)
class Costs:
    """``strong``: micro-dollars that the strong model took of each audited item, None at an unknown price; ``asked``:
    items that it was asked for. ``job``: micro-dollars of the whole job, ``unpriced``: calls that are not in it."""

    strong: tuple[int | None, ...]
    asked: int
    job: int
    unpriced: int


def costs(engine: Engine, job_id: str, against: str) -> Costs:
    with engine.begin() as connection:
        strong = connection.exec_driver_sql(_STRONG, (job_id, against)).scalars().all()
        asked, cost, unpriced = connection.exec_driver_sql(
            "SELECT count(DISTINCT item_id) FILTER (WHERE deployment = %s), coalesce(sum(cost_micro), 0)::bigint,"
            " count(*) FILTER (WHERE cost_micro IS NULL) FROM attempts WHERE job_id = %s AND state <> 'unsent'",
            (against, job_id),
        ).one()
    return Costs(tuple(strong), asked, cost, unpriced)


def _lanes(block: int, part: str) -> str:
    """Pattern of the lanes of a block's part: whatever else stands in them, the arm stands last."""
    return f"%arm={block:02d}{part}"
