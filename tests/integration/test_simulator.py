"""The simulated fleet over real sockets, as a process of its own."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.simulator.books import key_mark
from app.simulator.process import SimulatorProcess

FLEET = """
[[provider]]
name = "groq"
protocol = "openai"
base_url = "http://127.0.0.1:1/groq/v1"
api_key_env = "GROQ_API_KEY"
rpm = 3
[[provider.model]]
id = "small"
tier = "cheap"
context_window = 1000
input_price = 0.05
output_price = 0.08

[[provider]]
name = "keyed"
protocol = "openai"
base_url = "http://127.0.0.1:1/keyed/v1"
api_key_env = "KEYED"
limits_per = "key"
rpm = 2
[[provider.model]]
id = "m"
[[provider.model]]
id = "narrow"
rpm = 1

[[provider]]
name = "open"
protocol = "openai"
base_url = "http://127.0.0.1:1/open/v1"
concurrency = 40
tpm = 1000000
[[provider.model]]
id = "m"
input_price = 0.6
output_price = 2.5
[[provider.model]]
id = "thinker"
capabilities = ["reasoning"]
[[provider.model]]
id = "narrow"
concurrency = 1
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "fleet.toml"
    path.write_text(FLEET)
    return path


@pytest.fixture(scope="module")
def process(fleet: Path) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(fleet, seed=7, latency_ms=5) as running:
        yield running


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    """Blue sky, empty books."""
    process.weather({"event": [], "answers": {"kind": "echo"}})
    process.reset()
    return process


