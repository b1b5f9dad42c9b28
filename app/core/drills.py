"""Drills: the failures that may be let loose on a running yard, by name.

Twelve are single failures, named as the failure kinds of providers are; the rest are weathers, which mix them. What a
provider says word for word when it fails so stands in ``app/dialects/canned.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.core.values import FailureKind

WHOLE_FLEET = "all"
LONGEST_S = 3600.0
"""No drill stands longer than this."""
SLOW_S = 5.0
"""What ``slow`` adds to a call where nothing else is asked for."""


class Trouble(StrEnum):
    """What befalls a call besides the failures of providers."""

    RESET = "reset"
    """The connection breaks: heard as ``server_error``."""
    SLOW = "slow"
    """The provider is really called; its answer comes later."""


Effect = FailureKind | Trouble


@dataclass(frozen=True, slots=True)
class Drill:
    """``effects``: one of them, by lot, for each call that is struck. ``share`` of the calls: the default, 0 to 1."""

    name: str
    effects: tuple[Effect, ...]
    says: str
    share: float = 1.0


def _single(kind: FailureKind, says: str) -> Drill:
    return Drill(kind.value, (kind,), says)


_K = FailureKind
_ALL = (
    _single(_K.RATE_LIMIT, "429: too many requests this minute, come back in a few seconds"),
    _single(_K.QUOTA_EXHAUSTED, "429: the day's quota is used up, until the drill ends"),
    _single(_K.TIMEOUT, "no answer in time (--delay: give up after so many seconds)"),
    _single(_K.SERVER_ERROR, "500: an internal error"),
    _single(_K.OVERLOADED, "503 or 529: the model has no capacity"),
    _single(_K.MALFORMED, "200 with a body that is cut off"),
    _single(_K.CONTEXT_LENGTH, "400: the prompt is too long for the model"),
    _single(_K.CONTENT_FILTER, "the answer is withheld by a content filter"),
    _single(_K.AUTH, "401: the key is not valid"),
    _single(_K.BILLING, "402: the account has not been paid for"),
    _single(_K.MODEL_NOT_FOUND, "404: there is no such model"),
    _single(_K.INVALID_REQUEST, "400: a request the provider does not take"),
    Drill("outage", (Trouble.RESET,), "every connection breaks"),
    Drill("slow", (Trouble.SLOW,), "answers come late (--delay: by so many seconds)"),
    Drill("brownout", (_K.OVERLOADED, _K.SERVER_ERROR, Trouble.SLOW), "half of the calls fail or crawl", 0.5),
)
DRILLS = {drill.name: drill for drill in _ALL}


@dataclass(frozen=True, slots=True)
class Standing:
    """A drill that is on. ``target``: a deployment, a provider, or ``WHOLE_FLEET``.

    ``delay_s``: for ``slow`` what is added to a call, for ``timeout`` the time after which it is one (None: the call's
    own). ``until_ms``: its end by Redis's clock, milliseconds since 1970.
    """

    drill: Drill
    target: str
    share: float
    delay_s: float | None
    until_ms: int

    def aims_at(self, deployment: str) -> bool:
        return self.target in (WHOLE_FLEET, deployment, deployment.partition("/")[0])


# What befalls a single call, as the wire is told

DRILL = "drill"
"""Flag of a call that was struck by a drill and never made: in no provider's books."""
DRILL_SLOW = "drill_slow"
"""Flag of a call that was really made, and whose answer a drill held back."""


@dataclass(frozen=True, slots=True)
class Instead:
    """This response, and the provider is not called."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing comes until the call's time is up, or ``after_s`` if that is sooner."""

    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks."""


@dataclass(frozen=True, slots=True)
class Late:
    """The provider is called, and its answer held back ``by_s``; if the call's time is no longer, it is not called."""

    by_s: float


Fault = Instead | Silence | Reset | Late
