"""What stands above a request's body: where it goes, who sent it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Heading(Protocol):
    """The part of a request that is looked at before its body."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Names are looked up in any case."""
        ...

    @property
    def query(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Target:
    """What path and headers say of a call."""

    model: str = ""
    """Where the path names it."""
    stream: bool = False
    """Where the path asks for it."""
    array: bool = False
    """The stream is one JSON array, not server-sent events."""
    flaw: str = ""
    """Why the call is a bad request already."""


def bearer(headers: Mapping[str, str]) -> str:
    """The key of an ``Authorization: Bearer`` header, empty for none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
