"""The edition as a letter, one target a recipient: nobody sees another's address, and where one is refused, or the
process dies in between, nobody else gets the letter a second time.

Warning: the recipient whose letter was under way when the process died, or whose relay never said whether it took it,
may get it twice, under the same Message-ID.
"""

from __future__ import annotations

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from app.carriers.smtp import Relay, is_address, subject
from app.newspaper.setting.bundle import Bundle
from app.publishing.printed import edition_in, made_at
from app.publishing.target import Untaken

_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")


def address_of(line: str) -> Address:
    """``news@example.com`` or ``The Paper <news@example.com>``. Raises ValueError, which does not show it."""
    named = _NAMED.fullmatch(line.strip())
    name, address = (named["name"].strip().strip('"'), named["address"]) if named else ("", line.strip())
    if not is_address(address) or not address.isascii():
        raise ValueError("is no address such as news@example.com or The Paper <news@example.com>")
    user, _, host = address.rpartition("@")
    return Address(name, user, host)


class MailTarget:
    """``n``: the recipient's place in the paper's list, from 1. Its address stands in no name, error or repr."""

    def __init__(self, relay: Relay, sender: Address, recipient: Address, n: int) -> None:
        self.name = f"mail:{n}"
        self._relay = relay
        self._sender = sender
        self._recipient = recipient

    @property
    def where(self) -> str:
        return self._relay.where

    def publish(self, bundle: Bundle, message_id: str) -> Untaken | None:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._sender
        mail["To"] = self._recipient
        mail["Subject"] = subject(bundle.letter.subject)
        mail["Date"] = made_at(edition_in(bundle))
        mail["Message-ID"] = f"<{message_id}@{self._sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
        mail.set_content(bundle.letter.text)
        mail.add_alternative(bundle.letter.html, subtype="html")
        trouble = self._relay.send(mail, self._sender.addr_spec, [self._recipient.addr_spec])
        return None if trouble is None else Untaken(trouble.said, trouble.final)
