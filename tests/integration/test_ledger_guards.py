"""What the database itself refuses: state machines, closed attempts, second votes, second decisions."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from app.ledger.migrate import upgrade
from app.ledger.states import TRANSITIONS

_JOB = (
    "INSERT INTO jobs (id, state, team, use_case, tier, recipe, task, priority, items, has_gold, body_hash,"
    " deadline_at)"
    " VALUES (%s, %s, 't', 'u', 'cheap', 'single-query@1(attempts=6)', '{}', 0, 1, false, '', now()) RETURNING id"
)
_ROW = {
    "items": "INSERT INTO items (job_id, n, custom_id, text, state) VALUES ('job', %s, %s, 'x', %s) RETURNING id",
    "chunks": "INSERT INTO chunks (job_id, plan, item_ids, state) VALUES ('job', '{}', '{}', %s) RETURNING id",
    "asks": "INSERT INTO asks (chunk_id, wave, seat, deployment, provider, item_ids, tries, lease_until, state)"
    " VALUES (%s, 1, 0, 'p/m', 'p', '{}', 1, now(), %s) RETURNING id",
    "attempts": "INSERT INTO attempts (provider, deployment, input_price_micro, output_price_micro, state)"
    " VALUES ('p', 'p/m', 0, 0, %s) RETURNING id",
    "editions": "INSERT INTO editions (paper, kind, date, run, settings, base, opened_at, deadline_at, state)"
    " VALUES ('p', 'daily', '2026-11-20', %s, '{}', '', now(), now(), %s) RETURNING id",
}
_numbers = itertools.count(1)


def sql(connection: Connection, statement: str, *values: Any) -> Any:
    return connection.exec_driver_sql(statement, values or None)


def insert(connection: Connection, table: str, state: str) -> Any:
    """A row in this state; its id."""
    n = next(_numbers)
    if table == "jobs":
        return sql(connection, _JOB, f"job-{n}", state).scalar_one()
    if connection.exec_driver_sql("SELECT count(*) FROM jobs WHERE id = 'job'").scalar_one() == 0:
        sql(connection, _JOB, "job", "running")
    if table == "items":
        return sql(connection, _ROW[table], n, f"c{n}", state).scalar_one()
    if table == "asks":
        return sql(connection, _ROW[table], insert(connection, "chunks", "open"), state).scalar_one()
    if table == "editions":
        return sql(connection, _ROW[table], n, state).scalar_one()
    return sql(connection, _ROW[table], state).scalar_one()


def refused(connection: Connection, act: Callable[[], Any]) -> bool:
    try:
        with connection.begin_nested():
            act()
    except IntegrityError:
        return True
    return False


@pytest.mark.parametrize("table", sorted(TRANSITIONS))
def test_every_transition_is_allowed_or_refused_by_the_database(ledger: Engine, table: str) -> None:
    states, allowed = TRANSITIONS[table]
    went: set[tuple[str, str]] = set()
    with ledger.begin() as connection:
        for old, new in itertools.permutations([state.value for state in states], 2):
            row = insert(connection, table, old)
            change = f"UPDATE {table} SET state = %s WHERE id = %s"
            if not refused(connection, lambda: sql(connection, change, new, row)):  # noqa: B023 - called at once
                went.add((old, new))
            now = sql(connection, f"SELECT state FROM {table} WHERE id = %s", row).scalar_one()
            assert now == (new if (old, new) in allowed else old)
        assert refused(connection, lambda: insert(connection, table, "elsewhere"))
    assert went == allowed


@pytest.mark.parametrize("state", ["answered", "failed", "unsent"])
def test_a_closed_attempt_stays_as_it_is(ledger: Engine, state: str) -> None:
    with ledger.begin() as connection:
        row = insert(connection, "attempts", state)
        for change in ("cost_micro = 5", "text = 'other'", "late = true", "closed_at = now()", f"state = '{state}'"):
            assert refused(connection, lambda: sql(connection, f"UPDATE attempts SET {change} WHERE id = %s", row))  # noqa: B023


def test_an_ambiguous_attempt_may_learn_once_what_it_cost(ledger: Engine) -> None:
    learn = "UPDATE attempts SET late = true, cost_micro = %s WHERE id = %s"
    with ledger.begin() as connection:
        row = insert(connection, "attempts", "ambiguous")
        assert refused(connection, lambda: sql(connection, "UPDATE attempts SET state = 'answered' WHERE id = %s", row))
        assert not refused(connection, lambda: sql(connection, learn, 7, row))
        assert refused(connection, lambda: sql(connection, learn, 8, row))
        assert sql(connection, "SELECT cost_micro FROM attempts WHERE id = %s", row).scalar_one() == 7


def test_an_item_is_decided_once_and_with_an_answer_only_if_it_is_decided(ledger: Engine) -> None:
    decide = (
        "INSERT INTO decisions (item_id, job_id, status, answer, votes, abstentions, calls, cost_micro, latency_ms,"
        " flags, ballots) VALUES (%s, 'job', %s, %s, 1, 0, 1, 0, 0, '{}', '[]')"
    )
    with ledger.begin() as connection:
        assert not refused(connection, lambda: sql(connection, decide, 1, "decided", "a"))
        assert refused(connection, lambda: sql(connection, decide, 1, "decided", "b"))
        assert refused(connection, lambda: sql(connection, decide, 1, "undecided", None))
        for status, answer in (("decided", None), ("undecided", "a"), ("failed", "a"), ("perhaps", None)):
            assert refused(connection, lambda: sql(connection, decide, 2, status, answer)), status  # noqa: B023
        assert not refused(connection, lambda: sql(connection, decide, 2, "failed", None))


def test_a_seat_votes_once_for_an_item_and_never_says_and_fails_at_once(ledger: Engine) -> None:
    cast = "INSERT INTO votes (chunk_id, item_id, seat, answer, failure_kind, tries) VALUES (%s, %s, %s, %s, %s, 1)"
    with ledger.begin() as connection:
        for place in ((1, 1, 0), (1, 1, 1), (1, 2, 0), (2, 1, 0)):
            assert not refused(connection, lambda: sql(connection, cast, *place, "a", None))  # noqa: B023
            assert refused(connection, lambda: sql(connection, cast, *place, "a", None))  # noqa: B023
            assert refused(connection, lambda: sql(connection, cast, *place, None, "timeout"))  # noqa: B023
        assert refused(connection, lambda: sql(connection, cast, 3, 1, 0, "a", "timeout"))
        assert not refused(connection, lambda: sql(connection, cast, 3, 1, 0, None, None)), "an abstention"


def test_an_attempt_of_one_seat_has_each_number_once(ledger: Engine) -> None:
    attempt = (
        "INSERT INTO attempts (item_id, chunk_id, seat, try, provider, deployment, input_price_micro,"
        " output_price_micro) VALUES (1, 1, 0, %s, 'p', 'p/m', 0, 0)"
    )
    with ledger.begin() as connection:
        assert not refused(connection, lambda: sql(connection, attempt, 1))
        assert refused(connection, lambda: sql(connection, attempt, 1))
        assert not refused(connection, lambda: sql(connection, attempt, 2))


_SHAPE = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public'
UNION ALL SELECT event_object_table, trigger_name, action_statement, action_condition, event_manipulation
FROM information_schema.triggers WHERE trigger_schema = 'public'
UNION ALL SELECT tablename, indexname, indexdef, NULL, NULL FROM pg_indexes WHERE schemaname = 'public'
ORDER BY 1, 2, 3
"""


