"""The day that ``bench.weather`` plays: twelve providers, what befalls them and when, and what is to come of it.

Hours are those of the played day. Nothing here runs: rows of data, and how they read as a weather file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.core.alerts import FLEET, Alert
from app.core.values import FailureKind
from app.simulator.books import key_mark
from bench.harness import Provider, provider

DAY_H = 24.0
CONCURRENCY = 4
KEYS = {"WEATHER_GROQ_ONE": "first-key-for-the-weather", "WEATHER_GROQ_TWO": "second-key-for-the-weather"}
"""Made up; the second one is revoked."""
FILTERED_UNTIL_H = 17.0
RAISED_H, RAISED_RPD = 20.0, 1_000_000
"""The small account is given a larger plan; the fleet file is told of it a little later."""

_SHUT = frozenset({FailureKind.AUTH, FailureKind.BILLING, FailureKind.MODEL_NOT_FOUND, FailureKind.QUOTA_EXHAUSTED})


@dataclass(frozen=True, slots=True, eq=False)
class Spell:
    """Weather of one kind at one provider. ``kind`` is the simulator's, ``heard`` what Switchyard is to make of it.

    ``whole``: every call fails for so long that the provider is down, out or benched. ``fires``: alerts, by name and
    subject, that must come of it once each; ``may``: that can, because it hangs on how many calls are under way when
    it begins. ``returns``: live calls are answered there again before the day is over. ``minutes``: it plays with
    windows of a minute, which do not shrink with the day.
    """

    provider: str
    kind: str
    from_h: float
    to_h: float
    heard: FailureKind | None
    chance: float = 1.0
    params: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    fires: tuple[tuple[Alert, str], ...] = ()
    may: tuple[tuple[Alert, str], ...] = ()
    returns: bool = True
    minutes: bool = False

    @property
    def shuts(self) -> bool:
        """Is the first refusal enough to stop all calls?"""
        return self.whole and self.heard in _SHUT


def deployment(name: str) -> str:
    return f"{name}/model-{name}"


def _whole(name: str, kind: str, from_h: float, to_h: float, heard: FailureKind, **params: Any) -> Spell:
    """Down or out as a whole: told as the provider's, and its errors unless a refusal is told by itself."""
    errors, out = (Alert.ERROR_RATE, deployment(name)), (Alert.PROVIDER_OUT, name)
    fires = (out,) if heard in _SHUT else (errors, out)
    return Spell(name, kind, from_h, to_h, heard, params=params, whole=True, fires=fires)


