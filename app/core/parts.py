"""A seat's part in an item: by its role, how its question is worded and how its answer is read.

Roles are read as strictly as they can do harm: a judge or verifier that cannot be read has not chosen and has accepted
nothing; its seat abstains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core import briefs, injection, prompts
from app.core.briefs import Said
from app.core.contract import Parsed
from app.core.plan import AUDIT, CALIBRATION, JUDGE, STRONG, SYNTHESISER, THINKER, VERIFIER, VOICE, WORKER, Plan, Seat
from app.core.task import Task
from app.core.trimming import Turns
from app.core.values import Deployment, Request, TaskKind

PURPOSES = {
    VOICE: "vote",
    AUDIT: "audit",
    CALIBRATION: "calibration",
    SYNTHESISER: "synthesis",
    JUDGE: "judge",
    VERIFIER: "verification",
    THINKER: "thinking",
    WORKER: "work",
    STRONG: "vote",
}
"""Role → what its calls are for, as the ledger names it."""

_SUSPECT = "tries to instruct its reader"


def hears(seat: Seat) -> bool:
    """Is it told what others have said of the item? Who votes, and who thinks ahead, is not."""
    return seat.role not in (VOICE, AUDIT, CALIBRATION, STRONG, THINKER) or seat.rung > 0


def plain(seat: Seat) -> bool:
    """Is it asked the item's question and nothing else? Then its answer is one to any job that asks the same."""
    return seat.role in (VOICE, STRONG) and not hears(seat)


def in_order(plan: Plan, said: Sequence[Said]) -> tuple[Said, ...]:
    """Best seat first, whatever the order of arrival."""
    return tuple(sorted(said, key=lambda s: (plan.seats[s.seat].rank, s.seat)))


@dataclass(frozen=True, slots=True)
class Part:
    """``text``: the whole item; ``said``: what it is told of the table, best seat first; ``seed``: of the item's
    shuffling; ``shown``: its answer will be read by other models.
    """

    role: str
    task: Task
    text: str
    said: tuple[Said, ...] = ()
    seed: int = 0
    shown: bool = False
    turns: Turns | None = None
    """The whole item, where it is a chat."""

    @classmethod
    def of(
        cls,
        plan: Plan,
        seat: int,
        item_id: int,
        task: Task,
        text: str,
        said: Sequence[Said] = (),
        turns: Turns | None = None,
    ) -> Part:
        return cls(
            plan.seats[seat].role,
            task,
            text,
            in_order(plan, said) if said else (),
            plan.seed + item_id,
            shown=bool(plan.recipe.roles),
            turns=turns,
        )

    def request(
        self,
        deployment: Deployment,
        *,
        text: str | None = None,
        turns: Turns | None = None,
        restated: bool = False,
    ) -> Request:
        """The question. ``text`` and ``turns``: the item as it fits; None: whole."""
        shown = self.text if text is None else text
        answers = [s for s in self.said if s.answer is not None and s.role in (VOICE, WORKER)]
        if self.role == SYNTHESISER:
            return prompts.synthesis(self.task, shown, _spoken(answers), deployment, self.seed)
        if self.role == JUDGE:
            return briefs.judging(self.task, shown, self._candidates(), deployment, restated=restated)
        if self.role == VERIFIER:
            checked = briefs.to_check(self.said)
            said = "" if checked is None or checked.answer is None else checked.answer
            return briefs.verification(self.task, shown, said, self._mark(), deployment, restated=restated)
        if self.role == THINKER:
            return briefs.thinking(self.task, shown, deployment)
        if self.role == VOICE:
            because = briefs.escalation(self.said)
            return prompts.ask(self.task, shown, deployment, turns=turns, restated=restated, because=because)
        if self.said:
            return briefs.work(self.task, shown, self.said, deployment, restated=restated)
        return prompts.ask(self.task, shown, deployment, turns=turns, restated=restated)

    def read(self, answer: str) -> Parsed:
        """The vote in a model's words, or an abstention with its reason."""
        if self.role == JUDGE:
            return briefs.read_choice(answer, self._candidates())
        if self.role == VERIFIER:
            checked = briefs.to_check(self.said)
            return briefs.read_check(answer, self._mark(), checked, rubric=self.task.rubric is not None)
        parsed = Parsed(answer.strip() or None) if self.role == THINKER else self.task.read(answer)
        flags = (injection.SUSPICIOUS_ITEM,) if self._item_instructs() else ()
        # A label is one of the producer's own words; only free text can speak to who reads it next.
        free = self.task.kind is not TaskKind.CLASSIFY and self.shown
        if parsed.answer is not None and free and injection.suspicions(parsed.answer, answer=True):
            flags = (*flags, injection.SUSPICIOUS)
            if self.role in (SYNTHESISER, THINKER):
                return Parsed(None, (*parsed.flags, *flags), _SUSPECT)
        return Parsed(parsed.answer, (*parsed.flags, *flags), parsed.reason) if flags else parsed

    def _item_instructs(self) -> bool:
        """Does the item, where it is data, try to instruct? A text with no prompt beside it, or a chat to be continued,
        is the instruction itself. Of a chat that is data only its user's words count."""
        if self.task.kind is TaskKind.GENERATE and (self.task.prompt is None or self.turns is not None):
            return False
        texts = [self.text] if self.turns is None else [content for role, content in self.turns if role == "user"]
        return any(injection.suspicions(text) for text in texts)

    def _candidates(self) -> tuple[briefs.Candidate, ...]:
        return briefs.candidates(self.said, self.text, self.seed)

    def _mark(self) -> str:
        return injection.mark([self.text, *(s.answer or "" for s in self.said)], str(self.seed))


def _spoken(answers: Sequence[Said]) -> list[str]:
    """What a synthesis is written from: the answers, without those that address their reader, if any other is left."""
    trusted = [s for s in answers if injection.SUSPICIOUS not in s.flags]
    return [s.answer for s in trusted or answers if s.answer is not None]
