"""A yard in this process: real Postgres, real Redis, a simulated fleet, and every bell rung by hand."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.gates.limits import Known
from app.ledger.door import Row
from app.ledger.settling import RungAsk
from app.registry.fleet import FleetFile
from app.services.jobspec import spec_of
from app.services.scopes import key_scopes
from app.services.settling import Settled
from app.services.submitting import Submitter
from app.settings import Settings
from app.simulator.process import SimulatorProcess
from app.yard import Yard

LABELS = ["a", "b"]
_PROVIDER_KEYS = (
    "rpm", "tpm", "rph", "tph", "rpd", "tpd", "rpmo", "tpmo", "concurrency", "limits_per", "timeout_s", "local",
    "api_key_env", "api_key_file", "quota_reset", "learn_upwards",
)  # fmt: skip
BASES = {
    "openai": "/v1",
    "openai_responses": "/v1",
    "anthropic": "",
    "gemini": "/v1beta",
    "cohere": "",
    "cloudflare": "/client/v4/accounts/simulated",
    "ollama": "",
}
"""What the base URL of a simulated provider ends in, by its protocol."""

Vendor = dict[str, Any]


def vendor(name: str, model: str = "m", **more: Any) -> Vendor:
    """A provider of one model. ``more``: keys of the provider (``protocol`` is ``openai`` unless given), and tier,
    family, quality, capabilities of the model; ``priced=False``: nobody knows its price."""
    return {"name": name, "model": model, "family": f"family-{name}", "tier": "cheap", "quality": 0.5, **more}


def fleet_toml(vendors: Iterable[Vendor], port: int) -> str:
    lines = []
    for row in vendors:
        keys = [f"{k} = {_toml(row[k])}" for k in _PROVIDER_KEYS if k in row]
        protocol = row.get("protocol", "openai")
        base = row.get("base_url", f"http://127.0.0.1:{port}/{row['name']}{BASES[protocol]}")
        lines += ["[[provider]]", f'name = "{row["name"]}"', f'protocol = "{protocol}"', f'base_url = "{base}"', *keys]
        lines += ["[[provider.model]]", f'id = "{row["model"]}"', f'tier = "{row["tier"]}"']
        lines += [f'family = "{row["family"]}"', f"quality = {row['quality']}"]
        lines += [f"context_window = {row.get('context_window', 32000)}"]
        lines += [f"max_output = {row.get('max_output', 4000)}"]
        lines += ["input_price = 1", "output_price = 2"] if row.get("priced", True) else []
        lines += [f"capabilities = {_toml(row.get('capabilities', []))}", ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value).replace("'", '"')


def until(what: Callable[[], Any], within_s: float = 15.0) -> Any:
    """The first true thing ``what`` returns: for states of other processes, of which nobody tells us."""
    deadline = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)
    return found


class SmallYard:
    """``open`` it with a fleet; ``worker()`` makes further processes' yards on the same ledger.

    The gates' margin is wide, so that a busy machine does not let reservations grow stale, and the gates are opened
    at once (``cold``: they are not).
    """

    def __init__(self, home: Path, database_url: str, redis_url: str) -> None:
        self.home = home
        self.urls = (database_url, redis_url)
        self._yards: list[Yard] = []
        self._submitted = 0
        self._simulator: SimulatorProcess | None = None

    def open(
        self,
        vendors: Sequence[Vendor],
        *,
        latency_ms: float = 10.0,
        simulated: bool = True,
        cold: bool = False,
        healthy: bool = True,
        **settings: Any,
    ) -> SmallYard:
        self.path = self.home / "fleet.toml"
        self.path.write_text(fleet_toml(vendors, 1))
        if simulated:
            self._simulator = SimulatorProcess(self.path, latency_ms=latency_ms).start()
            self.sim.weather({"event": [], "answers": {"kind": "fixed", "text": "a"}})
            self.write_fleet(vendors)
        self._settings = {"gate_margin_s": 4.0, **settings}
        self.yard = self.worker()
        self.engine = self.yard.engine
        if not cold:
            self.open_gates()
        if healthy:
            self.healthy(*(d.name for d in self.yard.fleet.current().deployments))
        return self

    @property
    def sim(self) -> SimulatorProcess:
        assert self._simulator is not None
        return self._simulator

    def write_fleet(self, vendors: Sequence[Vendor]) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(fleet_toml(vendors, self.sim.port))
        new.replace(self.path)

    def worker(self) -> Yard:
        """The yard of one more worker process."""
        urls = {"database_url": SecretStr(self.urls[0]), "redis_url": SecretStr(self.urls[1])}
        yard = Yard(Settings(**urls, fleet=self.path, **self._settings))
        self._yards.append(yard)
        return yard

    def close(self) -> None:
        for yard in self._yards:
            yard.wire.close()
            yard.engine.dispose()
            yard.redis.close()
        if self._simulator is not None:
            self._simulator.stop()

    # Setting the scene

    def open_gates(self, known: Known | None = None) -> None:
        fleet = self.yard.fleet.current()
        for deployment in fleet.deployments:
            for scope in (s for of_key in key_scopes(fleet, deployment) for s in of_key):
                self.yard.gates.warm(scope, known or Known(hour=(), month=(0, 0)))

    def healthy(self, *names: str) -> None:
        self.mark("healthy", *names)

    def mark(self, state: str, *names: str) -> None:
        """As the ledger holds it after a change; nothing else takes note."""
        for name in names:
            self.change(
                "INSERT INTO health (deployment, state, latency_ms) VALUES (%s, %s, 20) ON CONFLICT (deployment)"
                " DO UPDATE SET state = excluded.state, leaning = NULL, streak = 0, since = clock_timestamp()",
                *(name, state),
            )
            self.change("INSERT INTO health_history (deployment, state) VALUES (%s, %s)", name, state)

    def weather(self, *events: dict[str, Any], **answers: Any) -> None:
        """Replace the weather; ``answers`` (kind and its keys) too where any are given."""
        self.sim.weather({"event": list(events), **({"answers": answers} if answers else {})})

    def submit(self, items: int = 1, *, texts: Sequence[str] = (), **spec: Any) -> str:
        """``items`` of texts that no other job has, unless ``texts`` are given."""
        self._submitted += 1
        own = f" of job {self._submitted}" if self._submitted > 1 else ""
        rows = [Row(n, f"i{n}", text) for n, text in enumerate(texts or [f"text {n}{own}" for n in range(items)], 1)]
        wanted = spec_of({"task": "classify", "labels": LABELS, **spec})
        return Submitter(self.engine, FleetFile(self.path)).submit(wanted, rows).job_id

    # Ringing the bells

    def dispatch(self) -> list[RungAsk]:
        """Chunks that others may have asked for are settled at once."""
        found = self.yard.dispatcher.dispatch()
        asks = [ask for wave in found.waves for ask in wave]
        return asks + [ask for chunk_id in found.unasked for ask in self.settle_on(chunk_id)]

    def settle_on(self, chunk_id: int, yard: Yard | None = None) -> list[RungAsk]:
        """Settle a chunk and those that have waited for it; returns the asks that come of it."""
        asks, chunks = [], deque([chunk_id])
        while chunks:
            settled = (yard or self.yard).settler.settle(chunks.popleft())
            asks += settled.wave
            chunks.extend(settled.waiting)
        return asks

    def follow(self, asks: Iterable[RungAsk], yard: Yard | None = None) -> None:
        """Answer these bells and those that come of them, one after the other."""
        worker = yard or self.yard
        bells = deque(asks)
        while bells:
            ask = bells.popleft()
            if worker.asker.ask(ask.id) is not None:
                bells.extend(self.settle_on(ask.chunk_id, worker))

    def work(self) -> None:
        """Dispatch and follow until nothing more leaves the yard."""
        while asks := self.dispatch():
            self.follow(asks)

    def settle(self, chunk_id: int | None = None) -> Settled:
        return self.yard.settler.settle(chunk_id or self.value("SELECT max(id) FROM chunks"))

    # Looking

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.engine.begin() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql, values or None)]

    def value(self, sql: str, *values: Any) -> Any:
        return self.rows(sql, *values)[0][0]

    def change(self, sql: str, *values: Any) -> int:
        with self.engine.begin() as connection:
            return connection.exec_driver_sql(sql, values or None).rowcount

    def attempts(self) -> list[tuple[Any, ...]]:
        """(try, state, failure kind, status), in the order in which they were opened."""
        return self.rows("SELECT try, state, failure_kind, status FROM attempts ORDER BY id")

    def votes(self) -> list[tuple[Any, ...]]:
        """(seat, answer, failure kind, tries), by item and seat."""
        return self.rows("SELECT seat, answer, failure_kind, tries FROM votes ORDER BY item_id, chunk_id, seat")

    def decisions(self) -> list[tuple[Any, ...]]:
        """(custom id, status, answer, reason), in the order of the input."""
        return self.rows(
            "SELECT i.custom_id, d.status, d.answer, d.reason FROM decisions d JOIN items i ON i.id = d.item_id"
            " ORDER BY i.job_id, i.n"
        )

    def state(self, table: str) -> list[str]:
        return [row[0] for row in self.rows(f"SELECT state FROM {table} ORDER BY id")]

    def books_agree(self) -> None:
        """Every call the provider answered is one attempt here, with the same tokens and the same bill.

        Calls that a drill struck were never made.
        """
        booked = {
            row["request_ref"]: (row["status"], row["prompt_tokens"], row["completion_tokens"], row["money_micro"])
            for row in self.sim.calls()
        }
        kept = {
            f"sy-{id_}": (status, asked, answered, cost)
            for id_, status, asked, answered, cost in self.rows(
                "SELECT id, status, input_tokens + cached_tokens, output_tokens + reasoning_tokens, cost_micro"
                " FROM attempts WHERE status IS NOT NULL AND NOT 'drill' = ANY(coalesce(flags, '{}'))"
            )
        }
        assert kept == booked
        assert len(self.sim.calls()) == len(booked)

    def completed_twice(self) -> list[tuple[Any, ...]]:
        """(item, deployment) pairs that were answered more than once, by the provider's own books."""
        answered = [int(r["request_ref"].removeprefix("sy-")) for r in self.sim.calls() if r["status"] == 200]
        return self.rows(
            "SELECT item_id, deployment FROM attempts WHERE id = ANY(%s) AND item_id IS NOT NULL"
            " GROUP BY 1, 2 HAVING count(*) > 1",
            answered,
        )
