"""No exception from any bytes, in any protocol, with any status and headers; and what comes out can be stored.

Some thousand inputs run with the suite. ``make fuzz`` runs the same with 100,000; ``FUZZ_EXAMPLES`` is how many.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.values import Answer, Failure
from app.dialects import DIALECTS
from app.dialects.allowance import observed
from app.dialects.patience import LONGEST_S

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))

_USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "prompt_tokens_details": {"cached_tokens": 2}}
_CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "<think>2+2</think>4"}}
_DELTA = {"index": 0, "delta": {"content": "4", "reasoning_content": "2+2", "tool_calls": []}, "finish_reason": None}
_CLAUDE = {"type": "text", "text": "4"}
_ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "4"}]}
_GOOGLE = {
    "content": {"role": "model", "parts": [{"text": "4"}, {"text": "2+2", "thought": True}]},
    "finishReason": "STOP",
}
_QUOTA = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "PerDay", "quotaValue": "5"}],
}
SEEDS: list[Any] = [
    {"id": "c", "model": "m", "choices": [_CHOICE], "usage": _USAGE},
    {"choices": [{"message": {"content": [{"type": "thinking", "thinking": [{"text": "a"}]}, {"text": "4"}]}}]},
    {"choices": [{"finish_reason": "error", "error": {"message": "boom", "code": 502}, "message": {"content": ""}}]},
    {"base_resp": {"status_code": 1004, "status_msg": "login fail"}},
    {
        "error": {
            "message": "Rate limit reached (RPM): Limit 30, Used 30. Try again in 2m1.5s",
            "code": "429",
            "param": None,
        }
    },
    {
        "error": {
            "code": 400,
            "metadata": {"raw": '{"error":{"message":"x","code":429}}', "headers": {"Retry-After": "3"}},
        }
    },
    [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [_QUOTA, {"retryDelay": "34.5s"}]}}],
    {"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]},
    {
        "type": "message",
        "content": [_CLAUDE],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 4},
    },
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    {"object": "response", "status": "completed", "output": [_ITEM], "usage": {"input_tokens": 9, "output_tokens": 4}},
    {"object": "response", "status": "failed", "error": {"code": "server_error", "message": "x"}, "output": []},
    {"candidates": [_GOOGLE], "usageMetadata": {"promptTokenCount": 9, "thoughtsTokenCount": 3, "totalTokenCount": 13}},
    {"promptFeedback": {"blockReason": "SAFETY"}},
    {
        "id": "c",
        "message": {"content": [{"type": "text", "text": "4"}]},
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {}},
    },
    {"result": {"response": "4", "usage": _USAGE}, "success": True, "errors": [], "messages": []},
    {"errors": [{"code": 3036, "message": "used up"}], "success": False},
    {
        "model": "m",
        "message": {"content": "4", "thinking": "2+2"},
        "done": True,
        "done_reason": "stop",
        "eval_count": 4,
    },
    {"error": "model 'x' not found"},
]
STREAMS: list[list[Any]] = [
    [
        {"id": "c", "choices": [_DELTA]},
        {"choices": [_DELTA | {"finish_reason": "stop"}]},
        {"choices": [], "usage": _USAGE},
    ],
    [{"choices": [_DELTA]}, {"error": {"message": "boom", "code": 429}}],
    [
        {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 9}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "4"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
    ],
    [
        {"type": "response.created", "response": {"status": "in_progress"}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "4"},
        {"type": "response.completed", "response": {"status": "completed", "output": [_ITEM]}},
    ],
    [{"candidates": [_GOOGLE]}, {"candidates": [_GOOGLE], "usageMetadata": {"totalTokenCount": 5}}],
    [
        {"type": "content-delta", "delta": {"message": {"content": {"text": "4"}}}},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 9.0}}}},
    ],
    [
        {"event_type": "text-generation", "text": "4"},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": {}},
    ],
    [{"response": "4"}, {"response": 2, "usage": _USAGE}],
    [{"message": {"content": "4"}, "done": False}, {"done": True, "done_reason": "length"}],
]

_HUGE = 10**30
_leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 429, 2**63, _HUGE, 1e308, -0.0, 0.5, "", " ", "\x00", "<think>", "stop", "error", "12"]),
    st.text(max_size=8),
)


def _keys(node: Any) -> set[str]:
    if isinstance(node, list):
        return {key for part in node for key in _keys(part)}
    if isinstance(node, dict):
        return set(node) | {key for part in node.values() for key in _keys(part)}
    return set()


_word = st.sampled_from(sorted(_keys([SEEDS, STREAMS])))
_any = st.recursive(
    _leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_word, inner, max_size=4), max_leaves=8
)


def _paths(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(path for key, part in parts for path in _paths(part, (*at, key)))]


def _with(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = _with(node[path[0]], path[1:], value)
    return copy


def _deep(levels: int, kind: str) -> bytes:
    opening, closing = {"list": (b"[", b"]"), "error": (b'{"error":', b"}"), "response": (b'{"response":', b"}")}[kind]
    return opening * levels + b"1" + closing * levels


def _as_sent(docs: list[Any], how: str) -> bytes:
    lines = [json.dumps(doc).encode() for doc in docs]
    if how == "lines":
        return b"\n".join(lines)
    if how == "array":
        return b"[" + b",".join(lines) + b"]"
    return b"".join(b"event: x\ndata: " + line + b"\n\n" for line in lines) + b"data: [DONE]\n\n" * (how == "done")


@st.composite
def _broken(draw: st.DrawFn) -> bytes:
    """A body of some vendor's with one value replaced, and then perhaps bytes cut, doubled or put in."""
    whole: Any = draw(st.sampled_from([*SEEDS, *STREAMS]))
    whole = _with(whole, draw(st.sampled_from(_paths(whole))), draw(_any))
    stream = isinstance(whole, list) and draw(st.booleans())
    body = (
        _as_sent(whole, draw(st.sampled_from(["done", "sse", "lines", "array"])))
        if stream
        else json.dumps(whole).encode()
    )
    for _ in range(draw(st.integers(0, 2))):
        at, length = draw(st.integers(0, max(len(body) - 1, 0))), draw(st.integers(0, 40))
        edit = draw(st.sampled_from(["cut", "end", "double", "insert"]))
        piece = {"cut": b"", "end": b"", "double": body[at : at + length] * 2, "insert": draw(st.binary(max_size=6))}[
            edit
        ]
        body = body[:at] + piece + (b"" if edit == "end" else body[at + length * (edit == "cut") :])
    return body


