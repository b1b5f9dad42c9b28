"""The sinks that the environment names, and what is amiss where it names one by half."""

from __future__ import annotations

from app.fetch import Fetcher
from app.settings import Settings
from app.sinks.letter import Sink
from app.sinks.log import LogSink
from app.sinks.mail import MailSink
from app.sinks.slack import SlackSink
from app.sinks.webhook import WebhookSink


def configured(settings: Settings) -> tuple[list[Sink], list[str]]:
    """The sinks, the log first; and a sentence for each that cannot be built. No sentence holds a secret."""
    inner = settings.allow_private_addresses
    fetcher = Fetcher(allow_private=inner, allow_http=inner)
    sinks: list[Sink] = [LogSink()]
    amiss: list[str] = []
    url, secret = settings.alert_webhook_url, settings.alert_webhook_secret
    if url is not None and secret is not None:
        try:
            sinks.append(WebhookSink(url, secret, fetcher))
        except ValueError as error:
            amiss.append(f"SWITCHYARD_ALERT_WEBHOOK_SECRET {error}")
    elif url is not None:
        amiss.append(
            "SWITCHYARD_ALERT_WEBHOOK_URL wants SWITCHYARD_ALERT_WEBHOOK_SECRET, too: nothing is sent unsigned"
        )
    elif secret is not None:
        amiss.append("SWITCHYARD_ALERT_WEBHOOK_SECRET wants SWITCHYARD_ALERT_WEBHOOK_URL, too")
    if settings.alert_slack_url is not None:
        sinks.append(SlackSink(settings.alert_slack_url, fetcher))
    mail = {
        "SWITCHYARD_ALERT_SMTP_URL": settings.alert_smtp_url,
        "SWITCHYARD_ALERT_MAIL_FROM": settings.alert_mail_from,
        "SWITCHYARD_ALERT_MAIL_TO": settings.alert_mail_to,
    }
    lacking = [name for name, value in mail.items() if value is None]
    if settings.alert_smtp_url and settings.alert_mail_from and settings.alert_mail_to:
        try:
            sinks.append(MailSink(settings.alert_smtp_url, settings.alert_mail_from, settings.alert_mail_to))
        except ValueError as error:
            amiss.append(str(error))
    elif len(lacking) < len(mail):
        amiss.append(f"mail wants {' and '.join(lacking)}, too")
    return sinks, amiss
