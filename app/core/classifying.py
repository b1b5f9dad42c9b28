"""What a request is like, before anybody is chosen for it: complexity, domain, size, haste, what it may cost. Pure.

Rules of words and sizes, each with a name that ``explain`` shows; a producer's own word comes before any of them. The
instruction says what is wanted: in a job with a prompt that is the prompt, and its items are data; only where a job has
none does the item itself say it. Words are looked for in the first 2,000 characters, sizes and personal data in all.

Lanes stay few, because a lane is a queue of its own: an item with personal data is ``private`` and nothing else, a long
one goes by its size alone, ``hard`` goes with no domain but code. That is eleven lanes for the most mixed of jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.core.pricing import guess_tokens
from app.core.routing import Lane, Routing
from app.core.task import Task
from app.core.values import TaskKind, Tier

Complexity = Literal["factual", "creative", "reasoning", "multi-step"]
Domain = Literal["code", "long-documents", "creative", "extraction", "images", "none"]
"""But for ``none`` they are words of capability that a model may have in the fleet file."""
Haste = Literal["interactive", "batch"]

_HARD = frozenset(("reasoning", "multi-step"))
_READ_CHARS = 2_000
_INTERACTIVE_S = 120.0
_LONG_TOKENS = 8_000
_LEAST_CHARS_A_TOKEN = 6
"""More than tokenizers make of prose in any language: what fills a window by this measure surely does not fit."""
_WINDOWS = (8_192, 32_768, 131_072, 524_288)
"""The windows that lanes tell apart: an item that surely does not fit into one asks for more."""

_I = re.IGNORECASE
_CODE = re.compile(
    r"```|\bdef \w+\(|\bfunction \w*\(|#include\s*<|\bSELECT\b.{1,200}\bFROM\b|\bpublic (?:static|class)\b|=>\s*\{"
    r"|Traceback \(most recent|\bNullPointerException\b|\bsegfault\b|\bimport \w+\n|</\w+>\s*</"
)
_CODE_MARKS = frozenset(("select", "traceback", "import", "public", "nullpointerexception", "segfault"))
_CODE_WORDS = frozenset((
    "python", "javascript", "typescript", "java", "rust", "golang", "c++", "sql", "regex", "bash", "html", "css",
    "function", "method", "class", "compiler", "compile", "refactor", "unittest", "stacktrace", "api", "library",
    "algorithm", "script", "code", "bug", "debug", "program", "programm",
))  # fmt: skip
_CREATIVE = re.compile(
    r"\b(?:write|compose|invent|make up|imagine|draft|schreib\w*|écri\w*|escrib\w*)\b.{0,60}"
    r"\b(?:poem|story|stories|haiku|sonnet|song|lyrics|slogan|tagline|limerick|novel|screenplay|fairy tale|joke"
    r"|gedicht|geschichte|poème|histoire|poema|cuento)\b",
    _I | re.DOTALL,
)
_EXTRACTION = re.compile(
    r"\b(?:extract|list|pull out|find)\b.{0,30}\b(?:all|every|each)\b.{0,60}\b(?:names?|dates?|amounts?|entities"
    r"|addresses|places|people|companies|numbers|fields)\b|\bextract the\b",
    _I,
)
_REASONING = re.compile(
    r"\b(?:prove|derive|deduce|step[- ]by[- ]step|solve for|integral|theorem|probability that|how many .{1,80}\bif\b"
    r"|explain why|what would happen if|trade-?offs?|pros and cons|argue|justify|beweise?|démontre\w*)\b",
    _I,
)
_WORD = re.compile(r"[^\W\d_]+\+{0,2}")
_WORKS = frozenset((
    "poem", "story", "stories", "haiku", "sonnet", "song", "lyrics", "slogan", "tagline", "limerick", "novel",
    "screenplay", "fairy", "joke", "dialogue", "gedicht", "geschichte", "poème", "histoire", "poema", "cuento",
))  # fmt: skip
_TAKING_WORDS = frozenset(("extract", "list", "pull", "find"))
_REASON_WORDS = frozenset((
    "prove", "derive", "deduce", "step", "solve", "integral", "theorem", "probability", "many", "explain", "happen",
    "tradeoff", "tradeoffs", "trade", "pros", "argue", "justify", "beweis", "beweise", "démontre", "démontrez",
    "démontrer",
))  # fmt: skip
_STEP_WORDS = frozenset(["step", "first", "second", "then", "after", "next", "finally", "zuerst", "danach"])
_STEPS = re.compile(
    r"(?m)^\s*(?:step\s+)?[1-9][.)]\s|\b(?:first|second|then|after that|next|finally|zuerst|danach)\b[, ]", _I
)


@dataclass(frozen=True, slots=True)
class Trait:
    """What was found, and the rule that found it."""

    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Traits:
    """Of a job's ordinary item. ``cost``: how dear an answer may be, low, medium or high."""

    complexity: Trait
    domain: Trait
    latency: Trait
    cost: Trait

    def to_json(self) -> dict[str, Any]:
        return {
            name: {"value": trait.value, "why": trait.why}
            for name in ("complexity", "domain", "latency", "cost")
            if (trait := getattr(self, name))
        }


