"""Items of one job that ask the same are asked once and decided together, whatever becomes of the one that is asked."""

from __future__ import annotations

import pytest

from app.core.errors import InputError
from app.ledger import doubles, reports, testimony
from app.ledger.door import change_state, retry_failed
from app.ledger.states import JobState
from app.services import replaying
from tests.integration.commands import Run
from tests.integration.small_yard import SmallYard, vendor

VENDORS = [vendor("one"), vendor("two"), vendor("three")]
SAME = ["the  same\n", " the same ", "the same", "The same", "another"]


@pytest.fixture
def yard(small_yard: SmallYard) -> SmallYard:
    return small_yard.open(VENDORS)


def lines(yard: SmallYard, job: str) -> dict[str, dict[str, object]]:
    return {line["custom_id"]: line for _, line in reports.results(yard.engine, job)}


@pytest.mark.parametrize(("strategy", "votes"), [("single-query", 1), ("majority-vote", 2)])
def test_a_thousand_identical_items_cost_one_call_a_vote(yard: SmallYard, strategy: str, votes: int) -> None:
    job = yard.submit(texts=["the same"] * 1000, strategy=strategy)
    yard.work()
    assert len(yard.sim.calls()) == votes
    found = reports.status(yard.engine, job)
    assert (found.progress.state, found.progress.decided, found.calls, found.votes) == ("done", 1000, votes, votes)
    assert (found.duplicates, found.similar) == (999, 0)
    assert replaying.verify(yard.engine, job) == (1000, [])
    yard.books_agree()


def test_a_double_has_the_decision_of_its_first_at_no_cost(yard: SmallYard) -> None:
    job = yard.submit(texts=SAME, strategy="single-query")
    yard.work()
    found = lines(yard, job)
    assert [found[f"i{n}"]["flags"] for n in range(1, 6)] == [[], ["duplicate"], ["duplicate"], [], []]
    assert [found[f"i{n}"]["calls"] for n in range(1, 6)] == [1, 0, 0, 1, 1]
    assert found["i2"]["cost_usd"] == 0
    assert {line["answer"] for line in found.values()} == {"a"}
    story = testimony.explain(yard.engine, job, "i3")
    assert story["same_as"] == {"custom_id": "i1", "similarity": None}
    assert story["attempts"] == testimony.explain(yard.engine, job, "i1")["attempts"] != []
    assert story["decision"]["calls"] == 0


def test_other_lanes_are_asked_for_themselves(yard: SmallYard) -> None:
    job = yard.submit(texts=["the same"] * 4, strategy="single-query")
    yard.change("UPDATE items SET state = 'decided' WHERE state = 'double'")
    yard.change("UPDATE items SET state = 'ready', same_as = NULL, lane = CASE WHEN n > 2 THEN 'private' ELSE '' END")
    with yard.engine.begin() as connection:
        assert doubles.point_identical(connection, job) == 2
    assert yard.rows("SELECT n FROM items WHERE state = 'ready' ORDER BY n") == [(1,), (3,)]


def test_without_dedupe_every_item_is_asked(yard: SmallYard) -> None:
    yard.submit(texts=["the same"] * 5, strategy="single-query", dedupe=False)
    yard.work()
    assert len(yard.sim.calls()) == 5


def test_similar_items_are_asked_once_on_request(yard: SmallYard) -> None:
    text = "My parcel number 4711 was to be here on Monday and it has not come, where is it now"
    texts = [text, text.replace("Monday", "Sunday"), "Please close my account", text + "!"]
    first = yard.submit(texts=texts, strategy="single-query")
    yard.work()
    assert len(yard.sim.calls()) == 4
    job = yard.submit(texts=[f"again: {t}" for t in texts], strategy="single-query", similar=0.8)
    yard.work()
    assert len(yard.sim.calls()) == 6
    found = lines(yard, job)
    assert [found[f"i{n}"]["flags"] for n in range(1, 5)] == [[], ["similar"], [], ["similar"]]
    likeness = testimony.explain(yard.engine, job, "i2")["same_as"]
    assert likeness["custom_id"] == "i1"
    assert 0.8 <= likeness["similarity"] < 1
    for one in (first, job):
        assert replaying.verify(yard.engine, one) == (4, [])