def shape(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(_SHAPE)]


def test_migrating_twice_or_by_several_at_once_is_migrating_once(ledger: Engine, database_url: str) -> None:
    before = shape(ledger)
    upgrade(database_url)
    assert shape(ledger) == before
    with ledger.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    start = threading.Barrier(3)

    def migrate() -> None:
        start.wait()
        upgrade(database_url)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(migrate) for _ in range(3)]:
            done.result()
    assert shape(ledger) == before


VIEWS = {
    "v_attempts": "id job_id custom_id seat try purpose provider deployment outcome failure_kind status latency_ms"
    " input_tokens output_tokens cost_usd started_at closed_at flags late text",
    "v_decisions": "job_id n custom_id status answer gold correct agreement confidence votes abstentions calls cost_usd"
    " latency_ms flags reason decided_at",
    "v_spend": "attempt_id team use_case tier strategy provider model day outcome input_tokens output_tokens"
    " cost_micro",
}


def test_the_views_have_their_columns_and_read_the_ledger(ledger: Engine, worked_job: Callable[..., str]) -> None:
    job = worked_job()
    with ledger.begin() as connection:
        for view, columns in VIEWS.items():
            found = connection.exec_driver_sql(f"SELECT * FROM {view}")
            assert " ".join(found.keys()) == columns
            assert found.all()
        spent = sql(connection, "SELECT sum(cost_micro), sum(input_tokens) FROM v_spend WHERE team = 'news'").one()
        correct = sql(connection, "SELECT custom_id, correct FROM v_decisions WHERE job_id = %s ORDER BY n", job).all()
        ping = sql(connection, "SELECT strategy, team FROM v_spend WHERE strategy = 'ping'").one()
    assert tuple(spent) == (8000, 800)
    assert [tuple(row) for row in correct] == [("agreed", True), ("contested", False), ("lost", None)]
    assert tuple(ping) == ("ping", "-")
