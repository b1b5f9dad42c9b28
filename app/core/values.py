"""The nouns every floor shares: tiers, limits, deployments, requests, answers, failures.

Plain frozen dataclasses: they are made some thousand times a second on the hot path.
Units are in the names: ``_s`` seconds, ``_ms`` milliseconds, ``_micro`` millionths of a US dollar.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Tier(StrEnum):
    """How much capability a job wants. ``private`` is served by local deployments only."""

    CHEAP = "cheap"
    STANDARD = "standard"
    COMPLEX = "complex"
    PRIVATE = "private"


class TaskKind(StrEnum):
    CLASSIFY = "classify"
    EXTRACT = "extract"
    GENERATE = "generate"


class FailureKind(StrEnum):
    """Why a seat gave no answer. The first block is what providers do, the last what we decide ourselves."""

    RATE_LIMIT = "rate_limit"
    QUOTA_EXHAUSTED = "quota_exhausted"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    MALFORMED = "malformed"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    AUTH = "auth"
    BILLING = "billing"
    MODEL_NOT_FOUND = "model_not_found"
    INVALID_REQUEST = "invalid_request"

    BREAKER_OPEN = "breaker_open"
    BUDGET = "budget"
    OVERDUE = "overdue"
    AMBIGUOUS = "ambiguous"
    PRIVACY = "privacy"


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider allows. ``None`` means it names no such limit."""

    rpm: int | None = None
    rpd: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    concurrency: int | None = None
    rph: int | None = None
    tph: int | None = None
    rpmo: int | None = None
    tpmo: int | None = None
    """Requests (``r``) and tokens (``t``) a minute, hour, day and month."""


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per million tokens (0.05 USD per million tokens is 50_000). A price that nobody knows is None."""

    input_micro: int
    output_micro: int
    cached_input_micro: int | None = None
    """Of input that the provider had cached. None: no other price is known for it, it is billed as input."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One (provider, model) pair: what can be called. ``name`` is ``provider/model``."""

    provider: str
    model: str
    tier: Tier
    family: str
    context_window: int
    max_output: int
    price: Price | None = None
    """None: unknown, and so is what its calls cost. Never taken for free."""
    capabilities: frozenset[str] = frozenset()
    quality: float = 0.5
    local: bool = False
    limits: Limits = Limits()
    """Limits of this model alone; those of its provider stand on the provider."""
    provider_limits: Limits = Limits()
    keys: int = 1
    """How many keys have these limits, each for itself."""
    timeout_s: float = 60.0

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def reasoning(self) -> bool:
        """Does it think aloud before it answers? Then it needs room for that."""
        return "reasoning" in self.capabilities


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question to one deployment, in no vendor's words. A dialect leaves out what a vendor does not take."""

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_mode: bool = False
    schema: dict[str, Any] | None = None
    """JSON Schema that the answer is to be held to, where the vendor can; the prompt asks for it in any case."""
    effort: str | None = None
    """How much to reason: ``none``, ``minimal``, ``low``, ``medium``, ``high``. None: as the vendor does by itself."""

    @property
    def wants_json(self) -> bool:
        return self.json_mode or self.schema is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens in disjoint buckets: their sum is what the provider counted."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    stated_input: int | None = field(default=None, compare=False)
    stated_output: int | None = field(default=None, compare=False)
    """The vendor's two headline counts as it gave them, for bug reports; vendors differ in what these include."""

    @property
    def total(self) -> int:
        return self.input_tokens + self.cached_tokens + self.output_tokens + self.reasoning_tokens


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said, normalised. ``text`` never holds reasoning."""

    text: str
    usage: Usage = Usage()
    reasoning: str = ""
    finish: Finish = Finish.STOP
    model: str = ""
    request_id: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """One limit as a response told it. What it did not tell is ``None``; ``reset_s`` counts from that response."""

    rule: str
    """``rpm``, ``rph``, ``rpd``, ``rpmo`` (requests a minute, hour, day, month), ``t…`` for tokens; ``concurrency``."""
    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Expected trouble, as a value. ``message`` is safe to store: it holds no key."""

    kind: FailureKind
    message: str = ""
    status: int | None = None
    retry_after_s: float | None = None
    usage: Usage = field(default_factory=Usage)
    """Tokens that a failing call still cost (an empty answer is billed all the same)."""
    finish: Finish | None = None
    """How the generation ended, where there was one: a refusal may say ``stop``."""
    limit: Observed | None = field(default=None, compare=False)
    """The limit that a refusal names as the one that was passed."""
