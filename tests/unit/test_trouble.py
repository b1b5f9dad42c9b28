"""Why a provider refuses: many vendors' codes, shapes and phrasings, and the traps between them.

``SAID`` is worded here, not by any vendor: it holds the patterns to meaning rather than to recorded sentences.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.core.values import Failure
from app.dialects import DIALECTS

SAID: dict[str, list[tuple[int, str]]] = {
    "quota_exhausted": [
        (429, "You've hit your request cap of 200 requests for today."),
        (429, "Daily request quota reached for this model"),
        (429, "Your monthly token allowance is used up"),
        (429, "weekly limit reached"),
        (429, "quota_exceeded"),
        (429, "free quota has been consumed"),
        (429, "10 per 1 day"),
        (429, "no quota left for today"),
    ],
    "rate_limit": [
        (429, "rate limit: 5 req/min"),
        (429, "Quota limit of 60 requests per minute reached for user"),
        (429, "Please slow down"),
        (429, "Rate limit: 100/hour"),
        (429, "10 per 1 minute"),
        (429, "Maximum concurrent requests (4) reached for this key"),
        (500, "Rate limit exceeded"),
    ],
    "overloaded": [
        (429, "All workers are busy"),
        (503, "No available capacity for model foo"),
        (503, "maintenance"),
        (503, "temporarily unavailable, retry in 20s"),
    ],
    "auth": [
        (400, "API key is missing or invalid"),
        (400, "The provided API key is not active"),
        (400, "Malformed API key"),
        (400, "Unable to authenticate the request"),
        (403, "Forbidden"),
        (403, "Access denied"),
        (403, "IP address not allowed"),
        (403, "This API key has been deactivated"),
        (400, "Key has been revoked"),
        (500, "invalid api key"),
    ],
    "model_not_found": [
        (400, "no such model: foo"),
        (400, "Model foo is not available"),
        (400, "model 'foo' is not supported"),
        (400, "Model foo has been sunset"),
        (400, "The model foo was discontinued on 2025-01-01"),
        (400, "The requested model is currently not available"),
        (400, "Unsupported model: foo"),
        (422, "Model foo is not recognized"),
        (403, "You do not have access to the model foo"),
        (500, "model foo not found"),
        (500, "Model foo does not exist"),
        (400, "Model foo is end-of-life"),
        (404, "deployment foo not found"),
    ],
    "billing": [
        (400, "Please add a payment method to your account"),
        (403, "Your account has run out of credits"),
        (400, "You have no remaining credits"),
        (429, "Payment required to continue"),
        (403, "Trial expired, please upgrade to a paid plan"),
        (403, "Subscription expired"),
        (500, "insufficient balance"),
    ],
    "context_length": [
        (400, "context window exceeded: 9000 > 8192"),
        (400, "Requested tokens (9000) exceed context window of 8192"),
        (400, "Sequence length of 9000 is longer than the specified maximum sequence length"),
        (400, "The total number of tokens (9000) is larger than the limit 8192"),
        (400, "Prompt length (9000) exceeds limit"),
        (400, "Token limit exceeded: the input has 9000 tokens, the maximum is 8192"),
        (422, "Input is too long"),
        (500, "prompt tokens exceed the context size"),
        (400, "Conversation too long"),
        (400, "too many tokens in prompt"),
    ],
    "invalid_request": [
        (400, "max_tokens must be at most 4096"),
        (400, "max_tokens exceeds the limit of 4096 for output"),
        (400, "max_tokens (9000) exceeds model's maximum output of 4096"),
        (400, "n must be 1"),
        (400, "logprobs is not supported by this model"),
        (400, "This model does not support system messages"),
        (400, "model field is required"),
        (400, "missing required field: model"),
        (400, "temperature is not supported with this model"),
        (400, "response_format json_schema is not supported for model foo"),
        (400, "Tool choice is not available for model foo"),
        (400, "Function calling is not enabled for this model"),
        (405, "Method Not Allowed"),
        (415, "Unsupported Media Type"),
    ],
    "content_filter": [
        (400, "Your message violates our content policy"),
        (400, "Request blocked by guardrails"),
        (400, "prompt contains prohibited content"),
        (400, "The content was blocked due to safety concerns"),
    ],
    "timeout": [
        (500, "upstream timed out"),
        (500, "context deadline exceeded"),
    ],
    "server_error": [
        (500, "CUDA out of memory"),
    ],
}

SAID["content_filter"] += [
    (403, "Your input was flagged for violence. No credits were charged."),
    (400, "Blocked input"),
]
SAID["invalid_request"] += [
    (400, "`max_completion_tokens` must be less than or equal to 8192, which is less than the `context_window`"),
    (400, "Image input is not enabled for this model"),
    (404, "No endpoints found that support tool use"),
    (422, "temperature: input should be less than or equal to 2"),
]
SAID["auth"] += [(400, "x-api-key header is required"), (400, "Missing bearer token")]
SAID["context_length"] += [
    (400, "input has 9000 tokens but the context limit is 8192"),
    (400, "Requested 9000 tokens, but this model allows at most 8192 (prompt + completion)"),
    (400, "Prompt has more tokens than the model supports"),
]
SAID["quota_exhausted"] += [(429, "You have reached your plan's request limit. Upgrade or wait until tomorrow.")]
SAID["malformed"] = [(400, "Failed to generate JSON. Please adjust your prompt."), (422, "Tool call validation failed")]
SAID["server_error"] = [
    (500, ""),
    (502, ""),
    (520, "error code: 520"),
    (530, "error code: 1033"),
    (500, "Service unavailable."),
]
SAID["overloaded"] += [(503, ""), (529, ""), (503, "No server is available to handle this request.")]
SAID["timeout"] += [(504, ""), (408, ""), (522, "error code: 522"), (524, "error code: 524"), (598, "")]


@pytest.mark.parametrize(("kind", "status", "message"), [(kind, *row) for kind, rows in SAID.items() for row in rows])
def test_words_are_understood_in_every_case_and_shape(kind: str, status: int, message: str) -> None:
    shapes: list[Any] = [
        {"error": {"message": message}},
        {"error": message},
        {"message": message, "type": None, "code": None},
        {"detail": {"error": message.upper()}},
        [{"error": {"message": message, "code": status}}],
        {
            "error": {
                "message": "Provider returned error",
                "code": status,
                "metadata": {"raw": json.dumps({"msg": message})},
            }
        },
    ]
    for shape in shapes:
        assert _kind("openai", status, shape) == kind, shape


def _kind(protocol: str, status: int, doc: Any, headers: dict[str, str] | None = None) -> str:
    body = doc.encode() if isinstance(doc, str) else json.dumps(doc).encode()
    heard = DIALECTS[protocol].hear(status, headers or {}, body)
    assert isinstance(heard, Failure), heard
    return heard.kind.value


def _google(status: int, message: str, state: str, **detail: Any) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": state, "details": [detail]}}


CODED: list[tuple[int, Any, str]] = [
    # Z.AI and Zhipu: a number in a 429 or 400
    (429, {"error": {"code": "1113", "message": "x"}}, "billing"),
    (429, {"error": {"code": "1301", "message": "x"}}, "content_filter"),
    (429, {"error": {"code": "1302", "message": "x"}}, "rate_limit"),
    (429, {"error": {"code": "1304", "message": "x"}}, "quota_exhausted"),
    (429, {"error": {"code": "1308", "message": "Usage limit reached for 5 hour"}}, "quota_exhausted"),
    (429, {"error": {"code": "1311", "message": "not in your plan"}}, "model_not_found"),
    (429, {"error": {"code": "1312", "message": "x"}}, "overloaded"),
    (400, {"error": {"code": "1211", "message": "x"}}, "model_not_found"),
    (400, {"error": {"code": "1261", "message": "x"}}, "context_length"),
    # MiniMax: a number of its own beside a 200
    (200, {"base_resp": {"status_code": 1002, "status_msg": "x"}}, "rate_limit"),
    (200, {"base_resp": {"status_code": 1004, "status_msg": "x"}}, "auth"),
    (200, {"base_resp": {"status_code": 1008, "status_msg": "x"}}, "billing"),
    (200, {"base_resp": {"status_code": 1026, "status_msg": "x"}}, "content_filter"),
    (200, {"base_resp": {"status_code": 2056, "status_msg": "x"}}, "quota_exhausted"),
    (200, {"base_resp": {"status_code": 2013, "status_msg": "context window exceeds limit"}}, "context_length"),
    # Other numbers
    (403, {"code": 30001, "message": "x", "data": None}, "billing"),
    (403, {"code": 30003, "message": "x", "data": None}, "model_not_found"),
    (
        400,
        {"code": 20015, "message": "length of prompt_tokens (9) must be less than max_seq_len (8)"},
        "context_length",
    ),
    (500, {"object": "error", "message": "Service unavailable.", "code": "1000"}, "server_error"),
    # Words
    (400, {"error": {"code": "organization_restricted", "message": "x"}}, "auth"),
    (400, {"error": {"code": "Arrearage", "message": "x"}}, "billing"),
    (400, {"error": {"code": "invalid_prompt", "message": "x"}}, "content_filter"),
    (400, {"error": {"type": "budget_exceeded", "message": "x", "code": "400"}}, "quota_exhausted"),
    (403, {"error": {"code": "AllocationQuota.FreeTierOnly", "message": "x"}}, "quota_exhausted"),
    (403, {"error": {"code": "model_permission_blocked_project", "message": "x"}}, "model_not_found"),
    (429, {"error": {"type": "billing_not_active", "message": "x"}}, "billing"),
    (429, {"error": {"code": "NoCapacity", "message": "x"}}, "overloaded"),
    (429, {"error": {"code": "ServerOverloaded", "message": "x"}}, "overloaded"),
    (
        429,
        {"error": {"code": "RateLimitExceeded.EndpointRPMExceeded", "message": "exceeded the quota. RPM"}},
        "rate_limit",
    ),
    (503, {"error": {"message": "no channel", "code": "model_not_found"}}, "model_not_found"),
    # Gateways: what they hand on says more than their own status
    (500, {"error": {"message": "upstream", "code": 503}}, "overloaded"),
    (502, {"error": {"message": "upstream", "code": 429}}, "rate_limit"),
    (
        503,
        {"error": {"message": "upstream", "metadata": {"raw": '{"error":{"type":"rate_limit_error"}}'}}},
        "rate_limit",
    ),
    (400, {"error": {"message": "upstream", "details": {"error": {"message": "x", "status": 401}}}}, "auth"),
    (200, {"error": {"message": "Provider returned error", "code": 429}}, "rate_limit"),
    (200, {"error": {"message": "Provider returned error", "code": 502}}, "server_error"),
    # Pages
    (524, "<html><title>api | 524: A timeout occurred</title></html>", "timeout"),
    (403, "<html><title>Just a moment...</title></html>", "auth"),
    (429, "<html><title>429 Too Many Requests</title></html>", "rate_limit"),
    (200, "<html><title>Sign in</title></html>", "malformed"),
]


@pytest.mark.parametrize(("status", "doc", "kind"), CODED)
def test_a_code_says_more_than_the_words(status: int, doc: Any, kind: str) -> None:
    assert _kind("openai", status, doc) == kind


OTHERS: list[tuple[str, int, Any, str]] = [
    ("anthropic", 400, {"message": "The provided model identifier is invalid."}, "model_not_found"),
    ("anthropic", 400, {"message": "This Model is marked by provider as Legacy"}, "model_not_found"),
    ("anthropic", 403, {"message": "The security token included in the request is expired"}, "auth"),
    ("anthropic", 429, {"message": "Too many tokens per day, please wait before trying again."}, "quota_exhausted"),
    ("anthropic", 429, {"message": "Too many tokens, please wait before trying again."}, "rate_limit"),
    ("anthropic", 400, {"__type": "ThrottlingException", "message": "Too many requests"}, "rate_limit"),
    ("anthropic", 200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
    ("gemini", 400, _google(400, "x", "INVALID_ARGUMENT", reason="API_KEY_INVALID"), "auth"),
    ("gemini", 403, _google(403, "x", "PERMISSION_DENIED", reason="BILLING_DISABLED"), "billing"),
    ("gemini", 429, _google(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"), "billing"),
    ("gemini", 429, _google(429, "exceeded its monthly spending cap", "RESOURCE_EXHAUSTED"), "quota_exhausted"),
    (
        "gemini",
        429,
        _google(429, "x", "RESOURCE_EXHAUSTED", violations=[{"quotaId": "XPerDayPerY"}]),
        "quota_exhausted",
    ),
    ("gemini", 429, _google(429, "x", "RESOURCE_EXHAUSTED", violations=[{"quotaId": "XPerMinute"}]), "rate_limit"),
    (
        "gemini",
        400,
        _google(400, "input token count (9) exceeds the maximum (8)", "INVALID_ARGUMENT"),
        "context_length",
    ),
    ("cloudflare", 403, {"errors": [{"code": 3042, "message": "x"}], "success": False}, "model_not_found"),
    (
        "cloudflare",
        403,
        {"errors": [{"code": 5018, "message": "The account is not allowed to access this model"}]},
        "model_not_found",
    ),
    ("cloudflare", 403, {"errors": [{"code": 3023, "message": "Service unavailable for account"}]}, "auth"),
    ("cloudflare", 429, {"errors": [{"code": 3036, "message": "x"}], "success": False}, "quota_exhausted"),
    ("cloudflare", 429, {"errors": [{"code": 3040, "message": "x"}], "success": False}, "overloaded"),
    (
        "cloudflare",
        400,
        {"errors": [{"code": 6003, "error_chain": [{"message": "Invalid format for Authorization header"}]}]},
        "auth",
    ),
    ("cohere", 498, {"message": "x"}, "content_filter"),
    ("cohere", 400, {"message": "blocked output: adjust the prompt"}, "content_filter"),
    ("cohere", 400, {"message": "number of tokens in the prompt cannot exceed 8 - received 9"}, "context_length"),
    ("ollama", 503, {"error": "server busy, maximum pending requests exceeded"}, "overloaded"),
    ("ollama", 429, {"error": "you have reached your weekly usage limit"}, "quota_exhausted"),
    (
        "openai_responses",
        200,
        {"status": "failed", "error": {"code": "invalid_prompt", "message": "x"}},
        "content_filter",
    ),
]


@pytest.mark.parametrize(("protocol", "status", "doc", "kind"), OTHERS)
def test_other_protocols_refuse_in_their_own_ways(protocol: str, status: int, doc: Any, kind: str) -> None:
    assert _kind(protocol, status, doc) == kind


@pytest.mark.parametrize(
    ("status", "wait", "kind"),
    [
        (429, "30", "rate_limit"),
        (429, "40000", "quota_exhausted"),
        (503, "30", "overloaded"),
        (500, "30", "server_error"),
    ],
)
def test_how_long_to_wait_names_a_limit_but_no_fault(status: int, wait: str, kind: str) -> None:
    heard = DIALECTS["openai"].hear(status, {"retry-after": wait}, b"{}")
    assert isinstance(heard, Failure)
    assert (heard.kind.value, heard.retry_after_s) == (kind, float(wait))


CUT = [
    ("openai", [{"choices": [{"index": 0, "delta": {"content": "Ha"}}]}]),
    ("cloudflare", [{"response": "Ha"}]),
    ("gemini", [{"candidates": [{"content": {"parts": [{"text": "Ha"}]}}]}]),
    ("cohere", [{"type": "content-delta", "delta": {"message": {"content": {"text": "Ha"}}}}]),
    ("cohere", [{"event_type": "text-generation", "text": "Ha"}]),
]


@pytest.mark.parametrize(("protocol", "events"), CUT)
def test_a_stream_that_ends_between_events_is_no_answer(protocol: str, events: list[Any]) -> None:
    assert _kind(protocol, 200, "".join(f"data: {json.dumps(event)}\n\n" for event in events)) == "malformed"


LATE = [
    {"error": {"message": "Slow down", "code": 429}},
    {"object": "error", "message": "Too many requests", "code": 429},
    {"message": "Too many requests", "type": "too_many_requests_error"},
    {"choices": [{"index": 0, "error": {"code": 429, "message": "x"}, "finish_reason": "error"}]},
]


@pytest.mark.parametrize("error", LATE)
def test_an_error_after_the_stream_began_is_heard(error: Any) -> None:
    begun = {"choices": [{"index": 0, "delta": {"content": "Ha"}}]}
    assert (
        _kind("openai", 200, f"data: {json.dumps(begun)}\n\ndata: {json.dumps(error)}\n\ndata: [DONE]\n\n")
        == "rate_limit"
    )
