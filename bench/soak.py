"""Does memory grow with a job? ``python -m bench.soak --items 100000``

A single-query job through the whole yard, against fast providers without limits. While it runs, the resident memory
of every process and Redis's ``used_memory`` are sampled. The first fifth of the job is warm-up: pools fill, code is
loaded. After that the highest sample of the last fifth may lie above the highest of the second by a tenth, or 8 MB.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import psutil

from bench.harness import Rig, items, provider

_EVERY_S = 2.0
_PATIENCE_S = 1_800.0
_MB = 1_000_000
_MAY_GROW = 1.10
_MAY_GROW_MB = 8.0


@dataclass(frozen=True, slots=True)
class Sample:
    """``mb``: resident megabytes by process, and Redis's own count under ``redis``."""

    seconds: float
    decided: int
    mb: dict[str, float]


def sample(rig: Rig, job: str, since: float) -> Sample:
    mb = {name: psutil.Process(child.pid).memory_info().rss / _MB for name, child in rig.children.items()}
    info: Any = rig.redis.info("memory")
    mb["redis"] = info["used_memory"] / _MB
    return Sample(time.monotonic() - since, rig.decided(job), {name: round(value, 1) for name, value in mb.items()})


def growth(samples: list[Sample], count: int) -> dict[str, tuple[float, float]]:
    """By process: the highest sample of the second and of the last fifth of the job, MB."""
    early = [s for s in samples if 0.2 * count <= s.decided < 0.4 * count]
    late = [s for s in samples if s.decided >= 0.8 * count]
    if not early or not late:
        raise ValueError("the job was over too soon to say: take more items")
    return {name: (max(s.mb[name] for s in early), max(s.mb[name] for s in late)) for name in samples[0].mb}


def run(count: int, workers: int) -> dict[str, Any]:
    rows = items(count)
    providers = [provider(f"s{n}") for n in range(1, 7)]
    # Answers are one text for all: the simulator's own memory of 100,000 items is not what is looked at.
    weather = '[answers]\nkind = "fixed"\ntext = "billing"\n'
    with Rig(providers, weather=weather, workers=workers, latency_ms=20.0) as rig:
        since = time.monotonic()
        job = rig.submit(rows)
        samples = [sample(rig, job, since)]
        while samples[-1].decided < count:
            if samples[-1].seconds > _PATIENCE_S:
                raise TimeoutError(f"{samples[-1].decided} of {count} decided\n{rig.logs()}")
            time.sleep(_EVERY_S)
            samples.append(sample(rig, job, since))
            sys.stderr.write(f"{samples[-1].seconds:7.1f} s {samples[-1].decided:>8} {samples[-1].mb}\n")
        keys = int(rig.redis.dbsize())
    grown = growth(samples, count)
    bad = sorted(n for n, (early, late) in grown.items() if late > max(early * _MAY_GROW, early + _MAY_GROW_MB))
    return {
        "items": count,
        "took_s": round(samples[-1].seconds, 1),
        "items_a_second": round(count / samples[-1].seconds, 1),
        "redis_keys_left": keys,
        "mb": {name: {"second_fifth": early, "last_fifth": late} for name, (early, late) in grown.items()},
        "curve": [{"s": round(s.seconds, 1), "decided": s.decided, **s.mb} for s in samples],
        "grew": bad,
        "ok": not bad,
    }


def table(result: dict[str, Any]) -> str:
    curve = result["curve"]
    names = list(result["mb"])
    shown = [curve[round(i * (len(curve) - 1) / 10)] for i in range(11)]
    lines = [
        f"{result['items']} items in {result['took_s']} s ({result['items_a_second']}/s), "
        f"{result['redis_keys_left']} keys left in Redis",
        " ".join([f"{'s':>7} {'decided':>8}", *(f"{name:>9}" for name in names)]),
        *(" ".join([f"{p['s']:>7} {p['decided']:>8}", *(f"{p[name]:>9}" for name in names)]) for p in shown),
        "memory is flat" if result["ok"] else f"memory GREW: {', '.join(result['grew'])}",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(args.items, args.workers)
    sys.stdout.write((json.dumps(result) if args.json else table(result)) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
