"""What the sweep finds and mends: leases that ran out, bells that were lost, chunks that want another look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from app.ledger import doubles
from app.ledger.settling import RungAsk


@dataclass(frozen=True, slots=True)
class Swept:
    """``rung``: asks whose bell must be rung again; ``chunks``: those to settle; ``jobs``: those that may be done."""

    rung: tuple[RungAsk, ...] = ()
    chunks: tuple[int, ...] = ()
    jobs: tuple[str, ...] = ()
    ambiguous: int = 0


# Locked in a statement of its own: what a worker wrote down up to this moment is seen by the statement after it, and
# from here on it writes nothing more (see ``journal.open_attempts``).
_LAPSED = """
SELECT id FROM asks WHERE state = 'running' AND lease_until < clock_timestamp() ORDER BY id FOR UPDATE SKIP LOCKED
"""

# The calls of a worker that is gone: nobody knows what became of them. Each is a failed seat for its item, so the
# next on the bench is asked; what the worker never came to is asked again at the same seat.
_EXPIRE = """
WITH lapsed AS (
    SELECT id, chunk_id, seat, item_ids FROM asks WHERE id = ANY(%s)
), lost AS (
    UPDATE attempts a SET state = 'ambiguous', failure_kind = 'ambiguous', closed_at = clock_timestamp()
    FROM lapsed l
    WHERE (a.item_id = ANY(l.item_ids) OR a.item_ids && l.item_ids)
      AND a.chunk_id = l.chunk_id AND a.seat = l.seat AND a.state = 'open'
    RETURNING a.id, coalesce(a.item_ids, ARRAY[a.item_id]) AS items, a.chunk_id, a.seat, a.try
), cast_votes AS (
    INSERT INTO votes (chunk_id, item_id, seat, attempt_id, failure_kind, tries, reason)
    SELECT chunk_id, unnest(items), seat, id, 'ambiguous', try, 'the worker was lost during the call' FROM lost
    ON CONFLICT DO NOTHING
), freed AS (
    UPDATE asks SET state = 'sent', worker = NULL, lease_until = clock_timestamp() - interval '1 second'
    FROM lapsed WHERE asks.id = lapsed.id
)
SELECT count(*) FROM lost
"""

_RING_AGAIN = """
UPDATE asks SET rings = rings + 1, lease_until = clock_timestamp() + %s * interval '1 second'
WHERE state = 'sent' AND (lease_until < clock_timestamp() OR %s)
RETURNING id, chunk_id, provider
"""

# Chunks with nothing on its way: a chord body was lost, or the park is over, or the deadline has passed.
_RESTLESS = """
SELECT c.id FROM chunks c JOIN jobs j ON j.id = c.job_id
WHERE c.state <> 'done'
  AND ((c.state = 'parked' AND (c.wake_at <= clock_timestamp() OR j.deadline_at <= clock_timestamp()
                                OR j.state = 'cancelled'))
       OR (c.state = 'open' AND c.created_at < clock_timestamp() - interval '5 seconds'
           AND NOT EXISTS (SELECT FROM asks a WHERE a.chunk_id = c.id AND a.state <> 'done')))
LIMIT 1000
"""

_OVERDUE = "j.state IN ('running', 'paused') AND j.deadline_at <= clock_timestamp()"

_STALE_PINGS = """
UPDATE attempts SET state = 'ambiguous', failure_kind = 'ambiguous', closed_at = clock_timestamp()
WHERE state = 'open' AND purpose = 'ping' AND started_at < clock_timestamp() - %s * interval '1 second'
"""


def sweep(engine: Engine, ring_patience_s: float, *, ping_patience_s: float, every_bell: bool = False) -> Swept:
    """Find everything that stands still and say which bells to ring.

    ``ping_patience_s``: a ping that is open for longer has nobody who would close it.
    ``every_bell``: the queues are known to be lost, so that no bell is waited for.
    """
    with engine.begin() as connection:
        lapsed = list(connection.exec_driver_sql(_LAPSED).scalars())
        ambiguous = connection.exec_driver_sql(_EXPIRE, (lapsed,)).scalar_one() if lapsed else 0
        doubles.give_up(connection, "overdue", _OVERDUE)
        connection.exec_driver_sql(_STALE_PINGS, (ping_patience_s,))
    with engine.begin() as connection:
        rung = tuple(RungAsk(*row) for row in connection.exec_driver_sql(_RING_AGAIN, (ring_patience_s, every_bell)))
        chunks = tuple(connection.exec_driver_sql(_RESTLESS).scalars())
        jobs = tuple(connection.exec_driver_sql("SELECT id FROM jobs WHERE state IN ('running', 'paused')").scalars())
    return Swept(rung, chunks, jobs, ambiguous)


def stranded(engine: Engine, providers: Sequence[str]) -> list[RungAsk]:
    """Asks that wait for a provider other than these: nobody takes messages from its queue any more."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, chunk_id, provider FROM asks WHERE state = 'sent' AND provider <> ALL(%s)", (list(providers),)
        )
        return [RungAsk(*row) for row in rows]


def wake_parked(engine: Engine) -> int:
    """Somebody may be free again: let every parked chunk look at the next sweep. Returns how many there are."""
    with engine.begin() as connection:
        return connection.exec_driver_sql(
            "UPDATE chunks SET wake_at = clock_timestamp() WHERE state = 'parked' AND wake_at > clock_timestamp()"
        ).rowcount


def rescue(engine: Engine, worker: str, *, rang_bells: bool = False) -> int:
    """A worker of this name is known to be dead: let its leases run out now. Returns how many it held.

    ``rang_bells``: it was the one that rings. Whatever it had written down and not rung yet is rung by the next
    sweep, and so is what waits in the queues: a bell too many does no harm.
    """
    with engine.begin() as connection:
        if rang_bells:
            connection.exec_driver_sql("UPDATE asks SET lease_until = clock_timestamp() WHERE state = 'sent'")
        return connection.exec_driver_sql(
            "UPDATE asks SET lease_until = clock_timestamp() WHERE state = 'running' AND worker = %s", (worker,)
        ).rowcount
