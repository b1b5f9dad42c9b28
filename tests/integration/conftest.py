"""A small job as the ledger holds it once it has been worked on, put there by plain SQL."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from app.cli.entry import main
from app.core.ballots import Ballot, Verdict
from app.core.plan import Plan, Seat
from app.core.recipe import parse
from app.core.strategies import decide
from app.core.values import FailureKind
from tests.integration.commands import Ran, Run
from tests.integration.small_yard import SmallYard

PLAN = Plan(
    parse("majority-vote"),
    (Seat("groq/small", "s", 0.5), Seat("groq/mid", "m", 0.6), Seat("mistral/large", "l", 0.7)),
    seed=1,
    closed="nobody_left",
)
_TIMEOUT = FailureKind.TIMEOUT
# custom_id, gold, what each seat said.
STORY: tuple[tuple[str, str | None, tuple[Ballot, ...]], ...] = (
    ("agreed", "a", (Ballot(0, "a"), Ballot(1, "a"))),
    ("contested", "a", (Ballot(0, "a"), Ballot(1, "b", flags=("leaked_reasoning",)), Ballot(2, "b"))),
    ("lost", None, tuple(Ballot(seat, failure=_TIMEOUT) for seat in range(3))),
)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def small_yard(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[SmallYard]:
    """A yard in this process, to be opened with a fleet."""
    yard = SmallYard(tmp_path, database_url, redis_url)
    try:
        yield yard
    finally:
        yard.close()


@pytest.fixture
def worked_job(ledger: Engine) -> Callable[..., str]:
    """Call with an id and a state: one chunk of ``STORY``'s three items, and ``waiting`` more in the yard."""

    def make(job_id: str = "job-one", state: str = "done", waiting: int = 0, team: str = "news") -> str:
        with ledger.begin() as c:
            c.exec_driver_sql(
                "INSERT INTO jobs (id, state, team, use_case, tier, recipe, task, priority, items, has_gold, body_hash,"
                " deadline_at, finished_at, created_at) VALUES (%s, %s, %s, 'desks', 'cheap', %s,"
                ' \'{"kind": "classify", "labels": ["a", "b"], "schema": null, "prompt": null}\', 0, %s, true, \'\','
                " now() + interval '1 day', CASE WHEN %s IN ('done', 'cancelled') THEN now() END,"
                " now() - interval '10 seconds')",
                (job_id, state, team, str(PLAN.recipe), len(STORY) + waiting, state),
            )
            item_ids = [
                c.exec_driver_sql(
                    "INSERT INTO items (job_id, n, custom_id, text, gold, state) VALUES (%s, %s, %s, %s, %s, 'decided')"
                    " RETURNING id",
                    (job_id, n, custom_id, f"\x1b[31mtext [bold]of[/] {custom_id}", gold),
                ).scalar_one()
                for n, (custom_id, gold, _) in enumerate(STORY, 1)
            ]
            for n in range(waiting):
                c.exec_driver_sql(
                    "INSERT INTO items (job_id, n, custom_id, text) VALUES (%s, %s, %s, 'later')",
                    (job_id, len(STORY) + 1 + n, f"waits-{n}"),
                )
            chunk = c.exec_driver_sql(
                "INSERT INTO chunks (job_id, state, plan, item_ids, done_at) VALUES (%s, 'done', %s, %s, now())"
                " RETURNING id",
                (job_id, json.dumps(PLAN.to_json()), item_ids),
            ).scalar_one()
            c.exec_driver_sql("UPDATE items SET chunk_id = %s WHERE id = ANY(%s)", (chunk, item_ids))
            for seat, wave in ((0, 1), (1, 1), (2, 2)):
                c.exec_driver_sql(
                    "INSERT INTO asks (chunk_id, wave, seat, deployment, provider, state, item_ids, tries, lease_until)"
                    " VALUES (%s, %s, %s, %s, %s, 'done', %s, 3, now())",
                    (chunk, wave, seat, PLAN.seats[seat].deployment, PLAN.seats[seat].provider,
                     item_ids if wave == 1 else item_ids[1:]),
                )  # fmt: skip
            for item_id, (_, _, ballots) in zip(item_ids, STORY, strict=True):
                for ballot in ballots:
                    _call(c, job_id, chunk, item_id, ballot)
                _decide(c, job_id, chunk, item_id, ballots)
            c.exec_driver_sql(
                "INSERT INTO attempts (purpose, provider, deployment, state, input_price_micro, output_price_micro,"
                " input_tokens, cost_micro) VALUES ('ping', 'groq', 'groq/small', 'answered', 0, 0, 7, 3)"
            )
        return job_id

    return make


def _call(c, job_id: str, chunk: int, item_id: int, ballot: Ballot) -> None:  # type: ignore[no-untyped-def]
    """Each costs 1,000 micro-dollars, 100 tokens in (40 of them cached) and 12 out (2 of them reasoning)."""
    seat = PLAN.seats[ballot.seat]
    failed = ballot.failure.value if ballot.failure else None
    attempt = c.exec_driver_sql(
        "INSERT INTO attempts (job_id, chunk_id, item_id, seat, provider, deployment, state, failure_kind, status,"
        " latency_ms, input_tokens, cached_tokens, output_tokens, reasoning_tokens, input_price_micro,"
        " output_price_micro, cost_micro, text, closed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 250, 60, 40, 10,"
        " 2, 50000, 80000, 1000, %s, now()) RETURNING id",
        (job_id, chunk, item_id, ballot.seat, seat.provider, seat.deployment, "failed" if failed else "answered",
         failed, None if failed else 200, f"\x1b]0;owned\x07{ballot.answer}"),
    ).scalar_one()  # fmt: skip
    c.exec_driver_sql(
        "INSERT INTO votes (item_id, chunk_id, seat, attempt_id, answer, failure_kind, tries, flags)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (item_id, chunk, ballot.seat, attempt, ballot.answer, failed, ballot.tries, list(ballot.flags)),
    )


def _decide(c, job_id: str, chunk: int, item_id: int, ballots: tuple[Ballot, ...]) -> None:  # type: ignore[no-untyped-def]
    verdict = decide(PLAN, ballots)
    assert isinstance(verdict, Verdict)
    c.exec_driver_sql(
        "INSERT INTO decisions (item_id, job_id, chunk_id, status, answer, agreement, confidence, votes, abstentions,"
        " calls, cost_micro, latency_ms, flags, reason, ballots)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 500, %s, %s, %s)",
        (item_id, job_id, chunk, verdict.status.value, verdict.answer, verdict.agreement, verdict.confidence,
         verdict.votes, verdict.abstentions, len(ballots), 1000 * len(ballots), list(verdict.flags), verdict.reason,
         json.dumps([b.to_json() for b in ballots])),
    )  # fmt: skip


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command in this process, in a directory of its own where nothing is set."""
    for name in [name for name in os.environ if name.startswith("SWITCHYARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> Ran:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["switchyard", *argv])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Ran(code if isinstance(code, int) else 0, out, err)

    return run
