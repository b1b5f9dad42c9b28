"""First come, first served within a process: chunks for one deployment take their turns at its gate.

Without it every chunk would get a few calls through now and then, and all of them would end late; a chunk that is
let through whole can be settled while the next one waits.
"""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import Any


class Turnstile:
    """A queue of waiters a name. Whoever comes to the front finds ``Turnstile.TURN`` in its own inbox."""

    TURN: Any = object()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, deque[SimpleQueue[Any]]] = {}

    def join(self, name: str, inbox: SimpleQueue[Any]) -> bool:
        """Stand in line (once); true if at the front."""
        with self._lock:
            line = self._lines.setdefault(name, deque())
            if inbox not in line:
                line.append(inbox)
            return line[0] is inbox

    def leave(self, name: str, inbox: SimpleQueue[Any]) -> None:
        """Step out of the line, wherever in it; wakes the next one if that was the front."""
        with self._lock:
            line = self._lines.get(name)
            if not line or inbox not in line:
                return
            front = line[0] is inbox
            line.remove(inbox)
            if front and line:
                line[0].put(self.TURN)
