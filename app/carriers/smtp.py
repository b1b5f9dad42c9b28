"""E-mail over SMTP: ``smtp://`` with STARTTLS, ``smtps://`` with TLS from the start.

A password is sent over TLS only, or within this machine. Without a password a relay that offers no TLS is used as it
is: the relays of inner networks are often so.

Warning: the relay is the operator's own, so its address is not checked as a webhook's is. Timeouts are those of single
steps; a relay that answers each just in time can hold a mail up for a minute. Where the connection breaks after the
text was sent and before the relay said so, nobody knows whether it was taken: it is sent again, under the same
Message-ID (RFC 5321, 4.5.3.2.6).
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Sequence
from email.errors import MessageError
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from app.carriers.trouble import Trouble

_STEP_TIMEOUT_S = 10.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ADDRESS = re.compile(r"[^\s\x00-\x20\x7f,;<>\"@]+@[^\s\x00-\x20\x7f,;<>\"@]+")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SUBJECT_CHARS = 150


def is_address(text: str) -> bool:
    return _ADDRESS.fullmatch(text) is not None


def subject(text: str) -> str:
    """One line of a sensible length: no text from outside reaches a header unflattened."""
    return _UNPRINTABLE.sub(" ", text)[:_SUBJECT_CHARS]


class Relay:
    """The server that takes our mail. Raises ValueError where the URL will not do; its words do not show it."""

    def __init__(self, url: SecretStr, tls: ssl.SSLContext | None = None) -> None:
        try:
            parts = urlsplit(url.get_secret_value())
            self._host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("is no URL") from None
        if parts.scheme not in ("smtp", "smtps") or not self._host:
            raise ValueError("must be smtp://host:port or smtps://host:port")
        self._implicit = parts.scheme == "smtps"
        self._port = port or (465 if self._implicit else 587)
        self._login = (unquote(parts.username), SecretStr(unquote(parts.password or ""))) if parts.username else None
        self._tls = tls

    @property
    def where(self) -> str:
        return f"{'smtps' if self._implicit else 'smtp'}://{self._host}:{self._port}"

    def send(self, mail: EmailMessage, sender: str, recipients: Sequence[str]) -> Trouble | None:
        """``final``: the relay refused these recipients or this text for good (5yz, RFC 5321, 4.2.1)."""
        try:
            with self._connected() as server:
                server.send_message(mail, sender, list(recipients))
        except smtplib.SMTPResponseException as error:
            final = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
            return Trouble(f"the mail server refused: {error.smtp_code} ({type(error).__name__})", final=final)
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            return Trouble(f"the mail server refused the recipients: {codes}", final=min(codes) >= 500)
        except (smtplib.SMTPException, OSError, MessageError, ValueError) as error:
            return Trouble(f"the mail server cannot be reached: {type(error).__name__}")
        return None

    def _connected(self) -> smtplib.SMTP:
        tls = self._tls or ssl.create_default_context()
        if self._implicit:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=_STEP_TIMEOUT_S, context=tls)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=_STEP_TIMEOUT_S)
        try:
            server.ehlo()
            if not self._implicit and server.has_extn("starttls"):
                server.starttls(context=tls)
                server.ehlo()
            if self._login is not None:
                if not isinstance(server.sock, ssl.SSLSocket) and self._host not in _LOOPBACK:
                    raise smtplib.SMTPNotSupportedError("no TLS, so no password is sent")
                server.login(self._login[0], self._login[1].get_secret_value())
        except BaseException:
            server.close()
            raise
        return server
