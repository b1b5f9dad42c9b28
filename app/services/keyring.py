"""The keys of a provider: which of them may be used now, and what a refusal of one means for the others."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from app.core.values import Deployment, Failure
from app.gates.limits import Scope
from app.ledger import keys
from app.registry.fleet import Fleet
from app.registry.rows import ProviderRow
from app.registry.secrets import KeyRef, api_keys
from app.services.calls import Caller
from app.services.scopes import scopes_of

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """The way to a deployment with one key: whose limits count, and who speaks."""

    key: KeyRef | None
    scopes: tuple[Scope, ...]
    caller: Caller

    @property
    def ref(self) -> str | None:
        return None if self.key is None else self.key.ref


class Keyring:
    """For one process; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._out: dict[str, dict[str, str]] = {}
        self._looked_at = float("-inf")

    def lines(self, fleet: Fleet, deployment: Deployment) -> list[Line]:
        """One for each key that has limits of its own, else for the first that may be used. All, where all are out:
        then it is the deployment that is out, and what is asked of it is asked on purpose.

        Raises ``DBAPIError``.
        """
        row = fleet.provider(deployment.provider)
        usable: list[KeyRef | None] = [*self.usable(row)] or [*api_keys(row)] or [None]
        if row.limits_per != "key":
            usable = usable[:1]
        return [
            Line(key, scopes_of(fleet, deployment, None if key is None else key.ref), Caller(row, deployment, key))
            for key in usable
        ]

    def refused(self, row: ProviderRow, used: KeyRef | None, failure: Failure) -> bool:
        """A key was refused. True: the provider can be asked with another.

        Where the key has been replaced since it was read, the new one is that other; else this one is out, as long as
        it is not the last: then the trouble is the deployment's. Raises ``DBAPIError``.
        """
        if used is None:
            return False
        now = next((key.key for key in api_keys(row) if key.ref == used.ref), None)
        if now is not None and now != used.key:
            return True
        if not any(key.ref != used.ref for key in self.usable(row)):
            return False
        if keys.put_out(self._engine, row.name, used.ref, f"{failure.kind.value}: {failure.message}"):
            log.error("key out", action="key.out", provider=row.name, key_ref=used.ref, kind=failure.kind.value)
        self.forget()
        return True

    def forget(self) -> None:
        """What was known of the keys has changed: look again at the next question."""
        with self._lock:
            self._looked_at = float("-inf")

    def usable(self, row: ProviderRow) -> list[KeyRef]:
        """The keys that are there and not out, in the order of the fleet file. Raises ``DBAPIError``."""
        there = api_keys(row)
        if len(there) < 2:
            return list(there)
        with self._lock:
            now = time.monotonic()
            if now - self._looked_at > _LOOK_EVERY_S:
                self._out, self._looked_at = keys.out(self._engine), now
            out = self._out.get(row.name, {})
        return [key for key in there if key.ref not in out]
