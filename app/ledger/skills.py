"""What is learned of deployments, use case by use case: the votes to learn from, and what came of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from app.core.accuracy import Evidence, Known, Record
from app.core.kinship import Kin

EVERYBODY = "*"
"""The team and use case of what all teams have seen. No tag is spelled so."""
MOST_JOBS = 16
"""The latest of a use case, and as many of those whose outcomes came last: what is older is forgotten."""
MOST_ITEMS = 500
"""Of a job; those with outcomes come on top, as many again at most."""
# Any number, as long as nobody else uses it: one process learns at a time.
_LEARN_LOCK = 7_702_553
_OVERLAP = "interval '10 seconds'"


@dataclass(frozen=True, slots=True)
class Course:
    """What is learned together: a team's use case, and the kind of its tasks."""

    team: str
    use_case: str
    kind: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.team, self.use_case, self.kind


@dataclass(frozen=True, slots=True)
class Heard:
    """One vote. ``task``: equal for equal tasks; ``question``: for equal texts; ``labels``: of a classify task."""

    job: str
    task: str
    labels: tuple[str, ...]
    question: str
    deployment: str
    answer: str
    truth: str | None
    barred: str | None
    source: str | None


# A use case has news when a job of it ended, or was given an outcome, since it was last learned from; while one runs
# there always may be.
_NEWS = f"""
SELECT j.team, j.use_case, j.task->>'kind', min(s.learned_at) AS learned_at
FROM jobs j LEFT JOIN schooled s ON (s.team, s.use_case, s.kind) = (j.team, j.use_case, j.task->>'kind')
WHERE s.learned_at IS NULL OR j.state IN ('running', 'paused') OR j.finished_at > s.learned_at - {_OVERLAP}
   OR EXISTS (SELECT FROM outcomes o WHERE o.job_id = j.id AND o.at > s.learned_at - {_OVERLAP})
GROUP BY 1, 2, 3 ORDER BY 4 NULLS FIRST, 1, 2, 3
"""  # noqa: S608 - no value in it

_JOBS = """
WITH mine AS (
    SELECT id, created_at FROM jobs WHERE (team, use_case, task->>'kind') = (%s, %s, %s)
), latest AS (
    (SELECT id FROM mine ORDER BY created_at DESC, id LIMIT %s)
    UNION
    (SELECT o.job_id FROM outcomes o JOIN mine ON mine.id = o.job_id GROUP BY o.job_id ORDER BY max(o.id) DESC LIMIT %s)
)
SELECT id FROM latest JOIN jobs USING (id) ORDER BY created_at DESC, id
"""

# The voices alone: who writes a synthesis or judges has no vote. A double's votes are those of the item it points to.
_VOTES = """
WITH picked AS (
    (SELECT item_id, chunk_id FROM decisions WHERE job_id = %(job)s ORDER BY item_id DESC LIMIT %(most)s)
    UNION
    (SELECT d.item_id, d.chunk_id FROM (
        SELECT DISTINCT item_id FROM outcomes WHERE job_id = %(job)s ORDER BY item_id DESC LIMIT %(most)s
     ) AS told JOIN decisions d USING (item_id))
)
SELECT coalesce(i.digest::text, md5(i.text)), a.deployment, v.answer, t.truth, t.barred, t.source
FROM picked p JOIN items i ON i.id = p.item_id
JOIN votes v ON v.chunk_id = p.chunk_id AND v.item_id = coalesce(i.same_as, i.id)
JOIN attempts a ON a.id = v.attempt_id AND a.purpose = 'vote'
LEFT JOIN v_truths t ON t.item_id = i.id
WHERE v.answer IS NOT NULL ORDER BY i.id, v.seat
"""


@contextmanager
def learning(engine: Engine) -> Iterator[bool]:
    """True for the one process that learns now; the others learn nothing."""
    with engine.begin() as connection:
        yield bool(connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (_LEARN_LOCK,)).scalar_one())


def news(engine: Engine) -> list[Course]:
    """What there is to learn from, what has waited longest first."""
    with engine.begin() as connection:
        return [Course(*row[:3]) for row in connection.exec_driver_sql(_NEWS)]


