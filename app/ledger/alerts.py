"""Alerts in the ledger: the facts of the last minutes, the state of each alert, and the notices on their way out.

Facts come from the latest 50,000 calls of the window, found by their ids, so that a look costs the same however much
lies before it; a fleet busier than that is judged by a shorter window. Money is micro-dollars.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from app.core import alerts as core
from app.core.matrix import PUTS_OUT
from app.core.values import FailureKind

GIVEN_UP_AFTER_S = 86_400.0
_MOST_CALLS = 50_000
# Two looks at once would each see the other's change missing: whoever comes second leaves it to the first.
_LOOK_LOCK = 7_304_913
# Whose fault these are is not the provider's: an item too long or refused, a request of ours, a worker that died.
_OURS = [
    FailureKind.CONTEXT_LENGTH.value,
    FailureKind.CONTENT_FILTER.value,
    FailureKind.INVALID_REQUEST.value,
    FailureKind.BREAKER_OPEN.value,
    FailureKind.BUDGET.value,
    FailureKind.OVERDUE.value,
    FailureKind.AMBIGUOUS.value,
    FailureKind.PRIVACY.value,
]
# A bad key, an unpaid bill and a model that is gone have alerts of their own: told as a rate they would be told twice.
_TOLD_OTHERWISE = sorted(kind.value for kind in PUTS_OUT)
_VALUES = {
    "most": _MOST_CALLS,
    "no_errors": [*_OURS, *_TOLD_OTHERWISE],
    "stalled": core.Alert.STALLED.value,
    "yard": core.YARD,
}

_LATEST = """
WITH latest AS (
    SELECT id, job_id, chunk_id, item_id, seat, deployment, state, failure_kind, latency_ms, flags, started_at
    FROM attempts
    WHERE id > (SELECT coalesce(max(id), 0) - %(most)s FROM attempts) AND purpose <> 'ping' AND state <> 'unsent'
      AND started_at > clock_timestamp() - %(window_s)s * interval '1 second'
)
"""

# A cold start says how long a model took to load, not how fast it answers.
_CALLS = """
SELECT deployment,
       count(*) FILTER (WHERE timed),
       percentile_disc(0.95) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE timed),
       count(*) FILTER (WHERE ended),
       count(*) FILTER (WHERE ended AND state = 'failed')
FROM (SELECT deployment, latency_ms, state,
             state = 'answered' AND NOT 'cold_start' = ANY(coalesce(flags, '{}')) AS timed,
             state = 'answered' OR (state = 'failed' AND failure_kind <> ALL(%(no_errors)s)) AS ended
      FROM latest) AS judged
GROUP BY deployment ORDER BY deployment
"""

# An item fell back if a seat had failed it before a call elsewhere began; a third voice where two differed is none.
_FALLBACK = """
SELECT count(DISTINCT l.item_id), count(DISTINCT l.item_id) FILTER (WHERE EXISTS (
           SELECT FROM votes v WHERE v.chunk_id = l.chunk_id AND v.item_id = l.item_id AND v.seat <> l.seat
             AND v.failure_kind IS NOT NULL AND v.cast_at <= l.started_at))
FROM latest l WHERE l.item_id IS NOT NULL
"""

_DECIDED = """
, decided AS (
    SELECT d.* FROM (SELECT DISTINCT item_id FROM latest WHERE item_id IS NOT NULL) AS l
    JOIN decisions d USING (item_id) WHERE d.decided_at > clock_timestamp() - %(window_s)s * interval '1 second'
)
"""

# What a job was estimated to cost is not in the ledger; what it may cost is.
_COSTS = """
SELECT j.id, count(d.cost_micro), avg(d.cost_micro)::float8, j.items, j.max_cost_micro
FROM decided d JOIN jobs j ON j.id = d.job_id
WHERE j.state = 'running' AND j.max_cost_micro IS NOT NULL
GROUP BY j.id HAVING count(d.cost_micro) > 0 ORDER BY j.id
"""

_QUALITIES = """
SELECT job_id, CASE WHEN has_gold THEN known ELSE agreed END,
       CASE WHEN has_gold THEN right_ones::float8 / nullif(known, 0) ELSE agreement END, has_gold
FROM (SELECT j.id AS job_id, j.has_gold, count(i.gold) FILTER (WHERE d.status = 'decided') AS known,
             count(*) FILTER (WHERE d.answer = i.gold) AS right_ones, count(d.agreement) AS agreed,
             avg(d.agreement) AS agreement
      FROM decided d JOIN jobs j ON j.id = d.job_id JOIN items i ON i.id = d.item_id
      GROUP BY j.id) AS judged
