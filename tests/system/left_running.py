"""What is still running after a command that ought to have stopped all it started."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def left_running(home: Path) -> list[str]:
    """The command lines of processes whose command line, environment or directory names this home."""
    left = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(home) in word for word in told):
            left.append(" ".join(process.cmdline()))
    return left
