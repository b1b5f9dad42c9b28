"""Asking: an ask is taken under a lease, run as an errand, and its chunk then wants to be settled."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.ledger import journal
from app.services.errand import Errand
from app.services.hedging import Ring
from app.services.means import Means


@dataclass(frozen=True, slots=True)
class Asked:
    """``chunk_id`` wants to be settled; ``handed_back``: the ask goes on elsewhere and wants its bell."""

    chunk_id: int
    provider: str
    rings: int
    handed_back: bool = False


@dataclass(slots=True)
class Asker(Means):
    """Takes asks, each in the thread that rings."""

    active: set[int] = field(default_factory=set)
    """Asks that a thread of this process is really at work on: only their leases are renewed."""

    def ask(self, ask_id: int, ring: Ring = lambda chunk_id: None) -> Asked | None:
        """Work an ask off. None: it was not to be had (done, or somebody else's). ``ring``: has a chunk settled while
        the ask is still at work."""
        if ask_id in self.active:
            # Its lease was lost and a thread here does not know yet: in the ledger the two would be one worker.
            return None
        taken = journal.take_ask(self.engine, ask_id, self.worker, self.lease_s)
        if taken is None:
            return None
        errand = Errand(self, taken, ring)
        self.active.add(taken.id)
        try:
            return Asked(taken.chunk_id, errand.provider, taken.rings, handed_back=not errand.run())
        finally:
            self.active.discard(taken.id)
