"""What the ledger tells: read-only. Streams come from server-side cursors, so memory stays flat at any size.

Money is micro-dollars inside and USD (float) in every ``to_json``. A sum is of what is known: beside it stands how many
calls or items have an unknown cost, and a sum of nothing but those is None. Nothing here sees a key: the ledger holds
none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from app.core.errors import NotFound

_BATCH = 2_000
_UNKNOWN_TOKENS = 200.0


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job in the list. ``done``: items with a decision, whatever it says."""

    id: str
    state: str
    team: str
    use_case: str
    tier: str
    recipe: str
    items: int
    done: int
    created_at: dt.datetime
    finished_at: dt.datetime | None

    def to_json(self) -> dict[str, Any]:
        return {key: _plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. ``calls`` and ``cost_micro`` are those of its decided items: cheap to ask every second.

    ``unpriced``: items whose cost is unknown, and not in the sum.
    """

    state: str
    items: int
    decided: int
    undecided: int
    failed: int
    calls: int
    cost_micro: int
    unpriced: int
    deadline_at: dt.datetime
    elapsed_s: float
    """Since it was created, until it was finished, by Postgres' clock."""

    @property
    def pending(self) -> int:
        return self.items - self.decided - self.undecided - self.failed

    @property
    def finished(self) -> bool:
        """Nothing more will be decided: what was on its tracks when the job was cancelled is in as well."""
        return self.state in ("done", "cancelled") and self.pending <= 0


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Everything about one job. ``attempts`` by outcome; calls are those that were, or may have been, made.

    ``cost_micro`` is of the calls whose cost is known, ``unpriced`` counts the others.
    """

    job: JobLine
    progress: Progress
    attempts: dict[str, int]
    input_tokens: int
    output_tokens: int
    cost_micro: int
    unpriced: int
    votes: int
    abstentions: int
    with_gold: int
    correct: int
    calls_per_s: float
    """Over the last minute."""
    started_at: dt.datetime | None
    mean_calls: float | None
    """Calls an item, over the items that are decided, undecided or failed."""
    reasons: dict[str, int]
    """Why items were not decided."""
    pack: int
    """Items that go into one call, at most; 0: that is being found out."""
    pack_trial: dict[str, Any] | None
    """What a sample showed, where the job was to find out how many."""
    duplicates: int
    similar: int
    """Items that took the decision of one before them that asks the same, or nearly."""
    reused: int
    reused_micro: int
    """Votes taken that were bought for another job, and what they had cost it."""

    @property
    def calls(self) -> int:
        return sum(count for outcome, count in self.attempts.items() if outcome != "unsent")

    @property
    def accuracy(self) -> float | None:
        """Share of correct answers among the decided items of which it is known: by outcome or true label."""
        return self.correct / self.with_gold if self.with_gold else None

    def to_json(self) -> dict[str, Any]:
        at = self.progress
        return {
            **self.job.to_json(),
            "decided": at.decided,
            "undecided": at.undecided,
            "failed": at.failed,
            "pending": at.pending,
            "votes": self.votes,
            "abstentions": self.abstentions,
            "calls": self.calls,
            "attempts": self.attempts,
            "ambiguous": self.attempts.get("ambiguous", 0),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": known_usd(self.cost_micro, self.unpriced),
            "unpriced_calls": self.unpriced,
            "with_gold": self.with_gold,
            "accuracy": None if self.accuracy is None else round(self.accuracy, 4),
            "calls_per_s": round(self.calls_per_s, 2),
            "mean_calls": None if self.mean_calls is None else round(self.mean_calls, 4),
            "started_at": _plain(self.started_at),
            "deadline_at": _plain(at.deadline_at),
            "elapsed_s": round(at.elapsed_s, 1),
            "reasons": self.reasons,
            "pack": self.pack,
            "pack_trial": self.pack_trial,
            "duplicates": self.duplicates,
            "similar": self.similar,
            "reused_votes": self.reused,
            "reused_usd": self.reused_micro / 1e6,
        }


_JOB_COLUMNS = """
SELECT j.id, j.state, j.team, j.use_case, j.tier, j.recipe, j.items,
       (SELECT count(*) FROM decisions d WHERE d.job_id = j.id), j.created_at, j.finished_at
FROM jobs j
"""

_PROGRESS = """
SELECT j.state, j.items, count(*) FILTER (WHERE d.status = 'decided'), count(*) FILTER (WHERE d.status = 'undecided'),
       count(*) FILTER (WHERE d.status = 'failed'),
       coalesce(sum(d.calls - d.packed), 0)::bigint + CASE WHEN j.pack = 1 AND j.pack_trial IS NULL THEN 0 ELSE (
           SELECT count(*) FROM attempts a WHERE a.job_id = j.id AND a.item_ids IS NOT NULL AND a.state <> 'unsent'
       ) END,
       coalesce(sum(d.cost_micro), 0)::bigint,
       count(*) FILTER (WHERE d.item_id IS NOT NULL AND d.cost_micro IS NULL), j.deadline_at,
       extract(epoch FROM coalesce(j.finished_at, clock_timestamp()) - j.created_at)::float8
FROM jobs j LEFT JOIN decisions d ON d.job_id = j.id WHERE j.id = %s GROUP BY j.id
"""

# The span in time lets the block range index pass over the attempts of other days.
_ATTEMPTS = """
SELECT a.state, count(*), sum(a.input_tokens + a.cached_tokens), sum(a.output_tokens + a.reasoning_tokens),
       coalesce(sum(a.cost_micro), 0), count(*) FILTER (WHERE a.cost_micro IS NULL), min(a.started_at),
       count(*) FILTER (WHERE a.started_at > clock_timestamp() - interval '1 minute' AND a.state <> 'unsent')
FROM attempts a JOIN jobs j ON j.id = a.job_id
WHERE a.job_id = %s AND a.started_at >= j.created_at GROUP BY a.state
"""

_VERDICTS = """
SELECT coalesce(sum(d.votes) FILTER (WHERE i.same_as IS NULL), 0),
       coalesce(sum(d.abstentions) FILTER (WHERE i.same_as IS NULL), 0),
       count(*) FILTER (WHERE d.status = 'decided' AND (t.truth IS NOT NULL OR t.barred = d.answer)),
       count(*) FILTER (WHERE d.answer = t.truth),
       avg(d.calls - d.packed)::float8 + (
           SELECT count(*) FROM attempts a WHERE a.job_id = %(job)s AND a.item_ids IS NOT NULL AND a.state <> 'unsent'
       )::float8 / nullif(count(*), 0),
       count(i.same_as) FILTER (WHERE i.similarity IS NULL), count(i.similarity)
FROM decisions d JOIN items i ON i.id = d.item_id LEFT JOIN v_truths t ON t.item_id = i.id
WHERE d.job_id = %(job)s
"""

# A vote that was reused points to the attempt that bought it, which is another job's.
_REUSED = """
SELECT count(*), coalesce(sum(a.cost_micro / coalesce(cardinality(a.item_ids), 1)), 0)::bigint
FROM decisions d
JOIN votes v ON v.chunk_id = d.chunk_id AND v.item_id = d.item_id
JOIN attempts a ON a.id = v.attempt_id
WHERE d.job_id = %s AND 'reused' = ANY (d.flags) AND 'reused' = ANY (v.flags)
"""

_REASONS = """
SELECT coalesce(reason, '-'), count(*) FROM decisions WHERE job_id = %s AND status <> 'decided'
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
"""


def jobs(engine: Engine, most: int = 20) -> list[JobLine]:
    """The latest jobs, newest first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(_JOB_COLUMNS + "ORDER BY j.created_at DESC LIMIT %s", (most,))
        return [JobLine(*row) for row in rows]


def progress(engine: Engine, job_id: str) -> Progress:
    """Raises ``NotFound``."""
    with engine.begin() as connection:
        return _progress(connection, job_id)


def status(engine: Engine, job_id: str) -> JobStatus:
    """Raises ``NotFound``. Reads all attempts of the job: not for asking every second."""
    with engine.begin() as connection:
        at = _progress(connection, job_id)
        job = JobLine(*connection.exec_driver_sql(_JOB_COLUMNS + "WHERE j.id = %s", (job_id,)).one())
        attempts = connection.exec_driver_sql(_ATTEMPTS, (job_id,)).all()
        said = connection.exec_driver_sql(_VERDICTS, {"job": job_id}).one()
        votes, abstentions, with_gold, correct, mean_calls, duplicates, similar = said
        reused, reused_micro = connection.exec_driver_sql(_REUSED, (job_id,)).one()
        reasons = connection.exec_driver_sql(_REASONS, (job_id,)).all()
        pack, trial = connection.exec_driver_sql("SELECT pack, pack_trial FROM jobs WHERE id = %s", (job_id,)).one()
    return JobStatus(
        job=job,
        progress=at,
        attempts={row[0]: row[1] for row in attempts},
        input_tokens=sum(int(row[2]) for row in attempts),
        output_tokens=sum(int(row[3]) for row in attempts),
        cost_micro=sum(int(row[4]) for row in attempts),
        unpriced=sum(row[5] for row in attempts),
        votes=int(votes),
        abstentions=int(abstentions),
        with_gold=with_gold,
        correct=correct,
        calls_per_s=sum(row[7] for row in attempts) / 60,
        started_at=min((row[6] for row in attempts), default=None),
        mean_calls=mean_calls,
        reasons={row[0]: row[1] for row in reasons},
        pack=pack,
        pack_trial=trial,
        duplicates=duplicates,
        similar=similar,
        reused=reused,
        reused_micro=reused_micro,
    )


def tokens_per_call(engine: Engine, job_id: str) -> float:
    """The mean of the job's latest answers; 200 where there is none yet."""
    with engine.begin() as connection:
        mean = connection.exec_driver_sql(
            "SELECT avg(input_tokens + cached_tokens + output_tokens + reasoning_tokens)::float8 FROM (SELECT * FROM"
            " attempts WHERE job_id = %s AND state = 'answered' ORDER BY id DESC LIMIT 500) AS latest",
            (job_id,),
        ).scalar()
    return max(1.0, mean or _UNKNOWN_TOKENS)


def _progress(connection: Connection, job_id: str) -> Progress:
    row = connection.exec_driver_sql(_PROGRESS, (job_id,)).first()
    if row is None:
        raise no_job(job_id)
    return Progress(*row)


def no_job(job_id: str) -> NotFound:
    return NotFound(f"there is no job {job_id[:100]!r}", hint="switchyard status lists the jobs")


_RESULT_COLUMNS = """
SELECT i.n, i.custom_id, coalesce(d.status, 'pending') AS status, d.answer, d.agreement, d.confidence,
       split_part(coalesce(CASE WHEN j.choice IS NOT NULL THEN
           (SELECT c.plan ->> 'recipe' FROM chunks c WHERE c.id = i.chunk_id) END, j.recipe), '@', 1) AS strategy,
       coalesce(d.flags, '{}') || CASE WHEN i.lane LIKE 'private%%' THEN '{private}' ELSE '{}' END::text[]
                               || CASE WHEN d.item_id IS NOT NULL AND d.cost_micro IS NULL THEN '{unpriced}'
                                       ELSE '{}' END::text[] AS flags,
       coalesce(d.votes, 0) AS votes, coalesce(d.abstentions, 0) AS abstentions, coalesce(d.calls, 0) AS calls,
       CASE WHEN d.item_id IS NULL THEN 0 ELSE d.cost_micro END / 1e6::float8 AS cost_usd, d.latency_ms, d.reason
FROM items i JOIN jobs j ON j.id = i.job_id
"""


def results(engine: Engine, job_id: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every item as (n, results line), in the order of submission; those not decided yet are ``pending``.

    Raises ``NotFound``.
    """
    sql = _RESULT_COLUMNS + "LEFT JOIN decisions d ON d.item_id = i.id WHERE i.job_id = %s ORDER BY i.n"
    yield from _results(engine, job_id, sql, (job_id,))


def decided_since(engine: Engine, job_id: str, moment: dt.datetime) -> Iterator[tuple[int, dict[str, Any]]]:
    """As ``results``, for the decisions written down since a moment by Postgres' clock. A decision becomes visible
    when its transaction ends, a little after its moment: ask with some overlap."""
    sql = (
        _RESULT_COLUMNS + "JOIN decisions d ON d.item_id = i.id WHERE d.job_id = %s AND d.decided_at >= %s ORDER BY i.n"
    )
    yield from _results(engine, job_id, sql, (job_id, moment))


def now(engine: Engine) -> dt.datetime:
    with engine.begin() as connection:
        moment: dt.datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        return moment


def _results(engine: Engine, job_id: str, sql: str, values: tuple[object, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    with engine.begin() as connection:
        if connection.exec_driver_sql("SELECT FROM jobs WHERE id = %s", (job_id,)).first() is None:
            raise no_job(job_id)
        streaming = connection.execution_options(stream_results=True, yield_per=_BATCH)
        for row in streaming.exec_driver_sql(sql, values):
            line = dict(row._mapping)
            yield line.pop("n"), line


# What `spend --by` takes, and the column of v_spend behind it.
SPEND_BY = {
    "model": "model",
    "provider": "provider",
    "team": "team",
    "use-case": "use_case",
    "tier": "tier",
    "strategy": "strategy",
    "day": "day",
}


def spend(engine: Engine, by: str) -> list[dict[str, Any]]:
    """The receipts added up by one of ``SPEND_BY``: dearest first, days in their order. Pings are in it.

    Calls that a drill struck are not: no provider has them in its books.
    """
    column = SPEND_BY[by]
    order = "1" if by == "day" else "sum(cost_micro) DESC NULLS LAST, 2 DESC, 1"
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            f"SELECT {column}, count(*) FILTER (WHERE outcome <> 'unsent'),"  # noqa: S608 - a column of our own table
            " count(*) FILTER (WHERE outcome = 'failed'), count(*) FILTER (WHERE outcome = 'ambiguous'),"
            " count(*) FILTER (WHERE cost_micro IS NULL),"
            " sum(input_tokens)::bigint, sum(output_tokens)::bigint, coalesce(sum(cost_micro), 0)::bigint"
            " FROM v_spend WHERE attempt_id NOT IN (SELECT id FROM attempts WHERE flags @> ARRAY['drill'])"
            f" GROUP BY 1 ORDER BY {order}"
        ).all()
    return [
        {
            by.replace("-", "_"): _plain(key),
            "calls": calls,
            "failed": failed,
            "ambiguous": ambiguous,
            "unpriced_calls": unpriced,
            "input_tokens": inputs,
            "output_tokens": outputs,
            "cost_usd": known_usd(cost, unpriced),
        }
        for key, calls, failed, ambiguous, unpriced, inputs, outputs, cost in rows
    ]


def known_usd(micro: int, unpriced: int) -> float | None:
    """A sum of known costs in USD. None where it would be a zero only because what there is to add is unknown."""
    return None if unpriced and not micro else micro / 1e6


def _plain(value: Any) -> Any:
    """Times as ISO 8601 strings, all else as it is."""
    return value.isoformat() if isinstance(value, dt.date) else value
