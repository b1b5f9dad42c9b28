"""What the ledger knows of each deployment's health: its state, every change of it, and what live traffic showed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import Engine

from app.core.health import FIRST_TOKEN_WORTH, Evidence, Known, Spell, State, Traffic, judge, points_to
from app.core.matrix import SPOILT
from app.core.values import Deployment
from app.ledger.journal import written

# A call is answered or given up within this time of its start: a bound for the scan by start.
_LONGEST_CALL_S = 600
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Health:
    """``latency_ms``: of the last ping or the mean of live traffic. ``since``: of the state."""

    state: State
    reason: str | None
    latency_ms: int | None
    since: dt.datetime
    checked_at: dt.datetime
    leaning: State | None = None
    streak: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at a deployment has found. ``reason``: in words, where it is not healthy.

    ``last_look``: for evidence that was gathered since then. Where another process has looked in the meantime, it
    has judged the same calls, and this finding is not counted again.
    """

    deployment: str
    evidence: Evidence
    reason: str | None = None
    latency_ms: int | None = None
    last_look: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What a finding made of a deployment's state."""

    deployment: str
    before: State | None
    known: Known
    reason: str | None
    latency_ms: int | None = None

    @property
    def changed(self) -> bool:
        return self.before != self.known.state


_KNOWN = """
SELECT deployment, state, leaning, streak, reason, checked_at FROM health WHERE deployment = ANY(%s)
ORDER BY deployment FOR UPDATE
"""

_WRITE = """
WITH noted AS (
    INSERT INTO health (deployment, state, leaning, streak, reason, latency_ms)
    VALUES (%(deployment)s, %(state)s, %(leaning)s, %(streak)s, %(reason)s, %(latency)s)
    ON CONFLICT (deployment) DO UPDATE SET
        state = excluded.state, leaning = excluded.leaning, streak = excluded.streak, reason = excluded.reason,
        checked_at = clock_timestamp(), latency_ms = coalesce(excluded.latency_ms, health.latency_ms),
        since = CASE WHEN health.state = excluded.state THEN health.since ELSE clock_timestamp() END
)
INSERT INTO health_history (deployment, state, reason)
SELECT %(deployment)s, %(state)s, %(reason)s WHERE %(changed)s
"""


def note(engine: Engine, findings: Sequence[Finding]) -> list[Noted]:
    """Judge each finding against what is known and write it down: the one way in which a state changes.

    A finding without evidence notes that somebody looked. One of a deployment never seen that says nothing is not
    written, and not among those returned.
    """
    noted = []
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(_KNOWN, ([f.deployment for f in findings],)).all()
        known = {row[0]: row[1:] for row in rows}
        for finding in findings:
            state, leaning, streak, reason, looked_at = known.get(finding.deployment, (None, None, 0, None, None))
            before = Known(state and State(state), leaning and State(leaning), streak)
            stale = finding.last_look is not None and looked_at is not None and looked_at != finding.last_look
            evidence = None if stale else finding.evidence
            after = judge(before, evidence)
            if after.state is None:
                continue
            if after.state != before.state or points_to(before.state, evidence) == after.state:
                reason = finding.reason
            one = Noted(finding.deployment, before.state, after, reason, finding.latency_ms)
            noted.append(one)
            values = {
                "deployment": one.deployment,
                "state": after.state.value,
                "leaning": after.leaning,
                "streak": after.streak,
                "reason": reason,
                "latency": finding.latency_ms,
                "changed": one.changed,
            }
            connection.exec_driver_sql(_WRITE, values)
    return noted


def current(engine: Engine) -> dict[str, Health]:
    """Deployment → its health, of all that were ever looked at."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT deployment, state, reason, latency_ms, since, checked_at, leaning, streak FROM health"
        )
        return {
            name: Health(State(state), reason, latency, since, checked, leaning and State(leaning), streak)
            for name, state, reason, latency, since, checked, leaning, streak in rows
        }


_HISTORY = """
SELECT deployment, at, state, reason FROM (
    SELECT deployment, at, state, reason FROM health_history WHERE at > clock_timestamp() - %(s)s * interval '1 second'
    UNION ALL
    (SELECT DISTINCT ON (deployment) deployment, at, state, reason FROM health_history
     WHERE at <= clock_timestamp() - %(s)s * interval '1 second' ORDER BY deployment, at DESC)
) AS changes ORDER BY deployment, at
"""


def history(engine: Engine, within_s: float = _DAY_S) -> tuple[dt.datetime, dict[str, list[Spell]]]:
    """Postgres' now, and deployment → its states within so many seconds, oldest first.

    The first spell may have begun earlier, the last one ends now.
    """
    with engine.begin() as connection:
        now: dt.datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        rows = connection.exec_driver_sql(_HISTORY, {"s": within_s}).all()
    changes: dict[str, list[tuple[dt.datetime, State, str | None]]] = {}
    for name, at, state, reason in rows:
        changes.setdefault(name, []).append((at, State(state), reason))
    spells = {}
    for name, of_it in changes.items():
        ends = [later[0] for _, later in pairwise(of_it)] + [max(now, of_it[-1][0])]
        spells[name] = [Spell(at, end, state, why) for (at, state, why), end in zip(of_it, ends, strict=True)]
    return now, spells


# What a server spoils; a refusal of ours or of our request says nothing of health. A timeout of a cold start does not
# either: it is a model being loaded.
_SPOILT = f"""
(failure_kind IN ({", ".join(f"'{kind}'" for kind in sorted(SPOILT))})
 AND NOT (failure_kind = 'timeout' AND coalesce('cold_start' = ANY(flags), false)))
