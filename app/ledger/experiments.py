"""Experiments and bandits in the ledger: what each arm earned, by the labels and outcomes known at this moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from app.core import bandits
from app.core.experiments import Arm, Sums
from app.core.policies import Logged
from app.ledger.reports import no_job

_STREAM = {"stream_results": True, "yield_per": 500}
# Right or wrong, where it is known: by an outcome, else by the true label. What was left undecided is not right.
_RIGHT = """CASE WHEN t.barred = d.answer THEN false
                WHEN t.truth IS NOT NULL THEN coalesce(d.answer = t.truth, false) END"""
# Items that were decided with another's votes cost nothing and say nothing of their own arm.
_OWN = "NOT d.flags && '{duplicate,similar}'"

_ARMS = f"""
WITH seen AS (
    SELECT c.plan -> 'choice' ->> 'arm' AS arm, ({_RIGHT})::int AS judged, d.agreement, d.cost_micro AS cost, d.calls
    FROM decisions d JOIN chunks c ON c.id = d.chunk_id LEFT JOIN v_truths t ON t.item_id = d.item_id
    WHERE d.job_id = %s AND {_OWN} AND NOT c.plan -> 'choice' ? 'settled'
)
SELECT arm, count(*), count(judged), sum(judged), sum(judged),
       count(agreement), sum(agreement), sum(agreement * agreement),
       count(cost), sum(cost), sum(cost::float8 * cost), count(calls), sum(calls), sum(calls::float8 * calls)
FROM seen WHERE arm IS NOT NULL GROUP BY arm
"""  # noqa: S608 - no value in it


@dataclass(frozen=True, slots=True)
class Trial:
    """A job's experiment: its choice as it stands, and what each arm has brought so far."""

    choice: dict[str, Any]
    arms: dict[str, Arm]
    items: int


def trial(connection: Connection, job_id: str) -> Trial:
    """Raises ``NotFound``; a job without an experiment has an empty choice."""
    row = connection.exec_driver_sql("SELECT choice, items FROM jobs WHERE id = %s", (job_id,)).first()
    if row is None:
        raise no_job(job_id)
    choice, items = row[0] or {}, row[1]
    found = connection.exec_driver_sql(_ARMS, (job_id,)).all() if choice.get("kind") == "experiment" else []
    return Trial(choice, {row[0]: _arm(row[1:]) for row in found}, items)


def _arm(row: Sequence[Any]) -> Arm:
    items, *sums = (float(value or 0) for value in row)
    each = [Sums(int(sums[n]), sums[n + 1], sums[n + 2]) for n in range(0, 12, 3)]
    return Arm(int(items), *each)


def choice_of(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """How a job's recipes are chosen; None where it has one. Raises ``NotFound``."""
    row = connection.exec_driver_sql("SELECT choice FROM jobs WHERE id = %s", (job_id,)).first()
    if row is None:
        raise no_job(job_id)
    found: dict[str, Any] | None = row[0]
    return found


@dataclass(frozen=True, slots=True)
class ChosenChunk:
    id: int
    lane: str
    plan: dict[str, Any]
    """As it is written down, with its ``choice``."""


def chunks(connection: Connection, job_id: str) -> Iterator[ChosenChunk]:
    """A job's chunks whose recipe was chosen."""
    sql = "SELECT id, lane, plan FROM chunks WHERE job_id = %s AND plan ? 'choice' ORDER BY id"
    yield from (ChosenChunk(*row) for row in connection.exec_driver_sql(sql, (job_id,), execution_options=_STREAM))


def drawn(connection: Connection, job_id: str) -> Iterator[tuple[str, str, str]]:
    """(custom id, use case, lane) of a job's items."""
    sql = "SELECT i.custom_id, j.use_case, i.lane FROM items i JOIN jobs j ON j.id = i.job_id WHERE j.id = %s"
    rows = connection.exec_driver_sql(sql, (job_id,), execution_options=_STREAM)
    yield from ((custom_id, use_case, lane) for custom_id, use_case, lane in rows)


def decided(connection: Connection, job_id: str) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM decisions WHERE job_id = %s", (job_id,)).scalar_one())


def note(connection: Connection, job_id: str, what: dict[str, Any]) -> None:
    """Add to a job's choice."""
    connection.exec_driver_sql(
        "UPDATE jobs SET choice = choice || %s::jsonb WHERE id = %s", (orjson.dumps(what).decode(), job_id)
    )


# Bandits. What is known of a use case is what all jobs of the team learned that asked the same question.

_SEEN = f"""
SELECT c.plan -> 'choice' ->> 'arm', sum(w) FILTER (WHERE judged), sum(w) FILTER (WHERE NOT judged),
       sum(w * cost) FILTER (WHERE cost IS NOT NULL), sum(w) FILTER (WHERE cost IS NOT NULL)
FROM jobs j JOIN chunks c ON c.job_id = j.id JOIN decisions d ON d.chunk_id = c.id
LEFT JOIN v_truths t ON t.item_id = d.item_id,
LATERAL (SELECT ({_RIGHT}) AS judged, d.cost_micro::float8 AS cost,
         power(0.5, extract(epoch FROM clock_timestamp() - d.decided_at)::float8 / 86400 / %(half_life)s) AS w) AS each
WHERE j.choice ->> 'kind' = 'bandit' AND j.team = %(team)s AND j.use_case = %(use_case)s
  AND j.task = (SELECT task FROM jobs WHERE id = %(job)s) AND c.plan -> 'choice' ->> 'kind' = 'bandit' AND {_OWN}
  AND d.decided_at > clock_timestamp() - 10 * %(half_life)s * interval '1 day'
GROUP BY 1
"""  # noqa: S608 - no value in it


def known(connection: Connection, job_id: str, team: str, use_case: str, arms: Sequence[str]) -> dict[str, bandits.Arm]:
    """What is known of these arms for the question that the job asks; faded, with outcomes however late."""
    asked = {"job": job_id, "team": team, "use_case": use_case, "half_life": bandits.HALF_LIFE_DAYS}
    found = {row[0]: row[1:] for row in connection.exec_driver_sql(_SEEN, asked)}
    made = {}
    for arm in arms:
        right, wrong, cost, weight = found.get(arm, (None, None, None, None))
        made[arm] = bandits.Arm.faded(right or 0.0, wrong or 0.0, cost / weight if weight else None)
    return made


def chunks_so_far(connection: Connection, job_id: str) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM chunks WHERE job_id = %s", (job_id,)).scalar_one())


def frozen(connection: Connection, team: str, use_case: str) -> bool:
    return bool(
        connection.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM frozen_bandits WHERE team = %s AND use_case = %s)", (team, use_case)
        ).scalar_one()
    )


