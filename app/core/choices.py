"""How a job's recipe is chosen where it has more than one: an experiment, a bandit, a guarantee's two ways.

    experiment(majority-vote(council=3), single-query, 0.5)     half of the items to each; the share is the second's
    bandit(majority-vote, single-query)                         chunk by chunk, by what has paid so far
    bandit(single-query, models=a/x+b/y+c/z)                    the same over deployments, the others standing behind

A job's ``recipe`` is always one plain recipe (the first arm's); the choice is stored beside it, and what was chosen for
a chunk stands in its plan. So a plan replays by itself, whatever the choice was.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from app.core import recipe as recipes
from app.core.errors import RecipeError
from app.core.recipe import Recipe

EXPERIMENT, BANDIT, GUARANTEE = "experiment", "bandit", "guarantee"
FIRST, SECOND = "a", "b"
"""The arms of an experiment, as lanes name them."""
MOST_ARMS = 12


@dataclass(frozen=True, slots=True)
class Experiment:
    """Two recipes; ``share`` of the items goes to the second."""

    arms: tuple[Recipe, Recipe]
    share: float

    def arm_of(self, custom_id: str, use_case: str) -> str:
        """By a stable hash: the same item of the same use case is in the same arm in every run."""
        digest = hashlib.blake2b(f"{use_case}\0{custom_id}".encode(), digest_size=8).digest()
        return SECOND if int.from_bytes(digest, "big") < self.share * 2**64 else FIRST

    def recipe(self, arm: str) -> Recipe:
        return self.arms[arm == SECOND]

    def to_json(self) -> dict[str, Any]:
        return {"kind": EXPERIMENT, "arms": [str(arm) for arm in self.arms], "share": self.share}


@dataclass(frozen=True, slots=True)
class Bandit:
    arms: tuple[Recipe, ...]

    def to_json(self) -> dict[str, Any]:
        return {"kind": BANDIT, "arms": [str(arm) for arm in self.arms]}


Choice = Experiment | Bandit


def parse(text: str, council: int | None = None, full: bool | None = None, check: str | None = None) -> Recipe | Choice:
    """A plain recipe, or a choice among several, with what they leave out. Raises ``RecipeError``."""
    form = re.fullmatch(r"\s*(experiment|bandit)\s*\((.*)\)\s*", text, re.DOTALL)
    if form is None:
        return recipes.parse(text, council, full, check)
    parts = _parts(form.group(2))
    if form.group(1) == EXPERIMENT:
        return _experiment(parts, council, full, check)
    return _bandit(parts, council, full, check)


def plain(choice: Recipe | Choice) -> Recipe:
    """The one recipe that stands for it."""
    return choice if isinstance(choice, Recipe) else choice.arms[0]


def from_json(data: dict[str, Any]) -> Choice:
    arms = tuple(recipes.parse(arm) for arm in data["arms"])
    if data["kind"] == EXPERIMENT:
        return Experiment((arms[0], arms[1]), data["share"])
    return Bandit(arms)


def _experiment(parts: list[str], council: int | None, full: bool | None, check: str | None) -> Experiment:
    hint = "write experiment(majority-vote, single-query, 0.5)"
    if len(parts) == 2:
        parts = [*parts, "0.5"]
    if len(parts) != 3:
        raise RecipeError(f"an experiment has two recipes and a share, not {len(parts)} parts", hint=hint)
    if not re.fullmatch(r"0?\.\d{1,4}", parts[2]) or float(parts[2]) == 0:
        raise RecipeError(f"{parts[2][:40]!r} is no share of the items", hint="choose more than 0 and less than 1")
    arms = _distinct([recipes.parse(part, council, full, check) for part in parts[:2]])
    return Experiment((arms[0], arms[1]), float(parts[2]))


def _bandit(parts: list[str], council: int | None, full: bool | None, check: str | None) -> Bandit:
    pinned = next((p.partition("=")[2] for p in parts if re.match(r"models\s*=", p)), None)
    if pinned is not None:
        if len(parts) != 2:
            raise RecipeError("a bandit over models has one recipe", hint="bandit(single-query, models=a/x+b/y)")
        names = [name.strip() for name in pinned.split("+")]
        base = parts[0].rstrip()
        inner = base[:-1] + ", " if base.endswith(")") and not base.endswith("()") else base.removesuffix("()") + "("
        # Each has its turn as the first; the others stand behind it, should it fail.
        parts = [f"{inner}models={'+'.join(names[n:] + names[:n])})" for n in range(len(names))]
    arms = _distinct([recipes.parse(part, council, full, check) for part in parts])
    if not 2 <= len(arms) <= MOST_ARMS:
        raise RecipeError(f"a bandit has 2 to {MOST_ARMS} arms, not {len(arms)}", hint="bandit(RECIPE, RECIPE, ...)")
    return Bandit(arms)


def _distinct(arms: list[Recipe]) -> tuple[Recipe, ...]:
    if len(set(arms)) < len(arms):
        raise RecipeError("two arms are the same recipe", hint="a choice is among recipes that differ")
    return tuple(arms)


def _parts(text: str) -> list[str]:
    """Split at the commas that are in no parentheses."""
    parts, depth, current = [], 0, ""
    for char in text:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            break
        if char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    if depth != 0:
        raise RecipeError(f"the parentheses of {text[:60]!r} do not close")
    parts.append(current.strip())
    return parts
