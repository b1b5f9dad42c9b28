"""What is known of each vendor's manners, as data: a row for a host, and for models that differ there.

Sources, as of 2026-11: the API references of the vendors named; for reasoning, console.groq.com/docs/reasoning,
inference-docs.cerebras.ai/capabilities/reasoning, platform.openai.com/docs/guides/reasoning,
openrouter.ai/docs/use-cases/reasoning-tokens, api-docs.deepseek.com/guides/thinking_mode, docs.z.ai (thinking mode),
platform.kimi.ai/docs/api/models-overview, docs.mistral.ai/capabilities/reasoning,
ai.google.dev/gemini-api/docs/thinking and /openai, platform.claude.com/docs/en/build-with-claude (thinking, effort,
structured outputs), docs.cohere.com/docs/reasoning and /compatibility-api, docs.ollama.com/capabilities/thinking,
qwen.readthedocs.io/en/latest/deployment/vllm.html; the vendors' own Python clients for the shapes; and issues of
clients for what is refused in practice.

A host that is not here (loopback too) gets the protocol's plain manners, and what it refuses is learned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from app.dialects.manners import Manners

_WORDS = ("none", "minimal", "low", "medium", "high")
_Fields = dict[str, Any]


def _efforts(fields: Callable[[Any], _Fields], *values: Any) -> dict[str, _Fields]:
    """The fields for each of the five words; None: the vendor's default is as near as it gets."""
    return {word: fields(value) for word, value in zip(_WORDS, values, strict=True) if value is not None}


def _effort(value: str) -> _Fields:
    return {"reasoning_effort": value}


def _reasoning(value: str) -> _Fields:
    return {"reasoning": {"effort": value}}


def _thinking(value: str) -> _Fields:
    return {"thinking": {"type": value}}


def _template(value: bool) -> _Fields:
    return {"chat_template_kwargs": {"enable_thinking": value}}


def _budget(tokens: int) -> _Fields:
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


def _adaptive(value: str) -> _Fields:
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": value}}


def _cohere(tokens: int) -> _Fields:
    return {"thinking": {"type": "enabled", "token_budget": tokens}}


def _gemini_level(value: str) -> _Fields:
    return {"thinkingConfig": {"thinkingLevel": value}}


def _gemini_budget(tokens: int) -> _Fields:
    return {"thinkingConfig": {"thinkingBudget": tokens}}


# Where thinking is a switch, low is nearer to off than to on.
_OFF = ("disabled", "disabled", "disabled", None, None)
_LOW_UP = ("low", "low", "low", "medium", "high")
_NONE_UP = ("none", "low", "low", "medium", "high")
_MINIMAL_UP = ("minimal", "minimal", "low", "medium", "high")
_AS_ASKED = _WORDS
_LOW_OR_HIGH = ("low", "low", "low", "high", "high")
_NONE_OR_HIGH = ("none", "none", "none", "high", "high")

STYLES: Mapping[str, Mapping[str, _Fields]] = {
    "openai": _efforts(_effort, *_LOW_UP),
    "reasoning": _efforts(_reasoning, *_LOW_UP),
    "template": _efforts(_template, False, False, False, True, True),
    "switch": _efforts(lambda on: {"enable_thinking": on}, False, False, False, True, True),
    "thinking": _efforts(_thinking, *_OFF),
    "default": {},
}
"""Ways of asking for effort that a model's row in the fleet file may name: ``effort-openai``, ``effort-template`` …"""

PLAIN: Mapping[str, Manners] = {
    "openai": Manners(),
    # The protocol has no seed and no stop sequences; compatible servers refuse what they do not know.
    "openai_responses": Manners(max_tokens="max_output_tokens", seed="", most_stops=0),
    "anthropic": Manners(seed="", hottest=1.0, json_object=False, merges=True),
    "gemini": Manners(max_tokens="maxOutputTokens", most_stops=5, merges=True),
    "cohere": Manners(most_stops=5, hottest=1.0),
    # The schemas of the models name no stop.
    "cloudflare": Manners(most_stops=0),
    "ollama": Manners(max_tokens="num_predict"),
}


@dataclass(frozen=True, slots=True)
class _Row:
    """``host``: the end of the host's name; empty: any, where one vendor made the protocol. ``model``: a pattern that
    is looked for in the lower-case model id."""

    protocol: str
    host: str
    model: str
    changes: Mapping[str, Any]


