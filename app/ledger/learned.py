"""Learned limits as the ledger keeps them: so that they outlive Redis, and for people to see when and why."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine

from app.core.learning import Lesson


@dataclass(frozen=True, slots=True)
class LearnedLimit:
    """``for_s``: seconds that it still lasts, by Postgres' clock."""

    scope: str
    rule: str
    value: int
    why: str
    learned_at: dt.datetime
    expires_at: dt.datetime
    for_s: float


def write(engine: Engine, scope: str, lesson: Lesson) -> None:
    """Write a lesson down. One that is only renewed keeps the moment at which it was first learned."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO learned_limits AS l (scope, rule, value, why, expires_at)"
            " VALUES (%s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')"
            " ON CONFLICT (scope, rule) DO UPDATE SET value = excluded.value, why = excluded.why,"
            " expires_at = excluded.expires_at, learned_at = CASE WHEN l.value = excluded.value"
            " AND l.expires_at > clock_timestamp() THEN l.learned_at ELSE clock_timestamp() END",
            (scope, lesson.rule, lesson.value, lesson.why, lesson.for_s),
        )


def in_force(engine: Engine, scope: str | None = None) -> list[LearnedLimit]:
    """What has been learned and still holds, of one scope or of all, by scope and rule."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT scope, rule, value, why, learned_at, expires_at,"
            " extract(epoch FROM expires_at - clock_timestamp())::float8 FROM learned_limits"
            " WHERE expires_at > clock_timestamp() AND (%(scope)s::text IS NULL OR scope = %(scope)s)"
            " ORDER BY scope, rule",
            {"scope": scope},
        )
        return [LearnedLimit(*row) for row in rows]


def accepted(
    engine: Engine, *, name: str, deployment: bool, key_ref: str | None = None, within_s: float, since_s: float
) -> tuple[int, int]:
    """Calls to a provider (or one deployment) that were answered within ``within_s``, and within ``since_s`` of now."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql(
            "SELECT count(*), count(*) FILTER (WHERE started_at > clock_timestamp() - %(since)s * interval '1 second')"
            " FROM attempts WHERE CASE WHEN %(deployment)s THEN deployment ELSE provider END = %(name)s"
            " AND (%(key)s::text IS NULL OR key_ref = %(key)s) AND state = 'answered'"
            " AND started_at > clock_timestamp() - %(within)s * interval '1 second'",
            {"name": name, "deployment": deployment, "key": key_ref, "within": within_s, "since": since_s},
        ).one()
        return int(row[0]), int(row[1])
