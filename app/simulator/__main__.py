"""``python -m app.simulator --fleet FILE [--weather FILE] [--port P] [--seed S] [--latency-ms L] [--with-parent]``."""

import argparse
import ctypes
import signal
import sys
from pathlib import Path

from app.simulator.server import LATENCY_MS, run

_PR_SET_PDEATHSIG = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m app.simulator", description="A simulated fleet on loopback.")
    parser.add_argument("--fleet", type=Path, required=True)
    parser.add_argument("--weather", type=Path)
    parser.add_argument("--port", type=int, default=0, help="0: any free port; printed as 'ready PORT'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=LATENCY_MS)
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started this one ends")
    given = parser.parse_args()
    if given.with_parent and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        run(given.fleet, given.weather, given.port, seed=given.seed, latency_ms=given.latency_ms)
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
