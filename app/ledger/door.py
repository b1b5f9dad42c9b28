"""How a job gets into the ledger, and what a person may do to it afterwards."""

from __future__ import annotations

import array
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine

from app.core.choices import GUARANTEE
from app.core.errors import Conflict, InputError, NotFound
from app.core.routing import Routing
from app.core.sameness import digest, question_hash
from app.core.task import Task
from app.core.trimming import Turns
from app.ledger import doubles, guarantees
from app.ledger.states import JobState

_COLUMNS = "job_id, n, custom_id, text, gold, turns, lane, traits, digest"
_COPY = f"COPY items ({_COLUMNS}) FROM STDIN"
_FLUSH_AT_CHARS = 1 << 16
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True, slots=True)
class Row:
    """One item as it came in. ``line``: where in the input, for messages.

    ``turns``: of a chat, (role, content), oldest first; ``text`` then holds them in one piece. ``lane``, ``traits``
    (JSON), ``digest`` (32 hexadecimal digits): what was found out about it at the door.
    """

    line: int
    custom_id: str
    text: str
    gold: str | None = None
    turns: Turns | None = None
    lane: str = ""
    traits: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is known of a job before its items have been read."""

    id: str
    team: str
    use_case: str
    tier: str
    recipe: str
    task: Task
    priority: int
    deadline_s: float
    max_cost_micro: int | None
    idempotency_key: str | None
    cached_ok: bool = False
    """May an item that nobody can be asked about take the answer of an earlier job to the same question?"""
    routing: Routing = field(default_factory=Routing)
    dedupe: bool = True
    """Are identical items asked once, and votes taken that other jobs of the team buy meanwhile?"""
    similar: float | None = None
    """Items at least so alike are asked once, too."""
    reuse_votes_s: float | None = None
    """Votes that the team has bought up to so long ago count as well."""
    pack: int = 1
    """Items that go into one call, at most; 0: to be found out on a sample."""
    choice: dict[str, Any] | None = None
    """How an item's recipe is chosen where there are several, see ``core.choices``."""

    def signature(self) -> bytes:
        """What must be equal, beside the items, for two submissions to be the same."""
        said = [self.team, self.use_case, self.tier, self.recipe, self.task.to_json(), self.priority]
        wishes = self.routing.to_json()
        economy = [] if self.dedupe and self.similar is None and self.reuse_votes_s is None else [
            ["economy", self.dedupe, self.similar, self.reuse_votes_s]
        ]  # fmt: skip
        return orjson.dumps(
            [
                *(*said, self.max_cost_micro, *([True] if self.cached_ok else []), *([wishes] if wishes else [])),
                *(*economy, *([{"pack": self.pack}] if self.pack != 1 else [])),
                *([self.choice] if self.choice else []),
            ],
            option=orjson.OPT_SORT_KEYS,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    job_id: str
    items: int
    existing: bool


def store_job(
    engine: Engine, job: NewJob, rows: Iterable[Row], skip_duplicates: Callable[[], None] | None = None
) -> Stored:
    """Stream a job's items into the ledger with COPY, in one transaction: all of it or nothing.

    Memory does not grow with the job, but for four bytes a row that lead from a duplicate id back to its line.
    Raises ``Conflict`` for a known idempotency key with another body, ``InputError`` for a repeated id. Where
    ``skip_duplicates`` is given, repeated ids are dropped instead, and it is called once for each.
    """
    with engine.begin() as connection:
        known = _known(connection, job)
        reader = _Reader(rows, job.signature())
        if known is not None:
            return _same_or_conflict(job, known, reader)
        connection.exec_driver_sql(
            "INSERT INTO jobs (id, state, team, use_case, tier, recipe, task, priority, items, has_gold,"
            " max_cost_micro, cached_ok, routing, idempotency_key, body_hash, deadline_at, question_hash, dedupe,"
            " reuse_votes_s, pack, choice)"
            " VALUES (%s, 'running', %s, %s, %s, %s, %s::jsonb, %s, 0, false, %s, %s, %s::jsonb, %s, '',"
            " clock_timestamp() + %s * interval '1 second', %s, %s, %s, %s, %s::jsonb)",
            (
                job.id, job.team, job.use_case, job.tier, job.recipe, orjson.dumps(job.task.to_json()).decode(),
                job.priority, job.max_cost_micro, job.cached_ok,
                orjson.dumps(job.routing.to_json()).decode(), job.idempotency_key, job.deadline_s,
                question_hash(job.task, job.routing.privacy), job.dedupe, job.reuse_votes_s, job.pack,
                None if job.choice is None else orjson.dumps(job.choice).decode(),
            ),
        )  # fmt: skip
        items = _copy(connection, job, reader, skip_duplicates)
        if not items:
            raise InputError("the input holds no items", hint="a table needs a header and at least one row")
        if job.choice is not None and job.choice["kind"] == GUARANTEE:
            guarantees.draw(connection, job.id, items)
        if job.dedupe:
            doubles.point_identical(connection, job.id)
        if job.similar is not None:
            doubles.point_similar(connection, job.id, job.similar)
        connection.exec_driver_sql(
            "UPDATE jobs SET items = %s, has_gold = %s, body_hash = %s WHERE id = %s",
            (items, reader.gold, reader.digest(), job.id),
        )
    return Stored(job.id, items, existing=False)


class _Reader:
    """Passes rows on and remembers what will be asked of them: their hash, their lines, whether any had gold."""

    def __init__(self, rows: Iterable[Row], signature: bytes) -> None:
        self._rows = rows
        self._hash = hashlib.sha256(signature)
        self.lines = array.array("Q")
        self.gold = False

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.lines.append(row.line)
            self.gold = self.gold or row.gold is not None
            self._hash.update(f"{row.custom_id}\0{row.text}\0{row.gold or ''}\1".encode())
            if row.turns is not None:
                self._hash.update(orjson.dumps(row.turns))
            yield row

    def digest(self) -> str:
        return self._hash.hexdigest()


def _known(connection: Connection, job: NewJob) -> tuple[str, str, int] | None:
    if job.idempotency_key is None:
        return None
    # Two submissions with one key at the same moment: the second waits here and then finds the first.
    connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
        (f"{job.team}\0{job.idempotency_key}".replace("\0", "/"),),
    )
    row = connection.exec_driver_sql(
        "SELECT id, body_hash, items FROM jobs WHERE team = %s AND idempotency_key = %s",
        (job.team, job.idempotency_key),
    ).first()
    return (row[0], row[1], row[2]) if row else None


