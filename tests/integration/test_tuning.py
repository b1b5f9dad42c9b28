"""Tuning, other recipes and receipts on a ledger: a full council's votes, put there by plain SQL."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from app.core.ballots import Ballot, Verdict
from app.core.errors import UsageError
from app.core.plan import Plan, Seat
from app.core.recipe import parse
from app.core.strategies import decide
from app.ledger import receipts
from app.services import whatif
from tests.integration.commands import Run

_ACCURACY = {"dear/strong": 0.9, "a/one": 0.75, "b/two": 0.75, "c/three": 0.7}
_LABELS = ("x", "y", "z")
_PRICE = {"dear/strong": 50, "a/one": 1, "b/two": 1, "c/three": 1}


@pytest.fixture
def council(command: Run, ledger: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A finished job in which everybody voted on every item; ``gold``: are the true labels known?"""

    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", database_url)

    def make(
        items: int = 300, *, gold: bool = True, baseline: str = "", kind: str = "classify", **prices: int | None
    ) -> str:
        dice = random.Random(11)
        seats = tuple(Seat(name, name, 0.5) for name in _ACCURACY)
        plan = Plan(parse("majority-vote(council=4, quorum=3, full=true)"), seats)
        task = {"kind": kind, "labels": list(_LABELS) if kind == "classify" else [], "schema": None, "prompt": None}
        routing = {"baseline": baseline, "audit": 0.1} if baseline else {}
        with ledger.begin() as c:
            c.exec_driver_sql(
                "INSERT INTO jobs (id, state, team, use_case, tier, recipe, task, priority, items, has_gold, body_hash,"
                " deadline_at, finished_at, routing) VALUES ('job-c', 'done', 't', 'u', 'cheap', %s, %s::jsonb, 0, %s,"
                " %s, '', now() + interval '1 day', now(), %s::jsonb)",
                (str(plan.recipe), json.dumps(task), items, gold, json.dumps(routing)),
            )
            for n in range(items):
                truth = dice.choice(_LABELS)
                said = [_said(dice, truth, name) for name in _ACCURACY]
                item, chunk = _item(c, plan, n, truth if gold else None, said)
                if n % 10 == 0:
                    _attempt(c, item, chunk, 9, "dear/strong", "audit", prices.get("audit_micro", 50))
        return "job-c"

    return make


def _said(dice: random.Random, truth: str, name: str) -> str:
    right = dice.random() < _ACCURACY[name]
    return truth if right else dice.choice([label for label in _LABELS if label != truth])


def _item(c: Connection, plan: Plan, n: int, gold: str | None, said: list[str]) -> tuple[int, int]:
    item = c.exec_driver_sql(
        "INSERT INTO items (job_id, n, custom_id, text, gold, state) VALUES ('job-c', %s, %s, 'text', %s, 'decided')"
        " RETURNING id",
        (n + 1, f"item-{n}", gold),
    ).scalar_one()
    chunk = c.exec_driver_sql(
        "INSERT INTO chunks (job_id, state, plan, item_ids, done_at) VALUES ('job-c', 'done', %s, %s, now())"
        " RETURNING id",
        (json.dumps(plan.to_json()), [item]),
    ).scalar_one()
    ballots = [Ballot(seat, answer) for seat, answer in enumerate(said)]
    for seat, name in enumerate(_ACCURACY):
        attempt = _attempt(c, item, chunk, seat, name, "vote", _PRICE[name])
        c.exec_driver_sql(
            "INSERT INTO votes (item_id, chunk_id, seat, attempt_id, answer, tries) VALUES (%s, %s, %s, %s, %s, 1)",
            (item, chunk, seat, attempt, said[seat]),
        )
    verdict = decide(plan, ballots)
    assert isinstance(verdict, Verdict)
    c.exec_driver_sql(
        "INSERT INTO decisions (item_id, job_id, chunk_id, status, answer, agreement, confidence, votes, abstentions,"
        " calls, cost_micro, latency_ms, flags, ballots)"
        " VALUES (%s, 'job-c', %s, 'decided', %s, %s, %s, 4, 0, 4, 53, 9, %s, %s)",
        (item, chunk, verdict.answer, verdict.agreement, verdict.confidence, list(verdict.flags),
         json.dumps([b.to_json() for b in ballots])),
    )  # fmt: skip
    return item, chunk


def _attempt(c: Connection, item: int, chunk: int, seat: int, name: str, purpose: str, micro: int | None) -> int:
    return int(
        c.exec_driver_sql(
            "INSERT INTO attempts (job_id, chunk_id, item_id, seat, purpose, provider, deployment, state, latency_ms,"
            " input_tokens, output_tokens, input_price_micro, output_price_micro, cost_micro, closed_at) VALUES"
            " ('job-c', %s, %s, %s, %s, %s, %s, 'answered', 20, 5, 2, 1, 1, %s, now()) RETURNING id",
            (chunk, item, seat, purpose, name.partition("/")[0], name, micro),
        ).scalar_one()
    )


