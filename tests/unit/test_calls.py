"""How a call carries the key, and what a seat makes of an answer that says nothing."""

from __future__ import annotations

import pytest

from app.core.values import Answer, Deployment, Failure, FailureKind, Finish, Message, Request, Tier, Usage
from app.registry.rows import ModelRow, ProviderRow
from app.services.calls import EMPTY, EMPTY_CUT, Caller, spoken

USAGE = Usage(5, 0, 0, 16)


def _hear(said: Answer | Failure) -> Answer | Failure:
    return spoken(lambda *_: said)(200, {}, b"")


@pytest.mark.parametrize(("finish", "why"), [(Finish.LENGTH, EMPTY_CUT), (Finish.STOP, EMPTY), (Finish.OTHER, EMPTY)])
@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_answer_is_malformed_and_billed(finish: Finish, why: str, text: str) -> None:
    heard = _hear(Answer(text, USAGE, reasoning="hm", finish=finish))
    assert heard == Failure(FailureKind.MALFORMED, why, 200, usage=USAGE, finish=finish)


@pytest.mark.parametrize(
    "said",
    [Answer("A", USAGE, finish=Finish.LENGTH), Answer("", USAGE, finish=Finish.TOOL_CALLS), Failure(FailureKind.AUTH)],
)
def test_what_says_something_is_left_alone(said: Answer | Failure) -> None:
    assert _hear(said) is said


KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    ("protocol", "headers"),
    [
        ("openai", {"authorization": f"Bearer {KEY}"}),
        ("anthropic", {"x-api-key": KEY}),
        ("gemini", {"x-goog-api-key": KEY}),
    ],
)
def test_the_key_travels_as_the_protocol_wants_it(
    protocol: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    assert _carrying_the_key(protocol, "A_KEY") == headers
    assert _carrying_the_key(protocol, None) == {}


def _carrying_the_key(protocol: str, key_env: str | None) -> dict[str, str]:
    model = ModelRow(id="m", tier="cheap", family="m", context_window=100, max_output=10)
    row = ProviderRow(name="a", protocol=protocol, base_url="https://a.test", api_key_env=key_env, model=(model,))
    caller = Caller(row, Deployment("a", "m", Tier.CHEAP, "m", 100, 10))
    request = Request("m", (Message("user", "hi"),), max_tokens=5)
    outgoing = caller.outgoing(1, request, not_after=0.0, timeout_s=1.0)
    assert outgoing.url.startswith("https://a.test/")
    assert KEY not in outgoing.url
    return {name: value for name, value in outgoing.headers.items() if KEY in value}