def _same_or_conflict(job: NewJob, known: tuple[str, str, int], reader: _Reader) -> Stored:
    for _ in reader:
        pass
    job_id, body_hash, items = known
    if reader.digest() != body_hash:
        raise Conflict(
            f"idempotency key {job.idempotency_key!r} already belongs to job {job_id}, with another body",
            hint="use a new key for a new job, or submit exactly the same input and options",
        )
    return Stored(job_id, items, existing=True)


def _copy(connection: Connection, job: NewJob, reader: _Reader, skip_duplicates: Callable[[], None] | None) -> int:
    target = _COPY
    if skip_duplicates is not None:
        connection.exec_driver_sql(
            "CREATE TEMP TABLE incoming (job_id text, n bigint, custom_id text, text text, gold text, turns jsonb,"
            " lane text, traits jsonb, digest uuid) ON COMMIT DROP"
        )
        target = _COPY.replace("COPY items", "COPY incoming")
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, psycopg.Connection)
    try:
        with raw.cursor() as cursor, cursor.copy(target) as copy:
            for block in _blocks(job.id, reader):
                copy.write(block)
    except psycopg.errors.UniqueViolation as error:
        raise _duplicate(error, reader) from None
    total = len(reader.lines)
    if skip_duplicates is None:
        return total
    kept = connection.exec_driver_sql(
        f"INSERT INTO items ({_COLUMNS}) SELECT {_COLUMNS} FROM incoming"  # noqa: S608 - no value in it
        " ORDER BY n ON CONFLICT DO NOTHING"
    ).rowcount
    for _ in range(total - kept):
        skip_duplicates()
    return kept


