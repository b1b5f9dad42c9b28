"""What this process has to work asks off with: one of each, shared by its threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from sqlalchemy import Engine

from app.gates.breaker import Breaker
from app.gates.limits import Gates
from app.gates.pulse import Pulses
from app.gates.spill import Spill
from app.registry.fleet import FleetFile
from app.services.keyring import Keyring
from app.services.learning import Learner
from app.services.turnstile import Turnstile
from app.services.warming import Warmer
from app.wire import Wire


@dataclass(slots=True)
class Means:
    """Everything an errand needs, once a process. ``worker`` is this process's name in the ledger's leases."""

    engine: Engine
    fleet: FleetFile
    gates: Gates
    breaker: Breaker
    pulses: Pulses
    spill: Spill
    wire: Wire
    warmer: Warmer
    keyring: Keyring
    learner: Learner
    worker: str
    lease_s: float
    margin_s: float
    patience_s: float
    draining: threading.Event = field(default_factory=threading.Event)
    turnstile: Turnstile = field(default_factory=Turnstile)
