"""Every provider is down for a while: ``python -m bench.outage --seconds 300``

Six simulated providers, each of another protocol. In the middle of a job all of them fail at once, and go on failing
in turns: 503, connections closed without a word, silence. A second job, of one item, comes in when nobody can answer
it any more. Then the weather clears and both are left to end.

Counted at the providers. A *first call* is the first about its item; every other is a *retry*. In no minute there may
be more retries than a tenth of the first calls and 60 besides. In the second half of the outage, when every breaker
has opened, there are only their probes (one call each time that one of them half opens) and the health monitor's
pings. ``switchyard status`` is asked all the while, until it says what is waited for and until when.

Ends with 1 where the budget is exceeded, an item is lost, undecided or paid twice, or nobody is told what is waited
for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import audit
from bench.harness import ROOT, Provider, Rig, items, provider

PROTOCOLS = ("openai", "anthropic", "gemini", "cohere", "openai_responses", "ollama")
KINDS: tuple[dict[str, Any], ...] = ({"kind": "error", "status": 503}, {"kind": "outage"}, {"kind": "hang"})
ROOMY = {"provider": "*", "kind": "limits", "concurrency": 100}
"""A provider that hangs notices late that we have hung up, and would count what we send next as too much at once."""
_TURNS = 6
_FLOOR, _SHARE, _MINUTE_S = 60, 0.1, 60.0
"""The retry budget: so many a minute, and this share of the first calls of that minute."""
_LAG_S = 2.0
"""Between a call's reservation, which the budget counts, and its arrival, which we see."""
_BREAKER_S = 30.0
"""An open breaker lets its first probe through after this long, later ones less often."""
_DRAWN_S = 600.0

