"""Every dialect against the simulated provider of its protocol: what was said is heard, failures for what they are."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.core.values import Answer, Failure, FailureKind, Finish, Message, Request
from app.dialects import DIALECTS
from app.simulator.books import key_mark
from app.simulator.process import SimulatorProcess
from tests.integration.small_yard import BASES, SmallYard, fleet_toml, vendor

PROTOCOLS = sorted(DIALECTS)
KEY = "key-of-the-test"
K = FailureKind
ASK = Request("m", (Message("system", "Be short."), Message("user", "Who are you?")), 200, stop=("END",))


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    path = tmp_path_factory.mktemp("protocols") / "fleet.toml"
    plain = [vendor(name, protocol=name, api_key_env="A_KEY", rpm=10_000) for name in PROTOCOLS]
    thinking = [vendor(f"{name}-r", protocol=name, capabilities=["reasoning"]) for name in PROTOCOLS]
    path.write_text(fleet_toml([*plain, *thinking], 1))
    with SimulatorProcess(path, seed=3, latency_ms=1) as running:
        yield running


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    """Blue sky, empty books, one answer for all."""
    process.weather({"event": [], "answers": {"kind": "fixed", "text": "A simulated provider. END of it."}})
    process.reset()
    return process


def post(
    simulator: SimulatorProcess,
    protocol: str,
    request: Request = ASK,
    *,
    provider: str = "",
    key: str = KEY,
    **more: Any,
) -> tuple[int, dict[str, str], bytes]:
    """Say it as the dialect does; ``more`` is added to the body."""
    dialect = DIALECTS[protocol]
    said = dialect.say(request)
    body = orjson.dumps(orjson.loads(said.body) | more)
    path = said.path
    if protocol == "gemini" and more.pop("stream", None):
        body, path = said.body, said.path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    try:
        headers = said.headers | dialect.authorize(key)
        connection.request("POST", f"/{provider or protocol}{BASES[protocol]}{path}", body, headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def hear(simulator: SimulatorProcess, protocol: str, request: Request = ASK, **more: Any) -> Answer | Failure:
    return DIALECTS[protocol].hear(*post(simulator, protocol, request, **more))


def answered(heard: Answer | Failure) -> Answer:
    assert isinstance(heard, Answer), heard
    return heard


def weather(simulator: SimulatorProcess, kind: str, **params: Any) -> None:
    simulator.weather({"event": [{"provider": "*", "kind": kind, **params}]})


def billed(simulator: SimulatorProcess) -> list[tuple[int, int]]:
    return [(call["prompt_tokens"], call["completion_tokens"]) for call in simulator.calls()]


def counted(answer: Answer) -> list[tuple[int, int]]:
    """What the answer's usage says of tokens in and out, to be compared with what was billed."""
    usage = answer.usage
    return [(usage.input_tokens + usage.cached_tokens, usage.output_tokens + usage.reasoning_tokens)]


