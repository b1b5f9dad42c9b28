"""What a sink is given, and what it says."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from app.carriers.trouble import Trouble
from app.core.alerts import Notice


@dataclass(frozen=True, slots=True)
class Letter:
    """``id`` is the same at every try, so that a receiver may drop doubles. ``at``: when it happened."""

    id: str
    at: dt.datetime
    notice: Notice


class Sink(Protocol):
    """``where``: for people, without what is secret of it."""

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...

    def send(self, letter: Letter) -> Trouble | None:
        """Within seconds, and never raising for what the other side did. None: taken."""
        ...
