"""What a job is: one description, filled from argv by the command line and from JSON by the Celery door."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.core import choices, packing, similarity
from app.core import recipe as recipes
from app.core.balancing import Mode
from app.core.choices import Choice
from app.core.classifying import Complexity, Domain, Haste
from app.core.errors import InputError, UsageError
from app.core.guarantee import Promise
from app.core.pattern import MOST_PATTERN
from app.core.recipe import Recipe
from app.core.routing import Routing, Terms, Wanted
from app.core.selection import Preset
from app.core.task import Task
from app.core.values import TaskKind, Tier
from app.ledger.door import Row
from app.services.acceptance import check_means, check_pattern, usual_check
from app.services.arms import check_guarantee
from app.services.auditing import AUDIT_SHARE
from app.services.rows import BadRow, check_row

MAX_MESSAGE_ITEMS = 50_000
MAX_MESSAGE_BYTES = 20_000_000
_MAX_SCHEMA_BYTES = 100_000
_SCHEMA_TYPES = ("object", "array", "string", "boolean", "number", "integer", "null")

_Tag = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]*$")]


class JobSpec(BaseModel):
    """What a producer wants of a job, beside its items. Strict: no unknown field, no number given as a string."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True
    )

    task: Literal["classify", "extract", "generate"]
    labels: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=1000)
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    """JSON Schema; ``app.core.schema`` says which part of it is checked."""
    prompt: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    """Replaces the standing instruction. Where it holds ``{text}``, the item's text is put there."""
    strategy: Annotated[str, Field(max_length=4000)] | None = None
    """A recipe, or a choice among several (``core.choices``).
    Left out: ``majority-vote`` for classify, ``single-query`` for the others."""
    council: Annotated[int, Field(ge=1, le=recipes.MAX_COUNCIL)] | None = None
    full_council: bool = False
    tier: Literal["cheap", "standard", "complex", "private"] = "cheap"
    team: _Tag = "default"
    use_case: _Tag = "default"
    deadline_s: Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)] = 86_400.0
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    max_cost_usd: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = None
    exclude: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=200)
    """Providers or deployments (``provider/model``) that are never asked."""
    max_latency_s: Annotated[float, Field(ge=0.001, le=3600, allow_inf_nan=False)] | None = None
    """Only those of which an ordinary call takes no longer, by what was measured lately."""
    max_call_cost_usd: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None
    """Only those of which an ordinary call costs no more, and none whose price nobody knows."""
    optimise: Preset = "balanced"
    """What weighs most in the score of those that may serve."""
    balance: Mode | None = None
    """How load is spread among equals. Left out: as the fleet file says for the tier, else soonest-free."""
    allow_cached: bool = False
    """Where nobody can be asked, take an earlier job's decision on the same question (same task, words and team)."""
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")] | None = None
    dedupe: bool = True
    """Ask identical items once, and nothing that another job of the team with the same task is asking just now."""
    similar: Annotated[float, Field(ge=similarity.LEAST, le=1, allow_inf_nan=False)] | None = None
    """Ask items once that are at least so alike (Jaccard's index of their shingles)."""
    reuse_votes_s: Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)] | None = None
    """Take votes that the team has bought up to so long ago, by the same prompt of the same model."""
    pack: Annotated[int, Field(ge=1, le=packing.MOST)] | Literal["auto"] = 1
    """Short items that go into one call, at most; ``auto``: as many as a sample shows to change no answer."""
    privacy: Literal["guard", "redact"] = "guard"
    """Of items with personal data or secrets: they are asked of local deployments only, or leave without it."""
    complexity: Complexity | None = None
    domain: Domain | None = None
    latency: Haste | None = None
    """What the items are like, where the producer knows it better than the rules of ``app.core.classifying``."""

    baseline: Annotated[str, Field(min_length=3, max_length=200)] | None = None
    """Provider/model that the receipt compares with: it is asked of a share of the items, drawn at random."""
    audit: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None

    guarantee: Annotated[float, Field(ge=0.5, le=0.999, allow_inf_nan=False)] | None = None
    """Share of the items whose answer is that of ``against`` at least, with ``confidence``."""
    against: Annotated[str, Field(min_length=3, max_length=200)] | None = None
    confidence: Annotated[float, Field(ge=0.5, le=0.999, allow_inf_nan=False)] = 0.95

    accept_pattern: Annotated[str, Field(min_length=1, max_length=MOST_PATTERN)] | None = None
    """A regular expression that an answer has to match as a whole; what does not is no answer (``core.pattern``)."""
    rubric: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    """What a judge holds an answer to that is to be accepted."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.task == "classify":
            if len(self.labels) < 2:
                raise ValueError("classify needs at least two labels")
            twice = [label for label, count in Counter(self.labels).items() if count > 1]
            if twice:
                raise ValueError(f"the label {twice[0]!r} is given twice")
            if any(label != label.strip() or not label.isprintable() for label in self.labels):
                raise ValueError("a label is one line of printable characters, without blanks at its ends")
        elif self.labels:
            raise ValueError(f"labels are for classify, not for {self.task}")
        if self.schema_ is not None:
            if self.task != "extract":
                raise ValueError(f"a schema is for extract, not for {self.task}")
            _check_schema(self.schema_)
        if not self.dedupe and (self.similar is not None or self.reuse_votes_s is not None):
            raise ValueError("without dedupe every item is asked anew: leave similar and reuse_votes_s out")
        if self.pack == "auto" and self.task == "generate":
            raise ValueError("pack auto compares answers, and free texts are never equal: give a number")
        check_guarantee(self.guarantee, self.against, self.task, self.strategy, self.similar, self.pack)
        if self.audit is not None and self.baseline is None:
            raise ValueError("audit is the share of the items that are put to a baseline: name one")
        if self.prompt is not None and not _storable(self.prompt):
            raise ValueError("the prompt holds a NUL character or half of a surrogate pair")
        check_pattern(self.task, self.accept_pattern)
        if self.rubric is not None and not _storable(self.rubric):
            raise ValueError("the rubric holds a NUL character or half of a surrogate pair")
        return self

    @property
    def recipe(self) -> Recipe:
        """The one that stands for the job. Raises ``RecipeError``."""
        return choices.plain(self.choice)

    @property
    def choice(self) -> Recipe | Choice:
        """Raises ``RecipeError``, and ``UsageError`` where it goes by what was not given."""
        default = "majority-vote" if self.task == "classify" else "single-query"
        if self.guarantee is not None:
            default = f"guaranteed(against={self.against})"
        check = usual_check(self.task, self.accept_pattern, self.rubric)
        choice = choices.parse(self.strategy or default, self.council, True if self.full_council else None, check)
        check_means([choice] if isinstance(choice, Recipe) else choice.arms, self.accept_pattern, self.rubric)
        return choice

    @property
    def choice_json(self) -> dict[str, Any] | None:
        """As the job keeps it; None where it has one recipe."""
        choice = self.choice
        if self.guarantee is not None and self.against is not None:
            promise = Promise(self.guarantee, self.confidence, self.against)
            return {"kind": choices.GUARANTEE, **promise.to_json(), "council": self.recipe.council}
        return None if isinstance(choice, Recipe) else choice.to_json()

    @property
    def wanted(self) -> Wanted:
        budget = self.max_cost_usd is not None
        terms = Terms(Tier(self.tier), self.task_of_items, budget, self.routing, pack=self.most_in_a_pack)
        return terms.wanted(self.recipe)

    @property
    def routing(self) -> Routing:
        return Routing(
            exclude=tuple(sorted(set(self.exclude))),
            max_latency_ms=None if self.max_latency_s is None else round(self.max_latency_s * 1000),
            max_call_micro=None if self.max_call_cost_usd is None else round(self.max_call_cost_usd * 1_000_000),
            # Whoever says that a person waits, and nothing else, wants the quick ones.
            optimise=self.optimise if self.optimise != "balanced" else "latency" * (self.latency == "interactive"),
            balance=self.balance or "",
            privacy="" if self.privacy == "guard" else self.privacy,
            complexity=self.complexity or "",
            domain=self.domain or "",
            latency=self.latency or "",
            baseline=self.baseline or "",
            audit=0.0 if self.baseline is None else self.audit or AUDIT_SHARE,
        )

    @property
    def most_in_a_pack(self) -> int:
        """0: to be found out."""
        return 0 if self.pack == "auto" else self.pack

    @property
    def task_of_items(self) -> Task:
        kind = TaskKind(self.task)
        return Task(kind, tuple(self.labels), self.schema_, self.prompt, self.accept_pattern, self.rubric)


class Item(BaseModel):
    """One item of a message. ``custom_id`` left out: its number, from 1."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    text: str
    custom_id: str | None = None
    gold: str | None = None


