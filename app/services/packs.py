"""Packs on their way through a seat: which items share a call, and what becomes of each once it has come back.

A pack is asked whole as long as what went wrong has nothing to do with what is in it. Else it is unpacked: each item
is asked singly at the same seat while the seat's tries last, and abstains where they do not, for what befell the pack
may be another item's doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.core import packed, packing, parts
from app.core.plan import CALIBRATION, VOICE
from app.core.values import Answer, Failure, FailureKind
from app.ledger.journal import Casting, TakenItem
from app.services.questions import Question, Wording

UNPACKED = frozenset(
    {FailureKind.MALFORMED, FailureKind.CONTEXT_LENGTH, FailureKind.CONTENT_FILTER, FailureKind.INVALID_REQUEST}
)
"""Failures that one item, or their number, may have brought over all."""


def dealt(wording: Wording) -> tuple[list[Question], list[TakenItem]]:
    """(a question for each pack, the items that are asked alone)."""
    ask = wording.ask
    seat = ask.plan.seats[ask.seat]
    if seat.pack <= 1 or parts.hears(seat):
        return [], list(ask.items)
    items = {item.id: item for item in ask.items if _packable(item)}
    place = sum(1 for earlier in ask.plan.seats[: ask.seat] if earlier.role == VOICE)
    if seat.role == CALIBRATION:
        arranged = packing.arrange(list(items), seat.pack, seed=ask.plan.seed, place=place)
    else:
        arranged = packing.arrange(
            list(items), seat.pack, seed=ask.plan.seed, place=place, whole=ask.whole, earlier=ask.met
        )
    questions: list[Question] = []
    alone = [item for item in ask.items if item.id not in items]
    for pack in arranged:
        for part in _fitting(wording, [items[item_id] for item_id in pack]):
            if isinstance(part, Question):
                questions.append(part)
            else:
                alone.append(part)
    return questions, alone


def _packable(item: TakenItem) -> bool:
    """One that has been called for here before was unpacked, or went down with a pack."""
    return item.used == 0 and item.turns is None and not packing.too_long(item.text)


def _fitting(wording: Wording, items: Sequence[TakenItem]) -> Iterator[Question | TakenItem]:
    """The pack, or halves of it until they fit."""
    if len(items) == 1:
        yield items[0]
        return
    question = wording.pack(items)
    if wording.holds(question):
        yield question
        return
    half = len(items) // 2
    yield from _fitting(wording, items[:half])
    yield from _fitting(wording, items[half:])


def unpacked(wording: Wording, question: Question) -> list[Question]:
    """Its items as questions of their own; a single one as it is."""
    return [wording.singly(question, item) for item in question.items] if question.ids else [question]


def heard(
    wording: Wording, question: Question, attempt_id: int, result: Answer | Failure
) -> Iterator[Casting | Question]:
    """What each item of a pack got: its answer, or a question of its own for want of one."""
    if isinstance(result, Failure):
        reading = packed.Reading({}, missing=question.ids)
        why = f"its pack failed: {result.kind.value}"
    else:
        reading = packed.read(result.text, question.ids)
        why = packed.MISSING
    for item, name in zip(question.items, question.ids, strict=True):
        said = reading.answers.get(name)
        flags = (*(result.flags if isinstance(result, Answer) else ()), *reading.flags)
        if said is not None:
            parsed = wording.read(item, said)
            yield Casting(
                item.id, attempt_id, parsed.answer, None, question.used, (*flags, *parsed.flags), parsed.reason
            )
        elif question.used < wording.ask.tries:
            yield wording.singly(question, item)
        else:
            reason = packed.DOUBLED if name in reading.doubled else why
            yield Casting(item.id, attempt_id, None, None, question.used, flags, reason)
