"""Context windows: questions that are too long go to a wider window, or are cut, or fail with the numbers."""

from __future__ import annotations

import json
from pathlib import Path

from app.core.pricing import guess_tokens
from app.services import intake, replaying
from app.services.jobspec import spec_of
from app.services.rows import Columns
from app.services.submitting import Submitter
from tests.integration.small_yard import LABELS, SmallYard, vendor

SINGLE = {"strategy": "single-query"}
LONG = "BEGIN " + "word " * 6000 + "END"


def test_a_long_question_goes_to_the_wider_window(small_yard: SmallYard) -> None:
    yard = small_yard.open(
        [vendor("narrow", context_window=8000, quality=0.9), vendor("wide", context_window=64000, tier="complex")]
    )
    yard.submit(texts=[LONG, "short"], **SINGLE)
    yard.work()
    assert [row[1:3] for row in yard.decisions()] == [("decided", "a")] * 2
    asked = {
        row[0]: row[1]
        for row in yard.rows("SELECT i.text, a.deployment FROM attempts a JOIN items i ON i.id = a.item_id")
    }
    assert asked == {LONG: "wide/m", "short": "narrow/m"}
    assert yard.rows("SELECT failure_kind, tries, needs > 8000 FROM votes WHERE failure_kind IS NOT NULL") == [
        ("context_length", 0, True)
    ]
    yard.books_agree()
    job_id = yard.value("SELECT id FROM jobs")
    assert replaying.verify(yard.engine, job_id) == (2, []), "what a question needs is part of its ballot"


def test_where_no_window_is_wide_enough_the_middle_is_left_out_and_the_item_says_so(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("narrow", context_window=8000)])
    yard.submit(texts=[LONG], **SINGLE)
    yard.work()
    assert yard.rows("SELECT status, answer, flags FROM decisions") == [("decided", "a", ["trimmed"])]
    [call] = yard.sim.calls()
    assert call["status"] == 200
    assert 3000 < call["prompt_tokens"] <= 8000
    assert yard.value("SELECT text FROM items") == LONG


def test_a_question_that_fits_nowhere_fails_with_the_numbers(small_yard: SmallYard) -> None:
    yard = small_yard.open(
        [vendor("x", context_window=2000, max_output=500), vendor("y", context_window=2400, max_output=500)]
    )
    yard.submit(texts=["short"], prompt="rule " * 4000, **SINGLE)
    yard.work()
    [(_, status, answer, reason)] = yard.decisions()
    assert (status, answer) == ("failed", None)
    needs = yard.value("SELECT max(needs) FROM votes")
    assert needs > guess_tokens("rule " * 4000)
    assert reason == f"context_length: takes about {needs} tokens, the widest window has 2400"
    assert yard.sim.calls() == []


def chat(custom_id: str, turns: list[tuple[str, str]]) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps(
        {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages}}
    )


def test_a_chat_is_continued_turn_by_turn_and_cut_from_the_oldest(small_yard: SmallYard, tmp_path: Path) -> None:
    yard = small_yard.open([vendor("x", context_window=8000, max_output=500)])
    yard.weather(kind="echo")
    old = ("user", "old " * 6000)
    lines = [
        chat("whole", [("system", "Be brief."), ("user", "Hello."), ("assistant", "Yes?"), ("user", "Who are you?")]),
        chat("cut", [("system", "Be brief."), old, ("assistant", "I see."), ("user", "And then?")]),
    ]
    path = tmp_path / "chats.jsonl"
    path.write_text("\n".join(lines))
    with path.open("rb") as stream:
        rows = list(intake.read(stream, Columns(), name=str(path)))
    Submitter(yard.engine, yard.yard.fleet).submit(spec_of({"task": "generate"}), rows)
    yard.work()
    assert yard.rows(
        "SELECT i.custom_id, d.answer, d.flags FROM decisions d JOIN items i ON i.id = d.item_id ORDER BY i.n"
    ) == [("whole", "Who are you?", []), ("cut", "And then?", ["trimmed"])]
    assert LABELS  # the classify labels of the other tests play no part here
    small = yard.sim.calls()
    assert max(call["prompt_tokens"] for call in small) < 100