class SubmitMessage(JobSpec):
    """The keyword arguments of ``switchyard.submit``: a job's description and its items, 20 MB of text at most."""

    items: list[Item] = Field(min_length=1, max_length=MAX_MESSAGE_ITEMS)

    @model_validator(mode="after")
    def _small_enough(self) -> Self:
        if sum(len(item.text) for item in self.items) > MAX_MESSAGE_BYTES:
            raise ValueError(f"the items hold more than {MAX_MESSAGE_BYTES // 1_000_000} MB of text")
        return self

    def rows(self) -> Iterator[Row]:
        for number, item in enumerate(self.items, 1):
            custom_id = item.custom_id if item.custom_id is not None else str(number)
            try:
                check_row(custom_id, item.text, item.gold, self.labels)
            except BadRow as reason:
                raise InputError(f"item {number}: {reason}") from None
            yield Row(number, custom_id, item.text, item.gold)


def spec_of(fields: dict[str, Any]) -> JobSpec:
    """``JobSpec`` from fields by their names. Raises ``UsageError`` that names the first wrong one."""
    try:
        return JobSpec.model_validate(fields)
    except ValidationError as error:
        raise UsageError(_sentence(error)) from None


def message_of(kwargs: Any) -> SubmitMessage:
    """The message of another service, checked but for its rows. Raises ``UsageError``, never anything else."""
    try:
        return SubmitMessage.model_validate(kwargs)
    except ValidationError as error:
        raise UsageError(_sentence(error)) from None


