"""What happens to providers, and when: a list of events, read from TOML or posted as JSON.

    [[event]]
    provider = "groq"        # or "*"
    model = "llama-3.1-8b"   # may be left out: every model
    from_s = 10              # seconds since this weather was set; may be left out
    to_s = 40
    kind = "error"
    probability = 0.2        # of each call; 1 if left out
    status = 503

What to write for a failure kind of the product's, for any provider, model and time span:

    rate_limit        rate_limit (a 429 out of the blue), or limits (the provider's own become smaller)
    quota_exhausted   quota (span: day or month)
    timeout           hang (silence), or error with status 504
    server_error      error (500, 502; html: a proxy's page), outage, cut
    overloaded        overloaded (with the protocol's own status: 503, 529, 429), or error with status 503 or 529
    malformed         wrong_json, cut, slow_body beyond the caller's patience
    context_length    context_length
    content_filter    content_filter (stage answer: in a 200 where the protocol has a word for it; prompt: at the door)
    auth              auth (every key), revoked_key (one key)
    billing           billing
    model_not_found   deprecated
    invalid_request   invalid_request

Weather without a failure: ``latency``; ``cold_start`` (a model that had no call for ``idle_s``, or never one, must be
loaded first, which takes ``load_s``; calls that come meanwhile wait too); ``header_limits`` (the rate-limit headers
speak of these limits while the configured ones hold); ``prompt_cache`` (this share of every prompt is counted as
cached, where the protocol's usage can say so); ``leak_reasoning``.

``revoked_key`` names its key by the mark that the books show: the first 8 hex digits of the key's SHA-256
(``app.simulator.books.key_mark``). The key itself has no place in a weather file.

Every roll of the dice is a hash of the seed, the event and the call's number at its deployment: the same seed and the
same order of calls give the same weather, on every machine.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist
from typing import Any

from app.simulator.fleet import LIMIT_KEYS

Params = Mapping[str, Any]

_NO_LIMITS: dict[str, Any] = dict.fromkeys(LIMIT_KEYS)

KINDS: dict[str, dict[str, Any]] = {
    "latency": {"mean_ms": 200.0, "jitter": 0.25},  # jitter: sigma of the log-normal
    "cold_start": {"idle_s": 300.0, "load_s": 20.0},
    "rate_limit": {"retry_after": 2.0},  # seconds
    "limits": _NO_LIMITS,
    "header_limits": _NO_LIMITS,
    "outage": {},  # the connection is closed without a response
    "error": {"status": 500, "html": False},
    "overloaded": {},
    "hang": {"hang_s": None},  # None: until the client leaves; else answered late
    "cut": {},  # closed in the middle of the body
    "slow_body": {"total_ms": 2000.0, "pieces": 10},
    "deprecated": {},
    "billing": {"status": 402},  # a protocol without this form of it takes its own
    "auth": {},
    "revoked_key": {"key": None},
    "quota": {"span": "day"},
    "context_length": {},
    "content_filter": {"stage": "answer"},
    "invalid_request": {},
    "prompt_cache": {"share": 0.5},
    "leak_reasoning": {"unclosed": 0.0},  # share of the leaks that never close <think>
    "wrong_json": {"form": "truncated"},
}
"""Each kind with its parameters and what they are when left out."""

CHOICES: dict[tuple[str, str], tuple[Any, ...]] = {
    ("error", "status"): (500, 502, 503, 504, 529),
    ("billing", "status"): (400, 402, 403, 429),
    ("quota", "span"): ("day", "month"),
    ("content_filter", "stage"): ("answer", "prompt"),
    ("wrong_json", "form"): ("truncated", "html", "empty_choices", "empty_content"),
}
_SHARES = ("unclosed", "share")
_MARK = re.compile(r"[0-9a-f]{8}")
COMMON = ("provider", "model", "from_s", "to_s", "kind", "probability")
TOP = ("event", "answers")
_LIMIT_EVENTS = ("limits", "header_limits")
_UNIT_NORMAL = NormalDist()


class WeatherError(ValueError):
    """The weather is not valid; the message names the event."""


@dataclass(frozen=True, slots=True)
class Event:
    number: int
    """Its place in the list, from 1."""
    kind: str
    provider: str
    model: str | None
    from_s: float
    to_s: float
    probability: float
    params: Params


def roll(*parts: object) -> float:
    """A number in (0, 1) that depends on the parts and on nothing else."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=7).digest()
    return (int.from_bytes(digest) + 0.5) / 2**56


def lognormal(mean: float, jitter: float, chance: float) -> float:
    """A draw with the given mean; ``jitter`` is the sigma of its logarithm (0: always the mean)."""
    if jitter == 0:
        return mean
    return mean * math.exp(jitter * _UNIT_NORMAL.inv_cdf(chance) - jitter * jitter / 2)


