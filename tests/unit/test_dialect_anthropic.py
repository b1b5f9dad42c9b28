"""The Anthropic dialect: own cases of every trap we know of, properties, and recorded responses."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.anthropic import authorize, hear, say
from tests.unit.recorded import misnamed, recorded


def _error(message: str, kind: str = "invalid_request_error") -> str:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def _message(content: Any, reason: str | None = "end_turn", **more: Any) -> bytes:
    doc = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return orjson.dumps(doc | {"stop_reason": reason, "usage": {"input_tokens": 5, "output_tokens": 3}} | more)


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _stream(*events: dict[str, Any], end: str = "\n\n") -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}{end}" for event in events).encode()


START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "msg_1", "type": "message", "model": "claude", "content": [], "stop_reason": None,
                "usage": {"input_tokens": 7, "cache_read_input_tokens": 4, "output_tokens": 1}},
}  # fmt: skip
END: tuple[dict[str, Any], ...] = (
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
)


def _delta(index: int, kind: str, **said: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, _error("Your credit balance is too low to access the Anthropic API."), "billing"),
        (402, _error("Payment is due", "billing_error"), "billing"),
        (401, _error("invalid x-api-key", "authentication_error"), "auth"),
        (403, _error("Request not allowed", "forbidden"), "auth"),
        (
            403,
            _error("Your API key does not have permission to use the specified resource", "permission_error"),
            "auth",
        ),
        (400, _error("This organization has been disabled."), "auth"),
        (404, _error("model: claude-nope", "not_found_error"), "model_not_found"),
        (400, _error("The model claude-2.1 has been retired"), "model_not_found"),
        (413, _error("Request exceeds the maximum size", "request_too_large"), "context_length"),
        (413, "<html><title>413 Request Entity Too Large</title></html>", "context_length"),
        (400, _error("prompt is too long: 210000 tokens > 200000 maximum"), "context_length"),
        (400, _error("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"), "context_length"),
        (
            400,
            _error("max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens"),
            "invalid_request",
        ),
        (400, _error("temperature: range: 0..1"), "invalid_request"),
        (400, _error("This model does not support assistant message prefill."), "invalid_request"),
        (400, _error("Output blocked by content filtering policy"), "content_filter"),
        (
            429,
            _error("This would exceed your organization's limit of 30,000 input tokens per minute", "rate_limit_error"),
            "rate_limit",
        ),
        (
            429,
            _error("Number of concurrent connections has exceeded your rate limit.", "rate_limit_error"),
            "rate_limit",
        ),
        (
            429,
            _error("Number of request tokens has exceeded your daily rate limit", "rate_limit_error"),
            "quota_exhausted",
        ),
        (
            400,
            _error("You have reached your specified API usage limits. You will regain access on 2026-08-01."),
            "quota_exhausted",
        ),
        (500, _error("Internal server error", "api_error"), "server_error"),
        (500, _error("Overloaded", "overloaded_error"), "overloaded"),
        (504, _error("Request timed out", "timeout_error"), "timeout"),
        (529, _error("Overloaded", "overloaded_error"), "overloaded"),
        (529, "", "overloaded"),
        (502, "<html><title>502 Bad Gateway</title></html>", "server_error"),
        (520, "error code: 520", "server_error"),
        (200, _error("Overloaded", "overloaded_error"), "overloaded"),
        (200, _error("not for you", "permission_error"), "auth"),
        (200, _error("model: claude-nope", "not_found_error"), "model_not_found"),
        (200, _error("try again", "api_error"), "server_error"),
        (200, _error("stop: unexpected"), "invalid_request"),
        (200, json.dumps({"code": 500, "msg": "404 NOT_FOUND", "success": False}), "server_error"),
        (429, json.dumps({"error": {"code": "1113", "message": "Insufficient balance. Please recharge."}}), "billing"),
        (200, "", "malformed"),
        (200, "null", "malformed"),
        (200, "{}", "malformed"),
        (200, "<html><title>Login</title></html>", "malformed"),
        (200, '{"type":"message","content":[{"type":"te', "malformed"),
        (200, '{"type":"message","content":null,"stop_reason":null}', "malformed"),
        (204, "", "malformed"),
        (302, "", "server_error"),
    ],
)
def test_trouble_has_the_right_name(status: int, body: str, kind: str) -> None:
    failure = hear(status, {}, body.encode())
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert failure.status == status
    assert failure.message


DATE = "Wed, 01 Jul 2026 00:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        (
            {"retry-after": "23", "anthropic-ratelimit-input-tokens-reset": "2026-07-01T00:00:40Z", "date": DATE},
            "",
            23.0,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "9",
                "anthropic-ratelimit-requests-reset": "2026-07-01T00:00:02Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-07-01T00:00:40Z",
                "date": DATE,
            },
            "",
            40.0,
        ),
        ({"anthropic-ratelimit-requests-reset": "2026-07-01T02:00:30+02:00", "date": DATE}, "", 30.0),
        ({"anthropic-ratelimit-requests-reset": "2026-07-01T00:00:40Z"}, "", None),
        ({"date": DATE}, "You will regain access on 2026-07-01 at 00:50 UTC.", 3000.0),
        ({"date": DATE}, "You will regain access on 2026-08-01 at 00:00 UTC.", 86_400.0),
        ({}, "You will regain access on 2026-08-01 at 00:00 UTC.", None),
    ],
)
def test_patience(headers: dict[str, str], text: str, seconds: float | None) -> None:
    failure = hear(429, headers, _error(f"Slow down. {text}", "rate_limit_error").encode())
    assert isinstance(failure, Failure)
    assert failure.retry_after_s == seconds


def test_an_answer() -> None:
    assert hear(200, {}, _message([_text("Hel"), _text("lo")])) == Answer(
        "Hello", Usage(5, 0, 3, 0), "", Finish.STOP, "claude", "msg_1"
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("tool_use", Finish.TOOL_CALLS),
        ("pause_turn", Finish.OTHER),
        ("news", Finish.OTHER),
        (None, Finish.OTHER),
    ],
)
def test_finish(reason: str | None, finish: Finish) -> None:
    answer = hear(200, {}, _message([_text("half")], reason))
    assert isinstance(answer, Answer)
    assert answer.finish is finish


def test_an_empty_answer_is_told_as_it_came() -> None:
    for content, reason, finish in (
        ([], "end_turn", Finish.STOP),
        ([{"type": "thinking", "thinking": "hm", "signature": "x"}], "max_tokens", Finish.LENGTH),
        ([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "tool_use", Finish.TOOL_CALLS),
    ):
        answer = hear(200, {}, _message(content, reason))
        assert isinstance(answer, Answer)
        assert (answer.text, answer.finish, answer.usage.total) == ("", finish, 8)


def test_a_refusal_is_content_filter_and_billed() -> None:
    body = _message([_text("I ca")], "refusal", stop_details={"type": "refusal", "explanation": "Blocked: policy."})
    failure = hear(200, {}, body)
    assert failure == Failure(
        FailureKind.CONTENT_FILTER, "Blocked: policy.", 200, usage=Usage(5, 0, 3, 0), finish=Finish.CONTENT_FILTER
    )


def test_reasoning_is_kept_apart() -> None:
    block = hear(200, {}, _message([{"type": "thinking", "thinking": "2+2"}, {"type": "redacted_thinking", "data": "x"},
                                    _text("4")]))  # fmt: skip
    leak = hear(200, {}, _message([_text("<thinking>2+2</thinking>\n4")]))
    for heard in (block, leak):
        assert isinstance(heard, Answer)
        assert (heard.text, heard.reasoning) == ("4", "2+2")
    assert isinstance(leak, Answer)
    assert leak.flags == ("reasoning_leak",)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (None, Usage()),
        ({"input_tokens": 10, "output_tokens": 2}, Usage(10, 0, 2, 0)),
        (
            {"input_tokens": 8, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 400, "output_tokens": 2},
            Usage(38, 400, 2, 0),
        ),
        (
            {"input_tokens": 8, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 16}},
            Usage(8, 0, 4, 16),
        ),
        ({"input_tokens": 8, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 16}}, Usage(8, 0, 0, 2)),
        ({"input_tokens": -8, "output_tokens": "2", "cache_read_input_tokens": True}, Usage()),
    ],
)
def test_usage_in_disjoint_buckets(raw: dict[str, Any] | None, usage: Usage) -> None:
    answer = hear(200, {}, _message([_text("hi")], usage=raw))
    assert isinstance(answer, Answer)
    assert answer.usage == usage


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\n"])
def test_a_stream_is_folded(end: str) -> None:
    events = (
        START,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "ping"},
        _delta(0, "thinking_delta", thinking="2+"),
        _delta(0, "thinking_delta", thinking="2"),
        _delta(0, "signature_delta", signature="x"),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": _text("")},
        _delta(1, "text_delta", text="fo"),
        _delta(1, "text_delta", text="ur"),
        *END,
    )
    assert hear(200, {}, _stream(*events, end=end)) == Answer(
        "four", Usage(7, 4, 9, 0), "2+2", Finish.STOP, "claude", "msg_1"
    )


def test_a_stream_of_a_compatible_vendor_counts_its_input_at_the_end() -> None:
    start = {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 0, "output_tokens": 0}}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
           "usage": {"input_tokens": 11, "output_tokens": 2, "cache_read_input_tokens": 3}}  # fmt: skip
    answer = hear(200, {}, _stream(start, _delta(0, "text_delta", text="hi"), end))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.usage) == ("hi", Usage(11, 3, 2, 0))


def test_an_error_in_a_stream_is_named_and_billed() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    failure = hear(200, {}, _stream(START, _delta(0, "text_delta", text="ha"), error))
    assert failure == Failure(FailureKind.OVERLOADED, "Overloaded", 200, usage=Usage(7, 4, 1, 0))


def test_a_stream_that_begins_anew_forgets_what_came_before() -> None:
    answer = hear(
        200, {}, _stream(_delta(3, "text_delta", text="old"), START, _delta(0, "text_delta", text="new"), *END)
    )
    assert isinstance(answer, Answer)
    assert answer.text == "new"


def test_a_cut_stream_is_no_answer() -> None:
    whole = _stream(START, _delta(0, "text_delta", text="half"), *END)
    for cut in (whole[: whole.index(b"message_delta")], whole[: whole.index(b"end_turn")]):
        failure = hear(200, {}, cut)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.usage.input_tokens) == (FailureKind.MALFORMED, 7)


def test_says_what_the_api_takes() -> None:
    messages = (
        Message("system", "Be brief."),
        Message("user", "hi"),
        Message("assistant", "yes?"),
        Message("user", "x"),
    )
    said = say(Request("m", messages, max_tokens=5, temperature=1.5, seed=7, stop=("\n", "END"), json_mode=True))
    assert (said.method, said.path) == ("POST", "/v1/messages")
    assert said.headers["anthropic-version"] == "2023-06-01"
    assert orjson.loads(said.body) == {
        "model": "m",
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
            {"role": "user", "content": "x"},
        ],
        "max_tokens": 5,
        "temperature": 1.0,
        "stop_sequences": ["END"],
    }
    assert authorize("k") == {"x-api-key": "k"}


def test_a_system_prompt_alone_is_a_question() -> None:
    payload = orjson.loads(say(Request("m", (Message("system", "a"), Message("system", "b")), max_tokens=5)).body)
    assert (payload["system"], payload["messages"]) == ("a", [{"role": "user", "content": "b"}])


NAMES = (
    "type",
    "content",
    "text",
    "thinking",
    "error",
    "message",
    "usage",
    "input_tokens",
    "output_tokens",
    "stop_reason",
    "stop_details",
    "delta",
    "content_block",
    "index",
    "output_tokens_details",
    "thinking_tokens",
    "x",
)
WORDS = (
    "message_start",
    "content_block_start",
    "content_block_delta",
    "message_delta",
    "message_stop",
    "error",
    "text",
    "text_delta",
    "thinking_delta",
    "end_turn",
    "refusal",
    "overloaded_error",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=30,
)


@given(st.sampled_from([200, 200, 200, 204, 302, 400, 413, 429, 500, 529]), st.lists(JSON, max_size=4), st.booleans())
def test_never_raises_whatever_is_sent(status: int, docs: list[Any], stream: bool) -> None:
    body = b"".join(b"data: " + orjson.dumps(doc) + b"\n\n" for doc in docs) if stream else orjson.dumps(docs)
    usage = hear(status, {}, body).usage
    assert min(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens) >= 0


@given(st.sampled_from([200, 400, 429, 529]), st.binary(max_size=60), st.text(max_size=20))
def test_never_raises_for_bytes_either(status: int, body: bytes, header: str) -> None:
    hear(status, {"retry-after": header, "anthropic-ratelimit-tokens-reset": header, "date": header}, body)
    hear(status, {}, b"data: " + body)


def test_recorded_responses_are_named_as_they_are() -> None:
    assert misnamed("anthropic", hear) == {}


def test_recorded_texts_tokens_and_waits_are_read() -> None:
    for case in recorded("anthropic"):
        expected = case.get("expected") or {}
        heard = hear(case["status"], case["headers"], case["body"].encode())
        usage = heard.usage
        if isinstance(heard, Answer):
            assert heard.text == (expected["text"] or ""), case["id"]
            assert heard.reasoning.strip() == (expected["reasoning"] or "").strip(), case["id"]
            assert heard.finish == (expected["finish_norm"] or "other"), case["id"]
        elif "retry_after_s" in expected:
            assert heard.retry_after_s == pytest.approx(expected["retry_after_s"]), case["id"]
        if expected.get("input_tokens") is not None:
            assert usage.input_tokens == expected["input_tokens"], case["id"]
            assert usage.cached_tokens == expected.get("cache_read_tokens", 0), case["id"]
            assert usage.output_tokens + usage.reasoning_tokens == expected["output_tokens"], case["id"]
