"""What a target is given, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.newspaper.setting.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Untaken:
    """A bundle that was not taken. ``said`` holds no secret. ``final``: it never will be."""

    said: str
    final: bool = False


class Target(Protocol):
    """``name``: as the ledger keeps it (``folder``, ``bucket``, ``webhook``, ``mail``). ``where``: for people, without
    what is secret of it."""

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...

    def publish(self, bundle: Bundle, message_id: str) -> Untaken | None:
        """None: taken. The same bundle again does no harm. ``message_id``: the same at every try, so that a receiver
        may drop doubles. Never raises for what the other side did."""
        ...
