"""Ollama's native chat: one document, or lines of them."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.ollama import authorize, hear, say

END = {"done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 2}


def _line(content: str, thinking: str | None = None, **more: Any) -> bytes:
    message = {"role": "assistant", "content": content} | ({"thinking": thinking} if thinking else {})
    return orjson.dumps({"model": "m", "message": message, "done": False} | more) + b"\n"


def test_says_only_what_is_set() -> None:
    said = say(Request("m", (Message("user", "hi"),), max_tokens=5))
    assert (said.method, said.path) == ("POST", "/api/chat")
    assert orjson.loads(said.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "options": {"num_predict": 5, "temperature": 0.0},
    }
    full = orjson.loads(say(Request("m", (), max_tokens=5, seed=0, stop=("\n",), json_mode=True)).body)
    assert full["options"].items() >= {"seed": 0, "stop": ["\n"]}.items()
    assert full["format"] == "json"
    assert authorize("k") == {"authorization": "Bearer k"}


def test_one_document() -> None:
    assert hear(200, {}, _line("hi", "hm", **END)) == Answer("hi", Usage(5, 0, 2, 0), "hm", Finish.STOP, "m")


def test_lines_are_folded() -> None:
    body = (
        _line("", "h")
        + _line("", "m")
        + _line("h")
        + b"\r\n"
        + _line("i")
        + _line("", **END | {"done_reason": "length"})
    )
    assert hear(200, {}, body) == Answer("hi", Usage(5, 0, 2, 0), "hm", Finish.LENGTH, "m")


def test_leaked_reasoning_is_kept_apart() -> None:
    answer = hear(200, {}, _line("<think>hm</think>\nhi", **END))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.reasoning, answer.flags) == ("hi", "hm", ("reasoning_leak",))


def test_an_answer_may_be_empty() -> None:
    answer = hear(200, {}, _line("", "hm", **END))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.reasoning) == ("", "hm")


def test_a_stop_that_calls_tools_says_so() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    answer = hear(200, {}, orjson.dumps({"message": call, "done": False}) + b"\n" + _line("", **END))
    assert isinstance(answer, Answer)
    assert answer.finish is Finish.TOOL_CALLS


def test_an_error_may_come_in_the_middle_of_a_stream() -> None:
    failure = hear(200, {}, _line("h") + b'{"error":"an error was encountered while running the model"}\n')
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.SERVER_ERROR


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, 'model "x" not found, try pulling it first', "model_not_found"),
        (400, "invalid character '}' looking for beginning of value", "invalid_request"),
        (401, "unauthorized", "auth"),
        (503, "server busy, please try again. maximum pending requests exceeded", "overloaded"),
        (500, "llama runner process has terminated", "server_error"),
    ],
)
def test_trouble_has_its_kind(status: int, error: str, kind: str) -> None:
    failure = hear(status, {}, orjson.dumps({"error": error}))
    assert isinstance(failure, Failure)
    assert failure.kind == kind


@pytest.mark.parametrize(
    "body", [b"", b"{", b"<html>", b"[]", b"null", b"{}", b'{"message":{}}', _line("h") + b'{"mess']
)
def test_what_holds_no_answer_is_malformed(body: bytes) -> None:
    failure = hear(200, {}, body)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED


def test_a_stream_that_broke_off_is_malformed() -> None:
    failure = hear(200, {}, _line("half of i"))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED


KEYS = ["message", "content", "thinking", "done", "done_reason", "error", "response", "eval_count", "tool_calls"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=3))
def test_never_raises_whatever_is_sent(docs: list[Any]) -> None:
    hear(200, {}, b"\n".join(json.dumps(doc).encode() for doc in docs))


@given(st.sampled_from([200, 400, 429]), st.binary(max_size=60))
def test_never_raises_for_bytes_either(status: int, body: bytes) -> None:
    hear(status, {}, body)
