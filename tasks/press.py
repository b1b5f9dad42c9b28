"""The newspaper's bell: open what is due, and go on with whatever is being made."""

from __future__ import annotations

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from app.core.errors import PaperError, ServiceMissing
from app.newspaper.paper import Paper
from app.yard import Yard
from tasks import rings
from tasks.app import app
from tasks.process import process

log = structlog.get_logger(__name__)

AWAY = (DBAPIError, RedisError, ServiceMissing, OSError)


@app.task(name="switchyard.press")
def press() -> None:
    """One look at the editions. Any number of them may be had at once: an edition is made by one at a time."""
    try:
        rings.press_begins(process.yard.redis)
        _look(process.yard, _paper(process.yard))
    except AWAY as error:
        log.warning("a service is away", action="press.away", error=type(error).__name__)
    except Exception:
        log.exception("a look at the editions failed", action="press.bug")


def go_on(yard: Yard) -> None:
    """Bring every unfinished edition on, and open none. Raises what is raised where a service is away."""
    _look(yard, None)


def _look(yard: Yard, paper: Paper | None) -> None:
    base = yard.settings.home if yard.paper is None else yard.paper.base
    if yard.press.look(paper, base).wished:
        rings.ring_dispatch(yard.redis)


def _paper(yard: Yard) -> Paper | None:
    """None where there is none to open editions of; those that are open are made all the same."""
    if yard.paper is None:
        return None
    try:
        return yard.paper.current()
    except PaperError as error:
        log.error("no edition is opened: the newspaper's file is wrong", action="press.paper", said=str(error))
        return None
