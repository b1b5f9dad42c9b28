"""A fleet file edited while a job runs: nobody is restarted."""

from __future__ import annotations

import re
import time

from bench import audit
from bench.harness import ROOT, Rig, items, provider

_ENV = {"SWITCHYARD_HEALTH_EVERY_S": "1", "SWITCHYARD_SWEEP_EVERY_S": "2", "SWITCHYARD_HORIZON_S": "5"}


def _calls(rig: Rig, name: str, model: str | None = None) -> int:
    books = rig.simulator.books()
    found = books["providers"].get(name) if model is None else books["models"].get(f"{name}/{model}")
    return int(found["answered"]) if found else 0


def _peak(rig: Rig, name: str) -> int:
    """The most calls that the provider ever had in flight at once."""
    return int(rig.simulator.books()["providers"][name]["max_in_flight"])


def _pings(rig: Rig, name: str) -> int:
    return int(rig.one("SELECT count(*) FROM attempts WHERE provider = %s AND purpose = 'ping'", (name,)))


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


def test_limits_are_raised_and_lowered_and_a_model_added_during_a_job() -> None:
    rows = items(1000)  # some must be left in the yard when the new model has had its ping, on a slow machine too
    raised, lowered = provider("raised", concurrency=2), provider("lowered", concurrency=4, rpm=600)
    # What the providers themselves allow stays the same: it is the yard that is watched.
    weather = "".join(
        f'[[event]]\nprovider = "{name}"\nkind = "limits"\n{limit}\n'
        for name, limit in (("raised", "concurrency = 6"), ("lowered", "rpm = 600"))
    )
    # The new model is the quicker one, and so the one that is free first.
    weather += '[[event]]\nprovider = "raised"\nmodel = "model-raised"\nkind = "latency"\nmean_ms = 400\njitter = 0.1\n'
    with Rig([raised, lowered], gold=rows, weather=weather, workers=2, latency_ms=200.0, env=_ENV) as rig:
        job = rig.submit(rows)
        rig.until(lambda: _calls(rig, "raised") > 20 and _calls(rig, "lowered") > 20, 30, "both are called")
        assert _peak(rig, "raised") <= 2

        # Half of what it has made already: nothing may leave until the minute is over.
        few = _calls(rig, "lowered") // 2
        extra = [("another-model", "another-family")]
        rig.write_fleet([raised | {"concurrency": 6, "more_models": extra}, lowered | {"rpm": few}])
        changed = time.time()
        rig.until(lambda: _peak(rig, "raised") > 2, 30, "the limit that was raised is used")
        rig.until(lambda: _calls(rig, "raised", "another-model") > 20, 30, "the model that was added is called")
        calls = [c for c in rig.simulator.calls() if c["provider"] == "lowered"]
        minute = min(call["arrived_at"] for call in calls) + 60
        # The file is read before each call: those that had been let out already are all that arrives.
        late = [call for call in calls if changed + 0.5 < call["arrived_at"] < minute]
        assert len(late) <= 4 + _pings(rig, "lowered")

        # What waits on its track for a minute to be over hears of it, too.
        rig.write_fleet([rig.providers[0], lowered])
        rig.wait(job, 120)
        assert _peak(rig, "raised") <= 6
        assert all(rig.alive(name) for name in rig.children)
        assert audit.decisions(rig, job, len(rows)) == []
        assert rig.query("SELECT status, count(*) FROM decisions GROUP BY 1") == [("decided", len(rows))]


def test_the_vendor_of_the_readme_is_added_to_a_running_yard() -> None:
    shown = re.search(r"```toml\n(\[\[provider\]\]\n(?:.+\n){4})```", (ROOT / "README.md").read_text())
    assert shown is not None, "five lines"
    rows = items(400)
    with Rig([provider("old", concurrency=2)], gold=rows, workers=0, latency_ms=200.0, env=_ENV) as rig:
        job = rig.submit(rows)
        rig.until(lambda: _calls(rig, "old") > 20, 30, "the job is on its way")
        pids = {name: child.pid for name, child in rig.children.items()}
        here = shown[1].replace("https://api.newcomer.example", f"http://127.0.0.1:{rig.port}/newcomer")
        assert here != shown[1]
        with rig.fleet.open("a") as file:
            file.write(here)
        rig.until(lambda: _calls(rig, "newcomer") > 20, 30, "the vendor that was added answers")
        rig.wait(job, 60)
        assert {name: child.pid for name, child in rig.children.items()} == pids
        assert audit.decisions(rig, job, len(rows)) == []
        by_model = rig.query("SELECT deployment, count(*) FROM attempts WHERE purpose = 'vote' GROUP BY 1 ORDER BY 1")
        assert [name for name, _ in by_model] == ["newcomer/one-mini", "old/model-old"]
        assert audit.balance(rig, rig.simulator.calls()).violations == ()
