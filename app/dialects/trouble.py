"""From a provider's refusal to a Failure: status first, the structured code second, the text last.

The text is a guess, so it only decides where status and code leave several kinds open: a 400 that means a bad key,
a 429 that means tomorrow, a 500 that means our request. Shared by every dialect.

Sources of the codes: the error pages of OpenAI, Azure, Groq, Cerebras, DeepSeek, Mistral, OpenRouter, Z.AI
(docs.z.ai/api-reference/api-code), Alibaba Model Studio, Moonshot, MiniMax, Volcengine, SiliconFlow, Fireworks,
Cloudflare Workers AI, Google's google.rpc codes, and the sources of vLLM, TGI and llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.core.masking import safe_message
from app.core.values import Failure, FailureKind, Usage
from app.dialects.allowance import refused_limit
from app.dialects.patience import retry_after_s
from app.dialects.wording import (
    BROKEN_OUTPUT,
    BUSY,
    CHECK_QUOTA,
    FILTERED,
    FLAGGED,
    INTERNAL,
    KEY_TROUBLE,
    LIMITED,
    LONG_WINDOW,
    MODEL_TROUBLE,
    NO_QUOTA_AT_ALL,
    OTHER_FEATURE,
    PREPAID,
    SHORT_WINDOW,
    SUSPENDED,
    TIMED_OUT,
    TOO_LARGE_FOR_LIMIT,
    TOO_LONG,
    UNPAID,
    USED_UP,
)

_K = FailureKind
_QUOTA_WAIT_S = 2 * 3600.0
"""A limit that wants longer than this is not one of a minute or an hour, whatever it calls itself."""

_CODE_KINDS: dict[FailureKind, str] = {
    _K.AUTH: "invalidapikey incorrectapikey apikeyinvalid apikeyexpired missingapikey "
    "invalidauthentication invalidauthenticationerror authenticationerror invalidtoken "
    "tokenexpired unauthenticated expiredapikey accountdeactivated invalidcredentials "
    "organizationrestricted tokennotfoundindb wrongapikey invalidaccesstoken 1000 1001 1002 "
    "1003 1004 1110 1111 1112 1121 10000 minimax1004 minimax2049",
    _K.MODEL_NOT_FOUND: "modelnotfound modelnotfounderror modelnotavailable modelnotexist modelnotsupported "
    "invalidmodel unknownmodel unavailablemodel deploymentnotfound modeldecommissioned "
    "modeldeprecated modelnotopen nosuchmodel modelretired modelunavailable accessdeniedmodel "
    "modelaccessdenied modelpermissionblockedproject modelpermissionblockedorg "
    "invalidendpointormodelnotfound unsupportedmodel modelterminated modelnotactive 1211 1221 "
    "1311 1500 20012 30003 7000 5007 3042",
    _K.CONTEXT_LENGTH: "contextlengthexceeded exceedcontextsizeerror tokenslimitreached stringabovemaxlength "
    "requesttoolarge contextwindowexceeded inputtoolong prompttoolong toomanytokens "
    "contextlengtherror maxtokensexceeded 1261",
    _K.CONTENT_FILTER: "contentfilter contentfiltered contentpolicyviolation responsibleaipolicyviolation "
    "datainspectionfailed moderationblocked contentmoderation sensitivecontentdetected "
    "inputtextsensitivecontentdetected promptblocked prohibitedcontent invalidprompt "
    "moderationerror 1301 minimax1026 minimax1027",
    _K.BILLING: "billinghardlimitreached billinglimitusererror billingnotactive billingerror "
    "insufficientbalance insufficientcredits insufficientfunds paymentrequired "
    "paymentrequirederror notenoughbalance accountoverdueerror arrearage creditserror "
    "creditbalancetoolow insufficientuserquota billingdisabled 1113 1309 30001 minimax1008",
    _K.OVERLOADED: "queueexceeded engineoverloaded engineoverloadederror overloaded overloadederror "
    "modeloverloaded serveroverloaded servicetiercapacityexceeded capacityexceeded nocapacity "
    "toomanypendingrequests 1312 3505 3040 50505",
    _K.TIMEOUT: "timeout timeouterror requesttimeout gatewaytimeout deadlineexceeded upstreamtimeout 3007",
    _K.MALFORMED: "toolusefailed jsonvalidatefailed outputparsefailed",
    _K.QUOTA_EXHAUSTED: "insufficientquota exceededcurrentquotaerror quotaexceeded quotaexhausted "
    "dailylimitexceeded usagelimitreached usagelimitexceeded budgetexceeded setlimitexceeded "
    "allocationquotafreetieronly creditsexhausted monthlylimitexceeded 1304 1308 1310 3036 "
    "4006 minimax2056",
    _K.RATE_LIMIT: "ratelimitexceeded ratelimiterror ratelimitreached ratelimitreachederror ratelimited "
    "ratelimit modelratelimit toomanyrequests toomanyrequestserror throttling "
    "throttlingexception limitrequests throttlingratequota throttlingallocationquota "
    "resourceexhausted 1300 1302 1303 1305 minimax1002 minimax1039",
    _K.INVALID_REQUEST: "invalidrequesterror invalidparametererror invalidparameter invalidrequest badrequest "
    "badrequesterror validationerror invalidargument invalidrequestinvalidargs invalidvalue "
    "unsupportedparameter invalidrequestbody unprocessableentity 1210 1213 1214 1215 5025 "
    "20015 minimax2013",
}
_KIND_OF_CODE = {code: kind for kind, codes in _CODE_KINDS.items() for code in codes.split()}
_LIMIT_KINDS = (_K.RATE_LIMIT, _K.QUOTA_EXHAUSTED)
_NOT_AT_429 = (_K.AUTH, _K.TIMEOUT, _K.CONTEXT_LENGTH)
"""Kinds whose codes ("too many tokens") do not mean themselves when they come with a 429."""


_BY_STATUS = {
    400: _K.INVALID_REQUEST, 401: _K.AUTH, 402: _K.BILLING, 403: _K.AUTH, 404: _K.MODEL_NOT_FOUND, 407: _K.AUTH,
    408: _K.TIMEOUT, 409: _K.SERVER_ERROR, 410: _K.MODEL_NOT_FOUND, 413: _K.CONTEXT_LENGTH, 424: _K.SERVER_ERROR,
    425: _K.SERVER_ERROR, 429: _K.RATE_LIMIT, 498: _K.OVERLOADED, 499: _K.SERVER_ERROR, 503: _K.OVERLOADED,
    504: _K.TIMEOUT, 522: _K.TIMEOUT, 524: _K.TIMEOUT, 529: _K.OVERLOADED, 598: _K.TIMEOUT, 599: _K.TIMEOUT,
}  # fmt: skip


@dataclass(slots=True)
class Complaint:
    """What a refusal's body says, whatever its shape."""

    codes: list[str] = field(default_factory=list)
    """Codes, types and reasons, outermost first, letters and digits only, lower case."""
    texts: list[str] = field(default_factory=list)
    status: int | None = None
    """An HTTP status that the body names, which may not be the one it came with."""
    wait: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    quotas: list[tuple[str, str]] = field(default_factory=list)
    """Google's (quotaId, quotaValue) of every quota that was passed."""


