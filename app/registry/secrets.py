"""Where keys come from: the environment or a file, read at the moment of the call.

A key is never kept, logged or put into a row; a rotated key is used from the next call on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from app.registry.rows import ProviderRow

_LONGEST = 16_384
"""Characters. The longest keys in use are signed tokens of some 4,000; anything larger is the wrong file."""


def api_key(row: ProviderRow) -> str | None:
    """The provider's key, or ``None``: not set, unreadable, blank, or not one line of printable ASCII.

    ``None`` also where the row names no source (a local server that wants no key); ``missing`` tells
    the two apart.
    """
    if row.api_key_env:
        raw = os.environ.get(row.api_key_env, "")
    elif row.api_key_file:
        raw = _read(Path(row.api_key_file))
    else:
        return None
    key = raw.strip()
    # Anything else cannot stand in a header; sending it would put it into the client's error text.
    return key if key and len(key) <= _LONGEST and key.isascii() and key.isprintable() else None


def missing(rows: Iterable[ProviderRow]) -> dict[str, str]:
    """Provider name -> what to do, for every provider that names a key which is not there."""
    found: dict[str, str] = {}
    for row in rows:
        if api_key(row) is not None:
            continue
        if row.api_key_env:
            found[row.name] = f"set the environment variable {row.api_key_env}"
        elif row.api_key_file:
            found[row.name] = f"put the key, on one line, into the file {row.api_key_file}"
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST + 1).decode("utf-8-sig")
    except (OSError, ValueError):
        return ""
