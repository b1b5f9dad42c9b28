"""What responses say about limits: whose windows are meant, and which limit a refusal names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values import Failure, Observed
from app.dialects import DIALECTS
from app.dialects.allowance import observed, refused_limit

NOON = {"date": "Wed, 01 Jul 2026 12:00:00 GMT"}

HEADERS: list[tuple[str, dict[str, str], list[Observed]]] = [
    (
        "api.groq.com",
        {
            "x-ratelimit-limit-requests": "1000", "x-ratelimit-remaining-requests": "998",
            "x-ratelimit-reset-requests": "2m52.8s", "x-ratelimit-limit-tokens": "8000",
            "x-ratelimit-remaining-tokens": "7900", "x-ratelimit-reset-tokens": "750ms",
        },
        [Observed("rpd", 1000, 998, 172.8), Observed("tpm", 8000, 7900, 0.75)],
    ),
    (
        "api.openai.com",
        {
            "X-RateLimit-Limit-Requests": "500", "X-RateLimit-Remaining-Requests": "499",
            "X-RateLimit-Reset-Requests": "120ms", "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-limit-project-tokens": "20000", "x-ratelimit-remaining-project-tokens": "19000",
        },
        [Observed("rpm", 500, 499, 0.12), Observed("tpm", 20000, 19000)],
    ),
    (  # 200 a day: one comes back every 432 s
        "api.openai.com",
        {
            "x-ratelimit-limit-requests": "200", "x-ratelimit-remaining-requests": "198",
            "x-ratelimit-reset-requests": "14m24s",
        },
        [Observed("rpd", 200, 198, 864.0)],
    ),
    (
        "yard.openai.azure.com",
        {"x-ratelimit-limit-requests": "120", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6"},
        [Observed("rpm", 120, 0, 6.0)],
    ),
    (
        "gateway.example",
        {"x-ratelimit-limit-tokens": "50000", "x-ratelimit-renewalperiod-tokens": "60"},
        [Observed("tpm", 50000)],
    ),
    (
        "api.cerebras.ai",
        {
            "x-ratelimit-limit-requests-day": "14400", "x-ratelimit-remaining-requests-day": "0",
            "x-ratelimit-reset-requests-day": "18037.26", "x-ratelimit-limit-tokens-hour": "1000000",
            "x-ratelimit-limit-requests-minute": "30",
        },
        [Observed("rpd", 14400, 0, 18037.26), Observed("tph", 1_000_000), Observed("rpm", 30)],
    ),
    (
        "api.mistral.ai",
        {
            "x-ratelimit-limit-req-60-second": "360", "x-ratelimit-remaining-req-60-second": "359",
            "x-ratelimit-limit-tokens-5-minute": "600000", "x-ratelimit-remaining-tokens-5-minute": "594000",
            "x-ratelimit-limit-tokens-month": "1000000000", "x-ratelimit-tokens-query-cost": "50",
        },
        [Observed("rpm", 360, 359), Observed("tpm", 120_000), Observed("tpmo", 10**9)],
    ),
    (
        "api.mistral.ai",
        {
            "ratelimitbysize-limit": "2000000", "x-ratelimitbysize-limit-minute": "2000000",
            "x-ratelimitbysize-remaining-minute": "1967987",
        },
        [Observed("tpm", 2_000_000, 1_967_987)],
    ),
    ("api.mistral.ai", {"x-ratelimit-limit-req-10-second": "60"}, [Observed("rpm", 360)]),
    (
        "api.sambanova.ai",
        NOON | {
            "x-ratelimit-limit-requests": "20", "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1782907231", "x-ratelimit-limit-requests-day": "40",
        },
        [Observed("rpm", 20, 0, 31.0), Observed("rpd", 40)],
    ),
    (
        "api.together.xyz",
        {
            "x-ratelimit-limit": "0.1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1",
            "x-ratelimit-limit-tokens": "3000", "x-ratelimit-remaining-tokens": "2910",
        },
        [Observed("rpm", 6, 0, 1.0), Observed("tpm", 180_000)],
    ),
    (
        "api.anthropic.com",
        NOON | {
            "anthropic-ratelimit-requests-limit": "50", "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-07-01T12:00:02Z",
            "anthropic-ratelimit-input-tokens-limit": "30000", "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-tokens-limit": "38000", "anthropic-ratelimit-tokens-remaining": "37000",
        },
        [Observed("rpm", 50, 49, 2.0), Observed("tpm", 38000, 37000)],
    ),
    (
        "api.anthropic.com",
        {"anthropic-ratelimit-input-tokens-limit": "30000", "anthropic-ratelimit-input-tokens-remaining": "0"},
        [Observed("tpm", 30000, 0)],
    ),
    (
        "api.cohere.com",
        {
            "x-trial-endpoint-call-limit": "20", "x-trial-endpoint-call-remaining": "19",
            "x-endpoint-monthly-call-limit": "1000",
        },
        [Observed("rpm", 20, 19), Observed("rpmo", 1000)],
    ),
    (
        "kong.example",
        {"x-ratelimit-limit-minute": "5", "x-ratelimit-remaining-minute": "4", "ratelimit-limit": "5"},
        [Observed("rpm", 5, 4)],
    ),
    (
        "new.example",
        {
            "ratelimit-policy": '"burst";q=100;w=60,"daily";q=1000;w=86400,"size";q=9;w=60;qu="content-bytes"',
            "ratelimit": '"daily";r=7;t=3600',
        },
        [Observed("rpm", 100), Observed("rpd", 1000, 7, 3600.0)],
    ),
    (
        "draft.example",
        {"ratelimit-limit": "10, 10;w=60, 500;w=3600", "ratelimit-remaining": "3", "ratelimit-reset": "20"},
        [Observed("rpm", 10, 3, 20.0), Observed("rph", 500)],
    ),
    ("openrouter.ai", {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0"}, []),
    ("router.huggingface.co", {"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "400000"}, []),
    ("notgroq.com.example", {"x-ratelimit-limit-requests": "600"}, []),
    ("api.groq.com", {"x-ratelimit-limit-requests": "X-RATELIMIT-XXX", "x-ratelimit-limit-tokens": "-1"}, []),
    ("api.groq.com", {"content-type": "application/json", "retry-after": "2"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("host", "headers", "told"), HEADERS)
def test_a_header_means_its_vendors_window(host: str, headers: dict[str, str], told: list[Observed]) -> None:
    assert {one.rule: one for one in observed(headers, host)} == {one.rule: one for one in told}


def test_the_providers_name_serves_where_the_host_is_nobodys() -> None:
    headers = {"x-ratelimit-limit-requests": "1000"}
    assert observed(headers, "127.0.0.1", "groq-2") == (Observed("rpd", 1000),)
    assert observed(headers, "127.0.0.1", "groceries") == ()
    assert observed(headers, "api.openai.com", "groq") == (Observed("rpm", 1000),)


def _text(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()


def _google(quota: str, value: str | None) -> bytes:
    violation = {"quotaMetric": "m", "quotaId": quota} | ({} if value is None else {"quotaValue": value})
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "21s"},
    ]
    return json.dumps(
        {"error": {"code": 429, "message": "You exceeded your current quota", "details": details}}
    ).encode()


REFUSALS: list[tuple[bytes, dict[str, str], Observed | None]] = [
    (
        _text("Rate limit reached for model `m` on requests per minute (RPM): Limit 30, Used 30, Requested 1."),
        {"retry-after": "2"},
        Observed("rpm", 30, 0, 2.0),
    ),
    (
        _text(
            "Rate limit reached on tokens per day (TPD): Limit 100,000, Used 98,940, Requested 2201. Try again in 5m."
        ),
        {},
        Observed("tpd", 100_000, 1060, 300.0),
    ),
    (
        _text("Request too large for gpt-x on tokens per min (TPM): Limit 30000, Requested 45000."),
        {},
        Observed("tpm", 30000),
    ),
    (_google("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "15"), {}, Observed("rpd", 15, 0)),
    (_google("GenerateContentPaidTierInputTokensPerModelPerMinute", "10000"), {}, Observed("tpm", 10000, 0, 21.0)),
    (_google("GenerateRequestsPerMinutePerProjectPerModel", None), {}, Observed("rpm", None, 0, 21.0)),
    (
        _text("Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_project with m"),
        {},
        Observed("rpm", None, 0),
    ),
    (
        _text("This request would exceed your organization's rate limit of 50,000 input tokens per minute."),
        {},
        Observed("tpm", 50000, 0),
    ),
    (
        _text("This request would exceed your organization's rate limit of 8,000 output tokens per minute."),
        {},
        Observed("tpm", None, 0),
    ),
    (_text("Rate limit exceeded: free-models-per-day."), {"X-RateLimit-Limit": "50"}, Observed("rpd", 50, 0)),
    (_text("Rate limit exceeded: free-models-per-min."), {"x-ratelimit-limit": "20"}, Observed("rpm", 20, 0)),
    (
        _text("Rate limit exceeded: limit_rpm/some/model/ab. limited to 1 requests per minute"),
        {},
        Observed("rpm", None, 0),
    ),
    (
        _text("Rate limit of 15 per 60s exceeded for UserByModelByMinute. Please wait 4 seconds"),
        {},
        Observed("rpm", 15, 0, 4),
    ),
    (_text("Rate limit of 150 per 86400s exceeded for UserByModelByDay."), {}, Observed("rpd", 150, 0)),
    (_text("Rate limit of 2 per 0s exceeded for UserConcurrentRequests."), {}, Observed("concurrency", 2, 0)),
    (_text("You are using a Trial key, which is limited to 1000 API calls / month."), {}, Observed("rpmo", 1000, 0)),
    (_text("The maximum rate limit is 6.0 queries and 180000 tokens per minute."), {}, Observed("rpm", 6, 0)),
    (_text("Your rate limit is - Requests per Minute (actual/limit): 61/60."), {}, Observed("rpm", 60, 0)),
    (_text("Tokens per day limit exceeded - too many tokens processed."), {}, Observed("tpd", None, 0)),
    (_text("Rate limit exceeded: 0 / 5 per 1 minute"), {}, Observed("rpm", 5, 0)),
    (
        _text("request reached organization max RPM: 3, please try again after 1 seconds"),
        {},
        Observed("rpm", 3, 0, 1.0),
    ),
    (_text("request reached organization TPM rate limit, current: 900, limit: 32000"), {}, Observed("tpm", 32000, 0)),
    (_text("request reached max organization concurrency: 1, please try again"), {}, Observed("concurrency", 1, 0)),
    (_text("TPM limit reached."), {}, Observed("tpm", None, 0)),
    (_text("Requests rate limit exceeded"), {"x-ratelimit-remaining-req-minute": "0"}, Observed("rpm", None, 0)),
    (_text("Rate limit exceeded"), {}, None),
    (_text("Too many requests, slow down"), {"x-ratelimit-limit-requests": "5"}, None),
]


@pytest.mark.parametrize(("body", "headers", "told"), REFUSALS)
def test_a_refusal_names_its_limit(body: bytes, headers: dict[str, str], told: Observed | None) -> None:
    heard = DIALECTS["openai"].hear(429, headers, body)
    assert isinstance(heard, Failure)
    assert heard.limit == told


def test_only_refusals_for_a_limit_name_one() -> None:
    heard = DIALECTS["openai"].hear(500, {}, _text("crashed after 30 requests per minute"))
    assert isinstance(heard, Failure)
    assert heard.limit is None


def test_recorded_headers_are_read_as_their_vendors_mean_them() -> None:
    """Every window that recorded traffic states is found, and none where the vendor's is not known."""
    hosts = {
        "openai": "api.openai.com", "anthropic": "api.anthropic.com", "groq": "api.groq.com", "xai": "api.x.ai",
        "together": "api.together.xyz", "azure": "yard.openai.azure.com", "cerebras": "api.cerebras.ai",
        "mistral": "api.mistral.ai", "openrouter": "openrouter.ai", "huggingface": "router.huggingface.co",
    }  # fmt: skip
    shared = os.environ.get("SWITCHYARD_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data"
    path = Path(shared) / "pricing" / "observed_ratelimit_headers.json"
    if not path.is_file():
        pytest.skip(f"no recorded headers at {path}")
    rules: dict[str, set[str]] = {}
    for row in json.loads(path.read_text()):
        told = observed(row["example"], hosts[row["provider"]])
        rules.setdefault(row["provider"], set()).update(one.rule for one in told)
        for one in told:
            assert one.limit is None or one.remaining is None or one.remaining <= max(one.limit, 1) * 2
    assert rules == {
        "openai": {"rpm", "tpm", "rpd"}, "anthropic": {"rpm", "tpm"}, "groq": {"rpd", "tpm"}, "xai": {"rpm", "tpm"},
        "together": {"rpm", "tpm"}, "azure": {"rpm", "tpm"}, "mistral": {"rpm", "tpm", "tpmo"},
        "cerebras": {"rpm", "rph", "rpd", "tpm", "tph", "tpd"}, "openrouter": set(), "huggingface": set(),
    }  # fmt: skip


_NAMES = st.sampled_from(sorted({name for _, headers, _ in HEADERS for name in headers}))
_VALUES = st.one_of(
    st.text(max_size=20), st.integers().map(str), st.sampled_from(["1e400", "nan", "5, 5;w=0", '"a";q=1'])
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=8), st.sampled_from([host for host, *_ in HEADERS]))
def test_headers_never_raise(headers: Mapping[str, str], host: str) -> None:
    for one in observed(headers, host):
        assert one.limit is None or one.limit >= 0
        assert one.reset_s is None or one.reset_s >= 0


_PIECES = st.sampled_from(
    [
        "limit",
        " 5 ",
        "per",
        "/",
        "9" * 400,
        "tokens",
        " minute",
        "RPM",
        ":",
        "0",
        "concurrent",
        "requests",
        "s",
        ",",
        "(actual/limit)",
    ]
)


@given(
    st.lists(_PIECES, max_size=14).map(" ".join),
    st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=2),
)
def test_words_never_raise(text: str, quotas: Any) -> None:
    refused_limit(text, {}, quotas, None)
