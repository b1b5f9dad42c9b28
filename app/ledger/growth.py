"""The numbers of the growth report, and the ones that an edition was printed with.

Each number is one expression, the same in every grouping; all are read in one snapshot. Calls are counted as ``spend``
counts them: in the week in which they began, without those that a drill struck. Items are counted in the week in
which they were decided, as their decision stands now (a retry takes one back).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from app.core.sameness import DUPLICATE, SIMILAR
from app.ledger.press_reports import CALLED, snapshot
from app.newspaper.edition import Chart, Figure
from app.newspaper.growth import Counts
from app.newspaper.weekly import DAYS

CALLS = {
    "calls": "count(*)",
    "pings": "count(*) FILTER (WHERE a.purpose = 'ping')",
    "failed_calls": "count(*) FILTER (WHERE a.state = 'failed')",
    "ambiguous_calls": "count(*) FILTER (WHERE a.state = 'ambiguous')",
    "input_tokens": "coalesce(sum(a.input_tokens + a.cached_tokens), 0)::bigint",
    "output_tokens": "coalesce(sum(a.output_tokens + a.reasoning_tokens), 0)::bigint",
    "cost_micro": "coalesce(sum(a.cost_micro), 0)::bigint",
    "unpriced_calls": "count(*) FILTER (WHERE a.cost_micro IS NULL)",
}
# A cold start says how long a model took to load, a ping asks for one word: neither is an answer's time.
_TIMED = (
    "a.state = 'answered' AND a.purpose <> 'ping' AND NOT coalesce(a.flags @> ARRAY['cold_start'], false)"
    " AND a.latency_ms IS NOT NULL"
)
TIMES = {
    "p50_ms": f"percentile_disc(0.5) WITHIN GROUP (ORDER BY a.latency_ms) FILTER (WHERE {_TIMED})",
    "p95_ms": f"percentile_disc(0.95) WITHIN GROUP (ORDER BY a.latency_ms) FILTER (WHERE {_TIMED})",
}
ITEMS = {
    "items_decided": "count(*) FILTER (WHERE d.status = 'decided')",
    "items_undecided": "count(*) FILTER (WHERE d.status = 'undecided')",
    "items_failed": "count(*) FILTER (WHERE d.status = 'failed')",
}
# Of items that were asked themselves and decided: not of those that took another's decision.
WAVES = {
    "items_asked": "count(*) FILTER (WHERE d.asked)",
    "items_first_wave": "count(*) FILTER (WHERE d.asked AND later.item_id IS NULL)",
    "items_fell_back": "count(*) FILTER (WHERE d.asked AND fell.item_id IS NOT NULL)",
}
JOBS = {"jobs": "count(*)"}
EDITIONS = {
    "editions": "count(*)",
    "editions_on_time": "count(*) FILTER (WHERE e.on_time)",
    "articles": "coalesce(sum(e.articles), 0)::bigint",
    "briefs": "coalesce(sum(e.briefs), 0)::bigint",
    "sources": "coalesce(sum(e.sources), 0)::bigint",
    "feeds_failed": "coalesce(sum(e.feeds_failed), 0)::bigint",
}

# Days are numbered by their own first moments, so that no clock but the paper's says when one ends.
_IN_SPAN = "{moment} >= %(first)s AND {moment} < %(last)s"
_DAY = "width_bucket({moment}, %(days)s::timestamptz[])"

_OF_CALLS = f"""
FROM (SELECT attempts.*, {_DAY.format(moment="started_at")} AS n FROM attempts
      WHERE {_IN_SPAN.format(moment="started_at")}) AS a LEFT JOIN jobs j ON j.id = a.job_id
WHERE {CALLED}
"""  # noqa: S608 - no value in it

_DECIDED = f"""
SELECT decisions.item_id, chunk_id, job_id, status, {_DAY.format(moment="decided_at")} AS n,
       status = 'decided' AND chunk_id IS NOT NULL AND NOT flags && ARRAY['{DUPLICATE}', '{SIMILAR}'] AS asked
