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

from app.core.kinship import one_voice
from app.core.plan import Plan
from app.core.posterior import Reckoning, Voice
from app.core.tracks import Track
from app.core.values import Deployment
from app.ledger import skills as ledger
from app.ledger.skills import Course, Learned

_FRESH_S = 30.0
"""So long a process goes by what it read last: learning takes minutes."""
_MOST_JOBS, _MOST_COURSES = 10_000, 1_000
"""Remembered by a process."""
_TELLS = 0.05
"""What the accuracy on one label must differ by from that on all, to be worth a line in the plan."""
_QUALITY_STEPS = 3
"""Decimals of a quality: a difference below is none."""


@dataclass(slots=True)
class _Read:
    """What was read, when by the monotonic clock, and what it makes of the deployments seen last."""

    at: float
    learned: Learned
    deployments: Sequence[Deployment] = ()
    dressed: dict[str, Deployment] = field(default_factory=dict)


@dataclass(slots=True)
class Reputation:
    """For one process; safe to share between threads: at worst the same is read twice."""

    engine: Engine
    _courses: dict[str, Course | None] = field(default_factory=dict)
    _read: dict[Course, _Read] = field(default_factory=dict)

    def of(self, deployments: Sequence[Deployment], job_id: str) -> dict[str, Deployment]:
        """Those of the deployments of which something was learned, by name, as the job's use case knows them."""
        read = self._fresh(job_id)
        if read is None:
            return {}
        if read.deployments is not deployments:
            read.deployments, read.dressed = deployments, self._dressed(deployments, read.learned)
        return read.dressed

    def _dressed(self, deployments: Sequence[Deployment], learned: Learned) -> dict[str, Deployment]:
        families = one_voice({d.name: d.family for d in deployments}, learned.clones)
        known = [d for d in deployments if d.name in learned.known or families[d.name] != d.family]
        return {
            d.name: replace(
                d, quality=round(learned.of(d.name, d.quality).quality, _QUALITY_STEPS), family=families[d.name]
            )
            for d in known
        }

    def dress(self, tracks: Iterable[Track], job_id: str, deployments: Sequence[Deployment]) -> None:
        """Let tracks show their ``deployments`` (of the fleet file) as the job's use case knows them.

        A track may show what another job's use case knows of it: each is set anew.
        """
        known = self.of(deployments, job_id)
        plain = {d.name: d for d in deployments}
        read = self._fresh(job_id)
        kin = {} if read is None else read.learned.kin
        for track in tracks:
            name = track.deployment.name
            track.kin = kin.get(name, {})
            track.deployment = known.get(name) or plain.get(name) or track.deployment

    def inform(self, plan: Plan, job_id: str, deployments: Iterable[Deployment], labels: Sequence[str]) -> Plan:
        """The plan with the skills of ``deployments``, where its recipe weighs voices by them.

        Of all that are known, not only of those seated: what is decided may hang on the best who might yet be called
        in, so skills must not change when the plan grows. Of labels those are written that differ from the whole. What
        the fleet file claims of a voice counts for no more here than where nothing was measured.
        """
        read = self._fresh(job_id) if plan.recipe.shape.weighed else None
        if read is None:
            return plan
        reckoning = Reckoning(plan.labels)
        skills = {}
        for deployment in deployments:
            if deployment.name in read.learned.known:
                known = read.learned.of(deployment.name, reckoning.accuracy(Voice(deployment.quality)))
                of_labels = {label: known.voice_of(label) for label in labels if label in (known.labels or {})}
                told = {label: rate for label, rate in of_labels.items() if abs(rate - known.voice) >= _TELLS}
                skills[deployment.name] = {label: round(rate, 4) for label, rate in {"": known.voice, **told}.items()}
        return replace(plan, skills=skills or None)

    def _fresh(self, job_id: str) -> _Read | None:
        course = self._course(job_id)
        if course is None:
            return None
        read = self._read.get(course)
        if read is None or time.monotonic() - read.at > _FRESH_S:
            if len(self._read) >= _MOST_COURSES:
                self._read.clear()
            read = self._read[course] = _Read(time.monotonic(), ledger.learned(self.engine, course))
        return read

    def _course(self, job_id: str) -> Course | None:
        if job_id not in self._courses:
            if len(self._courses) >= _MOST_JOBS:
                self._courses.clear()
            self._courses[job_id] = ledger.course_of(self.engine, job_id)
        return self._courses[job_id]
