"""What became of a message that was not taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """A message that was not taken. ``said`` holds no secret. ``final``: it never will be."""

    said: str
    retry_after_s: float | None = None
    final: bool = False
