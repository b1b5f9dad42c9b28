"""Admission: which of an ask's questions may leave now, and with which key; else how long to wait, or why never."""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.core.values import Deployment, FailureKind
from app.gates.limits import Denied, Gates, Grant, Money, Reason
from app.ledger.journal import TakenAsk
from app.services.keyring import Line
from app.services.questions import Question
from app.services.warming import Warmer

_PATIENCE_MS: dict[Reason, int] = {
    "hold": 20_000,
    # Shorter denials of the breaker are its slow start or a probe under way; longer ones mean that it is open.
    "breaker_open": 1_000,
    # The budget is the whole fleet's: no other seat would be let through sooner.
    "retries": 90_000,
}
_LEAST_WAIT_S = 0.05


def patience_s(horizon_s: float) -> float:
    """How long a seat is waited for: what a track is given is answered within the horizon, and a limit that is learned
    meanwhile may be half of the one that was known."""
    return max(10.0, 3 * horizon_s)


@dataclass(frozen=True, slots=True)
class Admitted:
    """These may leave, within the margin after ``asked_at`` (monotonic seconds)."""

    line: Line
    questions: list[Question]
    grant: Grant
    asked_at: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after so many seconds; None: when something has been heard. ``for_tokens``: it is tokens that lack."""

    for_s: float | None
    for_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """No call will be made at this seat within reach."""

    kind: FailureKind
    reason: str


class Admission:
    """For one ask. The lines take turns: each key is asked first once it is the longest not asked.

    ``patience_s``: a gate that opens later than so long after the ask last moved is not waited for. Dispatch gives a
    seat no more than it can answer within the horizon; one that has to wait much longer met a limit nobody knew of,
    and others are free. Raises ``ServiceMissing`` and ``DBAPIError``.
    """

    def __init__(
        self,
        gates: Gates,
        warmer: Warmer,
        ask: TakenAsk,
        deployment: Deployment,
        margin_s: float,
        patience_s: float,
        lines: list[Line],
    ) -> None:
        self._gates = gates
        self._warmer = warmer
        self._ask = ask
        self._deployment = deployment
        self._margin_s = margin_s
        self._patience_s = patience_s
        self._lanes = lines
        self._moved_at = time.monotonic()

    def out_of_patience(self, wait_s: float = 0.0) -> bool:
        return time.monotonic() + wait_s - self._moved_at > self._patience_s

    def admit(self, due: list[Question], *, flying: bool) -> Admitted | Wait | Refused:
        """As many of them as fit now with one key; where none does, what the key that opens first says.

        ``flying``: calls of this ask are under way, and may cost less than was set aside for them.
        """
        first: tuple[Line, Denied] | None = None
        for _ in self._lanes:
            line = self._lanes[0]
            asked_at = time.monotonic()
            taken, answer = self._reserve_some(line, due)
            if isinstance(answer, Grant):
                self._moved_at = asked_at
                return Admitted(line, taken, answer, asked_at)
            if answer.reason == "cold":
                return self._denied(line, answer, flying)
            if first is None or _opens_ms(answer) < _opens_ms(first[1]):
                first = (line, answer)
            self._lanes.append(self._lanes.pop(0))
        assert first is not None
        return self._denied(*first, flying)

    def _reserve_some(self, line: Line, due: list[Question]) -> tuple[list[Question], Grant | Denied]:
        answer = self._reserve(line, due)
        if isinstance(answer, Denied) and answer.room > 0:
            due = due[: answer.room]
            answer = self._reserve(line, due)
        if isinstance(answer, Denied) and len(due) > 1 and answer.reason != "cold":
            due = due[:1]
            answer = self._reserve(line, due)
        return due, answer

    def _reserve(self, line: Line, due: list[Question]) -> Grant | Denied:
        ask = self._ask
        money = None
        if ask.max_cost_micro is not None:
            money = Money(ask.job_id, ask.max_cost_micro, sum(q.micro for q in due))
        return self._gates.reserve(
            line.scopes,
            len(due),
            sum(q.tokens for q in due),
            money=money,
            lease_s=self._deployment.timeout_s + self._margin_s,
            breaker=self._deployment.name,
            retries=sum(q.is_retry for q in due),
        )

    def _denied(self, line: Line, no: Denied, flying: bool) -> Wait | Refused:
        """Wait for a gate that opens soon, refuse the seat where it does not."""
        known_ms = _PATIENCE_MS.get(no.reason)
        wait_s = no.wait_ms / 1000
        within = (
            no.wait_ms >= 0 and not self.out_of_patience(wait_s) if known_ms is None else 0 <= no.wait_ms <= known_ms
        )
        match no.reason:
            case "cold":
                self._warmer.warm(no.cold, line.scopes, no.wait_ms, self._deployment.timeout_s)
                return Wait(0.0)
            case "day_requests" | "day_tokens" | "month_requests" | "month_tokens":
                return Refused(FailureKind.QUOTA_EXHAUSTED, f"the quota is used up ({no.rule})")
            case "hour_requests" | "hour_tokens" if not within:
                return Refused(FailureKind.QUOTA_EXHAUSTED, f"the hour's quota is used up ({no.rule})")
            case "money" if flying:
                return Wait(None)
            case "money":
                return Refused(FailureKind.BUDGET, "the job's budget is used up")
            case _ if within:
                return Wait(max(_LEAST_WAIT_S, wait_s), for_tokens=no.reason == "tokens")
            case "breaker_open":
                return Refused(FailureKind.BREAKER_OPEN, "the circuit breaker is open")
            case "tokens" if no.wait_ms < 0:
                return Refused(FailureKind.CONTEXT_LENGTH, f"one call alone is over the limit ({no.rule})")
            case _:
                return Refused(FailureKind.RATE_LIMIT, f"no slot within reach ({no.rule})")


def _opens_ms(no: Denied) -> float:
    return no.wait_ms if no.wait_ms >= 0 else float("inf")
