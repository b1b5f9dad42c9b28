"""A day of weather in minutes. ``python -m bench.weather --minutes 5`` (``make weather``)

Twelve providers of all seven protocols, real workers and beat, a majority-vote job and a single-query job that run
through the whole day, and a script (``bench.sky``) in which every kind of failure comes at a known hour. Afterwards the
ledger is held against the script and against the simulator's books (``bench.daybook``): what is printed was seen, and
each sentence that did not hold is a violation and makes the exit code 1.

One hour of the day is as many seconds as ``--minutes`` make it. What is measured in minutes by the product's own
rules does not shrink with it: the breaker stays open for 30 s, a limit a minute is one a minute. Spells that need a
minute are left out of a day shorter than three.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from bench import audit, daybook, sky
from bench.harness import Rig, items

_LATENCY_MS = 400.0
_CALLS_PER_S = 7.0
"""What a provider answers, about: its concurrency over the latency, less what is lost to weather."""
_VOTED_PER_S, _SINGLE_PER_S = 22.0, 10.0
"""Items of the two jobs for each second of the day: somewhat less than the fleet can do; it is topped up from there."""
_LEAST_AHEAD_S = 6.0
_MOST_PER_S = 120.0
_SHORT_S = 180.0
_LOOK_S = 0.25
_COLD = '[[event]]\nprovider = "ollama"\nkind = "cold_start"\nidle_s = 300\nload_s = 3\n'
_AFTER_S = 180.0


@dataclass(slots=True)
class Day:
    """``hour_s``: seconds of one of its 24 hours."""

    rig: Rig
    hour_s: float
    spells: list[sky.Spell]
    pool: Any
    jobs: dict[str, int] = field(default_factory=dict)
    began: float = 0.0
    """Seconds since 1970, as ``ended``."""
    ended: float = 0.0

    @property
    def hour(self) -> float:
        return (time.time() - self.began) / self.hour_s

    def submit(self, count: int, strategy: str) -> str:
        rows = [row for row, _ in zip(self.pool, range(count), strict=False)]
        job = self.rig.submit(rows, strategy=strategy)
        self.jobs[job] = len(rows)
        return job

    def play(self) -> None:
        """The day from its first hour to its last, with work for everybody all the time."""
        day_s = sky.DAY_H * self.hour_s
        self.rig.simulator.weather(sky.events(self.spells, self.hour_s))
        self.began = time.time()
        self.submit(int(_VOTED_PER_S * day_s), "majority-vote")
        self.submit(int(_SINGLE_PER_S * day_s), "single-query")
        raised = False
        while self.hour < sky.DAY_H:
            if self._waiting() < _LEAST_AHEAD_S * _VOTED_PER_S:
                self.submit(int(_LEAST_AHEAD_S * _VOTED_PER_S), "majority-vote")
            if not raised and self.hour > sky.RAISED_H and self._fired(*sky.QUOTA):
                self._raise_quota()
                raised = True
            time.sleep(_LOOK_S)
        self.ended = time.time()
        if not raised:
            self._raise_quota()

    def _waiting(self) -> int:
        return int(self.rig.one("SELECT count(*) FROM items WHERE state = 'ready'"))

    def _fired(self, name: str, subject: str) -> bool:
        return bool(
            self.rig.one("SELECT count(*) FROM alerts WHERE name = %s AND subject = %s AND firing", (name, subject))
        )

    def _raise_quota(self) -> None:
        rows = [{**row, "rpd": sky.RAISED_RPD} if "rpd" in row else row for row in self.rig.providers]
        self.rig.write_fleet(rows)

    def finish(self) -> None:
        """Until every job is done and no alert stands."""
        for job in self.jobs:
            self.rig.wait(job, _AFTER_S)
        self.rig.until(
            lambda: not self.rig.one("SELECT count(*) FROM alerts WHERE firing"), _AFTER_S, "all alerts recovered"
        )
        self.rig.until(
            lambda: not self.rig.one("SELECT count(*) FROM alert_notices WHERE sent_at IS NULL"), 20, "notices sent"
        )
        self.rig.until(lambda: self.rig.simulator.books()["in_flight"] == 0, 30, "the simulator's calls over")


def environment(hour_s: float, *, short: bool) -> dict[str, str]:
    """Looks as often as the day is short. In a short one percentiles have to do with fewer calls, and ten answers may
    be mostly wrong by chance."""
    told: dict[str, float] = {
        "HEALTH_EVERY_S": max(1.0, hour_s / 3),
        "ALERTS_EVERY_S": max(1.0, hour_s / 6),
        "ALERT_WINDOW_S": max(8.0, 3 * hour_s),
        "HORIZON_S": 3,
        "SWEEP_EVERY_S": 2,
        "DISPATCH_EVERY_S": 1,
    }
    if short:
        told |= {"ALERT_P95_LATENCY_S": 2.0, "ALERT_LEAST_SAMPLES": 10, "ALERT_QUALITY": 0.3}
    return {**{f"SWITCHYARD_{key}": f"{value:g}" for key, value in told.items()}, **sky.KEYS}


def run(minutes: float, *, workers: int = 2, seed: int = 1) -> dict[str, Any]:
    """Play a day and audit it. Raises ``TimeoutError`` where it does not come to its end."""
    day_s = 60 * minutes
    hour_s, short = day_s / sky.DAY_H, day_s < _SHORT_S
    spells = sky.script(hour_s, slow_ms=3000.0 if short else 7000.0, withheld=0.33 if short else 0.22)
    if short:
        spells = [spell for spell in spells if not spell.minutes]
    rows = items(int(_MOST_PER_S * day_s) + 500)
    fleet = sky.fleet(int(_CALLS_PER_S * day_s))
    env = environment(hour_s, short=short)
    began = time.monotonic()
    with Rig(
        fleet, gold=rows, error_rate={"default": 0.1}, weather=_COLD, workers=workers, latency_ms=_LATENCY_MS,
        seed=seed, env=env,
    ) as rig:  # fmt: skip
        day = Day(rig, hour_s, spells, iter(rows))
        day.play()
        day.finish()
        rig.stop_workers()
        took_s = time.monotonic() - began
        calls = rig.simulator.calls()
        book = daybook.read(rig, calls, spells, began=day.began, hour_s=hour_s, jobs=day.jobs)
        report = daybook.report(book)
        balance = audit.balance(rig, calls)
        violations = [*daybook.violations(book), *balance.violations, *audit.paid_twice(rig)]
        for job, count in day.jobs.items():
            violations += audit.decisions(rig, job, count) + audit.replayed(rig, job)
        logs = rig.whole_logs()
    violations += [f"the key {name} stands in a log" for name, key in sky.KEYS.items() if key in logs]
    violations += daybook.told(book, logs)
    return {
        "minutes": minutes, "took_s": round(took_s, 1), "jobs": len(day.jobs), "items": sum(day.jobs.values()),
        "calls": balance.calls, "tokens": (balance.book_tokens, balance.ledger_tokens),
        "micro": (balance.book_micro, balance.ledger_micro), "illegible": balance.illegible, **report,
        "violations": violations, "ok": not violations,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """What was seen, for people."""
    lines = [
        f"a day in {result['minutes']:g} min (whole run {result['took_s']} s): {result['items']} items in"
        f" {result['jobs']} jobs, {result['calls']} calls",
        f"decisions              {result['decisions']}",
        f"tokens books, ledger   {result['tokens'][0]}, {result['tokens'][1]}",
        f"micro-USD books, ledger {result['micro'][0]}, {result['micro'][1]};"
        f" {result['illegible']} billed answers arrived in pieces",
        "",
        f"{'provider':<12} {'weather':<16} {'hours':<8} {'struck':>6} {'pings':>5} {'load':>5} {'probes':>6}"
        f" {'back after':>10}  heard as",
    ]
    for row in result["spells"]:
        lines.append(
            f"{row['provider']:<12} {row['kind']:<16} {row['hours']:<8} {row['struck']:>6} {row['pings']:>5}"
            f" {row['load'] if row['load'] is not None else '':>5}"
            f" {row['probes'] if row['probes'] is not None else '':>6}"
            f" {'' if row['back_s'] is None else format(row['back_s'], '.1f') + ' s':>10}  {row['heard']}"
        )
    fallback, retries = result["fallback"], result["retries"]
    lines += [
        "",
        f"fell back              {fallback['seen']} of {fallback['items']} items, {fallback['rate']:.2%}; by the script"
        f" {fallback['low']:.2%} to {fallback['high']:.2%}",
        f"                       {fallback['struck']} items by a call that was struck, {fallback['refused']} more by a"
        " door of ours that it had shut",
        f"                       {fallback['starved']} items waited in vain for the retry budget",
        f"calls to who was out   {result['to_out']} (on their way when the door was shut)",
        f"retries                {retries['calls']} in all; in the fullest minute {retries['used']} of"
        f" {retries['allowed']}",
        "",
        *(
            f"alert {row['alert']:<46} fired {row['fired']}, recovered {row['recovered']}  {row['hours']}"
            for row in result["alerts"]
        ),
        "",
        *(f"VIOLATION {violation}" for violation in result["violations"][:40]),
        "as scripted" if result["ok"] else "NOT as scripted",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.weather", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="how long the day takes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(args.minutes, workers=args.workers, seed=args.seed)
    sys.stdout.write((json.dumps(result) if args.json else table(result)) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
