"""Recipes: a strategy with its version and parameters, ``majority-vote@1(council=3, quorum=2)``.

A recipe is stored with the job in this canonical form, every parameter spelled out, so that a default that
changes later does not change what an old job meant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from app.core.errors import RecipeError

MAX_COUNCIL = 15
MAX_TRIES_AT_ONE_SEAT = 3
MAX_ROUNDS = 5

AGREEMENT, CONTRACT, PATTERN, JUDGED = "agreement", "contract", "pattern", "judge"
CHECKS = (AGREEMENT, CONTRACT, PATTERN, JUDGED)
"""What a cheap answer has to pass; the output contract in any case."""
STRONGEST = "strongest"

_FORM = re.compile(r"\s*([a-z][a-z-]*)(?:@(\d+))?\s*(?:\(([^()]*)\)\s*)?")


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a strategy before anybody is seated: all that seating and estimating have to know of it.

    ``parameters``: name → default, in the order of the canonical form; None: made from the council. ``order``: who is
    asked first: whoever is free soonest, the best, the cheap ones (``core.ladder``), or who knows the items' domain.
    ``roles``: seated beside the voices, the strongest first. ``most_voices``: where it is not the council's size.
    ``extra_calls``: beside the council's, at most. ``voice``: the role of those whose answers count. ``tallied``:
    voices are counted, and further ones called in where they differ. ``weighed``: by how often each is right
    (``Plan.skills``). ``late``: which of those that are free are called in for the later voices. ``likeness``:
    answers of free text are compared by their words. ``hedges``: whoever takes longer than mostly is not waited for.
    """

    version: int
    parameters: dict[str, Any]
    order: Literal["free", "rank", "ladder", "domain"] = "free"
    roles: tuple[str, ...] = ()
    most_voices: int | None = None
    extra_calls: int = 0
    voice: str = "voice"
    likeness: bool = False
    hedges: bool = False
    tallied: bool = False
    weighed: bool = False
    late: str = ""


SHAPES: dict[str, Shape] = {
    "single-query": Shape(1, {"attempts": None}, most_voices=1),
    "majority-vote": Shape(1, {"council": 3, "quorum": None, "full": False, "attempts": None}, tallied=True),
    "synthesize-best": Shape(1, {"council": 3, "attempts": None}, roles=("synthesiser",), extra_calls=1),
    "ranked-fallback": Shape(1, {"council": 3, "attempts": None}, order="rank"),
    "first-answer": Shape(1, {"council": 2, "attempts": None}, hedges=True),
    "best-of-n": Shape(1, {"council": 3, "attempts": None}, roles=("judge",), extra_calls=1),
    "vote-then-judge": Shape(1, {"council": 3, "quorum": None, "attempts": None}, roles=("judge",), extra_calls=1),
    "consensus": Shape(
        1, {"council": 3, "threshold": 0.8, "attempts": None}, roles=("synthesiser",), extra_calls=1, likeness=True
    ),
    "thinker-worker-verifier": Shape(
        1,
        {"rounds": 2, "attempts": None},
        roles=("thinker", "verifier"),
        most_voices=2,
        extra_calls=3,
        voice="worker",
    ),
    "guaranteed": Shape(1, {"council": 3, "against": None, "attempts": None}, roles=("strong",), extra_calls=1),
    "cheap-first": Shape(
        1,
        {"check": AGREEMENT, "threshold": 0.7, "attempts": None},
        order="ladder",
        roles=("verifier",),
        most_voices=3,
        extra_calls=1,
    ),
    "weighted-vote": Shape(
        1, {"council": 3, "threshold": 0.9, "attempts": None}, tallied=True, weighed=True, late=STRONGEST
    ),
    "first-ahead": Shape(1, {"council": 5, "ahead": None, "attempts": None}, tallied=True, late=STRONGEST),
    "specialist": Shape(1, {"attempts": None}, order="domain", most_voices=1),
}
STRATEGIES = tuple(SHAPES)


