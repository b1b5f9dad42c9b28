"""The price book: list prices of vendors' models as dated rows (``prices.toml``), in USD per million tokens.

A vendor is known by the host of its URL, never by the name that a fleet file gives it: a proxy that is called "groq"
bills what it likes. Rows end where a later one of the same model begins; before the first, the price is unknown.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from app.core import values
from app.registry.rows import Price, Text, price_micro

_BOOK = Path(__file__).with_suffix(".toml")


class PriceRow(BaseModel):
    """One model's price from a day on, until its next row. Midnight is that of UTC: vendors rarely name an hour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Text
    """The vendor's own id, letter by letter."""
    since: dt.date
    """The first day on which the source knows this price; that on which it was read, where it names none."""
    input: Price
    output: Price
    cached_input: Price | None = None


class Vendor(BaseModel):
    """``hosts``: those of its base URLs. ``source``: where its rows were taken from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    hosts: tuple[Text, ...]
    source: Text
    prices: tuple[PriceRow, ...] = Field(alias="price")


@lru_cache(maxsize=1)
def book() -> Mapping[str, Vendor]:
    """The book that ships with the program, by vendor. Read when first wanted."""
    tables = tomllib.loads(_BOOK.read_text("utf-8"), parse_float=Decimal)["vendor"]
    return {vendor.name: vendor for vendor in map(Vendor.model_validate, tables)}


def vendor_of(base_url: str) -> str | None:
    """The vendor who answers at this URL, None if the book does not know it."""
    host = urlsplit(base_url).hostname
    return next((vendor.name for vendor in book().values() if host in vendor.hosts), None)


def row_at(vendor: str, model: str, on: dt.date) -> PriceRow | None:
    """The row that is in force on a day; None where the book has none, or none yet."""
    known = book().get(vendor)
    rows = [row for row in (known.prices if known else ()) if row.model == model and row.since <= on]
    return max(rows, key=lambda row: row.since, default=None)


def price_at(vendor: str, model: str, on: dt.date) -> values.Price | None:
    """What a vendor asks for a model on a day, in exact micro-dollars. None: nobody knows. Never zero for unknown."""
    row = row_at(vendor, model, on)
    return None if row is None else price_micro(row.input, row.output, row.cached_input)
