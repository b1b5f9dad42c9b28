"""Sweeping: whatever stands still is found here and put back on its way."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from app.gates.memory import Memory
from app.gates.spill import Spill
from app.ledger import journal, remembering, settling, upkeep, yard
from app.ledger.upkeep import Swept
from app.services.asking import Asker
from app.services.dispatching import RING_PATIENCE_S
from app.services.fleetview import FleetView
from app.services.health import longest_ping_s
from app.services.outlook import outlook_of

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Sweeper:
    engine: Engine
    spill: Spill
    memory: Memory
    asker: Asker
    view: FleetView
    look_every_s: float

    def drain(self) -> list[int]:
        """Write what was spilled while Postgres was away; returns the chunks that now want to be settled."""
        written = self.spill.drain(lambda parameters: journal.close(self.engine, parameters))
        if written:
            log.info("spilled answers written", action="ledger.drain", writes=len(written))
        return sorted({parameters["chunk"] for parameters in written})

    def sweep(self) -> tuple[Swept, list[int], list[str]]:
        """Drain first, so that no finished call is taken for a lost one; then end leases, find lost bells.

        Returns what was found, the chunks to settle and the jobs that turned out to be done.
        """
        chunks = self.drain()
        swept = upkeep.sweep(
            self.engine,
            RING_PATIENCE_S,
            ping_patience_s=longest_ping_s(self.asker.fleet.current().deployments),
            every_bell=self.memory.is_new(),
        )
        done = [job_id for job_id in swept.jobs if settling.finish_job(self.engine, job_id)]
        if swept.ambiguous:
            log.warning("calls became ambiguous", action="sweep.ambiguous", attempts=swept.ambiguous)
        return swept, sorted({*chunks, *swept.chunks, *self._clear(), *self._remember()}), done

    def becalmed(self) -> bool:
        """Does something wait, and is there nobody at all who may be seated? Then the monitor's next look is worth more
        than a wait for it: breakers of a long outage stay open for minutes after it is over."""
        return yard.anything_waits(self.engine) and not any(seen.usable for seen in self.view.look())

    def _clear(self) -> list[int]:
        """Refuse what waits for providers that have left the fleet file; returns the chunks to settle.

        Their queues have no worker any more. An ask that is taken finds its deployment gone, and makes no call.
        """
        names = [row.name for row in self.asker.fleet.current().providers]
        asked = [self.asker.ask(ask.id) for ask in upkeep.stranded(self.engine, names)]
        return sorted({ask.chunk_id for ask in asked if ask is not None})

    def _remember(self) -> list[int]:
        """Where nobody can be asked, items of jobs that allow it take what an earlier job decided."""
        jobs = yard.waiting_cached(self.engine)
        if not jobs:
            return []
        seen, now_ms = self.view.look(), self.view.gates.now_ms()
        chunks = []
        for job in jobs:
            wants = job.terms.wanted(job.recipe)
            if outlook_of(seen, wants, now_ms=now_ms, look_every_s=self.look_every_s) is None:
                continue
            while (chunk_id := remembering.claim_remembered(self.engine, job)) is not None:
                chunks.append(chunk_id)
        return chunks
