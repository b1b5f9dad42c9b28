"""A bulk job from the yard to its decisions, on real workers in processes of their own."""

from __future__ import annotations

import pytest

from app.core import recipe as recipes
from app.services import replaying, whatif
from bench import audit
from bench.harness import Rig
from tests.system.conftest import ITEMS

_COUNT = 200


@pytest.fixture(scope="module")
def job(yard: Rig) -> str:
    job = yard.submit(ITEMS[:_COUNT], strategy="majority-vote")
    yard.wait(job, 60)
    return job


def test_every_item_has_one_decision_and_nothing_is_under_way(yard: Rig, job: str) -> None:
    assert audit.decisions(yard, job, _COUNT) == []
    assert yard.one("SELECT count(*) FROM decisions WHERE job_id = %s AND status = 'decided'", (job,)) == _COUNT


def test_a_third_voice_is_asked_only_where_two_differ(yard: Rig, job: str) -> None:
    differ = yard.query(
        "SELECT d.votes, d.calls, (SELECT count(DISTINCT answer) FROM (SELECT answer FROM votes v"
        " WHERE v.item_id = d.item_id ORDER BY cast_at, seat LIMIT 2) AS two) FROM decisions d WHERE job_id = %s",
        (job,),
    )
    assert {(votes, calls) for votes, calls, labels in differ if labels == 1} == {(2, 2)}
    assert {(votes, calls) for votes, calls, labels in differ if labels == 2} == {(3, 3)}


def test_the_vote_is_better_than_one_voice(yard: Rig, job: str) -> None:
    right = yard.one(
        "SELECT avg((d.answer = i.gold)::int) FROM decisions d JOIN items i ON i.id = d.item_id WHERE d.job_id = %s",
        (job,),
    )
    alone = yard.one(
        "SELECT avg((v.answer = i.gold)::int) FROM votes v JOIN items i ON i.id = v.item_id WHERE i.job_id = %s", (job,)
    )
    assert alone < right


def test_books_and_ledger_agree_to_the_last_token(yard: Rig, job: str) -> None:
    balance = audit.balance(yard, yard.simulator.calls())
    assert balance.violations == ()
    assert balance.calls == balance.attempts
    assert balance.ledger_tokens == balance.book_tokens > 0
    assert balance.ledger_micro == balance.book_micro > 0
    assert audit.paid_twice(yard) == []
    assert yard.simulator.books()["totals"]["refused"] == 0


def test_the_audit_sees_a_token_too_many_and_a_call_too_many(yard: Rig, job: str) -> None:
    """The ledger refuses to be altered, so the books are."""
    *calls, last = yard.simulator.calls()
    other = {**last, "completion_tokens": last["completion_tokens"] + 1}
    assert [v.partition(" ")[0] for v in audit.balance(yard, [*calls, other]).violations] == [last["request_ref"]]
    stranger = {**last, "request_ref": "sy-0"}
    assert "'sy-0' is in the books, not in the ledger" in audit.balance(yard, [*calls, last, stranger]).violations
    assert f"{last['request_ref']}: 2 calls in the books" in audit.balance(yard, [*calls, last, last]).violations
    assert any("which has no such call" in violation for violation in audit.balance(yard, calls).violations)


def test_replay_agrees_until_a_vote_is_altered(yard: Rig, job: str) -> None:
    assert replaying.verify(yard.engine, job) == (_COUNT, [])
    item, seat, custom_id, answer = yard.query(
        "SELECT v.item_id, v.seat, i.custom_id, v.answer FROM votes v JOIN items i ON i.id = v.item_id"
        " WHERE i.job_id = %s ORDER BY i.n DESC LIMIT 1",
        (job,),
    )[0]
    with yard.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE votes SET answer = %s WHERE item_id = %s AND seat = %s",
            ("other" if answer != "other" else "billing", item, seat),
        )
    checked, differences = replaying.verify(yard.engine, job)
    assert checked == _COUNT
    assert [difference.custom_id for difference in differences] == [custom_id]
    with yard.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE votes SET answer = %s WHERE item_id = %s AND seat = %s", (answer, item, seat)
        )
    assert replaying.verify(yard.engine, job) == (_COUNT, [])


def test_another_recipe_is_tallied_without_a_call(yard: Rig, job: str) -> None:
    before = yard.simulator.books()["calls"]
    again = whatif.under(yard.engine, job, recipes.parse("single-query"))
    assert (again.items, again.unknown) == (_COUNT, 0)
    assert 0 < again.changed < _COUNT / 4
    assert yard.simulator.books()["calls"] == before
