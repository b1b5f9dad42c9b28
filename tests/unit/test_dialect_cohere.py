"""The Cohere dialect: own cases of every trap we know of, properties, and recorded responses."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Answer, Failure, Finish, Message, Request, Usage
from app.dialects.cohere import authorize, hear, say
from tests.unit.recorded import recorded


def _error(message: str, **more: Any) -> str:
    return json.dumps({"id": "x", "message": message, **more})


def _answer(*parts: dict[str, Any], reason: str | None = "COMPLETE", **more: Any) -> bytes:
    message = {"role": "assistant", "content": list(parts)}
    return orjson.dumps({"id": "c1", "message": message, "finish_reason": reason, **more})


def _event(kind: str, **delta: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, "delta": delta}) + b"\n\n"


def _text(text: str) -> bytes:
    return _event("content-delta", message={"content": {"text": text}})


TRIAL = "You are using a Trial key, which is limited to "

TROUBLE = [
    (401, _error("invalid api token"), "auth"),
    (401, _error("no api key supplied"), "auth"),
    (403, _error("Your organization is deactivated"), "auth"),
    (402, _error("Please add or update your payment method to continue"), "billing"),
    (404, _error("model 'x' not found, make sure the correct model ID was used"), "model_not_found"),
    (404, _error("model 'command-r' was removed on September 15, 2025."), "model_not_found"),
    (400, _error("too many tokens: size limit exceeded by 1 tokens.", error_type="TOO_MANY_TOKENS"), "context_length"),
    (400, _error("too many tokens: total number of tokens in the prompt cannot exceed 4081"), "context_length"),
    (400, _error("too many tokens: max tokens must be less than or equal to 4096"), "invalid_request"),
    (400, _error("invalid request: prompt must be at least 1 token long."), "invalid_request"),
    (422, _error("Your request resulted in an invalid tool generation."), "invalid_request"),
    (429, _error(TRIAL + "1000 API calls / month."), "quota_exhausted"),
    (429, _error(TRIAL + "20 API calls / minute."), "rate_limit"),
    (429, _error("You are past the per minute request limit, please wait and try again later."), "rate_limit"),
    (429, json.dumps({"data": {"message": "Too many requests"}}), "rate_limit"),
    (498, _error("blocked by a deny-listed token"), "content_filter"),
    (499, _error("request cancelled by user"), "server_error"),
    (500, _error("internal server error, this has been reported to our developers."), "server_error"),
    (503, _error("service unavailable"), "overloaded"),
    (504, "<html><title>504 Gateway Time-out</title></html>", "timeout"),
    (200, _error("invalid api token"), "auth"),
    (200, _error(TRIAL + "20 API calls / minute."), "rate_limit"),
    (200, "[" + _error(TRIAL + "1000 API calls / month.") + "]", "quota_exhausted"),
    (200, _answer(reason="ERROR").decode(), "server_error"),
    (200, _answer({"type": "text", "text": "ha"}, reason="TIMEOUT").decode(), "timeout"),
    (200, _answer({"type": "text", "text": "ha"}, reason="ERROR_TOXIC").decode(), "content_filter"),
    (200, (_text("a") + _event("message-end", finish_reason="ERROR", error="internal error")).decode(), "server_error"),
    (200, _text("a").decode() + _error("the model is overloaded"), "overloaded"),
    (200, 'data: {"message":"invalid api token"}\n\n', "auth"),
    (200, _answer(reason=None).decode(), "malformed"),
    (200, '{"id":"c1","message":{"content":[{"type":"te', "malformed"),
    (200, _text("a").decode() + 'data: {"type":"content-de', "malformed"),
    (200, "", "malformed"),
    (200, "null", "malformed"),
    (200, "[]", "malformed"),
    (200, "{}", "malformed"),
    (200, "<html><title>Login</title></html>", "malformed"),
    (204, "", "malformed"),
    (302, "", "server_error"),
]


@pytest.mark.parametrize(("status", "body", "kind"), TROUBLE)
def test_trouble_has_the_right_name(status: int, body: str, kind: str) -> None:
    failure = hear(status, {}, body.encode())
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert failure.status == status
    assert failure.message


def test_an_answer_is_heard_with_its_own_counts_not_the_billed_ones() -> None:
    usage = {
        "billed_units": {"input_tokens": 10, "output_tokens": 104},
        "tokens": {"input_tokens": 505.0, "output_tokens": 107},
        "cached_tokens": 448,
    }
    heard = hear(200, {}, _answer({"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}, usage=usage))
    assert heard == Answer("Hello", Usage(57, 448, 107, 0), "", Finish.STOP, "", "c1")
    assert (heard.usage.stated_input, heard.usage.stated_output) == (505, 107)


@pytest.mark.parametrize(
    ("more", "usage"),
    [
        ({}, Usage()),
        ({"usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}}}, Usage(3, 0, 4, 0)),
        ({"usage": {"tokens": {"input_tokens": 3}, "cached_tokens": 9}}, Usage(3, 9, 0, 0)),
        ({"usage": {"tokens": {"input_tokens": -3, "output_tokens": 0.5}}}, Usage()),
        ({"meta": {"tokens": {"input_tokens": 3, "output_tokens": 4}}}, Usage(3, 0, 4, 0)),
        (
            {
                "meta": {"billed_units": {"input_tokens": 1, "output_tokens": 1}},
                "token_count": {"prompt_tokens": 7, "response_tokens": 2, "total_tokens": 9},
            },
            Usage(7, 0, 2, 0),
        ),
    ],
)
def test_usage_wherever_it_stands(more: dict[str, Any], usage: Usage) -> None:
    assert hear(200, {}, _answer({"type": "text", "text": "hi"}, **more)).usage == usage


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("COMPLETE", Finish.STOP),
        ("STOP_SEQUENCE", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("ERROR_LIMIT", Finish.LENGTH),
        ("USER_CANCEL", Finish.OTHER),
        (None, Finish.OTHER),
    ],
)
def test_reasons_to_finish(reason: str | None, finish: Finish) -> None:
    answer = hear(200, {}, _answer({"type": "text", "text": "hi"}, reason=reason))
    assert isinstance(answer, Answer)
    assert answer.finish is finish


def test_thinking_is_kept_apart() -> None:
    field = hear(200, {}, _answer({"type": "thinking", "thinking": "2+2"}, {"type": "text", "text": "4"}))
    leak = hear(200, {}, _answer({"type": "text", "text": "<think>2+2</think>4"}))
    for heard in (field, leak):
        assert isinstance(heard, Answer)
        assert (heard.text, heard.reasoning) == ("4", "2+2")
    assert isinstance(leak, Answer)
    assert leak.flags == ("reasoning_leak",)


def test_an_answer_of_thinking_alone_is_empty() -> None:
    answer = hear(200, {}, _answer({"type": "thinking", "thinking": "hm"}, reason="MAX_TOKENS"))
    assert answer == Answer("", Usage(), "hm", Finish.LENGTH, "", "c1")


def test_a_plan_to_call_tools_is_no_text() -> None:
    message = {"role": "assistant", "tool_plan": "I will call f.", "tool_calls": [{"id": "1"}]}
    answer = hear(200, {}, orjson.dumps({"id": "c1", "message": message, "finish_reason": "TOOL_CALL"}))
    assert answer == Answer("", Usage(), "", Finish.TOOL_CALLS, "", "c1")


def test_a_stream_is_folded() -> None:
    body = (
        b'event: message-start\ndata: {"id":"c1","type":"message-start","delta":{"message":{"content":[]}}}\n\n'
        + _event("content-start", message={"content": {"type": "text", "text": ""}})
        + _event("content-delta", message={"content": {"thinking": "hm"}})
        + _text("Hel")
        + _text("lo")
        + _event("tool-plan-delta", message={"tool_plan": "I will"})
        + b'data: {"type":"content-end","index":0}\r\n\r\n'
        + _event("message-end", finish_reason="COMPLETE", usage={"tokens": {"input_tokens": 3, "output_tokens": 2}})
        + b"data: [DONE]\n\n"
    )
    assert hear(200, {}, body) == Answer("Hello", Usage(3, 0, 2, 0), "hm", Finish.STOP, "", "c1")


def test_version_1_is_understood_whole_and_as_a_stream() -> None:
    meta = {"tokens": {"input_tokens": 3, "output_tokens": 2}}
    whole = {"response_id": "r1", "text": "Hello", "finish_reason": "COMPLETE", "meta": meta}
    events = [
        {"is_finished": False, "event_type": "stream-start", "generation_id": "g1"},
        {"is_finished": False, "event_type": "text-generation", "text": "Hel"},
        {"is_finished": False, "event_type": "text-generation", "text": "lo"},
        {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": whole},
    ]
    for body in (orjson.dumps(whole), b"\n".join(map(orjson.dumps, events))):
        assert hear(200, {}, body) == Answer("Hello", Usage(3, 0, 2, 0), "", Finish.STOP, "", "r1")


def test_no_nul_reaches_the_ledger() -> None:
    answer = hear(200, {}, _answer({"type": "text", "text": "a\x00b"}))
    assert isinstance(answer, Answer)
    assert answer.text == "ab"


def test_the_key_goes_into_a_header() -> None:
    assert authorize("k") == {"authorization": "Bearer k"}


def test_says_only_what_is_set() -> None:
    turns = (Message("system", "be brief"), Message("user", "hi"))
    said = say(Request("command-a-03-2025", turns, max_tokens=5))
    assert (said.method, said.path) == ("POST", "/v2/chat")
    plain = orjson.loads(said.body)
    assert plain == {
        "model": "command-a-03-2025",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "temperature": 0.0,
        "stream": False,
    }
    full = orjson.loads(say(Request("command-a-03-2025", turns, 5, 0.0, -1, tuple("uvwxyz"), json_mode=True)).body)
    assert full == plain | {
        "seed": 2**64 - 1,
        "stop_sequences": ["u", "v", "w", "x", "y"],
        "response_format": {"type": "json_object"},
    }


NAMES = [
    "id",
    "message",
    "content",
    "text",
    "thinking",
    "tool_calls",
    "finish_reason",
    "usage",
    "tokens",
    "billed_units",
    "input_tokens",
    "output_tokens",
    "meta",
    "cached_tokens",
    "token_count",
    "type",
    "event_type",
    "delta",
    "response",
    "error",
    "detail",
    "data",
    "response_id",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=30,
)


@given(st.sampled_from([200, 204, 302, 400, 404, 429, 498, 500]), st.lists(JSON, min_size=1, max_size=3), st.booleans())
def test_never_raises_whatever_is_sent(status: int, docs: list[Any], stream: bool) -> None:
    pieces = [orjson.dumps(doc) for doc in docs]
    body = b"".join(b"data: " + piece + b"\n\n" for piece in pieces) if stream else pieces[0]
    usage = hear(status, {}, body).usage
    assert min(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens) >= 0


@given(st.sampled_from([200, 400, 429, 500]), st.binary(max_size=60), st.sampled_from([b"", b"data: ", b"{\n", b"["]))
def test_never_raises_for_bytes_either(status: int, body: bytes, start: bytes) -> None:
    hear(status, {}, start + body)


def test_recorded_responses_are_heard_as_they_are() -> None:
    for case in recorded("cohere"):
        expected = case.get("expected") or {}
        heard = hear(case["status"], case["headers"], case["body"].encode())
        if isinstance(heard, Failure):
            assert heard.kind in {case["kind"], *(case.get("alt_kinds") or ())}, case["id"]
            continue
        assert case["kind"] == ("truncated" if heard.finish is Finish.LENGTH else "success"), case["id"]
        assert heard.text == (expected["text"] or ""), case["id"]
        assert heard.reasoning == (expected["reasoning"] or ""), case["id"]
        assert heard.finish == (expected["finish_norm"] or "other"), case["id"]
        stated = (heard.usage.stated_input, heard.usage.stated_output)
        assert stated == (expected["input_tokens"], expected["output_tokens"]), case["id"]
