"""What a provider's responses teach about its limits. Pure: the caller says what was heard and what is believed.

Four rules. A response that states a lower limit than the fleet file is believed for an hour. So is a refusal that
names its limit. A refusal that names none is answered as congestion is in TCP (RFC 5681): the rate goes down to a part
of what had been accepted, for ten minutes, and for twice as long each time that this turns out to be still too much; so
a silently lowered limit costs a handful of refusals and not one a minute. Nothing is believed above the fleet file,
unless the provider's row says that it may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.values import Observed

STATED_FOR_S = 3600.0
INFERRED_FIRST_S = 600.0
INFERRED_LONGEST_S = 7200.0
_SHARE = 0.7
_LARGEST_STEP = 0.5
_WINDOWS_S = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "mo": 86_400.0}


@dataclass(frozen=True, slots=True)
class Lesson:
    """For ``for_s`` the limit of ``rule`` is ``value``. ``why`` is a sentence for people."""

    rule: str
    value: int
    for_s: float
    why: str


def learned_from(
    observed: Observed,
    configured: int | None,
    learned: int | None = None,
    *,
    upwards: bool = False,
    refused: bool = False,
) -> Lesson | None:
    """The lesson of a stated limit, or None where there is nothing to learn.

    ``configured`` is the fleet file's limit of that rule, ``learned`` what was stated before, if that still lasts: a
    statement that takes it back is a lesson too. ``refused``: it was a refusal that named it. A limit of 0 is believed
    of a refusal only; in an answer's header it contradicts the answer.
    """
    limit = observed.limit
    if limit is None or (limit == 0 and not refused):
        return None
    above = configured is not None and limit >= configured
    if (above and learned is None and not upwards) or (limit == configured and learned is None):
        return None
    told = "the refusal names" if refused else "the response states"
    file = "no limit" if configured is None else f"{configured}"
    return Lesson(observed.rule, limit, STATED_FOR_S, f"{told} {limit} {observed.rule}; the fleet file has {file}")


def backed_off(
    accepted: int, in_force: int | None, last_for_s: float | None = None, *, tried: bool = True
) -> Lesson | None:
    """The lesson of a refusal that names no limit, about requests per minute; None where it teaches none.

    ``accepted``: calls that the provider took within the last minute. Where there are none it is shut rather than
    slower, and only waiting helps. ``in_force`` is the limit kept to when it refused: one refusal never halves it more
    than once, since a minute that has just begun has accepted little. ``last_for_s``: how long the last lesson of
    this kind was for, if it is remembered, and ``tried`` whether calls were accepted under it since: only then has it
    been learned again, and lasts twice as long.
    """
    if accepted < 1:
        return None
    value = int(accepted * _SHARE)
    if in_force is not None:
        value = min(max(value, int(in_force * _LARGEST_STEP)), in_force - 1)
    for_s = INFERRED_FIRST_S
    if last_for_s is not None:
        for_s = min(INFERRED_LONGEST_S, max(INFERRED_FIRST_S, last_for_s * (2 if tried else 1)))
    return Lesson("rpm", max(1, value), for_s, f"refused without a reason when {accepted} calls a minute were accepted")


def hold_s(observed: Observed, used: int, in_force: int | None) -> float | None:
    """Seconds to stay away before being refused: nothing is left and the provider says when there will be. Else None.

    ``used`` is our own count under that rule. Where it has reached the limit in force our window is shut by itself and
    knows better when it opens: many a provider's reset is when all of it is back, not when the next call fits.
    At most the rule's own window, and a day.
    """
    if observed.remaining != 0 or not observed.reset_s or observed.reset_s < 0:
        return None
    window_s = _WINDOWS_S.get(observed.rule[2:])
    if window_s is None or (in_force is not None and used >= in_force):
        return None
    return min(observed.reset_s, window_s)
