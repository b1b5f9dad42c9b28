"""Questions: one item worded for one deployment, with what it is expected to take."""

from __future__ import annotations

from dataclasses import dataclass

from app.core import pricing, prompts
from app.core.plan import SYNTHESISER
from app.core.values import Deployment, Request, Usage
from app.gates.pulse import Pulse
from app.ledger.journal import TakenAsk, TakenItem

_LEARNED_AFTER = 20
_HEADROOM = 1.1


@dataclass(slots=True)
class Question:
    """One item's way through this seat. ``number``: of its next attempt row; ``used``: calls that were really made.

    ``tokens`` and ``micro`` are reserved before the call: input and output together, and what they would cost.
    """

    item: TakenItem
    number: int
    used: int
    request: Request
    guessed_input: int
    tokens: int
    micro: int
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Wording:
    """Words the questions of one ask. ``pulse``: what calls of this kind have taken there lately."""

    ask: TakenAsk
    deployment: Deployment
    pulse: Pulse

    def first(self, item: TakenItem) -> Question:
        return self._question(item, item.written + 1, item.used, restated=False)

    def restated(self, before: Question) -> Question:
        """The same question with the contract said again, and more room where the answer was cut."""
        return self._question(before.item, before.number + 1, before.used, restated=True)

    def _question(self, item: TakenItem, number: int, used: int, *, restated: bool) -> Question:
        ask, deployment = self.ask, self.deployment
        if ask.plan.seats[ask.seat].role == SYNTHESISER:
            request = prompts.synthesis(ask.task, item.text, item.voices, deployment, ask.plan.seed + item.id)
        else:
            request = prompts.ask(ask.task, item.text, deployment, restated=restated)
        question = Question(item, number, used, request, pricing.estimate_input_tokens(request.messages), 0, 0)
        self.estimate(question)
        return question

    def estimate(self, question: Question) -> None:
        """Set what is to be reserved for the question, by what is known now."""
        inputs, outputs = self._expect(question.guessed_input, question.request.max_tokens)
        question.tokens = inputs + outputs
        question.micro = pricing.cost_micro(Usage(input_tokens=inputs, output_tokens=outputs), self.deployment.price)

    def _expect(self, guess: int, max_tokens: int) -> tuple[int, int]:
        """Input and output tokens to set aside: the most it may be, until enough has been seen to know better.

        Never more output than the token limit leaves beside the input: a reservation that cannot fit would wait
        for ever for room that the answer most likely does not need.
        """
        inputs, outputs = guess, max_tokens
        if self.pulse.samples >= _LEARNED_AFTER:
            inputs = int(guess * self.pulse.input_ratio * _HEADROOM) + 2
            outputs = min(outputs, int(self.pulse.output_high * _HEADROOM) + 2)
        for limits in (self.deployment.limits, self.deployment.provider_limits):
            if limits.tpm is not None:
                outputs = min(outputs, max(1, limits.tpm - inputs))
        return inputs, outputs