@dataclass(frozen=True, slots=True)
class Recipe:
    """``council`` voices at most, ``quorum`` equal ones settle it, ``attempts`` calls an item at most.

    ``models``: the only deployments that may be seated, in the order in which they are asked; empty: whom the fleet
    offers. ``threshold``, ``ahead``, ``check``, ``rounds``: as the strategy defines them. ``late``: ``strongest`` calls
    in the strongest that are free where voices differ; empty: as the strategy's shape has it.
    """

    strategy: str
    council: int
    quorum: int
    attempts: int
    full: bool = False
    version: int = 1
    threshold: float = 0.0
    ahead: int = 0
    check: str = ""
    rounds: int = 0
    models: tuple[str, ...] = ()
    against: str = ""
    """The one deployment that decides what the voices may not, see ``core.guarantee``. It is no voice."""
    late: str = ""
    weights: tuple[float, ...] = ()
    """Of the ``models``, in their order, in nats of log-odds: what their votes weigh, whatever is learned meanwhile."""

    @property
    def shape(self) -> Shape:
        return SHAPES[self.strategy]

    @property
    def roles(self) -> tuple[str, ...]:
        """Those seated beside the voices. Whom no judge checks needs none."""
        return self.shape.roles if self.check in ("", JUDGED) else ()

    @property
    def strongest_late(self) -> bool:
        return STRONGEST in (self.late, self.shape.late)

    def __str__(self) -> str:
        shown = [f"{key}={_written(getattr(self, key))}" for key in self.shape.parameters]
        if self.late:
            shown.append(f"late={self.late}")
        if self.models:
            shown.append(f"models={'+'.join(self.models)}")
        if self.weights:
            shown.append(f"weights={'+'.join(f'{weight:g}' for weight in self.weights)}")
        return f"{self.strategy}@{self.version}({', '.join(shown)})"


