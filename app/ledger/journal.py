"""Asks and attempts: one function a transaction, every statement a whole chunk at a time.

All take the process's ``Engine`` and raise ``sqlalchemy.exc.OperationalError`` where Postgres is away: what to do
then is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from app.core import parts
from app.core.briefs import Said
from app.core.matrix import GROWS_LOAD
from app.core.plan import Plan
from app.core.routing import Terms
from app.core.task import Task
from app.core.trimming import Turns
from app.core.values import FailureKind, Price, Usage
from app.ledger import packs
from app.ledger.states import AttemptState


@dataclass(frozen=True, slots=True)
class TakenItem:
    """``written``: attempts already on the books for this seat (an ask may change hands); ``used``: those of them
    that were sent, or may have been; ``failed``: calls for it that failed at any seat of its chunk, ``lately``: in
    the last minute, by trouble that grows load; ``turns``: of a chat; ``said``: what others have said of it, where
    the seat is to hear that."""

    id: int
    text: str
    written: int
    used: int
    failed: int = 0
    lately: int = 0
    turns: Turns | None = None
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class TakenAsk:
    id: int
    chunk_id: int
    job_id: str
    job_state: str
    terms: Terms
    seat: int
    deployment: str
    tries: int
    rings: int
    takes: int
    plan: Plan
    max_cost_micro: int | None
    left_s: float
    """Seconds until the job's deadline."""
    items: tuple[TakenItem, ...]
    whole: tuple[int, ...] = ()
    met: tuple[tuple[int, ...], ...] = ()
    """Where items are packed: all of the chunk, and the packs that other seats were shown."""

    @property
    def task(self) -> Task:
        return self.terms.task


@dataclass(frozen=True, slots=True)
class Opening:
    """An attempt about to be made. ``item_ids``: where it carries several, of which ``item_id`` is the first."""

    item_id: int
    number: int
    reserved_tokens: int
    item_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Closing:
    """An attempt that has come to its end."""

    attempt_id: int
    state: AttemptState
    failure: FailureKind | None = None
    status: int | None = None
    latency_ms: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_micro: int | None = 0
    """None: at an unknown price."""
    text: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Casting:
    """What a seat says of one item at last. ``attempt_id`` is None where no call was made; ``needs``: tokens, where
    the question was too long for it."""

    item_id: int
    attempt_id: int | None
    answer: str | None
    failure: FailureKind | None
    tries: int
    flags: tuple[str, ...] = ()
    reason: str | None = None
    needs: int | None = None


_TROUBLE = sorted(kind.value for kind in GROWS_LOAD)

_TAKE = """
WITH taken AS (
    UPDATE asks SET state = 'running', worker = %s, takes = takes + 1,
        lease_until = clock_timestamp() + %s * interval '1 second'
    WHERE id = %s AND state = 'sent'
    RETURNING id, chunk_id, seat, deployment, tries, rings, takes, item_ids
)
SELECT taken.*, chunks.plan, chunks.job_id, jobs.state, jobs.max_cost_micro,
       extract(epoch FROM jobs.deadline_at - clock_timestamp())::float8,
       chunks.lane, jobs.tier, jobs.task, jobs.max_cost_micro IS NOT NULL, jobs.routing, jobs.pack
FROM taken JOIN chunks ON chunks.id = taken.chunk_id JOIN jobs ON jobs.id = chunks.job_id
"""

