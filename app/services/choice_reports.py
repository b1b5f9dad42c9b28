"""What a job's choice has come to: a guarantee's level, an experiment's arms, a bandit's odds. Read-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from app.core import bandits, choices, guarantee, policies
from app.core.errors import UsageError
from app.core.experiments import Report
from app.core.guarantee import NEVER, Promise, Ruling
from app.core.policies import Value
from app.core.savings import Saving, Unmeasured, saving
from app.ledger import experiments, guarantees
from app.ledger.experiments import Place
from app.services import choosing

_MOST_CHUNKS = 5_000
"""The latest chunks that off-policy estimates are made from."""


@dataclass(frozen=True, slots=True)
class Guaranteed:
    """``items``: of the job; ``ruled``: of its ``blocks``, how many. ``agree``: share of the audited items that the
    thresholds in force would not have lost, between ``low`` and ``high``; ``proved``: the level that the rulings prove
    for the blocks they rule. ``asked``: items put to the strong model; ``stopped``: why nothing is accepted any more.
    """

    promise: Promise
    items: int
    blocks: int
    rulings: tuple[Ruling, ...]
    audited: int
    lost: int
    asked: int
    cost: Saving | Unmeasured
    stopped: str | None

    @property
    def agree(self) -> float | None:
        return 1 - self.lost / self.audited if self.audited else None

    @property
    def interval(self) -> tuple[float, float]:
        return guarantee.interval(self.lost, self.audited, self.promise.confidence)

    @property
    def proved(self) -> float | None:
        """Nothing was accepted: all answers are the strong model's own."""
        if self.stopped == guarantee.TOO_SMALL:
            return 1.0
        return 1 - self.rulings[-1].bound / self.items if self.rulings else None

    def to_json(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            **self.promise.to_json(),
            "audited": self.audited,
            "lost": self.lost,
            "agree": self.agree,
            "agree_interval": [round(low, 6), round(high, 6)],
            "proved": self.proved,
            "blocks": self.blocks,
            "ruled": len(self.rulings),
            "thresholds": [None if r.threshold == NEVER else r.threshold for r in self.rulings],
            "strong_items": self.asked,
            "stopped": self.stopped,
            "against_all_strong": self.cost.to_json(),
        }


def guaranteed(engine: Engine, job_id: str) -> Guaranteed | None:
    """None where the job has no guarantee."""
    at = guarantees.standing(engine, job_id)
    if at is None:
        return None
    spent = guarantees.costs(engine, job_id, at.promise.against)
    last = at.rulings[-1] if at.rulings else Ruling(NEVER, 0, 0, 0)
    return Guaranteed(
        at.promise,
        at.course.items,
        len(at.course.blocks),
        at.rulings,
        last.audited,
        last.lost,
        spent.asked,
        saving(at.promise.against, spent.strong, items=at.course.items, cost=spent.job, unpriced=spent.unpriced),
        at.stopped,
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """``arms``: the recipes; ``winner``: as it is written down (the rest went to it), else as it stands now."""

    arms: tuple[str, str]
    share: float
    report: Report
    winner: str | None
    decided_at: int | None

    def to_json(self) -> dict[str, Any]:
        found = self.report
        return {
            "arms": {
                name: {"recipe": recipe, "items": found.arms[name].items, "judged": found.arms[name].judged.n}
                for name, recipe in zip((choices.FIRST, choices.SECOND), self.arms, strict=True)
            },
            "share": self.share,
            "accuracy": found.accuracy.to_json(),
            "agreement": found.agreement.to_json(),
            "cost_micro": found.cost.to_json(),
            "calls": found.calls.to_json(),
            "winner": self.winner,
            "decided_at": self.decided_at,
            "why": found.why,
        }


def compared(engine: Engine, job_id: str) -> Compared | None:
    """None where the job is no experiment. Raises ``NotFound``."""
    with engine.begin() as connection:
        trial = experiments.trial(connection, job_id)
    if trial.choice.get("kind") != choices.EXPERIMENT:
        return None
    choice, found = trial.choice, choosing.report(trial)
    return Compared(tuple(choice["arms"]), choice["share"], found, choice.get("winner"), choice.get("decided_at"))


@dataclass(frozen=True, slots=True)
class Learned:
    """A bandit: what is known of its arms, the odds of the next chunk, and what each arm alone would have earned."""

    place: Place
    known: dict[str, bandits.Arm]
    odds: dict[str, float]
    values: tuple[Value, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "team": self.place.team,
            "use_case": self.place.use_case,
            "latest_job": self.place.job,
            "jobs": self.place.jobs,
            "frozen": self.place.frozen,
            "arms": [
                {
                    "recipe": value.arm,
                    "right": self.known[value.arm].right,
                    "wrong": self.known[value.arm].wrong,
                    "mean": round(self.known[value.arm].mean, 6),
                    "cost_micro": self.known[value.arm].cost,
                    "utility": round(self.utility(value.arm), 6),
                    "propensity": self.odds[value.arm],
                    "off_policy": {k: v for k, v in value.to_json().items() if k != "arm"},
                }
                for value in self.values
            ],
        }

    def utility(self, arm: str) -> float:
        return bandits.utility(self.known, arm, self.known[arm].mean)


def learned(engine: Engine, use_case: str | None) -> list[Learned]:
    """Every bandit, or those of a use case; the latest first."""
    with engine.begin() as connection:
        found = []
        for place in experiments.places(connection, use_case):
            known = experiments.known(connection, place.job, place.team, place.use_case, place.arms)
            dearest = max((arm.cost or 0.0 for arm in known.values()), default=0.0)
            price = bandits.COST_WEIGHT / dearest if dearest else 0.0
            log = experiments.log(connection, place, _MOST_CHUNKS, price)
            odds = bandits.pick(known, 0, frozen=place.frozen).propensities
            values = tuple(policies.value_of(arm, log) for arm in sorted(known))
            found.append(Learned(place, known, odds, values))
    return found


def freeze(engine: Engine, use_case: str, team: str | None, *, on: bool) -> list[tuple[str, bool]]:
    """Turn a use case's bandits off or on; (team, was it another way before) of each. Raises ``UsageError``."""
    with engine.begin() as connection:
        teams = sorted({place.team for place in experiments.places(connection, use_case)})
    if team is not None:
        teams = [name for name in teams if name == team]
    if not teams:
        raise UsageError(
            f"no bandit has learned for the use case {use_case[:100]!r}" + (f" of team {team[:100]!r}" if team else ""),
            hint="switchyard bandit lists those that have",
        )
    return [(name, experiments.freeze(engine, name, use_case, on=on)) for name in teams]
