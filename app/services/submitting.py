"""Submitting: whether the fleet can serve a job, and the job's way into the ledger."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Engine

from app.core import injection, packing
from app.core.routing import Lane
from app.core.values import Deployment
from app.ledger import door, health
from app.ledger.door import NewJob, Row, Stored
from app.registry.fleet import FleetFile
from app.registry.secrets import missing
from app.services.arms import check_arms, in_arms
from app.services.auditing import audited, check_baseline
from app.services.estimating import Estimate, estimate
from app.services.jobspec import JobSpec, message_of
from app.services.screening import Screen, Screened, check_words
from app.services.suitability import Latencies, able

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submitter:
    engine: Engine
    fleet: FleetFile

    def submit(
        self,
        spec: JobSpec,
        rows: Iterable[Row],
        skip_duplicates: Callable[[], None] | None = None,
        seen: Screened | None = None,
    ) -> Stored:
        """Check the job against the fleet, then store it: all of it or nothing. ``seen``: is told what was found.

        Raises ``UsageError`` (``RecipeError``, ``InputError``, ``Conflict``) with nothing stored.
        """
        screen = Screen.of(spec, self.check(spec))
        job = NewJob(
            id=new_job_id(),
            team=spec.team,
            use_case=spec.use_case,
            tier=spec.tier,
            recipe=str(spec.recipe),
            task=spec.task_of_items,
            priority=spec.priority,
            deadline_s=spec.deadline_s,
            max_cost_micro=None if spec.max_cost_usd is None else round(spec.max_cost_usd * 1_000_000),
            idempotency_key=spec.idempotency_key,
            cached_ok=spec.allow_cached,
            routing=spec.routing,
            dedupe=spec.dedupe and spec.guarantee is None,
            similar=spec.similar,
            reuse_votes_s=spec.reuse_votes_s,
            pack=spec.most_in_a_pack,
            choice=spec.choice_json,
        )
        found = Screened() if seen is None else seen
        rows = screen.rows(rows, found)
        if job.pack != 1:
            rows = apart(rows)
        rows = in_arms(spec.choice, spec.use_case, audited(rows, job.routing))
        stored = door.store_job(self.engine, job, rows, skip_duplicates)
        if found.private or found.redacted:
            log.info("personal data in items", action="job.screened", job=stored.job_id, **found.to_json())
        return stored

    def submit_message(self, kwargs: dict[str, Any]) -> str:
        """A job from another service; returns its id. Raises ``UsageError`` in one line for whatever is wrong."""
        message = message_of(kwargs)
        return self.submit(message, message.rows()).job_id

    def check(self, spec: JobSpec) -> list[Deployment]:
        """The deployments of the fleet file that may serve the job. Raises ``UsageError`` where they cannot."""
        check_words(spec)
        wanted = spec.wanted
        latencies = measured(self.engine) if wanted.routing.max_latency_ms is not None else None
        deployments = self.fleet.current().deployments
        check_baseline(deployments, wanted.routing)
        check_arms(deployments, spec.choice, wanted, latencies)
        return able(deployments, wanted, latencies)

    def estimate(self, spec: JobSpec, rows: Iterable[Row]) -> Estimate:
        """What the job will take of those whose key is there (of all, where this machine holds none)."""
        serving = self.check(spec)
        keyless = missing(self.fleet.current().providers)
        ready = [d for d in serving if d.provider not in keyless]
        return estimate(ready or serving, spec.wanted, spec.task_of_items, rows, dedupe=spec.dedupe)


def measured(engine: Engine) -> Latencies:
    """How long a call took at the last look at each deployment."""
    return {name: found.latency_ms for name, found in health.current(engine).items()}


def apart(rows: Iterable[Row]) -> Iterator[Row]:
    """Those that would crowd or sway others in a pack travel alone."""
    for row in rows:
        if row.turns is None and not packing.too_long(row.text) and not injection.suspicions(row.text):
            yield row
        else:
            yield replace(row, lane=str(replace(Lane.parse(row.lane), alone=True)))


def new_job_id() -> str:
    """``job-`` and ten letters or digits: 50 random bits, short enough to be typed."""
    return "job-" + base64.b32encode(os.urandom(7)).decode().lower()[:10]
