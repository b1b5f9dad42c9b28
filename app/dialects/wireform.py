"""What a dialect speaks in: one HTTP request, without the base URL and without the key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """``path`` begins with a slash and stands after the base URL; the key's header is added by the caller."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
