"""Experiments and bandits through the whole yard: arms, an early end, odds, and what a replay vouches for."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from app.core.bandits import Arm
from app.core.errors import UsageError
from app.core.routing import Lane
from app.ledger import experiments, outcomes
from app.ledger.door import Row
from app.ledger.outcomes import Outcome
from app.registry.fleet import FleetFile
from app.services import replaying
from app.services.jobspec import spec_of
from app.services.submitting import Submitter
from tests.integration.commands import Run
from tests.integration.small_yard import SmallYard, vendor

LABELS = ["red", "green", "blue", "white", "black"]
VENDORS = [vendor("good", model="m-good"), vendor("bad", model="m-bad"), vendor("fair", model="m-fair")]
GOOD, BAD = "single-query(models=good/m-good)", "single-query(models=bad/m-bad)"


def open_yard(small_yard: SmallYard, items: int, **rates: float) -> tuple[SmallYard, list[Row]]:
    yard = small_yard.open(VENDORS, latency_ms=1.0, chunk_size=5)
    rows = [Row(n, f"i{n}", f"thing {n:05d} lies on the table", LABELS[n % 5]) for n in range(1, items + 1)]
    path = Path(yard.home / "gold.csv")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "gold"), *((row.text, row.gold) for row in rows)])
    errors = {"default": 0.0, **{f"m-{name}": rate for name, rate in rates.items()}}
    yard.weather(kind="gold", file=str(path), error_rate=errors)
    return yard, rows


def submit(yard: SmallYard, rows: list[Row], **spec: object) -> str:
    wanted = spec_of({"task": "classify", "labels": LABELS, **spec})
    return Submitter(yard.engine, FleetFile(yard.path)).submit(wanted, rows).job_id


def choice(yard: SmallYard, job: str) -> dict[str, object]:
    found: dict[str, object] = yard.value("SELECT choice FROM jobs WHERE id = %s", job)
    return found


def test_each_item_is_asked_by_its_arm_until_one_has_won(
    small_yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard, rows = open_yard(small_yard, 900, bad=0.6)
    job = submit(yard, rows, strategy=f"experiment({BAD}, {GOOD}, 0.5)")
    drawn = dict(yard.rows("SELECT lane, count(*) FROM items GROUP BY 1"))
    assert drawn.keys() == {"arm=a", "arm=b"}
    assert abs(drawn["arm=a"] - 450) < 60
    assert yard.value("SELECT recipe FROM jobs") == "single-query@1(attempts=6, models=bad/m-bad)"
    yard.work()
    end = choice(yard, job)
    assert end["winner"] == "b" and "more accurate" in str(end["why"])
    by_recipe = dict(
        yard.rows("SELECT plan ->> 'recipe', sum(cardinality(item_ids)) FROM chunks WHERE job_id = %s GROUP BY 1", job)
    )
    bad = by_recipe["single-query@1(attempts=6, models=bad/m-bad)"]
    assert bad < drawn["arm=a"], "once it is decided the rest goes to the winner"
    assert yard.value("SELECT count(*) FROM decisions WHERE status = 'decided'") == 900
    assert replaying.verify(yard.engine, job) == (900, [])
    yard.books_agree()
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    shown = command("experiment", job)
    assert "winner    arm b" in shown.out and "accuracy" in shown.out
    told = command("experiment", job, "--json").json
    assert (told["winner"], told["accuracy"]["low"] > 0) == ("b", True)
    assert "arm b has won" in command("status", job).out
    assert command("experiment", "job-none").code == 2


def test_a_second_run_draws_the_same_arms(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, 50)
    first = submit(yard, rows, strategy=f"experiment({BAD}, {GOOD}, 0.3)", use_case="desk")
    second = submit(yard, rows, strategy=f"experiment({BAD}, {GOOD}, 0.3)", use_case="desk")
    lanes = [
        yard.rows("SELECT custom_id, lane FROM items WHERE job_id = %s ORDER BY n", job) for job in (first, second)
    ]
    assert lanes[0] == lanes[1]


def test_without_a_truth_nothing_is_decided(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, 300, bad=0.9)
    blind = [Row(row.line, row.custom_id, row.text) for row in rows]
    job = submit(yard, blind, strategy=f"experiment({BAD}, {GOOD}, 0.5)")
    yard.work()
    assert "winner" not in choice(yard, job)
    with yard.engine.begin() as connection:
        found = experiments.trial(connection, job)
    assert {arm: seen.judged.n for arm, seen in found.arms.items()} == {"a": 0, "b": 0}
    assert sum(seen.items for seen in found.arms.values()) == 300


def test_an_altered_arm_is_found_by_a_replay(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, 20)
    job = submit(yard, rows, strategy=f"experiment({BAD}, {GOOD}, 0.5)")
    yard.work()
    yard.change("UPDATE items SET lane = %s WHERE custom_id = 'i7'", str(Lane(arm="z")))
    _, found = replaying.verify(yard.engine, job)
    assert [d.custom_id for d in found] == ["i7"]


def test_a_bandit_learns_which_arm_pays_and_logs_its_odds(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, 400, bad=0.8)
    job = submit(yard, rows[:200], strategy=f"bandit({GOOD}, {BAD})", use_case="desk")
    yard.work()
    later = submit(yard, rows[200:], strategy=f"bandit({GOOD}, {BAD})", use_case="desk")
    yard.work()
    notes = [row[0] for row in yard.rows("SELECT plan -> 'choice' FROM chunks WHERE job_id = %s ORDER BY id", later)]
    assert all(note["propensities"][note["arm"]] == note["propensity"] > 0 for note in notes)
    assert all(note["propensities"]["single-query@1(attempts=6, models=good/m-good)"] > 0.9 for note in notes)
    assert replaying.verify(yard.engine, job)[1] == replaying.verify(yard.engine, later)[1] == []
    with yard.engine.begin() as connection:
        [place] = experiments.places(connection, "desk")
        assert (place.jobs, place.frozen) == (2, False)
        known = experiments.known(connection, place.job, place.team, place.use_case, place.arms)
    good, bad = (known[f"single-query@1(attempts=6, models={name})"] for name in ("good/m-good", "bad/m-bad"))
    assert good.mean > 0.9 > 0.5 > bad.mean
    yard.change("UPDATE chunks SET plan = jsonb_set(plan, '{choice,known}', '{}') WHERE job_id = %s", later)
    assert "does not follow" in replaying.verify(yard.engine, later)[1][0].what


def test_a_frozen_bandit_explores_nothing(small_yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    yard, rows = open_yard(small_yard, 300, bad=0.8)
    submit(yard, rows[:200], strategy=f"bandit({GOOD}, {BAD})", use_case="desk")
    yard.work()
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    assert "is frozen" in command("bandit", "freeze", "desk").err
    job = submit(yard, rows[200:], strategy=f"bandit({GOOD}, {BAD})", use_case="desk")
    yard.work()
    asked = "SELECT DISTINCT deployment FROM attempts WHERE job_id = %s"
    assert yard.rows(asked, job) == [("good/m-good",)]
    assert set(yard.rows("SELECT plan #>> '{choice,propensity}' FROM chunks WHERE job_id = %s", job)) == {("1.0",)}
    [told] = command("bandit", "desk", "--json").json
    assert told["frozen"] is True
    good, bad = sorted(told["arms"], key=lambda arm: -arm["mean"])
    assert (good["propensity"], bad["propensity"]) == (1.0, 0.0)
    assert good["off_policy"]["dr"]["value"] > bad["off_policy"]["dr"]["value"]
    assert "frozen already" in command("bandit", "freeze", "desk").err
    assert "is learning" in command("bandit", "thaw", "desk").err
    assert "learning" in command("bandit").out
    assert "no bandit has learned" in (wrong := command("bandit", "freeze", "dask")).err and wrong.code == 2
    assert command("bandit", "freeze").code == 2
    assert replaying.verify(yard.engine, job) == (100, [])


def test_a_bandit_over_models_falls_back_to_the_others(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, 60)
    submit(yard, rows, strategy="bandit(single-query, models=good/m-good+fair/m-fair)")
    yard.weather({"provider": "good", "kind": "deprecated"}, kind="fixed", text="red")
    yard.work()
    assert yard.value("SELECT count(*) FROM decisions WHERE status = 'decided'") == 60
    assert yard.value("SELECT count(DISTINCT deployment) FROM attempts WHERE state = 'answered'") == 1


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (f"experiment({GOOD}, single-query(models=gone/m), 0.5)", "no deployment 'gone/m'"),
        (f"bandit({GOOD}, guaranteed(against=bad/m-bad))", "guaranteed is no arm"),
        (f"bandit({GOOD}, majority-vote(council=7))", "a quorum of 4 needs as many model families"),
    ],
)
def test_every_arm_must_be_servable(small_yard: SmallYard, strategy: str, message: str) -> None:
    yard = small_yard.open(VENDORS, simulated=False)
    with pytest.raises(UsageError, match=message):
        submit(yard, [Row(1, "a", "text")], strategy=strategy)


def test_outcomes_that_come_late_teach_the_bandit(small_yard: SmallYard) -> None:
    yard, rows = open_yard(small_yard, 60, bad=0.9)
    job = submit(yard, [Row(r.line, r.custom_id, r.text) for r in rows], strategy=f"bandit({GOOD}, {BAD})")
    yard.work()

    def known() -> dict[str, Arm]:
        with yard.engine.begin() as connection:
            [place] = experiments.places(connection, None)
            return experiments.known(connection, place.job, place.team, place.use_case, place.arms)

    assert {(arm.right, arm.wrong) for arm in known().values()} == {(0.0, 0.0)}, "nobody has said anything yet"
    told = [Outcome(row.line, row.custom_id, "label", row.gold) for row in rows]
    assert outcomes.write(yard.engine, job, told, "test").outcomes == 60
    learned = known()
    assert sum(arm.right + arm.wrong for arm in learned.values()) == pytest.approx(60, abs=0.01)
    arms = {name.partition("models=")[2].rstrip(")"): arm for name, arm in learned.items()}
    assert arms["good/m-good"].wrong == 0.0
    assert arms["bad/m-bad"].mean < 0.5
