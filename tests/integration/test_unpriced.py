"""A price that nobody knows, from the call to the bill: null and named everywhere, never zero, and no budget's."""

from __future__ import annotations

import pytest

from app.cli.jobs import _status_words
from app.core.errors import UsageError
from app.ledger import history, reports, scorecard, testimony, traits
from app.services import replaying
from app.services.jobspec import spec_of
from app.services.submitting import Submitter
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}
BUDGET = {"max_cost_usd": 1.0, **SINGLE}
DEAD = {"provider": "x", "kind": "auth"}


def lines(yard: SmallYard, job: str) -> list[tuple[object, ...]]:
    keys = ("status", "flags", "calls", "cost_usd")
    return [tuple(row[key] for key in keys) for _, row in reports.results(yard.engine, job)]


def test_an_unknown_price_is_null_from_the_attempt_to_the_last_report(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", priced=False)])
    job = yard.submit(2, **SINGLE)
    assert lines(yard, job) == [("pending", [], 0, 0.0)] * 2, "nothing was asked yet, and that costs nothing"
    yard.work()
    columns = "input_price_micro, output_price_micro, cost_micro, input_tokens > 0"
    assert yard.rows(f"SELECT {columns} FROM attempts") == [(None, None, None, True)] * 2
    assert lines(yard, job) == [("decided", ["unpriced"], 1, None)] * 2
    found = reports.status(yard.engine, job)
    assert (found.to_json()["cost_usd"], found.to_json()["unpriced_calls"]) == (None, 2)
    assert "cost      unknown for 2 calls\n" in _status_words(found, traits.sorting(yard.engine, job))
    assert (found.progress.cost_micro, found.progress.unpriced) == (0, 2)
    (spent,) = reports.spend(yard.engine, "model")
    assert (spent["calls"], spent["unpriced_calls"], spent["cost_usd"]) == (2, 2, None)
    (score,) = scorecard.scores(yard.engine, job)
    assert (score.calls, score.unpriced, score.cost_micro) == (2, 2, 0)
    story = testimony.explain(yard.engine, job, "i1")
    assert (story["attempts"][0]["cost_usd"], story["decision"]["cost_usd"]) == (None, None)
    assert story["decision"]["flags"] == ["unpriced"]
    views = "SELECT cost_usd FROM v_attempts UNION ALL SELECT cost_usd FROM v_decisions"
    assert {row[0] for row in yard.rows(views)} == {None}
    assert replaying.verify(yard.engine, job) == (2, []), "the flag is the price's, not the verdict's"
    assert history.spent_micro(yard.engine, job) == 0


def test_one_call_of_unknown_cost_makes_the_item_unpriced_and_the_known_sum_stands_beside_it(
    small_yard: SmallYard,
) -> None:
    yard = small_yard.open([vendor("x"), vendor("y", priced=False)])
    job = yard.submit(3, strategy="majority-vote(council=2)")
    yard.work()
    known = yard.value("SELECT sum(cost_micro) FROM attempts WHERE provider = 'x'")
    assert known > 0
    assert lines(yard, job) == [("decided", ["unpriced"], 2, None)] * 3
    found = reports.status(yard.engine, job)
    assert (found.to_json()["cost_usd"], found.unpriced) == (float(known) / 1e6, 3)
    assert ", and 3 calls of unknown cost\n" in _status_words(found, traits.sorting(yard.engine, job))
    spent = {row["provider"]: row for row in reports.spend(yard.engine, "provider")}
    assert list(spent) == ["x", "y"], "dearest first; unknown is not the dearest"
    assert (spent["x"]["unpriced_calls"], spent["y"]["cost_usd"]) == (0, None)


def test_a_call_that_failed_before_a_token_was_counted_costs_nothing_at_any_price(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", priced=False, quality=0.9), vendor("y")])
    yard.weather(DEAD)
    job = yard.submit(1, strategy="ranked-fallback")
    yard.work()
    assert yard.rows("SELECT provider, state, cost_micro > 0, cost_micro IS NULL FROM attempts ORDER BY id") == [
        ("x", "failed", False, False),
        ("y", "answered", True, False),
    ]
    ((status, flags, calls, cost),) = lines(yard, job)
    assert (status, flags, calls) == ("decided", [], 2)
    assert isinstance(cost, float) and cost > 0


def test_a_ping_of_unknown_cost_is_written_like_any_call(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", priced=False)], healthy=False)
    yard.sim.weather({"event": [], "answers": {"kind": "fixed", "text": "OK"}})
    assert len(yard.yard.monitor.check()) == 1
    assert yard.rows("SELECT purpose, state, input_price_micro, cost_micro FROM attempts") == [
        ("ping", "answered", None, None)
    ]


# Budgets


def test_a_job_with_a_budget_goes_to_known_prices_only(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y", priced=False, quality=0.99)])
    yard.submit(2, **BUDGET)
    yard.work()
    assert yard.rows("SELECT DISTINCT provider FROM attempts") == [("x",)]
    assert {row[1] for row in yard.decisions()} == {"decided"}


def test_where_only_unknown_prices_are_left_the_item_is_undecided_and_says_so(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y", priced=False)])
    yard.weather(DEAD)
    job = yard.submit(1, **BUDGET)
    yard.work()
    assert yard.decisions() == [("i1", "undecided", None, "unpriced: auth")]
    assert yard.rows("SELECT DISTINCT provider FROM attempts") == [("x",)]
    assert replaying.verify(yard.engine, job) == (1, [])


def test_a_budget_that_nobody_can_keep_is_refused_at_the_door(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", priced=False), vendor("y", tier="standard")], simulated=False)
    submitter = Submitter(yard.engine, yard.yard.fleet)
    spec = {"task": "classify", "labels": ["a", "b"], **BUDGET}
    assert [d.name for d in submitter.check(spec_of(spec))] == ["y/m"]
    with pytest.raises(UsageError, match=r"2 needs as many .* has 1 for tier cheap, without the 1 of unknown price"):
        submitter.check(spec_of({**spec, "strategy": "majority-vote"}))
    yard.path.write_text(yard.path.read_text().replace("input_price = 1\noutput_price = 2\n", ""))
    with pytest.raises(UsageError, match="nobody knows a price") as caught:
        submitter.check(spec_of(spec))
    assert "input_price and output_price" in (caught.value.hint or "")


def test_a_price_that_goes_missing_on_the_way_stops_the_call(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x")])
    job = yard.submit(1, **BUDGET)
    yard.yard.gates.warm_money(job, 0)
    (ask,) = yard.dispatch()
    yard.write_fleet([vendor("x", priced=False)])
    yard.follow([ask])
    assert yard.decisions() == [("i1", "undecided", None, "no_answer: budget")]
    assert (
        yard.value("SELECT reason FROM votes")
        == "unpriced: nobody knows what a call costs here, and the job has a budget"
    )
    assert yard.sim.calls() == []
