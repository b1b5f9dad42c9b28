"""The health monitor: who is pinged, what a ping costs, and what its answer means."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer

from app.gates.limits import Grant, Known
from app.services.scopes import scopes_of
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}


def states(yard: SmallYard) -> dict[str, str]:
    return dict(yard.rows("SELECT deployment, state FROM health ORDER BY deployment"))


def reason(yard: SmallYard, name: str) -> str | None:
    found: str | None = yard.value("SELECT reason FROM health WHERE deployment = %s", name)
    return found


def pings(yard: SmallYard) -> int:
    found: int = yard.value("SELECT count(*) FROM attempts WHERE purpose = 'ping'")
    return found


def test_the_first_check_pings_everyone_and_books_and_ledger_agree(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")], cold=True, healthy=False, gate_margin_s=0.5)
    found = yard.yard.monitor.check()
    assert {noted.deployment: noted.known.state for noted in found} == {"x/m": "healthy", "y/m": "healthy"}
    assert states(yard) == {"x/m": "healthy", "y/m": "healthy"}
    assert yard.rows("SELECT state, purpose, job_id, item_id FROM attempts") == [("answered", "ping", None, None)] * 2
    assert len(yard.sim.calls()) == 2
    yard.books_agree()
    used = {rule.rule: rule.used for rule in yard.yard.view.look()[0].usage[0].rules}
    assert (used["rpm"], used["rpd"], used["concurrency"]) == (1, 1, 0)
    tokens = yard.value("SELECT input_tokens + output_tokens FROM attempts WHERE provider = 'x'")
    assert used["tpm"] == tokens, "what was reserved is corrected to what was used"


def test_a_reasoning_model_that_leaks_its_thoughts_is_well(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", capabilities=["reasoning"]), vendor("y")], healthy=False)
    yard.weather({"provider": "*", "kind": "leak_reasoning"})
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "healthy", "y/m": "healthy"}
    assert yard.rows("SELECT DISTINCT text FROM attempts") == [("OK",)], "thoughts are not part of an answer"
    yard.books_agree()


def test_live_traffic_is_proof_enough(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")], healthy=False)
    yard.healthy("x/m")
    yard.submit(2, **SINGLE)
    yard.work()
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "healthy", "y/m": "healthy"}
    assert yard.rows("SELECT deployment FROM attempts WHERE purpose = 'ping'") == [("y/m",)]
    yard.yard.monitor.check()
    assert pings(yard) == 1, "an answered ping is traffic, too"
    yard.yard.monitor.check(everyone=True)
    assert pings(yard) == 3


def test_who_is_out_must_answer_two_pings_whatever_its_traffic_was(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(2, **SINGLE)
    yard.work()
    yard.mark("out", "x/m")
    yard.weather({"provider": "x", "kind": "auth"})
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "out"}
    yard.weather()
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "healthy"}
    assert pings(yard) == 1 + 2


@pytest.mark.parametrize(
    ("weather", "state", "said"),
    [
        ({"kind": "outage"}, "down", "server_error"),
        ({"kind": "error", "status": 503}, "down", "overloaded"),
        ({"kind": "wrong_json", "form": "html"}, "down", "malformed"),
        ({"kind": "wrong_json", "form": "truncated"}, "down", "malformed"),
        ({"kind": "auth"}, "out", "auth"),
        ({"kind": "billing", "status": 402}, "out", "billing"),
        ({"kind": "deprecated"}, "out", "model_not_found"),
        ({"kind": "rate_limit", "retry_after": 30.0}, "healthy", "rate_limit"),
        ({"kind": "quota"}, "healthy", "quota_exhausted"),
        ({"kind": "content_filter"}, "healthy", "content_filter"),
    ],
    ids=lambda value: str(value.get("form", value["kind"])) if isinstance(value, dict) else None,
)
def test_what_a_failed_ping_means_and_that_it_passes(
    small_yard: SmallYard, weather: dict[str, object], state: str, said: str
) -> None:
    yard = small_yard.open([vendor("x")], healthy=False)
    yard.weather({"provider": "x", **weather})
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": state}
    assert str(reason(yard, "x/m")).startswith(f"{said}: ")
    assert yard.rows("SELECT state, failure_kind FROM attempts") == [("failed", said)]
    seen = yard.yard.view.look()[0]
    assert seen.usable is (state == "healthy")
    if state == "healthy":
        limited = said != "content_filter"
        assert (seen.usage[1].hold_ms > 0) is limited, "alive, but where it is a limit not to be called now"
        return
    yard.weather()
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "healthy"}
    assert reason(yard, "x/m") is None
    assert yard.value("SELECT since <= checked_at FROM health")


def test_who_answers_something_else_is_down(small_yard: SmallYard, httpserver: HTTPServer) -> None:
    choice = {"index": 0, "message": {"content": "Welcome, please log in"}, "finish_reason": "stop"}
    httpserver.expect_request("/v1/chat/completions").respond_with_json({"choices": [choice]})
    base_url = f"http://{httpserver.host}:{httpserver.port}/v1"
    yard = small_yard.open([vendor("x", base_url=base_url)], simulated=False, healthy=False)
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "down"}
    assert reason(yard, "x/m") == "did not answer OK but 'Welcome, please log in'"


def test_a_missing_key_is_out_without_a_call(small_yard: SmallYard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    yard = small_yard.open([vendor("x", api_key_env="NO_SUCH_KEY"), vendor("y")], healthy=False)
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "out", "y/m": "healthy"}
    assert reason(yard, "x/m") == "no key: set the environment variable NO_SUCH_KEY"
    assert {row["provider"] for row in yard.sim.calls()} == {"y"}
    monkeypatch.setenv("NO_SUCH_KEY", "sk-now-there-is-one")
    yard.yard.monitor.check()
    assert states(yard)["x/m"] == "healthy"


def test_pings_take_no_more_than_a_fiftieth_of_a_days_requests(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpd=150), vendor("few", rpd=10), vendor("free")], healthy=False)
    for _ in range(5):
        yard.yard.monitor.check(everyone=True)
    made = dict(yard.rows("SELECT provider, count(*) FROM attempts GROUP BY 1"))
    assert made == {"x": 3, "few": 1, "free": 5}
    assert states(yard) == {"few/m": "healthy", "free/m": "healthy", "x/m": "healthy"}
    yard.books_agree()


def test_a_ping_that_the_gates_would_hold_up_is_not_made(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=5)], cold=True)
    now = yard.yard.gates.now_ms()
    yard.open_gates(Known(window=((now, 5, 5),)))
    yard.mark("down", "x/m")
    assert yard.yard.monitor.check() == []
    assert states(yard) == {"x/m": "down"}, "it keeps the state it had"
    assert pings(yard) == 0


def test_who_is_called_by_nobody_gets_its_ping_as_soon_as_there_is_room(small_yard: SmallYard) -> None:
    """All that the provider takes at once is under way for its other model, which needs no ping."""
    yard = small_yard.open([vendor("x", concurrency=1)], healthy=False)
    fleet = yard.yard.fleet.current()
    busy = yard.yard.gates.reserve(scopes_of(fleet, fleet.deployments[0]), 1, 1, lease_s=1.0)
    assert isinstance(busy, Grant)
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "healthy"}
    assert pings(yard) == 1


def test_a_provider_that_comes_into_the_file_is_found_at_the_next_check(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")], healthy=False, gate_margin_s=0.5)
    yard.yard.monitor.check()
    assert states(yard) == {"x/m": "healthy"}
    yard.sim.stop()
    yard.write_fleet([vendor("x"), vendor("new")])
    yard.sim.start()
    yard.yard.monitor.check()
    assert states(yard) == {"new/m": "healthy", "x/m": "healthy"}
    yard.weather(kind="fixed", text="a")
    yard.submit(1, council=2)
    yard.work()
    assert {row["provider"] for row in yard.sim.calls() if row["status"] == 200} == {"x", "new"}
    assert [row[1] for row in yard.decisions()] == ["decided"]


def test_one_that_hangs_holds_up_nobody(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", timeout_s=1), vendor("y")], healthy=False)
    yard.weather({"provider": "x", "kind": "hang"})
    order = [noted.deployment for noted in yard.yard.monitor.check()]
    assert order == ["y/m", "x/m"]
    assert states(yard) == {"x/m": "down", "y/m": "healthy"}
    assert str(reason(yard, "x/m")).startswith("timeout: ")
