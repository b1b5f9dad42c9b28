"""A job's wishes from the command line to the seats: who is left, who is asked, what is said; and the quotas' plan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.cli.story import story
from app.core.errors import UsageError
from app.gates.limits import Known
from app.ledger import testimony
from app.services.scopes import key_scopes
from tests.integration.commands import Run
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}

FLEET = """\
[balance]
standard = "weighted"

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
input_price = 0.05
output_price = 0.05

[[provider.model]]
id = "large"
tier = "complex"
family = "l"
context_window = 8000
max_output = 1000
quality = 0.9
input_price = 5
output_price = 15

[[provider]]
name = "two"
protocol = "openai"
base_url = "http://127.0.0.1:9/two/v1"

[[provider.model]]
id = "unknown"
tier = "cheap"
family = "u"
context_window = 8000
max_output = 1000
"""


@pytest.fixture
def bare(command: Run, tmp_path: Path) -> Run:
    (tmp_path / "fleet.toml").write_text(FLEET)
    (tmp_path / "in.csv").write_text("text\nhello\n")
    return command


@pytest.fixture
def cli(bare: Run, monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str) -> Run:
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", database_url)
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", redis_url)
    return bare


def dry(run: Run, *options: str) -> Any:
    ran = run("submit", "in.csv", "--dry-run", "--json", *options)
    assert ran.code == 0, ran.err
    return ran.json


# The command line


def test_a_dry_run_says_who_is_left_and_why_others_are_not(bare: Run) -> None:
    everyone = dry(bare)
    assert (everyone["seated"], everyone["in_reserve"]) == (["one/small", "two/unknown"], ["one/large"])
    assert everyone["left_out"] == {}
    found = dry(bare, "--max-call-cost", "0.0001", "--exclude", "two", "--max-cost", "1")
    assert found["seated"] == ["one/small"]
    assert found["left_out"] == {"one/large": ["cost"], "two/unknown": ["excluded", "unpriced"]}
    words = bare("submit", "in.csv", "--dry-run", "--exclude", "two", "--max-call-cost", "0.0001").out
    assert "asked     one/small\n" in words
    assert "left out  cost: one/large\n" in words
    assert "left out  excluded, unpriced: two/unknown\n" in words
    assert "reserve   one/large\n" in bare("submit", "in.csv", "--dry-run").out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--exclude", "on"], "the fleet has no provider or deployment 'on'\n  hint: did you mean 'one'?"),
        (["--exclude", "one", "--exclude", "two"], "excluded: those that otherwise might are excluded (one, two)"),
        (["--max-call-cost", "0.000001"], "cost: an ordinary call costs more than --max-call-cost 0.000001"),
        (["--tier", "complex", "--exclude", "one/large"], "excluded: those that otherwise might are excluded"),
        (["--strategy", "single-query(models=one/smal)"], "no deployment 'one/smal'\n  hint: did you mean 'one/small'"),
        (["--balance", "fair"], "'balance': must be 'soonest-free'"),
        (["--optimise", "speed"], "'optimise': must be 'balanced'"),
        (["--max-latency", "0"], "'max_latency_s': must be greater than or equal to 0.001"),
        (["--max-call-cost", "-1"], "'max_call_cost_usd': must be greater than or equal to 0"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(bare: Run, options: list[str], said: str) -> None:
    ran = bare("submit", "in.csv", "--dry-run", *options)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err and "Traceback" not in ran.err


def test_without_a_yard_no_latency_is_known(bare: Run) -> None:
    ran = bare("submit", "in.csv", "--dry-run", "--max-latency", "0.001")
    assert ran.code == 0
    assert "no latency is known" in ran.err


def test_wishes_are_part_of_what_makes_a_job_the_same(cli: Run) -> None:
    key = ["--idempotency-key", "k", "--json"]
    first = cli("submit", "in.csv", "--exclude", "two", "--exclude", "one/large", "--optimise", "quality", *key)
    assert first.code == 0, first.err
    again = cli("submit", "in.csv", "--exclude", "one/large", "--exclude", "two", "--optimise", "quality", *key)
    assert again.json["job"] == first.json["job"] and again.json["existing"]
    other = cli("submit", "in.csv", "--exclude", "two", "--optimise", "quality", *key)
    assert other.code == 2 and "with another body" in other.err


# In the yard


def asked(yard: SmallYard) -> Counter[str]:
    return Counter(dict(yard.rows("SELECT deployment, sum(cardinality(item_ids)) FROM asks GROUP BY 1")))


def test_whom_a_job_excludes_is_never_asked_not_even_when_all_others_fail(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y"), vendor("z")])
    yard.weather(*({"provider": name, "kind": "auth"} for name in ("x", "y")))
    job = yard.submit(3, exclude=["z"], **SINGLE)
    yard.work()
    assert {row["provider"] for row in yard.sim.calls()} == {"x", "y"}
    assert all(status != "decided" for _, status, _, _ in yard.decisions())
    told = testimony.explain(yard.engine, job, "i1")
    assert told["chosen"]["wishes"] == {"exclude": ["z"]}
    assert "exclude z" in story(told)


def test_a_call_that_turns_out_too_slow_for_the_job_is_waited_for_and_the_job_says_so(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("y")])
    yard.change("UPDATE health SET latency_ms = 2500 WHERE deployment = 'x/m'")
    job = yard.submit(2, max_latency_s=1.0, **SINGLE)
    yard.dispatch()
    assert set(asked(yard)) == {"y/m"}
    yard.change("UPDATE health SET latency_ms = 1500 WHERE deployment = 'y/m'")
    slow = yard.submit(1, texts=["another"], max_latency_s=2.0, **SINGLE)
    with pytest.raises(UsageError, match="latency: a call takes longer than --max-latency 1 "):
        yard.submit(1, max_latency_s=1.0, **SINGLE)
    yard.change("UPDATE health SET latency_ms = 2600")
    assert not [ask for ask in yard.dispatch() if ask.chunk_id > 2]
    outlook = yard.yard.lookout.of_job(slow)
    assert outlook is not None and "the job wants 2,000 at most" in outlook.waiting[0].why
    assert job != slow


def test_the_fleet_file_balances_a_tier_and_the_job_may_want_otherwise(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x", rpm=60), vendor("y", rpm=600), vendor("z", rpm=600)], chunk_size=5)
    yard.path.write_text('[balance]\ncheap = "round-robin"\n\n' + yard.path.read_text())
    yard.submit(30, **SINGLE)
    yard.dispatch()
    assert yard.rows("SELECT deployment, count(*) FROM asks GROUP BY 1 ORDER BY 1") == [
        ("x/m", 2), ("y/m", 2), ("z/m", 2),
    ]  # fmt: skip
    seeds = [seed for (seed,) in yard.rows("SELECT (plan ->> 'seed')::int FROM chunks ORDER BY id")]
    assert len(set(seeds)) == len(seeds), "no two chunks are drawn alike"
    job = yard.submit(5, texts=[f"other {n}" for n in range(5)], balance="latency", **SINGLE)
    yard.change("UPDATE health SET latency_ms = 5 WHERE deployment = 'y/m'")
    yard.dispatch()
    assert yard.rows("SELECT deployment FROM asks JOIN chunks c ON c.id = chunk_id WHERE c.job_id = %s", job) == [
        ("y/m",)
    ]


def test_a_scarce_strong_quota_is_passed_by_for_easy_items_and_shown(
    small_yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = [vendor("strong", rpd=1_000, quality=0.9), vendor("a", rpm=60), vendor("b", rpm=60)]
    yard = small_yard.open(fleet, simulated=False, cold=True)
    current = yard.yard.fleet.current()
    nothing, much = Known(hour=(), month=(0, 0)), Known(hour=(), month=(0, 0), day_calls=990)
    for deployment in current.deployments:
        for scope in (s for of_key in key_scopes(current, deployment) for s in of_key):
            yard.yard.gates.warm(scope, much if scope.name == "provider:strong" else nothing)
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", yard.urls[1])
    monkeypatch.setenv("SWITCHYARD_FLEET", str(yard.path))
    yard.submit(500, **SINGLE)
    (row,) = command("fleet", "--plan", "--json").json
    assert (row["deployment"], row["rule"], row["limit"], row["left"]) == ("strong/m", "rpd", 1_000, 10)
    assert (row["planned"], row["spare"], row["waiting_easy"]) == (True, 0, 500)
    assert 0 < row["kept_for_hard"] <= 10
    shown = command("fleet", "--plan")
    assert "strong/m" in shown.out and "easy first voices pass it by" in shown.out
    assert "2 more may be called and have no quota of a day or month" in shown.err
    assert command("fleet", "strong/m", "--plan").code == 2
    yard.dispatch()
    assert set(asked(yard)) == {"a/m", "b/m"}
    yard.submit(5, texts=[f"hard {n}" for n in range(5)], priority=1, **SINGLE)
    yard.change("UPDATE items SET lane = 'hard' WHERE text LIKE 'hard%%'")
    yard.dispatch()
    assert asked(yard)["strong/m"] == 5
