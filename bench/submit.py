"""How long does a large file take to submit, and how much memory? ``python -m bench.submit --items 100000``

``switchyard submit FILE.csv`` as a subprocess, with Postgres and Redis running, for 1,000 lines and for many. Time is
from start to exit, the interpreter's included; memory is the highest resident size that the kernel saw (``ru_maxrss``
of that child). To reach: under 3 s, under 60 MB more than for 1,000 lines.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.embedded import Embedded
from app.ledger import migrate
from bench.harness import LABELS, ROOT, fleet_toml, items, provider

_MOST_S = 3.0
_MOST_MB = 60.0
_FEW = 1_000


def submit(path: Path, environment: dict[str, str]) -> tuple[float, float, str]:
    """(seconds, peak MB, job id). Raises ``RuntimeError`` with what the command said."""
    command = [sys.executable, "-m", "app.cli", "submit", str(path), "--task", "classify", "--labels", ",".join(LABELS)]
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        took_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (out, err):
            stream.seek(0)
        if process.returncode:
            raise RuntimeError(f"submit ended {process.returncode}: {err.read().decode(errors='replace')}")
        return took_s, usage.ru_maxrss * 1024 / 1_000_000, out.read().decode().strip()


def run(count: int) -> dict[str, Any]:
    home = Path(tempfile.mkdtemp(prefix="switchyard-submit-"))
    home.chmod(0o711)
    fleet = home / "fleet.toml"
    fleet.write_text(fleet_toml([provider(name) for name in "abc"], 9))
    measured: dict[int, dict[str, Any]] = {}
    with Embedded(home) as servers:
        urls = servers.start()
        assert urls.database_url is not None
        migrate.upgrade(urls.database_url)
        environment = {
            **os.environ,
            "SWITCHYARD_DATABASE_URL": urls.database_url,
            "SWITCHYARD_REDIS_URL": urls.redis_url or "",
            "SWITCHYARD_FLEET": str(fleet),
            "SWITCHYARD_HOME": str(home),
        }
        for lines in (_FEW, count):
            path = home / f"{lines}.csv"
            with path.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("custom_id", "text", "gold"))
                writer.writerows((row.custom_id, row.text, row.gold) for row in items(lines))
            took_s, mb, job = submit(path, environment)
            measured[lines] = {"seconds": round(took_s, 2), "peak_mb": round(mb, 1), "said": job}
    more_mb = round(measured[count]["peak_mb"] - measured[_FEW]["peak_mb"], 1)
    return {
        "lines": measured,
        "more_mb": more_mb,
        "ok": measured[count]["seconds"] < _MOST_S and more_mb < _MOST_MB,
    }


def table(result: dict[str, Any]) -> str:
    lines = [f"{'lines':>8} {'seconds':>8} {'peak MB':>8}"]
    lines += [f"{n:>8} {m['seconds']:>8} {m['peak_mb']:>8}" for n, m in result["lines"].items()]
    lines.append(f"{result['more_mb']} MB more (under {_MOST_MB:.0f}), in under {_MOST_S:.0f} s: {result['ok']}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.submit", description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = run(args.items)
    sys.stdout.write((json.dumps(result) if args.json else table(result)) + "\n")
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
