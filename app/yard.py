"""Floor 4. Builds everything a process needs, once, after the fork. Nothing here decides anything."""

from __future__ import annotations

import os
import socket
import threading
from functools import cached_property
from pathlib import Path

import redis
import structlog
from sqlalchemy import Engine, create_engine

from app.core.alerts import Thresholds
from app.core.errors import ServiceMissing, UsageError
from app.gates.breaker import Breaker
from app.gates.faults import Faults
from app.gates.limits import Gates
from app.gates.memory import Memory
from app.gates.pulse import Pulses
from app.gates.spill import Spill
from app.registry.fleet import FleetFile
from app.registry.paperfile import PaperFile
from app.services.admission import patience_s
from app.services.alerting import Alerting
from app.services.asking import Asker
from app.services.dispatching import Dispatcher
from app.services.drilling import Weather
from app.services.fleetview import BURST, FleetView
from app.services.health import Monitor
from app.services.keyring import Keyring
from app.services.learning import Learner
from app.services.outlook import Lookout
from app.services.press.gathering import Gatherer, feed_fetcher
from app.services.press.publishing import Publisher
from app.services.press.room import PressRoom
from app.services.reputation import Reputation
from app.services.schooling import Schooling
from app.services.settling import Settler
from app.services.sweeping import Sweeper
from app.services.warming import Warmer
from app.settings import Settings
from app.sinks.configured import configured
from app.wire import Wire

log = structlog.get_logger(__name__)


class Yard:
    """The parts, built when first wanted. ``worker`` names this process in the ledger's leases."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(3).hex()}"
        self.draining = threading.Event()

    @cached_property
    def engine(self) -> Engine:
        if self.settings.database_url is None:
            raise ServiceMissing("no Postgres", hint="set SWITCHYARD_DATABASE_URL, or run switchyard up")
        return create_engine(
            self.settings.database_url.get_secret_value(),
            pool_size=8,
            max_overflow=56,
            pool_recycle=600,
            hide_parameters=True,
            connect_args={"connect_timeout": int(self.settings.connect_timeout_s), "application_name": "switchyard"},
        )

    @cached_property
    def redis(self) -> redis.Redis:
        if self.settings.redis_url is None:
            raise ServiceMissing("no Redis", hint="set SWITCHYARD_REDIS_URL, or run switchyard up")
        return redis.Redis.from_url(
            self.settings.redis_url.get_secret_value(),
            socket_timeout=10,
            socket_connect_timeout=5,
            health_check_interval=25,
        )

    @cached_property
    def fleet(self) -> FleetFile:
        if self.settings.fleet is None:
            raise UsageError("no fleet file", hint="set SWITCHYARD_FLEET, or copy fleet.example.toml to fleet.toml")
        return FleetFile(Path(self.settings.fleet))

    @cached_property
    def paper(self) -> PaperFile | None:
        """None: this yard makes no newspaper."""
        return None if self.settings.newspaper is None else PaperFile(self.settings.newspaper)

    @cached_property
    def gates(self) -> Gates:
        return Gates(self.redis, margin_s=self.settings.gate_margin_s, burst=BURST)

    @cached_property
    def breaker(self) -> Breaker:
        return Breaker(self.redis)

    @cached_property
    def pulses(self) -> Pulses:
        return Pulses(self.redis)

    @cached_property
    def spill(self) -> Spill:
        return Spill(self.redis)

    @cached_property
    def wire(self) -> Wire:
        faults = Weather(self.faults) if self.settings.drills else None
        return Wire(max_answer_bytes=self.settings.max_answer_bytes, faults=faults)

    @cached_property
    def faults(self) -> Faults:
        return Faults(self.redis)

    @cached_property
    def warmer(self) -> Warmer:
        return Warmer(self.engine, self.gates, self.settings.gate_margin_s)

    @cached_property
    def view(self) -> FleetView:
        reputation = Reputation(self.engine) if self.settings.learn else None
        return FleetView(self.engine, self.fleet, self.gates, self.breaker, self.pulses, reputation)

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring(self.engine)

    @cached_property
    def asker(self) -> Asker:
        return Asker(
            engine=self.engine,
            fleet=self.fleet,
            gates=self.gates,
            breaker=self.breaker,
            pulses=self.pulses,
            spill=self.spill,
            wire=self.wire,
            warmer=self.warmer,
            keyring=self.keyring,
            learner=Learner(self.engine, self.gates),
            worker=self.worker,
            lease_s=self.settings.lease_s,
            margin_s=self.settings.gate_margin_s,
            patience_s=patience_s(self.settings.horizon_s),
            draining=self.draining,
        )

    @cached_property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(self.engine, self.view, self.settings.chunk_size, self.settings.horizon_s)

    @cached_property
    def schooling(self) -> Schooling:
        return Schooling(self.engine)

    @cached_property
    def settler(self) -> Settler:
        return Settler(self.engine, self.view, self.settings.health_every_s)

    @cached_property
    def lookout(self) -> Lookout:
        return Lookout(self.engine, self.view, self.settings.health_every_s)

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.engine, self.spill, Memory(self.redis), self.asker, self.view, self.settings.health_every_s)

    @cached_property
    def monitor(self) -> Monitor:
        return Monitor(
            self.engine,
            self.fleet,
            self.gates,
            self.breaker,
            self.pulses,
            self.wire,
            self.warmer,
            self.keyring,
            every_s=self.settings.health_every_s,
            margin_s=self.settings.gate_margin_s,
        )

    @cached_property
    def press(self) -> PressRoom:
        inner = self.settings.allow_private_addresses
        return PressRoom(
            self.engine,
            self.fleet,
            Gatherer(self.engine, feed_fetcher(allow_private=inner)),
            Publisher(self.engine, os.environ, allow_private=inner),
            specimen=self.settings.specimen,
        )

    @cached_property
    def alerting(self) -> Alerting:
        told = self.settings
        thresholds = Thresholds(
            p95_latency_s=told.alert_p95_latency_s,
            error_rate=told.alert_error_rate,
            fallback_rate=told.alert_fallback_rate,
            cost=told.alert_cost,
            quality=told.alert_quality,
            quota=told.alert_quota,
            stalled_s=told.alert_stalled_s,
            least_samples=told.alert_least_samples,
        )
        sinks, amiss = configured(told)
        for said in amiss:
            log.warning(said, action="alert.half_configured")
        return Alerting(self.engine, self.fleet, self.gates, thresholds, sinks, told.alert_window_s)
