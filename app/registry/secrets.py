"""Where keys come from: the environment or a file, read at the moment of the call.

A key is never kept, logged or put into a row; a rotated key is used from the next call on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from app.registry.rows import ProviderRow

_LONGEST = 16_384
"""Characters. The longest keys in use are signed tokens of some 4,000; anything larger is the wrong file."""


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key and what it is called. ``ref`` may be shown and stored, ``key`` never."""

    ref: str
    """The variable's name, or the file's without its folder."""
    key: str = field(repr=False)


def api_keys(row: ProviderRow) -> tuple[KeyRef, ...]:
    """The provider's keys that are there, in the order of the file; a key that stands in two places counts once.

    Left out are those not set, unreadable, blank, or not one line of printable ASCII. Empty also where the row names
    no source (a local server that wants no key); ``missing`` tells the two apart.
    """
    found: dict[str, KeyRef] = {}
    for ref, _, raw in _sources(row):
        key = raw.strip()
        # Anything else cannot stand in a header; sending it would put it into the client's error text.
        if key and len(key) <= _LONGEST and key.isascii() and key.isprintable():
            found.setdefault(key, KeyRef(ref, key))
    return tuple(found.values())


def absent(row: ProviderRow) -> tuple[str, ...]:
    """What to do for each key that the provider names and that is not there (or there already under another name)."""
    there = {key.ref for key in api_keys(row)}
    return tuple(advice for ref, advice, _ in _sources(row) if ref not in there)


def missing(rows: Iterable[ProviderRow]) -> dict[str, str]:
    """Provider name -> what to do, for every provider that names keys of which none is there."""
    return {row.name: " or ".join(absent(row)) for row in rows if row.key_refs and not api_keys(row)}


def _sources(row: ProviderRow) -> list[tuple[str, str, str]]:
    """(ref, what to do where it is missing, what stands there) of each key."""
    named = [(name, f"set the environment variable {name}", os.environ.get(name, "")) for name in row.api_key_env]
    filed = [
        (Path(path).name, f"put the key, on one line, into the file {path}", _read(Path(path)))
        for path in row.api_key_file
    ]
    return named + filed


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST + 1).decode("utf-8-sig")
    except (OSError, ValueError):
        return ""
