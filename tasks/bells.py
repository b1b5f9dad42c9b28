"""The bells: each parses ids, calls one service, rings what follows. None ever raises for what happened outside.

A header of a chord that raises or vanishes would hang it; the sweep would find the chunk, but later.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import Task
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from app.core.errors import ServiceMissing, SwitchyardError
from app.ledger import editions
from app.ledger.settling import RungAsk
from app.services.outcomes import Outcomes
from app.services.submitting import Submitter
from tasks import rings
from tasks.app import app
from tasks.process import process

log = structlog.get_logger(__name__)

_AWAY = (DBAPIError, RedisError, ServiceMissing, OSError)
_REFUSAL_CHARS = 500


def ask(ask_id: int) -> None:
    """``ask.<provider>``: make the calls of one ask."""
    try:
        asked = process.yard.asker.ask(int(ask_id), rings.ring_settle)
        if asked is None:
            return
        if asked.handed_back:
            rings.ring_ask(RungAsk(int(ask_id), asked.chunk_id, asked.provider))
        elif asked.rings > 1:
            rings.ring_settle(asked.chunk_id)
    except _AWAY as error:
        log.warning("a service is away", action="ask.away", ask=ask_id, error=type(error).__name__)
    except Exception:
        log.exception("ask failed", action="ask.bug", ask=ask_id)


def register_ask(provider: str, rate_limit: str | None = None) -> Task:
    """Make ``ask.<provider>`` known to this process's application. ``rate_limit``: the outer fuse, in messages."""
    name = f"ask.{provider}"
    if name in app.tasks:
        app.tasks[name].rate_limit = rate_limit
        return app.tasks[name]
    return app.task(name=name, rate_limit=rate_limit)(ask)


@app.task(name="switchyard.settle")
def settle(chunk_id: int) -> None:
    """Fold a chunk; ring its next wave, and dispatch where a track has room again."""
    try:
        settled = process.yard.settler.settle(int(chunk_id))
        rings.ring_wave(settled.wave)
        for waiting in settled.waiting:
            rings.ring_settle(waiting)
        if settled.decided:
            rings.ring_dispatch(process.yard.redis)
        if settled.job_done:
            log.info("job done", action="job.done", job=settled.job_done)
            _tell_press()
    except _AWAY as error:
        log.warning("a service is away", action="settle.away", chunk=chunk_id, error=type(error).__name__)


def _tell_press() -> None:
    """A job is done: it may be the step that an edition waits for. Costs a look into an index that is nearly empty."""
    if editions.making(process.yard.engine):
        rings.ring_press(process.yard.redis)


@app.task(name="switchyard.dispatch")
def dispatch() -> None:
    try:
        rings.dispatch_begins(process.yard.redis)
        dispatched = process.yard.dispatcher.dispatch()
        rings.ring_waves(dispatched.waves)
        for chunk_id in dispatched.unasked:
            rings.ring_settle(chunk_id)
    except _AWAY as error:
        log.warning("a service is away", action="dispatch.away", error=type(error).__name__)


@app.task(name="switchyard.sweep")
def sweep() -> None:
    try:
        swept, chunks, done = process.yard.sweeper.sweep()
        for lost in swept.rung:
            rings.ring_ask(lost)
        for chunk_id in chunks:
            rings.ring_settle(chunk_id)
        for job_id in done:
            log.info("job done", action="job.done", job=job_id)
        if done:
            _tell_press()
        if process.yard.sweeper.becalmed():
            rings.ring_health_soon(process.yard.redis)
    except _AWAY as error:
        log.warning("a service is away", action="sweep.away", error=type(error).__name__)


@app.task(name="switchyard.drain")
def drain() -> None:
    try:
        for chunk_id in process.yard.sweeper.drain():
            rings.ring_settle(chunk_id)
    except _AWAY as error:
        log.warning("a service is away", action="drain.away", error=type(error).__name__)


@app.task(name="switchyard.health")
def health() -> None:
    try:
        process.yard.monitor.check()
        rings.ring_dispatch(process.yard.redis)
    except _AWAY as error:
        log.warning("a service is away", action="health.away", error=type(error).__name__)


@app.task(name="switchyard.learn")
def learn() -> None:
    """Learn from the votes, true labels and outcomes that have come since."""
    try:
        for course in process.yard.schooling.learn():
            log.info("learned", action="learn.done", team=course.team, use_case=course.use_case, kind=course.kind)
    except _AWAY as error:
        log.warning("a service is away", action="learn.away", error=type(error).__name__)


@app.task(name="switchyard.alerts")
def alerts() -> None:
    """Look at what was measured, then send what is due: also what an earlier look could not."""
    try:
        process.yard.alerting.look()
        process.yard.alerting.deliver()
    except _AWAY as error:
        log.warning("a service is away", action="alerts.away", error=type(error).__name__)


@app.task(name="switchyard.submit", ignore_result=False)
def submit(*args: Any, **kwargs: Any) -> str:
    """The door for other services. Answers with the job id; raises ``ValueError`` with the reason of a refusal.

    The error is a plain one, so that a service without Switchyard installed can read it.
    """
    try:
        if args:
            raise ValueError("refused: switchyard.submit takes keyword arguments only")
        job_id = Submitter(process.yard.engine, process.yard.fleet).submit_message(kwargs)
    except SwitchyardError as error:
        log.warning("submission refused", action="submit.refused", reason=str(error)[:_REFUSAL_CHARS])
        raise ValueError(f"refused: {error}"[:_REFUSAL_CHARS]) from None
    rings.ring_dispatch(process.yard.redis)
    return job_id


@app.task(name="switchyard.outcome", ignore_result=False)
def outcome(*args: Any, **kwargs: Any) -> int:
    """What became of answers, from other services. Answers with how many outcomes were written; raises ``ValueError``
    with the reason of a refusal."""
    try:
        if args:
            raise ValueError("refused: switchyard.outcome takes keyword arguments only")
        return Outcomes(process.yard.engine).take(kwargs)
    except SwitchyardError as error:
        reason = f"{error}; {error.hint}" if error.hint else str(error)
        log.warning("outcome refused", action="outcome.refused", reason=reason[:_REFUSAL_CHARS])
        raise ValueError(f"refused: {reason}"[:_REFUSAL_CHARS]) from None
