"""What a provider does wrong, word for word: tries, waits, restated questions, refused keys."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.core import matrix
from app.core.values import FailureKind
from app.gates.day import Period, day_of, month_of
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}


class Script:
    """A provider that gives these answers in this order: (status, headers, body); then "a" for ever."""

    def __init__(self, server: HTTPServer) -> None:
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.url = f"http://{server.host}:{server.port}/v1"
        server.expect_request("/v1/chat/completions").respond_with_handler(self._answer)

    def then(self, status: int, body: Any = None, **headers: str) -> Script:
        self.answers.append((status, {k.replace("_", "-"): v for k, v in headers.items()}, body))
        return self

    def says(self, text: str, tokens: int = 3, finish: str = "stop") -> Script:
        return self.then(200, completion(text, tokens, finish))

    def _answer(self, request: Request) -> Response:
        self.asked.append(json.loads(request.data))
        status, headers, body = self.answers.pop(0) if self.answers else (200, {}, completion("a"))
        if callable(body):
            body = body(request)
        return Response(
            body if isinstance(body, str) else json.dumps(body or {}), status, headers, None, "application/json"
        )


def completion(text: str, tokens: int = 3, finish: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": tokens}}


@pytest.fixture
def script(httpserver: HTTPServer) -> Script:
    return Script(httpserver)


@pytest.fixture
def yard(small_yard: SmallYard, script: Script, monkeypatch: pytest.MonkeyPatch) -> SmallYard:
    monkeypatch.setattr(matrix, "BACKOFF_FIRST_S", 0.02)
    return small_yard.open([vendor("x", base_url=script.url)], simulated=False)


def ask_one(yard: SmallYard, **spec: Any) -> None:
    yard.submit(1, **{**SINGLE, **spec})
    yard.follow(yard.dispatch())


def test_a_short_rate_limit_is_waited_for_and_shuts_the_gate_meanwhile(yard: SmallYard, script: Script) -> None:
    script.then(429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, retry_after="1")
    ask_one(yard)
    assert yard.attempts() == [(1, "failed", "rate_limit", 429), (2, "answered", None, 200)]
    waited = yard.value("SELECT extract(epoch FROM max(started_at) - min(closed_at))::float8 FROM attempts")
    assert waited >= 0.95, "the whole fleet of workers keeps away for as long as the provider said"
    assert yard.decisions() == [("i1", "decided", "a", None)]
    assert yard.votes() == [(0, "a", None, 2)]


def test_a_long_rate_limit_loses_the_seat(yard: SmallYard, script: Script) -> None:
    script.then(429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, retry_after="55")
    ask_one(yard)
    assert yard.attempts() == [(1, "failed", "rate_limit", 429)]
    assert yard.votes() == [(0, None, "rate_limit", 1)]
    held = yard.yard.view.look()[0].usage[0].hold_ms
    assert 50_000 < held <= 55_000


def test_a_server_error_is_tried_again_and_each_try_is_a_row(yard: SmallYard, script: Script) -> None:
    script.then(503).then(500)
    ask_one(yard)
    assert [row[:2] for row in yard.attempts()] == [(1, "failed"), (2, "failed"), (3, "answered")]
    assert [row[3] for row in yard.attempts()] == [503, 500, 200]
    assert yard.votes() == [(0, "a", None, 3)]
    assert yard.rows("SELECT calls, cost_micro FROM decisions") == [(3, 16)]


def test_three_server_errors_are_enough(yard: SmallYard, script: Script) -> None:
    script.then(500).then(502).then(503)
    ask_one(yard)
    assert len(yard.attempts()) == 3
    assert yard.votes() == [(0, None, yard.attempts()[-1][2], 3)]
    assert len(script.asked) == 3


def test_no_more_calls_than_the_item_has_attempts(yard: SmallYard, script: Script) -> None:
    for _ in range(10):
        script.then(500)
    ask_one(yard, strategy="single-query@1(attempts=2)")
    assert len(script.asked) == 2
    assert yard.votes()[0][3] == 2
    assert [row[1] for row in yard.decisions()] == ["undecided"]


def test_what_was_cut_off_is_asked_once_more_in_other_words_and_with_more_room(yard: SmallYard, script: Script) -> None:
    script.says("Both have their merits, so", finish="length")
    ask_one(yard)
    assert yard.attempts() == [(1, "answered", None, 200), (2, "answered", None, 200)]
    assert yard.votes() == [(0, "a", None, 2)]
    first, second = (call["messages"][0]["content"] for call in script.asked)
    assert "could not be read" not in first
    assert "could not be read" in second
    assert script.asked[0]["messages"][1] == script.asked[1]["messages"][1], "the item's text stands unchanged"
    assert script.asked[0]["max_tokens"] < script.asked[1]["max_tokens"]


def test_what_is_cut_off_twice_is_an_abstention(yard: SmallYard, script: Script) -> None:
    script.says("Both have their merits, so", finish="length").says("It is hard to", finish="length")
    ask_one(yard)
    assert len(script.asked) == 2
    assert yard.votes() == [(0, None, None, 2)]


def test_what_came_whole_and_cannot_be_read_is_an_abstention_at_once(yard: SmallYard, script: Script) -> None:
    script.says("Both have their merits.")
    ask_one(yard)
    assert len(script.asked) == 1
    assert yard.votes() == [(0, None, None, 1)]
    assert yard.value("SELECT reason FROM votes") is not None


def test_an_empty_answer_is_billed_and_asked_again(yard: SmallYard, script: Script) -> None:
    script.says("", tokens=7)
    ask_one(yard)
    assert yard.attempts() == [(1, "failed", "malformed", 200), (2, "answered", None, 200)]
    assert yard.rows("SELECT output_tokens, cost_micro FROM attempts ORDER BY id") == [(7, 24), (3, 16)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "auth"), (402, "billing"), (404, "model_not_found")],
)
def test_trouble_with_the_account_is_not_tried_again_and_puts_the_deployment_out(
    yard: SmallYard, script: Script, status: int, kind: str
) -> None:
    words = {401: "Incorrect API key", 402: "Insufficient Balance", 404: "The model `m` does not exist"}
    script.then(status, {"error": {"message": words[status]}})
    yard.submit(1, **SINGLE)
    (ask,) = yard.dispatch()
    yard.yard.asker.ask(ask.id)
    assert yard.attempts() == [(1, "failed", kind, status)]
    assert yard.rows("SELECT deployment, state, split_part(reason, ':', 1) FROM health") == [("x/m", "out", kind)]
    assert not yard.yard.view.look()[0].usable
    assert yard.settle().finished
    assert yard.decisions() == [("i1", "undecided", None, f"no_answer: {kind}")]


def test_an_invalid_request_fails_the_item_and_nobody_else_is_asked(small_yard: SmallYard, script: Script) -> None:
    yard = small_yard.open(
        [vendor("x", base_url=script.url, quality=0.9), vendor("y", base_url=script.url)], simulated=False
    )
    script.then(400, {"error": {"message": "messages.0.content: bad value", "type": "invalid_request_error"}})
    ask_one(yard, strategy="ranked-fallback")
    assert len(script.asked) == 1
    assert yard.decisions() == [("i1", "failed", None, "invalid_request")]


def everything(yard: SmallYard) -> str:
    """Each row of each table, as text."""
    tables = [name for (name,) in yard.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return "\n".join(row[0] for name in tables for row in yard.rows(f"SELECT to_jsonb(t)::text FROM {name} AS t"))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """What was logged or printed so far."""
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()

    def collect() -> str:
        out, err = capfd.readouterr()
        return caplog.text + out + err

    return collect


@pytest.mark.parametrize("key", ["sk-canary-0123456789abcdef", "parrot/of+the=seven.seas", "Zx9" * 12])
@pytest.mark.parametrize(
    "echo",
    [
        lambda request: {"error": {"message": f"Incorrect API key provided: {bearer(request)}."}},
        lambda request: {"error": {"message": f"Nobody here knows {bearer(request)}, go away"}},
        lambda request: f"<html>401 for {request.headers['Authorization']}</html>",
    ],
    ids=["as vendors do", "in other words", "a page"],
)
def test_a_key_that_a_provider_echoes_is_nowhere(
    small_yard: SmallYard,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    said: Any,
    key: str,
    echo: Any,
) -> None:
    monkeypatch.setenv("CANARY_KEY", key)
    yard = small_yard.open([vendor("x", base_url=script.url, api_key_env="CANARY_KEY")], simulated=False)
    script.then(401, echo).then(401, echo)
    ask_one(yard)
    yard.yard.monitor.check()
    assert yard.value("SELECT count(*) FROM attempts WHERE failure_kind = %s", FailureKind.AUTH.value) == 2
    assert key not in everything(yard)
    assert key not in said()
    stored = b"".join(yard.yard.redis.dump(name) or b"" for name in yard.yard.redis.scan_iter())
    assert key.encode() not in stored


def test_a_key_in_an_answer_is_not_kept(small_yard: SmallYard, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_KEY", "parrot of the seven seas")
    yard = small_yard.open([vendor("x", base_url=script.url, api_key_env="CANARY_KEY")], simulated=False)
    script.then(200, lambda request: completion(f"You sent me {bearer(request)}"))
    ask_one(yard, task="generate", labels=[])
    assert "parrot" not in everything(yard)
    assert yard.decisions() == [("i1", "decided", "You sent me ***", None)]


def bearer(request: Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer ")


def test_a_provider_that_counts_more_than_we_do_is_asked_once_more_with_less(yard: SmallYard, script: Script) -> None:
    said = "This model's maximum context length is 6000 tokens. However, your messages resulted in 7500 tokens."
    script.then(400, {"error": {"message": said, "code": "context_length_exceeded"}})
    text = "BEGIN " + "word " * 6000 + "END"
    yard.submit(texts=[text], **SINGLE)
    yard.follow(yard.dispatch())
    assert yard.attempts() == [(1, "failed", "context_length", 400), (2, "answered", None, 200)]
    before, after = (asked["messages"][-1]["content"] for asked in script.asked)
    assert before == text
    assert after.startswith("BEGIN word ")
    assert after.endswith("word END")
    assert 0.6 * len(text) < len(after) < 6000 / 7500 * len(text)
    assert yard.rows("SELECT answer, flags FROM decisions") == [("a", ["trimmed"])]


def test_what_stays_too_long_is_not_cut_for_ever(yard: SmallYard, script: Script) -> None:
    for _ in range(5):
        script.then(400, {"error": {"message": "prompt is too long", "code": "context_length_exceeded"}})
    yard.submit(texts=["word " * 6000], **SINGLE)
    yard.follow(yard.dispatch())
    assert [row[2] for row in yard.attempts()] == ["context_length"] * 2
    [(_, status, _, reason)] = yard.decisions()
    assert status == "failed"
    assert reason == "context_length: takes about 32001 tokens, the widest window has 32000"


def test_a_parameter_that_a_model_does_not_take_is_left_out_from_then_on(yard: SmallYard, script: Script) -> None:
    said = (
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
    )
    script.then(400, {"error": {"message": said, "type": "invalid_request_error", "param": "temperature"}})
    ask_one(yard)
    assert yard.attempts() == [(1, "failed", "invalid_request", 400), (2, "answered", None, 200)]
    assert ["temperature" in asked for asked in script.asked] == [True, False]
    ask_one(yard)
    assert len(script.asked) == 3
    assert "temperature" not in script.asked[2]
    assert [row[1] for row in yard.decisions()] == ["decided"] * 2


def test_a_request_that_is_simply_wrong_fails_the_item(yard: SmallYard, script: Script) -> None:
    script.then(400, {"error": {"message": "messages: too few", "type": "invalid_request_error"}})
    ask_one(yard)
    assert len(script.asked) == 1
    assert yard.decisions() == [("i1", "failed", None, "invalid_request")]


def test_the_slot_of_a_call_that_was_given_up_is_free_a_moment_later(small_yard: SmallYard) -> None:
    """The provider may be at work on it still, and would count the next call as one too many."""
    yard = small_yard.open([vendor("x", concurrency=1, timeout_s=1.0), vendor("y")], gate_margin_s=30.0)
    yard.weather({"provider": "x", "kind": "hang"})
    yard.submit(1, **SINGLE)
    yard.work()
    assert yard.rows("SELECT deployment, failure_kind FROM attempts ORDER BY id")[0] == ("x/m", "timeout")
    x, y = (seen.usage[0].in_flight for seen in yard.yard.view.look())
    assert (x, y) == (1, 0)


@pytest.mark.parametrize(("said", "period"), [("tokens per day (TPD)", day_of), ("requests per month", month_of)])
def test_a_quota_is_benched_until_its_own_period_is_over(
    yard: SmallYard, script: Script, said: str, period: Callable[[str, int], Period]
) -> None:
    message = f"Quota exceeded: limit 500, used 500 {said}. Upgrade your plan."
    script.then(429, {"error": {"message": message, "code": "quota_exceeded"}})
    ask_one(yard)
    assert [row[2] for row in yard.attempts()] == ["quota_exhausted"]
    now_ms = yard.yard.gates.now_ms()
    left_s = (period("UTC", now_ms).end_ms - now_ms) / 1000
    held_s = yard.yard.view.look()[0].usage[0].hold_ms / 1000
    # A hold lasts a day at most; a month's is found used up again then, by one refusal.
    assert held_s == pytest.approx(min(left_s, 86_400), abs=5)
