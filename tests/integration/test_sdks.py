"""The vendors' own SDKs talk to the simulator: it is a faithful stand-in as far as they parse what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import cohere
import httpx
import openai
import pytest
from google import genai

from app.simulator.process import SimulatorProcess
from tests.integration.small_yard import fleet_toml, vendor

SAID = "A simulated answer, long enough for a stream of several pieces."
TOKENS = 16
"""Of ``SAID``, four characters each."""
ASKED = "Who are you?"
PROMPT = 7
"""Tokens of ``ASKED``: three, and four for the message."""
SYSTEM = "Be short."
WINDOW = 32_000
NAMES = ("openai", "openai_responses", "anthropic", "gemini", "cohere")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    path = tmp_path_factory.mktemp("sdks") / "fleet.toml"
    plain = [vendor(name, protocol=name, api_key_env="A_KEY", rpm=500) for name in NAMES]
    thinking = [vendor(f"{name}-r", protocol=name, capabilities=["reasoning"]) for name in NAMES]
    path.write_text(fleet_toml([*plain, *thinking], 1))
    with SimulatorProcess(path, seed=3, latency_ms=1) as running:
        yield running


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    """Blue sky, empty books, one answer for all."""
    process.weather({"event": [], "answers": {"kind": "fixed", "text": SAID}})
    process.reset()
    return process


def weather(simulator: SimulatorProcess, kind: str, **params: Any) -> None:
    simulator.weather({"event": [{"provider": "*", "kind": kind, **params}]})


def booked(simulator: SimulatorProcess) -> tuple[int, int]:
    """Tokens in and out of the one call there was."""
    (call,) = simulator.calls()
    return call["prompt_tokens"], call["completion_tokens"]


# The clients, as their makers document them for another base URL; their own retries are off.

Client = Callable[..., Any]
"""``(provider, key)`` -> a client of it; the same for the same."""


def clients(make: Callable[[str, str], Any], close: Callable[[Any], None], provider: str) -> Iterator[Client]:
    made: dict[tuple[str, str], Any] = {}

    def client(provider: str = provider, key: str = "a-key") -> Any:
        if (provider, key) not in made:
            made[provider, key] = make(provider, key)
        return made[provider, key]

    yield client
    for one in made.values():
        close(one)


@pytest.fixture(scope="module")
def open_ai(process: SimulatorProcess) -> Iterator[Client]:
    def make(provider: str, key: str) -> Any:
        return openai.OpenAI(api_key=key, base_url=f"{process.url}/{provider}/v1", max_retries=0)

    yield from clients(make, openai.OpenAI.close, "openai")


@pytest.fixture(scope="module")
def claude(process: SimulatorProcess) -> Iterator[Client]:
    def make(provider: str, key: str) -> Any:
        return anthropic.Anthropic(api_key=key, base_url=f"{process.url}/{provider}", max_retries=0)

    yield from clients(make, anthropic.Anthropic.close, "anthropic")


@pytest.fixture(scope="module")
def google(process: SimulatorProcess) -> Iterator[Client]:
    def make(provider: str, key: str) -> Any:
        once = genai.types.HttpRetryOptions(attempts=1)
        options = genai.types.HttpOptions(base_url=f"{process.url}/{provider}", retry_options=once)
        return genai.Client(api_key=key, http_options=options)

    yield from clients(make, genai.Client.close, "gemini")


@pytest.fixture(scope="module")
def co(process: SimulatorProcess) -> Iterator[Client]:
    with httpx.Client() as own:  # the SDK closes its own only as a context manager

        def make(provider: str, key: str) -> Any:
            return cohere.ClientV2(api_key=key, base_url=f"{process.url}/{provider}", httpx_client=own)

        yield from clients(make, lambda client: None, "cohere")


# openai, chat completions

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": ASKED}]}


def test_openai_chat_completions(simulator: SimulatorProcess, open_ai: Client):
    answer = open_ai().chat.completions.create(**CHAT)
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT, TOKENS) == booked(simulator)
    assert answer._request_id
    assert [model.id for model in open_ai().models.list()] == ["m"]
    assert open_ai().models.retrieve("m").id == "m"


def test_openai_chat_completions_streamed(simulator: SimulatorProcess, open_ai: Client):
    chunks = list(open_ai().chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert sum(len(chunk.choices) for chunk in chunks) > 4
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == booked(simulator)
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_openai_counts_reasoning_and_cached_tokens_apart(simulator: SimulatorProcess, open_ai: Client):
    weather(simulator, "prompt_cache", share=1.0)
    usage = open_ai("openai-r").chat.completions.create(**CHAT).usage
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens == PROMPT
    assert usage.completion_tokens_details.reasoning_tokens == usage.completion_tokens - TOKENS > 0
    usage = open_ai("openai_responses-r").responses.create(model="m", input=ASKED).usage
    assert usage.input_tokens_details.cached_tokens == PROMPT
    assert usage.output_tokens_details.reasoning_tokens == usage.output_tokens - TOKENS > 0


def test_openai_is_refused_by_a_filter_and_cut_by_the_room(simulator: SimulatorProcess, open_ai: Client):
    choice = open_ai().chat.completions.create(**CHAT, max_completion_tokens=2).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("length", SAID[:8])
    choice = open_ai().chat.completions.create(**CHAT, stop=[","]).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("stop", SAID.partition(",")[0])
    weather(simulator, "content_filter")
    assert open_ai().chat.completions.create(**CHAT).choices[0].finish_reason == "content_filter"


# openai, responses


def test_openai_responses(simulator: SimulatorProcess, open_ai: Client):
    answer = open_ai("openai_responses").responses.create(model="m", instructions=SYSTEM, input=ASKED)
    assert (answer.output_text, answer.status, answer.error) == (SAID, "completed", None)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == booked(simulator)
    assert answer.usage.total_tokens == sum(booked(simulator))
    cut = open_ai("openai_responses").responses.create(model="m", input=ASKED * 30, max_output_tokens=16)
    assert cut.status == "completed"
    simulator.weather({"event": [], "answers": {"kind": "fixed", "text": SAID * 9}})
    cut = open_ai("openai_responses").responses.create(model="m", input=ASKED, max_output_tokens=16)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_openai_responses_streamed(simulator: SimulatorProcess, open_ai: Client):
    client = open_ai("openai_responses-r")
    events = list(client.responses.create(model="m", input=ASKED, stream=True, reasoning={"summary": "auto"}))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SAID
    assert "".join(event.delta for event in events if event.type == "response.reasoning_summary_text.delta")
    usage = events[-1].response.usage
    assert (usage.input_tokens, usage.output_tokens) == booked(simulator)
    with client.responses.stream(model="m", input=ASKED) as stream:  # the SDK's own accumulator
        assert stream.get_final_response().output_text == SAID


OPENAI_ERRORS: list[tuple[str, dict[str, Any], str, int, str | None]] = [
    ("auth", {}, "AuthenticationError", 401, "invalid_api_key"),
    ("deprecated", {}, "NotFoundError", 404, "model_not_found"),
    ("rate_limit", {"retry_after": 7}, "RateLimitError", 429, "rate_limit_exceeded"),
    ("quota", {}, "RateLimitError", 429, "rate_limit_exceeded"),
    ("billing", {"status": 429}, "RateLimitError", 429, "insufficient_quota"),
    ("context_length", {}, "BadRequestError", 400, "context_length_exceeded"),
    ("content_filter", {"stage": "prompt"}, "BadRequestError", 400, "invalid_prompt"),
    ("invalid_request", {}, "BadRequestError", 400, None),
    ("error", {"status": 500}, "InternalServerError", 500, None),
    ("error", {"status": 502, "html": True}, "InternalServerError", 502, None),
    ("overloaded", {}, "InternalServerError", 503, None),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("protocol", ["openai", "openai_responses"])
@pytest.mark.parametrize(("kind", "params", "error", "status", "code"), OPENAI_ERRORS)
def test_openai_raises(
    simulator: SimulatorProcess,
    open_ai: Client,
    protocol: str,
    stream: bool,
    kind: str,
    params: dict[str, Any],
    error: str,
    status: int,
    code: str | None,
):
    weather(simulator, kind, **params)
    client = open_ai(protocol)
    with pytest.raises(getattr(openai, error)) as caught:
        if protocol == "openai":
            client.chat.completions.create(**CHAT, stream=stream)
        else:
            client.responses.create(model="m", input=ASKED, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    if kind == "rate_limit":
        assert caught.value.response.headers["retry-after"] == "7"
    assert len(simulator.calls()) == 1


def test_openai_meets_a_bad_key_and_silence(simulator: SimulatorProcess, open_ai: Client):
    with pytest.raises(openai.AuthenticationError):
        open_ai(key="bad-key").chat.completions.create(**CHAT)
    weather(simulator, "outage")
    with pytest.raises(openai.APIConnectionError):
        open_ai().chat.completions.create(**CHAT)
    weather(simulator, "hang")
    with pytest.raises(openai.APITimeoutError):
        open_ai().with_options(timeout=0.3).chat.completions.create(**CHAT)


# anthropic

MESSAGES: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": ASKED}]}


def test_anthropic_messages(simulator: SimulatorProcess, claude: Client):
    answer = claude().messages.create(**MESSAGES, system=SYSTEM)
    assert [(block.type, block.text) for block in answer.content] == [("text", SAID)]
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == booked(simulator)
    assert answer._request_id
    assert [model.id for model in claude().models.list()] == ["m"]
    stopped = claude().messages.create(**MESSAGES, stop_sequences=[","])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", ",")
    assert claude().messages.create(**MESSAGES | {"max_tokens": 2}).stop_reason == "max_tokens"


def test_anthropic_messages_streamed(simulator: SimulatorProcess, claude: Client):
    with claude("anthropic-r").messages.stream(**MESSAGES) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    thinking, text = answer.content
    assert (thinking.type, bool(thinking.thinking), bool(thinking.signature)) == ("thinking", True, True)
    assert (text.type, text.text) == ("text", SAID)
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == booked(simulator)
    assert answer.usage.output_tokens > TOKENS


def test_anthropic_counts_what_a_cache_gave_apart(simulator: SimulatorProcess, claude: Client):
    weather(simulator, "prompt_cache", share=1.0)
    usage = claude("anthropic-r").messages.create(**MESSAGES).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (0, PROMPT)
    assert usage.output_tokens_details.thinking_tokens == usage.output_tokens - TOKENS


def test_anthropic_tells_its_limits_in_headers(simulator: SimulatorProcess, claude: Client):
    headers = claude().messages.with_raw_response.create(**MESSAGES).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "500"
    assert headers["anthropic-ratelimit-requests-remaining"] == "499"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    weather(simulator, "header_limits", rpm=9)
    headers = claude().messages.with_raw_response.create(**MESSAGES).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "9"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("kind", "params", "status", "name"),
    [
        ("auth", {}, 401, "authentication_error"),
        ("deprecated", {}, 404, "not_found_error"),
        ("rate_limit", {"retry_after": 7}, 429, "rate_limit_error"),
        ("billing", {}, 402, "billing_error"),
        ("billing", {"status": 400}, 400, "invalid_request_error"),
        ("context_length", {}, 400, "invalid_request_error"),
        ("invalid_request", {}, 400, "invalid_request_error"),
        ("error", {"status": 500}, 500, "api_error"),
        ("error", {"status": 504}, 504, "timeout_error"),
        ("overloaded", {}, 529, "overloaded_error"),
    ],
)
def test_anthropic_raises(
    simulator: SimulatorProcess,
    claude: Client,
    stream: bool,
    kind: str,
    params: dict[str, Any],
    status: int,
    name: str,
):
    weather(simulator, kind, **params)
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude().messages.create(**MESSAGES, stream=stream)
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == name
    assert caught.value.request_id == caught.value.body["request_id"]
    expected = {401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError", 400: "BadRequestError"}
    assert isinstance(caught.value, getattr(anthropic, expected.get(status, "APIStatusError")))
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"
    assert len(simulator.calls()) == 1


def test_anthropic_is_refused_by_a_filter(simulator: SimulatorProcess, claude: Client):
    weather(simulator, "content_filter")
    assert claude().messages.create(**MESSAGES).stop_reason == "refusal"


# google-genai


def test_gemini_generates(simulator: SimulatorProcess, google: Client):
    config = genai.types.GenerateContentConfig(system_instruction=SYSTEM, max_output_tokens=100, stop_sequences=["#"])
    answer = google().models.generate_content(model="m", contents=ASKED, config=config)
    assert answer.text == SAID
    assert answer.candidates[0].finish_reason.value == "STOP"
    counts = answer.usage_metadata
    assert (counts.prompt_token_count, counts.candidates_token_count) == booked(simulator)
    assert counts.total_token_count == sum(booked(simulator))
    assert [model.name for model in google().models.list()] == ["models/m"]
    assert google().models.get(model="m").input_token_limit == WINDOW


def test_gemini_generates_a_stream_with_its_thoughts(simulator: SimulatorProcess, google: Client):
    config = genai.types.GenerateContentConfig(thinking_config=genai.types.ThinkingConfig(include_thoughts=True))
    chunks = list(google("gemini-r").models.generate_content_stream(model="m", contents=ASKED, config=config))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    assert "".join(part.text for part in parts if not part.thought) == SAID
    assert any(part.thought for part in parts)
    assert chunks[-1].candidates[0].finish_reason.value == "STOP"
    counts = chunks[-1].usage_metadata
    assert (counts.prompt_token_count, counts.candidates_token_count + counts.thoughts_token_count) == booked(simulator)
    assert counts.candidates_token_count == TOKENS


@pytest.mark.parametrize(
    ("stage", "seen"), [("answer", lambda a: a.candidates[0].finish_reason), ("prompt", lambda a: a.prompt_feedback)]
)
def test_gemini_says_what_a_filter_stopped(
    simulator: SimulatorProcess, google: Client, stage: str, seen: Callable[[Any], Any]
):
    weather(simulator, "content_filter", stage=stage)
    answer = google().models.generate_content(model="m", contents=ASKED)
    assert answer.text is None
    assert "SAFETY" in str(seen(answer)) or "PROHIBITED_CONTENT" in str(seen(answer))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("kind", "params", "code", "name"),
    [
        ("auth", {}, 400, "INVALID_ARGUMENT"),  # API_KEY_INVALID: so it is at Google
        ("deprecated", {}, 404, "NOT_FOUND"),
        ("rate_limit", {"retry_after": 7}, 429, "RESOURCE_EXHAUSTED"),
        ("quota", {}, 429, "RESOURCE_EXHAUSTED"),
        ("billing", {}, 403, "PERMISSION_DENIED"),
        ("context_length", {}, 400, "INVALID_ARGUMENT"),
        ("invalid_request", {}, 400, "INVALID_ARGUMENT"),
        ("error", {"status": 500}, 500, "INTERNAL"),
        ("overloaded", {}, 503, "UNAVAILABLE"),
    ],
)
def test_gemini_raises(
    simulator: SimulatorProcess,
    google: Client,
    stream: bool,
    kind: str,
    params: dict[str, Any],
    code: int,
    name: str,
):
    weather(simulator, kind, **params)
    models = google().models
    with pytest.raises(genai.errors.ClientError if code < 500 else genai.errors.ServerError) as caught:
        if stream:
            list(models.generate_content_stream(model="m", contents=ASKED))
        else:
            models.generate_content(model="m", contents=ASKED)
    assert (caught.value.code, caught.value.status) == (code, name)
    details = {row["@type"].rpartition(".")[2]: row for row in caught.value.details["error"].get("details", [])}
    if kind == "rate_limit":
        assert details["RetryInfo"]["retryDelay"] == "7.000s"
        assert "PerMinute" in details["QuotaFailure"]["violations"][0]["quotaId"]
    if kind == "quota":
        assert "PerDay" in details["QuotaFailure"]["violations"][0]["quotaId"]
    if kind == "auth":
        assert details["ErrorInfo"]["reason"] == "API_KEY_INVALID"
    assert len(simulator.calls()) == 1


# cohere

TALK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": ASKED}]}
NO_RETRY = {"max_retries": 0}


def test_cohere_chats(simulator: SimulatorProcess, co: Client):
    answer = co().chat(**TALK, request_options=NO_RETRY)
    assert [(part.type, part.text) for part in answer.message.content] == [("text", SAID)]
    assert answer.finish_reason == "COMPLETE"
    assert (answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens) == booked(simulator)
    assert answer.usage.billed_units.output_tokens == TOKENS
    assert [model.name for model in co().models.list().models] == ["m"]
    assert co().chat(**TALK, max_tokens=2, request_options=NO_RETRY).finish_reason == "MAX_TOKENS"
    assert co().chat(**TALK, stop_sequences=[","], request_options=NO_RETRY).finish_reason == "STOP_SEQUENCE"


def test_cohere_streams(simulator: SimulatorProcess, co: Client):
    events = list(co("cohere-r").chat_stream(**TALK, request_options=NO_RETRY))
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-1]) == ("message-start", "message-end")
    pieces = [event.delta.message.content for event in events if event.type == "content-delta"]
    assert "".join(piece.text or "" for piece in pieces) == SAID
    assert "".join(piece.thinking or "" for piece in pieces)
    assert events[-1].delta.finish_reason == "COMPLETE"
    tokens = events[-1].delta.usage.tokens
    assert (tokens.input_tokens, tokens.output_tokens) == booked(simulator)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("kind", "params", "status", "error"),
    [
        ("auth", {}, 401, "UnauthorizedError"),
        ("deprecated", {}, 404, "NotFoundError"),
        ("rate_limit", {}, 429, "TooManyRequestsError"),
        ("quota", {"span": "month"}, 429, "TooManyRequestsError"),
        ("context_length", {}, 400, "BadRequestError"),
        ("invalid_request", {}, 400, "BadRequestError"),
        ("content_filter", {"stage": "prompt"}, 498, "InvalidTokenError"),
        ("error", {"status": 500}, 500, "InternalServerError"),
        ("error", {"status": 504}, 504, "GatewayTimeoutError"),
        ("overloaded", {}, 503, "ServiceUnavailableError"),
    ],
)
def test_cohere_raises(
    simulator: SimulatorProcess,
    co: Client,
    stream: bool,
    kind: str,
    params: dict[str, Any],
    status: int,
    error: str,
):
    weather(simulator, kind, **params)
    with pytest.raises(cohere.core.ApiError) as caught:
        if stream:
            list(co().chat_stream(**TALK, request_options=NO_RETRY))
        else:
            co().chat(**TALK, request_options=NO_RETRY)
    assert type(caught.value).__name__ == error
    assert caught.value.status_code == status
    assert caught.value.body["message"]
    assert len(simulator.calls()) == 1
