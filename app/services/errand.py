"""One ask on its way: one seat's questions for one chunk, from the reservation to the votes.

Reserve, write down, call, close: in that order, so that no limit is broken, no call goes unrecorded, and none that
was completed is made again. What a provider does wrong becomes a ballot, never an exception.
"""

from __future__ import annotations

import time
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from app.core.errors import NotFound, ServiceMissing
from app.core.selection import eligible
from app.core.values import FailureKind
from app.gates.limits import Grant
from app.gates.pulse import Pulse
from app.ledger import journal
from app.ledger.journal import TakenAsk
from app.services import packs
from app.services.admission import Admitted, Refused, Wait
from app.services.discretion import Discretion
from app.services.hedging import Hedge, Ring, patience_s
from app.services.keyring import Line
from app.services.landing import Flight, Landing
from app.services.means import Means
from app.services.questions import Question, TooLong, Wording, pulse_kind
from app.services.recording import Record
from app.services.turnstile import Turnstile
from app.services.way import GONE, Way
from app.wire import Heard

log = structlog.get_logger(__name__)

_LOOK_AROUND_S = 1.0
# Answers that come this close together share one write.
_LINGER_S = 0.004
_RETRY_LATER_S = 0.5
# An ask that outlives this many workers is what kills them.
_MOST_TAKES = 10


