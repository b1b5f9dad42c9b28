"""Ringing: ids out, after the commit. A bell that is lost is rung again by the sweep, so none is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import redis
from celery import chord, group
from celery.canvas import Signature

from app.ledger.settling import RungAsk
from app.settings import Settings
from tasks.app import CONTROL, PRESS, app, connect, provider_queue

# A dispatch that is queued and not yet begun sees whatever a second one would see.
_DISPATCH_QUEUED = "bell:dispatch"
_DISPATCH_QUEUED_S = 5
_HEALTH_RUNG = "bell:health"
_HEALTH_RUNG_S = 30
_PRESS_QUEUED = "bell:press"
_PRESS_QUEUED_S = 30


def ring_wave(asks: Sequence[RungAsk]) -> None:
    """One wave of one chunk: its seats fan out as a group, and the chord's body settles what they say."""
    if asks:
        chord(group(_ask(a) for a in asks), app=app)(_settle(asks[0].chunk_id))


def ring_waves(waves: Iterable[Sequence[RungAsk]]) -> None:
    for wave in waves:
        ring_wave(wave)


def ring_ask(ask: RungAsk) -> None:
    """An ask whose first bell was lost, or whose worker was: it rings settle by itself when it is done."""
    _ask(ask).apply_async()


def ring_settle(chunk_id: int) -> None:
    _settle(chunk_id).apply_async()


def ring_dispatch(client: redis.Redis) -> None:
    """At most one waits in the queue."""
    if client.set(_DISPATCH_QUEUED, 1, nx=True, ex=_DISPATCH_QUEUED_S):
        app.send_task("switchyard.dispatch", queue=CONTROL)


def dispatch_begins(client: redis.Redis) -> None:
    client.delete(_DISPATCH_QUEUED)


def ring_health() -> None:
    app.send_task("switchyard.health", queue=CONTROL, expires=60)


def ring_health_soon(client: redis.Redis) -> None:
    """A look beside those of beat, but not one sweep after the other."""
    if client.set(_HEALTH_RUNG, 1, nx=True, ex=_HEALTH_RUNG_S):
        ring_health()


def ring_press(client: redis.Redis) -> None:
    """At most one waits in the queue, beside those of beat."""
    if client.set(_PRESS_QUEUED, 1, nx=True, ex=_PRESS_QUEUED_S):
        app.send_task("switchyard.press", queue=PRESS, expires=_PRESS_QUEUED_S)


def press_begins(client: redis.Redis) -> None:
    client.delete(_PRESS_QUEUED)


def press_unheard(client: redis.Redis) -> bool:
    """Does a bell of ``ring_press`` still wait? Then the press is busy, or nobody serves it."""
    return bool(client.exists(_PRESS_QUEUED))


def ring_from_outside(settings: Settings) -> None:
    """For a door that has just put something into the yard: connect, and ring dispatch."""
    connect(settings)
    assert settings.redis_url is not None
    client = redis.Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=5, socket_timeout=5)
    ring_dispatch(client)


def _ask(ask: RungAsk) -> Signature:
    queue = provider_queue(ask.provider)
    if queue.name not in app.amqp.queues:
        app.amqp.queues.add(queue)  # a provider that came into the fleet file while this process ran
    return app.signature(f"ask.{ask.provider}", args=(ask.id,), queue=queue.name, immutable=True)


def _settle(chunk_id: int) -> Signature:
    return app.signature("switchyard.settle", args=(chunk_id,), queue=CONTROL, immutable=True)
