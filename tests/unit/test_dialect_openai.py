"""The OpenAI dialect: own cases of every trap we know of, properties, and the recorded responses of thirty vendors."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.masking import safe_message
from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.openai import authorize, hear, say
from tests.unit.recorded import misnamed, recorded


def _error(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, **more}})


def _completion(message: dict[str, Any], finish: str | None = "stop", usage: dict[str, Any] | None = None) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return orjson.dumps({"id": "c1", "model": "m", "choices": [choice], "usage": usage})


TROUBLE = [
    (429, _error("Rate limit reached: 1500 requests per day"), "quota_exhausted"),
    (
        429,
        _error("You exceeded your current quota: quota metric 'requests per minute'", code="insufficient_quota"),
        "rate_limit",
    ),
    (429, _error("Quota exceeded for metric: generate_requests_per_minute", status="RESOURCE_EXHAUSTED"), "rate_limit"),
    (429, _error("Daily limit reached", type="rate_limit_error"), "quota_exhausted"),
    (429, _error("Monthly usage limit reached"), "quota_exhausted"),
    (
        429,
        _error("Your team has either used all available credits or reached its monthly spending limit."),
        "quota_exhausted",
    ),
    (429, "error code: 1015", "rate_limit"),
    (429, "", "rate_limit"),
    (429, _error("The engine is currently overloaded", type="engine_overloaded_error"), "overloaded"),
    (429, json.dumps({"detail": "Infrastructure is at maximum capacity, try again later"}), "overloaded"),
    (429, json.dumps({"error": "Model is overloaded", "error_type": "overloaded"}), "overloaded"),
    (
        429,
        _error(
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 45000. "
            "The input or output tokens must be reduced in order to run successfully."
        ),
        "context_length",
    ),
    (429, json.dumps({"detail": {"error": "Model busy, retry later"}}), "overloaded"),
    (400, _error("API key not valid. Please pass a valid API key.", code=400), "auth"),
    (
        400,
        json.dumps(
            [
                {
                    "error": {
                        "code": 400,
                        "message": "API key expired. Please renew the API key.",
                        "status": "INVALID_ARGUMENT",
                    }
                }
            ]
        ),
        "auth",
    ),
    (400, _error("Invalid API Key provided"), "auth"),
    (
        400,
        json.dumps(
            {
                "error": "Incorrect API key provided: xa***9. You can obtain an API key from https://console.x.ai.",
                "code": "Client specified an invalid argument",
            }
        ),
        "auth",
    ),
    (
        400,
        _error("The model `x` has been decommissioned and is no longer supported.", code="model_decommissioned"),
        "model_not_found",
    ),
    (
        400,
        _error(
            "The requested model 'foo/bar' is not supported by any provider you have enabled.",
            code="model_not_supported",
        ),
        "model_not_found",
    ),
    (400, _error("Unknown model: foo", code="unknown_model"), "model_not_found"),
    (
        400,
        json.dumps({"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}),
        "model_not_found",
    ),
    (
        404,
        json.dumps(
            {
                "object": "error",
                "message": "The model `x` does not exist.",
                "type": "NotFoundError",
                "param": None,
                "code": 404,
            }
        ),
        "model_not_found",
    ),
    (404, _error('model "llama9" not found, try pulling it first', type="api_error"), "model_not_found"),
    (404, _error("No endpoints found that support tool use.", code=404), "invalid_request"),
    (404, _error("No endpoints found for foo/bar.", code=404), "model_not_found"),
    (404, "<html><title>404 Not Found</title></html>", "model_not_found"),
    (402, _error("Insufficient credits"), "billing"),
    (
        403,
        json.dumps({"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}),
        "billing",
    ),
    (403, json.dumps({"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}), "billing"),
    (429, _error("Insufficient balance"), "billing"),
    (
        412,
        _error(
            "Account x is suspended, possibly due to reaching the monthly spending limit "
            "or failure to pay past invoices."
        ),
        "billing",
    ),
    (400, _error("Access denied, please make sure your account is in good standing.", code="Arrearage"), "billing"),
    (
        401,
        '{"type":"error","error":{"type":"CreditsError","message":"Insufficient balance. Manage your billing here"}}',
        "billing",
    ),
    (400, _error("Input data may contain inappropriate content.", code="data_inspection_failed"), "content_filter"),
    (400, _error("Your request was rejected as a result of our safety system."), "content_filter"),
    (
        400,
        _error(
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"
        ),
        "content_filter",
    ),
    (403, _error("Project does not have access to model gpt-5", code="model_not_found"), "model_not_found"),
    (
        403,
        _error("The free tier of the model has been exhausted.", code="AllocationQuota.FreeTierOnly"),
        "quota_exhausted",
    ),
    (403, "<html><head><title>Just a moment...</title></head></html>", "auth"),
    (
        500,
        _error("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"),
        "context_length",
    ),
    (500, _error("Invalid value for temperature", type="invalid_request_error"), "invalid_request"),
    (500, _error("model not found: foo"), "model_not_found"),
    (500, _error("Incorrect API key provided"), "auth"),
    (503, _error("当前分组 default 下对于模型 x 无可用渠道", code="model_not_found"), "model_not_found"),
    (500, _error("Internal Server Error", type="invalid_request_error"), "server_error"),
    (502, "<html><title>502 Bad Gateway</title></html>", "server_error"),
    (503, "<html><title>503 Service Temporarily Unavailable</title></html>", "overloaded"),
    (500, "Internal Server Error", "server_error"),
    (502, _error("Bad gateway", code="rate_limit_exceeded"), "rate_limit"),
    (529, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "overloaded"),
    (520, "error code: 520", "server_error"),
    (522, "<html><title>Connection timed out</title></html>", "timeout"),
    (498, _error("Flex tier capacity exceeded"), "overloaded"),
    (500, _error("The request timed out"), "timeout"),
    (200, _error("Rate limit exceeded", code=429), "rate_limit"),
    (200, _error("Overloaded"), "overloaded"),
    (200, _error("Upstream error", code=502), "server_error"),
    (200, _error("bad api key", code="invalid_api_key"), "auth"),
    (200, _error("something"), "server_error"),
    (
        200,
        json.dumps({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}, "choices": None}),
        "billing",
    ),
    (200, json.dumps({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}), "rate_limit"),
    (
        200,
        json.dumps(
            {
                "id": "x",
                "choices": [
                    {
                        "index": 0,
                        "message": {"content": ""},
                        "finish_reason": "error",
                        "error": {"code": 502, "message": "Provider disconnected"},
                    }
                ],
            }
        ),
        "server_error",
    ),
    (200, json.dumps({"code": 500, "msg": "404 NOT_FOUND", "success": False}), "server_error"),
    (200, "<html><title>Login</title></html>", "malformed"),
    (200, "null", "malformed"),
    (200, "[]", "malformed"),
    (200, '"x"', "malformed"),
    (200, '{"choices":[null]}', "malformed"),
    (200, '{"choices":[{"message":null}]}', "malformed"),
    (200, 'data: {"error":{"message":"Rate limit exceeded","code":429}}\n\n', "rate_limit"),
    (200, 'data: {"choices":[{"delta":{"content":"he', "malformed"),
    (204, "", "malformed"),
    (302, "", "server_error"),
    (
        400,
        _error("`max_tokens` is too large: 99999. This model supports at most 4096 completion tokens"),
        "invalid_request",
    ),
    (400, _error("The input (9000 tokens) is longer than the model's context length (8192 tokens)."), "context_length"),
    (
        422,
        json.dumps(
            {
                "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
                "error_type": "validation",
            }
        ),
        "context_length",
    ),
    (400, _error("Range of input length should be [1, 30720]", code="invalid_parameter_error"), "context_length"),
    (400, _error("too many tokens: size limit exceeded"), "context_length"),
    (
        422,
        json.dumps({"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "value_error.missing"}]}),
        "invalid_request",
    ),
    (400, _error("Rate limit exceeded, please retry"), "rate_limit"),
    (401, _error("Your account is not active, please check your billing details"), "auth"),
    (
        429,
        _error(
            "Your account is not active, please check your billing details on our website.", code="billing_not_active"
        ),
        "billing",
    ),
    (
        429,
        _error("Usage limit reached for 5 hour. Your limit will reset at 2026-01-01 10:00", code="1308"),
        "quota_exhausted",
    ),
    (
        429,
        _error(
            "Your account org-x<ak-y> request reached max organization concurrency: 1", type="rate_limit_reached_error"
        ),
        "rate_limit",
    ),
    (
        429,
        _error(
            "You exceeded your current token quota: please check your account balance",
            type="exceeded_current_quota_error",
        ),
        "quota_exhausted",
    ),
    (429, json.dumps({"object": "error", "message": "Requests rate limit exceeded"}), "rate_limit"),
    (
        429,
        _error(
            "Allocated quota exceeded, please increase your quota limit.",
            code="insufficient_quota",
            type="insufficient_quota",
        ),
        "quota_exhausted",
    ),
    (413, _error("Payload too large"), "context_length"),
    (
        400,
        _error(
            "Unsupported value: 'temperature' does not support 0.0 with this model. "
            "Only the default (1) value is supported.",
            code="unsupported_value",
        ),
        "invalid_request",
    ),
    (
        400,
        _error(
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens",
            code=400,
        ),
        "context_length",
    ),
    (
        400,
        _error(
            "Provider returned error",
            code=400,
            metadata={"raw": '{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}'},
        ),
        "context_length",
    ),
    (
        429,
        _error(
            "Provider returned error",
            code=429,
            metadata={
                "raw": '{"error":{"message":"Quota exceeded","details":['
                '{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}]}}'
            },
        ),
        "quota_exhausted",
    ),
]


@pytest.mark.parametrize(("status", "body", "kind"), TROUBLE)
def test_trouble_has_the_right_name(status: int, body: str, kind: str) -> None:
    failure = hear(status, {}, body.encode())
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert failure.status == status
    assert failure.message


LIMITED = _error("Rate limit exceeded", type="rate_limit_exceeded").encode()
DATE = "Wed, 01 Jul 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({"retry-after": "7"}, "", 7.0),
        ({"Retry-After": "7.66"}, "", 7.66),
        ({"retry-after": "2m59.56s"}, "", 179.56),
        ({"retry-after-ms": "501", "retry-after": "1"}, "", 0.501),
        ({"retry-after": "Wed, 01 Jul 2026 12:01:30 GMT", "date": DATE}, "", 90.0),
        ({"retry-after": "Wed, 01 Jul 2026 12:01:30 GMT"}, "", None),
        ({"retry-after": "Wed, 01 Jul 2026 11:00:00 GMT", "date": DATE}, "", None),
        ({"retry-after": "-5"}, "", None),
        ({"retry-after": "NaN"}, "", None),
        ({"retry-after": "inf"}, "", None),
        ({"retry-after": "soon"}, "", None),
        ({"retry-after": "9999999"}, "", 86_400.0),
        ({}, "Please try again in 7.66s.", 7.66),
        ({}, "Please try again in 1h2m3s.", 3723.0),
        ({}, "Please retry after 17 seconds.", 17.0),
        ({}, "Please wait 2 minutes before retrying.", 120.0),
        ({}, "Please try again in 501ms.", 0.501),
        ({"retry-after": "87"}, "Please try again in 1m26.4s.", 86.4),
        ({"retry-after": "60"}, "Please try again in 2s.", 60.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, "", 360.0),
        (
            {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "52.1s",
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "18m54s",
            },
            "",
            52.1,
        ),
        ({"x-ratelimit-reset": "1782907260", "date": DATE}, "", 60.0),
        ({"x-ratelimit-reset": "1782907260000", "date": DATE}, "", 60.0),
        ({"x-ratelimit-reset": "1782907260000"}, "", None),
        ({"ratelimit-reset": "30"}, "", 30.0),
    ],
)
def test_patience_in_all_its_forms(headers: dict[str, str], text: str, seconds: float | None) -> None:
    failure = hear(429, headers, _error(f"Slow down. {text}").encode())
    assert isinstance(failure, Failure)
    assert failure.retry_after_s == (None if seconds is None else pytest.approx(seconds))


def test_a_limit_that_wants_hours_is_a_quota() -> None:
    failure = hear(429, {"retry-after": "30000"}, LIMITED)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.QUOTA_EXHAUSTED
    failure = hear(429, {"x-ratelimit-remaining-requests-day": "0"}, LIMITED)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.QUOTA_EXHAUSTED


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop",
        "sk-abc***yz",
        "gsk_aBcDeFgHiJkLmNoP",
        "AIzaSyA1234567890abcdefghij",
        "hf_abcdefghijkl",
        "nvapi-abcdefghijkl",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
    ],
)
def test_no_key_is_echoed(secret: str) -> None:
    for text in (f"Incorrect API key provided: {secret}.", f"Authorization: Bearer {secret}", f"key={secret} is wrong"):
        failure = hear(401, {}, _error(text).encode())
        assert isinstance(failure, Failure)
        assert secret not in failure.message
        assert "***" in failure.message


def test_a_message_is_one_short_line() -> None:
    assert len(safe_message("x y\n" * 1000)) == 300
    assert safe_message("a\x00b\n\tc") == "a b c"


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (None, Usage()),
        ({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}, Usage(10, 0, 2, 0)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 64},
                "completion_tokens_details": {"reasoning_tokens": 30},
            },
            Usage(36, 64, 20, 30),
        ),
        ({"prompt_tokens": 372, "completion_tokens": 12, "prompt_cache_hit_tokens": 256}, Usage(116, 256, 12, 0)),
        # xAI counts reasoning beside the completion.
        (
            {
                "prompt_tokens": 361,
                "completion_tokens": 26,
                "total_tokens": 480,
                "completion_tokens_details": {"reasoning_tokens": 93},
            },
            Usage(361, 0, 26, 93),
        ),
        # Gemini's OpenAI endpoint leaves the thinking to the total.
        ({"prompt_tokens": 66, "completion_tokens": 6, "total_tokens": 100}, Usage(66, 0, 6, 28)),
        ({"prompt_tokens": -5, "completion_tokens": None, "total_tokens": "many"}, Usage()),
    ],
)
def test_usage_in_disjoint_buckets(raw: dict[str, Any] | None, usage: Usage) -> None:
    answer = hear(200, {}, _completion({"content": "hi"}, usage=raw))
    assert isinstance(answer, Answer)
    assert answer.usage == usage


def test_reasoning_is_kept_apart() -> None:
    field = hear(200, {}, _completion({"content": "4", "reasoning_content": "2+2"}))
    leak = hear(200, {}, _completion({"content": "<think>2+2</think>\n4"}))
    parts = hear(200, {}, _completion({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "2+2"}]},
                                                   {"type": "text", "text": "4"}]}))  # fmt: skip
    for heard in (field, leak, parts):
        assert isinstance(heard, Answer)
        assert (heard.text, heard.reasoning) == ("4", "2+2")
    assert isinstance(leak, Answer)
    assert leak.flags == ("reasoning_leak",)


def test_an_answer_may_be_empty_and_is_billed() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 16, "total_tokens": 21}
    for message in ({"content": ""}, {"content": None, "reasoning": "hm"}, {"content": "<think>hm"}):
        answer = hear(200, {}, _completion(message, "length", usage))
        assert isinstance(answer, Answer)
        assert (answer.text, answer.finish, answer.usage.total) == ("", Finish.LENGTH, 21)


def test_an_empty_answer_without_any_end_is_malformed() -> None:
    failure = hear(200, {}, _completion({"content": ""}, None))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED


def test_the_vendors_own_counts_are_kept_beside_the_buckets() -> None:
    usage = {"prompt_tokens": 228, "completion_tokens": 42, "prompt_tokens_details": {"cached_tokens": 366}}
    answer = hear(200, {}, _completion({"content": "hi"}, usage=usage))
    assert (answer.usage.stated_input, answer.usage.stated_output) == (228, 42)
    assert hear(200, {}, _completion({"content": "hi"})).usage.stated_output is None


def test_a_refusal_is_content_filter() -> None:
    for message, finish in (
        ({"content": None, "refusal": "I can't."}, "stop"),
        ({"content": "I ca"}, "content_filter"),
    ):
        failure = hear(200, {}, _completion(message, finish))
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.CONTENT_FILTER


def test_a_cut_answer_says_so() -> None:
    answer = hear(200, {}, _completion({"content": "half an"}, "length"))
    assert isinstance(answer, Answer)
    assert answer.finish is Finish.LENGTH


def test_a_stream_is_folded() -> None:
    body = (
        b": PROCESSING\n\n"
        b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"reasoning":"hm"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}\r\n\r\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
        b"data: [DONE]\n\n"
    )
    answer = hear(200, {}, body)
    assert answer == Answer("Hello", Usage(3, 0, 2, 0), "hm", Finish.STOP, "m", "c1")


def test_no_nul_reaches_the_ledger() -> None:
    answer = hear(200, {}, _completion({"content": "a\x00b"}))
    assert isinstance(answer, Answer)
    assert answer.text == "ab"


def test_the_key_goes_into_a_header() -> None:
    assert authorize("k") == {"authorization": "Bearer k"}


def test_says_only_what_is_set() -> None:
    said = say(Request("m", (Message("user", "hi"),), max_tokens=5))
    assert (said.method, said.path) == ("POST", "/chat/completions")
    assert orjson.loads(said.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 5,
        "temperature": 0.0,
    }
    full = say(Request("m", (), max_tokens=5, seed=7, stop=("\n",), json_mode=True))
    assert orjson.loads(full.body).items() >= {"seed": 7, "stop": ["\n"]}.items()
    assert orjson.loads(full.body)["response_format"] == {"type": "json_object"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "error",
                    "code",
                    "usage",
                    "reasoning",
                    "refusal",
                    "finish_reason",
                    "tool_calls",
                    "prompt_tokens",
                    "completion_tokens",
                    "total_tokens",
                    "prompt_tokens_details",
                    "cached_tokens",
                    "text",
                    "metadata",
                    "raw",
                    "base_resp",
                    "x",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(st.sampled_from([200, 204, 302, 400, 401, 403, 404, 413, 429, 500, 503, 529, 999]), JSON, st.booleans())
def test_never_raises_whatever_is_sent(status: int, doc: Any, stream: bool) -> None:
    body = orjson.dumps(doc)
    heard = hear(status, {}, b"data: " + body + b"\n\n" if stream else body)
    usage = heard.usage
    assert min(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens) >= 0


@given(st.sampled_from([200, 400, 429, 500]), st.binary(max_size=60), st.text(max_size=20))
def test_never_raises_for_bytes_either(status: int, body: bytes, header: str) -> None:
    hear(status, {"retry-after": header, "x-ratelimit-reset": header, "date": header}, body)


def test_recorded_responses_are_named_as_they_are() -> None:
    assert misnamed("openai", hear) == {}


def test_recorded_texts_and_waits_are_read() -> None:
    for case in recorded("openai"):
        expected = case.get("expected") or {}
        heard = hear(case["status"], case["headers"], case["body"].encode())
        if isinstance(heard, Answer):
            assert heard.text == (expected["text"] or ""), case["id"]
            if expected.get("finish_norm"):
                assert heard.finish == expected["finish_norm"], case["id"]
            assert heard.reasoning.strip() == (expected["reasoning"] or "").strip(), case["id"]
        elif "retry_after_s" in expected:
            assert heard.retry_after_s == pytest.approx(expected["retry_after_s"]), case["id"]


def test_recorded_usage_adds_up() -> None:
    """The prompt's count is the two input buckets; the output buckets hold at least the completion's count."""
    for case in recorded("openai"):
        expected = case.get("expected") or {}
        if expected.get("input_tokens") is None:
            continue
        usage = hear(case["status"], case["headers"], case["body"].encode()).usage
        stated = (usage.stated_input, usage.stated_output)
        assert stated == (expected["input_tokens"], expected["output_tokens"]), case["id"]
        beside = usage.cached_tokens > expected["input_tokens"] or usage.input_tokens == expected["input_tokens"]
        prompt = usage.input_tokens + (0 if beside else usage.cached_tokens)
        assert prompt == expected["input_tokens"], case["id"]
        assert usage.output_tokens + usage.reasoning_tokens >= expected["output_tokens"], case["id"]
        if expected.get("total_tokens"):
            assert usage.total >= expected["total_tokens"], case["id"]
