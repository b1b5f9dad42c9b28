"""What became of answers changes who is asked, who is believed, and what an accepted answer is said to cost."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.accuracy import EASY_SHARE, POOL_PRIOR, TEAM_CAP
from app.ledger import reports, skills, worth
from app.ledger.door import Row
from app.ledger.skills import Course
from app.services import mastery, replaying
from app.services.jobspec import spec_of
from app.services.outcomes import Outcomes
from app.services.reputation import Reputation
from app.services.submitting import Submitter
from tests.integration.commands import Run
from tests.integration.small_yard import SmallYard, vendor

LABELS = list("abcdef")
ERRORS = {"m1": 0.1, "m2": 0.15, "m3": 0.2, "twin": 0.3, "m4": 0.2}
PANEL = [
    *(vendor(f"v{n}", f"m{n}") for n in (1, 2, 3, 4)),
    vendor("east", "twin", family="east-wind"),
    vendor("west", "twin", family="west-wind"),
]
TWINS = ("east/twin", "west/twin")


class School:
    """A yard whose simulated models know the true labels and miss them at known rates; ``twin`` at two vendors says
    the same at both."""

    def __init__(self, yard: SmallYard, home: Path) -> None:
        self.yard, self.home = yard, home
        dice = random.Random(11)
        self.gold = {f"question {n}": dice.choice(LABELS) for n in range(600)}
        self.asked = iter(list(self.gold))
        path = home / "items.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("text", "gold"), *self.gold.items()])
        self.answers = {"kind": "gold", "file": str(path), "text_column": "text", "gold_column": "gold"}
        yard.weather(**self.answers, error_rate=ERRORS)

    def job(self, items: int, *, known: bool = False, texts: Sequence[str] = (), **spec: object) -> str:
        asked = list(texts) or [next(self.asked) for _ in range(items)]
        rows = [Row(n, f"i{n}", text, self.gold.get(text) if known else None) for n, text in enumerate(asked, 1)]
        wanted = spec_of({"task": "classify", "labels": LABELS, **spec})
        job = Submitter(self.yard.engine, self.yard.yard.fleet).submit(wanted, rows).job_id
        self.yard.work()
        return job

    def learn(self) -> list[Course]:
        self.yard.yard.view.reputation = Reputation(self.yard.engine)  # as after half a minute: what was read is stale
        return self.yard.yard.schooling.learn()

    def seats(self, job: str) -> list[tuple[str, str, float]]:
        """(deployment, family, quality) of the first plan of a job."""
        plan = self.yard.value("SELECT plan FROM chunks WHERE job_id = %s ORDER BY id LIMIT 1", job)
        return [tuple(seat[:3]) for seat in plan["seats"]]


@pytest.fixture
def school(small_yard: SmallYard, tmp_path: Path) -> School:
    return School(small_yard.open(PANEL), tmp_path)


def test_clones_at_two_vendors_are_found_and_are_one_voice(school: School) -> None:
    voices = "majority-vote(council=6, full=true)"
    school.job(120, known=True, strategy=voices, team="news")
    assert school.learn() == [Course("news", "default", "classify")]
    assert [(r["first"], r["second"], r["team"]) for r in mastery.kin(school.yard.engine, every=False)] == [
        (*TWINS, "news")
    ]
    assert len(mastery.kin(school.yard.engine, every=True)) == 15
    pinned = f"majority-vote(council=3, models={'+'.join([*TWINS, 'v1/m1'])})"
    again = school.job(30, strategy=pinned, team="news")
    families = {name: family for name, family, _ in school.seats(again)}
    assert families[TWINS[0]] == families[TWINS[1]] != families["v1/m1"]
    together = (
        "SELECT count(*) FROM (SELECT v.item_id FROM votes v JOIN attempts a ON a.id = v.attempt_id"
        " WHERE a.job_id = %s AND a.deployment = ANY(%s) GROUP BY 1 HAVING count(DISTINCT a.deployment) > 1) AS twice"
    )
    assert school.yard.value(together, again, list(TWINS)) == 0, "an item heard the same voice twice"
    other = school.job(30, strategy=pinned, team="sport")
    assert len({family for _, family, _ in school.seats(other)}) == 3, "another team has not found it out"
    assert school.yard.value(together, other, list(TWINS)) > 0
    for job in (again, other):
        assert replaying.verify(school.yard.engine, job) == (30, [])


def test_accuracy_comes_from_gold_then_outcomes_and_else_from_agreement(school: School, command: Run) -> None:
    voices = "majority-vote(council=6, full=true)"
    job = school.job(150, strategy=voices)
    school.learn()
    agreed = {row["model"]: row for row in mastery.of_all(school.yard.engine, "model")}
    assert {row["source"] for row in agreed.values()} == {"agreement"}
    assert agreed["v1/m1"]["accuracy"] > agreed["east/twin"]["accuracy"]
    assert abs(agreed["v1/m1"]["accuracy"] - 0.9) < 0.08
    said = {f"i{n}": school.gold[f"question {n - 1}"] for n in range(1, 81)}
    for custom_id, label in said.items():
        Outcomes(school.yard.engine).say(job, custom_id, label)
    school.learn()
    known = {row["model"]: row for row in mastery.of_all(school.yard.engine, "model")}
    assert {(row["source"], row["n"]) for row in known.values()} == {("outcomes", 80)}
    for name, row in known.items():
        assert row["low"] <= 1 - ERRORS[name.partition("/")[2]] <= row["high"] or row["n"] < 100
    assert mastery.of_job(school.yard.engine, job, "model") == mastery.of_all(school.yard.engine, "model")
    assert [row["label"] for row in mastery.of_all(school.yard.engine, "label")] != []
    assert sum(row["n"] for row in mastery.of_job(school.yard.engine, job, "label")) == pytest.approx(6 * 80, abs=0.1)
    assert [(row["kind"], row["source"]) for row in mastery.of_all(school.yard.engine, "kind")] == [
        ("classify", "outcomes")
    ]


def test_outcomes_days_later_change_whom_the_yard_asks_first(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("grand", quality=0.7), vendor("plain", quality=0.5)])
    job = yard.submit(40, strategy="ranked-fallback", use_case="desk")
    yard.work()
    yard.change(
        "UPDATE jobs SET created_at = created_at - interval '9 days', finished_at = finished_at - interval '9 days'"
    )
    yard.yard.schooling.learn()
    outcomes = Outcomes(yard.engine)

    def first() -> tuple[str, float]:
        yard.yard.view.reputation = Reputation(yard.engine)
        job = yard.submit(1, strategy="ranked-fallback", use_case="desk")
        yard.work()
        plan = yard.value("SELECT plan FROM chunks WHERE job_id = %s", job)
        return plan["seats"][0][0], plan["seats"][0][2]

    assert first() == ("grand/m", 0.7), "nothing is learned yet"
    for n in range(1, 41):
        outcomes.say(job, f"i{n}", "rejected")
    yard.yard.schooling.learn()
    name, quality = first()
    assert (name, quality) == ("plain/m", 0.5)
    for n in range(1, 41):
        outcomes.say(job, f"i{n}", "accepted")
    yard.yard.schooling.learn()
    name, quality = first()
    assert name == "grand/m"
    assert quality > 0.8
    assert yard.value("SELECT count(*) FROM outcomes") == 80, "what was said before is kept"
    yard.yard.view.reputation = None  # SWITCHYARD_LEARN=0
    job = yard.submit(1, strategy="ranked-fallback", use_case="desk")
    yard.work()
    assert yard.value("SELECT plan->'seats'->0->>2 FROM chunks WHERE job_id = %s", job) == "0.7"


def test_a_rejected_label_says_only_not_that_one(school: School) -> None:
    job = school.job(60, strategy="majority-vote(council=6, full=true)")
    wrong = school.yard.rows(
        "SELECT i.custom_id, d.answer FROM items i JOIN decisions d ON d.item_id = i.id WHERE i.job_id = %s", job
    )
    for custom_id, _ in wrong[:10]:
        Outcomes(school.yard.engine).say(job, custom_id, "rejected")
    heard = skills.votes_of(school.yard.engine, job)
    barred = [h for h in heard if h.barred is not None]
    assert barred
    assert all(h.truth is None and h.source == "outcomes" for h in barred)
    rows = {row["model"]: row for row in mastery.of_job(school.yard.engine, job, "model")}
    for row in rows.values():
        assert row["source"] == "outcomes"
        assert row["accuracy"] == 0.0, "that others are right is not known, only that these were wrong"


def test_a_flood_of_easy_items_does_not_buy_a_weight(school: School) -> None:
    """The threat of ``core.accuracy``, through the ledger: within the use case, and from another team."""
    engine = school.yard.engine
    mine = school.job(60, known=True, strategy="majority-vote(council=6, full=true)", team="news", use_case="desk")
    school.learn()
    bought = school.yard.yard.fleet.current().deployment("east/twin")

    def weights() -> tuple[float, float]:
        course = skills.course_of(engine, mine)
        assert course is not None
        known = skills.learned(engine, course).of(bought.name, bought.quality)
        return known.voice, known.quality

    voice, quality = weights()
    # Easy for all, asked of the bought one alone, and said a hundred times.
    school.yard.weather(kind="fixed", text="a")
    for n in range(3):
        easy = [f"easy {n} {i}" for i in range(100)] + ["the same"] * 100
        school.gold |= dict.fromkeys(easy, "a")
        alone = "single-query(models=east/twin)"
        school.job(0, known=True, texts=easy, strategy=alone, team="news", use_case="desk")
        school.job(0, known=True, texts=easy, strategy=alone, team=f"sock {n}", use_case="desk")
    school.learn()
    flooded, _ = weights()
    pool_share = TEAM_CAP * 3 / (POOL_PRIOR + TEAM_CAP * 3)
    assert 0 <= flooded - voice <= EASY_SHARE * (1 - voice) + 0.25 * pool_share
    # Other teams alone: what a team without evidence of its own rests on.
    stranger = school.job(1, strategy="single-query", team="new", use_case="desk")
    known = Reputation(engine).of([bought], stranger)["east/twin"]
    teams = 4  # three socks, and the team that was honest
    assert abs(known.quality - bought.quality) <= TEAM_CAP * teams / (POOL_PRIOR + TEAM_CAP * teams)
    assert quality > 0


def test_votes_weigh_what_the_yard_has_learned(school: School) -> None:
    weighted = "weighted-vote(council=5, threshold=0.95)"
    first = school.job(5, strategy=weighted)
    assert "skills" not in school.yard.value("SELECT plan FROM chunks WHERE job_id = %s LIMIT 1", first)
    school.yard.weather(**school.answers, error_rate={"m1": 0.05, "m2": 0.65, "m3": 0.65, "twin": 0.65, "m4": 0.65})
    for _ in range(3):
        school.job(90, known=True, strategy="majority-vote(council=6, full=true)")
    school.learn()
    job = school.job(120, known=True, strategy=weighted)
    plans = school.yard.rows("SELECT plan->'skills' FROM chunks WHERE job_id = %s", job)
    (skilled,) = {json.dumps(row[0]) for row in plans}
    rates = {name: of[""] for name, of in json.loads(skilled).items()}
    assert set(rates) == {d.name for d in school.yard.yard.fleet.current().deployments}
    assert rates["v1/m1"] > 0.8 > 0.5 > max(rate for name, rate in rates.items() if name != "v1/m1")
    assert replaying.verify(school.yard.engine, job) == (120, [])
    right = (
        "SELECT avg((d.answer = i.gold)::int)::float8 FROM items i JOIN decisions d ON d.item_id = i.id"
        " WHERE i.job_id = %s"
    )
    weighed = school.yard.value(right, job)
    texts = [row[0] for row in school.yard.rows("SELECT text FROM items WHERE job_id = %s ORDER BY n", job)]
    plain = school.job(0, known=True, texts=texts, strategy="majority-vote(council=5)", team="other")
    assert weighed > school.yard.value(right, plain) + 0.1
    # Learned since, and not known then: the replay goes by what the plan says.
    school.yard.change("UPDATE skills SET evidence = ARRAY[0, 0, 0, 0, 0, 0, 0, 0]::float8[]")
    assert replaying.verify(school.yard.engine, job) == (120, [])


def test_what_an_accepted_answer_costs(small_yard: SmallYard, command: Run) -> None:
    yard = small_yard.open([vendor("one")])
    job = yard.submit(10, strategy="single-query", team="news", use_case="desk")
    yard.submit(5, strategy="single-query", team="sport")
    yard.work()
    assert {(r["judged"], r["accepted"], r["cost_per_accepted_usd"]) for r in worth.spend(yard.engine, "team")} == {
        (None, None, None)
    }
    for n in range(1, 9):
        Outcomes(yard.engine).say(job, f"i{n}", "accepted" if n <= 6 else "rejected")
    spent = yard.value(
        "SELECT sum(cost_micro) FROM decisions d JOIN outcomes o ON o.item_id = d.item_id WHERE d.job_id = %s", job
    )
    told = reports.status(yard.engine, job)
    assert (told.with_gold, told.correct, told.accuracy) == (8, 6, 0.75)
    for by, key in (("team", "news"), ("use_case", "desk"), ("strategy", "single-query"), ("model", "one/m")):
        rows = {r[by]: r for r in worth.spend(yard.engine, by.replace("_", "-"))}
        assert (rows[key]["judged"], rows[key]["accepted"]) == (8, 6)
        assert rows[key]["cost_per_accepted_usd"] == pytest.approx(int(spent) / 6 / 1e6, abs=1e-9)
        if by == "team":
            assert rows["sport"]["accepted"] is None
    yard.change(
        "UPDATE decisions SET cost_micro = NULL WHERE job_id = %s AND item_id = (SELECT min(id) FROM items)", job
    )
    (row,) = [r for r in worth.spend(yard.engine, "team") if r["team"] == "news"]
    assert row["accepted"] == 6
    assert row["cost_per_accepted_usd"] is None, "a part of it is unknown"


def test_learning_reads_a_bounded_part_of_a_large_job(small_yard: SmallYard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skills, "MOST_ITEMS", 20)
    yard = small_yard.open([vendor("one"), vendor("two", "n")])
    job = yard.submit(100)
    yard.work()
    Outcomes(yard.engine).say(job, "i3", "accepted")
    heard = skills.votes_of(yard.engine, job)
    assert len({h.question for h in heard}) == 21, "the latest, and the one that has an outcome"
    assert yard.yard.schooling.learn() != []
    assert yard.value("SELECT votes FROM schooled") == len(heard)
    yard.change("UPDATE schooled SET learned_at = learned_at + interval '1 minute'")
    assert yard.yard.schooling.learn() == [], "nothing is new"
    Outcomes(yard.engine).say(job, "i4", "rejected")
    yard.change("UPDATE outcomes SET at = at + interval '2 minutes' WHERE id = (SELECT max(id) FROM outcomes)")
    assert len(yard.yard.schooling.learn()) == 1


def test_free_texts_are_known_by_outcomes_alone(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("one"), vendor("two", "n")])
    job = yard.submit(10, task="generate", labels=[], strategy="single-query(models=one/m)")
    yard.work()
    yard.yard.schooling.learn()
    assert mastery.of_all(yard.engine, "model") == []
    for n in range(1, 5):
        Outcomes(yard.engine).say(job, f"i{n}", "accepted" if n > 1 else "rejected")
    (row,) = mastery.of_job(yard.engine, job, "model")
    assert (row["model"], row["n"], row["accuracy"], row["source"]) == ("one/m", 4, 0.75, "outcomes")


def test_the_commands_answer(
    small_yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    yard = small_yard.open([vendor("one"), vendor("two", "n")])
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    job = yard.submit(6)
    yard.work()
    assert command("accuracy", "--json").json == []
    assert "nothing is learned yet" in command("accuracy").err
    assert command("outcome", job, "i1", "b", "--json").json == {"job": job, "outcomes": 1}
    (tmp_path / "o.csv").write_text("custom_id,outcome,by\ni2,accepted,x\ni3,rejected,y\n")
    assert command("outcome", job, "--file", "o.csv").code == 0
    (tmp_path / "o.jsonl").write_text('{"custom_id": "i4", "outcome": "a"}\n')
    assert command("outcome", job, "--file", "o.jsonl").code == 0
    assert yard.rows("SELECT said, answer, door FROM outcomes ORDER BY id") == [
        ("label", "b", "command"), ("accepted", "a", "file"), ("rejected", "a", "file"), ("label", "a", "file"),
    ]  # fmt: skip
    rows = command("accuracy", "--job", job, "--json").json
    assert [(r["model"], r["n"], r["accuracy"]) for r in rows] == [("one/m", 4, 0.5), ("two/n", 4, 0.5)]
    assert "100.0%" in command("accuracy", "--job", job, "--by", "label").out
    yard.yard.schooling.learn()
    assert command("accuracy", "--by", "use-case", "--json").json[0]["use_case"] == "default"
    assert command("kinship", "--json").json == []
    assert len(command("kinship", "--all", "--json").json) == 1
    assert "2/4" in command("spend", "--by", "strategy").out
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", yard.urls[1])
    monkeypatch.setenv("SWITCHYARD_FLEET", str(yard.path))
    row = command("fleet", "--json").json[0]
    (learned,) = row["learned"]
    assert row["quality"] == 0.5
    assert {key: learned[key] for key in ("kind", "accuracy", "n", "source")} == {
        "kind": "classify", "accuracy": 0.5, "n": 4, "source": "outcomes",
    }  # fmt: skip
    assert "0.50, 50% of 4 classify" in command("fleet").out
    assert "quality    0.50, 50% of 4 classify" in command("fleet", "one/m").out
    monkeypatch.setenv("SWITCHYARD_LEARN", "0")
    assert command("fleet", "--json").json[0]["learned"] == []


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["{job}", "i9", "accepted"], "no item 'i9'; did you mean 'i"),
        (["{job}", "i1", "aa"], "did you mean 'a'?"),
        (["{job}", "i1", "acepted"], "did you mean 'accepted'?"),
        (["job-x", "i1", "accepted"], "there is no job 'job-x'"),
        (["{job}", "waiting", "accepted"], "is not decided yet"),
        (["{job}", "i1"], "say of which item, or give a file"),
        (["{job}", "--file", "gone.csv"], "gone.csv: cannot be read"),
        (["{job}", "--file", "bad.csv"], "line 3: 'maybe' is neither accepted nor rejected"),
        (["{job}", "--file", "bad.csv"], "line 4: "),
        (["{job}", "--file", "late.csv"], "line 2: the job has no item 'nobody'"),
        (["{job}", "--file", "plain.csv"], "custom_id and outcome"),
        (["{job}", "--file", "empty.csv"], "no outcomes"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    small_yard: SmallYard, command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, argv: list[str], says: str
) -> None:
    yard = small_yard.open([vendor("one"), vendor("two", "n")])
    monkeypatch.setenv("SWITCHYARD_DATABASE_URL", yard.urls[0])
    job = yard.submit(3)
    yard.work()
    yard.change("INSERT INTO items (job_id, n, custom_id, text) VALUES (%s, 9, 'waiting', 'x')", job)
    (tmp_path / "bad.csv").write_text("custom_id,outcome\ni1,accepted\ni2,maybe\ni3\n")
    (tmp_path / "late.csv").write_text("custom_id,outcome\nnobody,accepted\ni1,a\n")
    (tmp_path / "plain.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("custom_id,outcome\n")
    ran = command("outcome", *[word.format(job=job) for word in argv])
    assert ran.code == 2
    assert says in ran.err
    assert yard.value("SELECT count(*) FROM outcomes") == 0


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({}, "job"),
        ({"job": "JOB", "custom_id": "i1"}, "give custom_id and outcome, or a list"),
        ({"job": "JOB", "custom_id": "i1", "outcome": 1}, "'outcome': "),
        ({"job": "JOB", "outcomes": [{"custom_id": "i1", "outcome": "a", "who": "x"}]}, "outcomes.0.who"),
        (
            {"job": "JOB", "outcomes": [{"custom_id": "i1", "outcome": "a"}, {"custom_id": "i7", "outcome": "a"}]},
            "line 2",
        ),
        ({"job": "JOB", "custom_id": "i\0", "outcome": "a"}, "NUL"),
        ({"job": "JOB", "custom_id": "i\ud800", "outcome": "a"}, "'custom_id': must be a valid string"),
    ],
)
def test_a_malformed_message_is_refused_with_a_reason(
    small_yard: SmallYard, message: dict[str, object], says: str
) -> None:
    from app.core.errors import UsageError

    yard = small_yard.open([vendor("one"), vendor("two", "n")])
    job = yard.submit(2)
    yard.work()
    outcomes = Outcomes(yard.engine)
    with pytest.raises(UsageError) as caught:
        outcomes.take({key: job if value == "JOB" else value for key, value in message.items()})
    assert says in str(caught.value)
    assert yard.value("SELECT count(*) FROM outcomes") == 0
    assert outcomes.take({"job": job, "outcomes": [{"custom_id": "i1", "outcome": "a"}]}) == 1
    assert outcomes.take(json.loads(json.dumps({"job": job, "custom_id": "i2", "outcome": "rejected"}))) == 1
