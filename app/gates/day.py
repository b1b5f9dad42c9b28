"""The calendar day of a provider's daily reset, and the month of its monthly one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Period:
    """``id`` is YYYY-MM-DD or YYYY-MM; the period holds every ms with ``start_ms <= ms < end_ms``."""

    id: str
    start_ms: int
    end_ms: int


def day_of(zone: str, at_ms: int) -> Period:
    """The day of an IANA ``zone`` in which ``at_ms`` (ms since 1970) falls: 23, 24 or 25 hours long.

    Raises ``zoneinfo.ZoneInfoNotFoundError`` for a zone that is not one.
    """
    tz = ZoneInfo(zone)
    today = datetime.fromtimestamp(at_ms / 1000, tz).date()
    return _between(today.isoformat(), today, today + timedelta(days=1), tz, at_ms)


def month_of(zone: str, at_ms: int) -> Period:
    """The month in which ``at_ms`` falls; as ``day_of``."""
    tz = ZoneInfo(zone)
    first = datetime.fromtimestamp(at_ms / 1000, tz).date().replace(day=1)
    return _between(f"{first:%Y-%m}", first, (first + timedelta(days=31)).replace(day=1), tz, at_ms)


def _between(name: str, first: date, after: date, tz: ZoneInfo, at_ms: int) -> Period:
    # Where a midnight does not exist, the moment at which the clock is put forward stands for it.
    start, end = (int(datetime(d.year, d.month, d.day, tzinfo=tz).timestamp() * 1000) for d in (first, after))
    # A zone that turned its clock back over midnight was a day ahead for a while; then the day is what is left of it.
    return Period(name, min(start, at_ms), max(end, at_ms + 1))
