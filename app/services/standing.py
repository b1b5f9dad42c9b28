"""A deployment's standing: what was found of it goes into the ledger, and a change of its health takes effect."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from sqlalchemy import Engine

from app.core.health import State
from app.gates.breaker import Breaker
from app.ledger import health, upkeep
from app.ledger.health import Finding, Noted

log = structlog.get_logger(__name__)

_SHUT_S = 86_400.0
"""The breaker of who is out: until a ping closes it. Every look shuts it anew, in case Redis forgot."""


def note(engine: Engine, breaker: Breaker, findings: Sequence[Finding]) -> list[Noted]:
    """Write down what was found; the one way in which health changes.

    Who is out has its breaker shut, so that nothing leaves for it, whoever has taken it on already. Who comes back
    from out or down begins slowly, and wakes the chunks that waited for somebody.
    """
    noted = health.note(engine, findings)
    for one in noted:
        now = one.known.state
        if now is State.OUT:
            breaker.force_open(one.deployment, _SHUT_S)
        elif one.changed and one.before in (State.DOWN, State.OUT) and now is not State.DOWN:
            breaker.recover(one.deployment)
        if one.changed and now is not None:
            level = log.info if now is State.HEALTHY else log.error
            level("health changed", action="health.change", deployment=one.deployment, before=one.before, now=now.value,
                  reason=one.reason)  # fmt: skip
    if any(one.changed and one.known.state is not None and one.known.state.usable for one in noted):
        upkeep.wake_parked(engine)
    return noted
