"""``edition.published`` as a Standard Webhook: what appeared, where it can be read, its headlines; not its text.

The body::

    {"type": "edition.published", "timestamp": "2026-11-20T05:41:12+00:00",
     "data": {"id": "paper-daily-2026-11-20-1", "paper": "paper", "title": "The Evening Yard", "kind": "daily",
              "date": "2026-11-20", "run": 1, "specimen": false, "bulletin": false, "late": false,
              "url": "https://news.example/2026-11-20/index.html", "headline": "…",
              "headlines": [{"id": "a1b2c3", "desk": "world", "headline": "…"}]}}

``url`` is null where the paper's settings name none; ``headline`` is that of the front page's narrative, or null.
"""

from __future__ import annotations

import orjson

from app.carriers.webhook import Hook
from app.newspaper.setting.bundle import Bundle
from app.publishing.printed import edition_in, made_at
from app.publishing.target import Untaken


class WebhookTarget:
    """``url``: where the paper's folder can be read by others."""

    name = "webhook"

    def __init__(self, hook: Hook, url: str | None) -> None:
        self._hook = hook
        self._url = url

    @property
    def where(self) -> str:
        return self._hook.where

    def publish(self, bundle: Bundle, message_id: str) -> Untaken | None:
        trouble = self._hook.post(message_id, _body(bundle, message_id, self._url))
        return None if trouble is None else Untaken(f"the webhook did not take it: {trouble.said}", trouble.final)


def _body(bundle: Bundle, message_id: str, url: str | None) -> bytes:
    edition = edition_in(bundle)
    return orjson.dumps(
        {
            "type": "edition.published",
            "timestamp": made_at(edition).isoformat(),
            "data": {
                "id": message_id,
                "paper": edition.paper,
                "title": edition.title,
                "kind": edition.kind,
                "date": edition.date.isoformat(),
                "run": edition.run,
                "specimen": edition.specimen,
                "bulletin": edition.bulletin,
                "late": edition.late,
                "url": f"{url.rstrip('/')}/{bundle.name}/index.html" if url else None,
                "headline": edition.narrative.headline if edition.narrative else None,
                "headlines": [
                    {"id": piece.id, "desk": page.desk, "headline": piece.headline}
                    for page in edition.pages
                    for piece in page.pieces
                ],
            },
        }
    )
