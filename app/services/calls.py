"""Calls: a question as what goes over the wire to one deployment, and what came back as what the ledger keeps."""

from __future__ import annotations

from collections.abc import Mapping

from app.core import pricing
from app.core.values import Answer, Deployment, Failure, FailureKind, Finish, Request
from app.dialects import DIALECTS
from app.ledger.journal import Closing
from app.ledger.states import AttemptState
from app.registry.rows import ProviderRow
from app.registry.secrets import api_key
from app.services.echoes import keyless
from app.wire import Hear, Heard, Outgoing, Unsent

EMPTY = "empty answer"
EMPTY_CUT = "empty answer: cut at the token limit"


class Caller:
    """Speaks to one deployment. The key is read once, goes into a header, and nowhere else."""

    def __init__(self, row: ProviderRow, deployment: Deployment) -> None:
        key = api_key(row)
        self._deployment = deployment
        self._protocol = row.protocol
        self._url = row.base_url.rstrip("/")
        self._dialect = DIALECTS[row.protocol]
        self._authorization = self._dialect.authorize(key) if key else {}
        self._hear = keyless(spoken(self._dialect.hear), key)

    def outgoing(self, attempt_id: int, request: Request, *, not_after: float, timeout_s: float) -> Outgoing:
        """The call of one attempt. Its number travels along, so that a bill can be held against the ledger."""
        said = self._dialect.say(request)
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

    def closing(self, attempt_id: int, heard: Heard) -> Closing:
        """How the attempt ended, with what it cost."""
        result = heard.result
        if isinstance(result, Unsent):
            return Closing(attempt_id, AttemptState.UNSENT)
        return Closing(
            attempt_id,
            AttemptState.ANSWERED if isinstance(result, Answer) else AttemptState.FAILED,
            failure=None if isinstance(result, Answer) else result.kind,
            status=heard.status if isinstance(result, Answer) else result.status or heard.status,
            latency_ms=heard.latency_ms,
            usage=result.usage,
            cost_micro=pricing.cost_micro(result.usage, self._deployment.price),
            text=result.text if isinstance(result, Answer) else result.message,
            flags=(*(result.flags if isinstance(result, Answer) else ()), *heard.flags),
        )


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
