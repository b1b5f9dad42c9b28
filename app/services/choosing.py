"""Choosing: which recipe a chunk gets where its job has several, and what is ruled when chunks are in.

What was chosen, and what it was chosen from, stands in the plan: nothing here is needed for a replay.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import Connection, Engine

from app.core import bandits, choices, guarantee
from app.core import recipe as recipes
from app.core.choices import EXPERIMENT, GUARANTEE
from app.core.experiments import Arm, Report, Sums, compare
from app.core.plan import Plan
from app.core.recipe import Recipe
from app.ledger import experiments, guarantees
from app.ledger.yard import WaitingJob

log = structlog.get_logger(__name__)

_LOOK_AGAIN = 0.05
"""An experiment is looked at when its decided items have grown by this share, and by ``_LEAST_NEW``."""
_LEAST_NEW = 20
_NOTHING = Arm(0, Sums(), Sums(), Sums(), Sums())


@dataclass(frozen=True, slots=True)
class Chosen:
    """The recipe of a chunk, and the note of the choice for its plan."""

    recipe: Recipe
    note: dict[str, Any]


class Chooser:
    """Chooses for the chunks of one dispatch. What is known of a bandit's arms is read once: it is a look at all that
    the use case has decided."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, tuple[dict[str, bandits.Arm], bool]] = {}

    def choose(self, job: WaitingJob) -> Chosen | None:
        """None where the job has one recipe."""
        if job.choice is None:
            return None
        match job.choice["kind"]:
            case choices.EXPERIMENT:
                return _arm(job.choice, job.terms.lane.arm)
            case choices.BANDIT:
                return self._pull(job, job.choice["arms"])
            case choices.GUARANTEE:
                return _part(job, job.choice)
            case unknown:
                raise AssertionError(unknown)

    def _pull(self, job: WaitingJob, arms: list[str]) -> Chosen:
        """The seed hangs on the job and on how many chunks it has: a chunk that finds no room now is drawn alike later,
        so that whoever is busy loses none of his chance."""
        if job.id not in self._known:
            known = experiments.known(self._connection, job.id, job.team, job.use_case, arms)
            self._known[job.id] = known, experiments.frozen(self._connection, job.team, job.use_case)
        known, frozen = self._known[job.id]
        drawn = f"{job.id}/{experiments.chunks_so_far(self._connection, job.id)}"
        seed = int.from_bytes(hashlib.blake2b(drawn.encode(), digest_size=6).digest(), "big")
        made = bandits.pick(known, seed, frozen=frozen)
        return Chosen(recipes.parse(made.arm), made.to_json())


def _arm(choice: dict[str, Any], drawn: str) -> Chosen:
    winner = choice.get("winner")
    recipe = recipes.parse(choice["arms"][(winner or drawn) == choices.SECOND])
    return Chosen(recipe, {"kind": EXPERIMENT, "arm": winner or drawn, **({"settled": True} if winner else {})})


def _part(job: WaitingJob, choice: dict[str, Any]) -> Chosen:
    if choice.get("stopped") is not None:
        strong = recipes.parse(f"single-query(models={choice['against']})")
        return Chosen(strong, {"kind": GUARANTEE, "part": "strong"})
    arm = job.terms.lane.arm
    part = "audit" if arm.endswith(guarantee.AUDIT) else "rest"
    return Chosen(job.recipe, {"kind": GUARANTEE, "part": part, "block": int(arm[:-1])})


def released(connection: Connection, job_id: str, plan: Plan) -> Plan:
    """The plan with its threshold, once there is one."""
    if not plan.waits or plan.threshold is not None or plan.choice is None:
        return plan
    found = guarantees.threshold(connection, job_id, plan.choice["block"])
    return plan if found is None else replace(plan, threshold=found)


def look(engine: Engine, job_id: str, note: dict[str, Any], *, finished: bool, parked: bool) -> list[int]:
    """A chunk with that ``note`` is in, or still waits: rule what can be ruled. Returns the chunks to settle for it."""
    if note["kind"] == choices.EXPERIMENT and finished:
        _weigh(engine, job_id)
    # Those that wait look for themselves as well: a block may have nobody that is audited.
    elif note["kind"] == choices.GUARANTEE and (finished if note["part"] == "audit" else parked and not finished):
        return _rule(engine, job_id)
    return []


def _weigh(engine: Engine, job_id: str) -> None:
    """Look at an experiment, and write its winner down where it has one."""
    with engine.begin() as connection:
        choice = connection.exec_driver_sql("SELECT choice FROM jobs WHERE id = %s", (job_id,)).scalar_one()
        if "winner" in choice:
            return
        items, looked = experiments.decided(connection, job_id), choice.get("looked", 0)
        if items < looked * (1 + _LOOK_AGAIN) + _LEAST_NEW:
            return
        found = report(experiments.trial(connection, job_id))
        experiments.note(connection, job_id, {"looked": items})
        if found.winner is not None:
            experiments.note(connection, job_id, {"winner": found.winner, "why": found.why, "decided_at": items})
            log.info("experiment decided", action="experiment.decided", job=job_id, winner=found.winner)


def report(trial: experiments.Trial) -> Report:
    return compare(trial.arms.get(choices.FIRST, _NOTHING), trial.arms.get(choices.SECOND, _NOTHING))


def _rule(engine: Engine, job_id: str) -> list[int]:
    """Rule the blocks whose audit is in, in their order."""
    freed: list[int] = []
    freed_all = False
    with engine.begin() as connection:
        at = guarantees.lock(connection, job_id)
        audits = list(at.audits)
        while len(audits) < len(at.course.blocks) and guarantees.audit_is_in(connection, job_id, len(audits)):
            block = len(audits)
            audits.append(guarantee.evidence(at.course.council, guarantees.audited(connection, job_id, block)))
            ruling = guarantee.rulings(at.promise, at.course, audits)[-1]
            guarantees.write(connection, job_id, block, audits[-1], ruling)
            if ruling.stopped and at.stopped is None and not freed_all:
                guarantees.stop(connection, job_id, guarantee.DRIFT)
                freed_all = True
                log.warning("guarantee stopped", action="guarantee.stopped", job=job_id, block=block,
                            lost=ruling.lost, audited=ruling.audited)  # fmt: skip
            freed += guarantees.waiting(connection, job_id, None if freed_all else block)
    return sorted(set(freed))
