"""Settling: fold what a chunk's seats have said, write what is decided, ask what is still wanted.

Anyone may ring, any number of times: under the chunk's lock the same votes lead to the same moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine

from app.core.ballots import Ask, Ballot, Verdict
from app.core.health import State
from app.core.matrix import PASSES
from app.core.plan import Plan, Seat
from app.core.seating import further_seats
from app.core.strategies import decide
from app.core.tracks import Track
from app.core.values import FailureKind
from app.ledger import remembering
from app.ledger import settling as ledger
from app.ledger.settling import OpenChunk, RungAsk
from app.services import choosing
from app.services.commons import Commons
from app.services.dispatching import RING_PATIENCE_S
from app.services.fleetview import UNKNOWN_LATENCY_MS, FleetView, Seen
from app.services.outlook import outlook_of
from app.services.screening import at_home

# A chunk that finds nobody to ask looks again within these bounds, or when its deadline comes.
_PARK_LEAST_S, _PARK_MOST_S = 5.0, 300.0
# One that waits for what another job has asked is rung when that one has heard; should the bell be lost, by the sweep.
_HELD_S = 5.0


@dataclass(frozen=True, slots=True)
class Settled:
    """``wave``: asks to ring now. ``decided``: items that got their decision. ``finished``: the chunk is done.
    ``waiting``: chunks, also of other jobs, that may have waited for what this one heard, to be settled now."""

    wave: tuple[RungAsk, ...] = ()
    decided: int = 0
    finished: bool = False
    job_done: str | None = None
    waiting: tuple[int, ...] = ()


@dataclass(slots=True)
class Settler:
    """``look_every_s``: how often the health monitor looks."""

    engine: Engine
    view: FleetView
    look_every_s: float

    def settle(self, chunk_id: int) -> Settled:
        with ledger.locked_chunk(self.engine, chunk_id) as locked:
            if locked is None:
                return Settled()
            connection, chunk = locked
            settled = self._fold(connection, chunk)
        note = chunk.plan.choice
        if note is not None:
            at = {"finished": settled.finished, "parked": chunk.parked}
            settled = replace(
                settled, waiting=(*settled.waiting, *choosing.look(self.engine, chunk.job_id, note, **at))
            )
        if settled.finished and ledger.finish_job(self.engine, chunk.job_id):
            return replace(settled, job_done=chunk.job_id)
        return settled

    def _fold(self, connection: Connection, chunk: OpenChunk) -> Settled:
        verdicts: dict[int, tuple[Verdict, Sequence[Ballot]]] = {}
        wave: list[RungAsk] = []
        plan = choosing.released(connection, chunk.job_id, chunk.plan)
        waits = plan.waits and plan.threshold is None and chunk.left_s > 0
        open_items = dict(chunk.tables)
        commons = Commons(connection, chunk, self.view)
        held: frozenset[int] = frozenset()
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
                elif not waits and not any(b.open for b in ballots):
                    stuck.append(item_id)
            wanting = sorted({*stuck, *(item_id for ids in asks.values() for item_id in ids)})
            if (served := commons.serve(plan, open_items, wanting)) is not None:
                plan = served
                continue
            held = commons.held(plan, open_items, wanting)
            stuck = [item_id for item_id in stuck if item_id not in held]
            longer = self._longer(chunk, plan, open_items, stuck)
            if stuck and chunk.cached_ok and (longer is None or longer.closed not in (None, "cancelled")):
                longer = _remember(connection, chunk, plan, open_items, stuck) or longer
            if longer is None or longer == plan:
                asks = _spared(connection, chunk, plan, open_items, _without(asks, held))
                wave = ledger.write_asks(connection, chunk, plan, asks, RING_PATIENCE_S) if asks else []
                break
            plan = longer
        if plan != chunk.plan:
            ledger.write_plan(connection, chunk.id, plan)
        outrun = {item_id: ballots for item_id, (_, ballots) in verdicts.items() if any(b.open for b in ballots)}
        for item_id, ballots in (ledger.close_outrun(connection, chunk.id, outrun) if outrun else {}).items():
            move = decide(plan, ballots)
            assert isinstance(move, Verdict)
            verdicts[item_id] = (move, ballots)
        if verdicts:
            ledger.write_decisions(connection, chunk, verdicts)
        self._leave(connection, chunk, open_items, wave, bool(held))
        return Settled(tuple(wave), len(verdicts), finished=not open_items, waiting=commons.waiting())

    def _leave(
        self,
        connection: Connection,
        chunk: OpenChunk,
        open_items: dict[int, tuple[Ballot, ...]],
        wave: list[RungAsk],
        held: bool,
    ) -> None:
        """Note in which state the chunk is left: done, on its tracks, or parked because nothing of it moves."""
        if not open_items:
            ledger.finish_chunk(connection, chunk.id)
        elif wave or any(b.open for ballots in open_items.values() for b in ballots):
            ledger.unpark(connection, chunk.id)
        else:
            pause_s = _HELD_S if held else self._pause_s()
            ledger.park(connection, chunk.id, max(0.1, min(pause_s, chunk.left_s)))

    def _pause_s(self) -> float:
        """Until somebody may be free again: the first gate or breaker to open."""
        now_ms = self.view.gates.now_ms()
        waits = [max(seen.opens_s, (seen.breaker.until_ms - now_ms) / 1000) for seen in self.view.look()]
        return min(max(min(waits, default=0.0), _PARK_LEAST_S), _PARK_MOST_S)

    def _longer(
        self, chunk: OpenChunk, plan: Plan, tables: dict[int, tuple[Ballot, ...]], stuck: list[int]
    ) -> Plan | None:
        """A longer bench for the items that are stuck, or a plan that is closed; None: wait."""
        if plan.closed is not None or not tables:
            return None
        if chunk.job_state == "cancelled":
            return plan.ended("cancelled")
        if not stuck:
            return None
        if chunk.left_s <= 0:
            return plan.ended("overdue")
        # What our own budget refused it will refuse again.
        if any(b.failure is FailureKind.BUDGET for item_id in stuck for b in tables[item_id]):
            return plan.ended("budget")
        everyone = self.view.look()
        # Whoever has just refused a seat is not seated again in the same breath, but when the chunk has been parked.
        seated = frozenset() if chunk.parked and plan == chunk.plan else frozenset(s.deployment for s in plan.seats)
        seats = self._bench(chunk, plan, [s for s in everyone if s.usable], seated, as_fast_as_now=True)
        if _would_ask(plan.extended(seats), tables, stuck):
            return plan.extended(seats)
        if self._shut_until_deadline(chunk, plan, everyone):
            return plan.ended("no_reset")
        hopeful = [s for s in everyone if s.health is None or s.health.state is not State.OUT]
        seats = self._bench(chunk, plan, hopeful, frozenset())
        if _would_ask(plan.extended(seats), tables, stuck):
            return None
        seats = self._bench(replace(chunk, terms=replace(chunk.terms, budget=False)), plan, hopeful, frozenset())
        if _would_ask(plan.extended(seats), tables, stuck):
            return plan.ended("unpriced")
        homeless = chunk.terms.lane.private and not any(s.deployment.local for s in everyone)
        return plan.ended("privacy" if homeless else "nobody_left")

    def _shut_until_deadline(self, chunk: OpenChunk, plan: Plan, everyone: list[Seen]) -> bool:
        """Does every quota that may serve start anew only after the job's deadline?"""
        ahead = outlook_of(
            everyone,
            chunk.terms.wanted(plan.recipe),
            now_ms=self.view.gates.now_ms(),
            look_every_s=self.look_every_s,
        )
        return ahead is not None and bool(ahead.waiting) and ahead.hopeless_within_s > chunk.left_s

    def _bench(
        self, chunk: OpenChunk, plan: Plan, seen: list[Seen], seated: frozenset[str], *, as_fast_as_now: bool = False
    ) -> tuple[Seat, ...]:
        """Seats for those who are not among the ``seated``; whom of them an item may still ask is the strategy's.

        Else than ``as_fast_as_now`` somebody who is too slow for the job now counts as well: it may be faster later.
        """
        tracks = [
            Track(
                s.deployment, pace=1.0, behind_s=s.behind_s, latency_ms=s.latency_ms or UNKNOWN_LATENCY_MS,
                cost_micro=s.cost_micro, measured_ms=s.latency_ms if as_fast_as_now else None,
            )
            for s in seen
        ]  # fmt: skip
        self.view.dress(tracks, chunk.job_id)
        wanted = chunk.terms.wanted(plan.recipe)
        seats = further_seats(tracks, wanted, plan, seated)
        if any(b.failure is FailureKind.PRIVACY for ballots in chunk.tables.values() for b in ballots):
            # What was not let out of the house is asked in the house, whatever the tier.
            names = {seat.deployment for seat in seats}
            seats += tuple(s for s in further_seats(tracks, at_home(wanted), plan, seated) if s.deployment not in names)
        return seats


