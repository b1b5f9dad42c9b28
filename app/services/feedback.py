"""Feedback: what gates, breaker, averages and health are told once calls have come back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.core.drills import DRILL
from app.core.errors import ServiceMissing
from app.core.health import Sign
from app.core.matrix import SPOILT, Mark, Step
from app.core.values import Answer, Deployment, Failure, FailureKind, Finish, Limits
from app.dialects.allowance import observed
from app.gates.breaker import Breaker
from app.gates.day import day_of, month_of
from app.gates.limits import Gates, Grant, Scope
from app.gates.pulse import Pulses
from app.ledger.health import Finding
from app.registry.rows import ProviderRow
from app.services import standing
from app.services.learning import Learner
from app.services.questions import Question, pulse_kind
from app.services.scopes import capacity
from app.wire import Heard

log = structlog.get_logger(__name__)

_PERIODS = {"rpd": day_of, "tpd": day_of, "rpmo": month_of, "tpmo": month_of}
_KEY_HOLD_S = 3.0
_LIMITED = frozenset({FailureKind.RATE_LIMIT, FailureKind.QUOTA_EXHAUSTED})


@dataclass(slots=True)
class Flown:
    """The calls of one grant that came back together, for one correction at the gate."""

    grant: Grant
    scopes: tuple[Scope, ...]
    cold: bool = False
    """It was the first after a long pause: see ``Pulses.wakes``."""
    unsent: list[Question] = field(default_factory=list)
    ended: list[tuple[Question, Heard, int | None]] = field(default_factory=list)
    """(question, what was heard, its cost in micro-dollars or None where the price is unknown)"""


@dataclass(frozen=True, slots=True)
class Feedback:
    """For the calls of one deployment and task kind.

    What is told after the fact may be lost with Redis: slots expire, and a cold gate asks the ledger.
    """

    engine: Engine
    gates: Gates
    breaker: Breaker
    pulses: Pulses
    learner: Learner
    row: ProviderRow
    deployment: Deployment
    kind: str

    def wakes(self) -> bool:
        """Is the call that is about to leave the first after a long pause?"""
        try:
            return self.pulses.wakes(self.deployment.name)
        except ServiceMissing:
            return False

    def give_back(self, grant: Grant, questions: list[Question]) -> None:
        """These calls were never made."""
        if questions:
            self._quietly(
                self.gates.give_back,
                grant,
                calls=len(questions),
                tokens=sum(q.tokens for q in questions),
                micro=sum(q.micro for q in questions) if grant.money else 0,
                retries=sum(q.is_retry for q in questions),
            )

    def tell(self, flown: Iterable[Flown]) -> None:
        """Correct the reservations by what the calls really took; teach breaker and averages."""
        answered: list[tuple[Question, Heard]] = []
        for flight in flown:
            self.give_back(flight.grant, flight.unsent)
            if flight.ended:
                self._quietly(self._true_up, flight)
                self._quietly(self._learn, flight)
            if not flight.cold:
                answered += [(q, heard) for q, heard, _ in flight.ended if isinstance(heard.result, Answer)]
        if answered:
            self._quietly(self._observe, answered)

    def until_reset_s(self, failure: Failure) -> float | None:
        """Until the quota that is used up starts anew, where the refusal says which one it is."""
        period = _PERIODS.get(failure.limit.rule) if failure.limit is not None else None
        if failure.kind is not FailureKind.QUOTA_EXHAUSTED or period is None:
            return None
        try:
            now_ms = self.gates.now_ms()
        except ServiceMissing:
            return None
        return (period(self.row.quota_reset, now_ms).end_ms - now_ms) / 1000

    def heed(self, failure: Failure, step: Step, scopes: tuple[Scope, ...]) -> None:
        """What a failure says about the calls to come: all processes keep to it. ``scopes``: in which it counted."""
        match step.mark:
            case Mark.HOLD | Mark.BENCH:
                self._quietly(self.gates.hold, _concerned(scopes).name, step.mark_s)
            case Mark.OUT:
                self._quietly(self._put_out, failure)

    def shun(self, scopes: tuple[Scope, ...]) -> None:
        """The key of these scopes was refused. What other threads and processes would still send with it is held,
        until they have seen that it is out; only where the scopes are that key's own."""
        if scopes[0].key_ref is not None:
            self._quietly(self.gates.hold, scopes[0].name, _KEY_HOLD_S)

    def _learn(self, flight: Flown) -> None:
        """What the responses said of limits: the latest answer's headers, and every refusal. Drills teach nothing."""
        real = [heard for _, heard, _ in flight.ended if DRILL not in heard.flags]
        stated = next((heard.headers for heard in reversed(real) if heard.headers), None)
        if stated:
            host = urlsplit(self.row.base_url).hostname or ""
            for one in observed(stated, host, self.row.name):
                self.learner.heard(_concerned(flight.scopes, one.rule), (one,))
        for heard in real:
            if not isinstance(heard.result, Failure) or heard.result.kind not in _LIMITED:
                continue
            limit = heard.result.limit
            if limit is not None:
                self.learner.heard(_concerned(flight.scopes, limit.rule), (limit,), refused=True)
            elif heard.result.kind is FailureKind.RATE_LIMIT:
                self.learner.refused(_concerned(flight.scopes, "rpm"), flight.grant.at_ms)

    def _put_out(self, failure: Failure) -> None:
        finding = Finding(self.deployment.name, Sign.REFUSED, f"{failure.kind.value}: {failure.message}")
        standing.note(self.engine, self.breaker, [finding])

    def _true_up(self, flight: Flown) -> None:
        # First the breaker, then the slots: the last failure it takes must not let another call through.
        results = [heard.result for _, heard, _ in flight.ended]
        ok = sum(1 for result in results if isinstance(result, Answer))
        failed = sum(1 for result in results if isinstance(result, Failure) and _spoilt(result, cold=flight.cold))
        self.breaker.record(self.deployment.name, ok, failed, capacity=capacity(self.deployment), grant=flight.grant)
        money = flight.grant.money is not None
        usages = [heard.result.usage for _, heard, _ in flight.ended if isinstance(heard.result, Answer | Failure)]
        self.gates.true_up(
            flight.grant,
            # What we stopped waiting for may be at work there for a moment yet: its slot is free when its lease ends.
            calls=sum(1 for _, heard, _ in flight.ended if not _given_up(heard)),
            reserved_tokens=sum(q.tokens for q, _, _ in flight.ended),
            actual_tokens=sum(usage.total for usage in usages)
            + sum(q.tokens for q, heard, _ in flight.ended if _dropped(heard)),
            reserved_micro=sum(q.micro for q, _, _ in flight.ended) if money else 0,
            # What nobody knows the cost of is held against the budget as it was reserved.
            actual_micro=sum(q.micro if cost is None or _dropped(heard) else cost for q, heard, cost in flight.ended)
            if money
            else 0,
        )

    def _observe(self, answered: list[tuple[Question, Heard]]) -> None:
        for pack in sorted({question.pack for question, _ in answered}):
            self._observe_alike([pair for pair in answered if pair[0].pack == pack], pulse_kind(self.kind, pack))

    def _observe_alike(self, answered: list[tuple[Question, Heard]], kind: str) -> None:
        usages = [heard.result.usage for _, heard in answered if isinstance(heard.result, Answer)]
        self.pulses.observe(
            self.deployment.name,
            kind,
            latencies_ms=[heard.latency_ms for _, heard in answered],
            outputs=[u.output_tokens + u.reasoning_tokens for u in usages],
            tokens_sum=sum(u.total for u in usages),
            input_tokens_sum=sum(u.input_tokens + u.cached_tokens for u in usages),
            guessed_input_sum=sum(q.guessed_input for q, _ in answered),
        )

    @staticmethod
    def _quietly(act: Any, *args: Any, **kwargs: Any) -> None:
        try:
            act(*args, **kwargs)
        except (ServiceMissing, DBAPIError) as error:
            log.warning("a service is away; its counts lag", action="ask.lag", error=type(error).__name__)


def _concerned(scopes: tuple[Scope, ...], rule: str | None = None) -> Scope:
    """Whose limit it is: that of the scope that has one of this kind, the model's before the account's; else the
    model's where it has any limits of its own."""
    account, model = scopes
    for scope in (model, account) if rule is not None else ():
        if getattr(scope.limits, rule or "", None) is not None:
            return scope
    return model if model.limits != Limits() else account


def _given_up(heard: Heard) -> bool:
    return _dropped(heard) or (isinstance(heard.result, Failure) and heard.result.kind is FailureKind.TIMEOUT)


def _dropped(heard: Heard) -> bool:
    """We hung up on it, and it may be answered there all the same: it counts with what was reserved for it."""
    return isinstance(heard.result, Failure) and heard.result.kind is FailureKind.AMBIGUOUS


def _spoilt(failure: Failure, *, cold: bool) -> bool:
    """Did the server's side spoil this call? Not by loading a model once, nor where our own token limit cut it off."""
    if failure.kind is FailureKind.TIMEOUT:
        return not cold
    return failure.kind in SPOILT and failure.finish is not Finish.LENGTH
