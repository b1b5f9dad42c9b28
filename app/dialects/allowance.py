"""What a response says about limits: its headers on every answer, its words and structure on a refusal. Pure.

Vendors mean different windows by the same header: ``x-ratelimit-limit-requests`` is a day's at Groq, a minute's at
OpenAI. So a header counts where its own name states the window (``-requests-day``), where another header does
(``x-ratelimit-renewalperiod-requests``, the IETF's ``w=60``), or where the vendor is known by its host or name. An
unknown vendor's header without a window is not guessed.

Sources: the rate limit pages of OpenAI, Azure, Anthropic, Groq, Cerebras, SambaNova (docs.sambanova.ai, rate limits),
Together, Fireworks and xAI, recorded headers of 108 (provider, model) pairs, draft-ietf-httpapi-ratelimit-headers
(versions before and after 08), and the issue trackers of clients where nothing is documented (Cohere's trial keys).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from app.core.values import Observed
from app.dialects.patience import delay_s, sent_at

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MONTH_S = 30 * 86_400
_WINDOWS = ((_MONTH_S, "mo"), (86_400, "d"), (3600, "h"), (60, "m"))
_MOST = 10**13
"""Numbers above this are no limits."""

# Vendor → the window in seconds of each header's last word(s); "" is the bare x-ratelimit-limit. Together counts by
# the second. GitHub, OpenRouter, NVIDIA, Gemini and DeepSeek say nothing here that has a known window.
_VENDOR_WINDOWS: dict[str, dict[str, int]] = {
    "openai": {"requests": 60, "tokens": 60, "project-requests": 60, "project-tokens": 60},
    "azure": {"requests": 60, "tokens": 60},
    "groq": {"requests": 86_400, "tokens": 60},
    "sambanova": {"requests": 60},
    "xai": {"requests": 60, "tokens": 60},
    "fireworks": {"requests": 60},
    "together": {"": 1, "tokens": 1},
    "anthropic": {"requests": 60, "tokens": 60, "input-tokens": 60},
}
_VENDOR_OF_HOST = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure", "services.ai.azure.com": "azure", "models.inference.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "groq.com": "groq", "sambanova.ai": "sambanova", "x.ai": "xai", "fireworks.ai": "fireworks",
    "together.xyz": "together", "together.ai": "together", "anthropic.com": "anthropic",
}  # fmt: skip
_WHOLE_OF_HALF = {"input-tokens": "tokens"}
"""Anthropic's half of the tokens stands for them where the whole is not given."""
_COUNTED_BY_DAY_TOO = "openai"
"""Its smallest tiers have requests counted by the day under the name of the minute; the refill's pace tells."""

_SPELLINGS = (
    (re.compile(r"^(?:x-)?ratelimit-(limit|remaining|reset)(?:-(.+))?$"), 1, 2, ""),
    (re.compile(r"^anthropic-ratelimit-(requests|tokens|input-tokens)-(limit|remaining|reset)$"), 2, 1, ""),
    (re.compile(r"^(?:x-)?ratelimitbysize-(limit|remaining|reset)-(minute|month)$"), 1, 2, "tokens-"),
    (re.compile(r"^x-tokenlimit-(limit|remaining|reset)$"), 1, 0, "tokens"),
)  # fmt: skip
_SELF_STATED = re.compile(
    r"^(?:(?P<what>req(?:uest)?s?|tokens?)[-_](?:per[-_])?)?(?:(?P<count>\d{1,5})[-_])?"
    r"(?P<unit>second|minute|hour|day|month)s?$"
)
_TRIAL = (
    ("x-trial-endpoint-call-limit", "x-trial-endpoint-call-remaining", "rpm"),
    ("x-endpoint-monthly-call-limit", "x-endpoint-monthly-call-remaining", "rpmo"),
)
_POLICY_ITEM = re.compile(r'(?:^|,)\s*(?:"([^"]*)"|([\w.*-]+))((?:\s*;\s*[\w-]+=(?:"[^"]*"|[\w.-]+))*)')
_PARAMETER = re.compile(r';\s*([\w-]+)=(?:"([^"]*)"|([\w.-]+))')


