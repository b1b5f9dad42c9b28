"""Recording: what an ask has heard, written into the ledger; kept, and spilled, while Postgres is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.core.errors import ServiceMissing
from app.core.values import FailureKind
from app.gates.spill import Spill
from app.ledger import journal
from app.ledger.journal import Casting, Closing, TakenAsk
from app.services.questions import Question

log = structlog.get_logger(__name__)

_LEDGER_PATIENCE_S = 3.0
_RETRY_LATER_S = 0.5
_REASON_CHARS = 300


class Record:
    """Closed attempts and cast votes of one ask, gathered until they are written together."""

    def __init__(self, engine: Engine, spill: Spill, ask: TakenAsk, worker: str) -> None:
        self._engine = engine
        self._spill = spill
        self._ask = ask
        self._worker = worker
        self._closings: list[Closing] = []
        self._castings: list[Casting] = []
        self.ended = False
        """The ask has been written down as done."""
        self.through: Callable[[Casting], Casting] = lambda casting: casting
        """What becomes of a vote before it is written down."""
        self._spills = False
        """Something of this ask waits in the spill: all that follows goes there, too, so that it is written in order.

        What a later write settles hangs on the earlier one: an ask that is done without its votes would be asked again,
        an attempt that looks open would be taken for one that was never made.
        """
        self.unsure = False
        """Postgres went away while attempts were being opened: rows of calls that were never made may stand open."""

    def close(self, closing: Closing) -> None:
        self._closings.append(closing)

    def cast(self, casting: Casting) -> None:
        self._castings.append(self.through(casting))

    def fail(
        self,
        item_id: int,
        attempt_id: int | None,
        kind: FailureKind,
        used: int,
        reason: str,
        *,
        needs: int | None = None,
    ) -> None:
        reason = reason[:_REASON_CHARS]
        self._castings.append(Casting(item_id, attempt_id, None, kind, used, reason=reason or None, needs=needs))

    def fail_question(
        self,
        question: Question,
        attempt_id: int | None,
        kind: FailureKind,
        reason: str,
        *,
        needs: int | None = None,
    ) -> None:
        """It ends without an answer, for every item that it carries."""
        for item in question.items:
            self.fail(item.id, attempt_id, kind, question.used, reason, needs=needs)

    def write(self, *, last: bool, grounded: bool) -> None:
        """Write what was gathered. Answers outlive an absent Postgres.

        ``last``: and that the ask is done; ``grounded``: nothing of it is in flight.
        """
        tidy = self.unsure and grounded
        if not (self._closings or self._castings or last or tidy):
            return
        ask = self._ask
        parameters = journal.closing_parameters(
            ask.id, ask.chunk_id, ask.seat, self._worker, self._closings, self._castings, last, tidy
        )
        patience_until = time.monotonic() + _LEDGER_PATIENCE_S
        while not (self._spills and self._spilled(parameters)):
            try:
                journal.close(self._engine, parameters)
                break
            except DBAPIError as error:
                if not _away(error):
                    raise
                log.warning("postgres is away; answers are kept", action="ledger.away", ask=self._ask.id)
            if time.monotonic() > patience_until and self._spilled(parameters):
                break
            time.sleep(_RETRY_LATER_S)
        self._closings, self._castings = [], []
        self.unsure = self.unsure and not tidy
        self.ended = self.ended or last

    def _spilled(self, parameters: dict[str, Any]) -> bool:
        try:
            self._spill.push(parameters)
        except ServiceMissing:
            return False
        self._spills = True
        log.warning("answers spilled to redis", action="ledger.spill", ask=self._ask.id)
        return True


def _away(error: DBAPIError) -> bool:
    """Is it the server that is missing, rather than the statement that is wrong?"""
    return error.connection_invalidated or type(error).__name__ in ("OperationalError", "InterfaceError")
