"""Notices by e-mail."""

from __future__ import annotations

import ssl
from email.message import EmailMessage
from email.policy import SMTP

from pydantic import SecretStr

from app.carriers.smtp import Relay, is_address, subject
from app.carriers.trouble import Trouble
from app.sinks.letter import Letter


class MailSink:
    """Raises ValueError where the URL or an address will not do."""

    name = "mail"

    def __init__(self, url: SecretStr, mail_from: SecretStr, mail_to: SecretStr, tls: ssl.SSLContext | None = None):
        try:
            self._relay = Relay(url, tls)
        except ValueError as error:
            raise ValueError(f"SWITCHYARD_ALERT_SMTP_URL {error}") from None
        self._from = mail_from.get_secret_value().strip()
        self._to = [address.strip() for address in mail_to.get_secret_value().split(",") if address.strip()]
        if not self._to or not all(is_address(address) for address in (self._from, *self._to)):
            raise ValueError("SWITCHYARD_ALERT_MAIL_TO and _FROM must be addresses such as ops@example.com")

    @property
    def where(self) -> str:
        return self._relay.where

    def message(self, letter: Letter) -> EmailMessage:
        """No text of a provider reaches a header unflattened; the mail library refuses line ends in headers besides."""
        n = letter.notice
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._from
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = subject(f"[switchyard] {n.title}")
        mail["Date"] = letter.at
        mail["Message-ID"] = f"<{letter.id}@{self._from.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
        mail.set_content(f"{n.message}\n\n{letter.at:%Y-%m-%d %H:%M:%S} UTC\nWhat fires now: switchyard alerts\n")
        return mail

    def send(self, letter: Letter) -> Trouble | None:
        trouble = self._relay.send(self.message(letter), self._from, self._to)
        # A relay that is set up wrongly refuses for good, too: an alert waits a day for somebody to set it right.
        return trouble and Trouble(trouble.said)