ORDER BY job_id
"""

_LAST = "SELECT EXISTS (SELECT FROM jobs WHERE state = 'running'), (SELECT max(decided_at) FROM decided)"

# The alert's own row, while it is quiet, holds the moment of the last decision, or of the last look that found no
# work: so a job that is resumed, or comes after a quiet night, is given its ten minutes like any other.
_MOVING = """
INSERT INTO alerts (name, subject, firing, message) VALUES (%(stalled)s, %(yard)s, false, 'nothing stands still')
ON CONFLICT (name, subject) DO UPDATE SET message = excluded.message,
    since = CASE WHEN %(work)s THEN greatest(alerts.since, %(last)s) ELSE clock_timestamp() END
WHERE NOT alerts.firing
"""

_IDLE = """
SELECT firing, coalesce(since < %(last)s, false), extract(epoch FROM clock_timestamp() - since)::float8
FROM alerts WHERE name = %(stalled)s AND subject = %(yard)s
"""

_CHANGE = """
INSERT INTO alerts (name, subject, firing, value, threshold, message) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (name, subject) DO UPDATE SET firing = excluded.firing, value = excluded.value,
    threshold = excluded.threshold, message = excluded.message, since = clock_timestamp()
"""

# A sink hears of one subject in the order in which things happened: a recovery never overtakes its alarm.
_CLAIM = """
UPDATE alert_notices n SET tries = tries + 1, next_at = clock_timestamp() + %(lease_s)s * interval '1 second'
WHERE n.id = (
    SELECT w.id FROM alert_notices w
    WHERE w.sent_at IS NULL AND w.next_at <= clock_timestamp() AND w.sink = %(sink)s
      AND NOT EXISTS (SELECT FROM alert_notices e WHERE e.sent_at IS NULL AND e.next_at < 'infinity'
                      AND e.sink = w.sink AND e.name = w.name AND e.subject = w.subject AND e.id < w.id)
    ORDER BY w.id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING n.id, n.created_at, n.tries, n.name, n.subject, n.firing, n.value, n.threshold, n.message
"""

_GIVE_UP = """
UPDATE alert_notices SET next_at = 'infinity', error = coalesce(error, 'this sink is not configured')
WHERE sent_at IS NULL AND next_at < 'infinity' AND created_at < clock_timestamp() - %s * interval '1 second'
RETURNING id, sink, name, subject, error
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice to be sent, this being its ``tries``-th try."""

    id: int
    created_at: dt.datetime
    tries: int
    notice: core.Notice


@dataclass(frozen=True, slots=True)
class Firing:
    name: str
    subject: str
    value: float | None
    threshold: float | None
    message: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class Sending:
    """A notice as it stands in the ledger. ``state``: sent, waiting, or given up."""

    created_at: dt.datetime
    title: str
    message: str
    sink: str
    state: str
    tries: int
    error: str | None


@contextmanager
def looking(engine: Engine) -> Iterator[Connection | None]:
    """One transaction for a look and what it writes down; None where another process is looking just now."""
    with engine.begin() as connection:
        free = connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (_LOOK_LOCK,)).scalar_one()
        yield connection if free else None


def _of(window_s: float) -> dict[str, object]:
    return {**_VALUES, "window_s": window_s}


def calls(connection: Connection, window_s: float = core.WINDOW_S) -> tuple[core.Calls, ...]:
    """Of the last ``window_s``, by deployment, pings apart."""
    return tuple(core.Calls(*row) for row in connection.exec_driver_sql(_LATEST + _CALLS, _of(window_s)))


def fallback(connection: Connection, window_s: float = core.WINDOW_S) -> core.Fallback:
    return core.Fallback(*connection.exec_driver_sql(_LATEST + _FALLBACK, _of(window_s)).one())


def costs(connection: Connection, window_s: float = core.WINDOW_S) -> tuple[core.Cost, ...]:
    """Of running jobs with a budget: what an item decided lately has cost, against what the job may cost."""
    return tuple(core.Cost(*row) for row in connection.exec_driver_sql(_LATEST + _DECIDED + _COSTS, _of(window_s)))


def qualities(connection: Connection, window_s: float = core.WINDOW_S) -> tuple[core.Quality, ...]:
    rows = connection.exec_driver_sql(_LATEST + _DECIDED + _QUALITIES, _of(window_s))
    return tuple(core.Quality(*row) for row in rows if row[2] is not None)


def refused_keys(connection: Connection, providers: Sequence[str]) -> tuple[core.RefusedKey, ...]:
    rows = connection.exec_driver_sql(
        "SELECT provider, key_ref, reason FROM key_health WHERE state = 'out' AND provider = ANY(%s) ORDER BY 1, 2",
        (list(providers),),
    )
    return tuple(core.RefusedKey(*row) for row in rows)


def idle_s(connection: Connection, window_s: float = core.WINDOW_S) -> float | None:
    """For how long nothing was decided while there was work (infinite while that alert fires); None: no work.

    Writes down when something last was.
    """
    work, last = connection.exec_driver_sql(_LATEST + _DECIDED + _LAST, _of(window_s)).one()
    values = {**_of(window_s), "work": work, "last": last}
    connection.exec_driver_sql(_MOVING, values)
    fires, decided_since, idle = connection.exec_driver_sql(_IDLE, values).one()
    if not work:
        return None
    if fires:
        return 0.0 if decided_since else math.inf
    return float(idle)


def firing_keys(connection: Connection) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in connection.exec_driver_sql("SELECT name, subject FROM alerts WHERE firing")}


def write(connection: Connection, notices: Sequence[core.Notice], sinks: Sequence[str]) -> None:
    """The new states, and one notice for each sink."""
    for n in notices:
        row = (n.name, n.subject, n.firing, n.value, n.threshold, n.message)
        connection.exec_driver_sql(_CHANGE, row)
        for sink in sinks:
            connection.exec_driver_sql(
                "INSERT INTO alert_notices (name, subject, firing, value, threshold, message, sink)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (*row, sink),
            )


def claim(engine: Engine, sink: str, lease_s: float) -> Waiting | None:
    """The oldest notice that is due at a sink. Nobody else is given it for ``lease_s``."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql(_CLAIM, {"sink": sink, "lease_s": lease_s}).first()
        return None if row is None else Waiting(row[0], row[1], row[2], core.Notice(*row[3:]))


def sent(engine: Engine, notice_id: int) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE alert_notices SET sent_at = clock_timestamp(), error = NULL WHERE id = %s", (notice_id,)
        )