_CODE_KEYS = frozenset(
    ("code", "type", "status", "error_type", "error_code", "errorCode", "err_code", "reason", "quotaId", "status_code")
)
_TEXT_KEYS = ("message", "error", "errors", "msg", "detail", "error_msg", "error_message", "raw", "title", "status_msg")
_NEST_KEYS = (
    "error_chain",
    "metadata",
    "details",
    "violations",
    "innererror",
    "base_resp",
    "response",
    "cause",
    "data",
)
_WAIT_KEYS = frozenset(("retryDelay", "retry_after", "retry_after_seconds", "estimated_time", "retryAfter"))


def read_complaint(doc: object) -> Complaint:
    """Collects codes and messages from the fields that vendors use; never from those that echo our own input."""
    found = Complaint()
    _walk(doc, found, 0, "")
    return found


def _walk(node: object, found: Complaint, depth: int, prefix: str) -> None:
    if depth > 12 or len(found.texts) > 24:
        return
    if isinstance(node, str):
        stripped = node.strip()
        if stripped.startswith(("{", "[")):
            try:
                node = orjson.loads(stripped)
            except ValueError:
                pass
            else:
                _walk(node, found, depth + 1, prefix)
                return
        if stripped:
            found.texts.append(stripped)
            if not any(char.isspace() for char in stripped):
                _note_code(stripped[:80], found, prefix)  # {"error": "quota_exceeded"}
    elif isinstance(node, list):
        for part in node[:8]:
            _walk(part, found, depth + 1, prefix)
    elif isinstance(node, dict):
        for key in _TEXT_KEYS:
            if node.get(key):
                _walk(node[key], found, depth + 1, prefix)
        for key, value in node.items():
            if key in _CODE_KEYS:
                _note_code(value, found, prefix)
            elif key in _WAIT_KEYS and isinstance(value, (str, int, float)) and found.wait is None:
                found.wait = str(value)
            elif key == "headers" and isinstance(value, dict):
                found.headers |= {str(k).lower(): v for k, v in value.items() if isinstance(v, str)}
        if isinstance(node.get("quotaId"), str):
            found.quotas.append((node["quotaId"], str(node.get("quotaValue") or "")))
        for key in _NEST_KEYS:
            if node.get(key):
                # MiniMax numbers its errors in the range that Z.AI uses for others.
                _walk(node[key], found, depth + 1, "minimax" if key == "base_resp" else prefix)


