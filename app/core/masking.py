"""Make foreign text safe to store: no key, no control characters, a length that fits a row.

Providers echo parts of the key in their errors ("Incorrect API key provided: sk-ab***yz").

Warning: a mask knows shapes, not secrets. A key without a known prefix, shorter than 32 letters and digits,
and not named as a key beside it, passes.
"""

from __future__ import annotations

import re

MASK = "***"

_KEY = re.compile(
    r"""
      (?i:\b(?:bearer|basic)\s+[\w.~+/=*-]{6,})                          # an Authorization header
    | (?i:\b(?:x-)?api[\s_-]?key(?:\s+provided)?["']?\s*[:=]\s*["']?)[^\s"',}]{4,}
    | (?i:[?&](?:key|token|api_key|access_token)=)[^\s&"']+               # a key in a URL
    | \b(?:sk|pk|rk|gsk|xai|pplx|csk|nvapi|hf|r8|fw|tgp|api|key|ghp|gho|github_pat|glpat|AKIA|sbai)[-_][\w*.-]{6,}
    | \bAIza[\w*-]{8,} | \bAKIA[0-9A-Z]{8,} | \bhf_[\w*]{4,} | \bsk-[\w*.-]*
    | \beyJ[\w-]{8,}\.[\w.-]+                                             # a JSON web token
    | \b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}\b                  # a bare key: Mistral, Azure, Cohere
    """,
    re.VERBOSE,
)
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]+")


def safe_message(text: str, limit: int = 300) -> str:
    """``text`` on one line, keys masked, at most ``limit`` characters."""
    flat = _CONTROL.sub(" ", text[: limit * 12]).strip()
    masked = _KEY.sub(MASK, flat)
    return masked if len(masked) <= limit else masked[: limit - 1] + "…"