def failed(engine: Engine, notice_id: int, error: str, again_s: float | None) -> None:
    """``again_s``: when to try again; None: never."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE alert_notices SET error = %s, next_at = CASE WHEN %s::float8 IS NULL THEN 'infinity'::timestamptz"
            " ELSE clock_timestamp() + %s * interval '1 second' END WHERE id = %s AND sent_at IS NULL",
            (error, again_s, again_s, notice_id),
        )


def give_up(engine: Engine) -> list[tuple[int, str, str, str, str]]:
    """Notices a day old are not sent any more: (id, sink, name, subject, last error) of those that were not."""
    with engine.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(_GIVE_UP, (GIVEN_UP_AFTER_S,))]


def firing(engine: Engine) -> list[Firing]:
    """What fires now, the latest first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT name, subject, value, threshold, message, since FROM alerts WHERE firing ORDER BY since DESC, name"
        )
        return [Firing(*row) for row in rows]


def latest(engine: Engine, most: int) -> list[Sending]:
    """The latest notices, newest first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT created_at, name, subject, firing, message, sink, sent_at IS NOT NULL, next_at = 'infinity', tries,"
            " error FROM alert_notices ORDER BY id DESC LIMIT %s",
            (most,),
        ).all()
    return [
        Sending(
            at,
            core.Notice(name, subject, firing, None, None, "").title,
            message,
            sink,
            "sent" if sent else "given up" if never else "waiting",
            tries,
            error,
        )
        for at, name, subject, firing, message, sink, sent, never, tries, error in rows
    ]


_DRIFTS = """
SELECT j.id, j.choice ->> 'against', (j.choice ->> 'level')::float8, b.audited, b.lost
FROM jobs j, LATERAL (
    SELECT audited, lost FROM guarantee_blocks WHERE job_id = j.id ORDER BY block DESC LIMIT 1
) AS b
WHERE j.choice ->> 'stopped' = 'drift'
  AND (j.finished_at IS NULL OR j.finished_at > clock_timestamp() - interval '1 hour')
"""


def drifts(connection: Connection) -> tuple[core.Drift, ...]:
    """Of jobs that run, or ended within the hour."""
    return tuple(core.Drift(*row) for row in connection.exec_driver_sql(_DRIFTS))
