"""What drills put in place of answers: heard as what it is meant to be, in every protocol."""

from __future__ import annotations

import pytest

from app.core.values import Failure, FailureKind
from app.dialects import DIALECTS
from app.dialects.canned import refusal
from app.dialects.manners import refused_parameter

OURS = {FailureKind.BREAKER_OPEN, FailureKind.BUDGET, FailureKind.OVERDUE, FailureKind.AMBIGUOUS, FailureKind.PRIVACY}
SAID = [kind for kind in FailureKind if kind not in OURS and kind is not FailureKind.TIMEOUT]


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("protocol", DIALECTS)
def test_every_refusal_is_heard_as_its_kind(protocol: str, kind: FailureKind) -> None:
    canned = refusal(protocol, kind, model='vendor/m-"1"', retry_after_s=7)
    heard = DIALECTS[protocol].hear(canned.status, canned.headers, canned.body)
    assert isinstance(heard, Failure)
    assert heard.kind is kind
    assert heard.usage.total == 0, "a drilled call costs nothing"
    assert refused_parameter(heard) is None, "nobody is to learn from it what the deployment does not take"
    if kind in (FailureKind.RATE_LIMIT, FailureKind.QUOTA_EXHAUSTED):
        assert heard.retry_after_s == 7
    else:
        assert heard.retry_after_s is None


@pytest.mark.parametrize("kind", sorted([FailureKind.TIMEOUT, *OURS]))
def test_what_no_response_says_is_not_in_the_tin(kind: FailureKind) -> None:
    with pytest.raises(KeyError):
        refusal("openai", kind, model="m", retry_after_s=1)
