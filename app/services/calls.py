"""Calls: a question as what goes over the wire to one deployment, and what came back as what the ledger keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog

from app.core import pricing
from app.core.drills import DRILL
from app.core.values import Answer, Deployment, Failure, FailureKind, Finish, Request
from app.dialects import DIALECTS
from app.dialects.manners import Manners, refused_parameter
from app.dialects.vendors import manners_of
from app.ledger.journal import Closing
from app.ledger.states import AttemptState
from app.registry.rows import ProviderRow
from app.registry.secrets import KeyRef
from app.services.echoes import keyless
from app.wire import Hear, Heard, Outgoing, Unsent

log = structlog.get_logger(__name__)

COLD_START = "cold_start"
"""Flag of the calls that a deployment got first after it had been idle: their latency is that of waking up."""
EMPTY = "empty answer"
EMPTY_CUT = "empty answer: cut at the token limit"


_learned: dict[tuple[str, str, str, frozenset[str]], Manners] = {}
"""What deployments have refused, for the life of the process: (protocol, base URL, model, capabilities) -> manners.

Two threads that learn at once may lose what one of them did; the next refusal teaches it again.
"""


class Caller:
    """Speaks to one deployment with one key, which goes into a header and nowhere else.

    A parameter that the deployment refuses is left out of every later call of this process.
    """

    def __init__(self, row: ProviderRow, deployment: Deployment, key: KeyRef | None) -> None:
        self._deployment = deployment
        self._protocol = row.protocol
        self._url = row.base_url.rstrip("/")
        self._dialect = DIALECTS[row.protocol]
        self._learning = (row.protocol, self._url, deployment.model, deployment.capabilities)
        self._said_with: dict[int, Manners] = {}
        self._authorization = self._dialect.authorize(key.key) if key else {}
        self._hear = keyless(spoken(self._dialect.hear), key.key if key else None)

    def outgoing(self, attempt_id: int, request: Request, *, not_after: float, timeout_s: float) -> Outgoing:
        """The call of one attempt. Its number travels along, so that a bill can be held against the ledger."""
        manners = self._manners()
        self._said_with[attempt_id] = manners
        said = self._dialect.say(request, manners)
        return Outgoing(
            token=attempt_id,
            url=self._url + said.path,
            headers={**said.headers, **self._authorization, "x-request-id": f"sy-{attempt_id}"},
            body=said.body,
            timeout_s=timeout_s,
            hear=self._hear,
            not_after=not_after,
            deployment=self._deployment.name,
            protocol=self._protocol,
        )

    def yield_to(self, attempt_id: int, failure: Failure) -> bool:
        """Give up what the attempt's refusal names. True: asked again, the question would go without it.

        False where the refusal names nothing that can be left out, or that was left out already.
        """
        parameter = refused_parameter(failure)
        said_with = self._said_with.get(attempt_id)
        if parameter is None or said_with is None:
            return False
        now = self._manners()
        if parameter in now.refused and parameter not in said_with.refused:
            return True  # another call of the time has taught it
        less = now.without(parameter)
        if less is now:
            return False
        _learned[self._learning] = less
        log.warning(
            "a deployment refuses a parameter; it is left out from now on",
            action="call.yield",
            deployment=self._deployment.name,
            parameter=parameter,
        )
        return True

    def _manners(self) -> Manners:
        return _learned.get(self._learning) or manners_of(*self._learning)

    def closing(self, attempt_id: int, heard: Heard) -> Closing:
        """How the attempt ended, with what it cost, as far as the price is known."""
        result = heard.result
        if isinstance(result, Unsent):
            return Closing(attempt_id, AttemptState.UNSENT)
        price = self._deployment.price
        # An answer took tokens even if nobody counted them. What a drill struck took none: it was never made.
        unknown = price is None and isinstance(result, Answer)
        return Closing(
            attempt_id,
            _state(result),
            failure=None if isinstance(result, Answer) else result.kind,
            status=heard.status if isinstance(result, Answer) else result.status or heard.status,
            latency_ms=heard.latency_ms,
            usage=result.usage,
            cost_micro=0 if DRILL in heard.flags else None if unknown else pricing.cost_micro(result.usage, price),
            text=result.text if isinstance(result, Answer) else result.message,
            flags=(*(result.flags if isinstance(result, Answer) else ()), *heard.flags),
        )


def _state(result: Answer | Failure) -> AttemptState:
    if isinstance(result, Answer):
        return AttemptState.ANSWERED
    # We hung up on it: it may be answered there, and charged.
    return AttemptState.AMBIGUOUS if result.kind is FailureKind.AMBIGUOUS else AttemptState.FAILED


def marked_cold(closing: Closing) -> Closing:
    """An attempt that may have had to wait for the model to be loaded."""
    return closing if closing.state is AttemptState.UNSENT else replace(closing, flags=(*closing.flags, COLD_START))


def spoken(hear: Hear) -> Hear:
    """``hear`` for a seat: an answer that says nothing is no answer, but ``malformed``, and billed all the same.

    So it is asked for once more (with more room, where the room was spent on thinking), and a deployment that
    answers nothing else counts as ill. A call of tools is left alone: it says something, though not to us.
    """

    def heard(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
        result = hear(status, headers, body)
        if isinstance(result, Failure) or result.finish is Finish.TOOL_CALLS or result.text.strip():
            return result
        why = EMPTY_CUT if result.finish is Finish.LENGTH else EMPTY
        return Failure(FailureKind.MALFORMED, why, status, usage=result.usage, finish=result.finish)

    return heard
