"""The Responses dialect: own cases of every trap we know of, properties, and recorded responses."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.openai_responses import authorize, hear, say
from tests.unit.recorded import misnamed, recorded


def _error(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, **more}})


def _failed(message: str, code: str) -> str:
    return json.dumps({"id": "r", "status": "failed", "output": [], "error": {"code": code, "message": message}})


def _message(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **more}


def _response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    doc = {"id": "resp_1", "object": "response", "model": "m", "status": "completed", "error": None}
    return doc | {"incomplete_details": None, "output": list(output), "usage": usage} | more


def _hear(*output: dict[str, Any], **more: Any) -> Answer | Failure:
    return hear(200, {}, orjson.dumps(_response(*output, **more)))


def _stream(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
CREATED: dict[str, Any] = {"type": "response.created", "response": _response(status="in_progress", usage=None)}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, _error("Incorrect API key provided: sk-x.", code="invalid_api_key"), "auth"),
        (401, json.dumps({"detail": "Could not parse your authentication token."}), "auth"),
        (
            403,
            _error("Country, region, or territory not supported", code="unsupported_country_region_territory"),
            "auth",
        ),
        (400, _error("The requested model 'x' does not exist.", code="model_not_found"), "model_not_found"),
        (400, json.dumps({"code": "invalid-argument", "error": "Model not found: grok-9"}), "model_not_found"),
        (
            404,
            _error("The model `x` does not exist or you do not have access to it.", code="model_not_found"),
            "model_not_found",
        ),
        (
            400,
            _error("Previous response with id 'r' not found.", code="previous_response_not_found"),
            "invalid_request",
        ),
        (
            400,
            _error(
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 5.",
                code="integer_below_min_value",
            ),
            "invalid_request",
        ),
        (400, _error("Unsupported parameter: 'temperature' is not supported with this model."), "invalid_request"),
        (
            400,
            _error("Your input exceeds the context window of this model.", code="context_length_exceeded"),
            "context_length",
        ),
        (
            400,
            _error("Your input exceeds the context window of this model. Please adjust your input and try again."),
            "context_length",
        ),
        (
            400,
            _error(
                "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
                code="invalid_prompt",
            ),
            "content_filter",
        ),
        (
            429,
            _error(
                "You exceeded your current quota, please check your plan and billing details.",
                code="insufficient_quota",
                type="insufficient_quota",
            ),
            "quota_exhausted",
        ),
        (
            429,
            _error("Rate limit reached for m on requests per min (RPM): Limit 3", code="rate_limit_exceeded"),
            "rate_limit",
        ),
        (
            429,
            _error("Rate limit reached for m on requests per day (RPD): Limit 200", code="rate_limit_exceeded"),
            "quota_exhausted",
        ),
        (500, _error("The server had an error while processing your request.", type="server_error"), "server_error"),
        (503, _error("The engine is currently overloaded, please try again later", type="overloaded"), "overloaded"),
        (200, _failed("An error occurred while processing your request.", "server_error"), "server_error"),
        (200, _failed("Rate limit reached for m on tokens per min", "rate_limit_exceeded"), "rate_limit"),
        (200, _failed("Your prompt was flagged as violating our usage policy.", "invalid_prompt"), "content_filter"),
        (200, _error("Overloaded", type="overloaded_error"), "overloaded"),
        (200, json.dumps({"status": "failed", "output": [], "error": None}), "server_error"),
        (200, json.dumps({"status": "cancelled", "output": [], "error": None}), "server_error"),
        (200, json.dumps({"detail": "Rate limit exceeded"}), "rate_limit"),
        (200, json.dumps({"status": "queued", "output": []}), "malformed"),
        (200, json.dumps({"output": []}), "malformed"),
        (200, "", "malformed"),
        (200, "[]", "malformed"),
        (200, "{}", "malformed"),
        (200, '{"output":[{"type":"mess', "malformed"),
        (200, "<html><title>Login</title></html>", "malformed"),
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


def test_an_answer() -> None:
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "2+2"}]}
    assert _hear(reasoning, _message("fo"), _message("ur")) == Answer(
        "four", Usage(5, 0, 3, 0), "2+2", Finish.STOP, "m", "resp_1"
    )


def test_a_body_with_white_space_before_it_is_read() -> None:
    answer = hear(200, {}, b"\n    \n" + orjson.dumps(_response(_message("hi"))))
    assert isinstance(answer, Answer)
    assert answer.text == "hi"


@pytest.mark.parametrize(
    ("output", "more", "finish"),
    [
        ([_message("x")], {}, Finish.STOP),
        ([CALL], {}, Finish.TOOL_CALLS),
        ([_message("x"), CALL], {"status": None}, Finish.TOOL_CALLS),
        ([_message("x")], {"status": None}, Finish.OTHER),
        (
            [_message("x")],
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            Finish.LENGTH,
        ),
        ([CALL], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, Finish.LENGTH),
        ([_message("x")], {"status": "incomplete", "incomplete_details": {"reason": "news"}}, Finish.OTHER),
    ],
)
def test_finish(output: list[dict[str, Any]], more: dict[str, Any], finish: Finish) -> None:
    answer = _hear(*output, **more)
    assert isinstance(answer, Answer)
    assert answer.finish is finish


def test_an_empty_answer_is_told_as_it_came() -> None:
    thinking = {"type": "reasoning", "summary": []}
    for output, more, finish in (
        ([thinking], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, Finish.LENGTH),
        ([_message("")], {}, Finish.STOP),
        ([], {}, Finish.STOP),
    ):
        answer = _hear(*output, **more)
        assert isinstance(answer, Answer)
        assert (answer.text, answer.finish, answer.usage.total) == ("", finish, 8)


def test_a_refusal_is_content_filter_and_billed() -> None:
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "I can't."}]}
    cut = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    for failure, why, finish in (
        (_hear(refusal), "I can't.", Finish.STOP),
        (_hear(_message("I wi"), **cut), "stopped by a content filter", Finish.CONTENT_FILTER),
    ):
        assert failure == Failure(FailureKind.CONTENT_FILTER, why, 200, usage=Usage(5, 0, 3, 0), finish=finish)


def test_reasoning_is_kept_apart() -> None:
    summed = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "2+2"}]}
    whole = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "2+2"}]}
    leak = _hear(_message("<think>2+2</think>\n4"))
    for heard in (_hear(summed, _message("4")), _hear(whole, _message("4")), leak):
        assert isinstance(heard, Answer)
        assert (heard.text, heard.reasoning) == ("4", "2+2")
    assert isinstance(leak, Answer)
    assert leak.flags == ("reasoning_leak",)


def test_commentary_is_no_part_of_a_final_answer() -> None:
    both = _hear(_message("Let me see. ", phase="commentary"), _message("4", phase="final_answer"))
    alone = _hear(_message("Let me see.", phase="commentary"))
    assert [heard.text for heard in (both, alone) if isinstance(heard, Answer)] == ["4", "Let me see."]


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (None, Usage()),
        ({"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}, Usage(10, 0, 2, 0)),
        (
            {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 64},
                "output_tokens": 50,
                "output_tokens_details": {"reasoning_tokens": 30},
                "total_tokens": 150,
            },
            Usage(36, 64, 20, 30),
        ),
        (
            {
                "input_tokens": 100,
                "output_tokens": 26,
                "output_tokens_details": {"reasoning_tokens": 93},
                "total_tokens": 219,
            },
            Usage(100, 0, 26, 93),
        ),
        ({"input_tokens": -5, "output_tokens": None, "input_tokens_details": []}, Usage()),
    ],
)
def test_usage_in_disjoint_buckets(raw: dict[str, Any] | None, usage: Usage) -> None:
    answer = _hear(_message("hi"), usage=raw)
    assert isinstance(answer, Answer)
    assert answer.usage == usage


def test_the_last_state_of_a_stream_counts() -> None:
    done = {"type": "response.completed", "response": _response(_message("four"))}
    piece = {"type": "response.output_text.delta", "output_index": 0, "delta": "fo"}
    assert hear(200, {}, _stream(CREATED, piece, done)) == Answer(
        "four", Usage(5, 0, 3, 0), "", Finish.STOP, "m", "resp_1"
    )


def test_a_stream_whose_last_state_has_no_output_is_folded() -> None:
    pieces = (
        {"type": "response.output_item.done", "output_index": 0,
         "item": {"type": "reasoning", "summary": [{"type": "summary_text", "text": "2+2"}]}},
        {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
        {"type": "response.output_text.delta", "output_index": 1, "delta": "fo"},
        {"type": "response.output_text.delta", "output_index": 1, "delta": "ur"},
    )  # fmt: skip
    end = {"type": "response.completed", "response": _response()}
    for events in (
        pieces,
        (*pieces, {"type": "response.output_item.done", "output_index": 1, "item": _message("four")}),
    ):
        answer = hear(200, {}, _stream(CREATED, *events, end))
        assert isinstance(answer, Answer)
        assert (answer.text, answer.reasoning) == ("four", "2+2")


def test_an_error_in_a_stream_is_named() -> None:
    flat = {"type": "error", "code": "rate_limit_exceeded", "message": "Rate limit reached", "sequence_number": 2}
    nested = {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Rate limit reached"}}
    failed = {"type": "response.failed", "response": json.loads(_failed("Rate limit reached", "rate_limit_exceeded"))}
    for event in (flat, nested, failed):
        assert hear(200, {}, _stream(CREATED, event)) == Failure(FailureKind.RATE_LIMIT, "Rate limit reached", 200)


def test_a_cut_stream_is_no_answer() -> None:
    piece = {"type": "response.output_text.delta", "output_index": 0, "delta": "half"}
    failure = hear(200, {}, _stream(CREATED, piece))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED


def test_no_nul_reaches_the_ledger() -> None:
    answer = _hear(_message("a\x00b"))
    assert isinstance(answer, Answer)
    assert answer.text == "ab"


def test_says_what_the_api_takes() -> None:
    messages = (Message("system", "Be brief."), Message("user", "hi"))
    said = say(Request("m", messages, max_tokens=5, seed=7, stop=("\n",), json_mode=True))
    assert (said.method, said.path) == ("POST", "/responses")
    assert orjson.loads(said.body) == {
        "model": "m",
        "input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "max_output_tokens": 16,
        "temperature": 0.0,
        "store": False,
        "text": {"format": {"type": "json_object"}},
    }
    assert authorize("k") == {"authorization": "Bearer k"}


NAMES = (
    "type",
    "output",
    "content",
    "text",
    "summary",
    "error",
    "message",
    "usage",
    "input_tokens",
    "output_tokens",
    "status",
    "incomplete_details",
    "reason",
    "response",
    "item",
    "output_index",
    "delta",
    "output_text",
    "refusal",
    "phase",
    "code",
    "output_tokens_details",
    "reasoning_tokens",
    "total_tokens",
    "x",
)
WORDS = (
    "response.completed",
    "response.output_item.done",
    "response.output_text.delta",
    "error",
    "message",
    "output_text",
    "reasoning",
    "refusal",
    "completed",
    "incomplete",
    "failed",
    "final_answer",
    "function_call",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=30,
)


@given(st.sampled_from([200, 200, 200, 204, 302, 400, 413, 429, 500, 503]), st.lists(JSON, max_size=4), st.booleans())
def test_never_raises_whatever_is_sent(status: int, docs: list[Any], stream: bool) -> None:
    body = b"".join(b"data: " + orjson.dumps(doc) + b"\n\n" for doc in docs) if stream else orjson.dumps(docs)
    usage = hear(status, {}, body).usage
    assert min(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens) >= 0


@given(st.sampled_from([200, 400, 429, 500]), st.binary(max_size=60))
def test_never_raises_for_bytes_either(status: int, body: bytes) -> None:
    hear(status, {}, body)
    hear(status, {}, b"data: " + body)


def test_recorded_responses_are_named_as_they_are() -> None:
    assert misnamed("openai_responses", hear) == {}


def test_recorded_texts_and_tokens_are_read() -> None:
    for case in recorded("openai_responses"):
        expected = case.get("expected") or {}
        heard = hear(case["status"], case["headers"], case["body"].encode())
        usage = heard.usage
        if isinstance(heard, Answer):
            assert heard.text == (expected["text"] or ""), case["id"]
            assert heard.reasoning.strip() == (expected["reasoning"] or "").strip(), case["id"]
            assert heard.finish == (expected["finish_norm"] or "other"), case["id"]
        if expected.get("input_tokens") is not None:
            assert usage.input_tokens + usage.cached_tokens == expected["input_tokens"], case["id"]
            assert usage.cached_tokens == expected.get("cached_tokens", 0), case["id"]
            assert usage.output_tokens + usage.reasoning_tokens == expected["output_tokens"], case["id"]