def freeze(engine: Engine, team: str, use_case: str, *, on: bool) -> bool:
    """Turn a use case's bandit off or on again; False: it was so already."""
    sql = (
        "INSERT INTO frozen_bandits (team, use_case) VALUES (%s, %s) ON CONFLICT DO NOTHING"
        if on
        else "DELETE FROM frozen_bandits WHERE team = %s AND use_case = %s"
    )
    with engine.begin() as connection:
        return bool(connection.exec_driver_sql(sql, (team, use_case)).rowcount)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bandit learns: a team's use case and one question. ``job``: the latest there, of these ``arms``."""

    team: str
    use_case: str
    job: str
    arms: tuple[str, ...]
    jobs: int
    frozen: bool


_PLACES = """
SELECT j.team, j.use_case, (array_agg(j.id ORDER BY j.created_at DESC))[1],
       (array_agg(j.choice -> 'arms' ORDER BY j.created_at DESC))[1], count(*),
       EXISTS (SELECT FROM frozen_bandits f WHERE f.team = j.team AND f.use_case = j.use_case)
FROM jobs j WHERE j.choice ->> 'kind' = 'bandit' AND (%(use_case)s::text IS NULL OR j.use_case = %(use_case)s)
GROUP BY j.team, j.use_case, j.task ORDER BY max(j.created_at) DESC LIMIT 100
"""


def places(connection: Connection, use_case: str | None) -> list[Place]:
    rows = connection.exec_driver_sql(_PLACES, {"use_case": use_case})
    return [Place(team, case, job, tuple(arms), jobs, off) for team, case, job, arms, jobs, off in rows]


_LOG = f"""
SELECT c.plan -> 'choice' ->> 'arm', c.plan -> 'choice' -> 'propensities',
       count(*) FILTER (WHERE right_ IS NOT NULL), count(*) FILTER (WHERE right_),
       avg(d.cost_micro) FILTER (WHERE right_ IS NOT NULL)::float8
FROM jobs j JOIN chunks c ON c.job_id = j.id JOIN decisions d ON d.chunk_id = c.id
LEFT JOIN v_truths t ON t.item_id = d.item_id, LATERAL (SELECT ({_RIGHT}) AS right_) AS judged
WHERE j.choice ->> 'kind' = 'bandit' AND j.team = %s AND j.use_case = %s
  AND j.task = (SELECT task FROM jobs WHERE id = %s) AND c.plan -> 'choice' ->> 'kind' = 'bandit' AND {_OWN}
GROUP BY c.id ORDER BY c.id DESC LIMIT %s
"""  # noqa: S608 - no value in it


def log(connection: Connection, place: Place, most: int, price: float) -> list[Logged]:
    """The latest chunks of a bandit, oldest first, as far as something is known of their truth.

    ``price``: what one micro-dollar takes off an item's reward.
    """
    rows = connection.exec_driver_sql(_LOG, (place.team, place.use_case, place.job, most)).all()
    return [
        Logged(arm, propensities, right - price * (cost or 0.0) * judged, judged)
        for arm, propensities, judged, right, cost in reversed(rows)
        if judged
    ]
