"""A number as it stands in a text."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Kind = Literal["count", "ordinal", "share", "times", "vague", "time", "date", "weekday", "code", "roman"]


@dataclass(frozen=True, slots=True)
class Number:
    """``values``: what it may mean, one of them mostly. ``units``: what it may count (``%``, ``$``, ``km`` …; empty:
    nothing named). Of a date: ``values`` is empty and ``date`` its (year, month, day), 0 where it says none; of a code:
    ``code``. ``start`` and ``end`` are places in the ``plain`` text."""

    kind: Kind
    start: int
    end: int
    values: frozenset[Fraction] = frozenset()
    units: frozenset[str] = frozenset({""})
    dates: frozenset[tuple[int, int, int]] = frozenset()
    code: str = ""
