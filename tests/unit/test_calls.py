"""What a seat makes of an answer that says nothing."""

from __future__ import annotations

import pytest

from app.core.values import Answer, Failure, FailureKind, Finish, Usage
from app.services.calls import EMPTY, EMPTY_CUT, spoken

USAGE = Usage(5, 0, 0, 16)


def _hear(said: Answer | Failure) -> Answer | Failure:
    return spoken(lambda *_: said)(200, {}, b"")


@pytest.mark.parametrize(("finish", "why"), [(Finish.LENGTH, EMPTY_CUT), (Finish.STOP, EMPTY), (Finish.OTHER, EMPTY)])
@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_answer_is_malformed_and_billed(finish: Finish, why: str, text: str) -> None:
    heard = _hear(Answer(text, USAGE, reasoning="hm", finish=finish))
    assert heard == Failure(FailureKind.MALFORMED, why, 200, usage=USAGE, finish=finish)


@pytest.mark.parametrize(
    "said",
    [Answer("A", USAGE, finish=Finish.LENGTH), Answer("", USAGE, finish=Finish.TOOL_CALLS), Failure(FailureKind.AUTH)],
)
def test_what_says_something_is_left_alone(said: Answer | Failure) -> None:
    assert _hear(said) is said
