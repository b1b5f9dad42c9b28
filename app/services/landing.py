"""Landing: what comes of calls that have come back. A vote, the end of a question, or the question once more."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from app.core import matrix
from app.core.matrix import Here
from app.core.values import Answer, Failure, FailureKind, Finish
from app.gates.limits import Grant
from app.ledger.journal import Casting, TakenAsk
from app.services import packs
from app.services.calls import marked_cold
from app.services.feedback import Flown
from app.services.keyring import Line
from app.services.questions import Question, Wording
from app.services.recording import Record
from app.services.way import Way
from app.wire import Heard, Unsent


@dataclass(slots=True)
class Flight:
    """A call under way. ``cold``: it is the first after a long pause."""

    question: Question
    grant: Grant
    line: Line
    cold: bool


@dataclass(slots=True)
class Landing:
    """Calls of one ask that came back together. ``again``: the questions that are to be put once more."""

    ask: TakenAsk
    way: Way
    wording: Wording
    record: Record
    again: list[Question] = field(default_factory=list)

    def take_in(self, heard: list[tuple[int, Heard]], flying: dict[int, Flight]) -> None:
        """Take in what was heard, by attempt. Those calls are then no longer among the ``flying``."""
        flown: dict[str, Flown] = {}
        for attempt_id, said in heard:
            flight = flying.pop(attempt_id)
            question = flight.question
            together = flown.setdefault(flight.grant.id, Flown(flight.grant, flight.line.scopes, flight.cold))
            closing = flight.line.caller.closing(attempt_id, said)
            closing = marked_cold(closing) if flight.cold else closing
            self.record.close(closing)
            if isinstance(said.result, Unsent):
                question.number += 1
                self.again.append(question)
                together.unsent.append(question)
                continue
            question.used += 1
            together.ended.append((question, said, closing.cost_micro))
            if isinstance(said.result, Answer):
                self._answered(question, attempt_id, said.result)
            else:
                self._failed(flight, attempt_id, said.result)
        self.way.feedback.tell(flown.values())

    def _answered(self, question: Question, attempt_id: int, answer: Answer) -> None:
        if question.ids:
            self._take_apart(question, attempt_id, answer)
            return
        parsed = self.wording.read(question.item, answer.text)
        if parsed.answer is None:
            cut = answer.finish is Finish.LENGTH
            if matrix.after_abstention(question.used, self.ask.tries, cut=cut) is Here.RESTATE:
                self.again.append(self.wording.restated(question))
                return
        flags = (*answer.flags, *parsed.flags, *question.flags)
        self.record.cast(
            Casting(question.item.id, attempt_id, parsed.answer, None, question.used, flags, parsed.reason)
        )

    def _failed(self, flight: Flight, attempt_id: int, failure: Failure) -> None:
        """One step of the decision matrix."""
        question, line = flight.question, flight.line
        question.troubled += failure.kind in matrix.GROWS_LOAD
        able = {Here.RESTATE} - question.done if not question.ids else set()
        trimmed = None
        if failure.kind is FailureKind.CONTEXT_LENGTH and Here.TRIM not in question.done and not question.ids:
            trimmed = self.wording.trimmed(question, failure.message)
            able |= {Here.TRIM} if trimmed is not None else set()
        if line.caller.yield_to(attempt_id, failure):
            able |= {Here.YIELD}
        if failure.kind in matrix.KEYED and self.way.rekeyed(line, failure):
            able |= {Here.REKEY}
        step = matrix.step(
            failure,
            question.used,
            self.ask.tries,
            able=frozenset(able),
            jitter=random.random(),
            until_reset_s=self.way.feedback.until_reset_s(failure),
        )
        self.way.feedback.heed(failure, step, line.scopes)
        match step.here:
            case Here.WAIT | Here.AGAIN | Here.YIELD | Here.REKEY:  # what was yielded the caller leaves out by itself
                question.number += 1
                question.not_before = time.monotonic() + step.delay_s
                self.again.append(question)
            case Here.RESTATE:
                self.again.append(self.wording.restated(question))
            case Here.TRIM if trimmed is not None:
                self.again.append(trimmed)
            case _ if question.ids and failure.kind in packs.UNPACKED:
                self._take_apart(question, attempt_id, failure)
            case _:
                needs = self._needs(question) if failure.kind is FailureKind.CONTEXT_LENGTH else None
                self.record.fail_question(question, attempt_id, failure.kind, failure.message, needs=needs)

    def _take_apart(self, question: Question, attempt_id: int, result: Answer | Failure) -> None:
        for part in packs.heard(self.wording, question, attempt_id, result):
            if isinstance(part, Question):
                self.again.append(part)
            else:
                self.record.cast(part)

    def _needs(self, question: Question) -> int:
        """Tokens that a question takes which the provider called too long, whatever we had counted."""
        return max(self.wording.needs(question), self.way.deployment.context_window + 1)