def _note_code(value: object, found: Complaint, prefix: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return
    word = str(value)
    if word.isdecimal() and len(word) == 3:
        if found.status is None and 400 <= int(word) < 600:
            found.status = int(word)
        return
    if " " in word:
        found.texts.append(word)
    found.codes.append(prefix + re.sub(r"[^a-z0-9]", "", word.lower()))


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failure | None:
    """The Failure that the HTTP status alone makes certain; None for a 200, whose body decides."""
    if status == 200:
        return None
    if 200 < status < 300:
        return Failure(FailureKind.MALFORMED, f"HTTP {status} in place of an answer", status)
    if status < 400:
        return Failure(FailureKind.SERVER_ERROR, f"HTTP {status}: a redirect is not followed", status)
    return failure(status, headers, body)


def failure(status: int, headers: Mapping[str, str], body: bytes, usage: Usage | None = None) -> Failure:
    """The Failure for a response that is none, or for an error that came with status 200."""
    try:
        doc: Any = orjson.loads(body)
    except ValueError:
        doc = None
    return failure_of(status, headers, doc if isinstance(doc, (dict, list)) else None, body, usage)


def failure_of(
    status: int, headers: Mapping[str, str], doc: object, body: bytes = b"", usage: Usage | None = None
) -> Failure:
    """As ``failure``, where the body is parsed already; ``body`` serves only where ``doc`` is None."""
    said = read_complaint(doc)
    if doc is None:
        said.texts.append(_plain(body))
    lower = said.headers | {name.lower(): value for name, value in headers.items()}
    text = " | ".join(part for part in said.texts if part)[:6000]
    wait = retry_after_s(lower, text, said.wait, limited=False)
    kind = classify(_telling_status(status, said.status), said.codes, text, lower, wait)
    if wait is None and kind in _LIMIT_KINDS:
        wait = retry_after_s(lower, text, None, limited=True)
    message = safe_message(max(said.texts[:3], key=len, default="")) or f"HTTP {status} without a message"
    names_limit = kind in _LIMIT_KINDS or (kind is _K.CONTEXT_LENGTH and TOO_LARGE_FOR_LIMIT.search(text))
    limit = refused_limit(text, lower, said.quotas, wait) if names_limit else None
    return Failure(kind, message, status, wait, usage or Usage(), limit=limit)


def _plain(body: bytes) -> str:
    """Of an HTML page its title, of other text its beginning."""
    text = body[:4000].decode("utf-8", "replace").strip()
    if text[:1] != "<":
        return text[:1000]
    title = re.search(r"<title[^>]*>([^<]{1,200})", text, re.IGNORECASE)
    return f"an HTML page: {title[1].strip()}" if title else "an HTML page"


def _telling_status(status: int, inner: int | None) -> int:
    """The body's status counts where the outer one says little: a 200, a 400, a 5xx over a client's fault."""
    if inner is None or inner == status:
        return status
    if status < 400 or (status == 400 and inner > 400) or (status >= 500 and inner < 500):
        return inner
    if status in (500, 502) and inner > 502:
        return inner
    return status


def classify(status: int, codes: list[str], text: str, headers: Mapping[str, str], wait: float | None) -> FailureKind:
    """The kind of a refusal. ``codes`` as in Complaint, ``headers`` lower case, ``wait`` in seconds."""
    # Vendors' own numbers say why they refuse; over a fault of the server's they are other vendors' numbers.
    coded = [_KIND_OF_CODE[code] for code in codes if code in _KIND_OF_CODE and not (status >= 500 and code.isdigit())]
    kind = next((kind for kind in coded if kind is not _K.INVALID_REQUEST), None)
    if status == 413 or (status in (400, 429) and TOO_LARGE_FOR_LIMIT.search(text)):
        return _K.CONTEXT_LENGTH
    if kind in _LIMIT_KINDS or (kind is None and status == 429):
        if status in (401, 402):
            return _K.AUTH if status == 401 else _K.BILLING
        return _limit(codes, kind, text, headers, wait)
    if kind is not None and not (status == 429 and kind in _NOT_AT_429 and "contextlengthexceeded" not in codes):
        return kind
    if status == 429:
        return _limit(codes, None, text, headers, wait)
    worded = _from_text(status, text, headers, wait)
    if worded is not None:
        return worded
    if coded and (status < 400 or status in (500, 501, 502, 503, 520)) and not INTERNAL.search(text):
        return coded[0]
    return _BY_STATUS.get(status, _K.INVALID_REQUEST if 400 <= status < 500 else _K.SERVER_ERROR)


def _from_text(status: int, text: str, headers: Mapping[str, str], wait: float | None) -> FailureKind | None:
    """The last resort: what the words say, asked in the order in which they are least often wrong."""
    if status == 401:
        return _K.BILLING if UNPAID.search(text) else None
    if status == 402:
        return None
    if status in (403, 412):
        if FLAGGED.search(text):
            return _K.CONTENT_FILTER
        if UNPAID.search(text) or SUSPENDED.search(text):
            return _K.BILLING
    if status in (403, 404) and OTHER_FEATURE.search(text) and not MODEL_TROUBLE.search(text):
        return _K.INVALID_REQUEST
    if status in (400, 422) and BROKEN_OUTPUT.search(text):
        return _K.MALFORMED
    checks: tuple[tuple[re.Pattern[str], FailureKind], ...] = (
        (TOO_LONG, _K.CONTEXT_LENGTH),
        (KEY_TROUBLE, _K.AUTH),
        (UNPAID, _K.BILLING),
        (SUSPENDED, _K.BILLING),
        (MODEL_TROUBLE, _K.MODEL_NOT_FOUND),
    )
    for pattern, kind in checks:
        if pattern.search(text):
            return kind
    if status < 500 and FILTERED.search(text):
        return _K.CONTENT_FILTER
    if LIMITED.search(text) or USED_UP.search(text):
        return _limit([], None, text, headers, wait)
    if status >= 500 or status < 400:
        if status not in (504, 524) and BUSY.search(text):
            return _K.OVERLOADED
        if TIMED_OUT.search(text):
            return _K.TIMEOUT
    return None


def _limit(
    codes: list[str], kind: FailureKind | None, text: str, headers: Mapping[str, str], wait: float | None
) -> FailureKind:
    """Which limit: names lie both ways, so the window counts more than the code.

    Where the text names windows of both sorts, the first is the one that was passed.
    """
    if any("perday" in code for code in codes) or NO_QUOTA_AT_ALL.search(text):
        return _K.QUOTA_EXHAUSTED
    if any("perminute" in code for code in codes):
        return _K.RATE_LIMIT
    long, short = LONG_WINDOW.search(text), SHORT_WINDOW.search(text)
    if long and not (short and short.start() < long.start()):
        return _K.QUOTA_EXHAUSTED
    if short:
        return _K.RATE_LIMIT
    if BUSY.search(text):
        return _K.OVERLOADED
    if wait is not None and wait >= _QUOTA_WAIT_S:
        return _K.QUOTA_EXHAUSTED
    if kind is _K.QUOTA_EXHAUSTED:
        return kind
    if any(name.endswith("-day") and "remaining" in name and value == "0" for name, value in headers.items()):
        return _K.QUOTA_EXHAUSTED
    soon = wait is not None and wait <= 120
    if PREPAID.search(text):
        return _K.BILLING
    if USED_UP.search(text) and not soon and not CHECK_QUOTA.search(text):
        return _K.QUOTA_EXHAUSTED
    if (UNPAID.search(text) or SUSPENDED.search(text)) and not soon:
        return _K.BILLING
    return _K.RATE_LIMIT