def refuse_unknown(keys: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise WeatherError(f"{where}: unknown key {key!r}{hint}")


def _number(value: Any, where: str, low: float = 0.0, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise WeatherError(f"{where} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _check_param(kind: str, key: str, value: Any, where: str) -> None:
    allowed = CHOICES.get((kind, key))
    if allowed is not None:
        if value not in allowed:
            raise WeatherError(f"{where}: {key} must be one of {', '.join(map(str, allowed))}, not {value!r}")
    elif isinstance(KINDS[kind][key], bool):
        if not isinstance(value, bool):
            raise WeatherError(f"{where}: {key} must be true or false, not {value!r}")
    elif kind == "revoked_key":
        if not isinstance(value, str) or not _MARK.fullmatch(value):  # not repeated: it may be the key itself
            raise WeatherError(f"{where}: key must be a key's mark, the first 8 hex digits of its SHA-256")
    else:
        _number(value, f"{where}: {key}", high=1.0 if key in _SHARES else math.inf)


def read_event(row: Any, number: int) -> Event:
    if not isinstance(row, dict):
        raise WeatherError(f"event {number}: must be a table")
    kind = row.get("kind")
    where = f"event {number} ({kind}, provider {row.get('provider')!r})"
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise WeatherError(f"{where}: no such kind, known are {', '.join(KINDS)}{hint}")
    if not isinstance(row.get("provider"), str):
        raise WeatherError(f'{where}: provider is missing (a name or "*")')
    defaults = KINDS[kind]
    refuse_unknown(row, (*COMMON, *defaults), where)
    given = {key: value for key, value in row.items() if key in defaults}
    for key, value in given.items():
        _check_param(kind, key, value, where)
    if kind in _LIMIT_EVENTS and not given:
        raise WeatherError(f"{where}: names no limit")
    if kind == "revoked_key" and not given:
        raise WeatherError(f"{where}: key is missing (the mark that the books show)")
    model = row.get("model")
    if model is not None and not isinstance(model, str):
        raise WeatherError(f"{where}: model must be a model id, not {model!r}")
    return Event(
        number=number,
        kind=kind,
        provider=row["provider"],
        model=model,
        from_s=_number(row.get("from_s", 0), f"{where}: from_s"),
        to_s=_number(row.get("to_s", math.inf), f"{where}: to_s"),
        probability=_number(row.get("probability", 1), f"{where}: probability", high=1.0),
        params=given if kind in _LIMIT_EVENTS else {**defaults, **given},
    )


@dataclass(slots=True)
class Weather:
    """Events over a fleet. Seconds count from ``began`` (monotonic)."""

    events: tuple[Event, ...] = ()
    seed: int = 0
    began: float = 0.0
    _places: dict[tuple[str, str], dict[str, list[Event]]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any], *, seed: int, began: float) -> Weather:
        """From the parsed file. Raises ``WeatherError``."""
        refuse_unknown(data, TOP, "weather")
        rows = data.get("event", [])
        if not isinstance(rows, list):
            raise WeatherError("weather: event must be a list of tables")
        return cls(tuple(read_event(row, number) for number, row in enumerate(rows, 1)), seed, began)

    def at(self, provider: str, model: str) -> dict[str, list[Event]]:
        """The events that can touch a deployment, by kind, whatever the hour."""
        place = self._places.get((provider, model))
        if place is None:
            if len(self._places) > 10_000:  # model ids come from requests: do not let them fill the memory
                self._places.clear()
            place = self._places[provider, model] = {}
            for event in self.events:
                if event.provider in ("*", provider) and event.model in (None, model):
                    place.setdefault(event.kind, []).append(event)
        return place

    def strike(self, kind: str, provider: str, model: str, now: float, ordinal: int) -> Event | None:
        """The first event of this kind that befalls call number ``ordinal`` of the deployment, if any."""
        for event in self.at(provider, model).get(kind, ()):
            if event.from_s <= now - self.began < event.to_s and (
                event.probability >= 1 or roll(self.seed, event.number, provider, model, ordinal) < event.probability
            ):
                return event
        return None

    def revoked(self, provider: str, model: str, now: float, mark: str) -> bool:
        """Is the key with this mark refused now?"""
        return any(
            event.params["key"] == mark and event.from_s <= now - self.began < event.to_s
            for event in self.at(provider, model).get("revoked_key", ())
        )

    def limit_changes(self, provider: str, model: str, now: float, kind: str = "limits") -> tuple[Params, Params]:
        """Limits changed now: those of the provider, those of the model. Later events win.

        ``kind``: ``limits`` for those that hold, ``header_limits`` for those that the headers speak of.
        """
        of_provider: dict[str, int] = {}
        of_model: dict[str, int] = {}
        for event in self.at(provider, model).get(kind, ()):
            if event.from_s <= now - self.began < event.to_s:
                (of_provider if event.model is None else of_model).update(event.params)
        return of_provider, of_model


def read_weather_file(path: Path) -> dict[str, Any]:
    """The parsed TOML. Raises ``WeatherError`` naming the file."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise WeatherError(f"{path}: {error}") from error
