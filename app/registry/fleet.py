"""The fleet file: TOML in, a frozen ``Fleet`` out, or every problem with its line.

An error repeats no value out of the file but names and model ids, since a value may be a key
pasted into the wrong place; it speaks in keys, lines and known words.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.core.balancing import MODES
from app.core.errors import FleetError, NotFound
from app.core.values import Deployment, Limits, Price, Tier
from app.registry import prices
from app.registry.lines import Lines, Place
from app.registry.rows import ModelRow, ProviderRow, nearest
from app.registry.tomlfile import FileKind, LastGood, Problem, quoted, unknown

FILE = FileKind(
    what="fleet file",
    error=FleetError,
    hint="fleet.example.toml shows every key",
    absent_hint="set SWITCHYARD_FLEET to a fleet file",
)

_T = TypeVar("_T")
_PROVIDER_KEYS = tuple(field.alias or name for name, field in ProviderRow.model_fields.items())
_MODEL_KEYS = tuple(ModelRow.model_fields)
_TABLES = ("provider", "balance")
_BALANCED_TIERS = tuple(tier.value for tier in Tier)
_PLAIN = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "frozen_set_type": "must be an array of strings",
    "tuple_type": "must be an array of tables: [[provider.model]]",
    "model_type": "must be a table",
}


@dataclass(frozen=True)
class Fleet:
    """All providers and what can be called at them, as one fleet file says."""

    providers: tuple[ProviderRow, ...]
    deployments: tuple[Deployment, ...]
    """In the order of the file, at the prices of one day."""
    digest: str
    """SHA-256 of the file's bytes, hexadecimal."""
    balance: Mapping[str, str] = field(default_factory=dict)
    """Tier → mode of balancing (``app.core.balancing``), where the file says one."""

    @cached_property
    def _providers(self) -> Mapping[str, ProviderRow]:
        return {row.name: row for row in self.providers}

    @cached_property
    def _deployments(self) -> Mapping[str, Deployment]:
        return {deployment.name: deployment for deployment in self.deployments}

    def provider(self, name: str) -> ProviderRow:
        """Raises ``NotFound``, which names the nearest known provider."""
        return _get(self._providers, name, "provider")

    def deployment(self, name: str) -> Deployment:
        """``name`` is ``provider/model``. Raises ``NotFound``, which names the nearest known deployment."""
        return _get(self._deployments, name, "deployment")


