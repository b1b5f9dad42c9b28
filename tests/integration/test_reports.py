"""What the ledger tells of a job, and that a replay proves it or finds what was altered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from app.core.errors import NotFound
from app.core.recipe import parse
from app.ledger import reports, testimony
from app.services import replaying, whatif

Make = Callable[..., str]


def test_status_adds_everything_up(ledger: Engine, worked_job: Make) -> None:
    job = worked_job(waiting=2, state="running")
    found = reports.status(ledger, job).to_json()
    want = {
        "id": job, "state": "running", "items": 5, "done": 3, "decided": 2, "undecided": 1, "failed": 0, "pending": 2,
        "votes": 5, "abstentions": 0, "calls": 8, "attempts": {"answered": 5, "failed": 3}, "ambiguous": 0,
        "input_tokens": 800, "output_tokens": 96, "cost_usd": 0.008, "with_gold": 2, "accuracy": 0.5,
        "mean_calls": round(8 / 3, 4), "reasons": {"no_answer: timeout": 1}, "calls_per_s": round(8 / 60, 2),
    }  # fmt: skip
    assert {name: found[name] for name in want} == want
    assert found["started_at"] is not None
    assert found["finished_at"] is None
    at = reports.progress(ledger, job)
    assert (at.pending, at.calls, at.cost_micro, at.finished) == (2, 8, 8000, False)
    assert reports.tokens_per_call(ledger, job) == 112


def test_a_job_is_finished_when_nothing_is_on_its_way(ledger: Engine, worked_job: Make) -> None:
    assert reports.progress(ledger, worked_job("job-a")).finished
    # Cancelled while two items are still on their tracks: they will be decided yet.
    assert not reports.progress(ledger, worked_job("job-b", state="cancelled", waiting=2)).finished
    assert 10 <= reports.progress(ledger, "job-a").elapsed_s < 60


def test_jobs_are_listed_newest_first(ledger: Engine, worked_job: Make) -> None:
    worked_job("job-a")
    worked_job("job-b", state="running", waiting=1)
    assert [(j.id, j.done, j.items) for j in reports.jobs(ledger)] == [("job-b", 3, 4), ("job-a", 3, 3)]
    assert [j.id for j in reports.jobs(ledger, most=1)] == ["job-b"]


def test_results_lines_have_the_contracts_keys_in_order(ledger: Engine, worked_job: Make) -> None:
    job = worked_job(waiting=1, state="running")
    rows = list(reports.results(ledger, job))
    assert [n for n, _ in rows] == [1, 2, 3, 4]
    assert rows[1][1] == {
        "custom_id": "contested", "status": "decided", "answer": "b", "agreement": 0.6667, "confidence": 0.6,
        "strategy": "majority-vote", "flags": ["leaked_reasoning"], "votes": 3, "abstentions": 0, "calls": 3,
        "cost_usd": 0.003, "latency_ms": 500, "reason": None,
    }  # fmt: skip
    assert rows[2][1]["status"] == "undecided"
    assert rows[2][1]["reason"] == "no_answer: timeout"
    assert rows[3][1]["status"] == "pending"
    assert list(rows[3][1]) == list(rows[1][1])
    now = reports.now(ledger)
    assert [n for n, _ in reports.decided_since(ledger, job, now - dt.timedelta(minutes=1))] == [1, 2, 3]
    assert not list(reports.decided_since(ledger, job, now))


def test_explain_tells_the_whole_story(ledger: Engine, worked_job: Make) -> None:
    job = worked_job()
    found = testimony.explain(ledger, job, "contested")
    assert found["text"] == "\x1b[31mtext [bold]of[/] contested"
    assert found["gold"] == "a"
    assert [s["deployment"] for s in found["plan"]["seats"]] == ["groq/small", "groq/mid", "mistral/large"]
    assert [(w["wave"], w["seat"], w["deployment"]) for w in found["waves"]] == [
        (1, 0, "groq/small"), (1, 1, "groq/mid"), (2, 2, "mistral/large"),
    ]  # fmt: skip
    attempt = found["attempts"][0]
    contract = ("deployment", "outcome", "status", "failure_kind", "latency_ms", "input_tokens", "output_tokens",
                "cost_usd", "text", "started_at")  # fmt: skip
    assert [attempt[name] for name in contract[:8]] == ["groq/small", "answered", 200, None, 250, 100, 12, 0.001]
    assert set(contract) <= set(attempt)
    assert [(v["deployment"], v["answer"]) for v in found["votes"]] == [
        ("groq/small", "a"), ("groq/mid", "b"), ("mistral/large", "b"),
    ]  # fmt: skip
    assert found["decision"]["answer"] == "b"
    with pytest.raises(NotFound, match="no item 'none'") as caught:
        testimony.explain(ledger, job, "none")
    assert "'agreed', 'contested'" in str(caught.value.hint)


def test_explain_of_an_item_in_the_yard_and_after_a_retry(ledger: Engine, worked_job: Make) -> None:
    from app.ledger import door

    job = worked_job()
    assert door.retry_failed(ledger, job, 60) == 1
    found = testimony.explain(ledger, job, "lost")
    assert (found["state"], found["plan"], found["decision"]) == ("ready", None, None)
    assert len(found["attempts"]) == 3
    assert found["withdrawn"][0]["decision"]["reason"] == "no_answer: timeout"


@pytest.mark.parametrize(
    ("by", "first"),
    [
        ("model", {"model": "groq/small", "calls": 4, "failed": 1, "input_tokens": 307, "cost_usd": 0.003003}),
        ("provider", {"provider": "groq", "calls": 7}),
        ("team", {"team": "news", "calls": 8, "output_tokens": 96}),
        ("use-case", {"use_case": "desks", "calls": 8}),
        ("tier", {"tier": "cheap", "calls": 8}),
        ("strategy", {"strategy": "majority-vote", "calls": 8}),
        ("day", {"calls": 9, "cost_usd": 0.008003}),
    ],
)
def test_spend_adds_up_whichever_way(ledger: Engine, worked_job: Make, by: str, first: dict[str, object]) -> None:
    worked_job()
    rows = reports.spend(ledger, by)
    assert {name: rows[0][name] for name in first} == first
    assert sum(row["calls"] for row in rows) == 9
    assert round(sum(row["cost_usd"] for row in rows), 9) == 0.008003


def test_an_untouched_job_replays_to_the_same_bytes(ledger: Engine, worked_job: Make) -> None:
    assert replaying.verify(ledger, worked_job()) == (3, [])


@pytest.mark.parametrize(
    ("statement", "custom_id", "what"),
    [
        ("UPDATE votes SET answer = 'b' WHERE seat = 0 AND answer = 'a' AND item_id = %s", "agreed", "groq/small"),
        ("UPDATE votes SET tries = 2 WHERE seat = 2 AND item_id = %s", "contested", "mistral/large"),
        ("DELETE FROM votes WHERE seat = 1 AND item_id = %s", "contested", "groq/mid"),
        ("UPDATE decisions SET answer = 'a' WHERE item_id = %s", "contested", "lead to 'b'"),
        ("UPDATE decisions SET reason = 'x' WHERE item_id = %s", "lost", "lead to None"),
        ("UPDATE decisions SET ballots = '[]' WHERE item_id = %s", "agreed", "votes differ"),
        ("UPDATE decisions SET chunk_id = NULL WHERE item_id = %s", "agreed", "no plan"),
    ],
)
def test_what_was_altered_is_named(ledger: Engine, worked_job: Make, statement: str, custom_id: str, what: str) -> None:
    job = worked_job()
    with ledger.begin() as c:
        item = c.exec_driver_sql("SELECT id FROM items WHERE custom_id = %s", (custom_id,)).scalar_one()
        assert c.exec_driver_sql(statement, (item,)).rowcount == 1
    checked, differences = replaying.verify(ledger, job)
    assert checked == 3
    assert [d.custom_id for d in differences] == [custom_id]
    assert what in differences[0].what


def test_items_that_never_left_the_yard_replay_too(ledger: Engine, worked_job: Make) -> None:
    from app.ledger import door
    from app.ledger.states import JobState

    job = worked_job(state="running", waiting=2)
    door.change_state(ledger, job, JobState.CANCELLED)
    assert reports.progress(ledger, job).finished
    assert replaying.verify(ledger, job) == (5, [])
    with ledger.begin() as c:
        c.exec_driver_sql("UPDATE decisions SET reason = 'done' WHERE reason = 'cancelled' AND calls = 0")
    assert [d.custom_id for d in replaying.verify(ledger, job)[1]] == ["waits-0", "waits-1"]


def test_another_recipe_on_the_same_votes(ledger: Engine, worked_job: Make) -> None:
    made = whatif.under(ledger, worked_job(), parse("single-query"))
    # It would have asked the first seat alone, and that one was right about "contested".
    assert (made.items, made.same, made.changed, made.unknown, made.undecided) == (3, 2, 1, 0, 1)
    assert made.examples == (("contested", "b", "a"),)
    assert (made.accuracy_before, made.accuracy_after) == (0.5, 1.0)
    full = whatif.under(ledger, "job-one", parse("majority-vote(council=3, full=true)"))
    assert full.unknown == 1


def test_a_job_that_is_not_there(ledger: Engine) -> None:
    for ask in (
        lambda: reports.status(ledger, "job-x"),
        lambda: list(reports.results(ledger, "job-x")),
        lambda: testimony.explain(ledger, "job-x", "1"),
        lambda: replaying.verify(ledger, "job-x"),
    ):
        with pytest.raises(NotFound, match="no job 'job-x'"):
            ask()
