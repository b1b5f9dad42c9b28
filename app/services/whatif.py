"""Other recipes over a job's votes: what one of them would have said, and a search for the best."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Engine

from app.core.ballots import Status
from app.core.errors import UsageError
from app.core.plan import VOICE, Plan, Seat
from app.core.recipe import Recipe
from app.core.routing import Wanted
from app.core.seating import seat_chunk
from app.core.tracks import Track
from app.core.tuning import LEAST_CASES, Search, Tuned, part
from app.core.values import Deployment, TaskKind, Tier
from app.core.whatif import Case, Played, Player
from app.ledger.purchases import Purchase, purchases, question

_EXAMPLES = 20
_ANY_S = 1e6
"""A horizon within which everybody has room."""
MOST_CASES = 4_000
"""Items that a search looks at: enough to tell recipes apart, and held in memory."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """What another recipe would have said to the votes that were bought.

    ``unknown``: items for which it wants a vote that was never bought. ``accuracy_*``: over the items with a known
    truth that both have decided; None where there are none. ``calls_*`` and ``cost_usd_*``: over the items that are not
    unknown; a cost is None where one of its calls has an unknown price.
    """

    recipe: str
    items: int
    same: int
    changed: int
    unknown: int
    undecided: int
    accuracy_before: float | None
    accuracy_after: float | None
    calls_before: float
    calls_after: float
    cost_usd_before: float | None
    cost_usd_after: float | None
    examples: tuple[tuple[str, str | None, str | None], ...]
    """(custom_id, answer before, answer now) of the first that changed."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def under(engine: Engine, job_id: str, recipe: Recipe, known: Iterable[Deployment] = ()) -> Counterfactual:
    """Re-tally a job under another recipe, without a call. ``known``: the fleet's deployments, for their order.

    Raises ``NotFound``.
    """
    _, task = question(engine, job_id)
    theatre = _Theatre({d.name: d for d in known}, equal=task.kind is TaskKind.CLASSIFY)
    tally = _Tally(str(recipe))
    for purchase in purchases(engine, job_id):
        if recipe == purchase.plan.recipe:
            tally.take(purchase, purchase.as_it_was())
            continue
        player = theatre.player(recipe, purchase.plan)
        tally.take(purchase, None if player is None else player.play(purchase.case))
    return tally.result()


def tune(engine: Engine, job_id: str, known: Iterable[Deployment] = (), share: float = 0.5) -> Tuned:
    """Search recipes over a job's votes. ``share``: of the items on which they are found, the others judge them.

    Raises ``NotFound``, and ``UsageError`` where too little is known.
    """
    _, task = question(engine, job_id)
    if task.kind is not TaskKind.CLASSIFY:
        raise UsageError("only classify jobs can be tuned: free text has no answers to count")
    seats: dict[str, Seat] = {}

    def case(purchase: Purchase) -> Case:
        for seat in purchase.plan.seats:
            if seat.role == VOICE:
                seats.setdefault(seat.deployment, seat)
        return purchase.case

    # By the same hash that splits them, so that a larger job is sampled and not cut off.
    bought = (case(purchase) for purchase in purchases(engine, job_id))
    cases = heapq.nsmallest(MOST_CASES, bought, key=lambda c: part(f"{c.custom_id}/sample"))
    theatre = _Theatre({d.name: d for d in known}, equal=True)
    everyone = tuple(seats.values())

    def player(recipe: Recipe) -> Player | None:
        return theatre.player(recipe, Plan(recipe, everyone, labels=len(task.labels)))

    try:
        return Search(player, share).run(cases)
    except ValueError as error:
        raise UsageError(
            f"job {job_id} cannot be tuned: {error}",
            hint=f"it wants {LEAST_CASES} items with a known answer (--gold, or switchyard outcome), and votes of "
            "the same models on all: submit a sample with "
            "--strategy 'majority-vote(council=5, full=true, models=a/x+b/y+...)'",
        ) from None


