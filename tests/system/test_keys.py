"""Keys while a job runs: one is replaced, two are used side by side."""

from __future__ import annotations

from collections import Counter

from app.simulator.books import key_mark
from bench import audit
from bench.harness import Rig, items, provider

_ENV = {"SWITCHYARD_HEALTH_EVERY_S": "1", "SWITCHYARD_SWEEP_EVERY_S": "2", "SWITCHYARD_HORIZON_S": "5"}


def _calls(rig: Rig, name: str) -> int:
    return int(rig.simulator.books()["providers"][name]["answered"])


def test_a_key_is_rotated_under_load_and_the_old_one_revoked_moments_later() -> None:
    rows = items(700)
    rotated = provider("rotated", concurrency=8, quality=0.9) | {"api_key_file": "rotated.key"}
    env = {**_ENV, "SWITCHYARD_ALERTS_EVERY_S": "1"}
    old, new = "the-old-key-of-this-test", "the-new-key-of-this-test"
    providers = [rotated, provider("other", concurrency=1)]
    with Rig(providers, gold=rows, files={"rotated.key": old}, workers=2, latency_ms=200.0, env=env) as rig:
        job = rig.submit(rows)
        rig.until(lambda: _calls(rig, "rotated") > 100, 30, "the job is on its way")
        (rig.home / "rotated.new").write_text(f"{new}\n")
        (rig.home / "rotated.new").replace(rig.home / "rotated.key")
        rig.simulator.weather({"event": [{"provider": "rotated", "kind": "revoked_key", "key": key_mark(old)}]})
        rig.wait(job, 90)
        by_key = Counter(
            (call["key"], call["status"]) for call in rig.simulator.calls() if call["provider"] == "rotated"
        )
        assert by_key[key_mark(new), 200] > 100
        assert by_key[key_mark(new), 401] == 0
        # What was under way with the old key; it is asked again with the new one, there.
        assert by_key[key_mark(old), 401] <= 8
        assert audit.decisions(rig, job, len(rows)) == []
        assert rig.query("SELECT status, count(*) FROM decisions GROUP BY 1") == [("decided", len(rows))]
        assert rig.query("SELECT deployment, state FROM health_history WHERE state <> 'healthy'") == []
        assert rig.query("SELECT provider, key_ref FROM key_health WHERE state = 'out'") == []
        assert rig.query("SELECT name, subject FROM alert_notices") == []


def test_two_keys_of_a_provider_are_used_to_the_sum_of_their_limits() -> None:
    rows = items(130)
    keys = {"FIRST_KEY": "first-key-of-this-test", "SECOND_KEY": "second-key-of-this-test"}
    row = provider("keyed", rpm=60) | {"api_key_env": list(keys), "limits_per": "key"}
    with Rig([row], gold=rows, workers=2, latency_ms=50.0, env={**_ENV, **keys}) as rig:
        rig.submit(rows)
        # One call of the 120 that the two allow together was the ping, or two.
        rig.until(lambda: _calls(rig, "keyed") >= 118, 40, "the sum of both limits is used")
        books = rig.simulator.books()
        first = min(call["arrived_at"] for call in rig.simulator.calls())
        early = Counter(call["key"] for call in rig.simulator.calls() if call["arrived_at"] < first + 55)
        assert books["providers"]["keyed"]["refused"] == 0
        assert all(55 <= early[key_mark(key)] <= 60 for key in keys.values())
