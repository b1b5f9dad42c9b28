"""``first-answer`` with real workers: calls that hang are answered by somebody else, and hung up on."""

from __future__ import annotations

import time

from app.ledger.door import Row
from app.services import replaying
from bench.harness import Rig, provider

_ITEMS = 30
_WEATHER = """
[answers]
kind = "fixed"
text = "yes"

[[event]]
provider = "moody"
kind = "hang"
probability = 0.4
"""


def test_who_hangs_is_outrun_and_nothing_is_asked_thrice() -> None:
    rows = [Row(n, f"q{n}", f"question {n}") for n in range(1, _ITEMS + 1)]
    providers = [
        provider("moody", model="a", quality=0.9, concurrency=16, timeout_s=60),
        provider("steady", model="b", quality=0.5, concurrency=16, timeout_s=60),
    ]
    with Rig(providers, weather=_WEATHER, workers=1, latency_ms=30.0) as rig:
        began = time.monotonic()
        job = rig.submit(rows, strategy="first-answer", labels=["yes", "no"])
        rig.wait(job, 45)
        assert time.monotonic() - began < 40, "nobody waited for the timeout of sixty seconds"
        found = rig.query(
            "SELECT d.status, 'hedged' = ANY(d.flags), d.calls FROM decisions d JOIN items i ON i.id = d.item_id"
        )
        rig.until(
            lambda: not rig.one("SELECT count(*) FROM attempts WHERE state = 'open' AND purpose <> 'ping'"),
            10,
            "who was outrun hangs up",
        )
        dropped = rig.query("SELECT count(*) FROM attempts WHERE state = 'ambiguous'")[0][0]
        outrun = rig.query("SELECT count(*) FROM votes WHERE failure_kind = 'overdue'")[0][0]
        books = rig.simulator.books()["calls"]
        made = rig.query("SELECT count(*) FROM attempts WHERE state <> 'unsent' AND purpose <> 'ping'")[0][0]
        assert replaying.verify(rig.engine, job) == (_ITEMS, [])
    assert {status for status, _, _ in found} == {"decided"}
    hedged = [calls for _, was, calls in found if was]
    assert hedged, "some calls hung, so some were hedged"
    assert max(calls for _, _, calls in found) <= 2
    assert outrun == len(hedged)
    assert 0 < dropped <= outrun, "a call that lands while it is dropped is an answer that came late"
    assert books >= made - dropped, "a call that was hung up on is in the books only once it has ended there"
