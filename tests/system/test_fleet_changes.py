"""A fleet file edited while a job runs: nobody is restarted."""

from __future__ import annotations

from bench import audit
from bench.harness import Rig, items, provider

_ENV = {"SWITCHYARD_HEALTH_EVERY_S": "1", "SWITCHYARD_SWEEP_EVERY_S": "2", "SWITCHYARD_HORIZON_S": "5"}


def _calls(rig: Rig, name: str) -> int:
    return int(rig.simulator.books()["providers"].get(name, {"answered": 0})["answered"])


def test_a_provider_is_added_and_one_removed_during_a_job() -> None:
    rows = items(350)
    old, leaving, new = (
        provider("old", concurrency=2),
        provider("leaving", concurrency=2),
        provider("new", concurrency=8),
    )
    with Rig([old, leaving], gold=rows, workers=0, latency_ms=300.0, env=_ENV) as rig:
        pids = {name: child.pid for name, child in rig.children.items()}
        job = rig.submit(rows)
        rig.until(lambda: _calls(rig, "leaving") > 20 and _calls(rig, "old") > 20, 20, "both are called")

        rig.write_fleet([old, leaving, new])
        rig.until(lambda: _calls(rig, "new") > 20, 30, "the provider that was added is called")
        assert rig.decided(job) < len(rows)

        # The simulator forgets it as well: a call after this would be refused, and seen.
        rig.write_fleet([old, new])
        rig.until(lambda: not rig.query("SELECT FROM asks WHERE provider = 'leaving' AND state <> 'done'"), 30, "left")
        gone = rig.one("SELECT clock_timestamp()")
        rig.wait(job, 60)
        assert {name: child.pid for name, child in rig.children.items()} == pids
        assert all(rig.alive(name) for name in rig.children)
        assert audit.decisions(rig, job, len(rows)) == []
        assert rig.query("SELECT status, count(*) FROM decisions GROUP BY 1") == [("decided", len(rows))]
        assert rig.query("SELECT id FROM attempts WHERE provider = 'leaving' AND started_at > %s", (gone,)) == []
        assert audit.paid_twice(rig) == []
