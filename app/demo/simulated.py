"""A simulated fleet on a free port, and a whole yard beside it, in one home: what a demonstration stands on.

The yard is `switchyard up`, a child with an environment of its own; nothing in it knows that the vendors are not real.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from app.core.errors import ServiceMissing, UsageError
from app.simulator.process import SimulatorProcess
from app.simulator.weather import read_weather_file

_PORT_IN_FILE = re.compile(r"(?<=http://127\.0\.0\.1:)\d+")
_READY_S = 60.0
_STOP_S = 30.0
_PR_SET_PDEATHSIG = 1


class SimulatedYard:
    """A context manager; on leaving, the yard and the fleet have stopped. Raises ``ServiceMissing`` where the yard
    does not come up, ``UsageError`` where another one of its kind (``what``) runs in the home.

    Entering takes over this process's ``SWITCHYARD_`` environment: whatever is read from it afterwards is the stage's.
    ``pace``: settings that hold in it beside home and fleet.
    """

    def __init__(self, home: Path, *, fleet: Path, weather: Path, pace: Mapping[str, str], what: str) -> None:
        self.home = home.absolute()
        self.weather = read_weather_file(weather)
        self._fleet = fleet
        self._pace = pace
        self._what = what
        self._held = ExitStack()
        self._simulator = SimulatorProcess(fleet, weather)
        self._yard: subprocess.Popen[bytes] | None = None
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        with ExitStack() as started:
            started.enter_context(self._only_one())
            self._furnish()
            # First of all: the simulator draws its port, and the yard's processes must never see another.
            started.enter_context(self._simulator)
            self._simulator.weather(self._before())
            fleet = self.home / "fleet.toml"
            fleet.write_text(_PORT_IN_FILE.sub(str(self._simulator.port), self._fleet.read_text()))
            for name in [name for name in os.environ if name.startswith("SWITCHYARD_")]:
                del os.environ[name]
            os.environ.update(self._pace, SWITCHYARD_HOME=str(self.home), SWITCHYARD_FLEET=str(fleet))
            started.callback(self._stop_yard)
            self._start_yard()
            self._held = started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def begin(self) -> None:
        """The weather's clock starts now."""
        self._simulator.weather(self.weather)

    def books(self) -> dict[str, Any]:
        """What the vendors themselves have counted."""
        return self._simulator.books()

    def _furnish(self) -> None:
        """Lay into the home what the yard is to find there."""

    def _before(self) -> dict[str, Any]:
        """The weather until then: what begins at once holds from the start, the rest has not happened yet."""
        events = [event for event in self.weather["event"] if not event.get("from_s")]
        kept = [{key: value for key, value in event.items() if key != "to_s"} for event in events]
        return {"answers": self.weather["answers"], "event": kept}

    def _only_one(self) -> IO[bytes]:
        try:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.home / "demo.lock").open("wb")
        except OSError as error:
            raise UsageError(
                f"{error.filename or self.home} cannot be written ({error.strerror})",
                hint="set SWITCHYARD_HOME to a directory of your own",
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise UsageError(
                f"{self._what} is already running in {self.home}",
                hint="wait until it is done, or set SWITCHYARD_HOME to another directory",
            ) from None
        return lock

    def _start_yard(self) -> None:
        # A session of its own: Ctrl-C is for us alone, and we tell the yard when it is time.
        command = [sys.executable, "-c", "from app.demo.simulated import yard; yard()"]
        self._yard = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        threading.Thread(target=self._listen, args=(self._yard,), name="yard", daemon=True).start()
        self._ready.wait(_READY_S)
        if self._yard.poll() is not None or not self._ready.is_set():
            log = self.home / "yard.log"
            said = log.read_text(errors="replace")[-1000:].strip()
            raise ServiceMissing(f"the yard did not start: {said or 'it left no message'}", hint=f"see {log}")

    def _listen(self, child: subprocess.Popen[bytes]) -> None:
        """Keep what the yard says in a log, and notice the line that says it is ready, or its end."""
        assert child.stderr is not None
        with (self.home / "yard.log").open("wb") as log, child.stderr as said:
            for line in said:
                log.write(line)
                log.flush()
                if line.startswith(b"ready:"):
                    self._ready.set()
        child.wait()
        self._ready.set()

    def _stop_yard(self) -> None:
        if self._yard is None:
            return
        self._yard.terminate()
        try:
            self._yard.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            # Its children and servers notice that it is gone, and go.
            self._yard.kill()
            self._yard.wait()


def yard() -> None:
    """`switchyard up` in this process, which ends with its parent even where that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    sys.argv = ["switchyard", "up", "--no-flower"]
    runpy.run_module("app.cli", run_name="__main__")
