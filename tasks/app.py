"""The Celery application and its settings. Where the reasons are not plain, they stand beside each line."""

from __future__ import annotations

from celery import Celery
from kombu.entity import Queue

from app.core.errors import ServiceMissing
from app.settings import Settings
from beat_schedule import schedule

CONTROL, LEDGER, PRESS = "control", "ledger", "press"
# Where another service's plain ``send_task`` ends up if it names no queue.
FOREIGN = "celery"

app = Celery("switchyard", set_as_current=True)


def provider_queue(provider: str) -> Queue:
    return Queue(f"provider.{provider}", routing_key=f"provider.{provider}")


def connect(settings: Settings) -> Celery:
    """Point the application at its broker. Opens no connection: safe before a fork."""
    if settings.broker is None or settings.redis_url is None:
        raise ServiceMissing("no broker", hint="set SWITCHYARD_REDIS_URL, or run switchyard up")
    broker, redis_url = settings.broker.get_secret_value(), settings.redis_url.get_secret_value()
    # Longer than any chunk may be held: Celery never renews it, and a message that comes back does no harm.
    visibility_s = 900
    on_redis = broker.startswith(("redis", "unix", "rediss"))
    app.conf.update(
        broker_url=_celery_url(broker),
        result_backend=_celery_url(redis_url),
        broker_transport_options={
            "visibility_timeout": visibility_s,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": not redis_url.startswith("unix"),
            "health_check_interval": 25,
        }
        if on_redis
        else {},
        result_backend_transport_options={"visibility_timeout": visibility_s},
        visibility_timeout=visibility_s,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,  # chords count their headers all the same; results are rows in the ledger
        result_expires=600,
        result_chord_expires=6 * 3600,
        result_backend_thread_safe=True,
        worker_prefetch_multiplier=1,
        worker_deduplicate_successful_tasks=False,  # it may skip counting a chord's header
        worker_send_task_events=False,  # Flower switches events on where it runs; they cost a worker a tenth
        worker_enable_remote_control=True,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_create_missing_queues=False,
        task_default_queue=CONTROL,
        task_queues=[Queue(CONTROL), Queue(LEDGER), Queue(PRESS), Queue(FOREIGN)],
        timezone="UTC",
        enable_utc=True,
        beat_schedule=schedule(settings),
        # In memory: a beat that keeps its clock in Redis falls silent when Redis comes back empty.
        beat_scheduler="celery.beat:Scheduler",
        beat_max_loop_interval=1,
        worker_redirect_stdouts=False,
        worker_consumer="tasks.consumer:Unshaken",
    )
    return app


def _celery_url(url: str) -> str:
    """Celery spells Redis over a Unix socket in its own way."""
    if url.startswith("unix://"):
        path, _, query = url.removeprefix("unix://").partition("?")
        db = query.removeprefix("db=") or "0"
        return f"redis+socket://{path}?virtual_host={db}"
    return url
