"""Following a job: a live bar on a terminal, a plain line every five seconds elsewhere. All of it on stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from app.cli.output import clock, cost, duration, one_line, say

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.core.outlook import Outlook
    from app.core.values import Deployment
    from app.ledger.reports import Progress

_LINE_EVERY_S = 5.0
_FORECAST_EVERY_S = 10.0
_RATE_OVER_S = 30.0

Tick = Callable[["Progress"], None]
Speed = tuple[float, float | None, "Outlook | None"]
"""Calls a second of late; seconds to go by quota, None where nothing is known; what it waits for, if it waits."""


def follow(
    engine: Engine,
    job_id: str,
    able: Sequence[Deployment] = (),
    tick: Tick | None = None,
    look: Callable[[], Outlook | None] = lambda: None,
) -> Progress:
    """Watch a job until nothing more will be decided; returns how it ended. ``tick`` is called at every look.

    ``able``: the deployments that may serve it; without them no finish time is said. ``look``: what it waits for.
    Polls once a second: the ledger is the truth, and it rings no bell.
    """
    from app.ledger import reports

    screen = _Bar(job_id) if sys.stderr.isatty() else _Lines(job_id)
    speed = _Speed(engine, job_id, able, look)
    with screen as shown:
        while True:
            at = reports.progress(engine, job_id)
            if tick is not None:
                tick(at)
            shown.show(at, speed.look(at))
            if at.finished:
                return at
            time.sleep(1.0)


class _Speed:
    """Calls a second of late, and when the limits of the fleet let the rest be done, or what it waits for."""

    def __init__(
        self, engine: Engine, job_id: str, able: Sequence[Deployment], look: Callable[[], Outlook | None]
    ) -> None:
        self._engine, self._job_id, self._able, self._look_out = engine, job_id, able, look
        self._ahead: Outlook | None = None
        self._looks: list[tuple[float, int]] = []
        self._finish_s: float | None = None
        self._forecast_at = -math.inf

    def look(self, at: Progress) -> Speed:
        now = time.monotonic()
        self._looks = [look for look in self._looks if look[0] > now - _RATE_OVER_S] + [(now, at.calls)]
        since, calls = self._looks[0]
        span = now - since
        if now - self._forecast_at > _FORECAST_EVERY_S:
            self._finish_s, self._forecast_at = self._forecast(at), now
            self._ahead = self._look_out() if at.pending and not at.finished else None
        return (at.calls - calls) / span if span else 0.0, self._finish_s, self._ahead

    def _forecast(self, at: Progress) -> float | None:
        from app.core import forecast
        from app.ledger import reports

        ended = at.items - at.pending
        if not self._able or not at.pending or not ended:
            return None
        tokens = reports.tokens_per_call(self._engine, self._job_id)
        voices = min(max(1.0, at.calls / ended), len({d.family for d in self._able}))
        return forecast.finish_s(self._able, at.pending, voices, tokens, fresh=False)


def awaited(ahead: Outlook) -> str:
    """``waits until 14:05 for groq/llama (its breaker is open) and 3 others``."""
    if not ahead.waiting:
        return "waits: no deployment of the fleet may serve it"
    first = ahead.waiting[0]
    until = "" if first.opens_s == math.inf else f"until {clock(first.opens_s)} "
    others = len(ahead.waiting) - 1
    more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    return f"waits {until}for {first.deployment} ({one_line(first.why, 60)}){more}"


def words(at: Progress, speed: Speed) -> str:
    """``1,234/10,000 decided, 2,800 calls, $0.0310, 41.2 calls/s, done by 14:05 (12 min)``."""
    rate, to_go_s, ahead = speed
    parts = [f"{at.decided:,}/{at.items:,} decided"]
    if at.undecided or at.failed:
        parts.append(f"{at.undecided + at.failed:,} not")
    parts += [f"{at.calls:,} calls", cost(at.cost_micro / 1e6, at.unpriced, "items"), f"{rate:.1f} calls/s"]
    if at.finished:
        parts.append(f"took {duration(at.elapsed_s)}")
    elif at.state != "running":
        parts.append(at.state)
    elif ahead is not None:
        parts.append(awaited(ahead))
    elif to_go_s is not None and to_go_s != math.inf:
        parts.append(f"by quota {clock(to_go_s)} ({duration(to_go_s)})")
    return ", ".join(parts)


class _Lines(AbstractContextManager["_Lines"]):
    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._said_at = -math.inf

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, at: Progress, speed: Speed) -> None:
        now = time.monotonic()
        if at.finished or now - self._said_at >= _LINE_EVERY_S:
            self._said_at = now
            say(f"{self._job_id}: {words(at, speed)}")


class _Bar(AbstractContextManager["_Bar"]):
    def __init__(self, job_id: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.fields[job]}"), BarColumn(), TextColumn("{task.fields[words]}", markup=False))
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._task = self._progress.add_task("", job=job_id, words="", total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, at: Progress, speed: Speed) -> None:
        self._progress.update(
            self._task, total=at.items, completed=at.items - at.pending, words=words(at, speed), refresh=True
        )
