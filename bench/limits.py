"""Are limits kept, and used? ``python -m bench.limits --minutes 5 --workers 4 --strategy single-query``

Twelve providers with different limits, a job that outlasts the run. The simulator judges. How it is counted:

- The span begins with the first call in the simulator's books (pings among them) and lasts ``--minutes``; calls that
  arrived later do not count. A call counts for the provider when it was let in (answered or failed, not refused).
- Allowed is ``rpm * minutes``, or ``tpm * minutes / tokens a call`` (the mean of that provider's own calls) where
  that is less. No rolling window could let more through: the span is cut into ``minutes`` windows of 60 s, each of
  which holds at most one full limit, the burst of the first among them. (By tokens it can be less by part of a call
  each window, as a call is let in whole or not at all.)
- A majority vote is bound by more: an item's voices are of distinct providers, so a provider can give each item one.
  With ``k`` calls an item (measured, over the items decided) at most ``T`` items can be answered with
  ``sum(min(allowed, T)) >= k * T``; the bound is the ``k * T`` calls of the largest such ``T``, found by bisection.

Ends with 1 on any refusal or token overrun, or where less than 97 % of what can be used is; with ``--kill-redis``
(killed and started empty in the middle) only on refusals and overruns, as the first windows afterwards open late.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.harness import Provider, Rig, items, provider

WANTED_USE = 0.97
_TOKENS_A_CALL = 102.0
_RPM = (30, 60, 90, 120, 180, 240, 300, 360, 450, 600, 800, 1000)
_TOKENS_BIND = frozenset({60, 180, 360, 600})
_BIND_AT = 0.7
"""Where tokens bind, they allow about this share of the requests."""


@dataclass(frozen=True, slots=True)
class Use:
    provider: str
    rpm: int
    tpm: int
    tokens_a_call: float
    allowed: float
    made: int
    refused: int
    overruns: int

    @property
    def share(self) -> float:
        return self.made / self.allowed


def fleet(keys: int = 1) -> list[Provider]:
    """One family each. Where tokens do not bind, the token limit is twice what the requests take.

    With more than one of ``keys`` each provider has so many, and allows each of them the whole of its limits.
    """
    rows = [
        provider(f"p{rpm:04d}", rpm=rpm, tpm=int(rpm * _TOKENS_A_CALL * (_BIND_AT if rpm in _TOKENS_BIND else 2.0)))
        for rpm in _RPM
    ]
    return rows if keys == 1 else [row | {"api_key_env": list(_keys(keys)), "limits_per": "key"} for row in rows]


def _keys(count: int) -> dict[str, str]:
    """Environment variable → key."""
    return {f"BENCH_KEY_{n}": f"key-number-{n}-of-the-bench" for n in range(1, count + 1)}


def bound(allowed: Sequence[float], calls_an_item: float) -> float:
    """The most calls that items of ``calls_an_item`` distinct providers each can make of what is allowed."""
    low, high = 0.0, sum(allowed) / calls_an_item
    for _ in range(100):
        middle = (low + high) / 2
        if sum(min(cap, middle) for cap in allowed) >= calls_an_item * middle:
            low = middle
        else:
            high = middle
    return low * calls_an_item


def measure(rows: Sequence[dict[str, Any]], books: dict[str, Any], minutes: int, keys: int = 1) -> list[Use]:
    """What was made of each provider's limits, of all its ``keys``, in the span. ``rows``: the simulator's calls."""
    first = min(row["arrived_at"] for row in rows)
    made: Counter[str] = Counter()
    tokens: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["arrived_at"] < first + minutes * 60 and row["status"] != 429:
            made[row["provider"]] += 1
            tokens[row["provider"]] += row["prompt_tokens"] + row["completion_tokens"]
    uses = []
    for row in fleet():
        name = row["name"]
        mean = tokens[name] / made[name] if made[name] else _TOKENS_A_CALL
        report = books["providers"][name]
        uses.append(
            Use(
                name,
                row["rpm"],
                row["tpm"],
                round(mean, 2),
                round(keys * minutes * min(row["rpm"], row["tpm"] / mean), 1),
                made[name],
                report["refused"],
                report["violations"]["tpm_overruns"],
            )
        )
    return uses


def run(minutes: int, workers: int, strategy: str, kill_redis: bool, keys: int = 1) -> dict[str, Any]:
    providers = fleet(keys)
    rows = items(int(sum(row["rpm"] for row in providers) * keys * (minutes + 1)))
    with Rig(providers, gold=rows, workers=workers, latency_ms=300.0, env=_keys(keys)) as rig:
        rig.submit(rows, strategy=strategy)
        first = min(row["arrived_at"] for row in rig.simulator.calls())
        if kill_redis:
            _sleep_until(first + minutes * 30)
            _say("redis is killed and started empty")
            rig.servers.restart_redis(empty=True)
        _sleep_until(first + minutes * 60 + 1)
        calls_an_item = float(rig.one("SELECT coalesce(avg(calls), 1) FROM decisions WHERE status = 'decided'"))
        books, calls = rig.simulator.books(), rig.simulator.calls()
        ambiguous = rig.one("SELECT count(*) FROM attempts WHERE state = 'ambiguous'")
    uses = measure(calls, books, minutes, keys)
    allowed = sum(use.allowed for use in uses)
    usable = allowed if strategy == "single-query" else bound([use.allowed for use in uses], calls_an_item)
    made = sum(use.made for use in uses)
    refused, overruns = books["totals"]["refused"], sum(use.overruns for use in uses)
    kept = refused == 0 and overruns == 0
    return {
        "strategy": strategy,
        "minutes": minutes,
        "workers": workers,
        "keys": keys,
        "kill_redis": kill_redis,
        "providers": [asdict(use) | {"use": round(use.share, 4)} for use in uses],
        "made": made,
        "allowed": round(allowed, 1),
        "use_of_allowed": round(made / allowed, 4),
        "calls_an_item": round(calls_an_item, 4),
        "bound": round(usable, 1),
        "use_of_bound": round(made / usable, 4),
        "refused": refused,
        "overruns": overruns,
        "failed": books["totals"]["failed"],
        "ambiguous": ambiguous,
        "ok": kept and (kill_redis or made / usable >= WANTED_USE),
    }


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def table(result: dict[str, Any]) -> str:
    lines = [
        f"{'provider':9} {'rpm':>5} {'tpm':>7} {'tok/call':>8} {'allowed':>8} {'made':>6} {'use':>7} {'429':>4} over"
    ]
    for row in result["providers"]:
        lines.append(
            f"{row['provider']:9} {row['rpm']:>5} {row['tpm']:>7} {row['tokens_a_call']:>8.1f} {row['allowed']:>8.0f} "
            f"{row['made']:>6} {row['use']:>7.1%} {row['refused']:>4} {row['overruns']:>4}"
        )
    lines += [
        f"made {result['made']} of {result['allowed']:.0f} allowed: {result['use_of_allowed']:.1%}",
        f"{result['calls_an_item']:.3f} calls an item; of the {result['bound']:.0f} calls that {result['strategy']} "
        f"can make of them: {result['use_of_bound']:.1%}",
        f"refused {result['refused']}, token overruns {result['overruns']}, failed {result['failed']}, "
        f"ambiguous {result['ambiguous']}",
        "limits kept and used" if result["ok"] else "NOT as promised",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--strategy", choices=("single-query", "majority-vote"), default="single-query")
    parser.add_argument("--keys", type=int, default=1, help="of each provider, each with the whole of its limits")
    parser.add_argument("--kill-redis", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(args.minutes, args.workers, args.strategy, args.kill_redis, args.keys)
    sys.stdout.write((json.dumps(result) if args.json else table(result)) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
