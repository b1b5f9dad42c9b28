"""Webhooks signed as Standard Webhooks 1.0.0 says (github.com/standard-webhooks/standard-webhooks, spec)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from email.utils import parsedate_to_datetime

from pydantic import SecretStr

from app.carriers.trouble import Trouble
from app.fetch import Fetched, Fetcher, Unfetched, shown

_PREFIX = "whsec_"
_LEAST_KEY_BYTES, _MOST_KEY_BYTES = 24, 64
_LONGEST_RETRY_S = 3600.0


def key_of(secret: str) -> bytes:
    """The signing key in ``whsec_<base64>``: 24 to 64 bytes. Raises ValueError."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _LEAST_KEY_BYTES <= len(key) <= _MOST_KEY_BYTES:
        raise ValueError("must be whsec_ and 24 to 64 random bytes in base64")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Hook:
    """One receiver. Raises ValueError where ``secret`` will not do; its words do not show it."""

    def __init__(self, url: SecretStr, secret: SecretStr, fetcher: Fetcher) -> None:
        self._url = url
        self._key = key_of(secret.get_secret_value())
        self._fetcher = fetcher

    @property
    def where(self) -> str:
        return shown(self._url.get_secret_value())

    def post(self, message_id: str, body: bytes) -> Trouble | None:
        """``message_id`` has no full stop: it would move the signed parts. ``body``: JSON."""
        now = int(time.time())
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(self._key, message_id, now, body),
        }
        return taken(self._fetcher.post(self._url.get_secret_value(), body, headers))


def taken(answer: Fetched | Unfetched) -> Trouble | None:
    """What an answer to a webhook means, as the specification has it: 2xx is taken, 410 ends it, else try again."""
    if isinstance(answer, Unfetched):
        return Trouble(answer.said)
    if 200 <= answer.status < 300:
        return None
    wait_s = _retry_after_s(answer.headers.get("retry-after", ""))
    said = f"HTTP {answer.status}" + (", the receiver wants no more" if answer.status == 410 else "")
    return Trouble(said, retry_after_s=wait_s, final=answer.status == 410)


def _retry_after_s(value: str) -> float | None:
    """RFC 9110, 10.2.3: seconds or a date."""
    if value.isascii() and value.isdigit() and len(value) < 10:
        return min(float(value), _LONGEST_RETRY_S)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - time.time()), _LONGEST_RETRY_S)
    except (ValueError, TypeError, OverflowError):
        return None