def test_a_job_too_large_for_similarity_is_refused(yard: SmallYard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubles, "MOST_ITEMS", 3)
    with pytest.raises(InputError, match=r"up to 3 different items .* these are 4"):
        yard.submit(4, similar=0.9)
    assert yard.value("SELECT count(*) FROM jobs") == 0
    yard.submit(texts=["the same"] * 4, similar=0.9)


def test_cancelled_and_overdue_jobs_leave_no_double_behind(yard: SmallYard) -> None:
    cancelled = yard.submit(texts=SAME)
    change_state(yard.engine, cancelled, JobState.CANCELLED)
    late = yard.submit(texts=[f"{text} later" for text in SAME])
    yard.change("UPDATE jobs SET deadline_at = clock_timestamp() WHERE id = %s", late)
    _, _, done = yard.yard.sweeper.sweep()
    assert done == [late]
    for job, reason in ((cancelled, "cancelled"), (late, "overdue")):
        found = lines(yard, job)
        assert {line["reason"] for line in found.values()} == {reason}
        assert sum("duplicate" in str(line["flags"]) for line in found.values()) == 2
        assert reports.progress(yard.engine, job).finished
        assert replaying.verify(yard.engine, job) == (5, [])


def test_a_retry_brings_doubles_back_with_their_first(yard: SmallYard) -> None:
    job = yard.submit(texts=SAME, strategy="single-query")
    change_state(yard.engine, job, JobState.CANCELLED)
    assert retry_failed(yard.engine, job, 3600) == 5
    assert sorted(yard.state("items")) == ["double", "double", "ready", "ready", "ready"]
    yard.work()
    assert len(yard.sim.calls()) == 3
    assert {line["status"] for line in lines(yard, job).values()} == {"decided"}
    assert testimony.explain(yard.engine, job, "i2")["withdrawn"][0]["decision"]["reason"] == "cancelled"
    assert replaying.verify(yard.engine, job) == (5, [])


def test_an_altered_vote_shows_in_the_doubles_too(yard: SmallYard) -> None:
    job = yard.submit(texts=["the same"] * 3, strategy="single-query")
    yard.work()
    yard.change("UPDATE votes SET answer = 'b'")
    assert len(replaying.verify(yard.engine, job)[1]) == 3


def test_commands_tell_of_doubles(yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", yard.urls[1])
    monkeypatch.setenv("SWITCHYARD_FLEET", str(yard.path))
    job = yard.submit(texts=["the same"] * 3, strategy="single-query")
    yard.work()
    assert "doubles   2 identical items" in command("status", job).out
    assert "asks      the same as i1: asked once, for both" in command("explain", job, "i2").out
    shown = command("status", job, "--json").json
    assert (shown["duplicates"], shown["calls"], shown["reused_votes"]) == (2, 1, 0)


def test_a_dry_run_counts_identical_items_once(yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHYARD_FLEET", str(yard.path))
    file = yard.home / "same.csv"
    file.write_text("text\n" + "the same\n" * 999 + "another\n")
    argv = ("submit", str(file), "--labels", "a,b", "--strategy", "single-query", "--dry-run")
    shown = command(*argv, "--json").json
    assert (shown["items"], shown["identical"], shown["calls"]) == (1000, 998, [2, 2])
    assert "items     1,000, 998 identical to others" in command(*argv).out
    assert command(*argv, "--no-dedupe", "--json").json["calls"] == [1000, 1000]


def test_options_that_contradict_each_other_are_refused(
    yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_FLEET", str(yard.path))
    file = yard.home / "one.csv"
    file.write_text("text\nthe same\n")
    argv = ("submit", str(file), "--labels", "a,b", "--dry-run")
    assert "without dedupe every item is asked anew" in command(*argv, "--no-dedupe", "--reuse-votes", "30d").err
    assert "'soon' is not a time of up to a year" in command(*argv, "--reuse-votes", "soon").err
    assert "similar" in command(*argv, "--similar", "0.5").err
    assert command(*argv, "--similar", "0.9", "--reuse-votes", "1d12h").code == 0
