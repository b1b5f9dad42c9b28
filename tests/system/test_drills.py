"""A drill on a yard at work, through the real command, ended by Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from bench import audit
from bench.harness import ROOT, Rig, items, provider

_ENV = {"SWITCHYARD_DRILLS": "1", "SWITCHYARD_HORIZON_S": "3"}

_ELSEWHERE = """
SELECT count(*) FROM attempts a JOIN health h ON h.deployment LIKE 'struck/%%'
WHERE a.provider = 'well' AND a.state = 'answered' AND a.started_at > h.since
"""


def test_a_drill_is_felt_and_ctrl_c_ends_it_at_once() -> None:
    rows = items(900)
    providers = [provider("well", concurrency=8, quality=0.5), provider("struck", concurrency=8, quality=0.9)]
    with Rig(providers, gold=rows, latency_ms=150.0, env=_ENV) as rig:
        job = rig.submit(rows, strategy="ranked-fallback")
        rig.until(lambda: rig.decided(job) > 50, 30, "the job is on its way")
        command = [sys.executable, "-m", "app.cli", "drill", "auth", "--for", "struck", "--seconds", "600", "--yes"]
        drill = subprocess.Popen(
            [*command, "--json"], cwd=ROOT, env=rig.environment(), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            rig.until(
                lambda: rig.one("SELECT count(*) FROM health WHERE deployment LIKE 'struck/%%' AND state = 'out'"),
                20,
                "the deployment that was struck is out",
            )
            rig.until(lambda: rig.one(_ELSEWHERE), 20, "the other answers in its place")
            drill.send_signal(signal.SIGINT)
            out, err = drill.communicate(timeout=20)
        finally:
            drill.kill()
            drill.wait()
        assert drill.returncode == 130, err
        assert "Traceback" not in err
        assert rig.redis.hlen("yard:drills") == 0

        report = json.loads(out)
        assert report["ended_by"] == "interrupt"
        assert report["spans_s"]["during"] < 60
        by_name = {row["deployment"].partition("/")[0]: row for row in report["deployments"]}
        assert by_name["struck"]["struck"] > 0
        assert set(by_name["struck"]["during"]["failed"]) == {"auth"}
        assert by_name["well"]["struck"] == 0
        assert by_name["well"]["during"]["answered"] > 0

        # What comes back is called again: the drill is really over, in every process.
        rig.ring("switchyard.health")
        rig.wait_healthy(["struck"])
        rig.wait(job, 90)
        assert audit.decisions(rig, job, len(rows)) == []
        assert rig.query("SELECT status, count(*) FROM decisions GROUP BY 1") == [("decided", len(rows))]
        balance = audit.balance(rig, rig.simulator.calls())
        assert balance.violations == ()
        assert balance.calls == balance.attempts
        drilled = rig.one("SELECT count(*) FROM attempts WHERE 'drill' = ANY(flags)")
        assert rig.one("SELECT count(*) FROM attempts WHERE state <> 'unsent'") == balance.calls + drilled
