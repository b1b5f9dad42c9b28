"""What a target is given, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from app.newspaper.setting.bundle import Bundle

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Untaken:
    """A bundle that was not taken. ``said`` holds no secret. ``final``: it never will be."""

    said: str
    final: bool = False


class Target(Protocol):
    """``name``: as the ledger keeps it (``folder``, ``bucket``, ``webhook``, ``mail:1``). ``where``: for people and for
    the ledger, without what is secret of it."""

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...

    def publish(self, bundle: Bundle, message_id: str) -> Untaken | None:
        """None: taken. The same bundle again does no harm. ``message_id``: the same at every try, so that a receiver
        may drop doubles; without a full stop. Never raises for what the other side did."""
        ...


@dataclass(frozen=True, slots=True)
class Unready:
    """A target that the paper names and the environment has not told enough of. It may be told before the last try."""

    name: str
    said: str
    where: str = ""

    def publish(self, bundle: Bundle, message_id: str) -> Untaken | None:
        return Untaken(self.said)


def misplaced(bundle: Bundle) -> str | None:
    """The sentence about a path that leads out of its place, if there is one: absolute, upwards, hidden."""
    for path in (bundle.name, *bundle.files, *bundle.front):
        if not all(_PART.fullmatch(part) for part in path.split("/")):
            return f"the edition has a file of a name that will not do: {path!r}"
    if "/" in bundle.name or any(path.split("/")[0] == bundle.name for path in bundle.front):
        return f"the edition's name will not do for a folder: {bundle.name!r}"
    return None


def in_order(paths: Iterable[str]) -> list[str]:
    """As they are put in place: a page comes after what it shows or names."""
    return sorted(paths, key=lambda path: (path == _INDEX, path.endswith(".html"), path))
