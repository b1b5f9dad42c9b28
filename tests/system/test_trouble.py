"""Nobody answers for a while, and three providers struck at once. ``make outage`` is the first in large."""

from __future__ import annotations

from typing import Any

from app.simulator.books import key_mark
from bench import audit, outage
from bench.harness import Rig, items, provider

_ENV = {"SWITCHYARD_HEALTH_EVERY_S": "3", "SWITCHYARD_SWEEP_EVERY_S": "1", "SWITCHYARD_HORIZON_S": "3"}
_KEY = "the-key-that-is-revoked"
_CONCURRENCY = 4
_REFUSED = {"deprecated", "billing", "revoked_key"}


def test_all_providers_are_down_for_a_while() -> None:
    result = outage.run(20.0, 300, workers=1, env=_ENV)
    assert result["violations"] == []
    assert result["decisions"] == {"decided": 301}
    assert result["waited"] > 100


def _struck_calls(rig: Rig, name: str) -> list[dict[str, Any]]:
    """Its calls from the first that was refused on."""
    calls = sorted((c for c in rig.simulator.calls() if c["provider"] == name), key=lambda c: c["arrived_at"])
    first = next(n for n, call in enumerate(calls) if call["effect"] in _REFUSED)
    return calls[first:]


def _notices(rig: Rig) -> list[tuple[str, str, bool]]:
    return [tuple(row) for row in rig.query("SELECT name, subject, firing FROM alert_notices WHERE sink = 'log'")]


def test_a_model_gone_a_bill_unpaid_and_a_key_revoked_at_once() -> None:
    rows = items(600)
    struck = [provider(name, concurrency=_CONCURRENCY, quality=0.9) for name in ("gone", "unpaid", "revoked")]
    struck[2]["api_key_env"] = "REVOKED_API_KEY"
    well = [provider(f"well{n}", concurrency=_CONCURRENCY) for n in range(3)]
    weather = [
        {"provider": "gone", "kind": "deprecated"},
        {"provider": "unpaid", "kind": "billing"},
        {"provider": "revoked", "kind": "revoked_key", "key": key_mark(_KEY)},
    ]
    env = {**_ENV, "SWITCHYARD_ALERTS_EVERY_S": "1", "REVOKED_API_KEY": _KEY}
    expected = {("model_out", "gone/model-gone"), ("provider_out", "unpaid"), ("provider_out", "revoked")}
    with Rig([*struck, *well], gold=rows, workers=2, latency_ms=200.0, env=env) as rig:
        job = rig.submit(rows)
        rig.until(lambda: rig.decided(job) >= 100, 60, "the job is on its way")
        rig.simulator.weather({"event": weather})
        rig.until(lambda: {n[:2] for n in _notices(rig) if n[2]} >= expected, 30, "an alert for each")
        rig.wait(job, 90)
        assert audit.decisions(rig, job, len(rows)) == []
        assert rig.query("SELECT status, count(*) FROM decisions GROUP BY 1") == [("decided", len(rows))]
        for row in struck:
            calls = _struck_calls(rig, row["name"])
            pings = rig.one("SELECT count(*) FROM attempts WHERE provider = %s AND purpose = 'ping'", (row["name"],))
            # What was under way when the first was refused, and no retry of it there.
            assert len(calls) <= _CONCURRENCY + pings
            assert {call["effect"] for call in calls} <= _REFUSED

        rig.simulator.weather({"event": []})
        rig.wait_healthy([row["name"] for row in struck])
        rig.until(lambda: {n[:2] for n in _notices(rig) if not n[2]} >= expected, 30, "each has recovered")
        assert audit.paid_twice(rig) == []
        rig.until(lambda: rig.simulator.books()["in_flight"] == 0, 30, "the simulator's calls over")
        rig.stop_workers()
        # The fleet may have told of its fallback rate besides: that is about the items, and has its own five minutes.
        names = {row["name"] for row in struck}
        told = [n for n in _notices(rig) if n[1].partition("/")[0] in names]
        assert sorted(told) == sorted((*key, firing) for key in expected for firing in (True, False))
        assert audit.balance(rig, rig.simulator.calls()).violations == ()
