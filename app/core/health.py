"""The state of a deployment, from what was heard of it: a pure function from what is known and one look to what is
known then. Only the health service looks, and only the ledger keeps the outcome.

    healthy ◄─2 looks─► degraded ◄─2 looks─► down        out: at once; a ping that succeeds twice brings it back

Who has never been looked at takes the state that the first look points to.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """From well to worst. The first two may be seated; who is out gets no call but the ping."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    OUT = "out"

    @property
    def usable(self) -> bool:
        return self in (State.HEALTHY, State.DEGRADED)


SEVERITY = {state: at for at, state in enumerate(State)}

LOOKS = 2
"""Looks in a row that must point the same way: one bad minute is weather, two are a climate."""
LEAST_CALLS = 10
"""Below this a rate is an anecdote: one failure of nine would already be over the threshold."""
FEW_FAILED = 3
"""With fewer calls than that, so many failures and no success are still no coincidence."""
DEGRADED_RATE = 0.10
"""An error rate from which retries show in throughput; ten times what paid providers promise (99 %)."""
HEALTHY_RATE = 0.05
"""Half of it: between the two nothing changes, so that a rate around either threshold does not flap."""
DOWN_RATE = 0.50
"""Every second call is wasted: the breaker's own threshold."""
SLOW, QUICK = 3.0, 2.0
"""Times its usual latency: from the first it is slow, under the second no longer."""
SLOW_FROM_MS = 1_000.0
"""Three times very little is still quick."""
NEAR_TIMEOUT = 0.5
"""One call in twenty takes over half of the time it is given: timeouts come next, whatever is usual there."""
FIRST_TOKEN_WORTH = 50
"""Tokens that could be written in the time until the first one comes (some 0.5 s, at some 100 tokens a second). A
latency is divided by that and its output, so that long answers are not taken for slow ones."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Live calls since the last look. Refusals that say nothing of health (429, 400) and cold starts are left out.

    ``failed``: on the server's side. ``p95_ms``: latency of the answered ones. ``times_usual``: that latency for its
    length, over the same of the day before; ``of_timeout``: over the time a call is given. None: too little is known.
    """

    calls: int
    failed: int
    p95_ms: float | None = None
    times_usual: float | None = None
    of_timeout: float | None = None

    @property
    def error_rate(self) -> float:
        return self.failed / self.calls if self.calls else 0.0


class Sign(StrEnum):
    """What a single call has shown: a ping or, for REFUSED, any call."""

    ANSWERED = "answered"
    BUSY = "busy"
    """A rate limit, a quota, a content filter: alive, only not for us now."""
    FAILED = "failed"
    REFUSED = "refused"
    """Bad key, unpaid bill, model gone: the next call would be told the same."""


Evidence = Traffic | Sign | None


@dataclass(frozen=True, slots=True)
class Known:
    """``state`` None: never looked at. ``leaning``: where the last ``streak`` looks pointed, if not to ``state``."""

    state: State | None = None
    leaning: State | None = None
    streak: int = 0


def judge(before: Known, evidence: Evidence) -> Known:
    """What is known after one more look. Without evidence: what was known before."""
    towards = points_to(before.state, evidence)
    if towards is None:
        return before
    if before.state is None or towards in (before.state, State.OUT):
        return Known(towards)
    worse = SEVERITY[towards] > SEVERITY[before.state]
    if before.leaning is None or (SEVERITY[before.leaning] > SEVERITY[before.state]) != worse:
        return Known(before.state, towards, 1)
    if before.streak + 1 < LOOKS:
        return Known(before.state, towards, before.streak + 1)
    # Both looks say worse (or better) than now, and both say at least this much.
    nearer = min if worse else max
    return Known(nearer(before.leaning, towards, key=SEVERITY.__getitem__))


def points_to(state: State | None, evidence: Evidence) -> State | None:
    """The state that this evidence alone speaks for, seen from ``state``; None: it says nothing."""
    if isinstance(evidence, Traffic):
        return None if state is State.OUT else _of_traffic(state, evidence)
    match evidence:
        case Sign.REFUSED:
            return State.OUT
        case Sign.ANSWERED:
            return State.HEALTHY
        case Sign.BUSY:
            # A vendor may check the limit before the key, or call an unpaid bill a limit.
            return None if state is State.OUT else State.HEALTHY
        case Sign.FAILED:
            return None if state is State.OUT else State.DOWN
        case _:
            return None


def _of_traffic(state: State | None, seen: Traffic) -> State | None:
    if seen.calls < LEAST_CALLS:
        if seen.calls and not seen.failed:
            return State.HEALTHY
        return State.DOWN if seen.failed >= FEW_FAILED and seen.failed == seen.calls else None
    if seen.error_rate >= DOWN_RATE:
        return State.DOWN
    if seen.error_rate >= DEGRADED_RATE or is_slow(seen, SLOW):
        return State.DEGRADED
    if seen.error_rate < HEALTHY_RATE and not is_slow(seen, QUICK):
        return State.HEALTHY
    return State.HEALTHY if state in (State.HEALTHY, None) else State.DEGRADED


def is_slow(seen: Traffic, times: float) -> bool:
    """Is it ``times`` slower than usual, or close to its timeout?"""
    if seen.p95_ms is None or seen.p95_ms < SLOW_FROM_MS:
        return False
    near = NEAR_TIMEOUT * times / SLOW
    return (seen.times_usual or 0.0) >= times or (seen.of_timeout or 0.0) >= near


def in_words(seen: Traffic) -> str | None:
    """Why live traffic does not speak for health; None where it does."""
    why = []
    if seen.error_rate >= HEALTHY_RATE:
        why.append(f"{seen.failed} of {seen.calls} calls failed ({seen.error_rate:.0%})")
    if seen.p95_ms is not None and is_slow(seen, QUICK):
        usual = f", {seen.times_usual:.1f} times the usual" if seen.times_usual else ""
        why.append(f"p95 latency {seen.p95_ms / 1000:.1f} s{usual}")
    return "; ".join(why) or None


@dataclass(frozen=True, slots=True)
class Spell:
    """One state from its beginning to the next change (or to now)."""

    begin: dt.datetime
    end: dt.datetime
    state: State
    reason: str | None = None


def by_slot(spells: Sequence[Spell], begin: dt.datetime, end: dt.datetime, slots: int) -> list[State | None]:
    """The worst state in each of so many equal parts of the time from ``begin`` to ``end``; None: nothing is known."""
    width = (end - begin) / slots
    worst: list[State | None] = []
    for n in range(slots):
        opens, closes = begin + n * width, begin + (n + 1) * width
        here = [s.state for s in spells if s.begin < closes and s.end > opens]
        worst.append(max(here, key=SEVERITY.__getitem__, default=None))
    return worst