def _check_schema(schema: dict[str, Any]) -> None:
    """Raises ``ValueError`` for what is no JSON Schema in the part that is checked, or cannot be stored."""
    try:
        size = len(orjson.dumps(schema))
    except (TypeError, RecursionError) as error:  # JSONEncodeError is a TypeError
        raise ValueError(f"the schema cannot be written as JSON: {str(error)[:100]}") from None
    if size > _MAX_SCHEMA_BYTES:
        raise ValueError(f"the schema is larger than {_MAX_SCHEMA_BYTES // 1000} kB")
    _check_storable(schema, "schema")
    _check_node(schema, "schema")


def _check_storable(value: Any, path: str) -> None:
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{path} holds a NUL character")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} holds a number that is none")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_storable(key, path)
            _check_storable(inner, path)
    elif isinstance(value, list):
        for inner in value:
            _check_storable(inner, path)


def _check_node(node: Any, path: str) -> None:
    if isinstance(node, bool):
        return
    if not isinstance(node, dict):
        raise ValueError(f"{path} must be an object")
    kinds = node.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in _SCHEMA_TYPES:
            near = difflib.get_close_matches(str(kind), _SCHEMA_TYPES, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_SCHEMA_TYPES)}"
            raise ValueError(f"{path}.type: there is no type {str(kind)[:40]!r}; {meant}")
    required = node.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise ValueError(f"{path}.required must be a list of names")
    if not isinstance(node.get("enum", []), list):
        raise ValueError(f"{path}.enum must be a list")
    properties = node.get("properties", {})
    if not isinstance(properties, dict):
        raise ValueError(f"{path}.properties must be an object")
    for name, inner in properties.items():
        _check_node(inner, f"{path}.properties.{name[:40]}")
    for key in ("items", "additionalProperties"):
        if key in node:
            _check_node(node[key], f"{path}.{key}")


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _sentence(error: ValidationError) -> str:
    """The first problem in one line, values left out: they may be anybody's data, of any size."""
    problems = error.errors(include_url=False, include_input=False)
    first = problems[0]
    path = [str(part)[:40] for part in first["loc"]]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must", 1)
    if first["type"] == "extra_forbidden":
        known = Item.model_fields if "items" in path else SubmitMessage.model_fields
        near = difflib.get_close_matches(path[-1], [field.alias or name for name, field in known.items()], n=1)
        message = "there is no such field" + (f"; did you mean {near[0]!r}?" if near else "")
    where = f"{'.'.join(path)!r}: " if path else ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return " ".join(f"{where}{message}{more}".split())
