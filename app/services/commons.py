"""The commons of a team's jobs, as one chunk sees them while it is folded.

A voice that another job has heard is taken, one that another job has just asked is waited for. Only what is really
under way is waited for, never another who waits: such an ask ends by itself, whatever becomes of its job, so nobody
waits for ever, and none for each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from app.core import commons as core
from app.core import parts
from app.core import plan as plans
from app.core.ballots import Ballot
from app.core.commons import Bought
from app.core.plan import Plan, Seat
from app.core.selection import eligible
from app.ledger import commons as ledger
from app.ledger.settling import OpenChunk
from app.services.fleetview import FleetView

Tables = dict[int, tuple[Ballot, ...]]


class Commons:
    """Lives as long as one fold of one chunk, in its transaction. A chunk that is to end takes nothing, nor waits."""

    def __init__(self, connection: Connection, chunk: OpenChunk, view: FleetView) -> None:
        self._connection = connection
        self._chunk = chunk
        self._view = view
        self._others = ledger.others(connection, chunk.job_id)
        self._ending = chunk.left_s <= 0 or chunk.job_state == "cancelled"
        self._looked_at: set[int] = set()
        self._shared: set[int] = set()
        self._hands: dict[int, dict[str, Bought]] = defaultdict(dict)
        self._seats: dict[str, Seat | None] = {}

    def serve(self, plan: Plan, tables: Tables, wanting: Sequence[int]) -> Plan | None:
        """Lay votes at hand on the tables of those ``wanting`` a voice. None where there are none; else the plan with
        their seats."""
        if self._others is None or self._ending:
            return None
        self._look(plan, [item_id for item_id in wanting if item_id not in self._looked_at])
        taken: dict[tuple[int, int], Bought] = {}
        for item_id in wanting:
            if hand := self._hands.get(item_id):
                plan, laid = core.lay(plan, tables[item_id], hand)
                tables[item_id] += tuple(core.as_ballot(seat, bought) for seat, bought in laid.items())
                taken |= {(item_id, seat): bought for seat, bought in laid.items()}
        if not taken:
            return None
        ledger.take(self._connection, self._chunk.id, taken)
        return plan

    def held(self, plan: Plan, tables: Tables, wanting: Sequence[int]) -> frozenset[int]:
        """Those whose wish another job has just asked for: they wait until it has heard."""
        asked = [item_id for item_id in wanting if item_id in self._shared]
        if self._others is None or not asked:
            return frozenset()
        coming: dict[int, dict[str, Seat]] = defaultdict(dict)
        for item_id, theirs, pack in ledger.on_their_way(self._connection, self._others, asked):
            if (seat := self._seat(plan, theirs, pack)) is not None:
                coming[item_id][seat.deployment] = seat
        return frozenset(i for i, hand in coming.items() if core.serve(plan, tables[i], hand)[1])

    def waiting(self) -> tuple[int, ...]:
        """Parked chunks of other jobs that may have waited for this one: each wants to be settled again."""
        if self._others is None or not self._chunk.tables:
            return ()
        shared = ledger.shared(self._connection, self._others, list(self._chunk.tables))
        if not shared:
            return ()
        # Who has just looked and found this chunk's asks still out is parked once the lock is free.
        ledger.lock(self._connection, self._others)
        return ledger.waiting(self._connection, self._others, shared)

    def _look(self, plan: Plan, item_ids: list[int]) -> None:
        """What is at hand for items that were not looked up before."""
        assert self._others is not None
        self._looked_at.update(item_ids)
        shared = ledger.shared(self._connection, self._others, item_ids) if item_ids else []
        if not shared:
            return
        ledger.lock(self._connection, self._others)
        self._shared.update(shared)
        for vote in ledger.cast(self._connection, self._others, shared):
            if (seat := self._seat(plan, vote.seat, vote.pack)) is not None:
                bought = Bought(seat, vote.answer, vote.flags, vote.attempt_id)
                self._hands[vote.item_id].setdefault(seat.deployment, bought)

    def _seat(self, plan: Plan, theirs: Seat, pack: int) -> Seat | None:
        """A seat here for who sat there; None: this job may not ask it, or it was asked in another form."""
        deployment = theirs.deployment
        if not parts.plain(theirs) or (pack > 1 and not plan.packs):
            return None
        if deployment not in self._seats:
            wanted = self._chunk.terms.wanted(plan.recipe)
            row = self._view.deployment(deployment, self._chunk.job_id)
            able = row is not None and eligible(row, wanted) is None
            self._seats[deployment] = plans.seat(row) if row is not None and able else None
        return self._seats[deployment]