def _blocks(job_id: str, rows: Iterable[Row]) -> Iterator[str]:
    """COPY's text format, in blocks large enough that the call costs nothing beside the bytes."""
    lines: list[str] = []
    size = 0
    for n, row in enumerate(rows, 1):
        gold = "\\N" if row.gold is None else row.gold.translate(_ESCAPES)
        turns = "\\N" if row.turns is None else orjson.dumps(row.turns).decode().translate(_ESCAPES)
        custom_id, text = row.custom_id.translate(_ESCAPES), row.text.translate(_ESCAPES)
        traits = "\\N" if row.traits is None else row.traits.translate(_ESCAPES)
        same = row.digest or digest(row.text, row.turns)
        line = f"{job_id}\t{n}\t{custom_id}\t{text}\t{gold}\t{turns}\t{row.lane}\t{traits}\t{same}\n"
        lines.append(line)
        size += len(line)
        if size >= _FLUSH_AT_CHARS:
            yield "".join(lines)
            lines.clear()
            size = 0
    if lines:
        yield "".join(lines)


def _duplicate(error: psycopg.errors.UniqueViolation, reader: _Reader) -> InputError:
    key = re.search(r"custom_id\)=\([^,]*, (.*)\) already exists", error.diag.message_detail or "", re.DOTALL)
    at = re.search(r"line (\d+)", error.diag.context or "")
    line = reader.lines[int(at.group(1)) - 1] if at and int(at.group(1)) <= len(reader.lines) else None
    where = f"line {line}: " if line is not None else ""
    return InputError(
        f"{where}the id {(key.group(1) if key else '?')[:100]!r} appears twice",
        hint="ids must be unique within a job; --id names another column, --skip-bad-rows keeps the first of each",
    )


_ALLOWED: dict[JobState, tuple[JobState, ...]] = {
    JobState.PAUSED: (JobState.RUNNING,),
    JobState.RUNNING: (JobState.PAUSED,),
    JobState.CANCELLED: (JobState.RUNNING, JobState.PAUSED),
}


def change_state(engine: Engine, job_id: str, to: JobState) -> JobState:
    """Pause, resume or cancel; returns the state before. Doing it twice is no error. Cancelled items are undecided."""
    with engine.begin() as connection:
        before = connection.exec_driver_sql("SELECT state FROM jobs WHERE id = %s FOR UPDATE", (job_id,)).scalar()
        if before is None:
            raise NotFound(f"there is no job {job_id!r}", hint="switchyard status lists the jobs")
        if before == to:
            return JobState(before)
        if before not in _ALLOWED[to]:
            raise Conflict(f"job {job_id} is {before}: it cannot become {to}")
        connection.exec_driver_sql("UPDATE jobs SET state = %s WHERE id = %s", (to.value, job_id))
        if to is JobState.CANCELLED:
            connection.exec_driver_sql("UPDATE jobs SET finished_at = clock_timestamp() WHERE id = %s", (job_id,))
            doubles.give_up(connection, "cancelled", "j.id = %s", (job_id,))
        return JobState(before)


def retry_failed(engine: Engine, job_id: str, deadline_s: float) -> int:
    """Put the items of a finished job that were not decided back into the yard; returns how many."""
    with engine.begin() as connection:
        before = connection.exec_driver_sql("SELECT state FROM jobs WHERE id = %s FOR UPDATE", (job_id,)).scalar()
        if before is None:
            raise NotFound(f"there is no job {job_id!r}", hint="switchyard status lists the jobs")
        if before not in ("done", "cancelled"):
            raise Conflict(f"job {job_id} is still {before}", hint="wait until it is done, or cancel it")
        count = connection.exec_driver_sql(
            "WITH again AS (DELETE FROM decisions WHERE job_id = %s AND status <> 'decided' RETURNING *), "
            "kept AS (INSERT INTO withdrawn_decisions (item_id, decision) SELECT item_id, to_jsonb(again) FROM again) "
            "UPDATE items SET state = CASE WHEN same_as IS NULL THEN 'ready' ELSE 'double' END, chunk_id = NULL"
            " FROM again WHERE items.id = again.item_id",
            (job_id,),
        ).rowcount
        if count:
            connection.exec_driver_sql(
                "UPDATE jobs SET state = 'running', finished_at = NULL,"
                " deadline_at = greatest(deadline_at, clock_timestamp() + %s * interval '1 second') WHERE id = %s",
                (deadline_s, job_id),
            )
        return count
