"""E-mail over SMTP: ``smtp://`` with STARTTLS, ``smtps://`` with TLS from the start.

A password is sent over TLS only, or within this machine. Without a password a relay that offers no TLS is used as it
is: the relays of inner networks are often so.

Warning: the relay is the operator's own, so its address is not checked as a webhook's is. Timeouts are those of single
steps; a relay that answers each just in time can hold a mail up for a minute.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from app.sinks.letter import Letter, Trouble

_STEP_TIMEOUT_S = 10.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ADDRESS = re.compile(r"[^\s\x00-\x20\x7f,;<>\"@]+@[^\s\x00-\x20\x7f,;<>\"@]+")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SUBJECT_CHARS = 150


class MailSink:
    """Raises ValueError where the URL or an address will not do."""

    name = "mail"

    def __init__(self, url: SecretStr, mail_from: SecretStr, mail_to: SecretStr, tls: ssl.SSLContext | None = None):
        try:
            parts = urlsplit(url.get_secret_value())
            self._host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("SWITCHYARD_ALERT_SMTP_URL is no URL") from None
        if parts.scheme not in ("smtp", "smtps") or not self._host:
            raise ValueError("SWITCHYARD_ALERT_SMTP_URL must be smtp://host:port or smtps://host:port")
        self._implicit = parts.scheme == "smtps"
        self._port = port or (465 if self._implicit else 587)
        self._login = (unquote(parts.username), SecretStr(unquote(parts.password or ""))) if parts.username else None
        self._from = mail_from.get_secret_value().strip()
        self._to = [address.strip() for address in mail_to.get_secret_value().split(",") if address.strip()]
        if not self._to or not all(_ADDRESS.fullmatch(address) for address in (self._from, *self._to)):
            raise ValueError("SWITCHYARD_ALERT_MAIL_TO and _FROM must be addresses such as ops@example.com")
        self._tls = tls

    @property
    def where(self) -> str:
        return f"{'smtps' if self._implicit else 'smtp'}://{self._host}:{self._port}"

    def message(self, letter: Letter) -> EmailMessage:
        """No text of a provider reaches a header unflattened; the mail library refuses line ends in headers besides."""
        n = letter.notice
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._from
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = _UNPRINTABLE.sub(" ", f"[switchyard] {n.title}")[:_SUBJECT_CHARS]
        mail["Date"] = letter.at
        mail["Message-ID"] = f"<{letter.id}@{self._from.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
        mail.set_content(f"{n.message}\n\n{letter.at:%Y-%m-%d %H:%M:%S} UTC\nWhat fires now: switchyard alerts\n")
        return mail

    def send(self, letter: Letter) -> Trouble | None:
        try:
            with self._connected() as server:
                server.send_message(self.message(letter), self._from, self._to)
        except smtplib.SMTPResponseException as error:
            return Trouble(f"the mail server refused: {error.smtp_code} ({type(error).__name__})")
        except smtplib.SMTPRecipientsRefused as error:
            return Trouble(f"the mail server refused the recipients: {sorted({code for code, _ in _codes(error)})}")
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


def _codes(error: smtplib.SMTPRecipientsRefused) -> list[tuple[int, bytes]]:
    return list(error.recipients.values())
