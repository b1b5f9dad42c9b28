"""One job for each role, through the whole yard: what it is told, how it is read, and what the ledger calls it."""

from __future__ import annotations

from typing import Any

from app.core.ballots import seat_of
from app.ledger import scorecard
from app.ledger.door import Row
from app.registry.fleet import FleetFile
from app.services import replaying
from app.services.jobspec import spec_of
from app.services.submitting import Submitter
from tests.integration.small_yard import SmallYard, vendor

FLEET = [
    *(vendor(name, model=name) for name in ("one", "two", "three")),
    vendor("best", model="best", tier="complex", quality=0.95),
    vendor("next", model="next", tier="complex", quality=0.9),
]
GENERATE: dict[str, Any] = {"task": "generate", "labels": [], "prompt": "Name the town."}
TOWNS = [
    {"role": "voice", "model": name, "says": said} for name, said in zip(("one", "two", "three"), "ABC", strict=True)
]


def play(yard: SmallYard, lines: list[dict[str, Any]], **spec: Any) -> tuple[Any, ...]:
    """(status, answer, flags) of a job's one item, after it was replayed and its books compared."""
    yard.weather(kind="scripted", text="not what was asked", line=lines)
    job_id = yard.submit(texts=["Which town is it?"], **spec)
    yard.work()
    yard.books_agree()
    assert replaying.verify(yard.engine, job_id) == (1, [])
    return yard.rows("SELECT status, answer, flags FROM decisions")[0]


def purposes(yard: SmallYard) -> list[str]:
    return [row[0] for row in yard.rows("SELECT purpose FROM attempts ORDER BY id")]


def votes_of(yard: SmallYard, purpose: str) -> list[tuple[Any, ...]]:
    return yard.rows(
        "SELECT v.answer, v.reason FROM votes v JOIN attempts a ON a.id = v.attempt_id"
        " WHERE purpose = %s ORDER BY a.id",
        purpose,
    )


