"""Manners: how one vendor wants a protocol's requests, where it deviates; and what a refusal says it will not take.

Deviations are data. A dialect's ``say`` reads them and knows no vendor's name; the table is in ``vendors``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.values import Failure, FailureKind


@dataclass(frozen=True, slots=True)
class Manners:
    """What a request to one deployment may hold, and under which names. What is not taken is left out."""

    max_tokens: str = "max_tokens"
    """Name of the field, in protocols whose vendors disagree about it."""
    temperature: bool = True
    hottest: float = 2.0
    """The highest temperature that is not refused."""
    seed: str = "seed"
    """Name of the field; empty: none is taken."""
    most_stops: int | None = None
    """Stop sequences beyond this are refused, so they are left out. None: no number is known; 0: none is taken."""
    json_object: bool = True
    json_schema: bool = True
    effort: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For each effort (``none``, ``minimal``, ``low``, ``medium``, ``high``) the fields that ask for it.
    A word that is missing is left to the vendor's default."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that every request holds."""
    headers: Mapping[str, str] = field(default_factory=dict)
    system: bool = True
    """False: there is no system role; its text opens the first turn of the user."""
    merges: bool = False
    """True: turns of one role in a row are refused, so they become one."""
    refused: frozenset[str] = frozenset()
    """What was given up since these manners were read: names as of ``refused_parameter``."""

    def without(self, parameter: str) -> Manners:
        """These manners, with what was refused given up; itself where there is nothing to give up.

        ``parameter`` as of ``refused_parameter``. The limit of tokens is never dropped: it changes its name once.
        """
        changes: dict[str, Any] = {}
        match parameter:
            case "max_tokens" | "max_completion_tokens":
                other = "max_completion_tokens" if parameter == "max_tokens" else "max_tokens"
                if self.max_tokens == parameter and other not in self.refused:
                    changes["max_tokens"] = other
            case "temperature" if self.temperature:
                changes["temperature"] = False
            case "seed" if self.seed:
                changes["seed"] = ""
            case "stop" if self.most_stops != 0:
                changes["most_stops"] = 0
            case "json_schema" if self.json_schema:
                changes["json_schema"] = False
            case "json_schema" | "response_format" if self.json_object or self.json_schema:
                changes |= {"json_object": False, "json_schema": False}
            case "effort" if self.effort or self.extra:
                changes |= {"effort": {}, "extra": {}}
            case "system" if self.system:
                changes["system"] = False
            case "alternation" if not self.merges:
                changes["merges"] = True
        return replace(self, **changes, refused=self.refused | {parameter}) if changes else self


_NAMES: dict[str, str] = {
    "max_completion_tokens": r"max_?completion_?tokens",
    "max_tokens": r"max_?tokens",
    "temperature": r"temperature",
    "seed": r"(?:random_)?seed",
    "stop": r"stop[ _]?sequences?|[`'\"]stop[`'\"]|parameters?:? stop\b|stop (?:is|parameter)\b",
    "json_schema": r"json[ _]schema|(?:response|output)_?json_?schema|structured[ _]outputs?|compiled grammar"
    r"|invalid schema for response_format",
    "response_format": r"response[ _]?format|json[ _](?:object|mode)|response_?mime_?type|output_config\.format"
    r"|text\.format",
    "effort": r"reasoning(?:_?effort|_?format|\.effort)?\b|chat_template_kwargs|enable_thinking"
    r"|thinking(?:_?(?:config|level|budget)|\.type\S*)?\b|budget_tokens|output_config|\beffort\b"
    r"|[`'\"]think[`'\"]|think value",
    "system": r"(?:system|developer) (?:role|messages?|prompts?|instructions?)"
    r"|role:? [`'\"]?(?:system|developer)\b|[`'\"](?:system|developer)[`'\"] role",
    "alternation": r"roles? must alternate|alternate between|alternating (?:user|roles?)"
    r"|after the \(?optional\)? system messages?",
}  # fmt: skip
_NAMED = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _NAMES.items()), re.IGNORECASE)
_REFUSES = re.compile(
    r"unsupported|(?:is|are|was)(?: currently)? ?(?:not|n't) (?:supported|allowed|permitted|enabled|available|accepted"
    r"|recogni[sz]ed|compatible)|not supported|(?:does|do)(?: not|n't) (?:currently )?(?:support|accept|allow|take)"
    r"|deprecated|unrecogni[sz]ed|unknown (?:name|parameter|field|argument|key|option)"
    r"|unexpected (?:keyword|field|argument|parameter|property)|cannot find field|extra inputs|extra fields|extraneous"
    r"|not permitted|not allowed|no such (?:parameter|field)|only the default|only \S+ is (?:allowed|supported)"
    r"|(?:may|can|must) only be|must be (?:set to )?(?:1|one of)|invalid temperature|invalid schema"
    r"|cannot be (?:used|set|specified|combined|disabled)|incompatible with|mutually exclusive|must alternate"
    r"|alternate between|alternating|system messages? must"
    r"|(?:schema|grammar) is too",
    re.IGNORECASE,
)
_LONGEST_READ = 2_000


def refused_parameter(failure: Failure) -> str | None:
    """What of a request a vendor will not take, where its refusal says so; None where it says nothing of the kind.

    The names are ours, whatever the vendor calls it: ``max_tokens``, ``max_completion_tokens``, ``temperature``,
    ``seed``, ``stop``, ``json_schema``, ``response_format``, ``effort``, ``system``, ``alternation`` (turns of one
    role in a row). Of several that are named the first counts: what follows is mostly advice ("use X instead").
    Sources of the sentences: recorded refusals, and issues of the vendors' clients.

    Warning: a refusal whose text names no parameter (pydantic's "Extra inputs are not permitted" keeps the name in a
    field of its own) is not understood.
    """
    if failure.kind is not FailureKind.INVALID_REQUEST:
        return None
    said = failure.message[:_LONGEST_READ]
    if _REFUSES.search(said) is None:
        return None
    found = _NAMED.search(said)
    if found is None or found.lastgroup is None:
        return None
    if found.lastgroup == "response_format" and re.search(_NAMES["json_schema"], said, re.IGNORECASE):
        return "json_schema"
    return found.lastgroup
