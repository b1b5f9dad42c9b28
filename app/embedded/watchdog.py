"""The watchdog: ``python -m app.embedded.watchdog HOME OWNER_PID OWNER_STARTED``.

Sleeps until the owner is gone, whatever took it, then ends the servers it left running.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

from app.embedded import state

_LOOK_EVERY_S = 0.25


def watch(home: Path, owner: state.Process) -> None:
    """Return when the owner is gone and so are its servers."""
    # Asked again and again: an owner that is dead but not reaped never "ends" for whoever waits for its pid.
    while owner.alive() is not None:
        time.sleep(_LOOK_EVERY_S)
    with suppress(FileNotFoundError), state.locked(home):
        found = state.read(home)
        if found is not None and found.owner == owner:
            state.end_all(home, found)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), state.Process(int(sys.argv[2]), float(sys.argv[3])))
