"""How each voice of a job did: read-only, for jobs of a size that a person looks at as a whole.

Times are seconds since the job was created, money is micro-dollars.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from sqlalchemy import Engine


@dataclass(slots=True)
class Score:
    """One deployment in one job. ``failed``: calls that failed, by kind. ``refused``: seats that failed without a call
    (its breaker was open), by kind. ``leaked``: answers that came with reasoning in them. ``stood_in``: deployment →
    items where it answered, in a later wave, after this one had failed or said nothing that could be read."""

    deployment: str
    votes: int = 0
    with_gold: int = 0
    correct: int = 0
    abstentions: int = 0
    leaked: int = 0
    first_vote_s: float | None = None
    last_vote_s: float | None = None
    calls: int = 0
    answered: int = 0
    cost_micro: int = 0
    unpriced: int = 0
    """Calls whose cost is unknown, and not in ``cost_micro``."""
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    stood_in: Counter[str] = field(default_factory=Counter)

    @property
    def provider(self) -> str:
        return self.deployment.partition("/")[0]

    @property
    def accuracy(self) -> float | None:
        """Share of correct answers among its votes on items whose true label is known."""
        return self.correct / self.with_gold if self.with_gold else None


# Who judges, checks or thinks ahead says something of the answers, and is neither right nor wrong about the item.
_VOTES = """
SELECT c.plan #>> ARRAY['seats', v.seat::text, '0'], count(v.answer),
       count(i.gold) FILTER (WHERE v.answer IS NOT NULL AND role.answers),
       count(*) FILTER (WHERE v.answer = i.gold AND role.answers),
       count(*) FILTER (WHERE v.answer IS NULL AND v.failure_kind IS NULL),
       count(*) FILTER (WHERE 'reasoning_leak' = ANY(v.flags)),
       extract(epoch FROM min(v.cast_at) FILTER (WHERE v.answer IS NOT NULL) - min(j.created_at))::float8,
       extract(epoch FROM max(v.cast_at) FILTER (WHERE v.answer IS NOT NULL) - min(j.created_at))::float8
FROM votes v JOIN chunks c ON c.id = v.chunk_id JOIN jobs j ON j.id = c.job_id JOIN items i ON i.id = v.item_id,
LATERAL (
    SELECT c.plan #>> ARRAY['seats', v.seat::text, '3'] NOT IN ('judge', 'verifier', 'thinker') AS answers
) AS role
WHERE c.job_id = %s GROUP BY 1
"""

_CALLS = """
SELECT deployment, state, failure_kind, count(*), coalesce(sum(cost_micro), 0)::bigint,
       count(*) FILTER (WHERE cost_micro IS NULL)
FROM attempts
WHERE job_id = %s AND state <> 'unsent' GROUP BY 1, 2, 3
"""

_REFUSED = """
SELECT c.plan #>> ARRAY['seats', v.seat::text, '0'], v.failure_kind, count(*)
FROM votes v JOIN chunks c ON c.id = v.chunk_id
WHERE c.job_id = %s AND v.failure_kind IS NOT NULL AND v.attempt_id IS NULL GROUP BY 1, 2
"""

_STOOD_IN = """
WITH seats AS (
    SELECT v.chunk_id, v.item_id, a.wave, a.deployment, v.answer
    FROM votes v JOIN chunks c ON c.id = v.chunk_id
    JOIN asks a ON a.chunk_id = v.chunk_id AND a.seat = v.seat AND v.item_id = ANY(a.item_ids)
    WHERE c.job_id = %s
)
SELECT gone.deployment, other.deployment, count(DISTINCT gone.item_id)
FROM seats gone JOIN seats other USING (chunk_id, item_id)
WHERE gone.answer IS NULL AND other.answer IS NOT NULL AND other.wave > gone.wave GROUP BY 1, 2
"""

# The closest call that ended well, and of those the one that most went wrong for.
_CONTESTED = """
SELECT i.custom_id FROM decisions d JOIN items i ON i.id = d.item_id
WHERE d.job_id = %s AND d.status = 'decided'
ORDER BY d.agreement, (d.answer = i.gold) DESC NULLS LAST, d.calls DESC, i.n LIMIT 1
"""


def scores(engine: Engine, job_id: str) -> list[Score]:
    """Every deployment that was asked for this job, those with the most votes first."""
    found: dict[str, Score] = {}
    with engine.begin() as connection:
        votes = connection.exec_driver_sql(_VOTES, (job_id,)).all()
        calls = connection.exec_driver_sql(_CALLS, (job_id,)).all()
        refused = connection.exec_driver_sql(_REFUSED, (job_id,)).all()
        stood_in = connection.exec_driver_sql(_STOOD_IN, (job_id,)).all()
    for row in votes:
        found[row[0]] = Score(*row)
    for name, state, kind, count, cost, unpriced in calls:
        score = found.setdefault(name, Score(name))
        score.calls += count
        score.cost_micro += cost
        score.unpriced += unpriced
        if state == "answered":
            score.answered += count
        elif kind is not None:
            score.failed[kind] += count
    for name, kind, count in refused:
        found[name].refused[kind] += count
    for name, other, count in stood_in:
        found[name].stood_in[other] += count
    return sorted(found.values(), key=lambda s: (-s.votes, s.deployment))


def contested(engine: Engine, job_id: str) -> str | None:
    """The ``custom_id`` of the item on which the voices were least at one; None where nothing was decided."""
    with engine.begin() as connection:
        custom_id: str | None = connection.exec_driver_sql(_CONTESTED, (job_id,)).scalar()
        return custom_id


def by_provider(scores: list[Score]) -> dict[str, list[Score]]:
    providers: defaultdict[str, list[Score]] = defaultdict(list)
    for score in scores:
        providers[score.provider].append(score)
    return dict(providers)