def _without(asks: dict[Ask, list[int]], held: frozenset[int]) -> dict[Ask, list[int]]:
    left = {ask: [item_id for item_id in ids if item_id not in held] for ask, ids in asks.items()}
    return {ask: ids for ask, ids in left.items() if ids} if held else asks


def _spared(
    connection: Connection,
    chunk: OpenChunk,
    plan: Plan,
    tables: dict[int, tuple[Ballot, ...]],
    asks: dict[Ask, list[int]],
) -> dict[Ask, list[int]]:
    """The asks without those that would spend an item's last call on weather that has not passed.

    Where every provider is down an item would else be put to one after the other until its attempts are used up, and
    be undecided long before they are back. So the last call of an item that has failed goes only to a deployment that
    has answered somebody since (a ping will do); until then it waits.
    """
    left = {
        item_id: plan.recipe.attempts - sum(b.tries for b in ballots)
        for item_id, ballots in tables.items()
        if any(b.tries and b.failure in PASSES for b in ballots)
    }
    if not left:
        return asks
    last = [item_id for ids in asks.values() for item_id in ids if left.get(item_id) == 1]
    seats = [plan.seats[ask.seat].deployment for ask in asks]
    calm = ledger.answered_since(connection, chunk, last, seats) if last else frozenset()
    spared: dict[Ask, list[int]] = defaultdict(list)
    for ask, item_ids in asks.items():
        for item_id in item_ids:
            calls = left.get(item_id, 0)
            if calls == 1 and plan.seats[ask.seat].deployment not in calm:
                continue
            # One is kept back for better days.
            tries = min(ask.tries, calls - 1) if calls > 1 else ask.tries
            spared[Ask(ask.seat, tries)].append(item_id)
    return spared


def _remember(
    connection: Connection, chunk: OpenChunk, plan: Plan, tables: dict[int, tuple[Ballot, ...]], stuck: list[int]
) -> Plan | None:
    """Nobody can be asked now: earlier jobs' decisions, laid on the ``tables``, and the plan with their seats.

    None where the ledger remembers nothing.
    """
    found = remembering.remembered(connection, stuck)
    if not found:
        return None
    seats, ballots = remembering.seats_for(found, len(plan.seats))
    remembering.cast(connection, chunk.id, ballots)
    for item_id, ballot in ballots.items():
        tables[item_id] = (*tables[item_id], ballot)
    return plan.extended(seats)


def _would_ask(plan: Plan, tables: dict[int, tuple[Ballot, ...]], stuck: list[int]) -> bool:
    return any(decide(plan, tables[item_id]) for item_id in stuck)
