"""Arms at the door: whether the fleet can serve every arm of a job's choice, and which item goes to which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches

from app.core.choices import Choice, Experiment
from app.core.errors import RecipeError, UsageError
from app.core.recipe import Recipe
from app.core.routing import Lane, Wanted
from app.core.selection import eligible
from app.core.values import Deployment
from app.ledger.door import Row
from app.services.suitability import Latencies, able


def check_guarantee(
    level: float | None, against: str | None, task: str, strategy: str | None, similar: float | None, pack: int | str
) -> None:
    """Raises ``ValueError`` for a guarantee that cannot be given, with what to do."""
    if level is None:
        if against is not None:
            raise ValueError("against names the model of a guarantee: give the guarantee too, as 0.98")
        if (strategy or "").strip().startswith("guaranteed"):
            raise ValueError("guaranteed is chosen by a guarantee: give guarantee and against, and leave strategy out")
        return
    if against is None:
        raise ValueError("a guarantee needs against, the model (provider/model) that the answers are to agree with")
    if strategy is not None:
        raise ValueError("a guarantee has a strategy of its own: leave strategy out, council says how many voices")
    if task == "generate":
        raise ValueError("a guarantee is for classify and extract: two free texts are never quite the same")
    if similar is not None or pack != 1:
        raise ValueError("a guarantee counts every item for itself: leave similar and pack out")


def check_arms(
    deployments: Iterable[Deployment], choice: Recipe | Choice, wanted: Wanted, latencies: Latencies | None
) -> None:
    """Raises ``UsageError`` for an arm that nobody of the fleet may serve, or a model to agree with that is not there
    or may not serve."""
    fleet = list(deployments)
    if isinstance(choice, Recipe):
        if choice.against:
            _check_against(fleet, choice, wanted)
        return
    for arm in choice.arms:
        if arm.against:
            raise RecipeError("guaranteed is no arm of a choice", hint="submit it by itself, with --guarantee")
        able(fleet, replace(wanted, recipe=arm), latencies)


def _check_against(fleet: list[Deployment], recipe: Recipe, wanted: Wanted) -> None:
    found = next((d for d in fleet if d.name == recipe.against), None)
    if found is None:
        near = get_close_matches(recipe.against, [d.name for d in fleet], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "switchyard fleet lists them"
        raise UsageError(f"the fleet has no deployment {recipe.against!r} to agree with", hint=hint)
    why = eligible(found, wanted)
    if why is not None:
        raise UsageError(f"{found.name} may not serve this job ({why}), so nothing can be promised against it")
    others = {d.family for d in fleet if d.name != found.name and eligible(d, wanted) is None}
    if len(others) < recipe.council:
        raise UsageError(
            f"{recipe.council} cheap voices need as many model families beside {found.name}, and the fleet has "
            f"{len(others)} for tier {wanted.tier.value}",
            hint="choose a smaller --council",
        )


def in_arms(choice: Recipe | Choice, use_case: str, rows: Iterable[Row]) -> Iterable[Row]:
    """The rows, those of an experiment with their arm in their lane."""
    return _split(choice, use_case, rows) if isinstance(choice, Experiment) else rows


def _split(choice: Experiment, use_case: str, rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        lane = replace(Lane.parse(row.lane), arm=choice.arm_of(row.custom_id, use_case))
        yield replace(row, lane=str(lane))