class Errand:
    """One taken ask on its way. Lives in one thread; the calls themselves fly on the process's event loop."""

    def __init__(self, means: Means, ask: TakenAsk, ring: Ring) -> None:
        self._means = means
        self._ask = ask
        self.provider = ask.deployment.partition("/")[0]
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._todo: list[Question] = []
        self._flying: dict[int, Flight] = {}
        self._record = Record(means.engine, means.spill, ask, means.worker)
        self._overdue_at = time.monotonic() + ask.left_s
        self._ring = ring
        self._hedge: Hedge | None = None

    def run(self) -> bool:
        """True when every item has its ballot; false when a draining worker handed the rest back."""
        try:
            self._way = Way(self._means, self._ask)
        except NotFound:
            for item in self._ask.items:
                self._record.fail(item.id, None, FailureKind.MODEL_NOT_FOUND, item.used, GONE)
            self._record.write(last=True, grounded=True)
            return True
        self._prepare()
        try:
            while self._todo or self._flying:
                if self._means.draining.is_set() and not self._flying:
                    self._record.write(last=False, grounded=True)
                    journal.release_ask(self._means.engine, self._ask.id, self._means.worker, self._means.lease_s)
                    return False
                self._collect(self._hedged(self._launch()))
                self._record.write(last=not self._todo and not self._flying, grounded=not self._flying)
        finally:
            self._means.turnstile.leave(self._way.deployment.name, self._inbox)
        if not self._record.ended:
            self._record.write(last=True, grounded=True)
        return True

    def _prepare(self) -> None:
        """Word the questions, or refuse them all where no call is to be made."""
        ask, deployment = self._ask, self._way.deployment
        self._discretion = Discretion.of(self._ask, deployment)
        ask = self._ask = self._discretion.ask
        self._record.through = self._discretion.cast
        pack = ask.plan.seats[ask.seat].pack
        self._wording = Wording(ask, deployment, self._pulse(), self._pulse(pack) if pack > 1 else Pulse())
        self._word()
        if ask.plan.recipe.shape.hedges:
            patience = patience_s(self._wording.pulse, ask.plan.seats[ask.seat].latency_ms)
            self._hedge = Hedge(self._means.engine, ask.id, ask.chunk_id, patience, self._ring)
        if ask.job_state == "cancelled":
            self._refuse_all(FailureKind.OVERDUE, "the job was cancelled")
        elif self._discretion.barred:
            self._refuse_all(FailureKind.PRIVACY, "the item must not leave, and this deployment is not local")
        elif keyless := self._way.keyless():
            self._refuse_all(FailureKind.AUTH, keyless)
        elif ask.max_cost_micro is not None and deployment.price is None:
            self._refuse_all(
                FailureKind.BUDGET, "unpriced: nobody knows what a call costs here, and the job has a budget"
            )
        elif ask.takes > _MOST_TAKES:
            self._refuse_all(FailureKind.AMBIGUOUS, f"{ask.takes} workers were lost over this ask")

    def _word(self) -> None:
        """Word every item; one too long for this window goes to a wider one, or is cut where the fleet has none."""
        ask = self._ask
        wish = ask.terms.wanted(ask.plan.recipe)
        widest = max((d.context_window for d in self._way.fleet.deployments if eligible(d, wish) is None), default=0)
        together, alone = packs.dealt(self._wording)
        self._todo += together
        for item in alone:
            worded = self._wording.first(item, cut=False)
            if isinstance(worded, TooLong) and worded.needs > widest:
                worded = self._wording.first(item, cut=True)
            if isinstance(worded, TooLong):
                window = self._way.deployment.context_window
                reason = f"takes about {worded.needs} tokens, the window has {window}"
                kind = FailureKind.CONTEXT_LENGTH
                self._record.fail(item.id, None, kind, item.used, reason, needs=worded.needs)
            else:
                self._todo.append(worded)

    def _pulse(self, pack: int = 1) -> Pulse:
        try:
            name = self._way.deployment.name
            return self._means.pulses.estimates([name], pulse_kind(self._ask.task.kind, pack))[name]
        except ServiceMissing:
            return Pulse()

    def _estimate_again(self) -> None:
        """While a chunk waits for tokens others learn how few they take: it need not wait for more than that."""
        pack = self._ask.plan.seats[self._ask.seat].pack
        packed = self._pulse(pack) if pack > 1 else Pulse()
        self._wording = replace(self._wording, pulse=self._pulse(), packed=packed)
        for question in self._todo:
            self._wording.estimate(question)

    def _launch(self) -> float | None:
        """Send what may be sent now. Returns the seconds after which to look again; None: when something is heard."""
        if self._means.draining.is_set() or not self._todo:
            return None
        now = time.monotonic()
        if now >= self._overdue_at:
            self._refuse_all(FailureKind.OVERDUE, "the deadline has passed")
            return 0.0
        if self._keep_in():
            return 0.0
        # Those that failed least go first: the one call of a probe, and what a nearly spent retry budget lets through.
        due = sorted((q for q in self._todo if q.not_before <= now), key=lambda q: q.failed)
        if not due:
            self._means.turnstile.leave(self._way.deployment.name, self._inbox)
            return min(q.not_before for q in self._todo) - now
        if not self._means.turnstile.join(self._way.deployment.name, self._inbox):
            if self._way.admission.out_of_patience() and not self._flying:
                self._refuse_all(FailureKind.RATE_LIMIT, "no slot within reach (others are before it)")
                return 0.0
            return _LOOK_AROUND_S
        try:
            wait = self._reserve_and_send(due)
        except (ServiceMissing, DBAPIError) as error:
            log.warning("a service is away; the ask waits", action="ask.wait", error=type(error).__name__)
            return _RETRY_LATER_S
        if not any(q.not_before <= now for q in self._todo):
            self._means.turnstile.leave(self._way.deployment.name, self._inbox)
        return wait

    def _hedged(self, wait_s: float | None) -> float | None:
        """Let go of what others have answered meanwhile. Returns when to look again, as ``_launch``."""
        if self._hedge is None:
            return wait_s
        flying = {attempt_id: flight.question.item_ids for attempt_id, flight in self._flying.items()}
        waiting = [item_id for question in self._todo for item_id in question.item_ids]
        outrun = self._hedge.outrun(flying, waiting)
        if outrun:
            self._means.wire.drop([attempt_id for attempt_id, items in flying.items() if outrun.issuperset(items)])
            self._todo = [question for question in self._todo if not outrun.issuperset(question.item_ids)]
        again_s = self._hedge.look_again_s()
        return wait_s if again_s is None else again_s if wait_s is None else min(wait_s, again_s)

    def _keep_in(self) -> bool:
        """Refuse the questions that hold what must not leave; was there any? Each is looked at once as it is worded."""
        found = [(q, kinds) for q in self._todo if not q.vetted and (kinds := self._discretion.betrays(q.request))]
        for question in self._todo:
            question.vetted = True
        for question, kinds in found:
            self._todo.remove(question)
            if question.ids:
                self._todo += packs.unpacked(self._wording, question)
            else:
                reason = f"it holds {kinds}, and this deployment is not local"
                self._record.fail_question(question, None, FailureKind.PRIVACY, reason)
        return bool(found)

    def _reserve_and_send(self, due: list[Question]) -> float | None:
        """Let through what may go. Returns as ``_launch``."""
        match self._way.keep_up() or self._way.admission.admit(due, flying=bool(self._flying)):
            case Admitted(line, taken, grant, asked_at):
                self._send(line, taken, grant, not_after=asked_at + self._means.margin_s / 2)
                return 0.0 if len(taken) < len(self._todo) else None
            case Refused(FailureKind.CONTEXT_LENGTH, _) if any(q.ids for q in self._todo):
                self._todo = [single for question in self._todo for single in packs.unpacked(self._wording, question)]
                return 0.0
            case Refused(kind, reason):
                self._refuse_all(kind, reason)
                return 0.0
            case Wait(for_s, for_tokens):
                if for_tokens:
                    self._estimate_again()
                return for_s

    def _send(self, line: Line, due: list[Question], grant: Grant, not_after: float) -> None:
        """Write the attempts down, then let them fly. Nothing is sent that is not in the ledger."""
        openings = [q.opening for q in due]
        try:
            opened = journal.open_attempts(
                self._means.engine,
                self._ask,
                self._means.worker,
                openings,
                provider=self.provider,
                price=self._way.deployment.price,
                key_ref=line.ref,
            )
        except DBAPIError:
            # Whether the rows were written nobody can say; the calls were not made. They get new numbers.
            self._record.unsure = True
            for question in due:
                question.number += 1
            self._way.feedback.give_back(grant, due)
            raise
        cold = self._way.feedback.wakes()
        outgoing = []
        taken = []
        for question in due:
            self._todo.remove(question)
            attempt_id = opened.get(question.item.id)
            if attempt_id is None:
                taken.append(question)
                self._record.fail_question(question, None, FailureKind.AMBIGUOUS, "another worker has made this call")
                continue
            self._flying[attempt_id] = Flight(question, grant, line, cold)
            timeout_s = self._way.deployment.timeout_s
            outgoing.append(
                line.caller.outgoing(attempt_id, question.request, not_after=not_after, timeout_s=timeout_s)
            )
        self._way.feedback.give_back(grant, taken)
        self._means.wire.start(outgoing, self._inbox)

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
            landing = Landing(self._ask, self._way, self._wording, self._record)
            landing.take_in(heard, self._flying)
            self._todo += landing.again

    def _refuse_all(self, kind: FailureKind, reason: str) -> None:
        """No call will be made for what is still to do: a ballot without one."""
        for question in self._todo:
            self._record.fail_question(question, None, kind, reason)
        self._todo.clear()