@lru_cache(maxsize=256)
def parse(text: str, council: int | None = None, full: bool | None = None, check: str | None = None) -> Recipe:
    """Read a recipe; ``council`` and ``full`` override what the text leaves out, ``check`` stands in for it.

    Raises ``RecipeError`` with the nearest known word.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise RecipeError(f"{text!r} is not a recipe", hint="write it as majority-vote or majority-vote@1(council=3)")
    strategy, version, inner = form.group(1), form.group(2), form.group(3) or ""
    if strategy not in SHAPES:
        raise RecipeError(f"there is no strategy {strategy!r}", hint=_nearest(strategy, STRATEGIES))
    shape = SHAPES[strategy]
    if version is not None and version != str(shape.version):
        raise RecipeError(f"{strategy} has no version {version}", hint=f"the version is {shape.version}")
    given = _read_parameters(strategy, inner)
    if council is not None and shape.most_voices is None:
        given["council"] = council
    if full is not None and "full" in shape.parameters:
        given["full"] = full
    if check is not None and "check" in shape.parameters:
        given.setdefault("check", check)
    return _build(strategy, given)


def _read_parameters(strategy: str, inner: str) -> dict[str, Any]:
    shape = SHAPES[strategy]
    known = (
        *shape.parameters,
        *(("late",) if shape.tallied else ()),
        "models",
        *(("weights",) if shape.weighed else ()),
    )
    given: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in inner.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in known:
            raise RecipeError(f"{strategy} has no parameter {key!r}", hint=_nearest(key, known))
        if key in given:
            raise RecipeError(f"{key} is given twice")
        given[key] = _READ[key](key, value)
    return given


def _whole(key: str, value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) < 6:
        return int(value)
    raise RecipeError(f"{key}={value} is not a whole number")


def _yes_or_no(key: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise RecipeError(f"{key}={value} is not possible", hint="choose true or false")
    return value == "true"


def _share(key: str, value: str) -> float:
    if re.fullmatch(r"(0(\.\d{1,4})?|1(\.0{1,4})?|\.\d{1,4})", value):
        return float(value)
    raise RecipeError(f"{key}={value} is not possible", hint="choose a share from 0 to 1, as 0.8")


def _one_of(*known: str) -> Callable[[str, str], str]:
    def read(key: str, value: str) -> str:
        if value not in known:
            raise RecipeError(f"{key}={value[:80]} is not possible", hint=_nearest(value, known))
        return value

    return read


def _names(key: str, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split("+"))
    if not all(re.fullmatch(r"[^\s/=]+/[^\s=]+", name) for name in names):
        raise RecipeError(f"{key}={value[:80]} does not name deployments", hint="write provider/model+provider/model")
    if len(set(names)) < len(names):
        raise RecipeError(f"{key} names one deployment twice")
    return names


def _weights(key: str, value: str) -> tuple[float, ...]:
    weights = [weight.strip() for weight in value.split("+")]
    if not all(re.fullmatch(r"\d{1,2}(\.\d{1,4})?", weight) for weight in weights):
        raise RecipeError(f"{key}={value[:80]} are no weights", hint="one for each of models, as 1.3+0.7+0.5")
    return tuple(float(weight) for weight in weights)


def _name(key: str, value: str) -> str:
    names = _names(key, value)
    if len(names) != 1:
        raise RecipeError(f"{key} names one deployment, as provider/model")
    return names[0]


_READ: dict[str, Callable[[str, str], Any]] = {
    "council": _whole,
    "quorum": _whole,
    "attempts": _whole,
    "full": _yes_or_no,
    "threshold": _share,
    "ahead": _whole,
    "rounds": _whole,
    "check": _one_of(*CHECKS),
    "late": _one_of(STRONGEST),
    "models": _names,
    "weights": _weights,
    "against": _name,
}


def fitted(recipe: Recipe, voices: int) -> Recipe:
    """The recipe for a fleet that has fewer voices than its quorum wants: the most that these can agree on."""
    if "quorum" not in recipe.shape.parameters or not 1 <= voices < recipe.quorum:
        return recipe
    return replace(recipe, council=voices, quorum=voices // 2 + 1)


def _build(strategy: str, given: dict[str, Any]) -> Recipe:
    shape = SHAPES[strategy]
    values = {**{key: default for key, default in shape.parameters.items() if default is not None}, **given}
    council = shape.most_voices or values.get("council", 3)
    if not 1 <= council <= MAX_COUNCIL:
        raise RecipeError(f"a council of {council} is not possible", hint=f"choose 1 to {MAX_COUNCIL}")
    quorum = values.get("quorum", council // 2 + 1)
    if not 1 <= quorum <= council:
        raise RecipeError(f"a quorum of {quorum} is not possible in a council of {council}")
    attempts = values.get("attempts", max(6, 3 * (council + shape.extra_calls)))
    if not council <= attempts <= 100:
        raise RecipeError(f"{attempts} attempts do not cover a council of {council}", hint="choose council to 100")
    if not 0 <= values.get("rounds", 0) <= MAX_ROUNDS or values.get("rounds") == 0:
        raise RecipeError(f"{values['rounds']} rounds are not possible", hint=f"choose 1 to {MAX_ROUNDS}")
    if "against" in shape.parameters and "against" not in values:
        raise RecipeError(f"{strategy} needs the model to agree with", hint="--against provider/model")
    if "ahead" in shape.parameters and not 1 <= values.setdefault("ahead", min(2, council)) <= council:
        raise RecipeError(f"ahead={values['ahead']} is not possible in a council of {council}")
    if len(values.get("weights", ())) not in (0, len(values.get("models", ()))):
        raise RecipeError("weights want one number for each of models, in their order")
    others = {key: values[key] for key in values if key not in ("council", "quorum", "attempts")}
    return Recipe(strategy, council, quorum, attempts, version=shape.version, **others)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _nearest(word: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(known)
