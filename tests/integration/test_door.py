"""Submitting into a real Postgres: all of a job or nothing of it, by every door."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from app.core.errors import Conflict, InputError, RecipeError, UsageError
from app.ledger.door import Row
from app.registry.fleet import FleetFile
from app.services.intake import read
from app.services.jobspec import MAX_MESSAGE_BYTES, spec_of
from app.services.rows import Columns
from app.services.submitting import Submitter

FLEET = """\
[[provider]]
name = "one"
protocol = "openai"
base_url = "http://127.0.0.1:9/one/v1"
rpm = 60

[[provider.model]]
id = "small"
tier = "cheap"
family = "s"
context_window = 8000
max_output = 1000
input_price = 0.1
output_price = 0.2

[[provider.model]]
id = "large"
tier = "standard"
family = "l"
context_window = 8000
max_output = 1000
"""

CLASSIFY: dict[str, Any] = {"task": "classify", "labels": ["a", "b"]}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def submitter(engine: Engine, tmp_path: Path) -> Submitter:
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET)
    return Submitter(engine, FleetFile(path))


def stored(engine: Engine) -> tuple[int, int]:
    """(jobs, items) in the ledger."""
    with engine.begin() as connection:
        row = connection.exec_driver_sql("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM items)").one()
    return row[0], row[1]


def some(*texts: str) -> list[Row]:
    return [Row(n + 1, f"id-{n}", text) for n, text in enumerate(texts, 1)]


def test_items_arrive_byte_for_byte(submitter: Submitter, engine: Engine) -> None:
    texts = ["plain", "tab\tnew\nline\rback\\slash \\N \\. \\t", "\U0001f600 ü \u2028", "\\.", "\\N", " "]
    given = [Row(n, f"{text}!", text, None if n % 2 else "a") for n, text in enumerate(texts, 1)]
    done = submitter.submit(spec_of(CLASSIFY), given)
    assert done.items == len(texts)
    assert not done.existing
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT n, custom_id, text, gold FROM items ORDER BY n").all()
        job = connection.exec_driver_sql("SELECT id, recipe, items, has_gold, state FROM jobs").one()
    assert [tuple(row) for row in found] == [(r.line, r.custom_id, r.text, r.gold) for r in given]
    assert tuple(job) == (
        done.job_id, "majority-vote@1(council=3, quorum=2, full=false, attempts=9)", len(texts), True, "running",
    )  # fmt: skip
    assert done.job_id.startswith("job-")


def test_the_same_key_and_body_is_the_same_job(submitter: Submitter, engine: Engine) -> None:
    spec = spec_of({**CLASSIFY, "idempotency_key": "k", "team": "t"})
    first = submitter.submit(spec, some("x", "y"))
    again = submitter.submit(spec, some("x", "y"))
    assert (again.job_id, again.items, again.existing) == (first.job_id, 2, True)
    for other, rows in (
        (spec, some("x", "z")),
        (spec, some("x")),
        (spec_of({**CLASSIFY, "idempotency_key": "k", "team": "t", "priority": 1}), some("x", "y")),
    ):
        with pytest.raises(Conflict, match=first.job_id):
            submitter.submit(other, rows)
    assert stored(engine) == (1, 2)
    elsewhere = spec_of({**CLASSIFY, "idempotency_key": "k", "team": "other"})
    assert submitter.submit(elsewhere, some("x")).job_id != first.job_id


def test_one_key_submitted_at_once_by_several_is_one_job(submitter: Submitter, engine: Engine) -> None:
    spec = spec_of({**CLASSIFY, "idempotency_key": "k"})
    jobs: list[str] = []
    start = threading.Barrier(4)

    def submit() -> None:
        start.wait()
        jobs.append(submitter.submit(spec, some(*"abcdef")).job_id)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == 4
    assert len(set(jobs)) == 1
    assert stored(engine) == (1, 6)


def test_a_repeated_id_is_named_by_its_line_and_nothing_stays(submitter: Submitter, engine: Engine) -> None:
    data = 'id,text\n1,a\n2,"b\nb"\n1,c\n'
    with pytest.raises(InputError, match=r"line 5: the id '1' appears twice"):
        submitter.submit(spec_of(CLASSIFY), read(io.BytesIO(data.encode()), Columns()))
    assert stored(engine) == (0, 0)
    dropped: list[int] = []
    done = submitter.submit(
        spec_of(CLASSIFY), read(io.BytesIO(data.encode()), Columns()), skip_duplicates=lambda: dropped.append(1)
    )
    assert (done.items, len(dropped)) == (2, 1)
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT text FROM items ORDER BY n").scalars().all() == ["a", "b\nb"]


def test_nothing_is_half_stored_after_a_wrong_row_far_down(submitter: Submitter, engine: Engine) -> None:
    data = "text\n" + "fine\n" * 30_000 + '"never closed'
    with pytest.raises(InputError, match="line 30002"):
        submitter.submit(spec_of(CLASSIFY), read(io.BytesIO(data.encode()), Columns()))
    with pytest.raises(InputError, match="no items"):
        submitter.submit(spec_of(CLASSIFY), [])
    assert stored(engine) == (0, 0)
    bad: list[int] = []
    rows = read(io.BytesIO(data.encode()), Columns(), on_bad=lambda line, _: bad.append(line))
    assert submitter.submit(spec_of(CLASSIFY), rows).items == 30_000
    assert bad == [30_002]


def test_a_hundred_thousand_lines_go_in_within_seconds(submitter: Submitter, engine: Engine) -> None:
    data = "text,y\n" + "".join(f"How do I locate my card number {i}?,a\n" for i in range(100_000))
    began = time.perf_counter()
    spec = spec_of(CLASSIFY)
    assert (
        submitter.submit(spec, read(io.BytesIO(data.encode()), Columns(gold="y", labels=spec.labels))).items == 100_000
    )
    # To reach: 3 s. This machine may be busy with other tests.
    assert time.perf_counter() - began < 12


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tier": "complex"}, "tier: none is complex or above"),
        ({"tier": "private"}, "privacy: .* local = true"),
        ({"task": "extract", "labels": [], "schema": {"type": "object"}}, "capabilities: .* json"),
        ({"council": 5}, "quorum of 3 needs as many model families, and the fleet has 2"),
        ({"strategy": "majority"}, "no strategy 'majority'"),
        ({"labels": ["a"]}, "at least two labels"),
        ({"labels": ["a", "a"]}, "given twice"),
        ({"labels": ["a", "b\n"]}, "one line"),
        ({"task": "generate"}, "labels are for classify"),
        ({"task": "extract", "labels": [], "schema": {"type": "strnig"}}, "did you mean 'string'"),
        (
            {"task": "extract", "labels": [], "schema": {"properties": {"a": {"required": 1}}}},
            r"properties\.a\.required",
        ),
        ({"task": "extract", "labels": [], "schema": {"title": "\0"}}, "NUL"),
        ({"prompt": "a\0b"}, "NUL"),
        ({"deadline_s": float("nan")}, "deadline_s"),
        ({"max_cost_usd": -1.0}, "max_cost_usd"),
        ({"priority": 101}, "priority"),
        ({"team": "a\nb"}, "team"),
        ({"tea": "x"}, "did you mean 'team'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_stored(
    submitter: Submitter, engine: Engine, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        submitter.submit(spec_of({**CLASSIFY, **fields}), some("x"))
    assert "\n" not in str(caught.value)
    assert stored(engine) == (0, 0)


def test_a_recipe_error_keeps_its_hint(submitter: Submitter) -> None:
    with pytest.raises(RecipeError) as caught:
        submitter.check(spec_of({**CLASSIFY, "strategy": "majority-vot"}))
    assert caught.value.hint == "did you mean 'majority-vote'?"


def test_an_estimate_says_calls_money_and_time(submitter: Submitter) -> None:
    made = submitter.estimate(
        spec_of({**CLASSIFY, "council": 2}), some(*(f"{n:03d} " + "word " * 20 for n in range(600)))
    )
    assert (made.items, made.calls, made.deployments, made.unpriced) == (600, (1200, 1200), 2, 1)
    assert 0 < made.cost_usd[0] <= made.cost_usd[1]
    # 1,200 calls at one account of 60 a minute, the first 60 at once: the twentieth window opens after 19 minutes.
    assert made.finish_s == (pytest.approx(19 * 60, abs=1), pytest.approx(19 * 60, abs=1))


def message(**more: Any) -> dict[str, Any]:
    return {**CLASSIFY, "items": [{"custom_id": "x", "text": "hello", "gold": "a"}, {"text": "you"}], **more}


def test_a_message_from_another_service(submitter: Submitter, engine: Engine) -> None:
    job_id = submitter.submit_message(message(team="news", idempotency_key="m1"))
    assert submitter.submit_message(message(team="news", idempotency_key="m1")) == job_id
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT custom_id, text, gold FROM items ORDER BY n").all()
    assert [tuple(row) for row in found] == [("x", "hello", "a"), ("2", "you", None)]


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        (None, "dictionary"),
        ([], "dictionary"),
        ({}, "'task': Field required"),
        ({1: 2}, "."),
        (message(items=[]), "'items'"),
        (message(items="x"), "'items'"),
        (message(items=[{"text": 5}]), r"'items\.0\.text'"),
        (message(items=[{"text": "a", "txt": "b"}]), "did you mean 'text'"),
        (message(items=[{"text": " "}]), "item 1: the text is empty"),
        (message(items=[{"text": "a", "gold": "c"}]), "item 1: the gold label 'c'"),
        (message(items=[{"text": "a", "custom_id": "1"}, {"text": "b", "custom_id": "1"}]), "'1' appears twice"),
        (message(items=[{"text": "a\0"}]), "NUL"),
        (message(items=[{"text": "\ud800"}]), "surrogate"),
        (message(items=[{"text": "a"}] * 50_001), "50000"),
        (message(items=[{"text": "x" * 1_000_000}] * (MAX_MESSAGE_BYTES // 1_000_000 + 1)), "20 MB"),
        (message(council="3"), "'council'"),
        (message(full_council=1), "'full_council'"),
        (message(callbacks=[]), "'callbacks': there is no such field"),
        (message(task="pickle"), "'task'"),
    ],
)
def test_malformed_messages_are_refused_in_one_line(
    submitter: Submitter, engine: Engine, kwargs: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        submitter.submit_message(kwargs)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert stored(engine) == (0, 0)


JUNK: list[Any] = [
    None, True, -1, 0, 3, 2**80, 1.5, float("nan"), float("inf"), "", "a", "\0", "\ud800", "x" * 5000, [], [None], {},
    {"a": 1}, {"type": ["x"]}, [["a"]], ["a", "b"], [{"text": "t"}], {"properties": {"a": 3}}, "majority-vote@9", "(",
]  # fmt: skip


def test_two_hundred_fuzzed_messages_are_stored_whole_or_refused(submitter: Submitter, engine: Engine) -> None:
    rng = random.Random(11)
    jobs, items, refused = 0, 0, 0
    names = ["task", "labels", "schema", "prompt", "strategy", "council", "full_council", "tier", "team", "use_case",
             "deadline_s", "priority", "max_cost_usd", "idempotency_key", "items", "sceham", "pack"]  # fmt: skip
    for _ in range(200):
        kwargs = message()
        for _ in range(rng.randint(1, 2)):
            if rng.random() < 0.3:
                kwargs["items"] = [*kwargs["items"], {rng.choice(["text", "custom_id", "gold"]): rng.choice(JUNK)}]
            else:
                kwargs[rng.choice(names)] = rng.choice(JUNK)
        try:
            submitter.submit_message(kwargs)
        except UsageError as error:
            refused += 1
            assert 0 < len(str(error)) < 400
            assert "\n" not in str(error)
        else:
            jobs += 1
            items += len(kwargs["items"])
        assert stored(engine) == (jobs, items)
    assert refused > 100
    assert jobs > 5