def now(engine: Engine) -> dt.datetime:
    with engine.begin() as connection:
        moment: dt.datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        return moment


def jobs_of(engine: Engine, course: Course) -> list[str]:
    """Those to learn from, newest first."""
    with engine.begin() as connection:
        return list(connection.exec_driver_sql(_JOBS, (*course.key, MOST_JOBS, MOST_JOBS)).scalars())


def votes_of(engine: Engine, job_id: str) -> list[Heard]:
    """What the voices of a job said on its latest items, and on those that have outcomes."""
    with engine.begin() as connection:
        task, labels = connection.exec_driver_sql(
            "SELECT md5(task::text), ARRAY(SELECT jsonb_array_elements_text(task->'labels')) FROM jobs WHERE id = %s",
            (job_id,),
        ).one()
        rows = connection.exec_driver_sql(_VOTES, {"job": job_id, "most": MOST_ITEMS})
        return [Heard(job_id, task, tuple(labels), *row) for row in rows]


_SKILLS = ("team", "use_case", "kind", "deployment", "label", "outcomes", "outcomes_right", "gold", "gold_right",
           "agreement", "agreement_right", "evidence", "n", "accuracy", "low", "high")  # fmt: skip


def write(
    engine: Engine,
    course: Course,
    records: Mapping[tuple[str, str], Record],
    kin: Sequence[Kin],
    votes: int,
    learned_at: dt.datetime,
) -> None:
    """Put what was learned in the place of what was known of the use case; all of it or nothing."""
    with engine.begin() as connection:
        _replace(connection, course, records)
        connection.exec_driver_sql("DELETE FROM kinship WHERE (team, use_case, kind) = (%s, %s, %s)", course.key)
        rows = [
            (*course.key, k.first, k.second, k.n, k.either, k.same, round(k.kinship, 4), round(k.low, 4), k.clones)
            for k in kin
        ]
        if rows:
            connection.exec_driver_sql(
                "INSERT INTO kinship (team, use_case, kind, first, second, n, either, same, kinship, low, clones)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                rows,
            )
        connection.exec_driver_sql(
            "INSERT INTO schooled (team, use_case, kind, learned_at, votes) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (team, use_case, kind) DO UPDATE SET learned_at = excluded.learned_at,"
            " votes = excluded.votes",
            (*course.key, learned_at, votes),
        )


def write_pool(engine: Engine, kind: str, pool: Mapping[str, Record]) -> None:
    """What all teams have seen, by deployment."""
    everybody = Course(EVERYBODY, EVERYBODY, kind)
    with engine.begin() as connection:
        _replace(connection, everybody, {(deployment, ""): record for deployment, record in pool.items()})


def _replace(connection: Connection, course: Course, records: Mapping[tuple[str, str], Record]) -> None:
    connection.exec_driver_sql("DELETE FROM skills WHERE (team, use_case, kind) = (%s, %s, %s)", course.key)
    rows = []
    for (deployment, label), record in sorted(records.items()):
        counts = [value for source in SOURCES for value in record.counts.get(source, (0.0, 0.0))]
        told = (record.n, record.accuracy, *record.interval)
        rows.append((*course.key, deployment, label, *counts, record.evidence.to_list(), *told))
    if rows:
        places = ", ".join(["%s"] * len(_SKILLS))
        connection.exec_driver_sql(f"INSERT INTO skills ({', '.join(_SKILLS)}) VALUES ({places})", rows)  # noqa: S608


SOURCES = ("outcomes", "gold", "agreement")


