"""What a worker does with messages that are none: refuse, log, go on.

Celery's own consumer refuses what cannot be decoded and names it does not know. A body that decodes into the wrong
shape, or a header of the wrong type, raises out of its loop, which ends the worker; and as the message was not
acknowledged it would come back and end the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from celery.worker.consumer import Consumer

log = structlog.get_logger(__name__)


class Unshaken(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, but that no message stops it."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        take = super().create_task_handler(*args, **kwargs)

        def handle(message: Any) -> None:
            try:
                take(message)
            except (*self.connection_errors, *self.channel_errors):
                raise  # the broker's trouble, not the message's
            except Exception as error:
                # Nothing of the message goes into the log: it may be anybody's data, of any size.
                log.warning("message refused", action="message.refused", error=type(error).__name__)
                message.reject_log_error(log, self.connection_errors)

        return handle
