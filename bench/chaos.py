"""Is anything lost, or paid twice? ``python -m bench.chaos --items 10000 --kills 50 --flushes 2 --postgres-restarts 1``

A majority-vote job over eight simulated providers. While it runs, a process of the yard is killed with SIGKILL again
and again (workers, control, ledger and beat alike) and started anew a moment later, as a service manager on another
machine would: nobody tells the ledger whose leases are void. Redis is flushed, Postgres crashes and comes back. Each
blow falls at a point of the job's progress drawn from the seed. Then the job is left to end and the ledger is audited
(``bench.audit``).

Counted: a kill's *calls in flight* are the attempts that stood open in the ledger for asks of the killed process once
it was gone; ambiguous calls may be as many at most. A kill's *recovery* is, for every ask the killed process had
taken, the time until another process has taken it or it is done; and *stalls* are waits between a chunk's last vote
and what settles it, which a killed control process causes.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench import audit
from bench.harness import Provider, Rig, items, provider

PROVIDERS = 8
RECOVERY_S = 90.0
_DRAINED_S = 30.0
_LOOK_S = 0.25
_PATIENCE_S = 900.0

_HELD = "SELECT id FROM asks WHERE state = 'running' AND worker LIKE %s"
_IN_FLIGHT = """
SELECT count(*) FROM attempts a JOIN asks k ON k.chunk_id = a.chunk_id AND k.seat = a.seat AND a.item_id = ANY(k.item_ids)
WHERE a.state = 'open' AND k.state = 'running' AND k.worker LIKE %s
"""  # noqa: E501
_GONE_ON = "SELECT id FROM asks WHERE id = ANY(%s) AND (state = 'done' OR (state = 'running' AND worker NOT LIKE %s))"

# From the last thing heard of a chunk's wave to the next wave, or to the decision.
_STALLS = """
SELECT coalesce(max(s), 0), coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY s), 0) FROM (
    SELECT extract(epoch FROM min(n.created_at) - max(o.done_at)) AS s FROM asks o
    JOIN asks n ON n.chunk_id = o.chunk_id AND n.wave = o.wave + 1 GROUP BY o.chunk_id, o.wave
    UNION ALL
    SELECT extract(epoch FROM c.done_at - max(o.done_at)) FROM asks o JOIN chunks c ON c.id = o.chunk_id
    WHERE c.done_at IS NOT NULL GROUP BY c.id, c.done_at
) AS waits
"""


@dataclass(slots=True)
class Kill:
    """``orphans``: asks of the killed process that nobody has taken since. ``recovery_s``: of the others."""

    name: str
    pid: int
    at: float
    in_flight: int
    held: int
    orphans: set[int]
    recovery_s: list[float] = field(default_factory=list)

    @property
    def marker(self) -> str:
        """Whose name in a lease begins ``host:pid:``."""
        return f"%:{self.pid}:%"


class Chaos:
    def __init__(self, rig: Rig, job: str, count: int, rng: random.Random) -> None:
        self.rig, self.job, self.count, self.rng = rig, job, count, rng
        self.kills: list[Kill] = []
        self.done: list[str] = []

    def run(self, kills: int, flushes: int, restarts: int) -> None:
        """Deal the blows as the job goes on, then wait for its end. Raises ``TimeoutError``."""
        blows = ["kill"] * kills + ["flush"] * flushes + ["postgres"] * restarts
        self.rng.shuffle(blows)
        moments = sorted(self.rng.uniform(0.02, 0.95) * self.count for _ in blows)
        until = time.monotonic() + _PATIENCE_S
        while blows or not self._finished():
            decided = self.rig.decided(self.job)
            self._watch()
            if blows and decided >= moments[0]:
                moments.pop(0)
                self._strike(blows.pop())
            elif time.monotonic() > until:
                raise TimeoutError(f"{decided} of {self.count} decided after {_PATIENCE_S:.0f} s\n{self.rig.logs()}")
            else:
                time.sleep(_LOOK_S)
        self._watch()

    def _finished(self) -> bool:
        return bool(self.rig.one("SELECT state = 'done' FROM jobs WHERE id = %s", (self.job,)))

    def _strike(self, blow: str) -> None:
        self.done.append(blow)
        if blow == "flush":
            # Emptied while it keeps answers for a Postgres that is away it would be two crashes at once.
            self.rig.until(lambda: not self.rig.redis.llen("ledger:spill"), _DRAINED_S, "spilled answers are written")
            self.rig.redis.flushall()
        elif blow == "postgres":
            self.rig.servers.restart_postgres()
        else:
            self._kill(self.rng.choice(sorted(self.rig.children)))
        whom = self.kills[-1].name if blow == "kill" else ""
        sys.stderr.write(f"{time.strftime('%X')} {blow} {whom} ({self.rig.decided(self.job)} decided)\n")

    def _kill(self, name: str) -> None:
        child = self.rig.kill(name)
        marker = f"%:{child.pid}:%"
        in_flight = self.rig.one(_IN_FLIGHT, (marker,))
        held = {row[0] for row in self.rig.query(_HELD, (marker,))}
        self.kills.append(Kill(name, child.pid, time.monotonic(), in_flight, len(held), held))
        self.rig.restart(name)

    def _watch(self) -> None:
        """Whose asks have been taken since?"""
        for kill in self.kills:
            if kill.orphans:
                rows = self.rig.query(_GONE_ON, (list(kill.orphans), kill.marker))
                now = time.monotonic()
                for (ask,) in rows:
                    kill.orphans.discard(ask)
                    kill.recovery_s.append(now - kill.at)


def fleet(concurrency: int) -> list[Provider]:
    return [provider(f"c{n}", concurrency=concurrency, quality=0.4 + n / 20) for n in range(1, PROVIDERS + 1)]


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def run(
    count: int, kills: int, flushes: int, restarts: int, *, seed: int, workers: int = 4, concurrency: int = 4,
    latency_ms: float = 300.0, env: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    rows = items(count)
    started = time.monotonic()
    with Rig(fleet(concurrency), gold=rows, workers=workers, latency_ms=latency_ms, seed=seed, env=env) as rig:
        job = rig.submit(rows, strategy="majority-vote")
        chaos = Chaos(rig, job, count, random.Random(seed))
        chaos.run(kills, flushes, restarts)
        took_s = time.monotonic() - started
        rig.until(lambda: rig.simulator.books()["in_flight"] == 0, 30, "the simulator's calls over")
        rig.stop_workers()
        balance = audit.balance(rig, rig.simulator.calls())
        violations = audit.decisions(rig, job, count) + audit.paid_twice(rig) + list(balance.violations)
        violations += audit.replayed(rig, job)
        stall_max, stall_p99 = rig.query(_STALLS)[0]
        statuses = {row[0]: row[1] for row in rig.query("SELECT status, count(*) FROM decisions GROUP BY 1")}
    in_flight = sum(kill.in_flight for kill in chaos.kills)
    recovery = [seconds for kill in chaos.kills for seconds in kill.recovery_s]
    lost = sum(len(kill.orphans) for kill in chaos.kills)
    if balance.ambiguous > in_flight:
        violations.append(f"{balance.ambiguous} ambiguous calls, but {in_flight} in flight at the kills")
    if percentile(recovery, 0.99) > RECOVERY_S:
        violations.append(f"recovery p99 {percentile(recovery, 0.99):.0f} s is over {RECOVERY_S:.0f} s")
    if lost:
        violations.append(f"{lost} asks of killed processes were never taken again")
    return {
        "items": count,
        "seed": seed,
        "blows": {blow: chaos.done.count(blow) for blow in ("kill", "flush", "postgres")},
        "took_s": round(took_s, 1),
        "decisions": statuses,
        "balance": {key: value for key, value in asdict(balance).items() if key != "violations"},
        "in_flight_at_kills": in_flight,
        "asks_held_at_kills": sum(kill.held for kill in chaos.kills),
        "recovery_s": {
            "p50": round(percentile(recovery, 0.5), 1),
            "p99": round(percentile(recovery, 0.99), 1),
            "max": round(max(recovery, default=0.0), 1),
        },
        "stall_s": {"p99": round(float(stall_p99), 1), "max": round(float(stall_max), 1)},
        "violations": violations,
        "ok": not violations,
    }


def table(result: dict[str, Any]) -> str:
    balance, recovery, stall = result["balance"], result["recovery_s"], result["stall_s"]
    lines = [
        f"items                  {result['items']}  (seed {result['seed']}, {result['took_s']} s)",
        f"blows                  {result['blows']}",
        f"decisions              {result['decisions']}",
        f"calls, attempts        {balance['calls']}, {balance['attempts']}",
        f"tokens books, ledger   {balance['book_tokens']}, {balance['ledger_tokens']}",
        f"micro-USD books, ledger {balance['book_micro']}, {balance['ledger_micro']}",
        f"ambiguous              {balance['ambiguous']} ({balance['possibly_paid']} of them answered and billed), "
        f"in flight at the kills {result['in_flight_at_kills']}",
        f"recovery               p50 {recovery['p50']} s, p99 {recovery['p99']} s, max {recovery['max']} s, "
        f"of {result['asks_held_at_kills']} asks",
        f"stalls before a settle p99 {stall['p99']} s, max {stall['max']} s",
        *(f"VIOLATION {violation}" for violation in result["violations"][:20]),
        "nothing lost, nothing twice, books and ledger agree" if result["ok"] else "NOT as promised",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--flushes", type=int, default=2)
    parser.add_argument("--postgres-restarts", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(
        args.items, args.kills, args.flushes, args.postgres_restarts, seed=args.seed, workers=args.workers
    )  # fmt: skip
    sys.stdout.write((json.dumps(result) if args.json else table(result)) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