def post(
    simulator: SimulatorProcess,
    provider: str = "open",
    model: str = "m",
    text: str = "hello",
    key: str | None = "sk-test",
    **more: Any,
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=10)
    headers = {"content-type": "application/json", "x-request-id": f"ref-{text}"}
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    try:
        connection.request("POST", f"/{provider}/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def content(body: bytes) -> str:
    text: str = json.loads(body)["choices"][0]["message"]["content"]
    return text


def weather(simulator: SimulatorProcess, kind: str, **params: Any) -> None:
    simulator.weather({"event": [{"provider": "*", "kind": kind, **params}]})


def wait_for_call(simulator: SimulatorProcess) -> dict[str, Any]:
    """The first call in the books, once there is one."""
    deadline = time.monotonic() + 5
    while not (calls := simulator.calls()):
        assert time.monotonic() < deadline, "the call was never booked"
    return calls[0]


def test_a_call_is_answered_and_booked_to_the_token_and_the_micro_dollar(simulator: SimulatorProcess):
    status, headers, body = post(simulator, text="twelve chars")
    data = json.loads(body)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert data["object"] == "chat.completion"
    assert data["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "twelve chars"},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert data["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert headers["x-ratelimit-limit-tokens"] == "1000000"
    assert headers["x-ratelimit-remaining-tokens"] == "999990"
    (call,) = simulator.calls()
    assert (call["provider"], call["model"], call["status"]) == ("open", "m", 200)
    assert (call["prompt_tokens"], call["completion_tokens"]) == (7, 3)
    assert call["money_micro"] == 12  # 7 * 0.6 + 3 * 2.5 = 11.7
    assert call["request_ref"] == "ref-twelve chars"
    assert not call["client_gone"]
    books = simulator.books()
    assert books["providers"]["open"]["money_micro"] == books["models"]["open/m"]["money_micro"] == 12
    assert books["in_flight"] == 0
    assert list(books["keys"]) == [call["key"]]
    assert "sk-test" not in json.dumps(books)


def test_the_fourth_call_of_three_a_minute_is_refused_as_groq_refuses(simulator: SimulatorProcess):
    assert [post(simulator, "groq", "small")[0] for _ in range(3)] == [200, 200, 200]
    status, headers, body = post(simulator, "groq", "small")
    error = json.loads(body)["error"]
    assert status == 429
    assert "on requests per minute (RPM): Limit 3, Used 3, Requested 1. Please try again in" in error["message"]
    assert 55 <= int(headers["retry-after"]) <= 60
    groq = simulator.books()["providers"]["groq"]
    assert (groq["answered"], groq["refused"], groq["max_requests_60s"], groq["max_arrivals_60s"]) == (3, 1, 3, 4)
    assert groq["violations"]["rpm"] == 1
    assert simulator.calls()[-1]["effect"] == "limit:rpm"


def test_calls_at_once_are_counted_at_the_model(simulator: SimulatorProcess):
    weather(simulator, "latency", mean_ms=400, jitter=0)
    with ThreadPoolExecutor(3) as pool:
        statuses = sorted(pool.map(lambda _: post(simulator, model="narrow")[0], range(3)))
    assert statuses == [200, 429, 429]
    narrow = simulator.books()["models"]["open/narrow"]
    assert narrow["max_in_flight"] == 1
    assert narrow["violations"]["concurrency"] == 2


def test_the_door(simulator: SimulatorProcess):
    assert post(simulator, "groq", "small", key=None)[0] == 401
    assert post(simulator, "groq", "small", key="bad-key")[0] == 401
    assert post(simulator, "open", key=None)[0] == 200
    status, _, body = post(simulator, "groq", "unheard-of")
    assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")
    status, _, body = post(simulator, "groq", "small", text="x" * 4100)
    assert (status, json.loads(body)["error"]["code"]) == (400, "context_length_exceeded")
    assert post(simulator, "nobody")[0] == 404
    assert simulator.books()["providers"]["groq"]["max_requests_60s"] == 0


def test_max_tokens_cuts(simulator: SimulatorProcess):
    _, _, body = post(simulator, text="0123456789", max_tokens=2)
    data = json.loads(body)
    assert data["choices"][0]["finish_reason"] == "length"
    assert data["choices"][0]["message"]["content"] == "01234567"
    assert data["usage"]["completion_tokens"] == 2


def test_a_reasoning_model_pays_for_its_thoughts_and_leaks_them_on_a_ping(simulator: SimulatorProcess):
    data = json.loads(post(simulator, model="thinker")[2])
    assert data["choices"][0]["message"]["content"] == "hello"
    assert data["choices"][0]["message"]["reasoning_content"]
    thought = data["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert data["usage"]["completion_tokens"] == thought + 2
    assert content(post(simulator, model="thinker", text="Reply with exactly: OK", max_tokens=16)[2]).endswith("OK")
    assert content(post(simulator, text="Reply with exactly: OK")[2]) == "OK"


@pytest.mark.parametrize(
    ("kind", "params", "status", "word"),
    [
        ("error", {"status": 500}, 500, b"error"),
        ("error", {"status": 529}, 529, b"overloaded"),
        ("error", {"status": 502, "html": True}, 502, b"<html>"),
        ("deprecated", {}, 404, b"model_not_found"),
        ("billing", {"status": 402}, 402, b"Insufficient Balance"),
        ("billing", {"status": 403}, 403, b"billing_not_active"),
        ("billing", {"status": 429}, 429, b"insufficient_quota"),
        ("auth", {}, 401, b"invalid_api_key"),
        ("quota", {}, 429, b"tokens per day (TPD)"),
        ("rate_limit", {"retry_after": 7}, 429, b"try again in 7s"),
    ],
)
def test_weather_that_refuses(simulator: SimulatorProcess, kind: str, params: dict[str, Any], status: int, word: bytes):
    weather(simulator, kind, **params)
    got, _, body = post(simulator)
    assert got == status
    assert word in body
    (call,) = simulator.calls()
    assert (call["status"], call["effect"], call["prompt_tokens"], call["money_micro"]) == (status, kind, 0, 0)


def test_an_outage_closes_the_connection_without_a_word(simulator: SimulatorProcess):
    weather(simulator, "outage")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        post(simulator)
    (call,) = simulator.calls()
    assert (call["status"], call["effect"]) == (0, "outage")


def test_a_cut_body_is_billed_all_the_same(simulator: SimulatorProcess):
    weather(simulator, "cut")
    with pytest.raises(http.client.IncompleteRead):
        post(simulator)
    (call,) = simulator.calls()
    assert (call["status"], call["effect"], call["unreadable"]) == (200, "cut", True)
    assert call["money_micro"] > 0


def test_a_slow_body_comes_in_pieces_and_whole(simulator: SimulatorProcess):
    weather(simulator, "slow_body", total_ms=200, pieces=4)
    began = time.monotonic()
    assert content(post(simulator)[2]) == "hello"
    assert time.monotonic() - began >= 0.2
    assert len(simulator.calls()) == 1


@pytest.mark.parametrize("form", ["truncated", "html", "empty_choices", "empty_content"])
def test_wrong_json(simulator: SimulatorProcess, form: str):
    weather(simulator, "wrong_json", form=form)
    status, _, body = post(simulator)
    assert status == 200
    if form in ("truncated", "html"):
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
    elif form == "empty_choices":
        assert json.loads(body)["choices"] == []
    else:
        assert content(body) == ""
    (call,) = simulator.calls()
    assert call["unreadable"] == (form in ("truncated", "html"))
    assert (call["prompt_tokens"] == 0) == (form == "html")


def test_leaked_reasoning_stands_in_the_text(simulator: SimulatorProcess):
    weather(simulator, "leak_reasoning")
    data = json.loads(post(simulator)[2])
    assert data["choices"][0]["message"]["content"].startswith("<think>")
    assert data["choices"][0]["message"]["content"].endswith("</think>\n\nhello")
    assert data["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    weather(simulator, "leak_reasoning", unclosed=1.0)
    said = content(post(simulator)[2])
    assert said.startswith("<think>")
    assert "</think>" not in said


def leave_early(simulator: SimulatorProcess) -> None:
    """Ask and go before the answer comes."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
    with socket.create_connection(("127.0.0.1", simulator.port)) as client:
        client.sendall(
            f"POST /open/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        deadline = time.monotonic() + 5
        while simulator.books()["in_flight"] == 0:
            assert time.monotonic() < deadline, "the call never came in"


def test_a_call_whose_client_left_is_billed_and_marked(simulator: SimulatorProcess):
    weather(simulator, "latency", mean_ms=600, jitter=0)
    leave_early(simulator)
    call = wait_for_call(simulator)
    assert (call["status"], call["client_gone"], call["completion_tokens"]) == (200, True, 2)
    assert simulator.books()["totals"]["client_gone"] == 1


def test_a_hanging_call_ends_with_its_client_and_is_not_billed(simulator: SimulatorProcess):
    weather(simulator, "hang")
    leave_early(simulator)
    call = wait_for_call(simulator)
    assert (call["status"], call["effect"], call["money_micro"]) == (0, "hang", 0)
    assert simulator.books()["in_flight"] == 0
    weather(simulator, "hang", hang_s=0.2)
    assert content(post(simulator)[2]) == "hello"


def test_limits_change_with_the_weather(simulator: SimulatorProcess):
    weather(simulator, "limits", rpm=1)
    assert [post(simulator)[0] for _ in range(2)] == [200, 429]
    simulator.weather({"event": []})
    assert post(simulator)[0] == 200


def test_limits_per_key_are_counted_for_each_key_and_so_are_the_books(simulator: SimulatorProcess):
    assert [post(simulator, "keyed", key="one")[0] for _ in range(3)] == [200, 200, 429]
    assert [post(simulator, "keyed", key="two")[0] for _ in range(3)] == [200, 200, 429]
    assert [post(simulator, "keyed", "narrow", key="three")[0] for _ in range(2)] == [200, 429]
    books = simulator.books()
    keyed = books["providers"]["keyed"]
    assert (keyed["answered"], keyed["refused"], keyed["max_requests_60s"], keyed["violations"]["rpm"]) == (5, 3, 2, 2)
    assert books["models"]["keyed/narrow"]["violations"]["rpm"] == 1
    of_key = {key: (row["answered"], row["refused"]) for key, row in books["provider_keys"].items()}
    marks = [key_mark(key) for key in ("one", "two", "three")]
    assert of_key == dict(zip((f"keyed/{mark}" for mark in marks), [(2, 1), (2, 1), (1, 1)], strict=True))
    assert books["provider_keys"][f"keyed/{marks[0]}"]["max_requests_60s"] == 2


def test_limits_per_account_are_counted_for_all_keys_together(simulator: SimulatorProcess):
    statuses = [post(simulator, "groq", "small", key=key)[0] for key in ("one", "two", "one", "two")]
    assert statuses == [200, 200, 200, 429]


def test_a_revoked_key_is_refused_and_the_others_are_not(simulator: SimulatorProcess):
    weather(simulator, "revoked_key", key=key_mark("one"))
    assert [post(simulator, "keyed", key=key)[0] for key in ("one", "two")] == [401, 200]
    assert [call["effect"] for call in simulator.calls()] == ["revoked_key", ""]


def test_a_cold_model_is_loaded_once_and_whoever_comes_meanwhile_waits_too(simulator: SimulatorProcess):
    weather(simulator, "cold_start", idle_s=30, load_s=1.0)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda _: post(simulator)[0], range(2))) == [200, 200]
    assert 1.0 <= time.monotonic() - began < 1.9
    began = time.monotonic()
    assert post(simulator)[0] == 200
    assert time.monotonic() - began < 0.9
    assert [call["effect"] for call in simulator.calls()] == ["cold_start", "cold_start", ""]


def test_headers_may_speak_of_another_limit_than_the_one_that_holds(simulator: SimulatorProcess):
    weather(simulator, "header_limits", tpm=500, rpm=1)
    _, headers, _ = post(simulator)
    status, headers, _ = post(simulator)
    assert status == 200
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("1", "0")
    assert headers["x-ratelimit-limit-tokens"] == "500"


def test_hourly_and_monthly_limits_hold(simulator: SimulatorProcess):
    for rule, words, least_s in (("rph", b"requests per hour (RPH)", 3500), ("rpmo", b"requests per month", 1)):
        simulator.reset()
        weather(simulator, "limits", **{rule: 1})
        assert post(simulator)[0] == 200
        status, headers, body = post(simulator)
        assert status == 429
        assert words in body
        assert int(headers["retry-after"]) >= least_s
        assert simulator.calls()[-1]["effect"] == f"limit:{rule}"


def test_a_stream_is_one_of_events_and_is_cut_by_the_weather(simulator: SimulatorProcess):
    status, headers, body = post(simulator, text="hello " * 20, stream=True)
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert body.endswith(b"data: [DONE]\n\n")
    assert b'"usage"' not in body
    weather(simulator, "cut")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        post(simulator, text="hello " * 20, stream=True)
    assert [call["unreadable"] for call in simulator.calls()] == [False, True]
    weather(simulator, "slow_body", total_ms=200)
    began = time.monotonic()
    assert post(simulator, stream=True)[2].endswith(b"[DONE]\n\n")
    assert time.monotonic() - began >= 0.2


def test_wrong_weather_is_refused_and_changes_nothing(simulator: SimulatorProcess):
    with pytest.raises(ValueError, match=r"event 1 \(outage, provider 'open'\): unknown key 'form_s'"):
        simulator.weather({"event": [{"kind": "outage", "provider": "open", "form_s": 3}]})
    assert post(simulator)[0] == 200


def test_the_calls_are_paged_without_a_gap(simulator: SimulatorProcess):
    for number in range(5):
        post(simulator, text=f"t{number}")
    assert [call["seq"] for call in simulator.calls()] == [1, 2, 3, 4, 5]
    assert [call["request_ref"] for call in simulator.calls(after=3)] == ["ref-t3", "ref-t4"]


def test_the_lies_that_were_told_can_be_asked_for(simulator: SimulatorProcess):
    simulator.weather({"answers": {"kind": "journalist", "lies": {"m": 1.0}, "lie_kinds": ["number"]}})
    sentences = {f"1.{n}": f"The council of the town spent {n}00 pounds on bridge number {n}." for n in range(1, 6)}
    item = json.dumps({"sources": [{"id": "1", "from": "F", "title": "A bridge", "sentences": sentences}]})
    for _ in range(2):
        status, _, body = post(simulator, text=item)
    assert status == 200
    said = json.loads(content(body))
    told = simulator.lies()
    assert [lie["text"] for lie in told] == [claim["text"] for claim in said["sentences"]]
    assert {(lie["model"], lie["kind"]) for lie in told} == {("m", "number")}
    assert {lie["was"] for lie in told} <= set(sentences.values())
    simulator.reset()
    assert simulator.lies() == []


def test_a_provider_added_to_the_file_is_served(tmp_path: Path):
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    gold = tmp_path / "items.csv"
    gold.write_text("text,gold\nwhere is my card,card_arrival\n")
    sky = tmp_path / "weather.toml"
    sky.write_text('[answers]\nkind = "gold"\nfile = "items.csv"\n')
    with SimulatorProcess(path, sky, latency_ms=1) as simulator:
        assert content(post(simulator, text="where is my card")[2]) == "card_arrival"
        assert post(simulator, "late")[0] == 404
        path.write_text(FLEET + '[[provider]]\nname = "late"\n[[provider.model]]\nid = "m"\n')
        deadline = time.monotonic() + 5
        while post(simulator, "late")[0] != 200:
            assert time.monotonic() < deadline, "the new provider was never served"


def test_a_fleet_file_that_is_not_there_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(RuntimeError, match="did not start"):
        SimulatorProcess(tmp_path / "none.toml").start()
    assert "none.toml" in capfd.readouterr().err
