"""Asking: one seat's questions for one chunk, from the reservation to the votes.

Reserve, write down, call, close: in that order, so that no limit is broken, no call goes unrecorded, and none that
was completed is made again. What a provider does wrong becomes a ballot, never an exception.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.core import pricing, prompts, retry
from app.core.errors import NotFound, ServiceMissing
from app.core.plan import SYNTHESISER
from app.core.values import Answer, Deployment, Failure, FailureKind, Request, Usage
from app.dialects import DIALECTS
from app.gates.breaker import Breaker
from app.gates.limits import Denied, Gates, Grant, Money
from app.gates.pulse import Pulse, Pulses
from app.gates.spill import Spill
from app.ledger import history, journal
from app.ledger.journal import Casting, Closing, Opening, TakenAsk, TakenItem
from app.ledger.states import AttemptState
from app.registry.fleet import FleetFile
from app.registry.secrets import api_key
from app.services.echoes import keyless
from app.services.turnstile import Turnstile
from app.services.warming import Warmer, scopes_of
from app.wire import Heard, Outgoing, Unsent, Wire

log = structlog.get_logger(__name__)

# A gate that opens no later than this is waited for; any per-minute window does within the minute.
_PATIENCE_MS = 90_000
_HOLD_PATIENCE_MS = 20_000
# Shorter denials of the breaker are its slow start or a probe under way; longer ones mean that it is open.
_BREAKER_PATIENCE_MS = 1_000
_LEAST_WAIT_S = 0.05
_LOOK_AROUND_S = 1.0
# Answers that come this close together share one write.
_LINGER_S = 0.004
_RETRY_LATER_S = 0.5
_LEDGER_PATIENCE_S = 3.0
_LEARNED_AFTER = 20
_HEADROOM = 1.1
# An ask that outlives this many workers is what kills them.
_MOST_TAKES = 10

_SERVER_SIDE = frozenset({FailureKind.TIMEOUT, FailureKind.SERVER_ERROR, FailureKind.OVERLOADED})
_PUTS_OUT = frozenset({FailureKind.AUTH, FailureKind.BILLING, FailureKind.MODEL_NOT_FOUND})


@dataclass(slots=True)
class Question:
    """One item's way through this seat. ``number``: of its next attempt row; ``used``: calls that were really made."""

    item: TakenItem
    number: int
    used: int
    request: Request
    guessed_input: int
    tokens: int
    micro: int
    not_before: float = 0.0


@dataclass(slots=True)
class Flight:
    question: Question
    grant: Grant


@dataclass(slots=True)
class Completed:
    """What came back of one grant's calls since the last look: for one correction at the gate."""

    calls: int = 0
    reserved_tokens: int = 0
    actual_tokens: int = 0
    reserved_micro: int = 0
    actual_micro: int = 0
    ok: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """``chunk_id`` wants to be settled; ``handed_back``: the ask goes on elsewhere and wants its bell."""

    chunk_id: int
    provider: str
    rings: int
    handed_back: bool = False


@dataclass(slots=True)
class Asker:
    """Everything an ask needs, once a process. ``worker`` is this process's name in the ledger's leases."""

    engine: Engine
    fleet: FleetFile
    gates: Gates
    breaker: Breaker
    pulses: Pulses
    spill: Spill
    wire: Wire
    warmer: Warmer
    worker: str
    lease_s: float
    margin_s: float
    draining: threading.Event = field(default_factory=threading.Event)
    turnstile: Turnstile = field(default_factory=Turnstile)
    active: set[int] = field(default_factory=set)
    """Asks that a thread of this process is really at work on: only their leases are renewed."""

    def ask(self, ask_id: int) -> Asked | None:
        """Work an ask off. None: it was not to be had (done, or somebody else's)."""
        if ask_id in self.active:
            # Its lease was lost and a thread here does not know yet: in the ledger the two would be one worker.
            return None
        taken = journal.take_ask(self.engine, ask_id, self.worker, self.lease_s)
        if taken is None:
            return None
        errand = Errand(self, taken)
        self.active.add(taken.id)
        try:
            return Asked(taken.chunk_id, errand.provider, taken.rings, handed_back=not errand.run())
        finally:
            self.active.discard(taken.id)


