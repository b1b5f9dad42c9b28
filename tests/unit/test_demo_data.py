"""The files that ship as data: the example fleet, and what the demonstration runs on."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from app.core.values import Tier
from app.registry.fleet import load
from app.simulator.answers import Gold, read_answers
from app.simulator.weather import Weather, read_weather_file

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "app" / "demo"
DESKS = {"world", "politics", "business", "technology", "science", "health", "sports", "culture"}


def test_the_example_fleet_loads_and_names_only_public_endpoints_and_key_names() -> None:
    fleet = load(ROOT / "fleet.example.toml")
    assert len(fleet.providers) >= 14
    for row in fleet.providers:
        assert row.base_url.startswith("https://") and row.api_key_env and not row.local
    assert {d.tier for d in fleet.deployments} == {Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX}


def test_the_example_fleet_agrees_with_the_list_it_was_taken_from() -> None:
    shared = Path(os.environ.get("SWITCHYARD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    source = shared / "free_tier_providers.json"
    if not source.exists():
        pytest.skip(f"{source.name} is not on this machine; set SWITCHYARD_SHARED_DATA to the folder that has it")
    known = {
        (row["name"].removesuffix("-router"), model["id"]): model
        for row in json.loads(source.read_text())["providers"]
        for model in row["models"]
    }
    fleet = load(ROOT / "fleet.example.toml", dt.date(2026, 11, 20))
    for row in fleet.providers:
        for model in row.models:
            theirs = known[row.name, model.id]
            price = fleet.deployment(f"{row.name}/{model.id}").price
            assert price is not None
            # The list rounds where the vendor gives three decimals.
            for micro, usd in ((price.input_micro, "price_in_per_m"), (price.output_micro, "price_out_per_m")):
                assert micro / 1e6 == pytest.approx(theirs[usd] or 0, rel=0.02), (row.name, model.id)
            assert model.context_window <= (theirs.get("context") or 32_000), (row.name, model.id)
            assert model.max_output <= (theirs.get("max_output") or 8_192), (row.name, model.id)


def test_the_demo_fleet_has_twelve_vendors_enough_voices_and_no_giant() -> None:
    fleet = load(ROOT / "fleet.demo.toml")
    assert fleet.digest == load(DEMO / "fleet.demo.toml").digest
    assert len(fleet.providers) == 12
    cheap = [d for d in fleet.deployments if d.tier is Tier.CHEAP]
    assert {d.provider for d in cheap} == {row.name for row in fleet.providers}
    assert len({d.family for d in cheap}) >= 8
    assert len({d.family for d in fleet.deployments if d.tier is Tier.COMPLEX}) >= 5
    assert any(d.reasoning for d in cheap)
    rates = [row.rpm for row in fleet.providers if row.rpm]
    assert max(rates) <= 0.2 * sum(rates)
    assert all(not row.api_key_env and 2 <= (row.concurrency or 0) <= 8 for row in fleet.providers)


def test_the_demo_weather_is_valid_and_speaks_of_the_demo_fleet() -> None:
    data = read_weather_file(DEMO / "weather.toml")
    weather = Weather.of(data, seed=1, began=0.0)
    fleet = load(DEMO / "fleet.demo.toml")
    names, models = {row.name for row in fleet.providers}, {d.model for d in fleet.deployments}
    assert {event.provider for event in weather.events} <= names
    assert {event.provider for event in weather.events if event.kind == "latency"} == names
    assert {"outage", "limits", "error", "leak_reasoning"} <= {event.kind for event in weather.events}
    assert isinstance(read_answers(data["answers"], DEMO, 1), Gold)
    for table in ("error_rate", "style"):
        assert set(data["answers"][table]) - {"default"} <= models


def test_the_headlines_cover_every_desk_evenly_and_none_stands_inside_another() -> None:
    with (DEMO / "headlines.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["custom_id", "text", "gold"]
    desks = Counter(row["gold"] for row in rows)
    assert set(desks) == DESKS and min(desks.values()) >= 30
    assert len({row["custom_id"] for row in rows}) == len(rows) >= 240
    texts = [row["text"].lower() for row in rows]
    assert not [a for n, a in enumerate(texts) for m, b in enumerate(texts) if n != m and a in b]