_TAKE_ITEMS = """
SELECT i.id, i.text, a.written, a.used, a.failed, a.lately, i.turns
FROM items i, LATERAL (
    SELECT count(*) FILTER (WHERE seat = %(seat)s) AS written,
           count(*) FILTER (WHERE seat = %(seat)s AND state <> 'unsent') AS used,
           count(*) FILTER (WHERE state IN ('failed', 'ambiguous')) AS failed,
           count(*) FILTER (WHERE failure_kind = ANY(%(trouble)s)
                            AND closed_at > clock_timestamp() - interval '1 minute') AS lately
    FROM {calls}
) AS a
WHERE i.id = ANY(%(items)s)
  AND NOT EXISTS (SELECT FROM votes v WHERE v.chunk_id = %(chunk)s AND v.item_id = i.id AND v.seat = %(seat)s)
ORDER BY i.n
"""
_TAKE_SINGLES = _TAKE_ITEMS.format(calls="attempts WHERE item_id = i.id AND chunk_id = %(chunk)s")
_TAKE_PACKED = _TAKE_ITEMS.format(
    calls=packs.SHARED_CALLS.format(item="i.id", job="%(job)s", chunk="%(chunk)s::bigint")
)

# Under the ask's row lock: a worker whose lease is ended at this moment either has its attempts down before the sweep
# counts them, or makes no call any more.
_OPEN = """
WITH held AS (SELECT FROM asks WHERE id = %s AND state = 'running' AND worker = %s FOR SHARE)
INSERT INTO attempts (job_id, chunk_id, item_id, seat, try, purpose, provider, deployment,
                      input_price_micro, output_price_micro, key_ref, reserved_tokens)
SELECT %s, %s, item_id, %s, number, %s, %s, %s, %s, %s, %s, reserved
FROM held, unnest(%s::bigint[], %s::smallint[], %s::integer[]) AS opening (item_id, number, reserved)
ON CONFLICT DO NOTHING
RETURNING id, item_id
"""

# One round trip closes attempts, casts votes and, with the last of them, ends the ask. A vote counts only if its
# attempt was still open: whoever lost the lease in between finds it ambiguous, and may add the bill but no voice.
_CLOSE = """
WITH closing AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(state)s::text[], %(failure)s::text[], %(status)s::smallint[],
                         %(latency)s::integer[], %(input)s::integer[], %(cached)s::integer[], %(output)s::integer[],
                         %(reasoning)s::integer[], %(cost)s::bigint[], %(text)s::text[], %(flags)s::text[])
        AS c (id, state, failure, status, latency, input, cached, output, reasoning, cost, text, flags)
), closed AS (
    UPDATE attempts a SET
        state = CASE a.state WHEN 'open' THEN c.state ELSE a.state END, late = a.state <> 'open',
        failure_kind = c.failure, status = c.status, latency_ms = c.latency, input_tokens = c.input,
        cached_tokens = c.cached, output_tokens = c.output, reasoning_tokens = c.reasoning, cost_micro = c.cost,
        text = c.text, flags = string_to_array(nullif(c.flags, ''), ','), closed_at = clock_timestamp()
    FROM closing c
    WHERE a.id = c.id AND (a.state = 'open' OR (a.state = 'ambiguous' AND NOT a.late))
    RETURNING a.id, a.late
), cast_votes AS (
    INSERT INTO votes (chunk_id, item_id, seat, attempt_id, answer, failure_kind, tries, flags, reason, needs)
    SELECT %(chunk)s, v.item_id, %(seat)s, v.attempt_id, v.answer, v.failure, v.tries,
           coalesce(string_to_array(nullif(v.flags, ''), ','), '{}'), v.reason, v.needs
    FROM unnest(%(v_item)s::bigint[], %(v_attempt)s::bigint[], %(v_answer)s::text[], %(v_failure)s::text[],
                %(v_tries)s::smallint[], %(v_flags)s::text[], %(v_reason)s::text[], %(v_needs)s::integer[])
        AS v (item_id, attempt_id, answer, failure, tries, flags, reason, needs)
    WHERE (v.attempt_id IS NULL
           AND EXISTS (SELECT FROM asks WHERE id = %(ask)s AND state = 'running' AND worker = %(worker)s))
       OR v.attempt_id IN (SELECT id FROM closed WHERE NOT late)
    ON CONFLICT DO NOTHING
), tidied AS (
    UPDATE attempts a SET state = 'unsent', closed_at = clock_timestamp()
    FROM asks k
    WHERE %(tidy)s AND k.id = %(ask)s AND k.state = 'running' AND k.worker = %(worker)s AND a.state = 'open'
      AND a.chunk_id = %(chunk)s AND a.seat = %(seat)s AND a.id <> ALL(%(id)s::bigint[])
      AND (a.item_id = ANY(k.item_ids) OR a.item_ids && k.item_ids)
)
UPDATE asks SET state = 'done', done_at = clock_timestamp()
WHERE %(last)s AND id = %(ask)s AND state = 'running' AND worker = %(worker)s
"""


