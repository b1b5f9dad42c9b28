"""What one edition would take, said before anybody is called: its steps with calls, tokens and money.

Rough, and honest about it: how many entries the feeds will hold, and how long they are, nobody knows before they are
read, so the counts are the most that the paper allows, and the lengths are ordinary ones. The models, the strategies
and the prices are those that would be asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.core.errors import UsageError
from app.core.values import Deployment
from app.ledger.door import Row
from app.newspaper import checking, drafts
from app.newspaper.edition import Kind
from app.newspaper.paper import Paper, Step
from app.services.estimating import Estimate, estimate
from app.services.jobspec import spec_of
from app.services.press.serving import served
from app.services.suitability import able

_OPENING_CHARS = 700
_SOURCES_CHARS = 6_000
"""Of one story: two tellings of ordinary length."""
_CHARS_A_WORD = 6
_DOUBTFUL = 0.05
"""Pairs that need a vote, of the articles."""
_SORTS = ("sort:desk", "sort:importance", "sort:genre", "sort:language")
_WEEK_WORDS = 600


@dataclass(frozen=True, slots=True)
class StepPlan:
    """``items``: at most. ``strategy`` and ``tier``: those wished, or what the fleet has instead. ``estimate`` None:
    nobody of the fleet may serve it, ``why`` says more; the edition goes on without."""

    step: str
    strategy: str
    tier: str
    items: int
    estimate: Estimate | None
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        found = {"step": self.step, "strategy": self.strategy, "tier": self.tier, "items": self.items}
        return {**found, "estimate": None if self.estimate is None else self.estimate.to_json(), "why": self.why}


@dataclass(frozen=True, slots=True)
class Plan:
    """``articles`` and ``stories``: at most. ``cost_usd``: (low, high) of what has a price; None where nothing has."""

    kind: Kind
    feeds: int
    articles: int
    stories: int
    minutes: float
    steps: tuple[StepPlan, ...]
    max_cost_usd: float | None

    @property
    def calls(self) -> tuple[int, int]:
        low, high = self._sum("calls")
        return int(low), int(high)

    @property
    def cost_usd(self) -> tuple[float, float] | None:
        priced = [s.estimate.cost_usd for s in self.steps if s.estimate is not None and s.estimate.cost_usd is not None]
        return (sum(low for low, _ in priced), sum(high for _, high in priced)) if priced else None

    def _sum(self, name: str) -> tuple[float, float]:
        found = [getattr(step.estimate, name) for step in self.steps if step.estimate is not None]
        return sum(low for low, _ in found), sum(high for _, high in found)

    def to_json(self) -> dict[str, Any]:
        found = {name: value for name, value in asdict(self).items() if name != "steps"}
        return {
            **found,
            "steps": [step.to_json() for step in self.steps],
            "calls": self.calls,
            "input_tokens": self._sum("input_tokens"),
            "output_tokens": self._sum("output_tokens"),
            "cost_usd": self.cost_usd,
        }


def plan(paper: Paper, kind: Kind, fleet: Sequence[Deployment]) -> Plan:
    """Calls nobody and reads no feed. Rewriting and checking again are not in it."""
    appearance = paper.appearance(kind) or paper.daily
    daily = kind == "daily"
    articles = sum(feed.most for feed in paper.feed) if daily else 0
    stories = min(paper.stories, sum(desk.most for desk in paper.desk), articles)
    steps = _daily(paper, articles, stories) if daily else _told(paper, kind)
    return Plan(
        kind,
        len(paper.feed) if daily else 0,
        articles,
        stories,
        appearance.minutes if appearance is not None else 60.0,
        tuple(_step(name, step, spec, items, chars, fleet) for name, step, spec, items, chars in steps),
        paper.max_cost_usd,
    )


_Line = tuple[str, Step, Mapping[str, Any], int, int]
"""Name, step, its task, items at most, characters of one."""


def _daily(paper: Paper, articles: int, stories: int) -> list[_Line]:
    choice = {"task": "classify", "labels": [*(desk.name for desk in paper.desk), "none of these"]}
    pair = {"task": "classify", "labels": ["same", "different"]}
    told = paper.words * _CHARS_A_WORD
    return [
        ("merge", paper.steps.merge, pair, round(articles * _DOUBTFUL), 2 * _OPENING_CHARS),
        *((name, paper.steps.sort, choice, articles, _OPENING_CHARS) for name in _SORTS),
        ("write", paper.steps.write, _written(paper, drafts.ARTICLE, paper.words), stories, _SOURCES_CHARS),
        ("check", paper.steps.check, _checked(), stories, 3 * told),
        *_front(paper, paper.steps.lead, min(paper.front, stories) * told),
    ]


def _told(paper: Paper, kind: Kind) -> list[_Line]:
    step = paper.steps.lead if kind == "weekly" else paper.steps.growth
    return _front(paper, step, _WEEK_WORDS * _CHARS_A_WORD, kind)


def _front(paper: Paper, step: Step, chars: int, name: str = "lead") -> list[_Line]:
    written = _written(paper, drafts.ARTICLE, paper.words)
    checked = 3 * paper.words * _CHARS_A_WORD
    return [(name, step, written, 1, chars), (f"check of {name}", paper.steps.check, _checked(), 1, checked)]


def _written(paper: Paper, words: str, length: int) -> dict[str, Any]:
    prompt = drafts.prompt(words, language=paper.language, style=paper.style, length=length)
    return {"task": "extract", "schema": drafts.SCHEMA, "prompt": prompt}


def _checked() -> dict[str, Any]:
    return {"task": "extract", "schema": checking.SCHEMA, "prompt": checking.PROMPT}


def _step(
    name: str, step: Step, task: Mapping[str, Any], items: int, chars: int, fleet: Sequence[Deployment]
) -> StepPlan:
    fields = {**task, "strategy": step.strategy, "tier": step.tier, "pack": step.pack}
    try:
        fields = served({key: value for key, value in fields.items() if key != "pack" or step.pack > 1}, fleet)
        spec = spec_of(fields)
        serving = able(fleet, spec.wanted, None)
    except UsageError as error:
        return StepPlan(name, step.strategy, step.tier, items, None, str(error))
    rows = (Row(n, str(n), "x" * chars) for n in range(1, items + 1))
    made = estimate(serving, spec.wanted, spec.task_of_items, rows) if items else None
    return StepPlan(name, fields["strategy"], spec.tier, items, made)
