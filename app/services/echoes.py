"""Providers and the proxies before them say our key back to us; it goes no further than here."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.core.masking import MASK
from app.core.values import Answer, Failure
from app.wire import Hear

_SHORTEST = 8
"""Characters. What is shorter ("none", for a local server) is no secret, and may be part of any word."""


def keyless(hear: Hear, key: str | None) -> Hear:
    """``hear`` for a body in which ``key`` has been blotted out, before anything of it is read, cut or stored.

    Warning: only the whole key is known here, as it stands and as JSON escapes it. Parts of it are masked by their
    shape (``app.core.masking``).
    """
    if key is None or len(key) < _SHORTEST:
        return hear
    escaped = json.dumps(key)[1:-1]
    forms = sorted({form.encode() for k in (key, escaped) for form in (k, k.replace("/", "\\/"))}, key=len)

    def heard(status: int, headers: Mapping[str, str], body: bytes) -> Answer | Failure:
        for form in forms:
            if form in body:
                body = body.replace(form, MASK.encode())
        return hear(status, headers, body)

    return heard
