"""Everything the simulated fleet knows at one moment: fleet, weather, answers, meters, books."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.simulator.answers import Answers, read_packs
from app.simulator.books import Books, Totals
from app.simulator.fleet import LIMIT_KEYS, FleetFile, Limits, Model, Provider
from app.simulator.lies import Lie
from app.simulator.manners import Vendor
from app.simulator.meter import Meter, Standing
from app.simulator.protocols import manners_of
from app.simulator.weather import Params, Weather, lognormal, roll

LATENCY_JITTER = 0.25
"""Sigma of the everyday latency's logarithm: p95 is about one and a half times the mean."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A meter, the limits that hold on it now, and those that the headers speak of."""

    meter: Meter
    limits: Limits
    told: Limits


class House:
    """One process's fleet. Only ever touched from its event loop."""

    def __init__(
        self, fleet_path: Path, *, weather: Mapping[str, Any], base: Path, seed: int, latency_ms: float, now: float
    ) -> None:
        self.seed = seed
        self.latency_ms = latency_ms
        self.fleet = FleetFile(fleet_path)
        self._vendors: dict[tuple[str, str], Vendor] = {}
        self.books = Books()
        self.meters: dict[tuple[str, str | None, str], Meter] = {}
        """By provider, model (``None``: all of them) and key's mark (empty: all of the account's keys)."""
        self._called: dict[tuple[str, str], float] = {}
        self._loaded: dict[tuple[str, str], float] = {}
        self._ordinals: Counter[tuple[str, str]] = Counter()
        self.kept: list[tuple[str, bytes]] | None = None
        """(provider, body) of every call as it arrived, where somebody wants to look what was sent; None: nobody does.
        It grows with the calls."""
        self.lies: dict[Lie, None] = {}
        """What simulated journalists have falsified, in its order. It grows with what they write."""
        self.answers: Answers = read_packs(None, base, seed)
        self.weather = Weather()
        self.set_weather(weather, base, now)

    def set_weather(self, data: Mapping[str, Any], base: Path, now: float) -> None:
        """Replace the events; the answers too where ``data`` names any. Raises ``WeatherError``, changing nothing."""
        weather = Weather.of(data, seed=self.seed, began=now)
        if "answers" in data:
            self.answers = read_packs(data["answers"], base, self.seed, self.lies)
        self.weather = weather

    def reset(self) -> None:
        """Empty books and windows. Calls in flight end in the books they began in."""
        self.books = Books()
        self.kept = None if self.kept is None else []
        self.lies.clear()
        self.meters = {}
        self._ordinals.clear()
        self._called.clear()
        self._loaded.clear()

    def keep(self, provider: str, body: bytes) -> None:
        if self.kept is not None:
            self.kept.append((provider, body))

    def vendor(self, provider: Provider) -> Vendor:
        place = provider.name, provider.protocol
        vendor = self._vendors.get(place)
        if vendor is None:
            vendor = self._vendors[place] = manners_of(provider)
        return vendor

    def next_ordinal(self, provider: str, model: str) -> int:
        self._ordinals[provider, model] += 1
        return self._ordinals[provider, model]

    def scopes(self, provider: Provider, model: Model | None, now: float, mark: str) -> list[Scope]:
        """The provider's meter and, for a known model, the model's; the key's own where limits are per key."""
        name, known = provider.name, model.id if model else ""
        key = mark if provider.per_key else ""
        of_account = provider.limits
        of_model = model.limits if model else of_account
        told_account, told_model = of_account, of_model
        changes = self.weather.at(name, known)
        if "limits" in changes or "header_limits" in changes:
            new, new_model = self.weather.limit_changes(name, known, now)
            of_account, of_model = _changed(of_account, new), _changed(of_model, new_model)
            new, new_model = self.weather.limit_changes(name, known, now, "header_limits")
            told_account, told_model = _changed(of_account, new), _changed(of_model, new_model)
        scopes = [Scope(self._meter(provider, None, key), of_account, told_account)]
        if model is not None:
            scopes.append(Scope(self._meter(provider, model.id, key), of_model, told_model))
        return scopes

    def _meter(self, provider: Provider, model: str | None, key: str) -> Meter:
        place = provider.name, model, key
        meter = self.meters.get(place)
        if meter is None:
            meter = self.meters[place] = Meter(provider.zone)
        return meter

    def loading_s(self, provider: str, model: str, now: float) -> float:
        """How long a call that comes in now waits for its model to be loaded. To be asked once a call."""
        place = provider, model
        last = self._called.get(place, -math.inf)
        self._called[place] = now
        if not self._loaded and "cold_start" not in self.weather.at(provider, model):
            return 0.0
        event = self.weather.strike("cold_start", provider, model, now, 0)
        if event is not None and now - last >= event.params["idle_s"]:
            self._loaded[place] = now + event.params["load_s"]
        return max(0.0, self._loaded[place] - now) if place in self._loaded else 0.0

    def latency_s(self, provider: str, model: str, now: float, ordinal: int) -> float:
        event = self.weather.strike("latency", provider, model, now, ordinal)
        mean_ms, jitter = (
            (event.params["mean_ms"], event.params["jitter"]) if event else (self.latency_ms, LATENCY_JITTER)
        )
        return lognormal(mean_ms, jitter, roll(self.seed, "latency", provider, model, ordinal)) / 1000

    def report(self) -> dict[str, Any]:
        """The body of ``GET /books``. Where limits are per key, a provider's peaks are those of its busiest key."""
        books = self.books
        metered: dict[str, list[Meter]] = {name: [] for name in self.fleet.providers}
        in_flight = 0
        for (name, model, _), meter in self.meters.items():
            metered.setdefault(name if model is None else f"{name}/{model}", []).append(meter)
            in_flight += meter.in_flight if model is None else 0
        counted: dict[str, Totals] = {**books.providers}
        counted |= {f"{name}/{model}": totals for (name, model), totals in books.models.items()}
        rows = {
            name: counted.get(name, _NOTHING).as_dict() | _meter_report(metered.get(name, []))
            for name in {**metered, **counted}
        }
        of_keys = {
            f"{name}/{mark}": totals.as_dict() | _meter_report([self.meters[place]] if place in self.meters else [])
            for (name, mark), totals in books.provider_keys.items()
            for place in [(name, None, mark)]
        }
        providers = {**self.fleet.providers, **books.providers}
        return {
            "calls": len(books),
            "in_flight": in_flight,
            "totals": books.total.as_dict(),
            "providers": {name: rows[name] for name in providers},
            "models": {name: row for name, row in rows.items() if name not in providers},
            "keys": {mark: totals.as_dict() for mark, totals in books.keys.items()},
            "provider_keys": of_keys,
        }


def tightest(scopes: list[Scope], now: float, wall: float) -> dict[str, Standing]:
    """For every rule the scope with the least left: what a vendor's headers speak of."""
    found: dict[str, Standing] = {}
    for scope in scopes:
        for rule, standing in scope.meter.standings(now, wall, scope.told).items():
            if standing.remaining < (found[rule].remaining if rule in found else math.inf):
                found[rule] = standing
    return found


def _changed(limits: Limits, changes: Params) -> Limits:
    return replace(limits, **{key: int(value) for key, value in changes.items()}) if changes else limits


_NOTHING = Totals()
_PEAKS = {
    "max_in_flight": "max_in_flight",
    "max_arrivals_60s": "max_arrivals",
    "max_requests_60s": "max_requests",
    "max_tokens_60s": "max_tokens",
}


def _meter_report(meters: Sequence[Meter]) -> dict[str, Any]:
    return {
        "in_flight": sum(meter.in_flight for meter in meters),
        **{name: max((getattr(meter, peak) for meter in meters), default=0) for name, peak in _PEAKS.items()},
        "violations": {rule: sum(meter.refusals[rule] for meter in meters) for rule in LIMIT_KEYS}
        | {"tpm_overruns": sum(meter.overruns for meter in meters)},
    }
