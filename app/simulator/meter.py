"""Exact rolling windows: what one provider, or one model, has let through and what it turns away.

Rules, all of them the simulator's own:

- A minute is the half-open window (t - 60 s, t]: a call that came exactly 60 s ago no longer counts.
- Tokens: refused at arrival where the window's tokens plus this prompt's are over the limit. The answer's tokens are
  added at the moment the call *arrived*, once it is complete. A window can so end up above the limit; the meter
  counts those as overruns.
- An hour rolls like a minute: (t - 3600 s, t]. It is counted from the first call that an hourly limit held for.
- A day is a calendar day in the provider's zone, a month a calendar month there.
- A call that is refused consumes nothing. A call that failed inside the provider (5xx) keeps its place among the
  requests and gives its tokens back.

Moments are monotonic seconds (``now``) or seconds since the epoch (``wall``), handed in: there is no clock here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.simulator.fleet import LIMIT_KEYS, Limits

WINDOW_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is turned away. ``rule`` is a key of ``Limits``; ``wait_s`` is when it would be let in, alone."""

    rule: str
    limit: int
    used: int
    requested: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit as it stands after a call: for the headers."""

    limit: int
    remaining: int
    reset_s: float
    """Until the window is as if untouched."""


class Entry:
    """A call that was let in."""

    __slots__ = ("at", "closed", "day", "inside", "inside_hour", "month", "tokens", "tpm")

    def __init__(self, at: float, tokens: int, tpm: int | None, day: float, month: float) -> None:
        self.at = at
        self.tokens = tokens
        self.tpm = tpm
        self.day = day
        self.month = month
        self.inside = True
        self.inside_hour = False
        self.closed = False


class Meter:
    """The counts of one scope: a provider, or one model of it. Not safe between threads."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._latest = 0.0
        self._window: deque[Entry] = deque()
        self._window_tokens = 0
        self._arrivals: deque[float] = deque()
        self._day_ends = 0.0
        self._day_requests = 0
        self._day_tokens = 0
        self._month_ends = 0.0
        self._month_requests = 0
        self._month_tokens = 0
        self._hour: deque[Entry] = deque()
        self._hour_tokens = 0
        self._unread: deque[Entry] = deque()
        self._read: deque[Entry] = deque()
        self._read_tokens = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.max_arrivals = 0
        """Most calls that knocked in any 60 s, the refused among them."""
        self.max_requests = 0
        """Most calls that were let in in any 60 s."""
        self.max_tokens = 0
        """Most tokens in any 60 s, answers included; only calls up to the oldest open one are in it yet."""
        self.overruns = 0
        """Calls at whose arrival the window, answers included, came to more than the limit of that moment."""
        self.refusals = dict.fromkeys(LIMIT_KEYS, 0)

    def arrive(self, now: float) -> None:
        """Someone knocked."""
        arrivals = self._arrivals
        arrivals.append(now)
        while arrivals[0] <= now - WINDOW_S:
            arrivals.popleft()
        self.max_arrivals = max(self.max_arrivals, len(arrivals))

    def refusal(self, now: float, wall: float, prompt_tokens: int, limits: Limits) -> Refusal | None:
        """Why this call may not come in, or ``None``. Changes no count."""
        now = self._roll(now, wall)
        window = self._window
        if limits.concurrency is not None and self.in_flight >= limits.concurrency:
            return Refusal("concurrency", limits.concurrency, self.in_flight, 1, 1.0)
        if limits.rpmo is not None and self._month_requests >= limits.rpmo:
            return Refusal("rpmo", limits.rpmo, self._month_requests, 1, self._month_ends - wall)
        if limits.tpmo is not None and self._month_tokens + prompt_tokens > limits.tpmo:
            return Refusal("tpmo", limits.tpmo, self._month_tokens, prompt_tokens, self._month_ends - wall)
        if limits.rpd is not None and self._day_requests >= limits.rpd:
            return Refusal("rpd", limits.rpd, self._day_requests, 1, self._day_ends - wall)
        if limits.tpd is not None and self._day_tokens + prompt_tokens > limits.tpd:
            return Refusal("tpd", limits.tpd, self._day_tokens, prompt_tokens, self._day_ends - wall)
        hour = self._hour
        if limits.rph is not None and len(hour) >= limits.rph:
            return Refusal("rph", limits.rph, len(hour), 1, _wait_for_place(hour, limits.rph, HOUR_S, now))
        if limits.tph is not None and self._hour_tokens + prompt_tokens > limits.tph:
            wait_s = _wait_for_tokens(hour, self._hour_tokens + prompt_tokens - limits.tph, HOUR_S, now)
            return Refusal("tph", limits.tph, self._hour_tokens, prompt_tokens, wait_s)
        if limits.rpm is not None and len(window) >= limits.rpm:
            return Refusal("rpm", limits.rpm, len(window), 1, _wait_for_place(window, limits.rpm, WINDOW_S, now))
        if limits.tpm is not None and self._window_tokens + prompt_tokens > limits.tpm:
            wait_s = _wait_for_tokens(window, self._window_tokens + prompt_tokens - limits.tpm, WINDOW_S, now)
            return Refusal("tpm", limits.tpm, self._window_tokens, prompt_tokens, wait_s)
        return None

    def admit(self, now: float, wall: float, prompt_tokens: int, limits: Limits) -> Entry:
        """Let the call in. The caller has asked ``refusal`` in the same moment."""
        now = self._roll(now, wall)
        entry = Entry(now, prompt_tokens, limits.tpm, self._day_ends, self._month_ends)
        self._window.append(entry)
        if limits.rph is not None or limits.tph is not None:
            entry.inside_hour = True
            self._hour.append(entry)
            self._hour_tokens += prompt_tokens
        self._unread.append(entry)
        self._window_tokens += prompt_tokens
        self._day_requests += 1
        self._day_tokens += prompt_tokens
        self._month_requests += 1
        self._month_tokens += prompt_tokens
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.max_requests = max(self.max_requests, len(self._window))
        return entry

    def settle(self, entry: Entry, output_tokens: int | None) -> None:
        """The call is over. ``None``: it failed, its tokens are given back."""
        delta = -entry.tokens if output_tokens is None else output_tokens
        entry.tokens += delta
        entry.closed = True
        if entry.inside:
            self._window_tokens += delta
        if entry.day == self._day_ends:
            self._day_tokens += delta
        if entry.month == self._month_ends:
            self._month_tokens += delta
        if entry.inside_hour:
            self._hour_tokens += delta
        self.in_flight -= 1
        self._read_closed()

    def _read_closed(self) -> None:
        """Take the calls that are final, in the order they came, into the record of token windows."""
        unread, read = self._unread, self._read
        while unread and unread[0].closed:
            entry = unread.popleft()
            read.append(entry)
            self._read_tokens += entry.tokens
            while read[0].at <= entry.at - WINDOW_S:
                self._read_tokens -= read.popleft().tokens
            self.max_tokens = max(self.max_tokens, self._read_tokens)
            if entry.tpm is not None and self._read_tokens > entry.tpm:
                self.overruns += 1

    def _roll(self, now: float, wall: float) -> float:
        """Drop what has left the window and the day. Returns the moment to use: time never runs backwards here.

        A call whose body came in slowly is looked at after later ones; it counts from where the window stands.
        """
        now = self._latest = max(now, self._latest)
        window = self._window
        while window and window[0].at <= now - WINDOW_S:
            entry = window.popleft()
            entry.inside = False
            self._window_tokens -= entry.tokens
        hour = self._hour
        while hour and hour[0].at <= now - HOUR_S:
            entry = hour.popleft()
            entry.inside_hour = False
            self._hour_tokens -= entry.tokens
        if wall >= self._day_ends:
            self._turn_the_page(wall)
        return now

    def _turn_the_page(self, wall: float) -> None:
        """A new day at the provider, and perhaps a new month."""
        today = datetime.fromtimestamp(wall, UTC).astimezone(self._zone).date()
        self._day_ends = datetime.combine(today + timedelta(days=1), time(), self._zone).timestamp()
        self._day_requests = self._day_tokens = 0
        if wall >= self._month_ends:
            next_month = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
            self._month_ends = datetime.combine(next_month, time(), self._zone).timestamp()
            self._month_requests = self._month_tokens = 0

    def day_left_s(self, wall: float) -> float:
        """Seconds to the provider's midnight."""
        self._roll(self._latest, wall)
        return self._day_ends - wall

    def month_left_s(self, wall: float) -> float:
        """Seconds to the end of the provider's month."""
        self._roll(self._latest, wall)
        return self._month_ends - wall

    def standings(self, now: float, wall: float, limits: Limits) -> dict[str, Standing]:
        """Every limit in force, by its key."""
        now = self._roll(now, wall)
        found: dict[str, Standing] = {}

        def stand(rule: str, limit: int | None, used: int, reset_s: float) -> None:
            if limit is not None:
                found[rule] = Standing(limit, max(0, limit - used), reset_s)

        if limits.rpm is not None or limits.tpm is not None:
            minute_s = self._window[-1].at + WINDOW_S - now if self._window else 0.0
            stand("rpm", limits.rpm, len(self._window), minute_s)
            stand("tpm", limits.tpm, self._window_tokens, minute_s)
        if limits.rph is not None or limits.tph is not None:
            hour_s = self._hour[-1].at + HOUR_S - now if self._hour else 0.0
            stand("rph", limits.rph, len(self._hour), hour_s)
            stand("tph", limits.tph, self._hour_tokens, hour_s)
        stand("rpd", limits.rpd, self._day_requests, self._day_ends - wall)
        stand("tpd", limits.tpd, self._day_tokens, self._day_ends - wall)
        stand("rpmo", limits.rpmo, self._month_requests, self._month_ends - wall)
        stand("tpmo", limits.tpmo, self._month_tokens, self._month_ends - wall)
        return found


def _wait_for_place(window: deque[Entry], limit: int, length_s: float, now: float) -> float:
    """Seconds until fewer than ``limit`` calls are in the window."""
    return (window[len(window) - limit].at if limit else now) + length_s - now


def _wait_for_tokens(window: deque[Entry], needed: int, length_s: float, now: float) -> float:
    """Seconds until ``needed`` tokens have left the window."""
    for entry in window:
        needed -= entry.tokens
        if needed <= 0:
            return entry.at + length_s - now
    return length_s
