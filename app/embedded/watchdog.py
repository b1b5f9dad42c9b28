"""The watchdog: ``python -m app.embedded.watchdog HOME OWNER_PID OWNER_STARTED``.

Sleeps until the owner is gone, whatever took it, then ends the servers it left running; also where the home with its
record was removed under them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from app.embedded import state

_LOOK_EVERY_S = 0.25


def watch(home: Path, owner: state.Process) -> None:
    """Return when the owner is gone and so are its servers."""
    known: state.State | None = None
    # Asked again and again: an owner that is dead but not reaped never "ends" for whoever waits for its pid.
    while owner.alive() is not None:
        known = _record(home, owner) or known
        time.sleep(_LOOK_EVERY_S)
    try:
        with state.locked(home):
            found = _record(home, owner)
            if found is not None:
                state.end_all(home, found)
                return
    except FileNotFoundError:
        pass
    if known is not None:
        for name, server in known.servers.items():
            state.end(name, server)


def _record(home: Path, owner: state.Process) -> state.State | None:
    found = state.read(home)
    return found if found is not None and found.owner == owner else None


if __name__ == "__main__":
    watch(Path(sys.argv[1]), state.Process(int(sys.argv[2]), float(sys.argv[3])))
