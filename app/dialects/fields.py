"""Fields of foreign documents, read as what they should be, whatever they are."""

from __future__ import annotations

from typing import Any

MOST_TOKENS = 2**62
"""More than this is no count: the ledger's column ends at 2**63, and buckets are added up."""


def text_of(value: object) -> str:
    """``value`` where it is text, without NUL, which Postgres does not store; else nothing."""
    return value.replace("\x00", "") if isinstance(value, str) else ""


def count_of(value: object) -> int:
    """A vendor's count of tokens where it is one; else 0."""
    return stated(value) or 0


def stated(value: object) -> int | None:
    """A headline count as the vendor gave it, for bug reports; None where it gave none. Some write ``12.0``."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


def dicts_of(value: object) -> list[dict[str, Any]]:
    """The objects of a list, of anything else none."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
