"""What the ledger knows of the recent past: so that a Redis that came back empty does not open its gates from zero."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Past:
    """Calls and tokens of one provider or deployment. Ages are seconds before now, by Postgres' clock.

    ``recent``: (age, calls, tokens) within the window. ``flying``: (age, calls) that are still open.
    """

    recent: tuple[tuple[float, int, int], ...]
    flying: tuple[tuple[float, int], ...]
    day_calls: int
    day_tokens: int


# A call in flight counts with what was reserved for it, a closed one with what it used.
_PAST = """
SELECT round(age::numeric, 1)::float8, flying, today, count(*), sum(tokens), min(age)::float8
FROM (SELECT extract(epoch FROM clock_timestamp() - started_at)::float8 AS age, state = 'open' AS flying,
       greatest(CASE WHEN state IN ('open', 'ambiguous') THEN reserved_tokens ELSE 0 END,
                input_tokens + cached_tokens + output_tokens + reasoning_tokens) AS tokens,
       started_at >= %(day)s AS today
FROM attempts
WHERE CASE WHEN %(deployment)s THEN deployment ELSE provider END = %(name)s AND state <> 'unsent'
  AND started_at >= least(%(day)s, clock_timestamp() - interval '10 minutes')
) AS calls GROUP BY 1, 2, 3
"""


def past(engine: Engine, *, name: str, deployment: bool, day_start: dt.datetime, window_s: float) -> Past:
    """What was asked of a provider (or of one deployment) since its day began."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(_PAST, {"name": name, "deployment": deployment, "day": day_start}).all()
    recent = tuple((float(youngest), int(n), int(tokens)) for age, _, _, n, tokens, youngest in rows if age <= window_s)
    flying = tuple((float(youngest), int(n)) for _, up, _, n, _, youngest in rows if up)
    today = [(int(n), int(tokens)) for _, _, is_today, n, tokens, _ in rows if is_today]
    return Past(recent, flying, sum(n for n, _ in today), sum(tokens for _, tokens in today))


def spent_micro(engine: Engine, job_id: str) -> int:
    with engine.begin() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT coalesce(sum(cost_micro), 0) FROM attempts a JOIN chunks c ON c.id = a.chunk_id "
                "WHERE c.job_id = %s",
                (job_id,),
            ).scalar_one()
        )
