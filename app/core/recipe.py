"""Recipes: a strategy with its version and parameters, ``majority-vote@1(council=3, quorum=2)``.

A recipe is stored with the job in this canonical form, every parameter spelled out, so that a default that
changes later does not change what an old job meant.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache

from app.core.errors import RecipeError

MAX_COUNCIL = 15
MAX_TRIES_AT_ONE_SEAT = 3

_FORM = re.compile(r"\s*([a-z][a-z-]*)(?:@(\d+))?\s*(?:\(([^()]*)\)\s*)?")
_VERSIONS = {"single-query": 1, "majority-vote": 1, "synthesize-best": 1, "ranked-fallback": 1}
_PARAMETERS: dict[str, tuple[str, ...]] = {
    "single-query": ("attempts",),
    "majority-vote": ("council", "quorum", "full", "attempts"),
    "synthesize-best": ("council", "attempts"),
    "ranked-fallback": ("council", "attempts"),
}
STRATEGIES = tuple(_VERSIONS)


@dataclass(frozen=True, slots=True)
class Recipe:
    """``council`` voices at most, ``quorum`` equal ones settle it, ``attempts`` calls an item at most."""

    strategy: str
    council: int
    quorum: int
    attempts: int
    full: bool = False
    version: int = 1

    def __str__(self) -> str:
        values = {
            "council": self.council,
            "quorum": self.quorum,
            "full": str(self.full).lower(),
            "attempts": self.attempts,
        }
        shown = ", ".join(f"{key}={values[key]}" for key in _PARAMETERS[self.strategy])
        return f"{self.strategy}@{self.version}({shown})"


@lru_cache(maxsize=256)
def parse(text: str, council: int | None = None, full: bool | None = None) -> Recipe:
    """Read a recipe; ``council`` and ``full`` override what the text leaves out.

    Raises ``RecipeError`` with the nearest known word.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise RecipeError(f"{text!r} is not a recipe", hint="write it as majority-vote or majority-vote@1(council=3)")
    strategy, version, inner = form.group(1), form.group(2), form.group(3) or ""
    if strategy not in _VERSIONS:
        raise RecipeError(f"there is no strategy {strategy!r}", hint=_nearest(strategy, STRATEGIES))
    if version is not None and version != str(_VERSIONS[strategy]):
        raise RecipeError(f"{strategy} has no version {version}", hint=f"the version is {_VERSIONS[strategy]}")
    given = _read_parameters(strategy, inner)
    if council is not None:
        given["council"] = council
    if full is not None and "full" in _PARAMETERS[strategy]:
        given["full"] = int(full)
    return _build(strategy, given)


def _read_parameters(strategy: str, inner: str) -> dict[str, int]:
    given: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in inner.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in _PARAMETERS[strategy]:
            raise RecipeError(f"{strategy} has no parameter {key!r}", hint=_nearest(key, _PARAMETERS[strategy]))
        if key in given:
            raise RecipeError(f"{key} is given twice")
        if key == "full":
            if value not in ("true", "false"):
                raise RecipeError(f"full={value} is not possible", hint="choose true or false")
            given[key] = int(value == "true")
        elif value.isascii() and value.isdigit() and len(value) < 6:
            given[key] = int(value)
        else:
            raise RecipeError(f"{key}={value} is not a whole number")
    return given


def _build(strategy: str, given: dict[str, int]) -> Recipe:
    council = 1 if strategy == "single-query" else given.get("council", 3)
    if not 1 <= council <= MAX_COUNCIL:
        raise RecipeError(f"a council of {council} is not possible", hint=f"choose 1 to {MAX_COUNCIL}")
    quorum = given.get("quorum", council // 2 + 1)
    if not 1 <= quorum <= council:
        raise RecipeError(f"a quorum of {quorum} is not possible in a council of {council}")
    attempts = given.get("attempts", max(6, 3 * council + (3 if strategy == "synthesize-best" else 0)))
    if not council <= attempts <= 100:
        raise RecipeError(f"{attempts} attempts do not cover a council of {council}", hint="choose council to 100")
    return Recipe(strategy, council, quorum, attempts, bool(given.get("full", 0)), _VERSIONS[strategy])


def _nearest(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
