"""Questions: one item worded for one deployment, with what it is expected to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from app.core import packed, pricing
from app.core.contract import Parsed
from app.core.matrix import Here
from app.core.parts import Part
from app.core.pricing import guess_tokens
from app.core.trimming import TRIMMED, Turns, count_turns, cut_text, cut_turns, flat, stated_share
from app.core.values import Deployment, Request, Usage
from app.gates.pulse import LEARNED_AFTER, Pulse
from app.ledger.journal import Opening, TakenAsk, TakenItem

_HEADROOM = 1.1
_UNTOLD_SHARE = 0.67
_SAFE_SHARE = 0.95


@dataclass(slots=True)
class Question:
    """One item's way through this seat. ``number``: of its next attempt row; ``used``: calls that were really made.

    ``tokens`` and ``micro`` are reserved before the call: input and output together, and what they would cost. That is
    0 at an unknown price, at which no job with a budget is asked.
    ``troubled``: calls of those used that failed by trouble that grows load.
    ``done``: the steps taken for it that are taken once; ``size``: tokens that the item itself may take at most.
    """

    item: TakenItem
    number: int
    used: int
    request: Request
    guessed_input: int
    tokens: int
    micro: int
    not_before: float = 0.0
    done: frozenset[Here] = frozenset()
    size: int | None = None
    troubled: int = 0
    rest: tuple[TakenItem, ...] = ()
    ids: tuple[str, ...] = ()
    pack: int = 1
    """Of a pack: its other items, the ids of all, and how many its seat takes at most."""
    vetted: bool = False
    """It was looked at for what must not leave."""

    @property
    def items(self) -> tuple[TakenItem, ...]:
        return (self.item, *self.rest)

    @property
    def item_ids(self) -> tuple[int, ...]:
        return tuple(item.id for item in self.items)

    @property
    def opening(self) -> Opening:
        """As it is written down before the call."""
        return Opening(self.item.id, self.number, self.tokens, self.item_ids if self.ids else ())

    @property
    def failed(self) -> int:
        """Calls that failed for it, wherever."""
        return self.used + max(item.failed for item in self.items)

    @property
    def flags(self) -> tuple[str, ...]:
        return () if self.size is None else (TRIMMED,)

    @property
    def is_retry(self) -> bool:
        """Does it follow a call of the last minute that failed by trouble that grows load?

        What failed longer ago is out of the retry budget's window: an item that has waited so long adds no load to
        that of its first call, which nobody feels any more.
        """
        return self.troubled + max(item.lately for item in self.items) > 0


@dataclass(frozen=True, slots=True)
class TooLong:
    """The question does not fit: it ``needs`` so many tokens, the answer's room among them."""

    item: TakenItem
    needs: int


