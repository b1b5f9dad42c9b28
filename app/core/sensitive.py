"""The shapes of what must not leave: addresses, numbers, keys. Compiled once; ``app.core.privacy`` puts them to use.

Every pattern is bounded, so that no text makes the search take longer than its length warrants. Prefixes of keys are
those that the vendors document, as gitleaks and GitHub's secret scanning list them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from app.core import identities

AT = re.compile(
    r"\ ?(?:@|%40|&\#64;|&\#x40;|&commat;)\ ?"
    r"|\s{0,2}[(\[{<]\s?(?:at|@)\s?[)\]}>]\s{0,2}"
    r"|(?P<word>\s{1,3}at\s{1,3})",
    re.IGNORECASE | re.VERBOSE,
)
LOCAL = re.compile(r"(?:[\w.+'%&-]{1,64}(?:\s{1,2}dot\s{1,2}|\s?[(\[]\s?dot\s?[)\]]\s?)){0,3}[\w.+'%&-]{1,64}$", re.I)
_LABEL = r"[a-z0-9\u00a1-\uffff](?:[a-z0-9\u00a1-\uffff-]{0,62})"
_SPELT = r"\s{1,2}dot\s{1,2}|\s?[(\[{]\s?(?:dot|\.)\s?[)\]}]\s?"
_TOP = r"(?:xn--[a-z0-9-]{2,50}|[a-z\u00a1-\uffff]{2,24})"
DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.|{_SPELT})){{1,6}}{_TOP}(?![a-z0-9])", re.IGNORECASE)
SPELT_DOMAIN = re.compile(rf"{_LABEL}(?:(?:{_SPELT}){_LABEL}){{0,4}}(?:{_SPELT}){_TOP}(?![a-z0-9])", re.IGNORECASE)

DULL = re.compile(
    r"(?:(?:(?:\d{1,5}|\d{7}|\d{6}(?:\d\d)?(?=[,.?!]?\s[A-Za-z]{2}))[,.?!]?\s)?[\"']?[A-Za-z]{1,13}(?:'[a-z]{1,2})?[,.?!\"']{0,3}(?:\s|$))*+"
    r"(?:\d{1,8}[.?!]{0,3})?"
)
TELLING_WORDS = (
    "call", "phone", "fax", "dial", "contact", "reach", "whats", "handy", "portable", "pass", "pasaporte", "licen",
    "account", "acct", "routing", "konto", "sort code", " tel", " ph", " mob", " cel", " ring", " sms", " text",
    " pin", " cv", " otp", " code", " aba", " bsb", "id card", "identity card", " visa",
)  # fmt: skip
"""What a number of eight digits or fewer may be, only a word beside it says: one of these stands in it."""

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_POINT = r"(?:\.|\[\.\]|\(\.\)|\[dot\])"
IPV4 = re.compile(rf"(?<![\w.])(?<!version )(?<!Version )(?:{_OCTET}{_POINT}){{3}}{_OCTET}(?!\w|\.\d)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{0,4}|(?:\d{1,3}\.){3}\d{1,3})(?![\w:])", re.I)
NOBODY = re.compile(r"127\.0\.0\.1|0\.0\.0\.0|255(?:\.255){1,3}(?:\.0){0,2}")
"""Addresses and masks that are everybody's."""

IBAN = re.compile(r"(?:(?<![a-z0-9])|(?<=iban))[a-z]{2}\d{2}(?:[ .\-]?[a-z0-9]){11,32}", re.IGNORECASE)

NEAR_DIGITS = re.compile(r"\d[ .\-/]?\d[ .\-/]?\d[ .\-/]?\d|\d[\[(](?:\.|dot)[\])]\d")
CLUSTER = re.compile(r"\d(?:[ .\-/()_]{0,3}\d){5,}")
"""Six digits and more that may be one number."""
LETTER_AT_END = re.compile(r"\d[ .\-]?[A-Za-z]{1,2}(?![A-Za-z])")
RUN = re.compile(r"\d(?:[ .\-/_]{0,2}\d){7,}")
UUID = re.compile(r"(?<![0-9a-z])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![0-9a-z])", re.IGNORECASE)

