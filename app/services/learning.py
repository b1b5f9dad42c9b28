"""Learning limits: what responses and refusals say, put into force at the gates and written into the ledger."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import structlog
from sqlalchemy import Engine

from app.core import learning
from app.core.learning import Lesson
from app.core.values import Observed
from app.gates.limits import Gates, Rule, Scope
from app.gates.terms import RULES
from app.ledger import learned

log = structlog.get_logger(__name__)

_WINDOW_S = 60.0


@dataclass(slots=True)
class _Stated:
    value: int
    ends: float
    """By this process's monotonic clock, as ``renew_from``."""
    renew_from: float


class Learner:
    """For one process; safe to share between threads. Raises ``ServiceMissing`` and ``DBAPIError``.

    A limit that is stated with every answer is put down when it is new, when it changes and when half of its time is
    gone, not with every answer. What is in force is the gates', and so the same for all processes.
    """

    def __init__(self, engine: Engine, gates: Gates) -> None:
        self._engine = engine
        self._gates = gates
        self._stated: dict[tuple[str, str], _Stated] = {}

    def heard(self, scope: Scope, observed: Iterable[Observed], *, refused: bool = False) -> None:
        """A response stated these limits about ``scope``; ``refused``: as the reason why it refuses."""
        for one in observed:
            if one.rule in RULES:
                self._learn(scope, one, refused)
                if one.remaining == 0 and one.reset_s:
                    self._hold(scope, one)

    def refused(self, scope: Scope, granted_ms: int) -> None:
        """A call of ``scope``, granted at ``granted_ms`` of Redis's clock, was refused as one too many, and no limit
        was named."""
        now_ms = self._gates.now_ms()
        last = self._gates.lessons(scope.name).get("rpm")
        if last is not None and last.until_ms > now_ms and granted_ms <= last.at_ms:
            return
        since_s = _WINDOW_S if last is None else max(0.0, (now_ms - last.at_ms) / 1000)
        accepted, since = learned.accepted(
            self._engine,
            name=scope.subject,
            deployment=scope.kind == "deployment",
            key_ref=scope.key_ref,
            within_s=_WINDOW_S,
            since_s=min(since_s, _WINDOW_S),
        )
        in_force = next(rule.limit for rule in self._gates.usage(scope).rules if rule.rule == "rpm")
        lasted_s = None if last is None or not last.inferred else (last.until_ms - last.at_ms) / 1000
        lesson = learning.backed_off(accepted, in_force, lasted_s, tried=since > 0)
        if lesson is not None:
            self._put_down(scope, lesson, refused_at_ms=granted_ms)

    def _learn(self, scope: Scope, one: Observed, refused: bool) -> None:
        now, key = time.monotonic(), (scope.name, one.rule)
        before = self._stated.get(key)
        if before is not None and before.ends <= now:
            before = None
        configured = getattr(scope.limits, one.rule)
        value = None if before is None else before.value
        lesson = learning.learned_from(one, configured, value, upwards=scope.learn_upwards, refused=refused)
        if lesson is None or (before is not None and before.value == lesson.value and now < before.renew_from):
            return
        self._stated[key] = _Stated(lesson.value, now + lesson.for_s, now + lesson.for_s / 2)
        self._put_down(scope, lesson)

    def _hold(self, scope: Scope, one: Observed) -> None:
        usage = {rule.rule: rule for rule in self._gates.usage(scope).rules}.get(cast(Rule, one.rule))
        used, in_force = (0, None) if usage is None else (usage.used, usage.limit)
        wait_s = learning.hold_s(one, used, in_force)
        if wait_s is not None:
            self._gates.hold(scope.name, wait_s)

    def _put_down(self, scope: Scope, lesson: Lesson, *, refused_at_ms: int | None = None) -> None:
        rule = cast(Rule, lesson.rule)
        if self._gates.learn(scope.name, rule, lesson.value, lesson.for_s, refused_at_ms=refused_at_ms):
            learned.write(self._engine, scope.name, lesson)
            log.info(
                "limit learned",
                action="limit.learned",
                scope=scope.name,
                rule=lesson.rule,
                value=lesson.value,
                for_s=lesson.for_s,
                why=lesson.why,
            )
