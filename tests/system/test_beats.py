"""Two beats at once do no harm."""

from __future__ import annotations

from bench import audit
from bench.harness import Rig, items, provider


def test_two_beats_and_a_fast_clock_change_nothing() -> None:
    rows = items(120)
    every_s = {"DISPATCH": "0.2", "SWEEP": "0.3", "HEALTH": "2", "ALERTS": "0.5"}
    fast = {f"SWITCHYARD_{bell}_EVERY_S": seconds for bell, seconds in every_s.items()}
    providers = [provider(f"b{n}", concurrency=4) for n in range(4)]
    with Rig(providers, gold=rows, latency_ms=150.0, env=fast) as rig:
        rig.start("second-beat", "beat")
        job = rig.submit(rows, strategy="majority-vote")
        rig.wait(job, 60)
        assert rig.alive("beat")
        assert rig.alive("second-beat")
        assert audit.decisions(rig, job, len(rows)) == []
        assert audit.paid_twice(rig) == []
        assert rig.one("SELECT count(*) FROM attempts WHERE state IN ('ambiguous', 'open') AND purpose = 'vote'") == 0
        assert rig.simulator.books()["totals"]["refused"] == 0
        assert rig.one("SELECT count(*) FROM alerts WHERE name = 'stalled' AND NOT firing") == 1, "they were looked for"
        assert rig.one("SELECT count(*) FROM alerts WHERE firing") == 0
