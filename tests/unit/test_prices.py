"""The price book: dated rows, exact money, and a price for every model of the fleets that ship."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

import pytest
import time_machine

from app.core.values import Price
from app.registry import prices
from app.registry.fleet import FleetFile, load, parse

ROOT = Path(__file__).parents[2]
COMPILED = dt.date(2026, 11, 20)
FLEET = """
[[provider]]
name = "{name}"
protocol = "openai"
base_url = "{url}"
[[provider.model]]
id = "{model}"
tier = "cheap"
family = "f"
context_window = 1000
max_output = 100
{more}
"""


def fleet_text(url: str = "https://api.mistral.ai/v1", model: str = "ministral-8b-latest", more: str = "") -> str:
    return FLEET.format(name="mine", url=url, model=model, more=more)


def price_of(text: str, on: dt.date = COMPILED) -> Price | None:
    return parse(text.encode(), Path("fleet.toml"), on).deployments[0].price


@pytest.mark.parametrize(
    ("day", "price"),
    [
        ("2024-10-15", None),  # before the first row nobody knows
        ("2024-10-16", Price(100_000, 100_000)),
        ("2025-12-01", Price(100_000, 100_000)),
        ("2025-12-02", Price(150_000, 150_000, 15_000)),
        ("2031-01-01", Price(150_000, 150_000, 15_000)),
    ],
)
def test_a_price_holds_from_its_day_until_the_next_row(day: str, price: Price | None) -> None:
    assert prices.price_at("mistral", "ministral-8b-latest", dt.date.fromisoformat(day)) == price
    assert price_of(fleet_text(), dt.date.fromisoformat(day)) == price


def test_what_the_book_does_not_know_is_unknown_and_free_is_a_zero_that_somebody_wrote() -> None:
    assert prices.price_at("mistral", "ministral-8b", COMPILED) is None
    assert prices.price_at("nobody", "ministral-8b-latest", COMPILED) is None
    assert prices.price_at("openrouter", "openai/gpt-oss-20b:free", COMPILED) == Price(0, 0)


@pytest.mark.parametrize(
    ("url", "vendor"),
    [
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://API.Mistral.ai:443/v1/", "mistral"),
        ("https://api.cohere.ai/compatibility/v1", "cohere"),
        ("https://api.mistral.ai.example.com/v1", None),
        ("https://proxy.example.com/api.mistral.ai/v1", None),
        ("http://127.0.0.1:8899/mistral/v1", None),
    ],
)
def test_a_vendor_is_known_by_its_host_alone(url: str, vendor: str | None) -> None:
    assert prices.vendor_of(url) == vendor


def test_the_price_of_the_fleet_file_wins_and_a_local_model_sends_no_bill() -> None:
    assert price_of(fleet_text(more="input_price = 0.07\noutput_price = 0.09")) == Price(70_000, 90_000)
    stated = "input_price = 2\noutput_price = 3\ncached_input_price = 0.5"
    assert price_of(fleet_text(more=stated)) == Price(2_000_000, 3_000_000, 500_000)
    assert price_of(fleet_text(more="input_price = 0\noutput_price = 0")) == Price(0, 0)
    assert price_of(fleet_text(model="ministral-9b")) is None
    elsewhere = fleet_text(url="http://127.0.0.1:8000/v1")
    assert price_of(elsewhere) is None
    assert price_of(elsewhere.replace('"openai"', '"openai"\nlocal = true')) == Price(0, 0)


@pytest.mark.parametrize("file", ["fleet.example.toml", "fleet.demo.toml"])
def test_every_model_of_a_fleet_that_ships_has_a_known_price(file: str) -> None:
    fleet = load(ROOT / file, COMPILED)
    assert [d.name for d in fleet.deployments if d.price is None] == []


def test_every_model_of_the_example_takes_its_price_from_a_dated_row_with_a_source() -> None:
    for provider in load(ROOT / "fleet.example.toml", COMPILED).providers:
        vendor = prices.vendor_of(provider.base_url)
        assert vendor is not None and prices.book()[vendor].source, provider.name
        for model in provider.models:
            row = prices.row_at(vendor, model.id, COMPILED)
            assert row is not None and row.since <= COMPILED, (provider.name, model.id)
            assert model.stated_price is None, "the book has it: a second price here would go stale"


def test_the_demo_states_the_list_prices_of_the_vendors_it_plays() -> None:
    """In its file, because the simulator bills by that and must know nothing of the book."""
    hosts = {p.name: p.base_url for p in load(ROOT / "fleet.example.toml").providers}
    for provider in load(ROOT / "fleet.demo.toml").providers:
        vendor = prices.vendor_of(hosts[provider.name])
        for model in provider.models:
            row = prices.row_at(vendor or "", model.id, COMPILED)
            assert row is not None, (provider.name, model.id)
            assert (model.input_price, model.output_price) == (row.input, row.output), (provider.name, model.id)


def test_the_book_says_nothing_twice() -> None:
    vendors = prices.book().values()
    for vendor in vendors:
        assert vendor.prices
        assert max(Counter((row.model, row.since) for row in vendor.prices).values()) == 1, vendor.name
    hosts = Counter(host for vendor in vendors for host in vendor.hosts)
    assert max(hosts.values()) == 1 and all(host == host.lower() for host in hosts)


def test_a_running_process_takes_a_new_price_at_midnight_utc_without_a_change_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(fleet_text())
    file = FleetFile(path)
    with time_machine.travel(dt.datetime(2025, 12, 1, 23, 59, 59, tzinfo=dt.UTC), tick=False) as clock:
        before = file.current()
        assert before.deployments[0].price == Price(100_000, 100_000)
        assert file.current() is before
        clock.shift(1)
        after = file.current()
        assert after.deployments[0].price == Price(150_000, 150_000, 15_000)
        assert after.deployment("mine/ministral-8b-latest") is after.deployments[0]
        assert after.providers is before.providers and after.digest == before.digest
        path.unlink()
        clock.shift(86_400)
        assert file.current().deployments == after.deployments
