"""The simulator as a subprocess, for tests and the demo."""

from __future__ import annotations

import http.client
import selectors
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from app.simulator.server import LATENCY_MS

_START_S = 20.0
_PAGE = 10_000


class SimulatorProcess:
    """Starts on entering (or ``start()``), ready when that returns; stopped on leaving (or ``stop()``).

    ``port`` 0 takes a free one: read ``url`` afterwards. Providers are at ``<url>/<provider>/v1``. The process's
    stderr is this one's. Raises ``RuntimeError`` where it does not come up.
    """

    def __init__(
        self,
        fleet_path: Path,
        weather_path: Path | None = None,
        port: int = 0,
        *,
        seed: int = 0,
        latency_ms: float = LATENCY_MS,
    ) -> None:
        self._arguments = [
            "--fleet",
            str(fleet_path),
            "--seed",
            str(seed),
            "--latency-ms",
            str(latency_ms),
            "--with-parent",
        ]
        if weather_path is not None:
            self._arguments += ["--weather", str(weather_path)]
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        command = [sys.executable, "-m", "app.simulator", *self._arguments, "--port", str(self.port)]
        # A session of its own: Ctrl-C at a terminal is for the one who holds us, and not for us.
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        line = self._first_line(self._process)
        if not line.startswith(b"ready "):
            self.stop()
            raise RuntimeError(f"the simulator did not start (said {line!r}): see its stderr")
        self.port = int(line.split()[1])
        return self

    @staticmethod
    def _first_line(process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(_START_S) else b""

    def stop(self) -> None:
        """Ask it to end, insist after five seconds. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def books(self) -> dict[str, Any]:
        """Totals, peaks and violations: see ``House.report``."""
        report: dict[str, Any] = self._ask("GET", "/books")
        return report

    def calls(self, after: int = 0) -> list[dict[str, Any]]:
        """Every call that ended, from sequence number ``after`` (not included) on."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self._ask("GET", f"/books/calls?after={after}&limit={_PAGE}")
            rows += page
            if len(page) < _PAGE:
                return rows
            after = page[-1]["seq"]

    def keep_bodies(self) -> None:
        """Keep what is sent from now on: see ``bodies``."""
        self._ask("POST", "/control/keep", {})

    def bodies(self, provider: str) -> list[str]:
        """The bodies of all calls to a provider since they are kept, whatever became of them."""
        found: list[str] = []
        while page := self._ask("GET", f"/books/bodies?provider={provider}&after={len(found)}"):
            found += page
        return found

    def lies(self) -> list[dict[str, str]]:
        """``model``, ``kind``, ``text`` and what it ``was``, of every sentence that a simulated journalist falsified
        since the start or the last ``reset``; each once."""
        told: list[dict[str, str]] = self._ask("GET", "/books/lies")
        return told

    def weather(self, data: dict[str, Any]) -> None:
        """Replace the weather. Raises ``ValueError`` with the simulator's words where it is not valid."""
        self._ask("POST", "/control/weather", data)

    def reset(self) -> None:
        self._ask("POST", "/control/reset", {})

    def _ask(self, method: str, path: str, data: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=None if data is None else orjson.dumps(data))
            response = connection.getresponse()
            answer = orjson.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(answer["error"])
        return answer