def observed(headers: Mapping[str, str], host: str, name: str = "") -> tuple[Observed, ...]:
    """The limits that ``headers`` state, one a rule, the tightest where several are stated for one.

    ``host`` is the provider's host name (without port), ``name`` the provider's own in the fleet file; the name
    (``groq``, ``groq-2``) serves where the host is nobody's known. Windows of other lengths are scaled down to a
    minute, hour or day; what is left of such a one is told only where that is nothing. Never raises.
    """
    buckets: dict[str, dict[str, str]] = {}
    more: dict[str, str] = {}
    for key, value in headers.items():
        part = _part(key)
        if part is None:
            continue
        field, word = part
        if field:
            buckets.setdefault(word, {})[field] = value
        more[key.lower()] = value
    if not more:
        return ()
    date = headers.get("date") or headers.get("Date")
    sent = sent_at({"date": date}) if isinstance(date, str) else None
    told = [*_by_name(buckets, more, _vendor(host, name), sent), *_trial(more)]
    if "ratelimit-policy" in more or "ratelimit-limit" in more:
        told += _policies(more)
    return _tightest(told)


@lru_cache(maxsize=4096)
def _part(key: str) -> tuple[str, str] | None:
    """(limit, remaining or reset; the words of what and of which window) of a header's name, ("", "") where it
    matters in another way, None where it says nothing of limits."""
    key = key.lower()
    for pattern, field, bucket, before in _SPELLINGS:
        found = pattern.match(key)
        if found:
            return found[field], before + ((found[bucket] or "") if bucket else "")
    return ("", "") if "ratelimit" in key or "-call-" in key else None


@lru_cache(maxsize=1024)
def _vendor(host: str, name: str) -> str:
    host = host.lower().rstrip(".")
    for suffix, vendor in _VENDOR_OF_HOST.items():
        if host == suffix or host.endswith(f".{suffix}"):
            return vendor
    known = re.split(r"[^a-z]", name.lower(), maxsplit=1)[0]
    return known if known in _VENDOR_WINDOWS else ""


def _by_name(
    buckets: Mapping[str, Mapping[str, str]], more: Mapping[str, str], vendor: str, sent: float | None
) -> Iterator[Observed]:
    for word, fields in buckets.items():
        if _WHOLE_OF_HALF.get(word) in buckets:
            continue
        limit, remaining = (_number(fields.get(key)) for key in ("limit", "remaining"))
        reset_s = delay_s(fields.get("reset"), sent)
        what, window = _meaning(word, vendor, more)
        if window and vendor == _COUNTED_BY_DAY_TOO and what == "r" and _refills_by_day(limit, remaining, reset_s):
            window = _UNIT_S["d"]
        if window:
            yield from _told(what, window, limit, remaining, reset_s)


def _meaning(word: str, vendor: str, more: Mapping[str, str]) -> tuple[str, int]:
    """(r or t, seconds of the window) of a header's last words; (…, 0) where that is not known."""
    stated = _SELF_STATED.match(word)
    if stated:
        window = _MONTH_S if stated["unit"] == "month" else _UNIT_S[stated["unit"][0]]
        return (stated["what"] or "r")[0], window * int(stated["count"] or 1)
    renewal = _number(more.get(f"x-ratelimit-renewalperiod-{word}"))
    if renewal:
        return word[:1], int(renewal)
    return ("t" if "tokens" in word else "r"), _VENDOR_WINDOWS.get(vendor, {}).get(word, 0)


def _refills_by_day(limit: float | None, remaining: float | None, reset_s: float | None) -> bool:
    """A bucket that leaks evenly: time until full over what is missing is the window over the limit."""
    if limit is None or remaining is None or reset_s is None or remaining >= limit:
        return False
    return reset_s * limit / (limit - remaining) > 7200


def _told(
    what: str, window: int, limit: float | None, remaining: float | None, reset_s: float | None
) -> Iterator[Observed]:
    if limit is None and remaining is None:
        return
    standard, unit = next(((s, unit) for s, unit in _WINDOWS if s <= window), (60, "m"))
    scaled = None if limit is None else math.floor(limit * standard / window)
    if standard != window and remaining != 0:
        remaining = reset_s = None
    left = None if remaining is None else int(remaining)
    if reset_s is not None and reset_s > window:
        reset_s = None  # Azure's older gateways count it in milliseconds
    if scaled is not None or left is not None:
        yield Observed(f"{what}p{unit}", scaled, left, reset_s)


def _trial(named: Mapping[str, str]) -> Iterator[Observed]:
    for limit_name, left_name, rule in _TRIAL:
        limit, left = _whole(named.get(limit_name)), _whole(named.get(left_name))
        if limit is not None or left is not None:
            yield Observed(rule, limit, left)


