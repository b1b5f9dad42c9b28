"""The log: always there."""

from __future__ import annotations

import structlog

from app.sinks.letter import Letter

log = structlog.get_logger(__name__)


class LogSink:
    name = "log"
    where = "stderr"

    def send(self, letter: Letter) -> None:
        n = letter.notice
        level, action = (log.warning, "alert.firing") if n.firing else (log.info, "alert.recovered")
        level(
            n.message,
            action=action,
            alert=n.name,
            subject=n.subject,
            value=n.value,
            threshold=n.threshold,
            notice=letter.id,
            at=letter.at.isoformat(),
        )