@dataclass(frozen=True, slots=True)
class Classifier:
    """Of a job's items. ``by_words``: which traits the item's own words may change; ``by_size``: may its size make it a
    long document; ``widest``: the widest window (in tokens) of those who may serve, 0 where nobody knows: no lane asks
    for more."""

    ordinary: Traits
    by_words: frozenset[str] = frozenset()
    by_size: bool = True
    widest: int = 0
    hard: bool = False
    """The producer says that all of them are."""

    def lane(self) -> Lane:
        """Of an ordinary item."""
        domain = self.ordinary.domain.value
        return Lane(domain="" if domain == "none" else domain, hard=self.hard)

    def of(self, text: str, said: str | None = None) -> dict[str, Any] | None:
        """How an item differs from the job's ordinary one; None: not at all. ``said``: of a chat, its last turn."""
        found: dict[str, Any] = {}
        if len(text) > _LONG_TOKENS * 2 and (tokens := guess_tokens(text)) > _LONG_TOKENS:
            found["tokens"] = tokens
            if (least := _window(len(text) // _LEAST_CHARS_A_TOKEN, self.widest)) > 0:
                found["context"] = least
            if self.by_size:
                found["domain"] = ["long-documents", f"about {tokens} tokens, more than {_LONG_TOKENS}"]
        if self.by_words and "tokens" not in found:
            read = (text if said is None else said)[:_READ_CHARS]
            words = _words(read)
            for name, trait in (("complexity", _complexity(read, words)), ("domain", _domain(read, words))):
                if name in self.by_words and trait is not None and trait.value != getattr(self.ordinary, name).value:
                    found[name] = [trait.value, trait.why]
        return found or None

    def lane_of(self, found: Mapping[str, Any] | None) -> Lane:
        """``found``: as ``of`` gives it."""
        ordinary = self.lane()
        if not found:
            return ordinary
        if "tokens" in found:
            domain = found["domain"][0] if "domain" in found else ordinary.domain
            return Lane(domain=domain, hard=ordinary.hard, context=found.get("context", 0))
        domain = found["domain"][0] if "domain" in found else ordinary.domain
        hard = ordinary.hard or ("complexity" in found and found["complexity"][0] in _HARD)
        return Lane(domain=domain if domain == "code" or not hard or ordinary.hard else "", hard=hard)


def classifier(
    task: Task, tier: Tier, routing: Routing, *, deadline_s: float, max_cost_usd: float | None = None, widest: int = 0
) -> Classifier:
    """Of a job. ``routing`` holds what its producer says of its items."""
    instruction = "" if task.prompt is None else task.prompt[:_READ_CHARS]
    free = task.kind is TaskKind.GENERATE
    open_traits = {name for name in ("complexity", "domain") if not getattr(routing, name)}
    read = _complexity(instruction, _words(instruction)) if free and instruction else None
    complexity = read or Trait("factual", "nothing in it says otherwise")
    if not free:
        complexity = Trait("factual", f"the task is {task.kind.value}: the answer stands in the item")
    domain = _domain(instruction, _words(instruction)) if free and instruction else None
    if task.kind is TaskKind.EXTRACT:
        domain = Trait("extraction", "the task is extract")
    said = "the producer says so"
    return Classifier(
        Traits(
            Trait(routing.complexity, said) if routing.complexity else complexity,
            Trait(routing.domain, said) if routing.domain else domain or Trait("none", "no rule fits"),
            _latency(routing, deadline_s),
            _cost(tier, max_cost_usd),
        ),
        frozenset(open_traits) if free and task.prompt is None else frozenset(),
        not routing.domain,
        widest,
        hard=routing.complexity in _HARD,
    )


def _latency(routing: Routing, deadline_s: float) -> Trait:
    if routing.latency:
        return Trait(routing.latency, "the producer says so")
    if deadline_s <= _INTERACTIVE_S:
        return Trait("interactive", f"the deadline is {deadline_s:g} s away, no more than {_INTERACTIVE_S:g}")
    return Trait("batch", f"the deadline is more than {_INTERACTIVE_S:g} s away")


def _cost(tier: Tier, max_cost_usd: float | None) -> Trait:
    if max_cost_usd is not None:
        return Trait("low", f"the job may cost {max_cost_usd:g} USD at most")
    value = {Tier.CHEAP: "low", Tier.STANDARD: "medium", Tier.COMPLEX: "high", Tier.PRIVATE: "low"}[tier]
    return Trait(value, f"tier {tier.value}")


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def _complexity(text: str, words: frozenset[str]) -> Trait | None:
    """A rule is only tried where one of its words is there at all: most texts hold none."""
    if ("\n" in text or words & _STEP_WORDS) and len(_STEPS.findall(text)) >= 3:
        return Trait("multi-step", "three steps or more, numbered or in words of order")
    if text.count("?") >= 4:
        return Trait("multi-step", f"{text.count('?')} questions in one")
    if words & _REASON_WORDS and (match := _REASONING.search(text)):
        return Trait("reasoning", f"it says “{match.group()[:40]}”")
    if words & _WORKS and (match := _CREATIVE.search(text)):
        return Trait("creative", f"it says “{match.group()[:60]}”")
    return None


def _domain(text: str, words: frozenset[str]) -> Trait | None:
    if ("(" in text or "`" in text or "<" in text or words & _CODE_MARKS) and _CODE.search(text):
        return Trait("code", "it holds lines of code")
    if len(of_code := words & _CODE_WORDS) >= 2:
        return Trait("code", f"words of programming: {', '.join(sorted(of_code)[:4])}")
    if words & _WORKS and (match := _CREATIVE.search(text)):
        return Trait("creative", f"it says “{match.group()[:60]}”")
    if words & _TAKING_WORDS and (match := _EXTRACTION.search(text)):
        return Trait("extraction", f"it says “{match.group()[:60]}”")
    return None


def _window(tokens: int, widest: int) -> int:
    """A token more than the widest of ``_WINDOWS`` that so many fill, where anybody has that; 0: any may do."""
    return max((window + 1 for window in _WINDOWS if window <= tokens and window < widest), default=0)