class FleetFile:
    """A fleet file that may change while a process runs. Safe to share between threads.

    Prices are those of the day, which begins at midnight UTC. See the warning of ``LastGood``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: LastGood[Fleet] = LastGood(path, FILE, lambda path: load(path, _today()))
        self._read: Fleet | None = None
        self._priced: Fleet | None = None
        self._day: dt.date | None = None

    def current(self) -> Fleet:
        """The fleet as it stands in the file now, or the last good one where the file is broken or gone.

        Costs one ``stat``. Broken content is logged once for each change. Raises ``FleetError`` as
        long as there has been no good fleet at all.
        """
        with self._lock:
            day = _today()
            read = self._file.current()
            if self._priced is None or read is not self._read or day != self._day:
                self._priced = replace(read, deployments=_deployments(read.providers, day))
                self._read, self._day = read, day
            return self._priced


def load(path: Path, on: dt.date | None = None) -> Fleet:
    """Read a fleet file, with the prices of a day (today's, in UTC).

    Raises ``FleetError``: up to ``SHOWN`` problems, one a line, ``file:line: what``.
    """
    return parse(FILE.read(path), path, on)


def parse(raw: bytes, path: Path, on: dt.date | None = None) -> Fleet:
    """As ``load``, for bytes already read. Errors name ``path``; a relative ``api_key_file`` starts beside it."""
    text = FILE.text(raw, path)
    document = FILE.document(text, path, parse_float=_exact)
    lines = Lines(text)
    rows, problems = _rows(document, lines)
    problems = sorted([*problems, *_balance_problems(document, lines)])
    if problems:
        raise FILE.error_of(path, problems)
    rows = [_anchored(row, path.parent) for row in rows]
    return Fleet(
        providers=tuple(rows),
        deployments=_deployments(rows, on or _today()),
        digest=hashlib.sha256(raw).hexdigest(),
        balance=document.get("balance", {}),
    )


def _exact(digits: str) -> Decimal:
    """Prices are money: no detour by binary fractions."""
    try:
        return Decimal(digits)
    except InvalidOperation:  # an exponent no computer holds; the row refuses it, with its line
        return Decimal("NaN")


def _rows(document: dict[str, Any], lines: Lines) -> tuple[list[ProviderRow], list[Problem]]:
    """Every row that is valid, and every problem, in the order of the file."""
    tables = document.get("provider")
    rows: list[ProviderRow] = []
    found: list[tuple[Place, str]] = []
    found += [((key,), _unknown(key, _TABLES)) for key in document if key not in _TABLES]
    if isinstance(tables, dict):
        found.append((("provider",), "write [[provider]], with two brackets: there can be several"))
    elif not isinstance(tables, list) or not tables:
        found.append((("provider",), "there is no [[provider]] in this file"))
    else:
        for index, table in enumerate(tables):
            try:
                rows.append(ProviderRow.model_validate(table))
            except ValidationError as error:
                found += [
                    (("provider", index, *detail["loc"]), _sentence(table, index, detail))
                    for detail in error.errors(include_url=False, include_input=False)
                ]
        found += _twice(tables, lines)
    return rows, sorted((lines.find(place), what) for place, what in found)


def _balance_problems(document: dict[str, Any], lines: Lines) -> Iterator[Problem]:
    """What is wrong in ``[balance]``: a mode of balancing for each tier that is to have another than the default."""
    table = document.get("balance", {})
    if not isinstance(table, dict):
        yield lines.find(("balance",)), "write [balance], a table: tier = mode"
        return
    for tier, mode in table.items():
        line = lines.find(("balance", tier))
        if tier not in _BALANCED_TIERS:
            yield line, f"balance: {_unknown(tier, _BALANCED_TIERS)}"
        elif mode not in MODES:
            near = nearest(mode, MODES) if isinstance(mode, str) else None
            meant = f'; did you mean "{near}"?' if near else ""
            yield line, f"balance: {tier} must be one of {', '.join(MODES)}{meant}"


def _twice(tables: list[Any], lines: Lines) -> Iterator[tuple[Place, str]]:
    """Names that stand twice. Models only within a provider: several vendors serve the same id."""
    providers: dict[str, Place] = {}
    for index, table in enumerate(tables):
        if not isinstance(table, dict):
            continue
        name, models = table.get("name"), table.get("model")
        place: Place = ("provider", index, "name")
        if isinstance(name, str) and name in providers:
            first = lines.find(providers[name])
            yield place, f"{_label(table, index)}: this name is already taken on line {first}"
        elif isinstance(name, str):
            providers[name] = place
        seen: dict[str, Place] = {}
        for number, model in enumerate(models if isinstance(models, list) else ()):
            name = model.get("id") if isinstance(model, dict) else None
            place = ("provider", index, "model", number, "id")
            if isinstance(name, str) and name in seen:
                first = lines.find(seen[name])
                yield place, f"{_label(table, index, number)}: this id already stands on line {first}"
            elif isinstance(name, str):
                seen[name] = place


def _sentence(table: Any, index: int, detail: ErrorDetails) -> str:
    """One problem of a provider's table, in words of ours."""
    loc = detail["loc"]
    in_model = len(loc) > 1 and loc[0] == "model" and isinstance(loc[1], int)
    label = _label(table, index, loc[1] if in_model and isinstance(loc[1], int) else None)
    inner = loc[2:] if in_model else loc
    key = str(inner[0]) if inner else ""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"{label}: {_unknown(key, _MODEL_KEYS if in_model else _PROVIDER_KEYS)}"
    if kind == "missing":
        return f'{label}: key "{key}" is missing'
    reason = detail.get("ctx", {}).get("error") if kind == "value_error" else None
    what = str(reason) if reason else _PLAIN.get(kind, detail["msg"].removeprefix("Input ").replace("should", "must"))
    return f"{label}: {key} {what}" if key else f"{label}: {what}"


def _label(table: Any, index: int, model: int | None = None) -> str:
    name = table.get("name") if isinstance(table, dict) else None
    valid = isinstance(name, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name)
    label = f'provider "{name}"' if valid else f"provider {index + 1}"
    if model is None:
        return label
    row = table["model"][model]
    name = row.get("id") if isinstance(row, dict) else None
    valid = isinstance(name, str) and re.fullmatch(r"[\x21-\x7e]{1,80}", name)
    return f'{label}, model "{name}"' if valid else f"{label}, model {model + 1}"


def _unknown(key: str, known: tuple[str, ...]) -> str:
    if known is _PROVIDER_KEYS and key in _MODEL_KEYS:
        return f"{quoted(key)}; it belongs into a [[provider.model]]"
    if known is _MODEL_KEYS and key in _PROVIDER_KEYS:
        return f"{quoted(key)}; it belongs into the [[provider]]"
    return unknown(key, known)


def _get(known: Mapping[str, _T], name: str, what: str) -> _T:
    try:
        return known[name]
    except KeyError:
        near = nearest(name, known)
        raise NotFound(
            f'there is no {what} "{name}"' + (f'; did you mean "{near}"?' if near else ""),
            hint=None if near else "switchyard fleet lists them",
        ) from None


def _anchored(row: ProviderRow, folder: Path) -> ProviderRow:
    return row.model_copy(update={"api_key_file": tuple(str(folder / path) for path in row.api_key_file)})


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _deployments(rows: Iterable[ProviderRow], on: dt.date) -> tuple[Deployment, ...]:
    return tuple(_deployment(row, model, on) for row in rows for model in row.models)


def _price(row: ProviderRow, model: ModelRow, on: dt.date) -> Price | None:
    """What the file states; else nothing, on our own machine, which sends no bill; else what the price book knows."""
    if (stated := model.stated_price) is not None:
        return stated
    if row.local:
        return Price(0, 0)
    vendor = prices.vendor_of(row.base_url)
    return None if vendor is None else prices.price_at(vendor, model.id, on)


def _deployment(row: ProviderRow, model: ModelRow, on: dt.date) -> Deployment:
    return Deployment(
        provider=row.name,
        model=model.id,
        tier=Tier(model.tier),
        family=model.family,
        context_window=model.context_window,
        max_output=model.max_output,
        price=_price(row, model, on),
        capabilities=model.capabilities,
        quality=model.quality,
        local=row.local,
        limits=_limits(model),
        provider_limits=_limits(row),
        keys=max(1, len(row.key_refs)) if row.limits_per == "key" else 1,
        timeout_s=row.timeout_s,
    )


def _limits(row: ProviderRow | ModelRow) -> Limits:
    return Limits(**{field.name: getattr(row, field.name) for field in fields(Limits)})
