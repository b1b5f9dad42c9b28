"""The Gemini dialect: own cases of every trap we know of, properties, and recorded responses."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request, Usage
from app.dialects.gemini import authorize, hear, say
from tests.unit.recorded import misnamed, recorded

RPC = "type.googleapis.com/google.rpc."


def _error(code: int, message: str, status: str, *details: dict[str, Any]) -> str:
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": list(details)}})


def _reason(reason: str) -> dict[str, Any]:
    return {"@type": RPC + "ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def _quota(*ids: str) -> dict[str, Any]:
    return {"@type": RPC + "QuotaFailure", "violations": [{"quotaMetric": "m", "quotaId": name} for name in ids]}


def _retry(delay: str) -> dict[str, Any]:
    return {"@type": RPC + "RetryInfo", "retryDelay": delay}


def _piece(*parts: dict[str, Any], reason: Any = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, "finishReason": reason}
    return {"candidates": [candidate], "modelVersion": "g", "responseId": "r1", **more}


EXCEEDED = "You exceeded your current quota, please check your plan and billing details."
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"

TROUBLE = [
    (400, _error(400, "API key not valid.", "INVALID_ARGUMENT", _reason("API_KEY_INVALID")), "auth"),
    (400, "[" + _error(400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT") + "]", "auth"),
    (401, _error(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED"), "auth"),
    (403, _error(403, "Your API key was reported as leaked.", "PERMISSION_DENIED"), "auth"),
    (403, _error(403, "The API has not been used in project 1.", "X", _reason("SERVICE_DISABLED")), "auth"),
    (400, _error(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"), "auth"),
    (403, _error(403, "This method requires billing to be enabled.", "X", _reason("BILLING_DISABLED")), "billing"),
    (
        400,
        _error(400, "The free tier is not available in your country. Please enable billing.", "FAILED_PRECONDITION"),
        "billing",
    ),
    (404, _error(404, "models/x is not found for API version v1beta", "NOT_FOUND"), "model_not_found"),
    (
        404,
        _error(404, "Publisher Model `p/x` was not found or your project has no access to it.", "NOT_FOUND"),
        "model_not_found",
    ),
    (
        400,
        _error(400, "* GenerateContentRequest.model: unexpected model name format", "INVALID_ARGUMENT"),
        "model_not_found",
    ),
    (429, _error(429, EXCEEDED, "RESOURCE_EXHAUSTED", _quota(PER_MINUTE), _retry("34s")), "rate_limit"),
    (429, _error(429, EXCEEDED, "RESOURCE_EXHAUSTED", _quota(PER_DAY), _retry("34s")), "quota_exhausted"),
    (429, _error(429, EXCEEDED, "RESOURCE_EXHAUSTED", _quota(PER_MINUTE, PER_DAY)), "quota_exhausted"),
    (429, _error(429, f"{EXCEEDED}\n* metric: free_tier_requests, limit: 0", "RESOURCE_EXHAUSTED"), "quota_exhausted"),
    (429, _error(429, "Quota exceeded for requests_per_minute_per_project", "RESOURCE_EXHAUSTED"), "rate_limit"),
    (429, _error(429, "Resource exhausted. Please try again later.", "RESOURCE_EXHAUSTED"), "rate_limit"),
    (
        429,
        json.dumps({"error": {"message": _error(429, EXCEEDED, "RESOURCE_EXHAUSTED", _quota(PER_DAY)), "code": 429}}),
        "quota_exhausted",
    ),
    (400, _error(400, "The input token count (9) exceeds the maximum number", "INVALID_ARGUMENT"), "context_length"),
    (
        400,
        _error(400, "the input token count is 9 but model only supports up to 8. Reduce the input token count", "X"),
        "context_length",
    ),
    (400, _error(400, "Request payload size exceeds the limit: 20971520 bytes.", "X"), "context_length"),
    (400, _error(400, "Developer instruction is not enabled for models/gemma-3", "X"), "invalid_request"),
    (400, _error(400, "Budget 0 is invalid. This model only works in thinking mode.", "X"), "invalid_request"),
    (500, _error(500, "An internal error has occurred.", "INTERNAL"), "server_error"),
    (503, _error(503, "The model is overloaded.", "UNAVAILABLE"), "overloaded"),
    (504, _error(504, "Deadline expired before operation could complete.", "DEADLINE_EXCEEDED"), "timeout"),
    (502, "<html><title>502 Bad Gateway</title></html>", "server_error"),
    (200, _error(429, EXCEEDED, "RESOURCE_EXHAUSTED", _quota(PER_MINUTE)), "rate_limit"),
    (200, _error(503, "The model is overloaded.", "UNAVAILABLE"), "overloaded"),
    (200, "[" + _error(500, "Internal error encountered.", "INTERNAL") + "]", "server_error"),
    (200, "data: " + _error(503, "The model is overloaded.", "UNAVAILABLE") + "\r\n\r\n", "overloaded"),
    # A stream that began well and ended in an error without its prefix.
    (
        200,
        f"data: {json.dumps(_piece({'text': 'Hel'}, reason=None))}\r\n\r\n"
        + _error(503, "The model is overloaded.", "UNAVAILABLE"),
        "overloaded",
    ),
    (200, json.dumps([_piece({"text": "a"}, reason=None), json.loads(_error(500, "no", "INTERNAL"))]), "server_error"),
    (200, json.dumps({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}), "content_filter"),
    (200, json.dumps({"promptFeedback": {"blockReason": 1}}), "content_filter"),
    (200, json.dumps({"promptFeedback": {"blockReason": "OTHER"}, "candidates": []}), "content_filter"),
    *(
        (200, json.dumps({"candidates": [{"finishReason": reason}]}), "content_filter")
        for reason in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", 3, 4)
    ),
    (200, json.dumps(_piece({"text": "I wi"}, reason="SAFETY")), "content_filter"),
    (200, json.dumps({"candidates": [{"content": {}}]}), "malformed"),
    (200, json.dumps({"usageMetadata": {"promptTokenCount": 3}}), "malformed"),
    (200, '{"candidates": [{"content": {"parts": [{"te', "malformed"),
    (200, '[{"candidates": [{"content": {"parts": [{"text": "a"}]}}]},', "malformed"),
    (200, 'data: {"candidates": [{"content": {"pa', "malformed"),
    (200, "<html></html>", "malformed"),
    (200, "", "malformed"),
    (200, "null", "malformed"),
    (200, "[]", "malformed"),
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


@pytest.mark.parametrize(
    ("delay", "seconds"), [("34s", 34.0), ("34.4s", 34.4), ("0s", 0.0), ("0.891707s", 0.891707), ("soon", None)]
)
def test_retry_info_is_read(delay: str, seconds: float | None) -> None:
    failure = hear(429, {}, _error(429, EXCEEDED, "RESOURCE_EXHAUSTED", _quota(PER_MINUTE), _retry(delay)).encode())
    assert isinstance(failure, Failure)
    assert failure.retry_after_s == (None if seconds is None else pytest.approx(seconds))


def test_a_block_keeps_its_words_and_its_cost() -> None:
    feedback = {"blockReason": "MODEL_ARMOR", "blockReasonMessage": "Jailbreak filters."}
    failure = hear(200, {}, orjson.dumps({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 9}}))
    assert isinstance(failure, Failure)
    assert (failure.message, failure.finish, failure.usage.total) == (
        "Jailbreak filters.",
        Finish.CONTENT_FILTER,
        9,
    )


def test_thoughts_are_kept_apart_and_only_the_first_candidate_is_read() -> None:
    doc = _piece({"text": "2+2", "thought": True}, {"text": "4"}, {"text": "!"})
    doc["candidates"].append({"content": {"parts": [{"text": "five"}]}, "index": 1, "finishReason": "STOP"})
    assert hear(200, {}, orjson.dumps(doc)) == Answer("4!", Usage(), "2+2", Finish.STOP, "g", "r1")


def test_leaked_reasoning_is_flagged() -> None:
    answer = hear(200, {}, orjson.dumps(_piece({"text": "<think>hm</think>4"})))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.reasoning, answer.flags) == ("4", "hm", ("reasoning_leak",))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", Finish.STOP),
        (1, Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        (2, Finish.LENGTH),
        ("MALFORMED_FUNCTION_CALL", Finish.OTHER),
        ("A_REASON_OF_NEXT_YEAR", Finish.OTHER),
        (None, Finish.OTHER),
    ],
)
def test_reasons_to_finish(reason: Any, finish: Finish) -> None:
    answer = hear(200, {}, orjson.dumps(_piece({"text": "hi"}, reason=reason)))
    assert isinstance(answer, Answer)
    assert answer.finish is finish


def test_room_spent_on_thinking_is_an_empty_answer_that_was_cut() -> None:
    counts = {"promptTokenCount": 15, "thoughtsTokenCount": 2, "totalTokenCount": 17}
    body = {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}], "usageMetadata": counts}
    answer = hear(200, {}, orjson.dumps(body))
    assert answer == Answer("", Usage(15, 0, 0, 2), "", Finish.LENGTH)


def test_a_call_of_functions_is_an_answer() -> None:
    answer = hear(200, {}, orjson.dumps(_piece({"functionCall": {"name": "f", "args": {}}})))
    assert isinstance(answer, Answer)
    assert (answer.text, answer.finish) == ("", Finish.TOOL_CALLS)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({}, Usage()),
        ({"promptTokenCount": 8, "candidatesTokenCount": 6, "totalTokenCount": 14}, Usage(8, 0, 6, 0)),
        (
            {
                "promptTokenCount": 9613,
                "candidatesTokenCount": 33,
                "totalTokenCount": 9685,
                "cachedContentTokenCount": 9602,
                "thoughtsTokenCount": 39,
            },
            Usage(11, 9602, 33, 39),
        ),
        # Thoughts that the total does not hold beside the candidates are part of them.
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 50, "thoughtsTokenCount": 40, "totalTokenCount": 55},
            Usage(5, 0, 10, 40),
        ),
        # A total above all that is named is thinking.
        ({"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 26}, Usage(5, 0, 1, 20)),
        (
            {
                "promptTokenCount": 5,
                "candidatesTokenCount": 1,
                "toolUsePromptTokenCount": 7,
                "thoughtsTokenCount": 2,
                "totalTokenCount": 15,
            },
            Usage(12, 0, 1, 2),
        ),
        ({"candidatesTokenCount": 23, "thoughtsTokenCount": 67}, Usage(0, 0, 23, 67)),
        ({"promptTokenCount": -1, "candidatesTokenCount": "many", "totalTokenCount": None}, Usage()),
    ],
)
def test_usage_in_disjoint_buckets(counts: dict[str, Any], usage: Usage) -> None:
    answer = hear(200, {}, orjson.dumps(_piece({"text": "hi"}, usageMetadata=counts)))
    assert answer.usage == usage


STREAM = [
    _piece({"text": "hm", "thought": True}, reason=None, usageMetadata={"promptTokenCount": 3, "totalTokenCount": 3}),
    _piece({"text": "Hel"}, reason=None),
    _piece({"text": "lo"}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 9}),
]


@pytest.mark.parametrize(
    "body",
    [
        b"".join(b"data: " + orjson.dumps(piece) + b"\r\n\r\n" for piece in STREAM),
        b"".join(b"data: " + orjson.dumps(piece) + b"\n" for piece in STREAM),
        b"".join(
            b"data: " + orjson.dumps(piece, option=orjson.OPT_INDENT_2).replace(b"\n", b"\ndata: ") + b"\n\n"
            for piece in STREAM
        ),
        orjson.dumps(STREAM),
        b"\xef\xbb\xbf" + orjson.dumps(STREAM),
        b"\n".join(map(orjson.dumps, STREAM)),
        orjson.dumps([{"response": piece} for piece in STREAM]),
    ],
    ids=["events", "events without blank lines", "events over lines", "array", "marked", "lines", "wrapped"],
)
def test_a_stream_is_folded(body: bytes) -> None:
    assert hear(200, {}, body) == Answer("Hello", Usage(3, 0, 2, 4), "hm", Finish.STOP, "g", "r1")


def test_no_nul_reaches_the_ledger() -> None:
    answer = hear(200, {}, orjson.dumps(_piece({"text": "a\x00b"})))
    assert isinstance(answer, Answer)
    assert answer.text == "ab"


def test_the_key_goes_into_a_header_and_nowhere_else() -> None:
    assert authorize("k") == {"x-goog-api-key": "k"}
    assert "?" not in say(Request("m?key=1", (), max_tokens=5)).path


def test_says_only_what_is_set() -> None:
    said = say(Request("gemini-2.5-flash", (Message("user", "hi"),), max_tokens=5))
    assert (said.method, said.path) == ("POST", "/models/gemini-2.5-flash:generateContent")
    assert orjson.loads(said.body) == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {"maxOutputTokens": 5, "temperature": 0.0},
    }


def test_says_all_that_is_set() -> None:
    turns = (
        Message("system", "be brief"), Message("user", "a"), Message("user", "b"), Message("assistant", "c"),
        Message("user", "d"),
    )  # fmt: skip
    payload = orjson.loads(say(Request("g", turns, 5, 0.5, seed=2**31 + 7, stop=tuple("uvwxyz"), json_mode=True)).body)
    assert payload == {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
            {"role": "model", "parts": [{"text": "c"}]},
            {"role": "user", "parts": [{"text": "d"}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 5,
            "temperature": 0.5,
            "seed": 7,
            "stopSequences": ["u", "v", "w", "x", "y"],
            "responseMimeType": "application/json",
        },
    }


def test_where_a_system_instruction_is_not_taken_it_opens_the_first_turn() -> None:
    both = (Message("system", "be brief"), Message("user", "hi"))
    gemma = orjson.loads(say(Request("gemma-3-27b-it", both, 5, json_mode=True)).body)
    assert gemma["contents"] == [{"role": "user", "parts": [{"text": "be brief"}, {"text": "hi"}]}]
    assert "systemInstruction" not in gemma
    assert "responseMimeType" not in gemma["generationConfig"]
    alone = orjson.loads(say(Request("g", both[:1], 5)).body)
    assert alone["contents"] == [{"role": "user", "parts": [{"text": "be brief"}]}]


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("models/gemini-2.0-flash", "gemini-2.0-flash"),
        ("../../evil?x#y", "..%2F..%2Fevil%3Fx%23y"),
        ("ü:a", "%C3%BC%3Aa"),
    ],
)
def test_a_model_id_stays_one_segment_of_the_path(model: str, segment: str) -> None:
    assert say(Request(model, (), 5)).path == f"/models/{segment}:generateContent"


NAMES = [
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "functionCall",
    "finishReason",
    "finishMessage",
    "index",
    "usageMetadata",
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
    "toolUsePromptTokenCount",
    "totalTokenCount",
    "response",
    "promptFeedback",
    "blockReason",
    "blockReasonMessage",
    "modelVersion",
    "responseId",
    "error",
    "message",
    "code",
    "details",
    "retryDelay",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=12) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=30,
)


@given(st.sampled_from([200, 204, 302, 400, 403, 404, 429, 500, 503]), JSON, st.booleans())
def test_never_raises_whatever_is_sent(status: int, doc: Any, stream: bool) -> None:
    body = orjson.dumps(doc)
    usage = hear(status, {}, b"data: " + body + b"\n\n" if stream else body).usage
    assert min(usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens) >= 0


@given(
    JSON,
    st.lists(st.fixed_dictionaries({"content": JSON, "finishReason": JSON, "index": st.just(0)}), max_size=3),
    JSON,
)
def test_never_raises_for_a_document_of_about_the_right_shape(counts: Any, candidates: Any, feedback: Any) -> None:
    hear(200, {}, orjson.dumps({"candidates": candidates, "usageMetadata": counts, "promptFeedback": feedback}))


@given(st.sampled_from([200, 400, 429, 500]), st.binary(max_size=60), st.sampled_from([b"", b"data: ", b"{\n", b"["]))
def test_never_raises_for_bytes_either(status: int, body: bytes, start: bytes) -> None:
    hear(status, {}, start + body)


def test_recorded_responses_are_named_as_they_are() -> None:
    assert misnamed("gemini", hear) == {}


def test_recorded_texts_counts_and_waits_are_read() -> None:
    for case in recorded("gemini"):
        expected = case.get("expected") or {}
        heard = hear(case["status"], case["headers"], case["body"].encode())
        if expected.get("finish_norm"):
            assert heard.finish == expected["finish_norm"], case["id"]
        if isinstance(heard, Answer):
            assert heard.text == (expected["text"] or ""), case["id"]
            assert heard.reasoning.strip() == (expected["reasoning"] or "").strip(), case["id"]
        elif "retry_after_s" in expected:
            assert heard.retry_after_s == pytest.approx(expected["retry_after_s"]), case["id"]
        if "input_tokens" in expected:
            usage = heard.usage
            stated = (usage.stated_input, usage.stated_output)
            assert stated == (expected["input_tokens"], expected["output_tokens"]), case["id"]
            assert usage.input_tokens + usage.cached_tokens == (expected["input_tokens"] or 0), case["id"]
            assert usage.cached_tokens == expected.get("cached_tokens", 0), case["id"]
            assert usage.reasoning_tokens == expected.get("reasoning_tokens", 0), case["id"]
            assert usage.total == expected.get("total_tokens", usage.total), case["id"]


def test_the_kind_for_a_blocked_prompt_is_one_of_ours() -> None:
    failure = hear(200, {}, b'{"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}}')
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.MALFORMED
