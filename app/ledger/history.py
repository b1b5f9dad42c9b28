"""What the ledger knows of the recent past: so that a Redis that came back empty does not open its gates from zero."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Engine


@dataclass(frozen=True, slots=True)
class Past:
    """Calls and tokens of one provider or deployment. Ages are seconds before now, by Postgres' clock.

    ``recent``: (age, calls, tokens) within the window, ``hour`` likewise within the hour and the margin, in steps of
    ten seconds. ``flying``: (age, calls) that are still open. ``day`` and ``month``: (calls, tokens). What was not
    asked for is empty.
    """

    recent: tuple[tuple[float, int, int], ...]
    flying: tuple[tuple[float, int], ...]
    day: tuple[int, int]
    hour: tuple[tuple[float, int, int], ...]
    month: tuple[int, int]


# A call in flight counts with what was reserved for it, a closed one with what it used. One pass, and few rows come out
# of it: only what is recent, or open, is told to the tenth of a second.
_PAST = """
SELECT CASE WHEN age <= %(window)s OR flying THEN round(age::numeric, 1)
            WHEN age <= %(hour)s THEN -1 - floor(age / 10) END,
       flying, today, count(*), sum(tokens), min(age)::float8
FROM (SELECT extract(epoch FROM clock_timestamp() - started_at)::float8 AS age, state = 'open' AS flying,
       greatest(CASE WHEN state IN ('open', 'ambiguous') THEN reserved_tokens ELSE 0 END,
                input_tokens + cached_tokens + output_tokens + reasoning_tokens) AS tokens,
       CASE WHEN started_at >= %(day)s THEN 'day' WHEN started_at >= %(month)s THEN 'month' END AS today
FROM attempts
WHERE CASE WHEN %(deployment)s THEN deployment ELSE provider END = %(name)s AND state <> 'unsent'
  AND (%(key)s::text IS NULL OR key_ref IS NULL OR key_ref = %(key)s)
  AND started_at >= least(%(day)s, %(month)s,
                          clock_timestamp() - greatest(%(window)s, %(hour)s, 600) * interval '1 second')
) AS calls GROUP BY 1, 2, 3
"""


def past(
    engine: Engine,
    *,
    name: str,
    deployment: bool,
    day_start: dt.datetime,
    window_s: float,
    hour_s: float = 0.0,
    month_start: dt.datetime | None = None,
    key_ref: str | None = None,
) -> Past:
    """What was asked of a provider (or of one deployment; with one of its keys) since its day began.

    ``hour_s``: the length of the hour with its margin, where one is wanted. ``month_start``: likewise the month's. A
    call of which nobody wrote down the key counts for each.
    """
    asked = {
        "name": name,
        "deployment": deployment,
        "key": key_ref,
        "day": day_start,
        "month": month_start or day_start,
        "window": window_s,
        "hour": hour_s,
    }
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(_PAST, asked).all()
    calls = [(float(age), bool(up), of, int(n), int(tokens)) for _, up, of, n, tokens, age in rows]
    today = [(n, tokens) for _, _, of, n, tokens in calls if of == "day"]
    month = [(n, tokens) for _, _, of, n, tokens in calls if of is not None]
    return Past(
        recent=tuple((age, n, tokens) for age, _, _, n, tokens in calls if age <= window_s),
        flying=tuple((age, n) for age, up, _, n, _ in calls if up),
        day=(sum(n for n, _ in today), sum(tokens for _, tokens in today)),
        hour=tuple((age, n, tokens) for age, _, _, n, tokens in calls if age <= hour_s),
        month=(sum(n for n, _ in month), sum(tokens for _, tokens in month)) if month_start else (0, 0),
    )


def spent_micro(engine: Engine, job_id: str) -> int:
    with engine.begin() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT coalesce(sum(cost_micro), 0) FROM attempts a JOIN chunks c ON c.id = a.chunk_id "
                "WHERE c.job_id = %s",
                (job_id,),
            ).scalar_one()
        )