_body = st.one_of(
    _broken(),
    _broken(),
    _any.map(lambda doc: json.dumps(doc).encode()),
    st.binary(max_size=60),
    st.builds(_deep, st.sampled_from([5, 400, 900, 1020, 3000]), st.sampled_from(["list", "error", "response"])),
)
_status = st.sampled_from(
    [
        200,
        200,
        200,
        200,
        400,
        401,
        402,
        403,
        404,
        408,
        413,
        422,
        429,
        429,
        498,
        500,
        502,
        503,
        529,
        0,
        -1,
        100,
        204,
        302,
        600,
        999,
    ]
)
_names = st.sampled_from(
    [
        "retry-after",
        "retry-after-ms",
        "Retry-After",
        "date",
        "x-ratelimit-reset",
        "x-ratelimit-limit-requests",
        "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-tokens-reset",
        "ratelimit",
        "ratelimit-policy",
        "ratelimit-limit",
        "x-ratelimit-limit-tokens-5-minute",
        "x-ratelimit-reset-tokens-day",
        "x-ratelimit-remaining-tokens-day",
        "x",
    ]
)
_values = st.one_of(
    st.text(max_size=10),
    st.sampled_from(
        [
            "1",
            "0",
            "-1",
            "9" * 400,
            "1e999",
            "nan",
            "inf",
            "2m59.56s",
            "99999999999d",
            "2026-07-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "Wed, 01 Jul 2026 12:00:00 GMT",
            "Wed, 99 Foo 2026",
            '"a";q=1;w=0',
            "5, 5;w=60",
            "1782907231000",
            "0001-01-01T00:00:00+14:00",
        ]
    ),
)


def check(protocol: str, status: int, headers: dict[str, str], body: bytes) -> None:
    heard = DIALECTS[protocol].hear(status, headers, body)
    assert isinstance(heard, (Answer, Failure))
    if isinstance(heard, Answer):
        stored = [heard.text, heard.reasoning, heard.model, heard.request_id, *heard.flags]
    else:
        stored = [heard.message]
        assert heard.retry_after_s is None or 0 <= heard.retry_after_s <= LONGEST_S
    assert not [text for text in stored if "\x00" in text]
    orjson.dumps(stored)
    usage = heard.usage
    for count in (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens):
        assert 0 <= count < 2**63
    for one in observed(headers, "api.openai.com"):
        assert one.reset_s is None or 0 <= one.reset_s <= LONGEST_S


@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(DIALECTS)), _status, st.dictionaries(_names, _values, max_size=3), _body)
def test_anything_is_heard(protocol: str, status: int, headers: dict[str, str], body: bytes) -> None:
    check(protocol, status, headers, body)


@pytest.mark.parametrize("protocol", DIALECTS)
@pytest.mark.parametrize(
    "key", ["choices", "error", "response", "result", "content", "thinking", "message", "candidates", "usage"]
)
def test_nesting_to_any_depth_is_heard(protocol: str, key: str) -> None:
    quoted = json.dumps(key).encode()
    for levels in (100, 450, 505, 1000, 1020, 5000):
        for status in (200, 400):
            check(protocol, status, {}, (b"{" + quoted + b":") * levels + b"1" + b"}" * levels)
            check(protocol, status, {}, (b"{" + quoted + b":[") * levels + b"1" + b"]}" * levels)
    check(
        protocol,
        200,
        {},
        b'{"choices":[{"message":{"content":' + b'[{"thinking":' * 500 + b'"x"' + b"}]" * 500 + b"}}]}",
    )
    check(protocol, 200, {}, b'{"result":{"response":' + b"[" * 1000 + b"]" * 1000 + b"}}")


@pytest.mark.parametrize("protocol", DIALECTS)
@pytest.mark.parametrize(
    "piece", [b"data: {}\n\n", b"{}\n", b"a model ", b"1s", b"limit 1 ", b"<think>", b"\n", b"data:\n", b" \t"]
)
def test_large_bodies_take_no_more_than_their_share_of_time(protocol: str, piece: bytes) -> None:
    """Half a megabyte of anything: the loop that reads all answers must not stand still."""
    body = piece * (500_000 // len(piece))
    for status in (200, 429, 500):
        began = time.process_time()
        check(protocol, status, {"retry-after": body[:100_000].decode()}, body)
        check(protocol, status, {}, json.dumps({"error": {"message": body.decode(), "raw": body.decode()}}).encode())
        assert time.process_time() - began < 3.0
