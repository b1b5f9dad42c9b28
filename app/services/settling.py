"""Settling: fold what a chunk's seats have said, write what is decided, ask what is still wanted.

Anyone may ring, any number of times: under the chunk's lock the same votes lead to the same moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from app.core.ballots import Ask, Ballot, Verdict
from app.core.plan import Plan
from app.core.seating import Track, Wanted, further_seats
from app.core.strategies import decide
from app.core.values import FailureKind
from app.ledger import settling as ledger
from app.ledger.settling import OpenChunk, RungAsk
from app.services.dispatching import RING_PATIENCE_S
from app.services.fleetview import FleetView

# A chunk that finds nobody to ask looks again after this long, or when its deadline comes.
_PARK_S = 10.0


@dataclass(frozen=True, slots=True)
class Settled:
    """``wave``: asks to ring now. ``decided``: items that got their decision. ``finished``: the chunk is done."""

    wave: tuple[RungAsk, ...] = ()
    decided: int = 0
    finished: bool = False
    job_done: str | None = None


@dataclass(slots=True)
class Settler:
    engine: Engine
    view: FleetView

    def settle(self, chunk_id: int) -> Settled:
        with ledger.locked_chunk(self.engine, chunk_id) as locked:
            if locked is None:
                return Settled()
            connection, chunk = locked
            settled = self._fold(connection, chunk)
        if settled.finished and ledger.finish_job(self.engine, chunk.job_id):
            return Settled(settled.wave, settled.decided, True, chunk.job_id)
        return settled

    def _fold(self, connection: Connection, chunk: OpenChunk) -> Settled:
        verdicts: dict[int, tuple[Verdict, Sequence[Ballot]]] = {}
        wave: list[RungAsk] = []
        plan = chunk.plan
        open_items = dict(chunk.tables)
        while open_items:
            asks: dict[Ask, list[int]] = defaultdict(list)
            stuck: list[int] = []
            for item_id, ballots in list(open_items.items()):
                move = decide(plan, ballots)
                if isinstance(move, Verdict):
                    verdicts[item_id] = (move, ballots)
                    del open_items[item_id]
                elif move:
                    for ask in move:
                        asks[ask].append(item_id)
                elif not any(b.open for b in ballots):
                    stuck.append(item_id)
            longer = self._longer(chunk, plan, open_items, stuck)
            if longer is None or longer == plan:
                wave = ledger.write_asks(connection, chunk, plan, asks, RING_PATIENCE_S) if asks else []
                break
            plan = longer
        if plan != chunk.plan:
            ledger.write_plan(connection, chunk.id, plan)
        if verdicts:
            ledger.write_decisions(connection, chunk, verdicts)
        self._leave(connection, chunk, plan, open_items, wave)
        return Settled(tuple(wave), len(verdicts), finished=not open_items)

    def _leave(
        self, connection: Connection, chunk: OpenChunk, plan: Plan, open_items: dict[int, tuple[Ballot, ...]],
        wave: list[RungAsk],
    ) -> None:  # fmt: skip
        """Note in which state the chunk is left: done, on its tracks, or parked because nothing of it moves."""
        if not open_items:
            ledger.finish_chunk(connection, chunk.id)
        elif wave or any(b.open for ballots in open_items.values() for b in ballots):
            ledger.unpark(connection, chunk.id)
        else:
            ledger.park(connection, chunk.id, max(0.1, min(_PARK_S, chunk.left_s)))

    def _longer(
        self, chunk: OpenChunk, plan: Plan, tables: dict[int, tuple[Ballot, ...]], stuck: list[int]
    ) -> Plan | None:
        """A longer bench for the items that are stuck, or a plan that is closed; None: wait."""
        if plan.closed is not None:
            return None
        if tables and chunk.job_state == "cancelled":
            return plan.ended("cancelled")
        if tables and chunk.left_s <= 0 and stuck:
            return plan.ended("overdue")
        if not stuck:
            return None
        # What our own budget refused it will refuse again.
        if any(b.failure is FailureKind.BUDGET for item_id in stuck for b in tables[item_id]):
            return plan.ended("budget")
        wanted = Wanted(chunk.tier, plan.recipe)
        everyone = self.view.look()
        tracks = [Track(seen.deployment, pace=1.0) for seen in everyone if seen.usable]
        used = frozenset(plan.seats[b.seat].deployment for ballots in tables.values() for b in ballots if b.tries)
        seats = further_seats(tracks, wanted, plan, used)
        if seats and any(decide(plan.extended(seats), tables[item_id]) for item_id in stuck):
            return plan.extended(seats)
        hopeful = [Track(s.deployment, pace=1.0) for s in everyone if s.health is None or s.health.state != "out"]
        return None if further_seats(hopeful, wanted, plan, used) else plan.ended("nobody_left")