class _Theatre:
    """Players by recipe and by who sat there, so that chunks alike share one. ``equal``: see ``Player``."""

    def __init__(self, known: Mapping[str, Deployment], *, equal: bool) -> None:
        self._known = known
        self._equal = equal
        self._players: dict[tuple[str, tuple[Seat, ...]], Player | None] = {}

    def player(self, recipe: Recipe, plan: Plan) -> Player | None:
        """None where nobody of those who sat there may be seated under the recipe."""
        key = (str(recipe), tuple(replace(s, latency_ms=None, window=None) for s in plan.seats if s.role == VOICE))
        if key not in self._players:
            seated = self._seated(recipe, plan)
            self._players[key] = None if seated is None else Player(seated, equal=self._equal)
        return self._players[key]

    def _seated(self, recipe: Recipe, plan: Plan) -> Plan | None:
        """As the plan sat, where the recipe takes them as they come; in its own order where it has one."""
        voices = list({s.deployment: s for s in plan.seats if s.role == VOICE}.values())
        if not voices:  # thinkers, workers and verifiers only: nobody was put the plain question
            return None
        if not recipe.models and recipe.shape.order == "free":
            return replace(plan, recipe=recipe, seats=tuple(voices), closed=None, threshold=None)
        tracks = [Track(self._deployment(s), pace=1.0, latency_ms=s.latency_ms or 1000.0) for s in voices]
        chunk = seat_chunk(
            tracks, Wanted(Tier.CHEAP, recipe), available=1, chunk_size=1, horizon_s=_ANY_S, seed=plan.seed
        )
        return None if chunk is None else replace(chunk.plan, skills=plan.skills)

    def _deployment(self, seat: Seat) -> Deployment:
        """As the fleet file has it; one that has left it is known by its seat only."""
        known = self._known.get(seat.deployment)
        if known is not None:
            return replace(known, family=seat.family, quality=seat.quality)
        provider, _, model = seat.deployment.partition("/")
        return Deployment(provider, model, Tier.CHEAP, seat.family, seat.window or 1 << 20, 4096, quality=seat.quality)


class _Tally:
    """Before and after, added up an item at a time."""

    def __init__(self, recipe: str) -> None:
        self._recipe = recipe
        self._items = self._same = self._changed = self._unknown = self._undecided = 0
        self._with_truth = self._right_before = self._right_after = 0
        self._calls = [0.0, 0.0]
        self._micro: list[float | None] = [0.0, 0.0]
        self._examples: list[tuple[str, str | None, str | None]] = []

    def take(self, purchase: Purchase, played: Played | None) -> None:
        self._items += 1
        if played is None:
            self._unknown += 1
            return
        answer, was, case = played.verdict.answer, purchase.answer, purchase.case
        self._undecided += played.verdict.status is not Status.DECIDED
        if answer == was:
            self._same += 1
        else:
            self._changed += 1
            if len(self._examples) < _EXAMPLES:
                self._examples.append((case.custom_id, was, answer))
        for place, at in enumerate((purchase.as_it_was(), played)):
            self._calls[place] += at.calls
            self._micro[place] = _plus(self._micro[place], at.cost_micro)
        if case.truth is not None and answer is not None and was is not None:
            self._with_truth += 1
            self._right_before += was == case.truth
            self._right_after += answer == case.truth

    def result(self) -> Counterfactual:
        def share(right: int) -> float | None:
            return round(right / self._with_truth, 4) if self._with_truth else None

        before, after = (None if micro is None else round(micro / 1e6, 6) for micro in self._micro)
        return Counterfactual(
            self._recipe, self._items, self._same, self._changed, self._unknown, self._undecided,
            share(self._right_before), share(self._right_after),
            round(self._calls[0], 2), round(self._calls[1], 2), before, after, tuple(self._examples),
        )  # fmt: skip


def _plus(total: float | None, cost: float | None) -> float | None:
    return None if total is None or cost is None else total + cost
