"""The targets that a paper names, and what is amiss where the environment has told too little of one."""

from __future__ import annotations

from collections.abc import Mapping
from email.headerregistry import Address
from pathlib import Path

from pydantic import SecretStr

from app.carriers.smtp import Relay
from app.carriers.webhook import Hook
from app.fetch import Fetcher
from app.newspaper.paper import Bucket, Mail, Paper, Webhook
from app.publishing.bucket import BucketTarget
from app.publishing.folder import FolderTarget
from app.publishing.mail import MailTarget, address_of
from app.publishing.target import Target, Unready
from app.publishing.webhook import WebhookTarget


def names(paper: Paper) -> list[str]:
    """What an edition of the paper is to reach, as the ledger keeps it; whatever the environment says."""
    publish = paper.publish
    found = ["folder"]
    found += ["bucket"] if publish.bucket is not None else []
    found += ["webhook"] if publish.webhook is not None else []
    return found + [f"mail:{n}" for n in range(1, len(publish.mail.to) + 1 if publish.mail is not None else 1)]


def targets(
    paper: Paper, base: Path, environ: Mapping[str, str], *, allow_private: bool = False
) -> tuple[list[Target], list[str]]:
    """One target for each of ``names``, in that order; and a sentence for each thing that is amiss. No sentence holds
    a secret. ``base``: the folder of ``newspaper.toml``. ``allow_private``: addresses of inner networks and plain http.
    """
    publish = paper.publish
    found: list[Target] = [FolderTarget(base / publish.folder, paper.name)]
    if publish.bucket is not None:
        found.append(_bucket(publish.bucket, environ, allow_private))
    if publish.webhook is not None:
        found.append(_webhook(publish.webhook, publish.url, environ, allow_private))
    if publish.mail is not None:
        found += _mail(publish.mail, environ)
    amiss = dict.fromkeys(target.said for target in found if isinstance(target, Unready))
    if publish.bucket is not None:
        keys = (publish.bucket.access_key_env, publish.bucket.secret_key_env)
        lacking = [name for name in keys if not environ.get(name)]
        amiss |= dict.fromkeys(f"publish.bucket wants {name} in the environment" for name in lacking)
    return found, list(amiss)


def _bucket(bucket: Bucket, environ: Mapping[str, str], allow_private: bool) -> Target:
    try:
        return BucketTarget(bucket, environ, allow_http=allow_private)
    except ValueError as error:
        return Unready("bucket", str(error))


def _webhook(webhook: Webhook, url: str | None, environ: Mapping[str, str], allow_private: bool) -> Target:
    address, secret = environ.get(webhook.url_env), environ.get(webhook.secret_env)
    if not address or not secret:
        lacking = [name for name in (webhook.url_env, webhook.secret_env) if not environ.get(name)]
        return Unready("webhook", f"publish.webhook wants {' and '.join(lacking)} in the environment")
    fetcher = Fetcher(allow_private=allow_private, allow_http=allow_private)
    try:
        return WebhookTarget(Hook(SecretStr(address), SecretStr(secret), fetcher), url)
    except ValueError as error:
        return Unready("webhook", f"{webhook.secret_env} {error}")


def _mail(mail: Mail, environ: Mapping[str, str]) -> list[Target]:
    url = environ.get(mail.smtp_env)
    try:
        if not url:
            raise ValueError(f"publish.mail wants {mail.smtp_env} in the environment")
        relay, sender = _relay(mail.smtp_env, url), _address("publish.mail.sender", mail.sender)
    except ValueError as error:
        return [Unready(f"mail:{n}", str(error)) for n in range(1, len(mail.to) + 1)]
    return [_letter(relay, sender, to, n) for n, to in enumerate(mail.to, 1)]


def _letter(relay: Relay, sender: Address, to: str, n: int) -> Target:
    try:
        return MailTarget(relay, sender, _address(f"publish.mail.to, the {n}. one,", to), n)
    except ValueError as error:
        return Unready(f"mail:{n}", str(error))


def _relay(name: str, url: str) -> Relay:
    try:
        return Relay(SecretStr(url))
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _address(what: str, line: str) -> Address:
    try:
        return address_of(line)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None