def _reseat(ledger: Engine, roles: dict[int, str]) -> None:
    """As if these seats of all plans had been given in other roles."""
    with ledger.begin() as c:
        plan = Plan.from_json(c.exec_driver_sql("SELECT plan FROM chunks LIMIT 1").scalar_one())
        seats = tuple(replace(seat, role=roles.get(n, seat.role)) for n, seat in enumerate(plan.seats))
        c.exec_driver_sql("UPDATE chunks SET plan = %s", (json.dumps(replace(plan, seats=seats).to_json()),))


def test_another_recipe_says_calls_and_cost_beside_its_labels(ledger: Engine, council: Callable[..., str]) -> None:
    made = whatif.under(ledger, council(), parse("majority-vote(models=a/one+b/two+c/three)"))
    assert (made.items, made.unknown) == (300, 0)
    assert 600 <= made.calls_after <= 900 < made.calls_before == 1_200
    assert made.cost_usd_after == pytest.approx(made.calls_after / 1e6)
    assert made.cost_usd_before == pytest.approx(300 * 53 / 1e6)
    stranger = whatif.under(ledger, "job-c", parse("single-query(models=nobody/here)"))
    assert stranger.unknown == 300, "a vote that was never bought is unknown, not guessed"


def test_what_judges_took_is_in_the_bill_of_before_and_not_among_the_votes(
    ledger: Engine, council: Callable[..., str]
) -> None:
    job = council(10)
    _reseat(ledger, {0: "judge"})
    made = whatif.under(ledger, job, parse("single-query(models=a/one)"))
    assert (made.calls_before, made.cost_usd_before, made.calls_after) == (40, pytest.approx(10 * 53 / 1e6), 10)
    assert whatif.under(ledger, job, parse("single-query(models=dear/strong)")).unknown == 10


def test_a_job_without_plain_votes_leaves_another_recipe_unknown(ledger: Engine, council: Callable[..., str]) -> None:
    job = council(10)
    _reseat(ledger, dict.fromkeys(range(4), "worker"))
    made = whatif.under(ledger, job, parse("single-query"))
    assert (made.unknown, made.undecided, made.changed) == (10, 0, 0)


def test_tune_finds_the_frontier_and_draws_it(
    ledger: Engine, council: Callable[..., str], command: Run, tmp_path: Path
) -> None:
    job, picture = council(), tmp_path / "frontier.svg"
    ran = command("tune", job, "--json", "--picture", str(picture))
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert said["frontier_of"] == "cost"
    assert said["models"][0]["deployment"] == "dear/strong"
    rows = {row["recipe"]: row for row in said["candidates"]}
    singles = [row["held_out"]["accuracy"] for name, row in rows.items() if name.startswith("single-query")]
    assert len(singles) == 4
    assert rows[said["best"]]["held_out"]["accuracy"] >= max(singles) - 0.03
    front = [row["found"]["accuracy"] for row in said["candidates"] if row["frontier"]]
    assert front == sorted(front)
    root = ET.fromstring(picture.read_text())
    assert root.tag.endswith("svg")
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) >= len(rows)
    words = command("tune", job)
    assert words.code == 0
    assert "held out to judge them" in words.out
    assert "--strategy" in words.out


@pytest.mark.parametrize(
    ("how", "why"), [({"gold": False}, "0 items have a known answer"), ({"kind": "generate"}, "only classify")]
)
def test_a_job_that_cannot_be_tuned_says_why(
    ledger: Engine, council: Callable[..., str], command: Run, how: dict[str, object], why: str
) -> None:
    job = council(40, **how)
    with pytest.raises(UsageError, match=why):
        whatif.tune(ledger, job)
    ran = command("tune", job)
    assert ran.code == 2
    assert why in ran.err
    assert command("tune", "job-x").code == 2
    assert "no job" in command("tune", "job-x").err


def test_a_receipt_leaves_nothing_out_and_measures_its_saving(
    ledger: Engine, council: Callable[..., str], command: Run
) -> None:
    job = council(baseline="dear/strong")
    made = receipts.receipt(ledger, job)
    assert {(line.purpose, line.outcome): line.calls for line in made.lines} == {
        ("vote", "answered"): 1_200,
        ("audit", "answered"): 30,
    }
    assert made.cost_micro == 300 * 53 + 30 * 50
    said = json.loads(command("receipt", job, "--json").out)
    assert said["saving"]["audited"] == 30
    assert said["saving"]["would_have_cost_usd"] == pytest.approx(300 * 50 / 1e6)
    assert said["saving"]["saved_usd"] < 0, "a council with the strong model in it is dearer than the strong one alone"
    item = json.loads(command("receipt", job, "item-0", "--json").out)
    assert (item["calls"], item["items"], item["saving"]) == (5, 1, None)
    assert "measured on 30 audited items" in command("receipt", job).out
    missing = command("receipt", job, "nobody")
    assert missing.code == 2
    assert "has no item" in missing.err


def test_against_an_unknown_price_nothing_is_claimed(ledger: Engine, council: Callable[..., str]) -> None:
    job = council(baseline="dear/strong", audit_micro=None)
    said = receipts.receipt(ledger, job).to_json()
    assert "price is unknown" in said["saving"]["why"]
    assert said["unpriced_calls"] == 30
