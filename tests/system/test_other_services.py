"""Submitting with nothing but Celery and the broker's URL; and what the door does with what it must not run."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kombu
import pytest
from celery import Celery

from bench.harness import LABELS, Rig
from tests.system.conftest import ITEMS

_GOOD: dict[str, Any] = {
    "task": "classify",
    "labels": list(LABELS),
    "items": [{"custom_id": row.custom_id, "text": row.text} for row in ITEMS[:5]],
}


@pytest.fixture(scope="module")
def elsewhere(yard: Rig) -> Iterator[Celery]:
    """Another service: Celery with its defaults."""
    with Celery("elsewhere", broker=yard.urls.redis_url, backend=yard.urls.redis_url, set_as_current=False) as app:
        yield app
        app.backend.client.close()


def test_it_answers_with_the_job_id_and_the_job_runs(yard: Rig, elsewhere: Celery) -> None:
    job = elsewhere.send_task("switchyard.submit", kwargs=_GOOD | {"team": "mail"}).get(timeout=20)
    yard.wait(job, 30)
    assert yard.decided(job) == 5
    assert yard.one("SELECT team FROM jobs WHERE id = %s", (job,)) == "mail"


def test_the_same_key_and_body_is_the_same_job_another_body_is_refused(yard: Rig, elsewhere: Celery) -> None:
    once = _GOOD | {"idempotency_key": "nightly 1"}
    first = elsewhere.send_task("switchyard.submit", kwargs=once).get(timeout=20)
    assert elsewhere.send_task("switchyard.submit", kwargs=once).get(timeout=20) == first
    with pytest.raises(ValueError, match="already belongs"):
        elsewhere.send_task("switchyard.submit", kwargs=once | {"items": once["items"][:4]}).get(timeout=20)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({}, "task"),
        (_GOOD | {"labels": "a,b"}, "labels"),
        (_GOOD | {"labels": ["one"]}, "two labels"),
        (_GOOD | {"priority": "9"}, "priority"),
        (_GOOD | {"api_base": "http://127.0.0.1:1"}, "api_base"),
        (_GOOD | {"stratgy": "majority-vote"}, "strategy"),
        (_GOOD | {"strategy": "majority-vote@9"}, "version"),
        (_GOOD | {"items": []}, "items"),
        (_GOOD | {"items": [{"text": 3}]}, "text"),
        (_GOOD | {"items": [{"text": "a\0b"}]}, "item 1"),
        (_GOOD | {"items": [{"text": "a", "custom_id": "x"}, {"text": "b", "custom_id": "x"}]}, "twice"),
        (_GOOD | {"items": [{"text": "x" * 20_000_001}]}, "MB"),
    ],
)
def test_what_is_malformed_is_refused_with_a_reason_and_nothing_stored(
    yard: Rig, elsewhere: Celery, kwargs: dict[str, Any], said: str
) -> None:
    before = yard.query("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM items)")
    with pytest.raises(ValueError, match="refused") as refusal:
        elsewhere.send_task("switchyard.submit", kwargs=kwargs).get(timeout=20)
    assert said in str(refusal.value)
    assert len(str(refusal.value)) <= 500
    assert yard.query("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM items)") == before


def test_positional_arguments_are_refused(elsewhere: Celery) -> None:
    with pytest.raises(ValueError, match="keyword arguments only"):
        elsewhere.send_task("switchyard.submit", args=[1]).get(timeout=20)


def test_outcomes_come_by_message_too_and_a_malformed_one_is_refused(yard: Rig, elsewhere: Celery) -> None:
    job = elsewhere.send_task("switchyard.submit", kwargs=_GOOD).get(timeout=20)
    yard.wait(job, 60)
    names = [row.custom_id for row in ITEMS[:5]]
    told = {"job": job, "outcomes": [{"custom_id": name, "outcome": "accepted"} for name in names]}
    assert elsewhere.send_task("switchyard.outcome", kwargs=told).get(timeout=20) == 5
    for kwargs, said in (
        ({"job": job, "custom_id": names[0], "outcome": "perhaps"}, "neither accepted nor rejected"),
        ({"job": "job-gone", "custom_id": names[0], "outcome": "accepted"}, "no job"),
        ({"job": job, "outcomes": [{"custom_id": 1, "outcome": "accepted"}]}, "custom_id"),
        ({"job": job}, "give custom_id and outcome"),
    ):
        with pytest.raises(ValueError, match="refused") as refusal:
            elsewhere.send_task("switchyard.outcome", kwargs=kwargs).get(timeout=20)
        assert said in str(refusal.value)
    assert yard.one("SELECT count(*) FROM outcomes WHERE job_id = %s", (job,)) == 5
    elsewhere.send_task("switchyard.learn", queue="control")
    yard.until(lambda: yard.one("SELECT count(*) FROM schooled"), 30, "learning")


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("queue", ["celery", "control", "provider.y0"])
def test_forged_messages_are_never_run_and_the_worker_lives_on(
    yard: Rig, elsewhere: Celery, tmp_path: Path, queue: str
) -> None:
    ran = tmp_path / "ran"
    headers = {"lang": "py", "task": "switchyard.submit", "id": "f" * 8, "argsrepr": "", "kwargsrepr": ""}
    forged: list[tuple[bytes | str, str, str, dict[str, Any]]] = [
        (pickle.dumps(((), {"x": _Evil(ran)}, {})), "application/x-python-serialize", "binary", headers),
        (pickle.dumps(_Evil(ran)), "application/json", "utf-8", headers),
        ("not json", "application/json", "utf-8", headers),
        ("[[], {}, {}]", "application/json", "utf-8", {}),
        ("[1, 2]", "application/json", "utf-8", headers),
        ("[[], [], []]", "application/json", "utf-8", headers),
        ("[[], {}, {}]", "application/json", "utf-8", headers | {"task": "os.system"}),
        ("[[\"x\"], {}, {}]", "application/json", "utf-8", headers | {"task": "switchyard.settle"}),
        ("[[], {\"y\": 1}, {}]", "application/json", "utf-8", headers | {"task": "switchyard.dispatch"}),
        ("[[\"1; drop table jobs\"], {}, {}]", "application/json", "utf-8", headers | {"task": "ask.y0"}),
        ("[[], {}, {}]", "application/json", "utf-8", headers | {"task": ["a"]}),
    ]  # fmt: skip
    with kombu.Connection(yard.urls.redis_url) as connection, connection.SimpleQueue(queue) as simple:
        for body, content_type, encoding, head in forged:
            simple.producer.publish(
                body, content_type=content_type, content_encoding=encoding, headers=head, routing_key=queue
            )
    job = elsewhere.send_task("switchyard.submit", kwargs=_GOOD).get(timeout=20)
    yard.wait(job, 60)
    assert not ran.exists()
    assert all(yard.alive(name) for name in yard.children)
