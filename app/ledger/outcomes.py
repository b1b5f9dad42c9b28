"""Outcomes in the ledger: what was said of an item's answer, however late. Each is a row; the last one counts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, Engine

from app.core.task import Task
from app.ledger.reports import no_job

_BATCH = 2_000
_NEAREST_AMONG = 5_000
"""Ids that a wrong one is compared with."""
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """``said``: ``accepted``, ``rejected`` or ``label``; ``label``: the true one. ``line``: where in the input."""

    line: int
    custom_id: str
    said: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """How many outcomes were written; where ``bad`` says why some could not be, none was. ``bad``: (line, reason), the
    first ones; ``wrong``: how many there are."""

    outcomes: int
    bad: tuple[tuple[int, str], ...] = ()
    wrong: int = 0


# The answer that was judged stands with the judgement: a retry may change the item's own.
_STAGE = """
INSERT INTO incoming (line, custom_id, said, label)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[])
"""

_CHECKED = """
SELECT s.line, s.custom_id, i.id IS NULL AS missing, d.status
FROM incoming s LEFT JOIN items i ON i.job_id = %(job)s AND i.custom_id = s.custom_id
LEFT JOIN decisions d ON d.item_id = i.id
WHERE i.id IS NULL OR (s.label IS NULL AND d.answer IS NULL)
ORDER BY s.line
"""

_WRITE = """
INSERT INTO outcomes (job_id, item_id, said, answer, door)
SELECT %(job)s, i.id, s.said, coalesce(s.label, d.answer), %(door)s
FROM incoming s JOIN items i ON i.job_id = %(job)s AND i.custom_id = s.custom_id
LEFT JOIN decisions d ON d.item_id = i.id
ORDER BY s.line
"""


def task_of(engine: Engine, job_id: str) -> Task:
    """Of a job. Raises ``NotFound``, which suggests no other: an id is random, and what looks like it is not meant."""
    with engine.begin() as connection:
        task = connection.exec_driver_sql("SELECT task FROM jobs WHERE id = %s", (job_id,)).scalar()
        if task is None:
            raise no_job(job_id)
    return Task.from_json(task)


def write(engine: Engine, job_id: str, outcomes: Iterable[Outcome], door: str) -> Written:
    """All of them, or none where one cannot be: its item is not there, or has no answer that could be judged."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TEMP TABLE incoming (line bigint, custom_id text, said text, label text) ON COMMIT DROP"
        )
        for batch in _batches(outcomes):
            columns = [[getattr(one, name) for one in batch] for name in ("line", "custom_id", "said", "label")]
            connection.exec_driver_sql(_STAGE, tuple(columns))
        wrong = connection.exec_driver_sql(_CHECKED, {"job": job_id}).all()
        if wrong:
            bad = tuple((row.line, _why(connection, job_id, *row[1:])) for row in wrong[:_MOST_NAMED])
            return Written(0, bad, len(wrong))
        written = connection.exec_driver_sql(_WRITE, {"job": job_id, "door": door}).rowcount
    return Written(written)


def _batches(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    stream = iter(outcomes)
    while batch := list(islice(stream, _BATCH)):
        yield batch


def _why(connection: Connection, job_id: str, custom_id: str, missing: bool, status: str | None) -> str:
    if not missing:
        state = "is not decided yet" if status is None else f"was not decided ({status})"
        return f"item {custom_id[:100]!r} {state}, so there is no answer to judge; its true label may be given"
    known = connection.exec_driver_sql(
        "SELECT custom_id FROM items WHERE job_id = %s ORDER BY abs(length(custom_id) - length(%s)), n LIMIT %s",
        (job_id, custom_id, _NEAREST_AMONG),
    ).scalars()
    near = _near(custom_id, list(known))
    return f"the job has no item {custom_id[:100]!r}" + (f"; {near}" if near else "")


def _near(word: str, known: list[str]) -> str | None:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else None
