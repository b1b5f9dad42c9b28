"""Commands that run a yard of their own: ended once and in order, and how to look into what they leave."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

INTERRUPTED = 130


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A signal that ends us does it once and in order; what follows it does not disturb the stopping."""

    def end(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command_on(home: Path) -> str:
    """How to call `switchyard` on this home from the directory we are in."""
    here = Path.cwd()
    shown = home.absolute()
    path = shown.relative_to(here) if shown.is_relative_to(here) else shown
    script = Path(sys.argv[0]).absolute()
    on_path = shutil.which("switchyard")
    if on_path is not None and Path(on_path).resolve() == script.resolve():
        name = "switchyard"
    else:
        name = str(script.relative_to(here) if script.is_relative_to(here) else script)
    return f"SWITCHYARD_HOME={shlex.quote(str(path))} {shlex.quote(name)}"