def _row(protocol: str, host: str, model: str = "", **changes: Any) -> _Row:
    return _Row(protocol, host, model, changes)


_THINKERS = r"(?:^|/)(?:o[134](?:-|$)|gpt-5(?!.*chat))"
"""OpenAI's reasoning models: the default temperature only, and ``max_completion_tokens``."""
_O_SERIES = r"(?:^|/)o[134](?:-|$)"
_GPT_5_POINT = r"(?:^|/)gpt-5\.\d(?!.*chat)"
_GPT_OSS = r"gpt-oss"
_GEMMA = r"gemma-?[123]"
_GEMINI_3_PRO = r"gemini-(?:[3-9]|\d\d)(?:\.\d+)?-pro"
_GEMINI_3_FLASH = r"gemini-(?:[3-9]|\d\d)(?:\.\d+)?-flash"
_ADAPTIVE = r"claude-(?:opus|sonnet)-4-6|claude-opus-4-[789]|claude-(?:opus|sonnet|haiku|fable)-[5-9](?!\d)"
_UNHEATED = r"claude-opus-4-[789]|claude-(?:opus|sonnet|haiku|fable)-[5-9](?!\d)"
_BUDGETED = r"claude-(?:3-7|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:-20\d{6})?$|(?:opus|sonnet)-4-20\d{6})"


def _openai_itself(host: str) -> Iterable[_Row]:
    yield _row("openai", host, max_tokens="max_completion_tokens", most_stops=4)
    yield from _openai_models(host)


def _openai_models(host: str) -> Iterable[_Row]:
    yield _row("openai", host, _THINKERS, max_tokens="max_completion_tokens", temperature=False, most_stops=0)
    yield _row("openai", host, _THINKERS, effort=_efforts(_effort, *_MINIMAL_UP))
    yield _row("openai", host, _O_SERIES, effort=_efforts(_effort, *_LOW_UP))
    yield _row("openai", host, _GPT_5_POINT, effort=_efforts(_effort, *_NONE_UP))