def teams_of(engine: Engine, kind: str) -> dict[str, dict[str, Record]]:
    """Deployment → team → what that team has seen of it in all its use cases of the kind."""
    found: dict[str, dict[str, Record]] = {}
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT deployment, team, evidence, outcomes, outcomes_right, gold, gold_right, agreement, agreement_right"
            " FROM skills WHERE kind = %s AND label = '' AND team <> %s ORDER BY team, use_case",
            (kind, EVERYBODY),
        )
        for deployment, team, evidence, *counts in rows:
            into = found.setdefault(deployment, {}).setdefault(team, Record({}, Evidence()))
            into.evidence = into.evidence + Evidence(*evidence)
            into.add(dict(zip(SOURCES, zip(counts[::2], counts[1::2], strict=True), strict=True)))
    return found


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known for one use case: deployment → evidence, of all teams, its own, and label by label; ``clones``:
    pairs that are one voice to its team; ``kin``: how much two are wrong together, at least."""

    pool: dict[str, Evidence]
    own: dict[str, Evidence]
    labels: dict[str, dict[str, Evidence]]
    clones: tuple[tuple[str, str], ...]
    kin: dict[str, dict[str, float]]

    @property
    def known(self) -> set[str]:
        """Those of whom there is any evidence."""
        return self.pool.keys() | self.own.keys()

    def of(self, deployment: str, prior: float) -> Known:
        """Of one, against what is thought of it beforehand."""
        own = self.own.get(deployment, Evidence())
        return Known(prior, self.pool.get(deployment, Evidence()), own, self.labels.get(deployment))


def learned(engine: Engine, course: Course) -> Learned:
    """What one use case may rest on. Kinship is a team's: none makes two voices one for another."""
    pool: dict[str, Evidence] = {}
    own: dict[str, Evidence] = {}
    labels: dict[str, dict[str, Evidence]] = {}
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT team, deployment, label, evidence FROM skills"
            " WHERE (team, use_case, kind) IN ((%s, %s, %s), (%s, %s, %s))",
            (*course.key, EVERYBODY, EVERYBODY, course.kind),
        )
        for team, deployment, label, evidence in rows:
            if team == EVERYBODY:
                pool[deployment] = Evidence(*evidence)
            elif label:
                labels.setdefault(deployment, {})[label] = Evidence(*evidence)
            else:
                own[deployment] = Evidence(*evidence)
        pairs = connection.exec_driver_sql(
            "SELECT first, second, bool_or(clones), max(low) FROM kinship WHERE team = %s GROUP BY 1, 2 ORDER BY 1, 2",
            (course.team,),
        ).all()
    clones = tuple((first, second) for first, second, same, _ in pairs if same)
    kin: dict[str, dict[str, float]] = {}
    for first, second, _, low in pairs:
        if low > 0:
            kin.setdefault(first, {})[second] = kin.setdefault(second, {})[first] = low
    return Learned(pool, own, labels, clones, kin)


def pools(engine: Engine) -> dict[str, dict[str, Record]]:
    """Deployment → kind of task → what all teams have seen of it."""
    found: dict[str, dict[str, Record]] = {}
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT deployment, kind, evidence, outcomes, outcomes_right, gold, gold_right, agreement, agreement_right"
            " FROM skills WHERE team = %s ORDER BY deployment, kind",
            (EVERYBODY,),
        )
        for deployment, kind, evidence, *counts in rows:
            record = found.setdefault(deployment, {})[kind] = Record({}, Evidence(*evidence))
            record.add(dict(zip(SOURCES, zip(counts[::2], counts[1::2], strict=True), strict=True)))
    return found


def course_of(engine: Engine, job_id: str) -> Course | None:
    """What a job is learned with; None where there is no such job."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql(
            "SELECT team, use_case, task->>'kind' FROM jobs WHERE id = %s", (job_id,)
        ).first()
    return None if row is None else Course(*row)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a deployment did for one use case, by source: (questions, right)."""

    use_case: str
    kind: str
    deployment: str
    label: str
    counts: dict[str, tuple[float, float]]


def recorded(engine: Engine) -> list[Recorded]:
    """Of every team and use case."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT use_case, kind, deployment, label, outcomes, outcomes_right, gold, gold_right, agreement,"
            " agreement_right FROM skills WHERE team <> %s",
            (EVERYBODY,),
        ).all()
    return [
        Recorded(
            use_case,
            kind,
            deployment,
            label,
            dict(zip(SOURCES, zip(counts[::2], counts[1::2], strict=True), strict=True)),
        )
        for use_case, kind, deployment, label, *counts in rows
    ]


def kin(engine: Engine) -> list[dict[str, Any]]:
    """Every pair that was measured, the nearest kin first."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT team, use_case, kind, first, second, n, either, same, kinship, low, clones FROM kinship"
            " ORDER BY low DESC, team, use_case, kind, first, second"
        )
        return [dict(row) for row in rows.mappings()]