_S = r"[ .\-]?"
LETTERED: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = tuple(
    (re.compile(rf"(?<![A-Za-z0-9])(?:{shape})(?![A-Za-z0-9])", re.IGNORECASE), valid)
    for shape, valid in (
        (rf"[A-Z]{{2}}{_S}\d\d{_S}\d\d{_S}\d\d{_S}[A-D]", identities.nino),
        (r"(?:\d{8}|\d\d([.\ ])\d{3}\1\d{3})[\ \-]?[A-Z](?!-)|[XYZ][\ \-]?\d{7}[\ \-]?[A-Z](?!-)", identities.dni),
        (
            rf"[A-Z]{{3}}{_S}[A-Z]{{3}}{_S}[\dLMNP-V]{{2}}[A-EHLMPRST][\dLMNP-V]{{2}}{_S}[A-Z][\dLMNP-V]{{3}}[A-Z]",
            identities.codice_fiscale,
        ),
        (r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", identities.hetu),
        (rf"[12]{_S}\d\d{_S}\d\d{_S}2[AB]{_S}\d{{3}}{_S}\d{{3}}{_S}\d\d", identities.corsican_nir),
        (r"\d{6}[ \-]?(?:18|19|20)\d{6}[ \-]?\d{3}[\dX]", identities.resident_id),
        (r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", lambda _: True),  # India's PAN: the fourth letter says what it is
        (r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d", lambda _: True),  # Mexico's CURP
        (r"\d{1,2}\.?\d{3}\.?\d{3}-[\dK]", identities.rut),
        (r"[STFG]\d{7}[A-Z]", identities.nric),
        (r"\d{7}[A-W][A-IW]?", identities.pps),
    )
)
"""National numbers that hold letters, and what their check letters have to be (without separators, in capitals)."""
SIGNS = re.compile(r"[ .\-]")

PHONES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(shape, re.VERBOSE)
    for shape in (
        r"(?<![\w.+])(?:\+|00(?=[1-9]))\(?\d(?:[ .\-/()]{0,3}\d){6,14}(?!\d)",  # international
        r"(?<![\w+.\-/])(?:1[\ .\-]{1,2})?\(\d{3}\)[\ .\-]{0,2}\d{3}[\ .\-]?\d{4}(?![\w\-])",  # North America
        r"(?<![\w+.\-/])(?:1[\ .\-])?\d{3}([\ .\-])\d{3}\1\d{4}(?![\w\-])",
        r"(?<![\w+.\-/,])1?[2-9]\d{2}[2-9]\d{6}(?![\w]|[.,\-/]\d)",
        r"(?<![\w+.\-/,:])\(?0[1-9]\d{0,4}\)?(?:[\ .\-/]{1,3}\d{2,8}){1,5}(?![\w]|-\d)",  # a trunk 0, in groups
        r"(?<![\w+.\-/,:])0[1-9]\d{8,9}(?![\w]|[.,\-/]\d)",
        r"(?<![\w+.\-/,])[6-9]\d{2}(?:[\ \-]\d{3}[\ \-](?!000)\d{3}|(?:[\ \-]\d{2}){3})(?![\w]|[ .,\-/]\d)",  # Spain
        r"(?<![\w+.\-/,])[6-9]\d{4}[\ \-]?\d{5}(?![\w]|[.,\-/]\d)",  # India
        r"(?<![\w+.\-/,])1[3-9]\d[\ \-]?\d{4}[\ \-]?\d{4}(?![\w]|[.,\-/]\d)",  # China
        r"(?<![\w+.\-/,])8[\ \-]?\(?\d{3}\)?[\ \-]?\d{3}[\ \-]?\d{2}[\ \-]?\d{2}(?![\w]|[.,\-/]\d)",  # Russia
        r"(?<![\w+.\-/,])\(?[1-9]{2}\)?\ 9?\d{4}-\d{4}(?![\w]|[.,\-/]\d)",  # Brazil
    )
)
CALLED = re.compile(
    r"\b(?:tele?(?:phone|f[oó]no?|fon)?|phone|ph|mobile?|mob|m[oó]vil|cell|celular|fax|whatsapp|handy(?=[:.\s])"
    r"|call(?:ed|s)?|dial|ring|sms|text|reach|contact|portable)\b[^\d\n+(]{0,25}[+(]{0,2}$",
    re.IGNORECASE,
)
DATED = re.compile(
    r"(?:(?:19|20)\d\d[-/. ]+(?:19|20)\d\d|"
    r"(?:19|20)\d\d([-/.])[01]\d\1[0-3]\d|[0-3]?\d([-/.])[0-3]?\d\2\d{2,4})"
)
"""Years and days, which are no number of anybody's."""

LONG = re.compile(r"[\w\-]{14,}")
_KEYS = r"""
    sk-[A-Za-z0-9_\-]{14,}                                    # OpenAI, Anthropic (sk-ant-), OpenRouter, DeepSeek …
  | (?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA|AGPA)[A-Z0-9]{12,}       # AWS
  | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_\w{16,} | gl(?:pat|ptt|dt|rt|cbt|soat|ft)-[\w\-]{12,}
  | xox[abeoprs](?:\.xox[a-z])?-[A-Za-z0-9\-]{10,} | xapp-[A-Za-z0-9\-]{10,} # Slack
  | AIza[\w\-]{20,} | ya29\.[\w\-]{16,} | GOCSPX-[\w\-]{16,}  # Google
  | (?:hf|gsk|r8|fw|npm|dapi|hvs|hvb|lin_api|figd|secret_|ntn|pat|sbp|tvly|jina|nfp|rnd|tskey|vercel)
    _[A-Za-z0-9_\-]{14,}
  | hv[sb]\.[\w\-]{14,} | tgp_v1_[\w\-]{14,} | do[oprt]_v1_[a-f0-9]{14,} | dapi[a-f0-9]{20,}
  | (?:xai|pplx|nvapi|csk|glc|sntrys|pypi|dckr_pat|phc|phx|lsv2_[ps]t)[-_][A-Za-z0-9_\-]{16,} | (?:key|fc)-[a-f0-9]{32}
  | (?:sk|pk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,} | whsec_[A-Za-z0-9+/=]{16,} # Stripe
  | shp(?:at|ca|pa|ss)_[a-fA-F0-9]{16,} | sq0(?:atp|csp)-[\w\-]{16,} | EAAC[A-Za-z0-9]{20,} | glsa_\w{20,}
  | (?:AC|SK)[a-f0-9]{32} | SG\.[\w\-]{10,}\.[\w\-]{10,} | ATATT3[\w\-=]{20,} | AGE-SECRET-KEY-1[A-Z0-9]{20,}
  | \d{8,10}:AA[\w\-]{30,} | [MNO][\w\-]{23,27}\.[\w\-]{6}\.[\w\-]{27,}          # Telegram, Discord
  | eyJ[\w\-]{6,}\.[\w\-]{6,}(?:\.[\w\-]*)?                   # a JSON Web Token
  | (?=[A-Za-z0-9]{0,60}\d)(?=[A-Za-z0-9]{0,60}[a-z])(?=[A-Za-z0-9]{0,60}[A-Z])[A-Za-z0-9]{32,} # a bare key
"""
KEY = re.compile(rf"(?<![A-Za-z0-9])(?:{_KEYS})", re.VERBOSE)
PEM = re.compile(
    r"-----BEGIN(?: [A-Z0-9]+){0,4} PRIVATE KEY(?: BLOCK)?-----(?:[^-]{0,20000}-----END[A-Z0-9 ]{0,60}-----)?"
    r"|PuTTY-User-Key-File-\d"
)
CONNECTION = re.compile(r"[a-z][a-z0-9+.\-]{1,20}://[^\s:/@]{0,100}:[^\s/@]{1,200}@[^\s/@,;\"']{1,253}", re.IGNORECASE)
WEBHOOK = re.compile(
    r"hooks\.slack\.com/(?:services|workflows)/[\w/]{10,}|discord(?:app)?\.com/api/webhooks/\d+/[\w\-]+"
)
BEARER = re.compile(r"\b(?:bearer|basic)\s{1,3}(?=[\w.~+/\-]{0,60}\d)(?P<value>[\w.~+/\-]{14,}={0,2})", re.IGNORECASE)

SECRET_WORDS = ("pass", "pwd", "secret", "key", "token", "auth", "cred", "pin", "cv", "otp", "code", "bearer", "basic")
"""One of these stands in every text that names its secret."""
NAMED = re.compile(
    r"(?P<strong>passw(?:or)?d|passphrase|passcode|pwd|\bpass|\bpw|secret(?:[_\- ]?(?:access)?[_\- ]?key)?"
    r"|api[_\- ]?key|access[_\- ]?key|private[_\- ]?key|account[_\- ]?key|credentials?)"
    r"(?P<as>[\"'`\])]{0,2}\s{0,3}(?::=|=>|[:=]|\bis\b)\s{0,3})[\"'`]?(?P<value>[^\s\"'`<>]{4,200})",
    re.IGNORECASE,
)
FAINTLY_NAMED = re.compile(
    r"(?:key|token|auth|authorization|session(?:id)?|cookie|signature|sig|jwt|sas)[\"'`\])]{0,2}\s{0,3}"
    r"(?::=|=>|[:=]|\bis\b)\s{0,3}[\"'`]?(?P<value>[\w.~+/\-]{12,}={0,2})",
    re.IGNORECASE,
)
PIN = re.compile(
    r"\b(?:pin|cvv2?|cvc2?|otp|passcode|(?:security|verification|one[- ]time) code)\b(?:\s(?:code|number|no\.?))?"
    r"(?P<as>\s{0,2}(?:[:=#]|\bis\b)?\s{0,2})(?P<value>\d{3,8})(?![\d.,]?\d)(?<!\bcode\ \d{6})",
    re.IGNORECASE,
)
ACCOUNT_WORDS = ("account", "acct", "sort code", "routing", "kontonummer", "aba", "bsb")
ACCOUNT = re.compile(
    r"\b(?:sort code|routing (?:number|no\.?)|account (?:number|no\.?|\#)|acct\.?(?: (?:number|no\.?))?|kontonummer"
    r"|bank account|aba|bsb)\b[^\d\n]{0,12}(?P<number>\d[\d \-]{4,22}\d)",
    re.IGNORECASE,
)
PAPER_WORDS = ("pass", "pasa", "licen", "card", "visa")
PAPERS = re.compile(
    r"\b(?:passport|reisepass|pasaporte|driver'?s? licen[cs]e|driving licen[cs]e|id card|identity card|visa number)\b"
    r"(?:\s(?:number|no\.?|\#|is|id)){0,2}\s{0,2}[:\#]?\s{0,2}(?P<number>(?=[A-Z]{0,5}\d)[A-Z0-9]{6,16})\b",
    re.IGNORECASE,
)
IDENTIFIED = re.compile(
    r"\b(?:ssn|social (?:security|insurance)|national (?:id|insurance|identity)|tax(?:payer)?[ -]?(?:id|file)|tin|itin"
    r"|tfn|sin|nif|nhs|cpr|nin|bsn|personal (?:id|number|code)|id (?:number|no\b)|identi(?:ty|fication)|my number"
    r"|rodn[eé]|steuer)",
    re.IGNORECASE,
)
"""A word that says of a number beside it that it is a person's."""
