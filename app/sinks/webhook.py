"""Notices as signed webhooks."""

from __future__ import annotations

import orjson
from pydantic import SecretStr

from app.carriers.trouble import Trouble
from app.carriers.webhook import Hook
from app.fetch import Fetcher
from app.sinks.letter import Letter


class WebhookSink:
    """Raises ValueError where the secret will not do."""

    name = "webhook"

    def __init__(self, url: SecretStr, secret: SecretStr, fetcher: Fetcher) -> None:
        self._hook = Hook(url, secret, fetcher)

    @property
    def where(self) -> str:
        return self._hook.where

    def send(self, letter: Letter) -> Trouble | None:
        n = letter.notice
        body = orjson.dumps(
            {
                "type": "alert.firing" if n.firing else "alert.recovered",
                "timestamp": letter.at.isoformat(),
                "data": {
                    "name": n.name,
                    "subject": n.subject,
                    "firing": n.firing,
                    "value": n.value,
                    "threshold": n.threshold,
                    "message": n.message,
                },
            }
        )
        return self._hook.post(letter.id, body)