_ROWS: tuple[_Row, ...] = (
    *_openai_itself("api.openai.com"),
    *_openai_itself("openai.azure.com"),
    *_openai_itself("services.ai.azure.com"),
    *_openai_itself("cognitiveservices.azure.com"),
    _row("openai", "models.github.ai", most_stops=4, headers={"x-github-api-version": "2022-11-28"}),
    *_openai_models("models.github.ai"),
    _row("openai", "api.groq.com", max_tokens="max_completion_tokens", most_stops=4),
    _row("openai", "api.groq.com", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    # Raw is the default there: the thoughts would stand in the answer. gpt-oss refuses the field.
    _row(
        "openai", "api.groq.com", "qwen-?3",
        effort=_efforts(_effort, "none", "none", "none", "default", "default"), extra={"reasoning_format": "parsed"},
    ),
    _row("openai", "api.cerebras.ai", max_tokens="max_completion_tokens", most_stops=4),
    _row("openai", "api.cerebras.ai", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "api.cerebras.ai", "glm", effort=_efforts(_effort, "none", "none", "none", None, None)),
    _row("openai", "api.mistral.ai", seed="random_seed", hottest=1.5, merges=True),
    _row(
        "openai", "api.mistral.ai", r"mistral-(?:small|medium)-(?:latest|3-5|26)",
        effort=_efforts(_effort, *_NONE_OR_HIGH),
    ),
    _row(
        "openai", "openrouter.ai", most_stops=4, effort=_efforts(_reasoning, *_AS_ASKED),
        headers={"x-title": "Switchyard"},
    ),
    _row("openai", "openrouter.ai", _UNHEATED, temperature=False),
    _row("openai", "openrouter.ai", _GEMMA, system=False),
    _row("openai", "integrate.api.nvidia.com", json_schema=False),
    _row("openai", "integrate.api.nvidia.com", r"qwen3|nemotron-3|glm", effort=STYLES["template"]),
    _row("openai", "integrate.api.nvidia.com", r"deepseek-v3\.[12]", effort=_efforts(
        lambda on: {"chat_template_kwargs": {"thinking": on}}, False, False, False, True, True)),
    _row("openai", "integrate.api.nvidia.com", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "integrate.api.nvidia.com", _GEMMA, system=False),
    _row("openai", "api.together.xyz", r"qwen3(?:\.\d)?-|deepseek-v3\.1|glm-|kimi-k2\.5", effort=_efforts(
        lambda on: {"reasoning": {"enabled": on}}, False, False, False, True, True)),
    _row("openai", "api.together.xyz", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "api.sambanova.ai", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "api.sambanova.ai", r"qwen3|deepseek-v3\.1", effort=STYLES["template"]),
    _row("openai", "router.huggingface.co", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    *(
        row
        for host in ("api.siliconflow.cn", "api.siliconflow.com")
        for row in (
            _row("openai", host, most_stops=4, json_schema=False),
            _row("openai", host, r"qwen3-\d+b(?!.*(?:instruct|thinking))|glm-4\.[5-9]|deepseek-v3\.[12]",
                 effort=STYLES["switch"]),
        )
    ),
    _row("openai", "api.deepseek.com", json_schema=False, most_stops=16),
    # Its two older names choose the mode by themselves; "low" is asked for by switching the thinking off.
    _row("openai", "api.deepseek.com", r"^(?!deepseek-(?:chat|reasoner)$)", effort={
        **_efforts(_thinking, *_OFF), "medium": _effort("high"), "high": _effort("high")}),
    _row("openai", "api.x.ai", most_stops=4),
    _row("openai", "api.x.ai", r"grok-4(?!.*non-reasoning)|grok-code|grok-build|grok-3-mini", most_stops=0),
    _row("openai", "api.x.ai", "grok-3-mini", effort=_efforts(_effort, *_LOW_OR_HIGH)),
    _row("openai", "api.x.ai", r"grok-4\.[3-6]", effort=_efforts(_effort, *_NONE_UP)),
    _row("openai", "api.x.ai", r"grok-4\.[7-9]|grok-[5-9]", effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "generativelanguage.googleapis.com", seed="", most_stops=5),
    _row("openai", "generativelanguage.googleapis.com", r"gemini-2\.5", effort=_efforts(_effort, *_NONE_UP)),
    _row("openai", "generativelanguage.googleapis.com", r"gemini-2\.5-pro", effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "generativelanguage.googleapis.com", _GEMINI_3_FLASH, effort=_efforts(_effort, *_MINIMAL_UP)),
    _row("openai", "generativelanguage.googleapis.com", _GEMINI_3_PRO, effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "generativelanguage.googleapis.com", _GEMMA, system=False, json_object=False, json_schema=False),
    *(
        row
        for host in ("api.cohere.ai", "api.cohere.com")
        for row in (
            _row("openai", host, most_stops=5, hottest=1.0),
            _row("openai", host, r"reasoning|command-a-plus", effort=_efforts(_effort, *_NONE_OR_HIGH)),
        )
    ),
    *(
        row
        for host in ("api.z.ai", "open.bigmodel.cn")
        for row in (
            _row("openai", host, seed="", most_stops=1, hottest=1.0, json_schema=False),
            _row("openai", host, r"glm-(?:4\.[5-9]|[5-9])", effort=_efforts(_thinking, *_OFF)),
        )
    ),
    *(
        row
        for host in ("api.moonshot.ai", "api.moonshot.cn")
        for row in (
            _row("openai", host, max_tokens="max_completion_tokens", seed="", most_stops=5, hottest=1.0,
                 json_schema=False),
            _row("openai", host, r"kimi-k", temperature=False),
            _row("openai", host, r"kimi-k2\.[56]", effort=_efforts(_thinking, *_OFF)),
            _row("openai", host, r"kimi-k[3-9]", effort=_efforts(_effort, *_LOW_OR_HIGH)),
        )
    ),
    _row("openai", "api.fireworks.ai", most_stops=4),
    _row("openai", "api.fireworks.ai", r"qwen3|glm-|deepseek-v3p?[12]", effort=_efforts(_effort, *_NONE_UP)),
    _row("openai", "api.fireworks.ai", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "api.deepinfra.com", most_stops=16),
    _row("openai", "api.deepinfra.com", r"qwen3|glm-|deepseek-v3\.[12]|gpt-oss", effort=_efforts(_effort, *_NONE_UP)),
    _row("openai", "api.deepinfra.com", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    # Answers stand on a search of the web; the roles must alternate, and JSON is held to a schema only.
    _row("openai", "api.perplexity.ai", seed="", most_stops=0, json_object=False, merges=True),
    _row("openai", "api.perplexity.ai", "reasoning|deep-research", effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "ollama.com", effort=_efforts(_effort, *_NONE_UP)),
    _row("openai", "ollama.com", _GPT_OSS, effort=_efforts(_effort, *_LOW_UP)),
    _row("openai", "api.cloudflare.com", most_stops=0),
    # Protocols that one vendor made: what its models take, they take through any door.
    _row("openai_responses", "", _THINKERS, temperature=False, effort=_efforts(_reasoning, *_MINIMAL_UP)),
    _row("openai_responses", "", _O_SERIES, effort=_efforts(_reasoning, *_LOW_UP)),
    _row("openai_responses", "", _GPT_5_POINT, effort=_efforts(_reasoning, *_NONE_UP)),
    _row("openai_responses", "", _GPT_OSS, effort=_efforts(_reasoning, *_LOW_UP)),
    _row("openai_responses", "openrouter.ai", effort=_efforts(_reasoning, *_AS_ASKED)),
    _row("anthropic", "", _BUDGETED, effort=_efforts(_budget, None, None, 1024, 4096, 16384)),
    _row("anthropic", "", _ADAPTIVE, effort=_efforts(_adaptive, None, None, "low", "medium", "high")),
    _row("anthropic", "", _UNHEATED, temperature=False),
    _row("gemini", "", r"gemini-2\.5", effort=_efforts(_gemini_budget, 0, 512, 1024, 8192, 24576)),
    _row("gemini", "", r"gemini-2\.5-pro", effort=_efforts(_gemini_budget, 128, 512, 1024, 8192, 24576)),
    _row("gemini", "", _GEMINI_3_FLASH, effort=_efforts(_gemini_level, *_MINIMAL_UP)),
    _row("gemini", "", _GEMINI_3_PRO, effort=_efforts(_gemini_level, *_LOW_UP)),
    _row("gemini", "", r"gemini-3-pro", effort=_efforts(_gemini_level, *_LOW_OR_HIGH)),
    _row("gemini", "", _GEMMA, system=False, json_object=False, json_schema=False),
    _row("cohere", "", r"reasoning|command-a-plus", effort={
        **_efforts(_thinking, "disabled", "disabled", None, None, None),
        **_efforts(_cohere, None, None, 1024, 4096, 16384)}),
    _row("cloudflare", "", _GPT_OSS, effort=_efforts(_reasoning, *_LOW_UP)),
    _row("ollama", "", effort=_efforts(lambda on: {"think": on}, False, False, False, True, True)),
    _row("ollama", "", _GPT_OSS, effort=_efforts(lambda level: {"think": level}, *_LOW_UP)),
)  # fmt: skip

_OF_WORDS: Mapping[str, _Fields] = {
    "no-temperature": {"temperature": False},
    "no-seed": {"seed": ""},
    "no-stop": {"most_stops": 0},
    "no-system": {"system": False},
    "alternating": {"merges": True},
    "completion-tokens": {"max_tokens": "max_completion_tokens"},
}
"""Words among a model's capabilities in the fleet file that say how it differs. ``no-json`` is not one: a model gets
JSON mode only where ``json`` stands, and a schema only where ``schema`` does."""


@lru_cache(maxsize=4096)
def manners_of(
    protocol: str, base_url: str = "", model: str = "", capabilities: frozenset[str] = frozenset()
) -> Manners:
    """What is known of ``model`` at the vendor behind ``base_url``; a word in ``capabilities`` has the last say.

    Raises KeyError for an unknown protocol. The value is shared and never changed.
    """
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    name = model.lower()
    manners = PLAIN[protocol]
    for row in _ROWS:
        if row.protocol == protocol and _is_of(host, row.host) and re.search(row.model, name):
            manners = replace(manners, **row.changes)
    for word in sorted(capabilities):
        if word in _OF_WORDS and not (word == "completion-tokens" and protocol != "openai"):
            manners = replace(manners, **_OF_WORDS[word])
        style = STYLES.get(word.removeprefix("effort-")) if word.startswith("effort-") else None
        if style is not None:
            manners = replace(manners, effort=style)
    return manners


def _is_of(host: str, vendor: str) -> bool:
    return not vendor or host == vendor or host.endswith(f".{vendor}")
