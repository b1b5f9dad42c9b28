"""Reputation: what routing and votes rest on, for the use case of a job, where learning is switched on.

A deployment's quality is what was learned of it, and the fleet file's only as far as nothing is known; those that were
found to be clones share a family, so they are one voice. All of it goes into the plan as it stood when the chunk left
the yard: a replay knows no more and no less.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Engine

from app.core.accuracy import Evidence, Known
from app.core.kinship import one_voice
from app.core.plan import Plan
from app.core.tracks import Track
from app.core.values import Deployment
from app.ledger import skills as ledger
from app.ledger.skills import Course, Learned

_FRESH_S = 30.0
"""So long a process goes by what it read last: learning takes minutes."""
_MOST_JOBS = 10_000
_QUALITY_STEPS = 3
"""Decimals of a quality: a difference below is none."""


@dataclass(slots=True)
class Reputation:
    """For one process; safe to share between threads: at worst the same is read twice."""

    engine: Engine
    _courses: dict[str, Course | None] = field(default_factory=dict)
    _read: dict[Course, tuple[float, Learned]] = field(default_factory=dict)

    def known(self, deployment: Deployment, learned: Learned) -> Known:
        name = deployment.name
        return Known(
            deployment.quality,
            learned.pool.get(name, Evidence()),
            learned.own.get(name, Evidence()),
            learned.labels.get(name),
        )

    def of(self, deployments: Sequence[Deployment], job_id: str) -> dict[str, Deployment]:
        """The deployments by name, as the job's use case knows them."""
        learned = self._learned(job_id)
        if learned is None:
            return {d.name: d for d in deployments}
        families = one_voice({d.name: d.family for d in deployments}, learned.clones)
        return {
            d.name: replace(d, quality=round(self.known(d, learned).quality, _QUALITY_STEPS), family=families[d.name])
            for d in deployments
        }

    def dress(self, tracks: Iterable[Track], job_id: str, deployments: Sequence[Deployment]) -> None:
        """Let tracks show their ``deployments`` (of the fleet file) as the job's use case knows them."""
        known = self.of(deployments, job_id)
        for track in tracks:
            track.deployment = known.get(track.deployment.name, track.deployment)

    def inform(self, plan: Plan, job_id: str, deployments: Iterable[Deployment], labels: Sequence[str]) -> Plan:
        """The plan with the skills of those it seats, where its recipe weighs voices by them."""
        learned = self._learned(job_id) if plan.recipe.shape.weighed else None
        if learned is None:
            return plan
        by_name = {d.name: d for d in deployments}
        skills = dict(plan.skills or {})
        for seat in plan.seats:
            name = seat.deployment
            if name in skills or name not in by_name or not (name in learned.own or name in learned.pool):
                continue
            known = self.known(by_name[name], learned)
            rates = {"": round(known.voice, 4)}
            rates.update({x: round(known.voice_of(x), 4) for x in labels if x in (known.labels or {})})
            skills[name] = rates
        return replace(plan, skills=skills or None)

    def _learned(self, job_id: str) -> Learned | None:
        course = self._course(job_id)
        if course is None:
            return None
        read = self._read.get(course)
        if read is None or time.monotonic() - read[0] > _FRESH_S:
            read = self._read[course] = time.monotonic(), ledger.learned(self.engine, course)
        return read[1]

    def _course(self, job_id: str) -> Course | None:
        if job_id not in self._courses:
            if len(self._courses) >= _MOST_JOBS:
                self._courses.clear()
            self._courses[job_id] = ledger.course_of(self.engine, job_id)
        return self._courses[job_id]