CLOSED = {"additionalProperties": False}
STOPS = ("openai", "anthropic", "gemini", "cohere", "ollama")
"""Protocols that have stop sequences."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_is_heard_to_the_token(simulator: SimulatorProcess, protocol: str, stream: bool):
    more: dict[str, Any] = {"stream": stream}
    if protocol == "openai" and stream:
        more["stream_options"] = {"include_usage": True}
    status, headers, body = post(simulator, protocol, **more)
    answer = answered(DIALECTS[protocol].hear(status, headers, body))
    assert answer.text == ("A simulated provider. " if protocol in STOPS else "A simulated provider. END of it.")
    assert answer.finish in (Finish.STOP, Finish.OTHER if protocol == "cloudflare" else Finish.STOP)
    assert (answer.reasoning, answer.flags) == ("", ())
    usage = answer.usage
    assert [(usage.input_tokens + usage.cached_tokens, usage.output_tokens + usage.reasoning_tokens)] == billed(
        simulator
    )
    assert headers["content-type"].startswith(
        ("text/event-stream", "application/x-ndjson") if stream else "application/json"
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_max_tokens_cut_and_the_vendor_says_so(simulator: SimulatorProcess, protocol: str):
    simulator.weather({"event": [], "answers": {"kind": "fixed", "text": "word " * 40}})
    answer = answered(hear(simulator, protocol, replace(ASK, max_tokens=20, stop=())))
    assert len(answer.text) == 80
    assert answer.finish is (Finish.OTHER if protocol == "cloudflare" else Finish.LENGTH)
    assert billed(simulator) == [(answer.usage.input_tokens, 20)]


TOLD_APART = ("openai", "anthropic", "cohere", "cloudflare", "ollama")
"""Protocols that tell thoughts without being asked for them."""
COUNTED_APART = ("openai", "openai_responses", "anthropic", "gemini", "cloudflare")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_thoughts_stand_apart_from_the_answer(simulator: SimulatorProcess, protocol: str, stream: bool):
    more: dict[str, Any] = {"stream": stream}
    if protocol == "openai" and stream:
        more["stream_options"] = {"include_usage": True}
    if protocol == "openai_responses":
        more["reasoning"] = {"summary": "auto"}
    answer = answered(hear(simulator, protocol, replace(ASK, stop=()), provider=f"{protocol}-r", **more))
    assert answer.text == "A simulated provider. END of it."
    assert bool(answer.reasoning) == (protocol != "gemini")
    assert answer.flags == ()
    if not (protocol == "cloudflare" and stream):  # its stream of chunks ends without counts
        assert bool(answer.usage.reasoning_tokens) == (protocol in COUNTED_APART)
        assert counted(answer) == billed(simulator)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_thoughts_that_leak_are_flagged_and_paid_for(simulator: SimulatorProcess, protocol: str):
    weather(simulator, "leak_reasoning")
    answer = answered(hear(simulator, protocol, replace(ASK, stop=())))
    assert answer.text == "A simulated provider. END of it."
    assert answer.reasoning
    assert answer.flags == ("reasoning_leak",)
    assert [(answer.usage.input_tokens, answer.usage.output_tokens + answer.usage.reasoning_tokens)] == billed(
        simulator
    )


@pytest.mark.parametrize("protocol", sorted({*PROTOCOLS} - {"ollama"}))
def test_cached_tokens_have_a_bucket_of_their_own(simulator: SimulatorProcess, protocol: str):
    weather(simulator, "prompt_cache", share=0.5)
    usage = answered(hear(simulator, protocol)).usage
    assert usage.cached_tokens == billed(simulator)[0][0] // 2
    assert usage.input_tokens + usage.cached_tokens == billed(simulator)[0][0]


FAILURES: list[tuple[str, dict[str, Any], K]] = [
    ("rate_limit", {"retry_after": 7}, K.RATE_LIMIT),
    ("limits", {"rpm": 1}, K.RATE_LIMIT),
    ("limits", {"tpm": 1}, K.RATE_LIMIT),
    ("limits", {"rph": 1}, K.RATE_LIMIT),
    ("limits", {"tph": 1}, K.RATE_LIMIT),
    ("limits", {"rpd": 1}, K.QUOTA_EXHAUSTED),
    ("limits", {"rpmo": 1}, K.QUOTA_EXHAUSTED),
    ("limits", {"tpmo": 1}, K.QUOTA_EXHAUSTED),
    ("quota", {}, K.QUOTA_EXHAUSTED),
    ("quota", {"span": "month"}, K.QUOTA_EXHAUSTED),
    ("error", {"status": 504}, K.TIMEOUT),
    ("error", {"status": 500}, K.SERVER_ERROR),
    ("error", {"status": 502, "html": True}, K.SERVER_ERROR),
    ("error", {"status": 529}, K.OVERLOADED),
    ("overloaded", {}, K.OVERLOADED),
    ("wrong_json", {"form": "truncated"}, K.MALFORMED),
    ("wrong_json", {"form": "html"}, K.MALFORMED),
    ("wrong_json", {"form": "empty_choices"}, K.MALFORMED),
    ("context_length", {}, K.CONTEXT_LENGTH),
    ("content_filter", {}, K.CONTENT_FILTER),
    ("content_filter", {"stage": "prompt"}, K.CONTENT_FILTER),
    ("auth", {}, K.AUTH),
    ("revoked_key", {"key": key_mark(KEY)}, K.AUTH),
    ("billing", {}, K.BILLING),
    ("billing", {"status": 403}, K.BILLING),
    ("deprecated", {}, K.MODEL_NOT_FOUND),
    ("invalid_request", {}, K.INVALID_REQUEST),
]


@pytest.mark.parametrize(("kind", "params", "expected"), FAILURES, ids=str)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_failure_is_heard_for_what_it_is(
    simulator: SimulatorProcess, protocol: str, kind: str, params: dict[str, Any], expected: K
):
    weather(simulator, kind, **params)
    heard = hear(simulator, protocol)
    if kind == "limits" and isinstance(heard, Answer):  # a limit of one call lets one in
        heard = hear(simulator, protocol)
    assert isinstance(heard, Failure), heard
    hourly = {"rph", "tph"} & {*params}
    assert heard.kind is (K.QUOTA_EXHAUSTED if hourly and protocol == "gemini" else expected)  # it knows no hours
    assert KEY not in heard.message
    call = simulator.calls()[-1]
    assert call["status"] == heard.status
    assert call["effect"] in (kind, f"limit:{next(iter(params), '')}")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_that_is_cut_is_no_answer(simulator: SimulatorProcess, protocol: str):
    weather(simulator, "wrong_json", form="truncated")
    heard = hear(simulator, protocol, stream=True)
    assert isinstance(heard, Failure), heard
    assert heard.kind is K.MALFORMED


@pytest.mark.parametrize(
    ("protocol", "wait_s"),
    [("openai", 7), ("openai_responses", 7), ("anthropic", 7), ("gemini", 7), ("ollama", 7), ("cohere", None)],
)
def test_a_refusal_says_how_long_to_wait_where_the_vendor_does(
    simulator: SimulatorProcess, protocol: str, wait_s: float | None
):
    weather(simulator, "rate_limit", retry_after=7)
    heard = hear(simulator, protocol)
    assert isinstance(heard, Failure)
    assert heard.retry_after_s == wait_s


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_key_a_bad_key_and_an_unknown_model(simulator: SimulatorProcess, protocol: str):
    for key in ("", "bad-key"):
        heard = hear(simulator, protocol, key=key)
        assert isinstance(heard, Failure)
        assert heard.kind is K.AUTH
    heard = hear(simulator, protocol, replace(ASK, model="unheard-of"))
    assert isinstance(heard, Failure)
    assert heard.kind is K.MODEL_NOT_FOUND
    status, _, _ = post(simulator, protocol, messages=[], contents=[], input=[])
    assert status == 400


def raw(
    simulator: SimulatorProcess, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else orjson.dumps(body), sent)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_json_is_answered_where_the_protocol_demands_it(simulator: SimulatorProcess, protocol: str, tmp_path: Path):
    gold = tmp_path / "gold.csv"
    gold.write_text("text,gold\nwhere is my card,card_arrival\n")
    simulator.weather({"event": [], "answers": {"kind": "gold", "file": str(gold)}})
    schema = {"type": "object", "properties": {"intent": {"type": "string"}}, "required": ["intent"]}
    closed = schema | {"additionalProperties": False}
    heard = answered(
        hear(simulator, protocol, Request("m", (Message("user", "where is my card"),), 100, schema=closed))
    )
    assert orjson.loads(heard.text) == {"intent": "card_arrival"}


def test_gemini_refuses_a_key_in_the_url_and_streams_an_array(simulator: SimulatorProcess):
    base, body = "/gemini/v1beta/models/m", {"contents": [{"parts": [{"text": "hello"}]}]}
    assert raw(simulator, "POST", f"{base}:generateContent?key={KEY}", body)[0] == 403
    status, _, said = raw(simulator, "POST", f"{base}:generateContent?key={KEY}", body, x_goog_api_key=KEY)
    assert (status, b"x-goog-api-key" in said) == (400, True)
    status, headers, said = raw(simulator, "POST", f"{base}:streamGenerateContent", body, x_goog_api_key=KEY)
    assert (status, headers["content-type"]) == (200, "application/json")
    pieces = orjson.loads(said)
    assert len(pieces) > 1
    assert answered(DIALECTS["gemini"].hear(status, headers, said)).text == "A simulated provider. END of it."


def test_anthropic_wants_its_version_and_its_max_tokens(simulator: SimulatorProcess):
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    status, _, said = raw(simulator, "POST", "/anthropic/v1/messages", body, x_api_key=KEY)
    assert (status, b"anthropic-version" in said) == (400, True)
    version = {"x_api_key": KEY, "anthropic_version": "2023-06-01"}
    status, _, said = raw(simulator, "POST", "/anthropic/v1/messages", body, **version)
    assert (status, b"max_tokens: Field required" in said) == (400, True)


def test_ollama_streams_unless_it_is_told_not_to(simulator: SimulatorProcess):
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    _, headers, said = raw(simulator, "POST", "/ollama/api/chat", body, authorization=f"Bearer {KEY}")
    assert headers["content-type"] == "application/x-ndjson"
    lines = [orjson.loads(line) for line in said.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["eval_count"] == billed(simulator)[0][1]


@pytest.mark.parametrize(
    ("protocol", "path", "names"),
    [
        ("openai", "/v1/models", lambda doc: [row["id"] for row in doc["data"]]),
        ("openai_responses", "/v1/models", lambda doc: [row["id"] for row in doc["data"]]),
        ("anthropic", "/v1/models", lambda doc: [row["id"] for row in doc["data"]]),
        ("gemini", "/v1beta/models", lambda doc: [row["name"].removeprefix("models/") for row in doc["models"]]),
        ("cohere", "/v1/models", lambda doc: [row["name"] for row in doc["models"]]),
        ("cloudflare", f"{BASES['cloudflare']}/ai/models/search", lambda doc: [row["name"] for row in doc["result"]]),
        ("ollama", "/api/tags", lambda doc: [row["name"] for row in doc["models"]]),
    ],
)
def test_models_are_listed(simulator: SimulatorProcess, protocol: str, path: str, names: Any):
    status, _, said = raw(simulator, "GET", f"/{protocol}{path}")
    assert (status, names(orjson.loads(said))) == (200, ["m"])
    assert raw(simulator, "GET", f"/{protocol}/nowhere")[0] == 404


def test_a_yard_with_a_provider_of_every_protocol(small_yard: SmallYard):
    yard = small_yard.open([vendor(name.replace("_", "-"), protocol=name) for name in PROTOCOLS])
    yard.submit(5, strategy="majority-vote", council=len(PROTOCOLS), full_council=True)
    yard.work()
    assert [row[1:3] for row in yard.decisions()] == [("decided", "a")] * 5
    assert {call["provider"] for call in yard.sim.calls()} == {name.replace("_", "-") for name in PROTOCOLS}
    assert {call["status"] for call in yard.sim.calls()} == {200}
    yard.books_agree()
