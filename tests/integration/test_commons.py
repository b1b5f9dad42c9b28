"""Jobs of one team share what they have asked: held against the simulator's own count of calls."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.drills import DRILL
from app.ledger import reports, testimony
from app.ledger.door import change_state
from app.ledger.states import JobState
from app.services import replaying
from tests.integration.commands import Run
from tests.integration.small_yard import SmallYard, vendor

VENDORS = [vendor("one"), vendor("two"), vendor("three")]
DAY = {"reuse_votes_s": 86_400.0}
FIRST = [f"question {n}" for n in range(40)]
HALF = [f"question {n}" for n in range(20, 60)]


@pytest.fixture
def yard(small_yard: SmallYard) -> SmallYard:
    return small_yard.open(VENDORS)


def calls(yard: SmallYard) -> int:
    return len(yard.sim.calls())


def bought(yard: SmallYard, job: str) -> int:
    return reports.status(yard.engine, job).calls


def all_is_well(yard: SmallYard) -> None:
    """Every item of every job is decided, once; every decision replays; every call is in both books, once."""
    for job, items in yard.rows("SELECT id, items FROM jobs"):
        at = reports.progress(yard.engine, job)
        assert (at.state, at.decided) == ("done", items)
        assert replaying.verify(yard.engine, job) == (items, [])
    yard.books_agree()
    assert yard.completed_twice() == []


@pytest.mark.parametrize(("strategy", "votes"), [("single-query", 1), ("majority-vote", 2)])
def test_a_second_job_that_overlaps_the_first_by_half_buys_half(yard: SmallYard, strategy: str, votes: int) -> None:
    first = yard.submit(texts=FIRST, strategy=strategy)
    yard.work()
    assert calls(yard) == 40 * votes
    second = yard.submit(texts=HALF, strategy=strategy, **DAY)
    yard.work()
    assert calls(yard) == 60 * votes
    assert (bought(yard, first), bought(yard, second)) == (40 * votes, 20 * votes)
    status = reports.status(yard.engine, second)
    assert (status.votes, status.reused) == (40 * votes, 20 * votes)
    assert status.reused_micro > 0
    flags = {line["custom_id"]: line["flags"] for _, line in reports.results(yard.engine, second)}
    assert [flags[f"i{n}"] for n in (1, 20, 21, 40)] == [["reused"], ["reused"], [], []]
    all_is_well(yard)


def test_without_being_told_a_job_takes_nothing_from_the_past(yard: SmallYard) -> None:
    for _ in range(2):
        yard.submit(texts=FIRST, strategy="single-query")
        yard.work()
    assert calls(yard) == 80
    yard.change("UPDATE votes SET cast_at = cast_at - interval '2 days'")
    yard.submit(texts=FIRST, strategy="single-query", **DAY)
    yard.work()
    assert calls(yard) == 120, "nor from before its window"


@pytest.mark.parametrize(("strategy", "votes"), [("single-query", 1), ("majority-vote", 2)])
def test_two_jobs_at_once_cost_the_calls_of_one(yard: SmallYard, strategy: str, votes: int) -> None:
    jobs = [yard.submit(texts=FIRST, strategy=strategy) for _ in range(2)]
    yard.work()
    assert calls(yard) == 40 * votes
    assert sum(bought(yard, job) for job in jobs) == 40 * votes
    all_is_well(yard)


@pytest.mark.parametrize(
    "other",
    [
        {"team": "another"},
        {"labels": ["a", "c"]},
        {"prompt": "Which of them?"},
        {"task": "generate", "labels": []},
        {"dedupe": False},
    ],
)
def test_another_team_or_another_prompt_pays_itself(yard: SmallYard, other: dict[str, Any]) -> None:
    window = {} if "dedupe" in other else DAY
    for spec in ({}, {**window, **other}):
        yard.submit(texts=FIRST[:5], **{"strategy": "single-query", **spec})
        yard.work()
    yard.submit(texts=FIRST[:5], strategy="single-query")
    yard.submit(texts=FIRST[:5], **{"strategy": "single-query", **other})
    yard.work()
    assert calls(yard) == 20
    all_is_well(yard)


def test_an_upgrade_buys_only_the_votes_that_are_missing(yard: SmallYard) -> None:
    yard.submit(texts=FIRST, strategy="single-query")
    yard.work()
    upgrade = yard.submit(texts=FIRST, strategy="majority-vote", **DAY)
    yard.work()
    assert bought(yard, upgrade) == 40
    assert {line["votes"] for _, line in reports.results(yard.engine, upgrade)} == {2}
    all_is_well(yard)


def test_a_vote_of_one_that_may_not_be_asked_does_not_count(yard: SmallYard) -> None:
    yard.submit(texts=FIRST[:5], strategy="single-query(models=one/m)")
    yard.work()
    yard.submit(texts=FIRST[:5], strategy="single-query(models=two/m)", **DAY)
    yard.work()
    assert calls(yard) == 10
    yard.write_fleet(VENDORS[1:])
    yard.submit(texts=FIRST[:5], strategy="ranked-fallback(models=two/m, council=1)", **DAY)
    yard.work()
    assert calls(yard) == 10, "two has answered"
    all_is_well(yard)


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE votes SET flags = '{trimmed}'",
        "UPDATE votes SET flags = '{suspicious}'",
        "UPDATE votes SET answer = NULL",
        "ALTER TABLE attempts DISABLE TRIGGER USER; UPDATE attempts SET late = true",
        f"ALTER TABLE attempts DISABLE TRIGGER USER; UPDATE attempts SET flags = '{{{DRILL}}}'",
        "UPDATE chunks SET plan = jsonb_set(plan, '{seats,0,3}', '\"judge\"')",
    ],
)
def test_only_a_plain_vote_is_a_vote(yard: SmallYard, spoil: str) -> None:
    yard.submit(texts=FIRST[:3], strategy="single-query(models=one/m)")
    yard.work()
    yard.change(spoil)
    job = yard.submit(texts=FIRST[:3], strategy="single-query(models=one/m)", **DAY)
    yard.work()
    assert bought(yard, job) == 3


def test_a_reused_vote_is_no_source_but_its_own_is(yard: SmallYard) -> None:
    first = yard.submit(texts=FIRST[:3], strategy="single-query")
    yard.work()
    for _ in range(2):
        job = yard.submit(texts=FIRST[:3], strategy="single-query", **DAY)
        yard.work()
        votes = testimony.explain(yard.engine, job, "i1")["votes"]
        assert [vote["reused"]["job"] for vote in votes] == [first]
    assert calls(yard) == 3


def test_doubles_of_both_jobs_are_one_question(yard: SmallYard) -> None:
    yard.submit(texts=["same"] * 4, strategy="single-query")
    yard.submit(texts=["same "] * 4, strategy="single-query")
    yard.work()
    assert calls(yard) == 1
    all_is_well(yard)


@pytest.mark.parametrize("how", ["cancelled", "failed", "paused"])
def test_who_waits_asks_for_itself_where_the_other_comes_to_nothing(yard: SmallYard, how: str) -> None:
    first = yard.submit(texts=FIRST[:3], strategy="single-query(models=one/m)")
    asks = yard.dispatch()
    second = yard.submit(texts=FIRST[:3], strategy="single-query")
    assert yard.dispatch() == [], "it waits for the first"
    assert sorted(yard.state("chunks")) == ["open", "parked"]
    if how == "cancelled":
        change_state(yard.engine, first, JobState.CANCELLED)
    elif how == "paused":
        change_state(yard.engine, first, JobState.PAUSED)
    else:
        yard.weather({"kind": "billing", "provider": "one"}, kind="fixed", text="a")
    yard.follow(asks)
    yard.work()
    at = reports.progress(yard.engine, second)
    assert (at.state, at.decided) == ("done", 3)
    assert bought(yard, second) == (0 if how == "paused" else 3), "what was under way is answered in a pause, too"
    assert replaying.verify(yard.engine, second) == (3, [])


def test_who_waits_past_its_deadline_is_overdue(yard: SmallYard) -> None:
    yard.submit(texts=FIRST[:3], strategy="single-query")
    asks = yard.dispatch()
    second = yard.submit(texts=FIRST[:3], strategy="single-query")
    assert yard.dispatch() == []
    yard.change("UPDATE jobs SET deadline_at = clock_timestamp() WHERE id = %s", second)
    _, chunks, _ = yard.yard.sweeper.sweep()
    yard.follow([ask for chunk in chunks for ask in yard.settle_on(chunk)])
    assert reports.progress(yard.engine, second).undecided == 3
    yard.follow(asks)


def test_a_lost_bell_is_found_by_the_sweep(yard: SmallYard) -> None:
    yard.submit(texts=FIRST[:3], strategy="single-query")
    (ask,) = yard.dispatch()
    second = yard.submit(texts=FIRST[:3], strategy="single-query")
    assert yard.dispatch() == []
    yard.yard.asker.ask(ask.id)
    yard.yard.settler.settle(ask.chunk_id)  # and nobody tells who waits
    yard.change("UPDATE chunks SET wake_at = clock_timestamp() WHERE state = 'parked'")
    _, chunks, _ = yard.yard.sweeper.sweep()
    assert [asks for chunk in chunks for asks in yard.settle_on(chunk)] == []
    assert bought(yard, second) == 0
    all_is_well(yard)


def test_explain_and_status_tell_where_a_vote_came_from(
    yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = yard.submit(texts=FIRST[:3], strategy="single-query")
    yard.work()
    second = yard.submit(texts=FIRST[:3], strategy="majority-vote", **DAY)
    yard.work()
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", yard.urls[1])
    monkeypatch.setenv("SWITCHYARD_FLEET", str(yard.path))
    assert f"reused from {first}, which paid $0.0" in command("explain", second, "i1").out
    reused, own = sorted(testimony.explain(yard.engine, second, "i1")["votes"], key=lambda vote: vote["reused"] is None)
    assert (reused["reused"]["job"], reused["tries"], reused["flags"]) == (first, 0, ["reused"])
    assert own["reused"] is None
    assert "reused    3 votes of other jobs, which paid $0.0" in command("status", second).out
    shown = command("status", second, "--json").json
    assert shown["reused_votes"] == 3
    assert shown["reused_usd"] == pytest.approx(command("status", first, "--json").json["cost_usd"])


def test_packed_jobs_share_with_each_other_but_not_with_those_that_ask_singly(yard: SmallYard) -> None:
    """Another prompt stood around an item that was packed."""
    packed = {"strategy": "single-query", "pack": 10}
    yard.submit(texts=FIRST, **packed)
    yard.work()
    assert calls(yard) == 4
    second = yard.submit(texts=HALF, **packed, **DAY)
    yard.work()
    assert calls(yard) == 6
    assert reports.status(yard.engine, second).reused == 20
    yard.submit(texts=FIRST, strategy="single-query", **DAY)
    yard.work()
    assert calls(yard) == 46
    for job, items in yard.rows("SELECT id, items FROM jobs"):
        assert replaying.verify(yard.engine, job) == (items, [])
    yard.books_agree()


def test_a_private_job_takes_no_vote_from_outside(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("far"), vendor("home", local=True)])
    yard.submit(texts=FIRST[:5], strategy="single-query(models=far/m)")
    yard.work()
    job = yard.submit(texts=FIRST[:5], strategy="single-query", tier="private", **DAY)
    yard.work()
    assert bought(yard, job) == 5
    assert yard.rows("SELECT deployment, count(*) FROM attempts GROUP BY 1 ORDER BY 1") == [("far/m", 5), ("home/m", 5)]


def test_a_chunk_whose_first_bell_was_lost_is_found_by_the_sweep(yard: SmallYard) -> None:
    yard.submit(texts=FIRST[:3], strategy="single-query")
    yard.work()
    yard.submit(texts=FIRST[:3], strategy="majority-vote", **DAY)
    assert len(yard.yard.dispatcher.dispatch().unasked) == 1
    yard.change("UPDATE chunks SET created_at = created_at - interval '1 minute'")
    _, chunks, _ = yard.yard.sweeper.sweep()
    yard.follow([ask for chunk in chunks for ask in yard.settle_on(chunk)])
    assert calls(yard) == 6
    all_is_well(yard)


def test_a_climb_takes_its_cheap_votes_and_leaves_none_of_its_strong_ones(small_yard: SmallYard) -> None:
    """The strong one was told why it was asked: its question was another one."""
    yard = small_yard.open([vendor("low", quality=0.4), vendor("mid", quality=0.5), vendor("top", quality=0.9)])
    answers = {f"{name}/m": answer for name, answer in (("low", "a"), ("mid", "b"), ("top", "a"))}
    climb = {"strategy": "cheap-first(models=low/m+mid/m+top/m)"}
    yard.submit(texts=FIRST[:4], **climb)
    (first, second) = yard.dispatch()
    for ask in (first, second):
        name = yard.value("SELECT deployment FROM asks WHERE id = %s", ask.id)
        yard.weather(kind="fixed", text=answers[name])
        yard.yard.asker.ask(ask.id)
    yard.weather(kind="fixed", text="a")
    yard.follow(yard.settle_on(first.chunk_id))
    assert calls(yard) == 12
    yard.submit(texts=FIRST[:4], strategy="single-query(models=top/m)", **DAY)
    yard.work()
    assert calls(yard) == 16, "the strong one's answer was to another question"
    again = yard.submit(texts=FIRST[:4], **climb, **DAY)
    yard.work()
    assert bought(yard, again) == 4, "only the climb"
    for job, items in yard.rows("SELECT id, items FROM jobs"):
        assert replaying.verify(yard.engine, job) == (items, [])