def fleet(calls_a_day: int) -> list[Provider]:
    """``calls_a_day``: what a provider answers in the played day, about; the small quota is half of it."""
    rows = [
        provider("groq", rpm=300), provider("cerebras", rpm=600, tpm=400_000), provider("mistral"),
        provider("openrouter", rpm=500), provider("nvidia-nim", timeout_s=2.5), provider("huggingface"),
        provider("openai", protocol="openai_responses", rpm=600, tpm=500_000),
        provider("anthropic", protocol="anthropic", rpm=550), provider("gemini", protocol="gemini", rpm=450),
        provider("cohere", protocol="cohere", rpm=500), provider("cloudflare", protocol="cloudflare", rpm=700),
        provider("ollama", protocol="ollama"),
    ]  # fmt: skip
    more: dict[str, Provider] = {
        "groq": {"api_key_env": list(KEYS), "limits_per": "key", "timeout_s": 30.0},
        "huggingface": {"rpd": max(40, calls_a_day // 2), "quota_reset": "UTC"},
        "ollama": {"context_window": 8192, "timeout_s": 20.0},
    }
    return [{"concurrency": CONCURRENCY, **row, **more.get(row["name"], {})} for row in rows]


def script(hour_s: float, *, slow_ms: float, withheld: float) -> list[Spell]:
    """``slow_ms``: a mean latency well beyond the alert's threshold. ``withheld``: share of two vendors' answers."""
    kind = FailureKind
    return [
        # Nobody's fault: some answers are withheld. It keeps the fallback rate above its threshold from
        # the morning to the evening, so that this alert, too, comes once.
        Spell("openai", "content_filter", 0.5, FILTERED_UNTIL_H, kind.CONTENT_FILTER, withheld,
              fires=((Alert.FALLBACK_RATE, FLEET),)),
        Spell("gemini", "content_filter", 0.5, FILTERED_UNTIL_H, kind.CONTENT_FILTER, withheld),
        Spell("groq", "rate_limit", 1, 3, kind.RATE_LIMIT, params={"retry_after": max(1.0, hour_s)},
              may=((Alert.ERROR_RATE, deployment("groq")),)),
        Spell("mistral", "rate_limit", 1, 3, kind.RATE_LIMIT, minutes=True,
              may=((Alert.ERROR_RATE, deployment("mistral")),)),
        Spell("nvidia-nim", "leak_reasoning", 1, 6, None, 0.4, {"unclosed": 0.2},
              may=((Alert.ERROR_RATE, deployment("nvidia-nim")),)),
        Spell("openrouter", "invalid_request", 2, 6, kind.INVALID_REQUEST, 0.06),
        Spell("huggingface", "cut", 3, 6, kind.SERVER_ERROR, 0.12,
              may=((Alert.ERROR_RATE, deployment("huggingface")),)),
        Spell("ollama", "context_length", 3, 7, kind.CONTEXT_LENGTH, 0.15),
        Spell("groq", "revoked_key", 4, 9, kind.AUTH, params={"key": key_mark(KEYS["WEATHER_GROQ_TWO"])},
              fires=((Alert.KEY_OUT, "groq WEATHER_GROQ_TWO"),)),
        _whole("cerebras", "error", 4, 9, kind.SERVER_ERROR, status=500),
        Spell("huggingface", "wrong_json", 7, 10, kind.MALFORMED, 0.12, {"form": "truncated"},
              may=((Alert.ERROR_RATE, deployment("huggingface")),)),
        _whole("cohere", "error", 5, 10, kind.SERVER_ERROR, status=502, html=True),
        _whole("cloudflare", "wrong_json", 7, 12, kind.MALFORMED, form="html"),
        _whole("anthropic", "overloaded", 9, 14, kind.OVERLOADED),
        _whole("nvidia-nim", "hang", 10, 16, kind.TIMEOUT),
        _whole("openrouter", "outage", 11, 16, kind.SERVER_ERROR),
        Spell("ollama", "wrong_json", 12, 16, kind.MALFORMED, 0.12, {"form": "empty_content"},
              may=((Alert.ERROR_RATE, deployment("ollama")),)),
        _whole("cohere", "auth", 14, 18, kind.AUTH),
        _whole("mistral", "billing", 14, 19, kind.BILLING, status=402),
        Spell("anthropic", "deprecated", 17, 21, kind.MODEL_NOT_FOUND, whole=True,
              fires=((Alert.MODEL_OUT, deployment("anthropic")),)),
        Spell("nvidia-nim", "limits", 18, 23, kind.RATE_LIMIT, params={"rpm": 100}, minutes=True,
              may=((Alert.ERROR_RATE, deployment("nvidia-nim")),)),
        # Its midnight lies beyond the day: nothing more is asked of it.
        Spell("cerebras", "quota", 18, DAY_H, kind.QUOTA_EXHAUSTED, params={"span": "day"}, whole=True, returns=False,
              may=((Alert.ERROR_RATE, deployment("cerebras")),)),
        Spell("groq", "latency", 19, 23, None, params={"mean_ms": slow_ms, "jitter": 0.1},
              fires=((Alert.P95_LATENCY, deployment("groq")),)),
    ]  # fmt: skip


QUOTA = (Alert.QUOTA, "provider:huggingface rpd")
"""Fires when nine tenths of the small quota are used; recovers once the account has been given a larger one."""


def events(spells: Sequence[Spell], hour_s: float) -> dict[str, Any]:
    """The weather as the simulator takes it."""
    rows = [
        {"provider": s.provider, "kind": s.kind, "from_s": s.from_h * hour_s, "to_s": s.to_h * hour_s,
         "probability": s.chance, **s.params}
        for s in spells
    ]  # fmt: skip
    more = {"provider": "huggingface", "kind": "limits", "from_s": RAISED_H * hour_s, "rpd": RAISED_RPD}
    return {"event": [*rows, more]}


def alerts(spells: Sequence[Spell]) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """How often each alert must fire, and how often more it may, by (name, subject)."""
    must = Counter((alert.value, subject) for s in spells for alert, subject in s.fires)
    must[QUOTA[0].value, QUOTA[1]] += 1
    may = Counter((alert.value, subject) for s in spells for alert, subject in s.may)
    return must, may