"""
_WARM = "NOT coalesce('cold_start' = ANY(flags), false)"

_TRAFFIC = f"""
SELECT deployment, count(*) FILTER (WHERE counts AND (answered OR spoilt)),
       count(*) FILTER (WHERE counts AND spoilt),
       bool_or(answered), bool_or(live AND answered),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) FILTER (WHERE counts AND answered AND warm),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY ms / length) FILTER (WHERE counts AND answered AND warm),
       avg(ms) FILTER (WHERE answered AND warm)
FROM (
    SELECT a.deployment, a.latency_ms AS ms, a.state = 'answered' AS answered, {_SPOILT} AS spoilt, {_WARM} AS warm,
           ({FIRST_TOKEN_WORTH} + output_tokens + reasoning_tokens)::float8 AS length,
           purpose <> 'ping' AS live,
           purpose <> 'ping' AND (NOT %(unseen)s OR h.checked_at IS NULL OR closed_at > h.checked_at) AS counts
    FROM attempts a LEFT JOIN health h ON h.deployment = a.deployment
    WHERE a.state IN ('answered', 'failed') AND closed_at > clock_timestamp() - %(within)s * interval '1 second'
      AND started_at > clock_timestamp() - (%(within)s + {_LONGEST_CALL_S}) * interval '1 second'
) AS calls GROUP BY deployment
"""  # noqa: S608 - made of constants of ours

_USUAL = f"""
SELECT deployment, percentile_cont(0.95) WITHIN GROUP (
    ORDER BY latency_ms / ({FIRST_TOKEN_WORTH} + output_tokens + reasoning_tokens)::float8)
FROM attempts
WHERE state = 'answered' AND purpose <> 'ping' AND {_WARM}
  AND started_at BETWEEN clock_timestamp() - {_DAY_S} * interval '1 second'
                     AND clock_timestamp() - %s * interval '1 second'
GROUP BY deployment HAVING count(*) >= 100
"""  # noqa: S608 - made of constants of ours


@dataclass(frozen=True, slots=True)
class Lately:
    """What came of a deployment's calls of late. ``answered``: at least one was, pings included."""

    traffic: Traffic
    answered: bool
    live: bool
    """Of those at least one was no ping, whether or not it has been judged already."""
    latency_ms: int | None
    """The mean, pings included."""


def lately(
    engine: Engine, deployments: Mapping[str, Deployment], within_s: float, *, unseen: bool = False
) -> dict[str, Lately]:
    """What live traffic showed within so many seconds. ``unseen``: since each one's last look only."""
    with engine.begin() as connection:
        usual: dict[str, float] = {row[0]: row[1] for row in connection.exec_driver_sql(_USUAL, (within_s,))}
        rows = connection.exec_driver_sql(_TRAFFIC, {"within": within_s, "unseen": unseen}).all()
    found = {}
    for name, calls, failed, answered, live, p95, length_p95, mean in rows:
        if name not in deployments:
            continue
        times = length_p95 / usual[name] if length_p95 and usual.get(name) else None
        of_timeout = None if p95 is None else p95 / 1000 / deployments[name].timeout_s
        traffic = Traffic(calls, failed, p95, times, of_timeout)
        found[name] = Lately(traffic, bool(answered), bool(live), None if mean is None else int(mean))
    return found


def pings_today(engine: Engine) -> dict[str, int]:
    """Deployment → pings since midnight UTC."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT deployment, count(*) FROM attempts WHERE purpose = 'ping' "
            "AND started_at >= date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' "
            "GROUP BY deployment"
        )
        return {row[0]: row[1] for row in rows}


_GIVE_UP = """
UPDATE attempts SET state = 'ambiguous', failure_kind = 'ambiguous', closed_at = clock_timestamp()
WHERE state = 'open' AND purpose = 'ping' AND provider = %s AND deployment = %s
  AND started_at < clock_timestamp() - %s * interval '1 second'
"""

# The lock orders those who look for an open ping and find none; it ends with the transaction, the open row stays.
_OPEN_PING = """
INSERT INTO attempts (purpose, provider, deployment, input_price_micro, output_price_micro, reserved_tokens, key_ref)
SELECT 'ping', %(provider)s, %(deployment)s, %(input)s, %(output)s, %(tokens)s, %(key_ref)s
WHERE NOT EXISTS (SELECT FROM attempts WHERE state = 'open' AND purpose = 'ping' AND provider = %(provider)s
                  AND deployment = %(deployment)s)
RETURNING id
"""


def open_ping(
    engine: Engine, deployment: Deployment, reserved_tokens: int, *, lost_after_s: float, key_ref: str | None = None
) -> int | None:
    """Write a ping down, an attempt of no job like any other. None: one of this deployment is under way.

    One that is open for longer than ``lost_after_s`` belongs to a process that is gone: it is given up first.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"ping {deployment.name}",)
        )
        connection.exec_driver_sql(_GIVE_UP, (deployment.provider, deployment.name, lost_after_s))
        input_micro, output_micro = written(deployment.price)
        values = {
            "provider": deployment.provider,
            "deployment": deployment.name,
            "input": input_micro,
            "output": output_micro,
            "tokens": reserved_tokens,
            "key_ref": key_ref,
        }
        found: int | None = connection.exec_driver_sql(_OPEN_PING, values).scalar()
        return found


def last_failures(engine: Engine, deployment: str, most: int = 8) -> list[dict[str, Any]]:
    """The last failed calls of a day, newest first. ``text`` is the provider's: not fit for a terminal as it is."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT closed_at, purpose, failure_kind, status, latency_ms, text FROM attempts"
            " WHERE deployment = %s AND state = 'failed' AND started_at > clock_timestamp() - interval '1 day'"
            " ORDER BY started_at DESC LIMIT %s",
            (deployment, most),
        ).mappings()
        return [dict(row) for row in rows]