def take_ask(engine: Engine, ask_id: int, worker: str, lease_s: float) -> TakenAsk | None:
    """Take an ask under a lease, or None: somebody else has it, or it is done. Doubled bells end here."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql(_TAKE, (worker, lease_s, ask_id)).first()
        if row is None:
            return None
        ask, chunk, seat, deployment, tries, rings, takes, item_ids, plan, job, state, *rest = row
        max_cost, left_s, *terms = rest
        the_plan = Plan.from_json(plan)
        found = connection.exec_driver_sql(
            _TAKE_PACKED if the_plan.packs else _TAKE_SINGLES,
            {"job": job, "chunk": chunk, "seat": seat, "items": item_ids, "trouble": _TROUBLE},
        ).all()
        around = packs.surroundings(connection, job, chunk, seat) if the_plan.seats[seat].pack > 1 else ((), ())
        said = _said(connection, chunk, item_ids, the_plan) if parts.hears(the_plan.seats[seat]) else {}
    items = tuple(
        TakenItem(i, text, written, used, failed, lately, _turns(turns), said.get(i, ()))
        for i, text, written, used, failed, lately, turns in found
    )
    return TakenAsk(
        ask,
        chunk,
        job,
        state,
        Terms.of(*terms),
        seat,
        deployment,
        tries,
        rings,
        takes,
        the_plan,
        max_cost,
        left_s,
        items,
        *around,
    )


def _turns(stored: list[list[str]] | None) -> Turns | None:
    return None if stored is None else tuple((role, content) for role, content in stored)


def _said(connection: Connection, chunk_id: int, item_ids: list[int], plan: Plan) -> dict[int, tuple[Said, ...]]:
    """What lies on the table of each item: every seat that was heard, whether it could be read or not."""
    rows = connection.exec_driver_sql(
        "SELECT item_id, seat, answer, coalesce(reason, ''), flags FROM votes"
        " WHERE chunk_id = %s AND item_id = ANY(%s) AND failure_kind IS NULL ORDER BY seat",
        (chunk_id, item_ids),
    ).all()
    said: dict[int, tuple[Said, ...]] = {}
    for item_id, seat, answer, reason, flags in rows:
        one = Said(seat, plan.seats[seat].role, answer, reason, tuple(flags))
        said[item_id] = (*said.get(item_id, ()), one)
    return said


def open_attempts(
    engine: Engine,
    ask: TakenAsk,
    worker: str,
    openings: Sequence[Opening],
    *,
    provider: str,
    price: Price | None,
    key_ref: str | None = None,
) -> dict[int, int]:
    """Write attempts down before the calls are made; returns item id → attempt id. ``key_ref``: the key's name.

    An item that is missing from the answer already has that attempt: somebody else made the call. All are missing
    where ``worker`` no longer holds the ask's lease.
    """
    purpose = parts.PURPOSES[ask.plan.seats[ask.seat].role]
    of_ask = (
        *(ask.id, worker, ask.job_id, ask.chunk_id, ask.seat, purpose, provider, ask.deployment),
        *(*written(price), key_ref),
    )
    single = [o for o in openings if not o.item_ids]
    packed = [(o.item_ids, o.number, o.reserved_tokens) for o in openings if o.item_ids]
    opened: dict[int, int] = {}
    with engine.begin() as connection:
        if single:
            columns = [[o.item_id for o in single], [o.number for o in single], [o.reserved_tokens for o in single]]
            rows = connection.exec_driver_sql(_OPEN, (*of_ask, *columns)).all()
            opened = {item_id: attempt_id for attempt_id, item_id in rows}
        if packed:
            opened |= packs.open_packs(connection, of_ask, packed)
    return opened


def written(price: Price | None) -> tuple[int | None, int | None]:
    """(input, output) as an attempt keeps them. What cached input cost is in its cost."""
    return (None, None) if price is None else (price.input_micro, price.output_micro)


def ping_parameters(closing: Closing) -> dict[str, Any]:
    return closing_parameters(0, 0, 0, "", [closing], [], last=False)


def closing_parameters(
    ask_id: int,
    chunk_id: int,
    seat: int,
    worker: str,
    closings: Sequence[Closing],
    castings: Sequence[Casting],
    last: bool,
    tidy: bool = False,
) -> dict[str, Any]:
    """Everything ``close`` writes, as plain JSON values: what is spilled where Postgres is away.

    ``tidy``: nothing of this ask is in flight, so whatever else of it stands open was written and never sent.
    """
    return {
        "ask": ask_id,
        "chunk": chunk_id,
        "seat": seat,
        "worker": worker,
        "last": last,
        "tidy": tidy,
        "id": [c.attempt_id for c in closings],
        "state": [c.state.value for c in closings],
        "failure": [c.failure.value if c.failure else None for c in closings],
        "status": [c.status for c in closings],
        "latency": [c.latency_ms for c in closings],
        "input": [c.usage.input_tokens for c in closings],
        "cached": [c.usage.cached_tokens for c in closings],
        "output": [c.usage.output_tokens for c in closings],
        "reasoning": [c.usage.reasoning_tokens for c in closings],
        "cost": [c.cost_micro for c in closings],
        "text": [_storable(c.text) for c in closings],
        "flags": [",".join(c.flags) for c in closings],
        "v_item": [v.item_id for v in castings],
        "v_attempt": [v.attempt_id for v in castings],
        "v_answer": [_storable(v.answer) for v in castings],
        "v_failure": [v.failure.value if v.failure else None for v in castings],
        "v_tries": [v.tries for v in castings],
        "v_flags": [",".join(v.flags) for v in castings],
        "v_reason": [v.reason for v in castings],
        "v_needs": [v.needs for v in castings],
    }


def close(engine: Engine, parameters: dict[str, Any]) -> None:
    """Close attempts and cast votes, together or not at all. Running it twice changes nothing."""
    # What an earlier release spilled knows nothing of needs.
    parameters = {"v_needs": [None] * len(parameters["v_item"]), **parameters}
    with engine.begin() as connection:
        connection.exec_driver_sql(_CLOSE, parameters)


def release_ask(engine: Engine, ask_id: int, worker: str, lease_s: float) -> None:
    """Hand an ask back unfinished: a worker that drains keeps nothing."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE asks SET state = 'sent', worker = NULL, rings = rings + 1, "
            "lease_until = clock_timestamp() + %s * interval '1 second' "
            "WHERE id = %s AND state = 'running' AND worker = %s",
            (lease_s, ask_id, worker),
        )


def mark_slow(engine: Engine, ask_id: int) -> None:
    """Its calls take longer than they mostly do: the next look at its chunk sees that."""
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE asks SET slow = true WHERE id = %s AND state = 'running'", (ask_id,))


def decided_of(engine: Engine, item_ids: Sequence[int]) -> frozenset[int]:
    """Those of the items that have their decision."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id FROM items WHERE id = ANY(%s) AND state = 'decided'", (list(item_ids),)
        )
        return frozenset(rows.scalars())


def renew_leases(engine: Engine, worker: str, ask_ids: Sequence[int], lease_s: float) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE asks SET lease_until = clock_timestamp() + %s * interval '1 second' "
            "WHERE id = ANY(%s) AND state = 'running' AND worker = %s",
            (lease_s, list(ask_ids), worker),
        )


def _storable(text: str | None) -> str | None:
    """Postgres text holds neither NUL nor lone surrogates; a model may say either."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
