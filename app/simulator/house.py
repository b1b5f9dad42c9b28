"""Everything the simulated fleet knows at one moment: fleet, weather, answers, meters, books."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from app.simulator.answers import Answers, read_answers
from app.simulator.books import Books
from app.simulator.fleet import FleetFile, Limits, Model, Provider
from app.simulator.meter import Meter, Standing
from app.simulator.vendors import Vendor, vendor_of
from app.simulator.weather import Params, Weather, lognormal, roll

LATENCY_JITTER = 0.25
"""Sigma of the everyday latency's logarithm: p95 is about one and a half times the mean."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A meter and the limits that hold on it now."""

    meter: Meter
    limits: Limits


class House:
    """One process's fleet. Only ever touched from its event loop."""

    def __init__(
        self, fleet_path: Path, *, weather: Mapping[str, Any], base: Path, seed: int, latency_ms: float, now: float
    ) -> None:
        self.seed = seed
        self.latency_ms = latency_ms
        self.fleet = FleetFile(fleet_path)
        self._vendors: dict[str, Vendor] = {}
        self.books = Books()
        self.meters: dict[tuple[str, str | None], Meter] = {}
        self._ordinals: Counter[tuple[str, str]] = Counter()
        self.answers: Answers = read_answers(None, base, seed)
        self.weather = Weather()
        self.set_weather(weather, base, now)

    def set_weather(self, data: Mapping[str, Any], base: Path, now: float) -> None:
        """Replace the events; the answers too where ``data`` names any. Raises ``WeatherError``, changing nothing."""
        weather = Weather.of(data, seed=self.seed, began=now)
        if "answers" in data:
            self.answers = read_answers(data["answers"], base, self.seed)
        self.weather = weather

    def reset(self) -> None:
        """Empty books and windows. Calls in flight end in the books they began in."""
        self.books = Books()
        self.meters = {}
        self._ordinals.clear()

    def vendor(self, provider: str) -> Vendor:
        vendor = self._vendors.get(provider)
        if vendor is None:
            vendor = self._vendors[provider] = vendor_of(provider)
        return vendor

    def next_ordinal(self, provider: str, model: str) -> int:
        self._ordinals[provider, model] += 1
        return self._ordinals[provider, model]

    def scopes(self, provider: Provider, model: Model | None, now: float) -> list[Scope]:
        """The provider's meter and, for a known model, the model's."""
        of_provider, of_model = self.weather.limit_changes(provider.name, model.id if model else "", now)
        scopes = [Scope(self._meter(provider, None), _changed(provider.limits, of_provider))]
        if model is not None:
            scopes.append(Scope(self._meter(provider, model.id), _changed(model.limits, of_model)))
        return scopes

    def _meter(self, provider: Provider, model: str | None) -> Meter:
        meter = self.meters.get((provider.name, model))
        if meter is None:
            meter = self.meters[provider.name, model] = Meter(provider.zone)
        return meter

    def latency_s(self, provider: str, model: str, now: float, ordinal: int) -> float:
        event = self.weather.strike("latency", provider, model, now, ordinal)
        mean_ms, jitter = (
            (event.params["mean_ms"], event.params["jitter"]) if event else (self.latency_ms, LATENCY_JITTER)
        )
        return lognormal(mean_ms, jitter, roll(self.seed, "latency", provider, model, ordinal)) / 1000

    def report(self) -> dict[str, Any]:
        """The body of ``GET /books``."""
        books = self.books
        empty = dict.fromkeys(type(books.total).__slots__, 0)
        providers = {name: empty | _meter_report(self.meters.get((name, None))) for name in self.fleet.providers}
        models: dict[str, dict[str, Any]] = {}
        for name, totals in books.providers.items():
            providers[name] = totals.as_dict() | _meter_report(self.meters.get((name, None)))
        for (name, model), meter in self.meters.items():
            if model is not None:
                models[f"{name}/{model}"] = empty | _meter_report(meter)
        for (name, model), totals in books.models.items():
            models[f"{name}/{model}"] = totals.as_dict() | _meter_report(self.meters.get((name, model)))
        return {
            "calls": len(books),
            "in_flight": sum(meter.in_flight for (_, model), meter in self.meters.items() if model is None),
            "totals": books.total.as_dict(),
            "providers": providers,
            "models": models,
            "keys": {mark: totals.as_dict() for mark, totals in books.keys.items()},
        }


def tightest(scopes: list[Scope], now: float, wall: float) -> dict[str, Standing]:
    """For every rule the scope with the least left: what a vendor's headers speak of."""
    found: dict[str, Standing] = {}
    for scope in scopes:
        for rule, standing in scope.meter.standings(now, wall, scope.limits).items():
            if standing.remaining < (found[rule].remaining if rule in found else math.inf):
                found[rule] = standing
    return found


def _changed(limits: Limits, changes: Params) -> Limits:
    return replace(limits, **{key: int(value) for key, value in changes.items()}) if changes else limits


def _meter_report(meter: Meter | None) -> dict[str, Any]:
    if meter is None:
        meter = _UNTOUCHED
    return {
        "in_flight": meter.in_flight,
        "max_in_flight": meter.max_in_flight,
        "max_arrivals_60s": meter.max_arrivals,
        "max_requests_60s": meter.max_requests,
        "max_tokens_60s": meter.max_tokens,
        "violations": meter.refusals | {"tpm_overruns": meter.overruns},
    }


_UNTOUCHED = Meter(ZoneInfo("UTC"))
