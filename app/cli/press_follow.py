"""Following an edition until it is out: a live table of its steps, or plain lines. All of it on stderr."""

from __future__ import annotations

import datetime as dt
import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.cli.output import cost, duration, one_line, say

if TYPE_CHECKING:
    from rich.console import Group
    from sqlalchemy import Engine

    from app.ledger.editions import Opened
    from app.ledger.press_reports import Making
    from app.yard import Yard

_LOOK_EVERY_S = 0.5
_LINE_EVERY_S = 5.0
_UNHEARD_S = 3.0
_AFTER_S = 30.0
"""How long targets are waited for that have the edition before them for the first time."""
_STAGES = ("write", "check", "rewrite", "recheck")
_ORDINARY = "in time"


@dataclass(frozen=True, slots=True)
class TargetLine:
    """One place where an edition goes. ``said``: why it is not there yet."""

    name: str
    tries: int
    said: str
    given_up: bool
    done: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an edition is."""

    opened: Opened
    making: Making
    targets: tuple[TargetLine, ...]
    now: dt.datetime

    @property
    def over(self) -> bool:
        """Published; or made, and every target has said yes or no, which it may say again for hours."""
        if self.opened.state != "made":
            return self.opened.state == "published"
        waited_s = (self.now - (self.opened.made_at or self.now)).total_seconds()
        return waited_s > _AFTER_S or all(target.tries or target.given_up for target in self.targets)


def standing(engine: Engine, edition_id: int) -> Standing:
    from app.ledger import editions, press_reports, publications, reports

    return Standing(
        editions.edition(engine, edition_id),
        press_reports.making(engine, edition_id),
        tuple(
            TargetLine(name, tries, said or "", given_up, done)
            for name, tries, said, given_up, done in publications.publish_state(engine, edition_id)
        ),
        reports.now(engine),
    )


def follow(engine: Engine, edition_id: int, tend: Callable[[], None], *, steps: bool) -> Standing:
    """Watch an edition until it is out, or as far out as it comes at once. ``tend`` is called at every look; ``steps``:
    show each of its steps. Polls: the ledger rings no bell."""
    screen = (_Live() if sys.stderr.isatty() else _StepLines()) if steps else _Lines()
    with screen as shown:
        while True:
            at = standing(engine, edition_id)
            shown.show(at)
            if at.over:
                return at
            tend()
            time.sleep(_LOOK_EVERY_S)


class Tender:
    """Sees to it that an edition goes on: rings the press; where nobody hears it, this process does its work."""

    def __init__(self, yard: Yard) -> None:
        self._yard = yard
        self._next = -math.inf
        self._rang_at: float | None = None
        self._busy: threading.Thread | None = None
        self.alone = False
        """Has this process had to do it?"""

    def __call__(self) -> None:
        from tasks import rings

        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + min(self._yard.settings.press_every_s, _UNHEARD_S)
        if self._rang_at is not None and rings.press_unheard(self._yard.redis):
            if now - self._rang_at >= _UNHEARD_S and (self._busy is None or not self._busy.is_alive()):
                self.alone = True
                self._busy = threading.Thread(target=self._look, name="press", daemon=True)
                self._busy.start()
            return
        rings.ring_press(self._yard.redis)
        self._rang_at = now

    def _look(self) -> None:
        from app.core.errors import SwitchyardError
        from tasks import press

        try:
            press.go_on(self._yard)
        except (*press.AWAY, SwitchyardError) as error:
            say(f"the edition does not go on just now: {one_line(error, 200)}")


def headline(at: Standing) -> str:
    """``2026-11-20 is being made: write:world 3/5, 41 calls, $0.0031, 12 min to its deadline``."""
    parts = [_now_at(at), f"{at.making.calls:,} calls", cost(at.making.cost_micro / 1e6, at.making.unpriced, "calls")]
    if at.opened.state == "open":
        left_s = (at.opened.deadline_at - at.now).total_seconds()
        parts.append(f"{duration(left_s)} to its deadline" if left_s > 0 else "ships now")
    return f"{title(at.opened)}: " + ", ".join(part for part in parts if part)


def title(opened: Opened) -> str:
    kind = "" if opened.kind == "daily" else f" {opened.kind}"
    return f"{opened.date}{kind}" + (f" (printing {opened.run})" if opened.run > 1 else "")


def _now_at(at: Standing) -> str:
    if at.opened.state == "published":
        return "published"
    if at.opened.state == "made":
        return "made, being published"
    if at.opened.gathered_at is None:
        return "gathering"
    going = [step for step in at.making.steps if not step.said and step.decided < step.items]
    shown = [f"{step.step} {step.decided}/{step.items}" for step in going[:4]]
    more = [f"and {len(going) - len(shown)} more"] if len(going) > len(shown) else []
    return ", ".join([*shown, *more]) or "between two steps"


class _Screen(Protocol):
    def show(self, at: Standing) -> None: ...


class _Lines(AbstractContextManager["_Screen"]):
    """Where it stands, every few seconds."""

    def __init__(self) -> None:
        self._said_at = -math.inf

    def __enter__(self) -> _Screen:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, at: Standing) -> None:
        now = time.monotonic()
        if at.over or now - self._said_at >= _LINE_EVERY_S:
            self._said_at = now
            say(headline(at))


class _StepLines(_Lines):
    """A line whenever a step has begun or ended, and those of ``_Lines``."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, str] = {}

    def show(self, at: Standing) -> None:
        for name, state, items in _rows(at):
            if self._known.get(name) != state:
                self._known[name] = state
                say(f"  {name}: {state}" + (f" ({items})" if items else ""))
        super().show(at)


class _Live(AbstractContextManager["_Screen"]):
    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), auto_refresh=False)

    def __enter__(self) -> _Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, at: Standing) -> None:
        self._live.update(_view(at), refresh=True)


def _view(at: Standing) -> Group:
    """A line for each desk, so that an edition fits on a screen of ordinary height."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, parts in _groups(at).items():
        table.add_row(Text(name), Text("  ".join(parts)))
    return Group(Text(headline(at)), table)


def _groups(at: Standing) -> dict[str, list[str]]:
    """``town`` → ``write 5/5``, ``check 3/5`` …; ``sort`` → ``desk 30/30`` …"""
    groups: dict[str, list[str]] = {"gather": ["done" if at.opened.gathered_at is not None else "at work"]}
    for step in at.making.steps:
        first, _, second = step.step.partition(":")
        group, part = (second, first) if first in _STAGES else (first, second)
        count = f"{step.decided}/{step.items}" if step.items else ""
        said = f"({one_line(step.said, 40)})" if step.said not in ("", _ORDINARY) else ""
        groups.setdefault(group, []).append(" ".join(word for word in (part, count, said) if word))
    for target in at.targets:
        groups.setdefault("publish", []).append(f"{target.name} {_state(target)}")
    return groups


def _rows(at: Standing) -> list[tuple[str, str, str]]:
    """(step, state, decided of items): gathering, the jobs, publishing."""
    rows = [("gather", "done" if at.opened.gathered_at is not None else "at work", "")]
    for step in at.making.steps:
        ended = step.decided >= step.items or at.opened.state != "open"
        state = step.said or ("done" if ended else "at work")
        rows.append((step.step, one_line(state, 60), f"{step.decided}/{step.items}" if step.items else ""))
    for target in at.targets:
        rows.append((f"publish {target.name}", _state(target), ""))
    return rows


def _state(target: TargetLine) -> str:
    state = "done" if target.done else "given up" if target.given_up else "at work"
    return one_line(f"{state}: {target.said}" if target.said else state, 90)
