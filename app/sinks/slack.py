"""Slack's incoming webhooks, as Mattermost, Rocket.Chat and others take them too: a text and blocks.

Texts are escaped as Slack says (docs.slack.dev, formatting message text): ``&``, ``<`` and ``>``, so that no message
of a provider becomes a link or calls a channel.
"""

from __future__ import annotations

import orjson
from pydantic import SecretStr

from app.carriers.trouble import Trouble
from app.carriers.webhook import taken
from app.fetch import Fetcher, shown
from app.sinks.letter import Letter

_LONGEST = 2_900
"""Characters of a section's text; Slack takes 3,000."""


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class SlackSink:
    name = "slack"

    def __init__(self, url: SecretStr, fetcher: Fetcher) -> None:
        self._url = url
        self._fetcher = fetcher

    @property
    def where(self) -> str:
        return shown(self._url.get_secret_value())

    def send(self, letter: Letter) -> Trouble | None:
        n = letter.notice
        mark = ":red_circle:" if n.firing else ":large_green_circle:"
        head = escaped(" ".join(n.title.split()))
        said = escaped(n.message[: _LONGEST // 5])  # an escaped character is five at most
        lines = {"type": "mrkdwn", "text": f"{mark} *{head}*\n{said}"[:_LONGEST]}
        when = {"type": "mrkdwn", "text": f"{letter.at:%Y-%m-%d %H:%M:%S} UTC, {escaped(letter.id)}"}
        body = orjson.dumps(
            {
                "text": f"{head}: {said}"[:_LONGEST],
                "blocks": [{"type": "section", "text": lines}, {"type": "context", "elements": [when]}],
            }
        )
        return taken(self._fetcher.post(self._url.get_secret_value(), body, {"content-type": "application/json"}))
