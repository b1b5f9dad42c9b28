"""Workers AI's envelope, with either shape inside, and its streams without one."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.cloudflare import authorize, hear, say

COUNTS = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def _envelope(result: Any, **more: Any) -> bytes:
    return orjson.dumps({"result": result, "success": True, "errors": [], "messages": []} | more)


def test_says_the_model_in_the_path() -> None:
    said = say(Request("@cf/meta/llama 3?x", (Message("user", "hi"),), max_tokens=5, seed=7, json_mode=True))
    assert (said.method, said.path) == ("POST", "/ai/run/@cf/meta/llama%203%3Fx")
    assert orjson.loads(said.body) == {
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "seed": 7,
        "response_format": {"type": "json_object"},
    }
    assert authorize("k") == {"authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("response", "text"), [("hi", "hi"), ({"a": 1, "b": "é"}, '{"a": 1, "b": "é"}'), (7, "7"), ([1], "[1]")]
)
def test_a_response_is_text_or_json(response: Any, text: str) -> None:
    answer = hear(200, {}, _envelope({"response": response, "usage": COUNTS}))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.usage, answer.finish) == (text, Usage(5, 0, 2, 0), Finish.OTHER)


def test_an_openai_document_may_be_the_result() -> None:
    choice = {"message": {"content": "hi", "reasoning_content": "hm"}, "finish_reason": "length"}
    document = {"id": "c1", "model": "@cf/x", "choices": [choice], "usage": COUNTS}
    expected = Answer("hi", Usage(5, 0, 2, 0), "hm", Finish.LENGTH, "@cf/x", "c1")
    assert hear(200, {}, _envelope(document)) == expected
    assert hear(200, {}, orjson.dumps(document)) == expected


def test_a_response_of_openais_may_be_the_result() -> None:
    part = {"type": "output_text", "text": "hi"}
    output = [{"type": "message", "role": "assistant", "content": [part]}]
    answer = hear(200, {}, _envelope({"id": "r1", "object": "response", "status": "completed", "output": output}))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish) == ("hi", Finish.STOP)


def test_reasoning_is_kept_apart() -> None:
    answer = hear(200, {}, _envelope({"response": "<think>hm", "usage": COUNTS}))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.reasoning, answer.flags) == ("", "hm", ("reasoning_leak",))


def test_calls_of_tools_alone_are_an_answer() -> None:
    answer = hear(200, {}, _envelope({"response": None, "tool_calls": [{"name": "f", "arguments": {}}]}))
    assert isinstance(answer, Answer)
    assert answer.text == ""


def test_events_are_folded_numbers_too() -> None:
    body = (
        b'data: {"response":"It is ","p":"ab"}\n\ndata: {"response":4,"p":"abc"}\n\ndata: {"response":0}\n\n'
        b'data: {"response":"","usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}\n\ndata: [DONE]\n\n'
    )
    answer = hear(200, {}, body)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.usage) == ("It is 40", Usage(5, 0, 2, 0))


def test_openai_events_are_folded_as_openais() -> None:
    answer = hear(200, {}, b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n')
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish) == ("hi", Finish.STOP)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (401, 10000, "Authentication error", "auth"),
        (400, 5007, "No such model @cf/x or task", "model_not_found"),
        (403, 5025, "AiError: Ai: This model doesn't support JSON Schema.", "invalid_request"),
        (429, 3036, "You have used up your daily free allocation of 10,000 neurons.", "quota_exhausted"),
        (429, 3040, "No more data centers to forward the request to", "overloaded"),
        (408, 3007, "Request timeout", "timeout"),
        (413, 3006, "Request is too large", "context_length"),
        (200, 3040, "Capacity temporarily exceeded, please try again.", "overloaded"),
    ],
)
def test_trouble_has_its_kind(status: int, code: int, message: str, kind: str) -> None:
    failure = hear(status, {}, _envelope({}, success=False, errors=[{"code": code, "message": message}]))
    assert isinstance(failure, Failure)
    assert failure.kind == kind


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"[]", b"null", b'{"success":true,"result":null}', b"{}"])
def test_what_holds_no_answer_is_malformed(body: bytes) -> None:
    failure = hear(200, {}, body)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED


def test_a_broken_stream_is_malformed() -> None:
    failure = hear(200, {}, b'data: {"response":"It"}\n\ndata: {"respo')
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED


KEYS = [
    "result",
    "response",
    "usage",
    "errors",
    "error",
    "success",
    "choices",
    "message",
    "tool_calls",
    "reasoning",
    "code",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_never_raises_whatever_is_sent(doc: Any, stream: bool) -> None:
    body = json.dumps(doc).encode()
    hear(200, {}, b"data: " + body + b"\n\n" if stream else body)


@given(st.sampled_from([200, 400, 429]), st.binary(max_size=60))
def test_never_raises_for_bytes_either(status: int, body: bytes) -> None:
    hear(status, {}, body)
    hear(status, {}, b"data: " + body)


def test_a_byte_order_mark_is_no_matter() -> None:
    whole = b'{"result":{"response":"4"},"success":true,"errors":[]}'
    assert hear(200, {}, b"\xef\xbb\xbf" + whole) == hear(200, {}, whole)