def _policies(named: Mapping[str, str]) -> Iterator[Observed]:
    """The IETF's drafts: ``RateLimit-Policy: "burst";q=100;w=60`` with ``RateLimit: "burst";r=50;t=30``.

    Before version 08: ``RateLimit-Limit: 100, 100;w=60``, the first number being the one that Remaining counts down.
    """
    left = {name: given for name, given in _items(named.get("ratelimit", "")) if "r" in given}
    for name, given in _items(named.get("ratelimit-policy", "")):
        window, limit = _number(given.get("w")), _number(given.get("q", name))
        unit = given.get("qu", "requests")
        if not window or limit is None or unit not in ("requests", "tokens"):
            continue
        now = left.get(name, {})
        yield from _told(unit[0], int(window), limit, _number(now.get("r")), _number(now.get("t")))
    items = list(_items(named.get("ratelimit-limit", "")))
    if not items:
        return
    first = _number(items[0][0])
    for name, given in items:
        window, limit = _number(given.get("w")), _number(name)
        if window and limit is not None:
            mine = limit == first
            remaining = _number(named.get("ratelimit-remaining")) if mine else None
            yield from _told(
                "r", int(window), limit, remaining, _number(named.get("ratelimit-reset")) if mine else None
            )


def _items(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    for found in _POLICY_ITEM.finditer(value[:1000]):
        yield found[1] or found[2] or "", {key.lower(): quoted or bare for key, quoted, bare in _parameters(found[3])}


def _parameters(value: str) -> list[tuple[str, str, str]]:
    return [(found[1], found[2] or "", found[3] or "") for found in _PARAMETER.finditer(value or "")]


def _tightest(told: Iterable[Observed]) -> tuple[Observed, ...]:
    best: dict[str, Observed] = {}
    for one in told:
        other = best.get(one.rule)
        if other is None or _tightness(one) < _tightness(other):
            best[one.rule] = one
    return tuple(best.values())


def _tightness(one: Observed) -> tuple[float, float]:
    return (
        math.inf if one.limit is None else one.limit,
        math.inf if one.remaining is None else one.remaining,
    )


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if isinstance(value, str) and len(value) < 40 else -1.0
    except ValueError:
        return None
    return number if 0 <= number <= _MOST else None


def _whole(value: str | None) -> int | None:
    number = _number(value.replace(",", "").replace("_", "")) if isinstance(value, str) else None
    return None if number is None else math.floor(number)


# Refusals

_WHAT = r"(?:api\s)?(?:calls?|req(?:uest)?s?|quer(?:y|ies)|messages?)|(?:input\s|output\s|prompt\s|total\s)?tokens?"
_UNIT = r"seconds?|secs?|s|minutes?|mins?|hours?|hrs?|days?|weeks?|months?"
_NUMBER = r"\d(?:[\d,_]{0,20}\d)?(?:\.\d+)?"
_PER = r"\s*(?:/|\bper\b|\ba\b|\bevery\b)\s*"
_ABBREVIATED = re.compile(
    rf"\b(?P<rule>[rt]p[mhd])\b(?:\srate\slimit\W{{1,3}}|[^\w\n]{{0,4}})(?:(?:current|used):?\s*{_NUMBER}\W+)?"
    rf"(?:limit\W{{1,2}})?(?P<limit>{_NUMBER})?(?:,\s*used\s(?P<used>{_NUMBER}))?",
    re.IGNORECASE,
)  # fmt: skip
_COUNTED = re.compile(
    rf"(?P<limit>{_NUMBER})\s*(?:(?P<what>{_WHAT})\b[^.\d/]{{0,24}}?)??{_PER}(?:(?P<count>\d{{1,6}})\s*)?(?P<unit>{_UNIT})\b",
    re.IGNORECASE,
)
_TWO_COUNTED = re.compile(
    rf"(?P<limit>{_NUMBER})\s(?P<what>quer\w+)\sand\s{_NUMBER}\stokens\sper\s(?P<unit>minute)", re.IGNORECASE
)
_ACTUAL = re.compile(
    rf"(?P<what>{_WHAT})\sper\s(?P<unit>{_UNIT})\s*\(actual/limit\):\s*{_NUMBER}/(?P<limit>{_NUMBER})", re.IGNORECASE
)
_NAMED = re.compile(
    rf"(?P<what>{_WHAT})[\s_-]*(?:per|by|/)[\s_-]*(?:(?P<count>\d{{1,6}})\s*)?(?P<unit>{_UNIT})(?![a-z])", re.IGNORECASE
)
_FREE_MODELS = re.compile(r"free-models-per-(?P<unit>day|min)|\blimit_(?P<rule>[rt]p[md])\b", re.IGNORECASE)
_CONCURRENCY = re.compile(
    rf"\bconcurren(?:t|cy)\b(?:[^\d\n.]{{0,40}}?(?:limit|max\w*|of|:)\W{{0,3}}(?P<limit>{_NUMBER})\b)?"
    r"|userconcurrentrequests",
    re.IGNORECASE,
)
_GITHUB = re.compile(rf"rate limit of (?P<limit>{_NUMBER}) per (?P<count>\d+)s exceeded", re.IGNORECASE)
_OVERSIZED = re.compile(r"\brequest too large\b|\brequested \d", re.IGNORECASE)
_QUOTA_ID = re.compile(r"(request|token).*?per(minute|hour|day|month)|per(minute|hour|day|month).*?(request|token)")


def refused_limit(
    text: str, headers: Mapping[str, str], quotas: Iterable[tuple[str, str]] = (), wait_s: float | None = None
) -> Observed | None:
    """The limit that a refusal names, by Google's quotas, by its words, or by the one window that is empty.

    ``headers`` has lower-case names, the body's own among them; ``quotas`` are (quotaId, quotaValue) as in Google's
    QuotaFailure; ``wait_s`` is how long the refusal asks us to wait. Where it names only the window, ``limit`` is
    None. A limit on output tokens alone is told without its number: our ``tpm`` counts both sides. Never raises.
    """
    found = _of_quotas(quotas) or _of_text(text[:4000], headers)
    if found is None:
        empty = [one for one in observed(headers, "") if one.remaining == 0]
        return max(empty, key=_window_rank) if empty else None
    if found.reset_s is None and wait_s is not None and not (quotas and _window_rank(found) >= 3):
        # Google asks for seconds even where a day's requests are spent.
        return Observed(found.rule, found.limit, found.remaining, wait_s)
    return found


def _window_rank(one: Observed) -> int:
    return {"pm": 1, "ph": 2, "pd": 3, "pmo": 4}.get(one.rule[1:], 0)


def _of_quotas(quotas: Iterable[tuple[str, str]]) -> Observed | None:
    told: list[Observed] = []
    for quota, value in quotas:
        found = _QUOTA_ID.search(quota.lower())
        if found:
            what, unit = (found[1] or found[4])[0], found[2] or found[3]
            told.append(Observed(f"{what}p{'mo' if unit == 'month' else unit[0]}", _whole(value), 0))
    return max(told, key=_window_rank) if told else None


def _of_text(text: str, headers: Mapping[str, str]) -> Observed | None:
    bare = _whole(headers.get("x-ratelimit-limit"))
    found = _FREE_MODELS.search(text)
    if found:
        return Observed(found["rule"].lower() if found["rule"] else f"rp{found['unit'][0].lower()}", bare, 0)
    found = _GITHUB.search(text)
    if found and found["count"] != "0":
        return _scaled("r", int(found["count"][:9]), _whole(found["limit"]))
    found = _CONCURRENCY.search(text)
    if found:
        github = _GITHUB.search(text)
        return Observed("concurrency", _whole(github["limit"] if github else found["limit"]), 0)
    for pattern in (_ABBREVIATED, _ACTUAL, _TWO_COUNTED, _COUNTED, _NAMED):
        found = pattern.search(text)
        if found:
            return _named(found.groupdict(), text)
    return None


def _named(parts: Mapping[str, str | None], text: str) -> Observed | None:
    limit, used = _whole(parts.get("limit")), _whole(parts.get("used"))
    left: int | None = 0 if limit is None or used is None else max(limit - used, 0)
    if used is None and _OVERSIZED.search(text):
        left = None  # the request alone is more than the limit; how much of it is left is not said
    rule = parts.get("rule")
    if rule:
        return Observed(rule.lower(), limit, left)
    what = (parts.get("what") or ("tokens" if "token" in text.lower() else "requests")).lower()
    if what.startswith("output"):
        limit = None
    unit = (parts.get("unit") or "minute").lower()
    seconds = _MONTH_S if unit.startswith("mo") else _UNIT_S[unit[0]]
    return _scaled("t" if "token" in what else "r", seconds * int(parts.get("count") or 1), limit, left)


def _scaled(what: str, window: int, limit: float | None, left: float | None = 0.0) -> Observed | None:
    return next(_told(what, window, limit, left, None), None) if window else None
