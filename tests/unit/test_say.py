"""What goes over the wire, to the letter: a request in no vendor's words, and the body that each vendor gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.core.values import Message, Request
from app.dialects import DIALECTS
from app.dialects.vendors import manners_of

OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
BARE = {name: part for name, part in CLOSED.items() if name != "$schema"}
PLAIN = Request("m", (Message("system", "Be brief."), Message("user", "hi")), 3000)
TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]

GROQ = "https://api.groq.com/openai/v1"
OPENAI = "https://api.openai.com/v1"
MISTRAL = "https://api.mistral.ai/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
_HEADERS = {"content-type": "application/json", "accept": "application/json"}


def _said(protocol: str, base_url: str, request: Request, *words: str) -> dict[str, Any]:
    manners = manners_of(protocol, base_url, request.model, frozenset(words))
    body: dict[str, Any] = orjson.loads(DIALECTS[protocol].say(request, manners).body)
    return body


PLAIN_BODIES = {
    "openai": b'{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],'
    b'"max_tokens":3000,"temperature":0.0}',
    "openai_responses": b'{"model":"m","input":[{"role":"system","content":"Be brief."},'
    b'{"role":"user","content":"hi"}],"max_output_tokens":3000,"temperature":0.0,"store":false}',
    "anthropic": b'{"model":"m","max_tokens":3000,"messages":[{"role":"user","content":"hi"}],"temperature":0.0,'
    b'"system":"Be brief."}',
    "gemini": b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":3000,'
    b'"temperature":0.0},"systemInstruction":{"parts":[{"text":"Be brief."}]}}',
    "cohere": b'{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],'
    b'"max_tokens":3000,"temperature":0.0,"stream":false}',
    "cloudflare": b'{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],'
    b'"max_tokens":3000,"temperature":0.0}',
    "ollama": b'{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}],'
    b'"stream":false,"options":{"num_predict":3000,"temperature":0.0}}',
}


@pytest.mark.parametrize("protocol", sorted(DIALECTS))
def test_a_plain_request_stays_the_same_to_the_byte(protocol: str) -> None:
    """The prompts of voters are measured: nothing may slip into them."""
    said = DIALECTS[protocol].say(PLAIN)
    assert said.body == PLAIN_BODIES[protocol]
    assert said.headers == _HEADERS | ({"anthropic-version": "2023-06-01"} if protocol == "anthropic" else {})
    assert DIALECTS[protocol].say(PLAIN, manners_of(protocol, "http://127.0.0.1:8899/x", "m")) == said


# Schema and JSON mode

STRICT = {"name": "answer", "schema": BARE, "strict": True}
JSON_FIELDS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("openai", "", CLOSED, {"response_format": {"type": "json_schema", "json_schema": STRICT}}),
    ("openai", "", OPEN,
     {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": OPEN, "strict": False}}}),
    ("openai", "https://api.deepseek.com", CLOSED, {"response_format": {"type": "json_object"}}),
    ("openai", "https://api.perplexity.ai", CLOSED,
     {"response_format": {"type": "json_schema", "json_schema": STRICT}}),
    ("openai_responses", "", CLOSED, {"text": {"format": {"type": "json_schema", **STRICT}}}),
    ("anthropic", "", CLOSED, {"output_config": {"format": {"type": "json_schema", "schema": BARE}}}),
    ("anthropic", "", OPEN, {}),
    ("cohere", "", CLOSED, {"response_format": {"type": "json_object", "json_schema": BARE}}),
    ("cloudflare", "", CLOSED, {"response_format": {"type": "json_schema", "json_schema": BARE}}),
    ("ollama", "", CLOSED, {"format": BARE}),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "base_url", "schema", "fields"), JSON_FIELDS)
def test_a_schema_is_put_as_the_vendor_takes_it(
    protocol: str, base_url: str, schema: dict[str, Any], fields: dict[str, Any]
) -> None:
    said = _said(protocol, base_url, replace(PLAIN, schema=schema))
    assert said == _said(protocol, base_url, PLAIN) | fields


def test_gemini_takes_a_schema_in_its_configuration() -> None:
    config = _said("gemini", "", replace(PLAIN, schema=CLOSED))["generationConfig"]
    assert config == {
        "maxOutputTokens": 3000,
        "temperature": 0.0,
        "responseMimeType": "application/json",
        "responseJsonSchema": BARE,
    }


@pytest.mark.parametrize(
    ("protocol", "base_url", "fields"),
    [
        ("openai", "", {"response_format": {"type": "json_object"}}),
        ("openai", "https://api.perplexity.ai", {}),
        ("openai_responses", "", {"text": {"format": {"type": "json_object"}}}),
        ("anthropic", "", {}),
        ("cohere", "", {"response_format": {"type": "json_object"}}),
        ("cloudflare", "", {"response_format": {"type": "json_object"}}),
        ("ollama", "", {"format": "json"}),
    ],
)
def test_json_mode_where_there_is_one(protocol: str, base_url: str, fields: dict[str, Any]) -> None:
    assert _said(protocol, base_url, replace(PLAIN, json_mode=True)) == _said(protocol, base_url, PLAIN) | fields


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": OPEN}}}, False),
        ({**CLOSED, "$defs": {"b": OPEN}}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [{"type": "null"}, BARE]}}}, True),
        ({"type": "object"}, False),
        ({**CLOSED, "required": "a", "properties": {"a": True}}, False),
    ],
)
def test_strict_mode_only_where_the_schema_allows_it(schema: dict[str, Any], strict: bool) -> None:
    said = _said("openai", "", replace(PLAIN, schema=schema))
    assert said["response_format"]["json_schema"]["strict"] is strict


# Effort

_ON, _OFF = {"enable_thinking": True}, {"enable_thinking": False}
EFFORT: list[tuple[str, str, str, str, dict[str, Any]]] = [
    ("openai", OPENAI, "o4-mini", "none", {"reasoning_effort": "low"}),
    ("openai", OPENAI, "gpt-5-mini", "none", {"reasoning_effort": "minimal"}),
    ("openai", OPENAI, "gpt-5.1", "none", {"reasoning_effort": "none"}),
    ("openai", OPENAI, "gpt-4.1-mini", "low", {}),
    ("openai", GROQ, "openai/gpt-oss-120b", "low", {"reasoning_effort": "low"}),
    ("openai", GROQ, "qwen/qwen3-32b", "low", {"reasoning_effort": "none"}),
    ("openai", GROQ, "qwen/qwen3-32b", "high", {"reasoning_effort": "default"}),
    ("openai", GROQ, "llama-3.1-8b-instant", "low", {}),
    ("openai", "https://api.cerebras.ai/v1", "gpt-oss-120b", "medium", {"reasoning_effort": "medium"}),
    ("openai", "https://api.cerebras.ai/v1", "zai-glm-4.7", "high", {}),
    ("openai", "https://openrouter.ai/api/v1", "x/y:free", "minimal", {"reasoning": {"effort": "minimal"}}),
    ("openai", "https://integrate.api.nvidia.com/v1", "qwen/qwen3-235b-a22b", "low", {"chat_template_kwargs": _OFF}),
    ("openai", "https://integrate.api.nvidia.com/v1", "nvidia/nemotron-3-nano-30b-a3b", "high",
     {"chat_template_kwargs": _ON}),
    ("openai", "https://api.siliconflow.cn/v1", "Qwen/Qwen3-8B", "low", _OFF),
    ("openai", "https://api.z.ai/api/paas/v4", "glm-4.5-flash", "low", {"thinking": {"type": "disabled"}}),
    ("openai", "https://api.z.ai/api/paas/v4", "glm-4.5-flash", "high", {}),
    ("openai", "https://api.deepseek.com", "deepseek-v4-flash", "low", {"thinking": {"type": "disabled"}}),
    ("openai", "https://api.deepseek.com", "deepseek-v4-flash", "high", {"reasoning_effort": "high"}),
    ("openai", "https://api.deepseek.com", "deepseek-chat", "low", {}),
    ("openai", "https://api.moonshot.ai/v1", "kimi-k2.5", "low", {"thinking": {"type": "disabled"}}),
    ("openai", "https://api.x.ai/v1", "grok-4.3", "none", {"reasoning_effort": "none"}),
    ("openai", MISTRAL, "mistral-small-latest", "low", {"reasoning_effort": "none"}),
    ("openai", f"{GOOGLE}/openai", "gemini-2.5-flash", "none", {"reasoning_effort": "none"}),
    ("openai", f"{GOOGLE}/openai", "gemini-3.5-flash", "none", {"reasoning_effort": "minimal"}),
    ("openai", "https://api.cohere.ai/compatibility/v1", "command-a-reasoning-08-2025", "low",
     {"reasoning_effort": "none"}),
    ("openai", "http://localhost:8000/v1", "qwen3-32b", "low", {}),
    ("openai_responses", "", "gpt-5-mini", "low", {"reasoning": {"effort": "low"}}),
    ("openai_responses", "", "gpt-4.1", "low", {}),
    ("cohere", "", "command-a-reasoning-08-2025", "none", {"thinking": {"type": "disabled"}}),
    ("cohere", "", "command-a-reasoning-08-2025", "low", {"thinking": {"type": "enabled", "token_budget": 1024}}),
    ("cohere", "", "command-a-reasoning-08-2025", "high", {}),
    ("cohere", "", "command-a-03-2025", "low", {}),
    ("cloudflare", "", "@cf/openai/gpt-oss-20b", "low", {"reasoning": {"effort": "low"}}),
    ("ollama", "", "qwen3:8b", "low", {"think": False}),
    ("ollama", "", "gpt-oss:20b", "none", {"think": "low"}),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "base_url", "model", "effort", "fields"), EFFORT)
def test_effort_is_asked_for_in_each_vendors_way(
    protocol: str, base_url: str, model: str, effort: str, fields: dict[str, Any]
) -> None:
    plain = replace(PLAIN, model=model)
    assert _said(protocol, base_url, replace(plain, effort=effort)) == _said(protocol, base_url, plain) | fields


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-flash-lite", "low", {"thinkingBudget": 1024}),
        ("gemini-3.5-flash", "none", {"thinkingLevel": "minimal"}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "medium"}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high"}),
        ("gemini-2.0-flash", "low", None),
    ],
)
def test_gemini_thinks_by_level_or_by_budget(model: str, effort: str, thinking: dict[str, Any] | None) -> None:
    config = _said("gemini", GOOGLE, replace(PLAIN, model=model, effort=effort))["generationConfig"]
    assert config.get("thinkingConfig") == thinking


@pytest.mark.parametrize(
    ("model", "effort", "max_tokens", "fields"),
    [
        ("claude-sonnet-4-5", "low", 3000, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("claude-sonnet-4-5", "low", 1024, {"temperature": 0.0}),
        ("claude-sonnet-4-5", "none", 3000, {"temperature": 0.0}),
        ("claude-sonnet-4-6", "high", 3000, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-opus-4-7", "low", 3000, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("claude-opus-4-7", None, 3000, {}),
        ("claude-3-5-haiku-latest", "low", 3000, {"temperature": 0.0}),
    ],
)
def test_claude_thinks_by_budget_or_adapts(
    model: str, effort: str | None, max_tokens: int, fields: dict[str, Any]
) -> None:
    said = _said("anthropic", "", replace(PLAIN, model=model, effort=effort, max_tokens=max_tokens))
    assert said == {
        "model": model,
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": "hi"}],
        "system": "Be brief.",
        **fields,
    }


def test_claudes_effort_and_schema_share_one_field() -> None:
    said = _said("anthropic", "", replace(PLAIN, model="claude-opus-4-7", effort="low", schema=CLOSED))
    assert said["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": BARE}}


# Names, numbers and roles


def test_openai_itself_takes_other_names_and_no_heat_for_thinkers() -> None:
    asked = replace(PLAIN, model="o4-mini", stop=("a",), seed=7, temperature=0.5)
    assert _said("openai", OPENAI, asked) == {
        "model": "o4-mini",
        "messages": TURNS,
        "max_completion_tokens": 3000,
        "seed": 7,
    }


def test_stop_seed_and_heat_as_each_vendor_takes_them() -> None:
    asked = replace(PLAIN, stop=tuple("abcdefg"), seed=7, temperature=2.0)
    groq = _said("openai", GROQ, asked)
    assert (groq["stop"], groq["seed"], groq["temperature"]) == (list("abcd"), 7, 2.0)
    zai = _said("openai", "https://api.z.ai/api/paas/v4", asked)
    assert (zai["stop"], "seed" in zai, zai["temperature"]) == (["a"], False, 1.0)
    mistral = _said("openai", MISTRAL, asked)
    assert (mistral["random_seed"], mistral["temperature"], "seed" in mistral) == (7, 1.5, False)
    assert "seed" not in _said("openai", f"{GOOGLE}/openai", asked)
    assert _said("openai", "", asked)["stop"] == list("abcdefg")


CHAT = (
    Message("system", "Be brief."), Message("user", "a"), Message("user", "b"), Message("assistant", "c"),
    Message("user", "d"),
)  # fmt: skip


def test_turns_of_one_role_in_a_row_become_one_where_they_must() -> None:
    one_by_one = [{"role": m.role, "content": m.content} for m in CHAT]
    assert _said("openai", GROQ, replace(PLAIN, messages=CHAT))["messages"] == one_by_one
    merged = [TURNS[0], {"role": "user", "content": "a\n\nb"}, *one_by_one[3:]]
    assert _said("openai", MISTRAL, replace(PLAIN, messages=CHAT))["messages"] == merged
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert _said("anthropic", "", replace(PLAIN, messages=CHAT))["messages"] == [
        {"role": "user", "content": blocks},
        *one_by_one[3:],
    ]


@pytest.mark.parametrize("protocol", ["openai", "cohere", "cloudflare", "ollama"])
def test_without_a_system_role_its_text_opens_the_first_turn(protocol: str) -> None:
    said = _said(protocol, "", PLAIN, "no-system")
    assert said["messages"] == [{"role": "user", "content": "Be brief.\n\nhi"}]


def test_without_a_system_role_beside_the_conversation() -> None:
    blocks = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "hi"}]
    said = _said("anthropic", "", PLAIN, "no-system")
    assert ("system" in said, said["messages"]) == (False, [{"role": "user", "content": blocks}])


@pytest.mark.parametrize(
    ("base_url", "more"),
    [
        ("https://openrouter.ai/api/v1", {"x-title": "Switchyard"}),
        ("https://models.github.ai/inference", {"x-github-api-version": "2022-11-28"}),
        (GROQ, {}),
    ],
)
def test_headers_that_a_vendor_wants(base_url: str, more: dict[str, str]) -> None:
    assert DIALECTS["openai"].say(PLAIN, manners_of("openai", base_url, "m")).headers == _HEADERS | more


@pytest.mark.parametrize("protocol", sorted(DIALECTS))
def test_the_headers_of_one_call_are_its_own(protocol: str) -> None:
    said = DIALECTS[protocol].say(PLAIN)
    said.headers["x-request-id"] = "1"
    assert "x-request-id" not in DIALECTS[protocol].say(PLAIN).headers