@dataclass(frozen=True, slots=True)
class Wording:
    """Words the questions of one ask. ``pulse``: what calls of this kind have taken there lately; ``packed``: those
    that carried as many items as this seat's."""

    ask: TakenAsk
    deployment: Deployment
    pulse: Pulse
    packed: Pulse = field(default_factory=Pulse)

    def first(self, item: TakenItem, *, cut: bool) -> Question | TooLong:
        """The question for an item; one that is too long for the window is cut to fit where ``cut`` says so."""
        question = self._question(item, item.written + 1, item.used)
        needs = self._needs(question)
        window = self.deployment.context_window
        if needs <= window:
            return question
        if not cut:
            return TooLong(item, needs)
        return self._cut(question, self._item_tokens(question) - self._in_guesses(needs - window)) or TooLong(
            item, needs
        )

    def needs(self, question: Question) -> int:
        """Tokens that the question as the producer gave it takes, as far as is known."""
        return self._needs(self._question(question.item, question.number, question.used))

    def again(self, before: Question) -> Question:
        """The same question as a new attempt."""
        return self._anew(before, before.done)

    def restated(self, before: Question) -> Question:
        """The same question with the contract said again, and more room where the answer was cut."""
        return self._anew(before, before.done | {Here.RESTATE})

    def trimmed(self, before: Question, refusal: str) -> Question | None:
        """The same question with the item cut, for a provider that said it is too long; None: it cannot be cut.

        By how much is what the refusal says, or by a third: our count said that it fits.
        """
        share = stated_share(refusal) or _UNTOLD_SHARE
        kept = self._item_tokens(before) - int((1 - share * _SAFE_SHARE) * before.guessed_input) - 1
        return self._cut(before, kept)

    def _cut(self, before: Question, tokens: int) -> Question | None:
        cut = self._anew(replace(before, size=tokens), before.done | {Here.TRIM})
        return None if _text(cut.item, tokens) is None else cut

    def _anew(self, before: Question, done: frozenset[Here]) -> Question:
        question = self._question(before.item, before.number + 1, before.used, done, before.size)
        question.not_before, question.troubled = before.not_before, before.troubled
        return question

    def _question(
        self,
        item: TakenItem,
        number: int,
        used: int,
        done: frozenset[Here] = frozenset(),
        size: int | None = None,
    ) -> Question:
        deployment = self.deployment
        text, turns = _text(item, size) or ("", None)
        request = self._part(item).request(deployment, text=text, turns=turns, restated=Here.RESTATE in done)
        question = Question(item, number, used, request, pricing.estimate_input_tokens(request.messages), 0, 0)
        question.done, question.size = done, size
        self.estimate(question)
        return question

    def pack(self, items: Sequence[TakenItem]) -> Question:
        """One question for all of them."""
        ask = self.ask
        texts = [item.text for item in items]
        named = packed.names(texts, ask.plan.seed, ask.seat)
        request = packed.ask(ask.task, texts, named, self.deployment)
        number = max(item.written for item in items) + 1
        question = Question(items[0], number, 0, request, pricing.estimate_input_tokens(request.messages), 0, 0)
        question.rest, question.ids, question.pack = tuple(items[1:]), named.ids, ask.plan.seats[ask.seat].pack
        self.estimate(question)
        return question

    def holds(self, question: Question) -> bool:
        """Is there room for a pack here: in the window, in the answer, in half of a minute's tokens?"""
        deployment = self.deployment
        limits = (deployment.limits.tpm, deployment.provider_limits.tpm)
        return (
            self._needs(question) <= deployment.context_window
            and packed.room(self.ask.task, len(question.items)) <= deployment.max_output
            and all(tpm is None or 2 * question.guessed_input <= tpm for tpm in limits)
        )

    def singly(self, before: Question, item: TakenItem) -> Question:
        """The question for one item of a pack, after that pack."""
        question = self._question(item, before.number + 1, before.used)
        question.troubled = before.troubled
        return question

    def read(self, item: TakenItem, answer: str) -> Parsed:
        """What was said of the item, by the contract of the seat's role."""
        return self._part(item).read(answer)

    def _part(self, item: TakenItem) -> Part:
        ask = self.ask
        return Part.of(ask.plan, ask.seat, item.id, ask.task, item.text, item.said, item.turns)

    def _needs(self, question: Question) -> int:
        ratio = self.pulse.input_ratio if self.pulse.samples >= LEARNED_AFTER else 1.0
        return int(question.guessed_input * ratio) + 1 + question.request.max_tokens

    def _in_guesses(self, tokens: int) -> int:
        """So many tokens as the provider counts them, in ours."""
        ratio = self.pulse.input_ratio if self.pulse.samples >= LEARNED_AFTER else 1.0
        return int(tokens / max(ratio, 0.1)) + 2

    @staticmethod
    def _item_tokens(question: Question) -> int:
        """What the item takes of the question, by our guess, as it stands in it now."""
        item = question.item
        whole = guess_tokens(item.text) if item.turns is None else count_turns(item.turns)
        return whole if question.size is None else min(whole, question.size)

    def estimate(self, question: Question) -> None:
        """Set what is to be reserved for the question, by what is known now."""
        pulse = self.packed if question.ids else self.pulse
        inputs, outputs = self._expect(question.guessed_input, question.request.max_tokens, pulse)
        question.tokens = inputs + outputs
        usage = Usage(input_tokens=inputs, output_tokens=outputs)
        question.micro = pricing.cost_micro(usage, self.deployment.price) or 0

    def _expect(self, guess: int, max_tokens: int, pulse: Pulse) -> tuple[int, int]:
        """Input and output tokens to set aside: the most it may be, until enough has been seen to know better.

        Never more output than the token limit leaves beside the input: a reservation that cannot fit would wait
        for ever for room that the answer most likely does not need.
        """
        inputs, outputs = guess, max_tokens
        if pulse.samples >= LEARNED_AFTER:
            inputs = int(guess * pulse.input_ratio * _HEADROOM) + 2
        if pulse.output_p95 is not None:
            outputs = min(outputs, int(pulse.output_p95 * _HEADROOM) + 2)
        for limits in (self.deployment.limits, self.deployment.provider_limits):
            if limits.tpm is not None:
                outputs = min(outputs, max(1, limits.tpm - inputs))
        return inputs, outputs


def pulse_kind(kind: str, pack: int) -> str:
    """Under which name the averages of such calls are kept: what packs take says nothing about single ones."""
    return f"{kind}/{pack}" if pack > 1 else kind


def _text(item: TakenItem, size: int | None) -> tuple[str, Turns | None] | None:
    """The item in one piece, and as turns where it is a chat, cut to ``size`` tokens; None: too little is left."""
    if size is None:
        return item.text, item.turns
    if item.turns is None:
        cut = cut_text(item.text, size)
        return None if cut is None else (cut, None)
    turns = cut_turns(item.turns, size)
    return None if turns is None else (flat(turns), turns)
