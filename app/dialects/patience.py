"""How long a provider asks us to wait, in all the ways they say it.

Sources: RFC 9110 §10.2.3 (Retry-After: seconds or a date), draft-ietf-httpapi-ratelimit-headers (reset in seconds),
and the habits of vendors: ``retry-after-ms`` (Azure, OpenAI), ``6m0s`` (OpenAI, Groq), epoch seconds (SambaNova),
epoch milliseconds (OpenRouter), RFC 3339 moments (Anthropic), "Please try again in 7.66s" and "regain access on
2026-02-01 at 00:00 UTC" (text), google.rpc.RetryInfo (``34s``).
There is no clock here: moments are measured against the response's own Date header.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 86_400.0

_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = r"\d+(?:\.\d+)?\s*(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-zA-Z])"
_ONE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)")
_SPAN = re.compile(rf"\s*(?:{_PART}[\s,]*(?:and\s+)?)+\s*$")
_ASKED = re.compile(
    rf"\b(?:again|retry(?:ing)?|wait|resets?)\b[^\d\n]{{0,24}}?((?:{_PART}[\s,]*(?:and\s+)?){{1,4}})", re.IGNORECASE
)
_RESET = re.compile(r"^(?:x-)?ratelimit-reset(?:-(.+))?$|^(?:x-|anthropic-)?ratelimit-(.+)-reset$")
_ASKED_UNTIL = re.compile(
    r"\b(?:access|again|resets?|until)\b[^\d\n]{0,24}"
    r"(\d{4}-\d\d-\d\d)[T ](?:at )?(\d\d:\d\d(?::\d\d)?) ?(?:UTC|GMT|Z)\b",
    re.IGNORECASE,
)


def retry_after_s(headers: Mapping[str, str], text: str, told: str | None, *, limited: bool) -> float | None:
    """Seconds to wait, from 0 to one day, or None where nothing usable is said.

    ``headers`` has lower-case names; ``told`` is a delay from the body's own field; ``limited`` allows the
    rate-limit window's reset to stand in where nothing was said outright.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_S)
    body_field = delay_s(told, None)
    if body_field is not None:
        return body_field
    sent = sent_at(headers)
    header = delay_s(headers.get("retry-after"), sent)
    asked = _ASKED.search(text)
    worded = _span(asked[1]) if asked else None
    if header is not None:
        # The header is the text's number rounded up to whole seconds, where both are given.
        return worded if worded is not None and 0 <= header - worded <= 1 else header
    if worded is not None:
        return worded
    until = _ASKED_UNTIL.search(text)
    moment = _moment(f"{until[1]}T{until[2]}+00:00") if until else None
    if moment is not None:
        return _until(moment.timestamp(), sent)
    return _window_reset(headers, text, sent) if limited else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _span(value: str) -> float:
    """``2m59.56s`` as seconds, at most a day."""
    total = 0.0
    for amount, unit in _ONE.findall(value):
        word = unit.lower()
        total += float(amount) * (0.001 if word.startswith(("ms", "mil")) else _UNIT_S.get(word[0], 0.0))
    return min(total, LONGEST_S)


def sent_at(headers: Mapping[str, str]) -> float | None:
    moment = _moment(headers.get("date", ""))
    return moment.timestamp() if moment else None


def _moment(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if value[:4].isdigit() else parsedate_to_datetime(value)
        return moment if moment.tzinfo else None
    except (ValueError, TypeError, OverflowError):
        return None


def delay_s(value: str | None, sent: float | None) -> float | None:
    """Seconds, a span or a moment; numbers that can only be an epoch are measured against ``sent``."""
    if value is None:
        return None
    number = _number(value)
    if number is not None:
        if number < 1e9:
            return min(number, LONGEST_S)
        epoch = number / 1000 if number > 1e11 else number
        return _until(epoch, sent)
    if _SPAN.match(value):
        return _span(value)
    moment = _moment(value.strip())
    return _until(moment.timestamp(), sent) if moment else None


def _until(epoch: float, sent: float | None) -> float | None:
    if sent is None or epoch < sent:
        return None
    return min(epoch - sent, LONGEST_S)


def _window_reset(headers: Mapping[str, str], text: str, sent: float | None) -> float | None:
    """The reset of the window that is empty; else of the one the text names; else the only one there is."""
    resets: dict[str, float] = {}
    empty: list[float] = []
    for name, value in headers.items():
        found = _RESET.match(name)
        delay = delay_s(value, sent) if found else None
        if found is None or delay is None:
            continue
        window = found[1] or found[2] or ""
        resets[window] = delay
        left = name.replace("reset", "remaining")
        if _number(headers.get(left)) == 0:
            empty.append(delay)
    if empty:
        return max(empty)
    for word in ("token", "request"):
        named = [delay for window, delay in resets.items() if word in window]
        if word in text.lower() and named:
            return min(named)
    return next(iter(resets.values())) if len(resets) == 1 else None