_PURPOSES = "SELECT id, purpose, item_id FROM attempts WHERE state <> 'unsent'"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When calls came in, in seconds since the epoch, sorted. ``first`` and ``retries`` are about items."""

    first: tuple[float, ...]
    retries: tuple[float, ...]
    pings: tuple[float, ...]

    @classmethod
    def of(cls, rig: Rig) -> Arrivals:
        attempts = {f"sy-{row[0]}": row[1:] for row in rig.query(_PURPOSES)}
        seen: set[int] = set()
        kinds: dict[str, list[float]] = {"first": [], "retries": [], "pings": []}
        for call in sorted(rig.simulator.calls(), key=lambda call: call["arrived_at"]):
            purpose, item = attempts[call["request_ref"]]
            kind = "pings" if purpose == "ping" else "retries" if item in seen else "first"
            kinds[kind].append(call["arrived_at"])
            seen |= {item} if item is not None else set()
        return cls(*(tuple(kinds[kind]) for kind in ("first", "retries", "pings")))

    def between(self, begin: float, end: float) -> dict[str, int]:
        return {kind: _within(getattr(self, kind), begin, end) for kind in ("first", "retries", "pings")}

    def over_budget(self) -> list[str]:
        """A sentence for each retry that came when the minute before it had held as many as it may."""
        found = []
        for number, at in enumerate(self.retries, 1):
            made = number - bisect_left(self.retries, at - _MINUTE_S + _LAG_S)
            allowed = _FLOOR + _SHARE * _within(self.first, at - _MINUTE_S - _LAG_S, at + _LAG_S)
            if made > allowed:
                found.append(f"{made} retries within a minute, {allowed:.0f} allowed")
        return found


def _within(times: Sequence[float], begin: float, end: float) -> int:
    return bisect_right(times, end) - bisect_left(times, begin)


def fleet() -> list[Provider]:
    """One of each protocol, four calls at once, given up after two seconds."""
    return [
        provider(protocol.replace("_", "-"), protocol=protocol, concurrency=4, timeout_s=2.0, quality=0.4 + n / 20)
        for n, protocol in enumerate(PROTOCOLS)
    ]


def storm(providers: Sequence[Provider], seconds: float) -> list[dict[str, Any]]:
    """Nobody answers, and each goes through all the ``KINDS``; the last turn lasts until the weather is changed."""
    events: list[dict[str, Any]] = [ROOMY]
    for place, row in enumerate(providers):
        for turn in range(_TURNS):
            event = {"provider": row["name"], **KINDS[(place + turn) % len(KINDS)], "from_s": turn * seconds / _TURNS}
            events.append(event if turn == _TURNS - 1 else event | {"to_s": (turn + 1) * seconds / _TURNS})
    return events


def status(rig: Rig, job: str, *options: str) -> str:
    """What ``switchyard status`` prints. Raises ``CalledProcessError``."""
    command = [sys.executable, "-m", "app.cli", "status", job, *options]
    done = subprocess.run(command, cwd=ROOT, env=rig.environment(), capture_output=True, text=True, check=True)
    return done.stdout


@dataclass(slots=True)
class Told:
    """What ``status`` said of a job: ``waiting`` of its JSON, and the lines about it in words."""

    waiting: dict[str, Any] | None = None
    words: tuple[str, ...] = ()

    def ask(self, rig: Rig, job: str) -> bool:
        """True once it says what is waited for."""
        waiting = json.loads(status(rig, job, "--json"))["waiting"]
        if waiting is not None and waiting["for"]:
            words = [line for line in status(rig, job).splitlines() if line.startswith("waits")]
            # The first of them may have opened in between.
            self.waiting, self.words = (waiting, tuple(words)) if words else (None, ())
        return self.waiting is not None

    def violations(self, what: str, deployments: int) -> list[str]:
        if self.waiting is None:
            return [f"status never said what the {what} waits for"]
        named = [one for one in self.waiting["for"] if one["why"] and one["opens_s"] is not None]
        if len(named) < deployments or not self.waiting["opens_s"]:
            return [f"status of the {what} names no reason or no time: {self.waiting}"]
        return [] if any(", until " in line for line in self.words) else [f"no time in words: {self.words}"]


def run(
    seconds: float, count: int, *, workers: int = 2, latency_ms: float = 150.0, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    providers, rows = fleet(), items(count)
    with Rig(providers, gold=rows, workers=workers, latency_ms=latency_ms, env=env) as rig:
        job = rig.submit(rows)
        rig.until(lambda: rig.decided(job) >= count / 6, 60, "the job is on its way")
        rig.simulator.weather({"event": storm(providers, seconds)})
        struck = time.time()
        before = rig.decided(job)
        rig.until(lambda: _spent(rig, job), 60, "nobody answers any more")
        single = rig.submit(items(1), team="single")
        told = {"job": Told(), "single item": Told()}
        for what, name in (("job", job), ("single item", single)):
            while not told[what].ask(rig, name) and time.time() < struck + seconds:
                pass  # each question takes a second by itself
        rig.until(lambda: time.time() >= struck + seconds, seconds + 60, "the end of the outage")
        waiting = count + 1 - rig.decided(job) - rig.decided(single)
        undecided = rig.one("SELECT count(*) FROM decisions WHERE status <> 'decided'")
        rig.simulator.weather({"event": [ROOMY]})
        cleared = time.time()
        rig.wait(single, _DRAWN_S)
        single_s = time.time() - cleared
        rig.wait(job, _DRAWN_S)
        finished = time.time()
        rig.until(lambda: rig.simulator.books()["in_flight"] == 0, 30, "the simulator's calls over")
        rig.stop_workers()
        arrivals = Arrivals.of(rig)
        balance = audit.balance(rig, rig.simulator.calls())
        violations = [*audit.decisions(rig, job, count), *audit.decisions(rig, single, 1), *audit.paid_twice(rig)]
        violations += [*balance.violations, *audit.replayed(rig, job), *arrivals.over_budget()]
        statuses = Counter(dict(rig.query("SELECT status, count(*) FROM decisions GROUP BY 1")))
    if undecided or statuses["decided"] != count + 1:
        violations.append(f"not all are decided: {dict(statuses)} ({undecided} undecided by the end of the outage)")
    violations += [sentence for what, one in told.items() for sentence in one.violations(what, len(providers))]
    half = struck + seconds / 2
    first_half, second_half = arrivals.between(struck, half), arrivals.between(half, cleared)
    probes = len(providers) * (1 + int(seconds / 2 / _BREAKER_S))
    if second_half["first"] + second_half["retries"] > probes:
        violations.append(f"{second_half} in the second half of the outage: more than {probes} probes")
    step_s = _MINUTE_S if seconds > _MINUTE_S else seconds / _TURNS
    return {
        "seconds": seconds,
        "items": count + 1,
        "decided_before": before,
        "waited": waiting,
        "calls_every_s": step_s,
        "calls": _series(arrivals, struck, cleared, step_s),
        "first_half": first_half,
        "second_half": second_half,
        "waiting": {what: one.waiting for what, one in told.items()},
        "words": list(told["job"].words),
        "single_decided_after_s": round(single_s, 1),
        "finished_after_s": round(finished - cleared, 1),
        "decisions": dict(statuses),
        "ambiguous": balance.ambiguous,
        "violations": violations,
        "ok": not violations,
    }


def _spent(rig: Rig, job: str) -> bool:
    """Is everybody known to be in trouble: by the monitor, or by an open breaker?"""
    waiting: Any = json.loads(status(rig, job, "--json"))["waiting"]
    return waiting is not None


def _series(arrivals: Arrivals, begin: float, end: float, step_s: float) -> list[dict[str, int]]:
    steps = max(1, round((end - begin) / step_s))
    return [arrivals.between(begin + n * step_s, begin + (n + 1) * step_s) for n in range(steps)]


def table(result: dict[str, Any]) -> str:
    lines = [
        f"items         {result['items']}, {result['decided_before']} decided before, {result['waited']} waited",
        f"outage        {result['seconds']:.0f} s; calls every {result['calls_every_s']:.0f} s of it:",
        f"  {'first':>6} {'retries':>8} {'pings':>6}",
        *(f"  {step['first']:>6} {step['retries']:>8} {step['pings']:>6}" for step in result["calls"]),
        f"status said   {result['waiting']['job']}",
        *(f"              {line}" for line in result["words"]),
        f"afterwards    the single item decided after {result['single_decided_after_s']} s, "
        f"everything after {result['finished_after_s']} s",
        f"decisions     {result['decisions']}, ambiguous calls {result['ambiguous']}",
        *(f"VIOLATION {violation}" for violation in result["violations"][:20]),
        "budget kept, nothing lost" if result["ok"] else "NOT as promised",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.outage", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--health-every", type=float, help="seconds between looks; the yard's own if left out")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    env = {} if args.health_every is None else {"SWITCHYARD_HEALTH_EVERY_S": str(args.health_every)}
    result = run(args.seconds, args.items, workers=args.workers, env=env)
    sys.stdout.write((json.dumps(result) if args.json else table(result)) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
