"""What a job, and what is known of an item, ask of whoever answers: the terms on which deployments are chosen.

Items of one job that may go to the same deployments share a lane and travel together; one plan serves a whole chunk.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from app.core.recipe import Recipe
from app.core.task import Task
from app.core.values import TaskKind, Tier


@dataclass(frozen=True, slots=True)
class Lane:
    """Why items of one job do not travel together. ``private``: local deployments only, whatever the job says.

    ``domain``: the field whose specialists come first; ``hard``: the strongest come first; ``context``: tokens of
    window that are needed at least; ``arm``: of the job's experiment; ``alone``: never packed with others;
    ``audit``: put to the job's baseline as well.
    """

    private: bool = False
    domain: str = ""
    hard: bool = False
    context: int = 0
    arm: str = ""
    alone: bool = False
    audit: bool = False

    def __str__(self) -> str:
        """Short and canonical: equal lanes are equal texts, and that of most items is empty."""
        words = [name for name in ("private", "hard", "alone", "audit") if getattr(self, name)]
        words += [f"{name}={value}" for name in ("domain", "context", "arm") if (value := getattr(self, name))]
        return " ".join(words)

    @classmethod
    def parse(cls, text: str) -> Lane:
        lane = cls()
        for word in text.split():
            name, _, value = word.partition("=")
            known: Any = int(value) if name == "context" else value or True
            lane = replace(lane, **{name: known})
        return lane


@dataclass(frozen=True, slots=True)
class Routing:
    """A job's own wishes beside tier and recipe; what is not wished for is not written down.

    ``exclude``: providers or provider/model; ``max_latency_ms``: of an ordinary call; ``max_call_micro``: of its cost;
    ``optimise``: the preset of the score's weights; ``balance``: how load is spread among equals; ``privacy``: what
    becomes of an item with personal data (``guard``: local deployments only; ``redact``: leaves without it).
    ``complexity``, ``domain``, ``latency``: what the producer says of its items, in the words of ``core.classifying``.
    ``baseline``: the deployment that the receipt compares with, ``audit``: the share of the items put to it for that.
    """

    exclude: tuple[str, ...] = ()
    max_latency_ms: int | None = None
    max_call_micro: int | None = None
    optimise: str = ""
    balance: str = ""
    privacy: str = ""
    complexity: str = ""
    domain: str = ""
    latency: str = ""
    baseline: str = ""
    audit: float = 0.0

    def to_json(self) -> dict[str, Any]:
        unset = Routing()
        return {key: value for key, value in asdict(self).items() if value != getattr(unset, key)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Routing:
        return cls(**{**data, "exclude": tuple(data.get("exclude", ()))})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a deployment that is to be seated."""

    tier: Tier
    recipe: Recipe
    needs: frozenset[str] = frozenset()
    min_context: int = 0
    priced: bool = False
    """The job has a budget, which can be kept only where a price is known."""
    routing: Routing = field(default_factory=Routing)
    lane: Lane = field(default_factory=Lane)
    exact: bool = True
    """Answers are of a closed form, labels or JSON: the same or not. Free text is never quite the same."""
    pack: int = 1
    """Items that go into one call, at most."""
    labels: int | None = None
    """How many the task has; None: it has no closed set of them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A job's terms for the items of one lane. ``budget``: it has a ``--max-cost``. ``pack``: items that go into one
    call at most; 0: that is still to be found out (``--pack auto``).
    """

    tier: Tier
    task: Task
    budget: bool = False
    routing: Routing = field(default_factory=Routing)
    lane: Lane = field(default_factory=Lane)
    pack: int = 1

    @classmethod
    def of(cls, lane: str, tier: str, task: dict[str, Any], budget: bool, routing: dict[str, Any], pack: int) -> Terms:
        """From a lane's text and a job's columns in the ledger."""
        return cls(Tier(tier), Task.from_json(task), budget, Routing.from_json(routing), Lane.parse(lane), pack)

    @property
    def packs(self) -> bool:
        """May items of this lane travel in packs? What is private is shown to nobody's neighbour."""
        return self.pack != 1 and not (self.lane.alone or self.lane.private)

    def wanted(self, recipe: Recipe) -> Wanted:
        task = self.task
        needs = frozenset({"json"}) if task.kind is TaskKind.EXTRACT and task.schema is not None else frozenset[str]()
        return Wanted(
            Tier.PRIVATE if self.lane.private else self.tier,
            recipe,
            needs,
            min_context=self.lane.context,
            priced=self.budget,
            routing=self.routing,
            lane=self.lane,
            exact=task.kind is not TaskKind.GENERATE,
            pack=max(1, self.pack) if self.packs and recipe.shape.voice == "voice" else 1,
            labels=len(task.labels) or None,
        )
