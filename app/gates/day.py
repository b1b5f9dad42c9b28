"""The calendar day of a provider's daily reset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Day:
    """``id`` is YYYY-MM-DD; the day holds every ms with ``start_ms <= ms < end_ms``."""

    id: str
    start_ms: int
    end_ms: int


def day_of(zone: str, at_ms: int) -> Day:
    """The day of an IANA ``zone`` in which ``at_ms`` (ms since 1970) falls: 23, 24 or 25 hours long.

    Raises ``zoneinfo.ZoneInfoNotFoundError`` for a zone that is not one.
    """
    tz = ZoneInfo(zone)
    date = datetime.fromtimestamp(at_ms / 1000, tz).date()
    start, end = (
        datetime(day.year, day.month, day.day, tzinfo=tz).timestamp() * 1000 for day in (date, date + timedelta(days=1))
    )
    # A zone that turned its clock back over midnight was a day ahead for a while; then the day is what is left of it.
    return Day(date.isoformat(), min(int(start), at_ms), max(int(end), at_ms + 1))
