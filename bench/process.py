"""One process of a yard, as ``python -m bench.process control | ledger | beat | a,b,c``; told by the environment.

What ``switchyard worker`` and ``switchyard beat`` run, but that stdout says ``ready`` and closes once messages are
taken.
"""

from __future__ import annotations

import os
import sys

from app import logs
from app.registry.fleet import FleetFile
from app.settings import load_settings
from tasks import worker


def _ready(_node: str) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    os.dup2(2, 1)


def main(role: str) -> int:
    settings = load_settings()
    logs.configure()
    match role:
        case "control":
            return worker.serve_control(settings, _ready)
        case "ledger":
            return worker.serve_ledger(settings, _ready)
        case "beat":
            _ready("")
            worker.beat(settings)
            return 0
    assert settings.fleet is not None
    return worker.serve_providers(settings, FleetFile(settings.fleet).current(), role.split(","), _ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