class Errand:
    """One taken ask on its way. Lives in one thread; the calls themselves fly on the process's event loop."""

    def __init__(self, asker: Asker, ask: TakenAsk) -> None:
        self._asker = asker
        self._ask = ask
        self.provider = ask.deployment.partition("/")[0]
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._todo: list[Question] = []
        self._flying: dict[int, Flight] = {}
        self._closings: list[Closing] = []
        self._castings: list[Casting] = []
        self._overdue_at = time.monotonic() + ask.left_s
        self._done = False

    def run(self) -> bool:
        """True when every item has its ballot; false when a draining worker handed the rest back."""
        try:
            fleet = self._asker.fleet.current()
            self._deployment = fleet.deployment(self._ask.deployment)
            self._row = fleet.provider(self.provider)
        except NotFound:
            self._refuse(FailureKind.MODEL_NOT_FOUND, "the deployment is no longer in the fleet file", self._ask.items)
            self._write(last=True)
            return True
        self._scopes = scopes_of(fleet, self._deployment)
        self._prepare()
        try:
            while self._todo or self._flying:
                if self._asker.draining.is_set() and not self._flying:
                    self._write(last=False)
                    journal.release_ask(self._asker.engine, self._ask.id, self._asker.worker, self._asker.lease_s)
                    return False
                self._collect(self._launch())
                self._write(last=not self._todo and not self._flying)
        finally:
            self._asker.turnstile.leave(self._deployment.name, self._inbox)
        if not self._done:
            self._write(last=True)
        return True

    # Before the call

    def _prepare(self) -> None:
        """Word the questions and guess what they will take."""
        ask, deployment = self._ask, self._deployment
        self._pulse = self._estimate()
        self._price = (deployment.price.input_micro, deployment.price.output_micro)
        self._url = self._row.base_url.rstrip("/")
        key = api_key(self._row)
        self._authorization = {"authorization": f"Bearer {key}"} if key else {}
        self._hear = keyless(DIALECTS[self._row.protocol].hear, key)
        for item in ask.items:
            self._todo.append(self._question(item, restated=False))
        if ask.job_state == "cancelled":
            self._refuse_all(FailureKind.OVERDUE, "the job was cancelled")
        elif self._row.api_key_env and not key:
            self._refuse_all(FailureKind.AUTH, f"{self._row.api_key_env} is not set")
        elif ask.takes > _MOST_TAKES:
            self._refuse_all(FailureKind.AMBIGUOUS, f"{ask.takes} workers were lost over this ask")

    def _estimate(self) -> Pulse:
        try:
            name = self._deployment.name
            return self._asker.pulses.estimates([name], self._ask.task.kind)[name]
        except ServiceMissing:
            return Pulse()

    def _question(
        self, item: TakenItem, *, restated: bool, number: int | None = None, used: int | None = None
    ) -> Question:
        ask, deployment = self._ask, self._deployment
        if ask.plan.seats[ask.seat].role == SYNTHESISER:
            request = prompts.synthesis(ask.task, item.text, item.voices, deployment, ask.plan.seed + item.id)
        else:
            request = prompts.ask(ask.task, item.text, deployment, restated=restated)
        guess = pricing.estimate_input_tokens(request.messages)
        inputs, outputs = guess, request.max_tokens
        if self._pulse.samples >= _LEARNED_AFTER:
            inputs = int(guess * self._pulse.input_ratio * _HEADROOM) + 2
            outputs = min(outputs, int(self._pulse.output_high * _HEADROOM) + 2)
        return Question(
            item,
            number=item.used + 1 if number is None else number,
            used=item.used if used is None else used,
            request=request,
            guessed_input=guess,
            tokens=inputs + outputs,
            micro=pricing.cost_micro(Usage(input_tokens=inputs, output_tokens=outputs), deployment.price),
        )

    def _launch(self) -> float | None:
        """Send what may be sent now. Returns the seconds after which to look again; None: when something is heard."""
        if self._asker.draining.is_set() or not self._todo:
            return None
        now = time.monotonic()
        if now >= self._overdue_at:
            self._refuse_all(FailureKind.OVERDUE, "the deadline has passed")
            return 0.0
        due = [q for q in self._todo if q.not_before <= now]
        if not due:
            self._asker.turnstile.leave(self._deployment.name, self._inbox)
            return min(q.not_before for q in self._todo) - now
        if not self._asker.turnstile.join(self._deployment.name, self._inbox):
            return _LOOK_AROUND_S
        try:
            wait = self._reserve_and_send(due)
        except (ServiceMissing, DBAPIError) as error:
            log.warning("a service is away; the ask waits", action="ask.wait", error=type(error).__name__)
            return _RETRY_LATER_S
        if not any(q.not_before <= now for q in self._todo):
            self._asker.turnstile.leave(self._deployment.name, self._inbox)
        return wait

    def _reserve_and_send(self, due: list[Question]) -> float | None:
        asked_at = time.monotonic()
        answer = self._reserve(due)
        if isinstance(answer, Denied) and answer.room > 0:
            due = due[: answer.room]
            asked_at = time.monotonic()
            answer = self._reserve(due)
        if isinstance(answer, Denied) and len(due) > 1 and answer.reason != "cold":
            due = due[:1]
            asked_at = time.monotonic()
            answer = self._reserve(due)
        if isinstance(answer, Denied):
            return self._denied(answer)
        self._send(due, answer, not_after=asked_at + self._asker.margin_s / 2)
        return 0.0 if len(due) < len(self._todo) else None

    def _reserve(self, due: list[Question]) -> Grant | Denied:
        ask = self._ask
        money = None
        if ask.max_cost_micro is not None:
            money = Money(ask.job_id, ask.max_cost_micro, sum(q.micro for q in due))
        return self._asker.gates.reserve(
            self._scopes,
            len(due),
            sum(q.tokens for q in due),
            money=money,
            lease_s=self._deployment.timeout_s + self._asker.margin_s,
            breaker=self._deployment.name,
        )

    def _denied(self, no: Denied) -> float | None:
        """Wait for a gate that opens soon, refuse the seat where it does not. Returns as ``_launch``."""
        patience_ms = {"hold": _HOLD_PATIENCE_MS, "breaker_open": _BREAKER_PATIENCE_MS}.get(no.reason, _PATIENCE_MS)
        match no.reason:
            case "cold":
                self._asker.warmer.warm(no.cold, self._scopes, no.wait_ms, self._deployment.timeout_s)
                return 0.0
            case "day_requests" | "day_tokens":
                self._refuse_all(FailureKind.QUOTA_EXHAUSTED, f"today's quota is used up ({no.rule})")
            case "money" if self._flying:
                return None  # what comes back may have cost less than was set aside for it
            case "money":
                self._refuse_all(FailureKind.BUDGET, "the job's budget is used up")
            case _ if 0 <= no.wait_ms <= patience_ms:
                return max(_LEAST_WAIT_S, no.wait_ms / 1000)
            case "breaker_open":
                self._refuse_all(FailureKind.BREAKER_OPEN, "the circuit breaker is open")
            case "tokens" if no.wait_ms < 0:
                self._refuse_all(FailureKind.CONTEXT_LENGTH, f"one call alone is over the limit ({no.rule})")
            case _:
                self._refuse_all(FailureKind.RATE_LIMIT, f"no slot within reach ({no.rule})")
        return 0.0

    def _send(self, due: list[Question], grant: Grant, not_after: float) -> None:
        """Write the attempts down, then let them fly. Nothing is sent that is not in the ledger."""
        openings = [Opening(q.item.id, q.number, q.tokens) for q in due]
        try:
            opened = journal.open_attempts(
                self._asker.engine,
                self._ask,
                self._asker.worker,
                openings,
                provider=self.provider,
                prices=self._price,
            )
        except DBAPIError:
            self._give_back(grant, due)
            raise
        dialect = DIALECTS[self._row.protocol]
        outgoing = []
        missing = []
        for question in due:
            self._todo.remove(question)
            attempt_id = opened.get(question.item.id)
            if attempt_id is None:
                missing.append(question)
                self._cast_failure(question, None, FailureKind.AMBIGUOUS, "another worker has made this call")
                continue
            self._flying[attempt_id] = Flight(question, grant)
            said = dialect.say(question.request)
            headers = {**said.headers, **self._authorization, "x-request-id": f"sy-{attempt_id}"}
            outgoing.append(
                Outgoing(
                    token=attempt_id,
                    url=self._url + said.path,
                    headers=headers,
                    body=said.body,
                    timeout_s=self._deployment.timeout_s,
                    hear=self._hear,
                    not_after=not_after,
                )
            )
        if missing:
            self._give_back(grant, missing)
        self._asker.wire.start(outgoing, self._inbox)

    def _give_back(self, grant: Grant, questions: list[Question]) -> None:
        self._asker.gates.give_back(
            grant,
            calls=len(questions),
            tokens=sum(q.tokens for q in questions),
            micro=sum(q.micro for q in questions) if grant.money else 0,
        )

    # After the call

    def _collect(self, wait_s: float | None) -> None:
        """Take in what was heard: wait for the first, then for those that come close behind it."""
        if wait_s == 0.0 and self._inbox.empty():
            return
        heard: list[tuple[int, Heard]] = []
        try:
            first = self._inbox.get(timeout=_LOOK_AROUND_S if wait_s is None else min(wait_s, _LOOK_AROUND_S))
            until = time.monotonic() + _LINGER_S
            while True:
                if first is not Turnstile.TURN:
                    heard.append(first)
                left = until - time.monotonic()
                if len(heard) >= len(self._flying):
                    break
                first = self._inbox.get(timeout=left) if left > 0 else self._inbox.get_nowait()
        except Empty:
            pass
        if heard:
            self._take_in(heard)

    def _take_in(self, heard: list[tuple[int, Heard]]) -> None:
        completed: dict[str, Completed] = defaultdict(Completed)
        grants: dict[str, Grant] = {}
        answered: list[tuple[Question, Heard, Usage]] = []
        unsent: dict[str, list[Question]] = defaultdict(list)
        for attempt_id, said in heard:
            flight = self._flying.pop(attempt_id)
            question, grant = flight.question, flight.grant
            if isinstance(said.result, Unsent):
                self._closings.append(Closing(attempt_id, AttemptState.UNSENT))
                question.number += 1
                self._todo.append(question)
                grants[grant.id] = grant
                unsent[grant.id].append(question)
                continue
            usage = said.result.usage
            cost = pricing.cost_micro(usage, self._deployment.price)
            done = completed[grant.id]
            grants[grant.id] = grant
            done.calls += 1
            done.reserved_tokens += question.tokens
            done.actual_tokens += usage.total
            if grant.money:
                done.reserved_micro += question.micro
                done.actual_micro += cost
            question.used += 1
            if isinstance(said.result, Answer):
                done.ok += 1
                answered.append((question, said, usage))
                self._answered(question, attempt_id, said, said.result, cost)
            else:
                done.failed += said.result.kind in _SERVER_SIDE
                self._failed(question, attempt_id, said, said.result, cost)
        for grant_id, questions in unsent.items():
            self._quietly(self._give_back, grants[grant_id], questions)
        self._quietly(self._true_up, grants, completed)
        self._quietly(self._observe, answered)

    def _answered(self, question: Question, attempt_id: int, heard: Heard, answer: Answer, cost: int) -> None:
        ask = self._ask
        self._closings.append(
            Closing(
                attempt_id,
                AttemptState.ANSWERED,
                status=heard.status,
                latency_ms=heard.latency_ms,
                usage=answer.usage,
                cost_micro=cost,
                text=answer.text,
                flags=answer.flags,
            )
        )
        parsed = ask.task.read(answer.text)
        flags = (*answer.flags, *parsed.flags)
        if parsed.answer is not None:
            self._castings.append(Casting(question.item.id, attempt_id, parsed.answer, None, question.used, flags))
        elif retry.after_abstention(question.used, ask.tries).action is retry.Action.RESTATE:
            self._todo.append(
                self._question(question.item, restated=True, number=question.number + 1, used=question.used)
            )
        else:
            self._castings.append(
                Casting(question.item.id, attempt_id, None, None, question.used, flags, parsed.reason)
            )

    def _failed(self, question: Question, attempt_id: int, heard: Heard, failure: Failure, cost: int) -> None:
        self._closings.append(
            Closing(
                attempt_id,
                AttemptState.FAILED,
                failure=failure.kind,
                status=failure.status or heard.status,
                latency_ms=heard.latency_ms,
                usage=failure.usage,
                cost_micro=cost,
                text=failure.message,
            )
        )
        self._quietly(self._heed, failure)
        step = retry.after_failure(failure, question.used, self._ask.tries)
        match step.action:
            case retry.Action.GIVE_UP:
                self._cast_failure(question, attempt_id, failure.kind, failure.message)
            case retry.Action.AGAIN:
                question.number += 1
                question.not_before = time.monotonic() + step.delay_s * random.uniform(0.5, 1.5)
                self._todo.append(question)
            case retry.Action.RESTATE:
                self._todo.append(
                    self._question(question.item, restated=True, number=question.number + 1, used=question.used)
                )

    def _heed(self, failure: Failure) -> None:
        """What a refusal says about the calls to come: all processes keep to it."""
        asker, name = self._asker, self._deployment.name
        shut = f"deployment:{name}" if _has_limits(self._deployment) else f"provider:{self.provider}"
        if failure.kind is FailureKind.RATE_LIMIT:
            asker.gates.hold(
                shut, failure.retry_after_s if failure.retry_after_s is not None else retry.BACKOFF_FIRST_S
            )
        elif failure.kind is FailureKind.QUOTA_EXHAUSTED:
            asker.gates.hold(shut, failure.retry_after_s if failure.retry_after_s is not None else 3600.0)
        elif failure.kind in _PUTS_OUT:
            checkup = history.Checkup(name, "out", f"{failure.kind}: {failure.message}")
            for deployment, before, now, _ in history.write_health(asker.engine, [checkup]):
                log.error(
                    "deployment out",
                    action="health.out",
                    deployment=deployment,
                    before=before,
                    now=now,
                    kind=failure.kind.value,
                )

    def _true_up(self, grants: dict[str, Grant], completed: dict[str, Completed]) -> None:
        for grant_id, done in completed.items():
            self._asker.gates.true_up(
                grants[grant_id],
                calls=done.calls,
                reserved_tokens=done.reserved_tokens,
                actual_tokens=done.actual_tokens,
                reserved_micro=done.reserved_micro,
                actual_micro=done.actual_micro,
            )
            self._asker.breaker.record(self._deployment.name, done.ok, done.failed, grant=grants[grant_id])

    def _observe(self, answered: list[tuple[Question, Heard, Usage]]) -> None:
        if answered:
            self._asker.pulses.observe(
                self._deployment.name,
                self._ask.task.kind,
                calls=len(answered),
                latency_ms_sum=sum(h.latency_ms for _, h, _ in answered),
                tokens_sum=sum(u.total for _, _, u in answered),
                input_tokens_sum=sum(u.input_tokens + u.cached_tokens for _, _, u in answered),
                guessed_input_sum=sum(q.guessed_input for q, _, _ in answered),
                output_tokens_max=max(u.output_tokens + u.reasoning_tokens for _, _, u in answered),
            )

    @staticmethod
    def _quietly(act: Any, *args: Any) -> None:
        """What Redis is told after the fact may be lost with it: slots expire, and a cold gate asks the ledger."""
        try:
            act(*args)
        except (ServiceMissing, DBAPIError) as error:
            log.warning("a service is away; its counts lag", action="ask.lag", error=type(error).__name__)

    # Into the ledger

    def _refuse(self, kind: FailureKind, reason: str, items: tuple[TakenItem, ...]) -> None:
        for item in items:
            self._castings.append(Casting(item.id, None, None, kind, item.used, reason=reason))

    def _refuse_all(self, kind: FailureKind, reason: str) -> None:
        for question in self._todo:
            self._cast_failure(question, None, kind, reason)
        self._todo.clear()

    def _cast_failure(self, question: Question, attempt_id: int | None, kind: FailureKind, reason: str) -> None:
        self._castings.append(
            Casting(question.item.id, attempt_id, None, kind, question.used, reason=reason[:300] or None)
        )

    def _write(self, *, last: bool) -> None:
        """Close attempts and cast votes. While Postgres is away the answers are kept, here and then in Redis."""
        if not (self._closings or self._castings or last):
            return
        parameters = journal.closing_parameters(
            self._ask.id, self._ask.chunk_id, self._ask.seat, self._asker.worker, self._closings, self._castings, last
        )
        patience_until = time.monotonic() + _LEDGER_PATIENCE_S
        while True:
            try:
                journal.close(self._asker.engine, parameters)
                break
            except DBAPIError as error:
                if not _away(error):
                    raise
                log.warning("postgres is away; answers are kept", action="ledger.away", ask=self._ask.id)
            if time.monotonic() > patience_until and self._spilled(parameters):
                break
            time.sleep(_RETRY_LATER_S)
        self._closings, self._castings = [], []
        self._done = self._done or last

    def _spilled(self, parameters: dict[str, Any]) -> bool:
        try:
            self._asker.spill.push(parameters)
        except ServiceMissing:
            return False
        log.warning("answers spilled to redis", action="ledger.spill", ask=self._ask.id)
        return True


def _away(error: DBAPIError) -> bool:
    """Is it the server that is missing, rather than the statement that is wrong?"""
    return error.connection_invalidated or type(error).__name__ in ("OperationalError", "InterfaceError")


def _has_limits(deployment: Deployment) -> bool:
    limits = deployment.limits
    return any(v is not None for v in (limits.rpm, limits.rpd, limits.tpm, limits.tpd, limits.concurrency))
