"""Two jobs of one team with the same items at the same time, on real workers, one of which is killed."""

from __future__ import annotations

from bench import audit
from bench.harness import Rig, items, provider

# A worker's lease runs out soon, so that what it had taken is asked again within the test.
_ENV = {"SWITCHYARD_LEASE_S": "4", "SWITCHYARD_SWEEP_EVERY_S": "1"}
_COUNT = 120


def test_two_jobs_at_once_buy_one_jobs_votes_and_a_killed_worker_costs_no_decision() -> None:
    """Nearly: answers that came in before the second job stood in the ledger are not in its window, and calls that
    were lost with the worker are asked again. Nothing is right or wrong but the labels: all voices agree."""
    rows = items(_COUNT)
    fleet = [provider(f"s{n}", concurrency=3, quality=0.4 + n / 20) for n in range(4)]
    with Rig(fleet, gold=rows, error_rate={"default": 0.0}, workers=2, latency_ms=250.0, env=_ENV) as rig:
        jobs = [rig.submit(rows, strategy="majority-vote") for _ in range(2)]
        rig.until(lambda: rig.decided(jobs[0]) >= _COUNT // 4, 60, "a quarter decided")
        rig.kill("worker-1")
        rig.restart("worker-1")
        for job in jobs:
            rig.wait(job, 90)
        rig.until(lambda: rig.simulator.books()["in_flight"] == 0, 30, "the simulator's calls over")
        rig.stop_workers()
        calls = rig.simulator.calls()
        balance = audit.balance(rig, calls)
        violations = [*balance.violations, *audit.paid_twice(rig)]
        for job in jobs:
            violations += audit.decisions(rig, job, _COUNT) + audit.replayed(rig, job)
        assert violations == []
        assert rig.query("SELECT DISTINCT status FROM decisions") == [("decided",)]
        votes = rig.one("SELECT count(*) FROM attempts WHERE purpose = 'vote' AND state = 'answered'")
        assert votes <= 1.25 * 2 * _COUNT, "two votes an item are one job's, four would be two jobs'"
        shared = rig.one("SELECT count(*) FROM votes WHERE 'reused' = ANY(flags)")
        assert shared >= 0.75 * 2 * _COUNT
