"""Items with personal data and keys, through the whole yard: none reaches a deployment that is not local."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest

from app.cli.story import story
from app.core.errors import UsageError
from app.core.privacy import find
from app.ledger import reports, testimony, traits
from app.ledger.door import Row
from app.registry.fleet import FleetFile
from app.services import replaying
from app.services.jobspec import message_of, spec_of
from app.services.screening import Screened, warning
from app.services.submitting import Submitter
from tests.integration.small_yard import LABELS, SmallYard, vendor
from tests.unit.planted import CLEAN, plant

REMOTE = [vendor("far", quality=0.9), vendor("wide", tier="complex", quality=0.95), vendor("off")]
HOME = [vendor("home", local=True), vendor("den", local=True, quality=0.4), vendor("hut", local=True, quality=0.3)]
MAIL = "Please write to jane.doe@example.com about it."


def mixed(count: int, seed: int) -> tuple[list[str], set[int]]:
    """Texts, and the places of those in which something was planted: four of five."""
    rng = random.Random(seed)
    texts, planted = [], set()
    for n in range(count):
        if rng.random() < 0.8:
            texts.append(f"{plant(rng)[2]} (nr {n})")
            planted.add(n)
        else:
            texts.append(f"{rng.choice(CLEAN)} (nr {n})")
    return texts, planted


def sent(yard: SmallYard, *names: str) -> str:
    """Everything that was sent to these providers, as text."""
    bodies = [body for name in names for body in yard.sim.bodies(name)]
    return "\n".join(json.dumps(json.loads(body), ensure_ascii=False) for body in bodies)


def betrayed(bodies: Sequence[str]) -> list[str]:
    found = []
    for body in bodies:
        for message in json.loads(body)["messages"]:
            found += [message["content"][s.start : s.end] for s in find(message["content"])]
    return found


def results(yard: SmallYard, job: str) -> list[dict[str, object]]:
    return [line for _, line in reports.results(yard.engine, job)]


@pytest.fixture
def open_yard(small_yard: SmallYard) -> SmallYard:
    small_yard.open([*REMOTE, *HOME])
    small_yard.sim.keep_bodies()
    return small_yard


def test_a_thousand_items_with_planted_data_stay_at_home(open_yard: SmallYard) -> None:
    yard = open_yard
    texts, planted = mixed(1_000, seed=7)
    # What one of the local ones says cannot be read one time in five; one of the others is not paid for.
    yard.weather(
        {"kind": "wrong_json", "provider": "home", "probability": 0.2},
        {"kind": "billing", "provider": "off"},
    )
    job = yard.submit(texts=texts)
    yard.work()
    for name in ("far", "wide", "off"):
        bodies = yard.sim.bodies(name)
        assert betrayed(bodies) == [], name
        assert not any(f"(nr {n})" in body for body in bodies for n in planted), name
    assert yard.sim.bodies("far"), "the clean ones do leave"
    assert yard.sim.bodies("home"), "and the others are asked at home"
    lines = results(yard, job)
    assert {n for n, line in enumerate(lines) if "private" in line["flags"]} == planted
    assert {line["status"] for line in lines} == {"decided"}
    assert replaying.verify(yard.engine, job)[1] == []
    assert traits.sorting(yard.engine, job).private == len(planted)
    # Of answers that nobody can read the ledger cannot know the tokens; the calls themselves it has all.
    assert len(yard.sim.calls()) == yard.value("SELECT count(*) FROM attempts WHERE status IS NOT NULL")


def test_redacted_items_leave_without_it_and_answers_come_back_with_it(open_yard: SmallYard) -> None:
    yard = open_yard
    texts, planted = mixed(300, seed=11)
    job = yard.submit(texts=texts, privacy="redact")
    yard.work()
    assert all(betrayed(yard.sim.bodies(name)) == [] for name in ("far", "wide", "off"))
    counts = traits.sorting(yard.engine, job)
    assert counts.redacted > 0.9 * len(planted)
    assert counts.redacted + counts.private == len(planted)
    lines = results(yard, job)
    assert {line["status"] for line in lines} == {"decided"}
    assert sum("redacted" in line["flags"] for line in lines) > 0
    assert "_1]" in "".join(yard.sim.bodies("far"))
    assert replaying.verify(yard.engine, job)[1] == []


def test_placeholders_in_an_answer_are_restored(open_yard: SmallYard) -> None:
    yard = open_yard
    yard.weather(kind="fixed", text="Sure: I shall write to [EMAIL_1], not to [EMAIL_7].")
    job = yard.submit(texts=[MAIL], task="generate", labels=[], privacy="redact")
    yard.work()
    assert "jane.doe" not in sent(yard, "far", "wide", "off")
    (line,) = results(yard, job)
    assert line["answer"] == "Sure: I shall write to jane.doe@example.com, not to [EMAIL_7]."
    assert line["flags"] == ["redacted"]
    kept = yard.value("SELECT text FROM attempts WHERE text IS NOT NULL")
    assert "[EMAIL_1]" in kept, "what came back stands as it came"


@pytest.mark.parametrize("role", ["synthesize-best", "best-of-n", "thinker-worker-verifier"])
def test_what_others_say_of_a_redacted_item_is_redacted_too(open_yard: SmallYard, role: str) -> None:
    yard = open_yard
    yard.weather(kind="fixed", text="Write to [EMAIL_1] today.")
    job = yard.submit(texts=[MAIL], task="generate", labels=[], privacy="redact", strategy=role)
    yard.work()
    assert betrayed([b for name in ("far", "wide", "off") for b in yard.sim.bodies(name)]) == []
    assert results(yard, job)[0]["status"] in ("decided", "undecided")
    assert replaying.verify(yard.engine, job)[1] == []


def test_every_turn_of_a_chat_is_looked_at(open_yard: SmallYard) -> None:
    yard = open_yard
    turns = (("user", "My card is 4111 1111 1111 1111."), ("assistant", "Thank you."), ("user", "Is it blocked?"))
    spec = spec_of({"task": "generate"})
    row = Row(1, "c", "My card is noted.\n\nIs it blocked?", turns=turns)
    Submitter(yard.engine, FleetFile(yard.path)).submit(spec, [row])
    yard.work()
    assert sent(yard, "far", "wide", "off") == ""
    assert "4111" in sent(yard, "home", "den")


OPTIONS: list[dict[str, str]] = [
    {"tier": "complex", "strategy": "single-query"},
    {"optimise": "quality"},
    {"strategy": "ranked-fallback"},
    {"complexity": "reasoning"},
    {"balance": "round-robin"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_no_option_lets_it_out(open_yard: SmallYard, options: dict[str, str]) -> None:
    yard = open_yard
    job = yard.submit(texts=[MAIL], **options)
    yard.work()
    assert sent(yard, "far", "wide", "off") == ""
    assert results(yard, job)[0]["status"] == "decided"


def test_models_that_are_pinned_and_not_local_get_nothing(open_yard: SmallYard) -> None:
    yard = open_yard
    job = yard.submit(texts=[MAIL], strategy="single-query(models=far/m)")
    yard.work()
    assert sent(yard, "far", "wide", "off") == ""
    assert [(line["status"], line["reason"]) for line in results(yard, job)] == [("undecided", "privacy")]


def test_without_a_local_deployment_they_are_undecided_and_the_producer_is_told(small_yard: SmallYard) -> None:
    yard = small_yard.open(REMOTE)
    yard.sim.keep_bodies()
    fleet, seen = FleetFile(yard.path), Screened()
    spec = spec_of({"task": "classify", "labels": LABELS})
    rows = [Row(1, "p", MAIL), Row(2, "c", CLEAN[0]), Row(3, "p2", f"{MAIL} Soon.")]
    stored = Submitter(yard.engine, fleet).submit(spec, rows, None, seen)
    told = warning(seen, fleet.current().deployments, spec.wanted) or ""
    assert "2 items hold personal data or secrets (2 with email)" in told
    assert "local = true" in told
    assert "jane" not in told
    yard.work()
    assert [(line["status"], line["reason"]) for line in results(yard, stored.job_id)] == [
        ("undecided", "privacy"), ("decided", None), ("undecided", "privacy"),
    ]  # fmt: skip
    assert "jane" not in sent(yard, "far", "wide", "off")
    assert reports.progress(yard.engine, stored.job_id).state == "done"
    assert replaying.verify(yard.engine, stored.job_id)[1] == []


def test_one_local_model_is_council_enough(small_yard: SmallYard) -> None:
    yard = small_yard.open([*REMOTE, HOME[0]])
    yard.sim.keep_bodies()
    job = yard.submit(texts=[MAIL])
    yard.work()
    (line,) = results(yard, job)
    assert (line["status"], line["votes"]) == ("decided", 1)
    assert "private" in line["flags"]  # type: ignore[operator]


def test_the_second_lock_holds_where_the_door_was_left_open(open_yard: SmallYard) -> None:
    """An item of an earlier release lies in the ordinary lane; the seat that would send it refuses."""
    yard = open_yard
    job = yard.submit(texts=[MAIL], tier="standard", strategy="single-query")
    yard.change("UPDATE items SET lane = '', traits = NULL")
    yard.work()
    assert sent(yard, "far", "wide", "off") == ""
    assert ("privacy",) in yard.rows("SELECT DISTINCT failure_kind FROM votes")
    assert results(yard, job)[0]["status"] == "decided", "it goes on to those in the house, whatever their tier"
    assert replaying.verify(yard.engine, job)[1] == []


def test_a_deployment_that_is_local_no_more_gets_nothing(open_yard: SmallYard) -> None:
    yard = open_yard
    yard.submit(texts=[MAIL], strategy="single-query")
    asks = yard.dispatch()
    yard.write_fleet([*REMOTE, *({**row, "local": False} for row in HOME)])
    yard.follow(asks)
    assert sent(yard, "far", "wide", "off", "home", "den") == ""
    assert [(status, reason) for _, status, _, reason in yard.decisions()] == [("undecided", "privacy")]


def test_the_jobs_own_words_are_looked_at(open_yard: SmallYard) -> None:
    yard = open_yard
    with pytest.raises(UsageError, match="prompt holds what looks like personal data") as caught:
        yard.submit(texts=["hello"], prompt="Answer as bob@example.com would. {text}")
    assert "bob" not in str(caught.value)
    with pytest.raises(UsageError, match="labels hold"):
        yard.submit(texts=["hello"], labels=["a", "call 555-123-4567"])
    yard.submit(texts=["hello"], prompt="Answer as bob@example.com would. {text}", tier="private")
    yard.work()
    assert sent(yard, "far", "wide", "off") == ""


def test_explain_tells_what_was_found_and_why_it_travels_so(open_yard: SmallYard) -> None:
    yard = open_yard
    job = yard.submit(texts=[MAIL, "Prove that there is no largest prime."], task="generate", labels=[])
    private, hard = (testimony.explain(yard.engine, job, name) for name in ("i1", "i2"))
    assert (private["lane"], private["traits"]["privacy"]) == ("private", {"email": 1})
    assert hard["lane"] == "hard"
    assert hard["traits"]["complexity"]["value"] == "reasoning"
    assert "Prove" in hard["traits"]["complexity"]["why"]
    assert "personal data: 1 email; asked of local deployments only" in story(private)
    assert "lane      private" in story(private)
    assert hard["traits"]["cost"] == {"value": "low", "why": "tier cheap"}


def test_a_message_of_another_service_is_screened_as_well(open_yard: SmallYard) -> None:
    yard = open_yard
    given = {"task": "classify", "labels": LABELS, "items": [{"text": MAIL}, {"text": CLEAN[1]}]}
    message = message_of(given)
    Submitter(yard.engine, FleetFile(yard.path)).submit(message, message.rows())
    assert yard.rows("SELECT lane FROM items ORDER BY n") == [("private",), ("",)]
