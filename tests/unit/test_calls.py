"""How a call carries the key, what a seat makes of an answer that says nothing, and what refusals teach it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.core.values import Answer, Deployment, Failure, FailureKind, Finish, Message, Request, Tier, Usage
from app.registry.rows import ModelRow, ProviderRow
from app.registry.secrets import KeyRef
from app.services.calls import EMPTY, EMPTY_CUT, Caller, spoken
from app.wire import Heard

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
REQUEST = Request("m", (Message("system", "Be brief."), Message("user", "hi")), max_tokens=5, seed=7)


def _caller(model_id: str, *words: str, key: KeyRef | None = None, **row: Any) -> Caller:
    model = ModelRow(id=model_id, tier="cheap", family="m", context_window=100, max_output=10)
    provider = ProviderRow(**{"name": "a", "protocol": "openai", "base_url": "https://a.test", "model": (model,)} | row)
    return Caller(provider, Deployment("a", model_id, Tier.CHEAP, "m", 100, 10, capabilities=frozenset(words)), key)


@pytest.mark.parametrize(
    ("protocol", "headers"),
    [
        ("openai", {"authorization": f"Bearer {KEY}"}),
        ("anthropic", {"x-api-key": KEY}),
        ("gemini", {"x-goog-api-key": KEY}),
    ],
)
def test_the_key_travels_as_the_protocol_wants_it(protocol: str, headers: dict[str, str]) -> None:
    assert _carrying_the_key(protocol, KeyRef("A_KEY", KEY)) == headers
    assert _carrying_the_key(protocol, None) == {}


def _carrying_the_key(protocol: str, key: KeyRef | None) -> dict[str, str]:
    caller = _caller("m", protocol=protocol, key=key)
    outgoing = caller.outgoing(1, REQUEST, not_after=0.0, timeout_s=1.0)
    assert outgoing.url.startswith("https://a.test/")
    assert KEY not in outgoing.url
    assert KEY.encode() not in outgoing.body
    return {name: value for name, value in outgoing.headers.items() if KEY in value}


# What a refusal teaches. A model id of its own for each test: what was learned stays for the life of the process.


def _body(caller: Caller, attempt_id: int) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(caller.outgoing(attempt_id, REQUEST, not_after=0.0, timeout_s=1.0).body)
    return body


def _refusal(what: str) -> Failure:
    return Failure(FailureKind.INVALID_REQUEST, f"Unsupported parameter: '{what}' is not supported with this model.")


def test_what_a_model_refuses_is_left_out_from_then_on() -> None:
    caller = _caller("learns")
    assert {"max_tokens", "temperature", "seed"} <= _body(caller, 1).keys()
    assert caller.yield_to(1, _refusal("max_tokens"))
    assert _body(caller, 2)["max_completion_tokens"] == 5
    assert caller.yield_to(2, _refusal("temperature"))
    later = _body(_caller("learns"), 1)
    assert {"max_tokens", "temperature"}.isdisjoint(later)
    assert (later["max_completion_tokens"], later["seed"]) == (5, 7)
    assert "temperature" in _body(_caller("another"), 1)
    assert "temperature" in _body(_caller("learns", base_url="https://b.test"), 1)


def test_a_call_of_the_same_time_is_asked_again_too_but_only_once() -> None:
    caller = _caller("busy")
    _body(caller, 1)
    _body(caller, 2)
    assert caller.yield_to(1, _refusal("seed"))
    assert caller.yield_to(2, _refusal("seed")), "it was sent before that was known"
    _body(caller, 3)
    assert not caller.yield_to(3, _refusal("seed")), "it was sent without"


@pytest.mark.parametrize(
    "failure",
    [
        Failure(FailureKind.INVALID_REQUEST, "image_url is not supported"),
        Failure(FailureKind.SERVER_ERROR, "Unsupported parameter: 'seed'"),
        _refusal("effort"),
    ],
)
def test_nothing_is_given_up_for_anything_else(failure: Failure) -> None:
    caller = _caller("stubborn")
    before = _body(caller, 1)
    assert not caller.yield_to(1, failure)
    assert _body(caller, 2) == before


def test_a_refusal_of_a_call_that_it_did_not_make_teaches_nothing() -> None:
    assert not _caller("stranger").yield_to(99, _refusal("seed"))


def test_words_of_the_fleet_file_are_heeded() -> None:
    body = _body(_caller("worded", "no-seed", "no-system", "completion-tokens"), 1)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Be brief.\n\nhi"}],
        "max_completion_tokens": 5,
        "temperature": 0.0,
    }


def test_a_call_that_a_drill_struck_was_never_made_and_costs_nothing() -> None:
    said = Answer("", Usage(5, 0, 7, 0))
    struck = _caller("struck").closing(1, Heard(Failure(FailureKind.AUTH, usage=said.usage), 30, 401, flags=("drill",)))
    assert (struck.cost_micro, struck.status, struck.flags) == (0, 401, ("drill",))
    late = _caller("late").closing(1, Heard(said, 5000, 200, flags=("drill_slow",)))
    assert late.flags == ("drill_slow",)
