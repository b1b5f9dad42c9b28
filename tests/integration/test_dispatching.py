"""What leaves the yard, for whom, and how much of it."""

from __future__ import annotations

import threading
from collections import Counter

from app.ledger import door
from app.ledger import yard as ledger
from app.ledger.states import JobState
from app.services.fleetview import MOST_ASKS
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}


def planned(yard: SmallYard) -> Counter[str]:
    """Team → items of it that have left the yard."""
    rows = yard.rows(
        "SELECT j.team, count(*) FROM items i JOIN jobs j ON j.id = i.job_id WHERE i.state <> 'ready' GROUP BY 1"
    )
    return Counter(dict(rows))


def test_two_teams_share_the_tracks_whoever_came_first_and_however_large_their_jobs(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=600)], chunk_size=10)
    for _ in range(3):
        yard.submit(400, team="early", **SINGLE)
    yard.submit(900, team="late", **SINGLE)
    yard.dispatch()
    shares = planned(yard)
    assert shares["early"] + shares["late"] < 2100, "the tracks are full before the yard is empty"
    assert abs(shares["early"] - shares["late"]) <= 10, shares
    jobs = [count for (count,) in yard.rows("SELECT count(*) FROM chunks GROUP BY job_id ORDER BY job_id")]
    assert len(jobs) == 4, "and of one team's jobs each has its turn"


def test_a_late_team_catches_up(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=600)])
    yard.submit(2000, team="early", **SINGLE)
    asks = yard.dispatch()
    before = planned(yard)["early"]
    yard.submit(500, team="late", **SINGLE)
    assert yard.dispatch() == [], "the tracks are full"
    yard.change("UPDATE asks SET state = 'done' WHERE id <= %s", asks[14].id)
    assert yard.dispatch()
    assert planned(yard)["late"] > 0
    assert planned(yard)["early"] == before, "whoever has less on the tracks comes first"


def test_a_higher_priority_leaves_first(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=60)], chunk_size=10)
    yard.submit(100, team="bulk", **SINGLE)
    yard.submit(1000, team="urgent", priority=5, **SINGLE)
    assert yard.dispatch()
    assert set(planned(yard)) == {"urgent"}


def test_a_queue_is_about_the_horizon_deep_and_no_deeper(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=60), vendor("y", rpm=600)], horizon_s=20.0)
    yard.submit(3000, **SINGLE)
    yard.dispatch()
    queued = dict(yard.rows("SELECT provider, sum(cardinality(item_ids)) FROM asks GROUP BY 1"))
    # One and ten calls a second: twenty seconds of that behind what the open minute lets through, a chunk more at most.
    assert 20 <= queued["x"] <= 60 + 20 + 25
    assert 200 <= queued["y"] <= 600 + 200 + 25
    assert yard.dispatch() == []
    assert yard.value("SELECT count(*) FROM items WHERE state = 'ready'") == 3000 - sum(queued.values())


def test_a_track_with_many_asks_gets_no_more_whatever_its_pace(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")], chunk_size=1)
    yard.submit(2 * MOST_ASKS, **SINGLE)
    assert len(yard.dispatch()) == MOST_ASKS
    assert yard.dispatch() == []
    yard.change("UPDATE asks SET state = 'done' WHERE id IN (SELECT id FROM asks ORDER BY id LIMIT 3)")
    assert len(yard.dispatch()) == 3


def test_an_idle_provider_gets_at_least_one_call(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=1)], horizon_s=1.0)
    yard.submit(10, **SINGLE)
    asks = yard.dispatch()
    assert asks
    assert yard.value("SELECT cardinality(item_ids) FROM asks ORDER BY id LIMIT 1") == 1