FROM decisions WHERE {_IN_SPAN.format(moment="decided_at")}
"""  # noqa: S608 - no value in it

_OF_ITEMS = f"FROM ({_DECIDED}) AS d JOIN jobs j ON j.id = d.job_id"

# An item was settled by the first models asked where no wave came after theirs. It fell back where somebody else was
# asked after a seat had failed it; as the alert on the fallback rate has it. Votes and asks have an index by chunk:
# the span of the week's chunks lets it pass over the others.
_WAVES = f"""
WITH d AS MATERIALIZED ({_DECIDED}),
span AS MATERIALIZED (SELECT min(chunk_id) AS low, max(chunk_id) AS high FROM d),
asked AS MATERIALIZED (
    SELECT chunk_id, wave, seat, item_ids, created_at FROM asks
    WHERE chunk_id BETWEEN (SELECT low FROM span) AND (SELECT high FROM span)
),
failed AS MATERIALIZED (
    SELECT chunk_id, item_id, seat, cast_at FROM votes
    WHERE failure_kind IS NOT NULL AND chunk_id BETWEEN (SELECT low FROM span) AND (SELECT high FROM span)
),
later AS MATERIALIZED (
    SELECT DISTINCT chunk_id, item_id FROM asked, LATERAL unnest(item_ids) AS item_id WHERE wave > 1
),
fell AS MATERIALIZED (
    SELECT DISTINCT v.chunk_id, v.item_id FROM failed v
    JOIN asked k ON k.chunk_id = v.chunk_id AND k.seat <> v.seat AND k.created_at >= v.cast_at
                AND v.item_id = ANY(k.item_ids)
)
"""  # noqa: S608 - no value in it
_OF_WAVES = (
    "FROM d LEFT JOIN later ON later.chunk_id = d.chunk_id AND later.item_id = d.item_id"
    " LEFT JOIN fell ON fell.chunk_id = d.chunk_id AND fell.item_id = d.item_id"
)

_OF_JOBS = f"""
FROM (SELECT {_DAY.format(moment="created_at")} AS n FROM jobs WHERE {_IN_SPAN.format(moment="created_at")}) AS j
"""  # noqa: S608 - no value in it

# Of each date what was printed last, and whether its first printing was on time.
_OF_EDITIONS = """
FROM (
    SELECT DISTINCT ON (e.kind, e.date) (e.date - %(first_date)s::date) + 1 AS n,
           (SELECT f.made_at <= f.deadline_at AND NOT f.late FROM editions f
            WHERE f.paper = e.paper AND f.kind = e.kind AND f.date = e.date ORDER BY f.run LIMIT 1) AS on_time,
           (SELECT count(*) FROM jsonb_path_query(e.document, '$.pages[*].pieces[*].form') AS form
            WHERE form = '"article"') AS articles,
           (SELECT count(*) FROM jsonb_path_query(e.document, '$.pages[*].pieces[*].form') AS form
            WHERE form = '"brief"') AS briefs,
           (SELECT count(*) FROM edition_articles WHERE edition_id = e.id) AS sources,
           (SELECT count(*) FROM edition_feeds WHERE edition_id = e.id AND report ->> 'state' IN ('kept', 'failed'))
               AS feeds_failed
    FROM editions e
    WHERE e.paper = %(paper)s AND e.document IS NOT NULL
      AND e.date >= %(first_date)s AND e.date < %(last_date)s
    ORDER BY e.kind, e.date, e.run DESC
) AS e
"""

_DAY_KEY = f"mod({{table}}.n - 1, {DAYS})::text"


def counted(engine: Engine, paper: str, days: Sequence[dt.datetime], first_date: dt.date) -> tuple[Counts, Counts]:
    """The week before, and the week itself.

    ``days``: the first moments of the fourteen days and of the one after them; ``first_date``: the first one's date.
    """
    values = {
        "days": list(days),
        "first": days[0],
        "last": days[-1],
        "paper": paper,
        "first_date": first_date,
        "last_date": first_date + dt.timedelta(2 * DAYS),
    }
    with snapshot(engine) as connection:

        def ask(expressions: Mapping[str, str], rows: str, table: str, key: str = "''", names: str = "") -> _Found:
            return _ask(connection, values, expressions, rows, table, key, names)

        totals = [
            ask({**CALLS, **TIMES}, _OF_CALLS, "a"),
            ask(ITEMS, _OF_ITEMS, "d"),
            ask(WAVES, _OF_WAVES, "d", names=_WAVES),
            ask(JOBS, _OF_JOBS, "j"),
            ask(EDITIONS, _OF_EDITIONS, "e"),
        ]
        groups = {
            "day": [
                ask(CALLS, _OF_CALLS, "a", _DAY_KEY.format(table="a")),
                ask(ITEMS, _OF_ITEMS, "d", _DAY_KEY.format(table="d")),
            ],
            "provider": [ask(CALLS, _OF_CALLS, "a", "a.provider")],
            "model": [ask(CALLS, _OF_CALLS, "a", "a.deployment")],
            "kind": [ask(CALLS, f"{_OF_CALLS} AND a.state = 'failed'", "a", "coalesce(a.failure_kind, 'unknown')")],
            "use": [ask(ITEMS, _OF_ITEMS, "d", "j.team || ' / ' || j.use_case")],
        }
    before, this = (
        Counts(_merged(totals, week).get("", {}), {name: _merged(found, week) for name, found in groups.items()})
        for week in (0, 1)
    )
    return before, this


_Found = dict[tuple[int, str], dict[str, Any]]
"""(week, key) → what was counted. Week 0 is the week before."""


def _ask(
    connection: Connection,
    values: Mapping[str, Any],
    expressions: Mapping[str, str],
    rows: str,
    table: str,
    key: str,
    names: str,
) -> _Found:
    columns = ", ".join(expressions.values())
    sql = f"{names} SELECT ({table}.n - 1) / {DAYS}, {key}, {columns} {rows} GROUP BY 1, 2"
    found = connection.exec_driver_sql(sql, dict(values)).all()
    return {(row[0], row[1]): dict(zip(expressions, row[2:], strict=True)) for row in found}


def _merged(parts: Sequence[_Found], week: int) -> dict[str, dict[str, Any]]:
    """One week of several countings of the same keys."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        for (of, key), counted in part.items():
            if of == week:
                found[key] = {**found.get(key, {}), **counted}
    return found


def keep(engine: Engine, edition_id: int, figures: Sequence[Figure], charts: Sequence[Chart]) -> bool:
    """What an edition is printed with, once and for good; False where that stands already."""
    kept = {
        "figures": [figure.model_dump(mode="json") for figure in figures],
        "charts": [chart.model_dump(mode="json") for chart in charts],
    }
    with engine.begin() as connection:
        first = connection.exec_driver_sql(
            "UPDATE editions SET figures = %s WHERE id = %s AND figures IS NULL",
            (orjson.dumps(kept).decode(), edition_id),
        )
        return bool(first.rowcount)


def kept(engine: Engine, edition_id: int) -> tuple[tuple[Figure, ...], tuple[Chart, ...]] | None:
    """None: nothing was kept yet."""
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT figures FROM editions WHERE id = %s", (edition_id,)).scalar()
    if found is None:
        return None
    figures = tuple(Figure.model_validate(figure) for figure in found["figures"])
    return figures, tuple(Chart.model_validate(chart) for chart in found["charts"])
