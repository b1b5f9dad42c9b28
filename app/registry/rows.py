"""Providers and models as rows of data: what one ``[[provider]]`` of a fleet file may say.

Shapes only: no file, no clock, no environment. A row that exists is valid. The messages of the
validators never repeat a value, because the value may be a key pasted into the wrong place.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from difflib import get_close_matches
from pathlib import PurePath
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, field_validator, model_validator

from app.core import values

PROTOCOLS = ("openai", "anthropic", "gemini", "cohere", "openai_responses", "cloudflare", "ollama")
"""Every wire protocol a fleet file may name; each has a dialect."""

TIERS = ("cheap", "standard", "complex")

_MICRO = Decimal(1_000_000)
MOST_KEYS = 32
"""Of one provider."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, letter case ignored; ``None`` if none is near."""
    by_lower = {k.lower(): k for k in known}
    found = get_close_matches(word.lower()[:80], by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def _suggest(word: object, known: Iterable[str]) -> str:
    near = nearest(word, known) if isinstance(word, str) else None
    return f'; did you mean "{near}"?' if near else ""


def _decimal(value: object) -> Decimal:
    """An exact number from what TOML gives (int, Decimal) or a caller writes in Python (float)."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a number")
    number = value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else value)
    if not number.is_finite():
        raise ValueError("must be a finite number")
    return number


def _between(low: str, high: str) -> Callable[[object], Decimal]:
    def check(value: object) -> Decimal:
        number = _decimal(value)
        if not Decimal(low) <= number <= Decimal(high):
            raise ValueError(f"must be between {low} and {high}")
        return number

    return check


def _price(value: object) -> Decimal:
    price = _between("0", "100000")(value)
    # Finer than the ledger counts, so its total could not equal the provider's.
    if price % Decimal("0.000001"):
        raise ValueError("must have at most six decimals")
    return price


def price_micro(input_usd: Decimal, output_usd: Decimal, cached_input_usd: Decimal | None) -> values.Price:
    """USD per million tokens as micro-dollars, exact: a price has at most six decimals."""
    cached = None if cached_input_usd is None else int(cached_input_usd * _MICRO)
    return values.Price(int(input_usd * _MICRO), int(output_usd * _MICRO), cached)


def _float_between(low: str, high: str) -> Callable[[object], float]:
    exact = _between(low, high)
    return lambda value: float(exact(value))


def _whole(high: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")
        if not 1 <= value <= high:
            raise ValueError(f"must be between 1 and {high}")
        return value

    return check


# The upper ends catch slips of the keyboard; they also keep every sum of a day within a double, which Lua counts in.
Count = Annotated[int, BeforeValidator(_whole(1_000_000_000_000))]
Slots = Annotated[int, BeforeValidator(_whole(10_000))]
Tokens = Annotated[int, BeforeValidator(_whole(100_000_000))]
Price = Annotated[Decimal, BeforeValidator(_price)]
Share = Annotated[float, BeforeValidator(_float_between("0", "1"))]
Seconds = Annotated[float, BeforeValidator(_float_between("1", "3600"))]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]


class _Limits(BaseModel):
    """Limits of a provider or of one model. ``None``: it names no such limit.

    rpm, rph, rpd, rpmo: requests per minute, hour, day, month. tpm, tph, tpd, tpmo: tokens, input and output
    together. Minutes and hours roll; days and months are those of the calendar. concurrency: calls in flight at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rpm: Count | None = None
    rpd: Count | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    rph: Count | None = None
    tph: Count | None = None
    rpmo: Count | None = None
    tpmo: Count | None = None
    concurrency: Slots | None = None


def _one_or_several(value: object) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        raise ValueError("must be a string, or an array of strings")
    if len(values) > MOST_KEYS:
        raise ValueError(f"must be at most {MOST_KEYS}")
    if len(set(values)) < len(values):
        raise ValueError("must not name one twice")
    return tuple(values)


class ModelRow(_Limits):
    """One model at a provider. Its limits hold for it alone, beside those of its provider."""

    id: Text
    """The vendor's own id, as it goes over the wire."""
    tier: Literal["cheap", "standard", "complex"]
    family: Text
    """The base model: the same family at two vendors is one voice on a council."""
    context_window: Tokens
    max_output: Tokens
    input_price: Price | None = None
    """USD per million tokens, 0 where it is free. Left out, the price book says it (``prices.toml``), or nobody."""
    output_price: Price | None = None
    cached_input_price: Price | None = None
    """Of input that the provider had cached. Left out, it is billed as input."""
    capabilities: frozenset[Text] = frozenset()
    quality: Share = 0.5
    """Prior, 0 to 1; outcomes correct it."""

    @property
    def stated_price(self) -> values.Price | None:
        """The price that the fleet file itself states."""
        if self.input_price is None or self.output_price is None:
            return None
        return price_micro(self.input_price, self.output_price, self.cached_input_price)

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not re.fullmatch(r"[\x21-\x7e]{1,200}", value):
            raise ValueError("must be 1 to 200 printable ASCII characters without spaces")
        return value

    @field_validator("tier", mode="before")
    @classmethod
    def _tier(cls, value: object) -> object:
        if value == "private":
            raise ValueError('"private" is not a tier of a model: set local = true on its provider')
        if value not in TIERS:
            raise ValueError(f"must be one of {', '.join(TIERS)}" + _suggest(value, TIERS))
        return value

    @field_validator("family")
    @classmethod
    def _family(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", value):
            raise ValueError("must be letters, digits, dots, hyphens or underscores, at most 80")
        return value

    @field_validator("capabilities")
    @classmethod
    def _capabilities(cls, value: frozenset[str]) -> frozenset[str]:
        if len(value) > 32 or not all(re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", word) for word in value):
            raise ValueError("must be at most 32 words of lower-case letters, digits, hyphens or underscores")
        return value

    @model_validator(mode="after")
    def _fits(self) -> ModelRow:
        if self.max_output > self.context_window:
            raise ValueError("max_output is larger than context_window")
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price stand together: state both (0 where it is free), or neither")
        if self.cached_input_price is not None and self.input_price is None:
            raise ValueError("cached_input_price stands beside input_price and output_price: state all three")
        return self


class ProviderRow(_Limits):
    """One account at one vendor, with its models (the key ``model`` of the file)."""

    name: Text
    """``[a-z0-9][a-z0-9-]*``, at most 40: it becomes the queue ``provider.<name>``."""
    protocol: Literal["openai", "anthropic", "gemini", "cohere", "openai_responses", "cloudflare", "ollama"]
    base_url: Text
    """What stands before the protocol's own path (``app/dialects``), without a slash at its end."""
    api_key_env: tuple[str, ...] = ()
    """Names of the environment variables that hold its keys; in the file one, or an array of several. Neither this nor
    a file: no key is sent."""
    api_key_file: tuple[str, ...] = ()
    """Paths of files, one or several, that hold a key each and nothing else; relative to the fleet file."""
    limits_per: Literal["account", "key"] = "account"
    """Do all keys share the limits, also those of the models, or has each key as much?"""
    local: Flag = False
    """True: our own machine; may serve the private tier."""
    quota_reset: Text = "UTC"
    """IANA zone in whose midnight the daily limits start again, and on the first of a month the monthly ones."""
    learn_upwards: Flag = False
    """May limits that the provider states count even where they are above those of this file?"""
    timeout_s: Seconds = 60.0
    models: tuple[ModelRow, ...] = Field(alias="model")

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", value):
            raise ValueError("must be lower-case letters, digits and hyphens, at most 40, not beginning with a hyphen")
        return value

    @field_validator("protocol", mode="before")
    @classmethod
    def _protocol(cls, value: object) -> object:
        if value not in PROTOCOLS:
            raise ValueError(f"must be one of {', '.join(PROTOCOLS)}" + _suggest(value, PROTOCOLS))
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        if not re.fullmatch(r"[\x21-\x7e]{1,500}", value):
            raise ValueError("must be an http or https URL of printable ASCII characters without spaces")
        try:
            url = urlsplit(value)
            host, _ = url.hostname, url.port
        except ValueError:
            raise ValueError("is not a URL") from None
        if url.scheme not in ("http", "https") or not host:
            raise ValueError("must begin with https:// (or http://) and name a host")
        if "@" in url.netloc:
            raise ValueError("must not hold a user or password: name the key in api_key_env")
        if "?" in value or "#" in value:
            raise ValueError("must not have a query string or fragment: name the key in api_key_env")
        return value.rstrip("/")

    @field_validator("api_key_env", mode="before")
    @classmethod
    def _api_key_env(cls, value: object) -> tuple[str, ...]:
        names = _one_or_several(value)
        for name in names:
            # AWS-like ids and upper-case hex are spelled like names; real names of that length have underscores.
            keylike = len(name) >= 16 and "_" not in name and any(c.isdigit() for c in name)
            if keylike or not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,99}", name):
                raise ValueError(
                    "must be the NAME of an environment variable, such as GROQ_API_KEY, never the key itself"
                )
        return names

    @field_validator("api_key_file", mode="before")
    @classmethod
    def _api_key_file(cls, value: object) -> tuple[str, ...]:
        paths = _one_or_several(value)
        for path in paths:
            if not path or len(path) > 1000 or not path.isprintable():
                raise ValueError("must be the path of a file")
            if re.match(r"(sk|gsk|pk|xai|nvapi|hf|csk|key)[-_]\w{12,}", path):
                raise ValueError("must be the path of a file, never the key itself")
        if len({PurePath(path).name for path in paths}) < len(paths):
            raise ValueError("must be files of different names: a key is called by the name of its file")
        return paths

    @field_validator("limits_per", mode="before")
    @classmethod
    def _limits_per(cls, value: object) -> object:
        if value not in ("account", "key"):
            raise ValueError("must be account or key" + _suggest(value, ("account", "key")))
        return value

    @field_validator("quota_reset")
    @classmethod
    def _quota_reset(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):  # no such zone; a path outside; a directory such as "Europe"
            raise ValueError("must be an IANA time zone" + _suggest(value, available_timezones())) from None
        return value

    @field_validator("models")
    @classmethod
    def _models(cls, value: tuple[ModelRow, ...]) -> tuple[ModelRow, ...]:
        if not value:
            raise ValueError("must hold at least one [[provider.model]]")
        return value

    @property
    def key_refs(self) -> tuple[str, ...]:
        """What its keys are called, there or not, in the order of the file: a variable's name, or a file's without its
        folder."""
        return self.api_key_env or tuple(PurePath(path).name for path in self.api_key_file)

    @model_validator(mode="after")
    def _agrees(self) -> ProviderRow:
        if self.api_key_env and self.api_key_file:
            raise ValueError("api_key_env and api_key_file are alternatives: keep one")
        host = cast(str, urlsplit(self.base_url).hostname)
        if self.base_url.startswith("http:") and not self.local and not _at_home(host):
            raise ValueError("base_url: plain http only for loopback and private addresses, or with local = true")
        return self


def _at_home(host: str) -> bool:
    """Does a request to this host stay on this machine or its network, as far as the name tells?

    169.254.0.0/16 is left out: nobody's model answers there, but cloud metadata services do.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (address.is_loopback or address.is_private) and not address.is_link_local