def test_a_judge_picks_by_the_key_of_a_candidate(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    picks = {"role": "judge", "has": "Which town is it?", "says": "The best candidate is {key:B}."}
    assert play(yard, [picks, *TOWNS], **GENERATE, strategy="best-of-n") == ("decided", "B", ["contested"])
    assert purposes(yard) == ["vote", "vote", "vote", "judge"]
    [(choice, _)] = votes_of(yard, "judge")
    seats = yard.value("SELECT plan -> 'seats' FROM chunks")
    assert seats[seat_of(choice)][0] == "two/two"


def test_where_a_judge_cannot_be_read_the_next_is_asked(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [
        {"role": "judge", "model": "best", "says": "let me think"},
        {"role": "judge", "model": "next", "says": "{key:C}"},
        *TOWNS,
    ]
    assert play(yard, lines, **GENERATE, strategy="best-of-n") == ("decided", "C", ["contested"])
    assert purposes(yard) == ["vote"] * 3 + ["judge"] * 2
    assert [reason for _, reason in votes_of(yard, "judge")] == ["no choice", ""]


def test_voices_that_agree_need_no_judge_and_those_that_do_not_get_one(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [{"role": "judge", "says": "{key:b}"}, {"model": "one", "says": "a"}, {"says": "b"}]
    assert play(yard, lines, strategy="vote-then-judge(quorum=3)") == ("decided", "b", [])
    assert purposes(yard)[-1] == "judge"


def test_thinker_worker_and_verifier_hear_one_another(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [
        {"role": "thinker", "says": "Look at the river."},
        {"role": "verifier", "has": '"Rome"', "says": "REJECT {mark}: no river of that name"},
        {"role": "verifier", "has": '"Paris"', "says": "ACCEPT {mark}"},
        {"role": "voice", "has": "no river of that name", "says": "Paris"},
        {"role": "voice", "has": "Look at the river.", "says": "Rome"},
    ]
    found = play(yard, lines, **GENERATE, strategy="thinker-worker-verifier")
    assert found == ("decided", "Paris", [])
    assert purposes(yard) == ["thinking", "work", "verification", "work", "verification"]
    assert [reason for _, reason in votes_of(yard, "verification")] == ["no river of that name", ""]
    families = yard.rows("SELECT deployment FROM attempts WHERE purpose IN ('work', 'verification') ORDER BY id")
    assert families[0] != families[1] and families[2] != families[3], "nobody checks an answer of its own"


def test_what_a_verifier_rejects_to_the_end_is_undecided(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    lines = [{"role": "verifier", "says": "REJECT {mark}: wrong"}, {"says": "Rome"}]
    assert play(yard, lines, **GENERATE, strategy="thinker-worker-verifier")[:2] == ("undecided", None)
    assert yard.value("SELECT reason FROM decisions") == "rejected"


def test_consensus_takes_the_fullest_answer_or_has_one_written(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    full = "The bridge over the river was closed on Monday because of two large cracks in a pillar"
    same = [{"model": "two", "says": f"{full} there"}, {"says": full}]
    assert play(yard, same, **GENERATE, strategy="consensus") == ("decided", f"{full} there", [])
    assert purposes(yard) == ["vote"] * 3
    yard.change("DELETE FROM decisions")
    apart = [{"role": "synthesiser", "says": "It is A, B or C."}, *TOWNS]
    found = play(yard, apart, **{**GENERATE, "prompt": "Name it."}, strategy="consensus")
    assert found == ("decided", "It is A, B or C.", ["contested", "flag_for_review"])
    assert purposes(yard)[3:] == ["vote"] * 3 + ["synthesis"]


def test_labels_agree_as_they_are_not_by_their_words(small_yard: SmallYard) -> None:
    yard = small_yard.open(FLEET)
    labels = ["request for a refund of my card payment", "request for a refund of my cash payment"]
    lines = [{"role": "synthesiser", "says": labels[1]}, {"model": "one", "says": labels[0]}, {"says": labels[1]}]
    found = play(yard, lines, labels=labels, strategy="consensus")
    assert found == ("decided", labels[1], ["flag_for_review"])
    assert yard.value("SELECT plan -> 'exact' FROM chunks") is True
    assert purposes(yard) == ["vote"] * 3 + ["synthesis"]


def test_who_judges_is_neither_right_nor_wrong_about_the_item(small_yard: SmallYard) -> None:
    """The simulator's own models: they answer by their gold label, and judge by it too."""
    yard = small_yard.open(FLEET)
    items = small_yard.home / "items.csv"
    items.write_text("text,gold\n" + "".join(f"text number {n},{'ab'[n % 2]}\n" for n in range(20)))
    wrong = {"default": 0.0, "one": 1.0, "two": 1.0}
    yard.weather(kind="gold", file=str(items), error_rate=wrong)
    rows = [Row(n, f"i{n}", f"text number {n}", gold="ab"[n % 2]) for n in range(20)]
    spec = spec_of({"task": "classify", "labels": ["a", "b"], "strategy": "vote-then-judge(quorum=3)"})
    job_id = Submitter(yard.engine, FleetFile(yard.path)).submit(spec, rows).job_id
    yard.work()
    assert {row[1:3] for row in yard.decisions()} == {("decided", "a"), ("decided", "b")}
    right = yard.value("SELECT count(*) FROM decisions d JOIN items i ON i.id = d.item_id WHERE d.answer = i.gold")
    assert right == 20, "one voice of three and the judge know better"
    scores = {score.deployment: score for score in scorecard.scores(yard.engine, job_id)}
    assert (scores["one/one"].with_gold, scores["one/one"].correct) == (20, 0)
    assert (scores["three/three"].with_gold, scores["three/three"].correct) == (20, 20)
    assert (scores["best/best"].votes, scores["best/best"].with_gold) == (20, 0)
