"""What vendors take, as data; and what a refusal says that a model does not take."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Failure, FailureKind, Message, Request
from app.dialects import DIALECTS
from app.dialects.manners import Manners, refused_parameter
from app.dialects.vendors import PLAIN, STYLES, manners_of


def _error(message: str, **more: Any) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": "invalid_request_error", **more}})


def _google(message: str) -> bytes:
    return orjson.dumps({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}})


REFUSALS = [
    (
        "openai",
        _error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
        "max_tokens",
    ),
    (
        "openai",
        _error(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
            "supported.",
            code="unsupported_value",
        ),
        "temperature",
    ),
    ("openai", _error("invalid temperature: only 1 is allowed for this model"), "temperature"),
    ("anthropic", _error("`temperature` is deprecated for this model."), "temperature"),
    (
        "anthropic",
        _error("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode."),
        "temperature",
    ),
    (
        "anthropic",
        _error(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        ),
        "effort",
    ),
    ("openai", _google('Invalid JSON payload received. Unknown name "seed": Cannot find field.'), "seed"),
    ("openai", _google('Invalid JSON payload received. Unknown name "reasoning": Cannot find field.'), "effort"),
    (
        "openai",
        _error("This model does not support response format `json_schema`. See supported models"),
        "json_schema",
    ),
    (
        "openai",
        _error(
            "Invalid schema for response_format 'answer': In context=(), 'additionalProperties' is required to be "
            "supplied and to be false."
        ),
        "json_schema",
    ),
    ("openai", _error("'response_format' of type 'json_object' is not supported with this model."), "response_format"),
    ("openai", _error("response_format is not supported by this model"), "response_format"),
    ("openai", _error("Unrecognized request argument supplied: reasoning_effort"), "effort"),
    ("openai", _error("`reasoning_effort` must be one of `none` or `default`"), "effort"),
    ("openai", _error("`reasoning_format` is not supported with this model"), "effort"),
    ("openai", _error("Model grok-4 does not support parameter reasoningEffort."), "effort"),
    ("openai", _error("Unsupported parameter: 'stop' is not supported with this model."), "stop"),
    ("openai", _error("Argument not supported on this model: stop_sequences"), "stop"),
    ("openai", _error("System role not supported"), "system"),
    ("openai", _error("This model does not support system messages"), "system"),
    ("gemini", _google("Developer instruction is not enabled for models/gemma-3-27b-it"), "system"),
    ("gemini", _google("Thinking level is not supported for this model."), "effort"),
    ("gemini", _google("JSON mode is not enabled for models/gemma-3-27b-it"), "response_format"),
    (
        "openai",
        _error("Conversation roles must alternate user/assistant/user/assistant/..."),
        "alternation",
    ),
    ("ollama", orjson.dumps({"error": '"llama3.2" does not support thinking'}), "effort"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "body", "parameter"), REFUSALS)
def test_a_refusal_names_what_the_model_does_not_take(protocol: str, body: bytes, parameter: str) -> None:
    heard = DIALECTS[protocol].hear(400, {}, body)
    assert isinstance(heard, Failure)
    assert (heard.kind, refused_parameter(heard)) == (FailureKind.INVALID_REQUEST, parameter)
    full = manners_of(protocol, "", "m", frozenset({"effort-openai"}))
    assert full.without(parameter) != full


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 131072. This model supports at most 16384 completion tokens.",
        "Invalid type for 'messages[0].content': expected a string.",
        "image_url is not supported",
        "We could not parse the JSON body of your request.",
        "Function calling is not enabled for models/gemma-3-27b-it",
        "Thinking mode is a wonderful thing",
        "",
    ],
)
def test_another_fault_names_nothing(message: str) -> None:
    assert refused_parameter(Failure(FailureKind.INVALID_REQUEST, message, 400)) is None


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.INVALID_REQUEST])
def test_only_a_refused_request_teaches(kind: FailureKind) -> None:
    assert refused_parameter(Failure(kind, "Unsupported parameter: 'seed'", 400)) is None


PARAMETERS = (
    "max_tokens", "max_completion_tokens", "temperature", "seed", "stop", "json_schema", "response_format", "effort",
    "system", "alternation",
)  # fmt: skip


@given(st.sampled_from(sorted(PLAIN)), st.lists(st.sampled_from(PARAMETERS), max_size=30))
def test_giving_up_ends(protocol: str, refused: list[str]) -> None:
    manners = manners_of(protocol, "", "m", frozenset({"effort-openai"}))
    given_up = 0
    for parameter in refused:
        less = manners.without(parameter)
        given_up += less is not manners
        assert (less is manners) == (less == manners)
        manners = less
    assert given_up <= len(PARAMETERS)
    assert manners.max_tokens


def test_the_limit_of_tokens_changes_its_name_once() -> None:
    once = Manners().without("max_tokens")
    assert once.max_tokens == "max_completion_tokens"
    assert once.without("max_completion_tokens") is once
    assert once.without("max_tokens") is once


def test_a_schema_is_given_up_before_json_mode() -> None:
    first = Manners().without("json_schema")
    assert (first.json_schema, first.json_object) == (False, True)
    second = first.without("json_schema")
    assert (second.json_schema, second.json_object) == (False, False)
    assert second.without("json_schema") is second
    both = Manners().without("response_format")
    assert (both.json_schema, both.json_object) == (False, False)


# The table

OPENAI = "https://api.openai.com/v1"
GITHUB = "https://models.github.ai/inference"
GROQ = "https://api.groq.com/openai/v1"
MISTRAL = "https://api.mistral.ai/v1"
OPENROUTER = "https://openrouter.ai/api/v1"
NVIDIA = "https://integrate.api.nvidia.com/v1"
SILICONFLOW = "https://api.siliconflow.cn/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
FIREWORKS = "https://api.fireworks.ai/inference/v1"
PERPLEXITY = "https://api.perplexity.ai"
ZAI = "https://api.z.ai/api/paas/v4"
MOONSHOT = "https://api.moonshot.ai/v1"


@pytest.mark.parametrize(
    ("protocol", "base_url", "model", "expected"),
    [
        ("openai", OPENAI, "gpt-4.1-mini", {"max_tokens": "max_completion_tokens", "temperature": True}),
        ("openai", OPENAI, "o4-mini", {"temperature": False, "most_stops": 0}),
        ("openai", OPENAI, "gpt-5-mini-2025-08-07", {"temperature": False}),
        ("openai", OPENAI, "gpt-5-chat-latest", {"temperature": True}),
        ("openai", "https://my.openai.azure.com/openai/v1", "gpt-4o", {"max_tokens": "max_completion_tokens"}),
        ("openai", GITHUB, "openai/gpt-4o", {"headers": {"x-github-api-version": "2022-11-28"}}),
        ("openai", GITHUB, "openai/o4-mini", {"max_tokens": "max_completion_tokens"}),
        ("openai", GROQ, "qwen/qwen3-32b", {"extra": {"reasoning_format": "parsed"}}),
        ("openai", "https://api.cerebras.ai/v1", "llama3.1-8b", {"max_tokens": "max_completion_tokens", "effort": {}}),
        ("openai", MISTRAL, "ministral-8b-latest", {"seed": "random_seed", "merges": True, "effort": {}}),
        ("openai", OPENROUTER, "x/y:free", {"headers": {"x-title": "Switchyard"}}),
        ("openai", OPENROUTER, "google/gemma-3-27b-it:free", {"system": False}),
        ("openai", OPENROUTER, "google/gemma-4-31b-it:free", {"system": True}),
        ("openai", NVIDIA, "meta/llama-3.3-70b-instruct", {"effort": {}, "json_schema": False}),
        ("openai", NVIDIA, "qwen/qwen3-235b-a22b", {"effort": STYLES["template"]}),
        ("openai", "https://api.together.xyz/v1", "meta-llama/Llama-3.3-70B-Instruct-Turbo", {"effort": {}}),
        ("openai", "https://api.sambanova.ai/v1", "gpt-oss-120b", {"effort": STYLES["openai"]}),
        ("openai", "https://router.huggingface.co/v1", "openai/gpt-oss-20b:groq", {"effort": STYLES["openai"]}),
        ("openai", SILICONFLOW, "Qwen/Qwen3-8B", {"effort": STYLES["switch"], "json_schema": False}),
        ("openai", SILICONFLOW, "Qwen/Qwen3-30B-A3B-Instruct-2507", {"effort": {}}),
        ("openai", "https://api.deepseek.com", "deepseek-reasoner", {"effort": {}, "json_schema": False}),
        ("openai", "https://api.x.ai/v1", "grok-4-0709", {"most_stops": 0, "effort": {}}),
        ("openai", f"{GOOGLE}/openai", "gemini-3.5-flash", {"seed": ""}),
        ("openai", f"{GOOGLE}/openai", "gemma-3-27b-it", {"system": False, "json_object": False}),
        ("openai", "https://api.cohere.ai/compatibility/v1", "command-a-03-2025", {"most_stops": 5, "effort": {}}),
        ("openai", ZAI, "glm-4.7-flash", {"most_stops": 1, "effort": STYLES["thinking"]}),
        ("openai", MOONSHOT, "kimi-k2.5", {"temperature": False, "effort": STYLES["thinking"]}),
        ("openai", FIREWORKS, "accounts/fireworks/models/gpt-oss-20b", {"effort": STYLES["openai"]}),
        ("openai", "https://api.deepinfra.com/v1/openai", "openai/gpt-oss-120b", {"effort": STYLES["openai"]}),
        ("openai", PERPLEXITY, "sonar", {"json_object": False, "json_schema": True, "merges": True}),
        ("openai", "https://ollama.com/v1", "gpt-oss:120b", {"effort": STYLES["openai"]}),
        ("anthropic", "https://api.anthropic.com", "claude-opus-4-7", {"temperature": False}),
        ("anthropic", "https://api.anthropic.com", "claude-3-5-haiku-latest", {"temperature": True, "effort": {}}),
        ("gemini", GOOGLE, "models/gemma-3-4b-it", {"system": False}),
        ("gemini", GOOGLE, "gemma-4-31b-it", {"system": True}),
    ],
)  # fmt: skip
def test_a_vendor_is_known_by_its_host(protocol: str, base_url: str, model: str, expected: dict[str, Any]) -> None:
    manners = manners_of(protocol, base_url, model)
    assert {name: getattr(manners, name) for name in expected} == expected


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:8899/groq/v1", "http://localhost:11434/v1", "http://[::1]:8000/v1", "https://llm.example/v1",
     "https://notapi.groq.com.example/v1", "https://xapi.groq.com/v1", "https://api.groq.com.evil.example/v1"],
)  # fmt: skip
@pytest.mark.parametrize("model", ["openai/gpt-oss-120b", "o4-mini", "gemma-3-27b-it", "qwen3-32b"])
def test_an_unknown_host_gets_plain_manners(base_url: str, model: str) -> None:
    assert manners_of("openai", base_url, model) == Manners()


def test_a_word_in_the_fleet_file_has_the_last_say() -> None:
    words = frozenset({"no-temperature", "no-seed", "no-stop", "no-system", "completion-tokens", "effort-template"})
    expected = Manners(
        max_tokens="max_completion_tokens", temperature=False, seed="", most_stops=0, system=False,
        effort=STYLES["template"],
    )  # fmt: skip
    assert manners_of("openai", "http://localhost:8000/v1", "m", words | {"json", "reasoning", "effort-"}) == expected
    known = manners_of("openai", "https://api.groq.com/openai/v1", "openai/gpt-oss-20b", frozenset({"effort-default"}))
    assert known.effort == {}
    assert manners_of("gemini", "", "m", frozenset({"completion-tokens"})) == PLAIN["gemini"]


@pytest.mark.parametrize("protocol", sorted(PLAIN))
def test_every_protocol_has_plain_manners(protocol: str) -> None:
    assert protocol in DIALECTS
    assert manners_of(protocol) is not None
    assert {field.name for field in fields(Manners)} >= {"max_tokens", "effort", "headers"}


# What holds for every protocol and every manners

EFFORTS = ("none", "minimal", "low", "medium", "high")
texts = st.text(max_size=30)
requests = st.builds(
    Request,
    st.sampled_from(["m", "gemma-3-27b-it", "claude-opus-4-7", "o4-mini", "gemini-2.5-pro", "gpt-oss:20b"]),
    st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts), min_size=1, max_size=5
    ).map(tuple),
    st.integers(1, 10_000),
    st.floats(0, 2),
    st.none() | st.integers(1, 2**31 - 1),
    st.lists(st.text(min_size=1, max_size=4), max_size=8).map(tuple),
    st.booleans(),
    st.none() | st.just({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}),
    st.none() | st.sampled_from(EFFORTS),
)  # fmt: skip
manners = st.builds(
    Manners,
    st.sampled_from(["max_tokens", "max_completion_tokens"]), st.booleans(), st.just(1.0),
    st.sampled_from(["", "seed", "random_seed"]), st.none() | st.integers(0, 5), st.booleans(), st.booleans(),
    st.sampled_from([{}, STYLES["openai"], STYLES["template"]]), st.just({}),
    st.sampled_from([{}, {"x-title": "Switchyard"}]), st.booleans(), st.booleans(),
)  # fmt: skip
_SEEDS = ("seed", "random_seed")
_STOPS = ("stop", "stop_sequences", "stopSequences")
_SCHEMAS = ("json_schema", "responseJsonSchema", "schema")
_EFFORTS = ("reasoning_effort", "chat_template_kwargs")


def _everything(node: Any) -> list[tuple[str, Any]]:
    """(key, value) of every object in a body, at any depth."""
    if isinstance(node, list):
        return [pair for part in node for pair in _everything(part)]
    if isinstance(node, dict):
        return [*node.items(), *(pair for part in node.values() for pair in _everything(part))]
    return []


def _strings(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    parts = node if isinstance(node, list) else node.values() if isinstance(node, dict) else ()
    return [text for part in parts for text in _strings(part)]


@pytest.mark.parametrize("protocol", sorted(DIALECTS))
@given(request=requests, manners=manners)
def test_nothing_is_sent_that_is_not_taken_and_no_text_is_lost(
    protocol: str, request: Request, manners: Manners
) -> None:
    said = DIALECTS[protocol].say(request, manners)
    body = orjson.loads(said.body)
    pairs = _everything(body)
    keys = {key for key, _ in pairs}
    assert manners.temperature or "temperature" not in keys
    assert all(value <= manners.hottest for key, value in pairs if key == "temperature")
    assert manners.seed or not keys & set(_SEEDS)
    for key, value in pairs:
        assert key not in _STOPS or manners.most_stops is None or len(value) <= manners.most_stops
        assert key != "max_completion_tokens" or manners.max_tokens == key
    assert manners.json_schema or not keys & set(_SCHEMAS)
    assert manners.json_object or manners.json_schema or not _asks_for_json(body)
    assert manners.effort or not keys & set(_EFFORTS)
    assert manners.system or not ({"system", "systemInstruction"} & keys or ("role", "system") in pairs)
    assert "stream" not in keys or body["stream"] is False
    assert dict(manners.headers).items() <= said.headers.items()
    together = "\x00".join(_strings(body.get("system", "")) + _strings(body))
    assert all(message.content in together for message in request.messages)


def _asks_for_json(body: dict[str, Any]) -> bool:
    config = body.get("generationConfig", {})
    return any(name in body for name in ("response_format", "format", "text")) or "responseMimeType" in config


@pytest.mark.parametrize("protocol", sorted(DIALECTS))
@given(request=requests)
def test_where_roles_must_alternate_they_do(protocol: str, request: Request) -> None:
    body = orjson.loads(DIALECTS[protocol].say(request, Manners(merges=True)).body)
    turns = body.get("messages") or body.get("contents") or body.get("input")
    roles = [turn["role"] for turn in turns]
    assert all(one != other for one, other in pairwise(roles))