def test_one_dispatcher_at_a_time(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    yard.submit(3, **SINGLE)
    with ledger.dispatching(yard.engine) as held:
        assert held is not None
        assert yard.worker().dispatcher.dispatch().waves == []
        assert yard.value("SELECT count(*) FROM chunks") == 0
    assert len(yard.dispatch()) == 1


def test_dispatchers_that_race_claim_each_item_once(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y"), vendor("z")], chunk_size=5)
    yard.submit(60)
    workers = [yard.worker() for _ in range(4)]
    start = threading.Barrier(4)

    def race(n: int) -> None:
        start.wait()
        workers[n].dispatcher.dispatch()

    threads = [threading.Thread(target=race, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yard.dispatch()
    claimed = [item for (ids,) in yard.rows("SELECT item_ids FROM chunks") for item in ids]
    assert len(claimed) == len(set(claimed)) == 60


def test_a_paused_job_stays_in_the_yard(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    job = yard.submit(3, **SINGLE)
    door.change_state(yard.engine, job, JobState.PAUSED)
    assert yard.dispatch() == []
    door.change_state(yard.engine, job, JobState.RUNNING)
    yard.work()
    assert yard.state("jobs") == ["done"]


def test_what_left_before_the_pause_is_finished_and_no_more_leaves(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=10)], horizon_s=1.0, chunk_size=2)
    job = yard.submit(20, **SINGLE)
    asks = yard.dispatch()
    door.change_state(yard.engine, job, JobState.PAUSED)
    yard.follow(asks[:1])
    assert len(yard.decisions()) == yard.value("SELECT cardinality(item_ids) FROM asks WHERE id = %s", asks[0].id)
    assert yard.dispatch() == []
    assert yard.state("jobs") == ["paused"]


def test_only_the_healthy_are_seated(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor(name) for name in ("down", "out", "well", "unknown")], healthy=False)
    yard.healthy("well/m")
    yard.mark("down", "down/m")
    yard.mark("out", "out/m")
    yard.submit(4, **SINGLE)
    yard.dispatch()
    (plan,) = yard.rows("SELECT plan FROM chunks")[0]
    assert [seat[0] for seat in plan["seats"]] == ["well/m"]
    yard.submit(4)
    assert yard.dispatch() != [], "a council that is short of voices starts with those there are"
    # The one nobody knows is seated as soon as a ping has found it well.
    yard.yard.monitor.check()
    yard.submit(1, **SINGLE)
    yard.dispatch()
    (plan,) = yard.rows("SELECT plan FROM chunks ORDER BY id DESC LIMIT 1")[0]
    assert "unknown/m" in {seat[0] for seat in plan["seats"]}


def test_an_open_breaker_is_not_seated(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")])
    yard.yard.breaker.force_open("x/m", 60)
    yard.submit(2, **SINGLE)
    assert {ask.provider for ask in yard.dispatch()} == {"y"}
    (plan,) = yard.rows("SELECT plan FROM chunks")[0]
    assert [seat[0] for seat in plan["seats"]] == ["y/m"]


def test_the_private_tier_goes_to_local_deployments_only(small_yard: SmallYard) -> None:
    yard = small_yard.open(
        [vendor("cloud", quality=1.0), vendor("here", local=True, quality=0.1), vendor("big", tier="complex")]
    )
    yard.submit(3, tier="private", **SINGLE)
    yard.work()
    (plan,) = yard.rows("SELECT plan FROM chunks")[0]
    assert [seat[0] for seat in plan["seats"]] == ["here/m"]
    assert {row["provider"] for row in yard.sim.calls()} == {"here"}


def test_a_private_job_waits_rather_than_leave_the_house(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("cloud"), vendor("here", local=True)])
    yard.weather({"provider": "here", "kind": "deprecated"})
    yard.submit(2, tier="private", **SINGLE)
    yard.work()
    assert {row["provider"] for row in yard.sim.calls()} == {"here"}
    assert [row[1] for row in yard.decisions()] == ["undecided"] * 2


def test_the_lowest_tier_that_will_do(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("c"), vendor("s", tier="standard"), vendor("x", tier="complex")])
    yard.submit(1, tier="standard", **SINGLE)
    yard.dispatch()
    (plan,) = yard.rows("SELECT plan FROM chunks")[0]
    assert [seat[0] for seat in plan["seats"]] == ["s/m"]
