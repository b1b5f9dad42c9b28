"""The fleet file as the simulator reads it: limits, prices and zones, nothing of the product's.

The format is the product's fleet file (TOML); this reader is its own, so that a mistake in one is seen by the other.
Keys that only the product needs (tier, quality, family, timeouts) are passed over.
"""

from __future__ import annotations

import math
import sys
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

LIMIT_KEYS = ("rpm", "tpm", "rph", "tph", "rpd", "tpd", "rpmo", "tpmo", "concurrency")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is enforced. ``None``: no such limit. Requests and tokens per minute, hour, day and month; calls at once."""

    rpm: int | None = None
    tpm: int | None = None
    rph: int | None = None
    tph: int | None = None
    rpd: int | None = None
    tpd: int | None = None
    rpmo: int | None = None
    tpmo: int | None = None
    concurrency: int | None = None

    @classmethod
    def of(cls, row: dict[str, Any]) -> Limits:
        return cls(**{key: int(row[key]) for key in LIMIT_KEYS if row.get(key) is not None})


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-dollars per token as exact fractions over one denominator.

    A price of USD per million tokens is the same number of micro-dollars per token.
    """

    input_part: int = 0
    output_part: int = 0
    parts: int = 1

    @classmethod
    def of(cls, input_usd: Decimal | int, output_usd: Decimal | int) -> Price:
        asked, answered = Fraction(input_usd), Fraction(output_usd)
        parts = math.lcm(asked.denominator, answered.denominator)
        return cls(int(asked * parts), int(answered * parts), parts)

    def micro(self, prompt_tokens: int, completion_tokens: int) -> int:
        """What one call costs in whole micro-dollars, rounded half up."""
        exact = prompt_tokens * self.input_part + completion_tokens * self.output_part
        return (2 * exact + self.parts) // (2 * self.parts)


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    limits: Limits
    price: Price
    context_window: int | None
    reasoning: bool


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    protocol: str
    limits: Limits
    zone: ZoneInfo
    """Where the calendar day of rpd and tpd begins, and the month of rpmo and tpmo."""
    needs_key: bool
    per_key: bool
    """``limits_per = "key"``: the limits, the models' too, hold for each key; else for all of the account's keys."""
    models: dict[str, Model]


def read_fleet(path: Path) -> dict[str, Provider]:
    """Providers by name. Raises ``OSError``, ``tomllib.TOMLDecodeError``, ``KeyError`` or ``ValueError``."""
    data = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    providers: dict[str, Provider] = {}
    for row in data.get("provider", []):
        models = {
            model["id"]: Model(
                id=model["id"],
                limits=Limits.of(model),
                price=Price.of(model.get("input_price", 0), model.get("output_price", 0)),
                context_window=model.get("context_window"),
                reasoning="reasoning" in model.get("capabilities", ()),
            )
            for model in row.get("model", [])
        }
        providers[row["name"]] = Provider(
            name=row["name"],
            protocol=row.get("protocol", "openai"),
            limits=Limits.of(row),
            zone=ZoneInfo(row.get("quota_reset", "UTC")),
            needs_key=any(value for key, value in row.items() if key.startswith("api_key")),
            per_key=_per_key(row),
            models=models,
        )
    return providers


def _per_key(row: dict[str, Any]) -> bool:
    scope = row.get("limits_per", "account")
    if scope not in ("account", "key"):
        raise ValueError(f'provider {row["name"]!r}: limits_per must be "account" or "key", not {scope!r}')
    return bool(scope == "key")


class FleetFile:
    """The fleet as it stands on disk now: looked at again at most once a second, on the next request.

    A file that cannot be read leaves the last good fleet in force and says so on stderr.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.providers = read_fleet(path)
        self._stamp = self._look()
        self._looked_at = -math.inf

    def _look(self) -> tuple[int, int]:
        stat = self._path.stat()
        return stat.st_mtime_ns, stat.st_size

    def refresh(self, now: float) -> None:
        """``now`` is monotonic seconds."""
        if now - self._looked_at < 1.0:
            return
        self._looked_at = now
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self.providers = read_fleet(self._path)
        except (OSError, ValueError, KeyError) as error:  # TOMLDecodeError is a ValueError
            sys.stderr.write(f"simulator: the fleet file could not be read again, the old one stays: {error!r}\n")
