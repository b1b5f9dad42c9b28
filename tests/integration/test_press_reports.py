"""What an edition and the growth report say of the yard's work, counted anew from the ledger's raw rows."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.ledger import door, edition_steps, editions, press_reports, reports
from app.ledger import growth as ledger
from app.ledger.states import JobState
from app.newspaper import growth, weekly
from app.newspaper.edition import Dropped, Edition, Page, Piece
from app.newspaper.material import FeedReport
from app.newspaper.paper import Paper
from app.services.press.colophon import colophon
from app.services.press.growth import gather_growth
from tests.integration.small_yard import SmallYard, vendor

SUNDAY = dt.date(2026, 11, 1)
"""The week before it begins on the day on which Berlin's clocks are put back: 25 October has 25 hours."""
BERLIN = ZoneInfo("Europe/Berlin")
PAPER = Paper.model_validate(
    {
        "title": "The Specimen",
        "time_zone": "Europe/Berlin",
        "desk": [{"name": "world", "title": "World", "description": "the world"}],
        "feed": [{"name": "One", "url": "https://example.com/feed"}],
    }
)
RAW = (
    "id, job_id, item_id, item_ids, purpose, provider, deployment, state, failure_kind, latency_ms, input_tokens,"
    " cached_tokens, output_tokens, reasoning_tokens, cost_micro, flags, started_at"
)


@pytest.fixture
def yard(small_yard: SmallYard) -> SmallYard:
    """Several jobs have run on it: on good days and bad ones, packed and single, priced and unpriced, with pings."""
    vendors = [
        vendor("x", quality=0.9),
        vendor("y", quality=0.8),
        vendor("z", quality=0.7, priced=False),
        vendor("w", quality=0.4),
    ]
    return small_yard.open(vendors)


def open_edition(yard: SmallYard, kind: str, date: dt.date, run: int = 1, late: bool = False) -> editions.Opened:
    opened_at = dt.datetime.combine(date, dt.time(5), BERLIN)
    id_ = editions.open_edition(
        yard.engine,
        paper=PAPER.name,
        kind=kind,
        date=date,
        run=run,
        settings=PAPER.model_dump(mode="json"),
        base="",
        specimen=True,
        late=late,
        opened_at=opened_at,
        deadline_at=opened_at + dt.timedelta(hours=1),
    )
    assert id_ is not None
    return editions.edition(yard.engine, id_)


def begin(yard: SmallYard, edition: editions.Opened, step: str, job: str) -> None:
    edition_steps.begin(yard.engine, edition.id, step, job, edition.deadline_at, edition.opened_at)


def raw(yard: SmallYard, jobs: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """Every attempt as it stands, of these jobs or of all."""
    names = RAW.split(", ")
    found = [dict(zip(names, row, strict=True)) for row in yard.rows(f"SELECT {RAW} FROM attempts ORDER BY id")]
    wanted = None if jobs is None else set(jobs)
    return [one for one in found if wanted is None or one["job_id"] in wanted]


def was_called(attempt: dict[str, Any]) -> bool:
    return attempt["state"] != "unsent" and "drill" not in (attempt["flags"] or [])


def run_several(yard: SmallYard) -> dict[str, str]:
    """Name → job: packs, a provider that falls away, refusals, unreadable answers at an unknown price, items that
    nobody can answer, one given up, identical ones; and pings."""
    jobs = {}
    jobs["sort"] = yard.submit(30, texts=[f"a text of {n}" for n in range(30)], pack=10, team="news", use_case="desks")
    yard.work()
    yard.weather({"provider": "x", "kind": "error", "status": 500}, kind="fixed", text="b")
    jobs["write:world"] = yard.submit(4, strategy="ranked-fallback(council=4)", team="news", use_case="writing")
    yard.work()
    yard.weather({"provider": "y", "kind": "content_filter"}, kind="fixed", text="a")
    jobs["check:world"] = yard.submit(3, strategy="majority-vote(council=2)", team="news", use_case="checks")
    yard.work()
    empty = {"kind": "wrong_json", "form": "empty_content"}
    yard.weather({"provider": "y", **empty}, {"provider": "z", **empty}, kind="fixed", text="a")
    jobs["unread"] = yard.submit(2, strategy="ranked-fallback(council=4)", team="ops", use_case="mail")
    yard.work()
    yard.weather({"provider": "*", "kind": "invalid_request"}, kind="fixed", text="a")
    jobs["refused"] = yard.submit(2, strategy="ranked-fallback(council=4)", team="ops", use_case="mail")
    yard.work()
    jobs["given-up"] = yard.submit(3, team="ops", use_case="mail")
    door.change_state(yard.engine, jobs["given-up"], JobState.CANCELLED)
    yard.weather(kind="fixed", text="a")
    same = ["the same text"] * 3 + ["another text"]
    jobs["doubled"] = yard.submit(4, texts=same, strategy="single-query", team="ops", use_case="mail")
    yard.work()
    yard.yard.monitor.check(everyone=True)
    return jobs


def write_odd_calls(yard: SmallYard, job: str) -> None:
    """Calls whose end nobody knows, that were never sent, that a drill struck, and that woke a model."""
    for state, kind, flags, cost in (
        ("ambiguous", None, None, 70),
        ("unsent", None, None, 0),
        ("failed", "timeout", ["drill"], 0),
        ("answered", None, ["cold_start"], 11),
    ):
        yard.change(
            "INSERT INTO attempts (job_id, provider, deployment, state, failure_kind, flags, cost_micro, latency_ms,"
            " input_tokens, cached_tokens, output_tokens, reasoning_tokens, started_at)"
            " SELECT id, 'y', 'y/m', %s, %s, %s, %s, 90000, %s, %s, %s, %s, created_at FROM jobs WHERE id = %s",
            *(state, kind, flags, cost, *((0,) * 4 if state == "unsent" else (5, 3, 2, 1)), job),
        )


def test_a_colophons_sums_are_those_of_the_attempts_to_the_unit(yard: SmallYard) -> None:
    jobs = run_several(yard)
    write_odd_calls(yard, jobs["sort"])
    edition = open_edition(yard, "daily", SUNDAY)
    steps = ("sort", "write:world", "check:world", "unread")
    for step in steps:
        begin(yard, edition, step, jobs[step])
    edition_steps.pass_over(yard.engine, edition.id, "lead", edition.deadline_at, edition.deadline_at, "not needed")
    other = open_edition(yard, "weekly", SUNDAY)
    begin(yard, other, "lead", jobs["doubled"])
    feeds = [FeedReport(feed="One", state="read", articles=3)]
    dropped = [Dropped(what="a sentence of a story", why="no source says so", step="check:world")]
    said = {"gather": "in time", "sort": "at its deadline"}
    found = colophon(yard.engine, edition, feeds, dropped, said, edition.deadline_at)

    calls = [one for one in raw(yard, (jobs[step] for step in steps)) if was_called(one)]
    assert found.calls == sum(hand.calls for hand in found.hands) == len(calls) > 30
    assert round(found.cost_usd * 1e6) == sum(one["cost_micro"] or 0 for one in calls)
    assert found.unpriced_calls == sum(one["cost_micro"] is None for one in calls) > 0
    assert found.input_tokens == sum(one["input_tokens"] + one["cached_tokens"] for one in calls)
    assert found.output_tokens == sum(one["output_tokens"] + one["reasoning_tokens"] for one in calls)
    step_of = {jobs[step]: step for step in steps}
    by_hand = Counter((step_of[one["job_id"]], one["deployment"]) for one in calls)
    assert {(hand.step, hand.deployment): hand.calls for hand in found.hands} == by_hand
    for hand in found.hands:
        own = [one for one in calls if (step_of[one["job_id"]], one["deployment"]) == (hand.step, hand.deployment)]
        known = [one["cost_micro"] for one in own if one["cost_micro"]]
        unpriced = any(one["cost_micro"] is None for one in own)
        assert hand.cost_usd == (None if unpriced and not known else sum(known) / 1e6)
        assert hand.failed == sum(one["state"] in ("failed", "ambiguous") for one in own)
        assert hand.input_tokens == sum(one["input_tokens"] + one["cached_tokens"] for one in own)
        assert hand.output_tokens == sum(one["output_tokens"] + one["reasoning_tokens"] for one in own)
    assert None in {hand.cost_usd for hand in found.hands}, "z's price is unknown"
    failed = Counter(
        (one["provider"], "ambiguous" if one["state"] == "ambiguous" else one["failure_kind"])
        for one in calls
        if one["state"] in ("failed", "ambiguous")
    )
    assert {(w.provider, w.kind): w.count for w in found.weather} == failed
    assert {kind for _, kind in failed} == {"server_error", "content_filter", "malformed", "ambiguous"}
    assert sum(w.count for w in found.weather) == sum(hand.failed for hand in found.hands)
    assert found.votes == sum(reports.status(yard.engine, jobs[step]).votes for step in steps)
    assert [(line.step, line.job, line.items, line.decided, line.said) for line in found.steps] == [
        ("gather", "", 0, 0, "in time"),
        ("sort", jobs["sort"], 30, 30, "at its deadline"),
        ("write:world", jobs["write:world"], 4, 4, ""),
        ("check:world", jobs["check:world"], 3, 3, ""),
        ("unread", jobs["unread"], 2, 2, ""),
        ("lead", "", 0, 0, "not needed"),
    ]
    assert (found.feeds, found.dropped) == (tuple(feeds), tuple(dropped))
    assert (found.made_at, found.opened_at) == (edition.deadline_at, edition.opened_at)


def test_an_edition_that_asked_nobody_has_a_colophon_all_the_same(yard: SmallYard) -> None:
    edition = open_edition(yard, "daily", SUNDAY)
    found = colophon(yard.engine, edition, [], [], {"gather": "in time"}, edition.deadline_at)
    assert (found.calls, found.votes, found.cost_usd, found.hands, found.weather) == (0, 0, 0.0, (), ())
    assert [line.step for line in found.steps] == ["gather"]


def test_a_job_under_two_steps_is_counted_once(yard: SmallYard) -> None:
    job = yard.submit(2, strategy="single-query")
    yard.work()
    edition = open_edition(yard, "daily", SUNDAY)
    begin(yard, edition, "a", job)
    begin(yard, edition, "b", job)
    found = press_reports.making(yard.engine, edition.id)
    assert (found.calls, [hand.step for hand in found.hands]) == (2, ["a"])
    assert [line.step for line in found.steps] == ["a", "b"]


# The growth report


def spread(yard: SmallYard, jobs: dict[str, str]) -> None:
    """Put the jobs, and their calls and decisions with them, into two weeks: some at the very edge of a day."""
    week, before = SUNDAY - weekly.WEEK, SUNDAY - 2 * weekly.WEEK
    edge = dt.timedelta(milliseconds=40)
    at = {
        "sort": dt.datetime.combine(week, dt.time(), BERLIN) - edge,
        # The hour that comes twice, the second time.
        "write:world": dt.datetime.combine(week, dt.time(2, 30), BERLIN).replace(fold=1),
        "check:world": dt.datetime.combine(SUNDAY, dt.time(), BERLIN) - edge,
        "unread": dt.datetime.combine(before, dt.time(), BERLIN),
        "refused": dt.datetime.combine(week + dt.timedelta(3), dt.time(23, 59), BERLIN),
        "given-up": dt.datetime.combine(week + dt.timedelta(3), dt.time(23), BERLIN),
        "doubled": dt.datetime.combine(week + dt.timedelta(4), dt.time(12), BERLIN),
    }
    # What is closed or decided stays as it is, but for this rehearsal of a calendar.
    for table in ("attempts", "votes", "decisions"):
        yard.change(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for name, job in jobs.items():
        created = yard.value("SELECT created_at FROM jobs WHERE id = %s", job)
        by = at[name].astimezone(dt.UTC) - created
        of_chunks = "chunk_id IN (SELECT id FROM chunks WHERE job_id = %s)"
        for statement in (
            "UPDATE jobs SET created_at = created_at + %s WHERE id = %s",
            "UPDATE attempts SET started_at = started_at + %s WHERE job_id = %s",
            "UPDATE decisions SET decided_at = decided_at + %s WHERE job_id = %s",
            f"UPDATE asks SET created_at = created_at + %s WHERE {of_chunks}",
            f"UPDATE votes SET cast_at = cast_at + %s WHERE {of_chunks}",
        ):
            yard.change(statement, by, job)
    noon = dt.datetime.combine(week + dt.timedelta(5), dt.time(12), BERLIN)
    yard.change("UPDATE attempts SET started_at = %s WHERE purpose = 'ping'", noon)
    # Calls on the edges themselves: the first moment of the week is in it, the first one after it is not.
    for moment in (week, SUNDAY):
        yard.change(
            "INSERT INTO attempts (purpose, provider, deployment, state, cost_micro, started_at)"
            " VALUES ('ping', 'w', 'w/m', 'answered', 1000003, %s)",
            dt.datetime.combine(moment, dt.time(), BERLIN),
        )


def dated(moment: dt.datetime) -> dt.date:
    return moment.astimezone(BERLIN).date()


def in_week(moment: dt.datetime, first: dt.date) -> bool:
    return first <= dated(moment) < first + weekly.WEEK


def recount(yard: SmallYard, first: dt.date) -> dict[str, Any]:
    """The week's numbers from the raw rows, one by one."""
    calls = [one for one in raw(yard) if was_called(one) and in_week(one["started_at"], first)]
    items = [
        row
        for row in yard.rows("SELECT item_id, chunk_id, status, flags, decided_at FROM decisions")
        if in_week(row[4], first)
    ]
    asks = yard.rows("SELECT chunk_id, wave, seat, item_ids, created_at FROM asks")
    votes = yard.rows("SELECT chunk_id, item_id, seat, failure_kind, cast_at FROM votes")
    asked = [row for row in items if row[2] == "decided" and row[1] is not None and "duplicate" not in row[3]]
    later = [r for r in asked if any(a[0] == r[1] and r[0] in a[3] and a[1] > 1 for a in asks)]
    fell = [
        row
        for row in asked
        if any(
            v[:2] == (row[1], row[0]) and v[3] is not None
            and any(a[0] == v[0] and a[2] != v[2] and v[1] in a[3] and a[4] >= v[4] for a in asks)
            for v in votes
        )
    ]  # fmt: skip
    times = sorted(
        one["latency_ms"]
        for one in calls
        if one["state"] == "answered" and one["purpose"] != "ping" and "cold_start" not in (one["flags"] or [])
    )
    statuses = Counter(row[2] for row in items)
    cost, unpriced = sum(c["cost_micro"] or 0 for c in calls), sum(c["cost_micro"] is None for c in calls)
    failed = [c for c in calls if c["state"] == "failed"]
    return {
        "jobs": sum(in_week(row[0], first) for row in yard.rows("SELECT created_at FROM jobs")),
        "items_decided": statuses["decided"],
        "items_undecided": statuses["undecided"],
        "items_failed": statuses["failed"],
        "decided_share": statuses["decided"] / len(items) if items else None,
        "first_wave_share": 1 - len(later) / len(asked) if asked else None,
        "fallback_share": len(fell) / len(asked) if asked else None,
        "calls": len(calls),
        "pings": sum(c["purpose"] == "ping" for c in calls),
        "failed_calls": len(failed),
        "failed_share": len(failed) / len(calls) if calls else None,
        "ambiguous_calls": sum(c["state"] == "ambiguous" for c in calls),
        "input_tokens": sum(c["input_tokens"] + c["cached_tokens"] for c in calls),
        "output_tokens": sum(c["output_tokens"] + c["reasoning_tokens"] for c in calls),
        "cost": None if unpriced and not cost else cost / 1e6,
        "unpriced_calls": unpriced,
        "p50_ms": times[math.ceil(0.5 * len(times)) - 1] if times else None,
        "p95_ms": times[math.ceil(0.95 * len(times)) - 1] if times else None,
        **{f"calls.provider.{p}": n for p, n in Counter(c["provider"] for c in calls).items()},
        **{f"failed_calls.kind.{k}": n for k, n in Counter(c["failure_kind"] for c in failed).items()},
        **{
            f"cost.{group}.{name}": sum(c["cost_micro"] or 0 for c in calls if c[column] == name) / 1e6
            for group, column in (("provider", "provider"), ("model", "deployment"))
            for name in {c[column] for c in calls if c["cost_micro"]}
        },
    }


def test_every_figure_of_the_growth_report_is_the_ledgers(yard: SmallYard) -> None:
    jobs = run_several(yard)
    write_odd_calls(yard, jobs["sort"])
    spread(yard, jobs)
    edition = open_edition(yard, "growth", SUNDAY)
    figures, charts = gather_growth(yard.engine, PAPER, edition)
    of_paper = {"editions", "editions_on_time", "articles", "briefs", "sources", "feeds_failed"}
    of_use = {figure.id: figure.value for figure in figures if figure.id.startswith("items_decided.use.")}
    found = {f.id: f for f in figures if f.id not in of_paper and f.id not in of_use}
    this, before = recount(yard, SUNDAY - weekly.WEEK), recount(yard, SUNDAY - 2 * weekly.WEEK)
    assert {id_: figure.value for id_, figure in found.items()} == {k: v for k, v in this.items() if v is not None}
    for id_, figure in found.items():
        # Of a group's member that was not there the week before: none of it, no unknown.
        assert figure.before == before.get(id_, 0.0), id_
    assert this["calls"] > 20 and before["calls"] > 5, "both weeks have something to compare"
    assert 0 < this["fallback_share"] < 1 and 0 < this["first_wave_share"] < 1 and this["items_failed"]
    assert this["items_undecided"] and this["unpriced_calls"] and this["ambiguous_calls"] + before["ambiguous_calls"]
    uses = Counter(
        f"{team} / {use}"
        for team, use, status, at in yard.rows(
            "SELECT j.team, j.use_case, d.status, d.decided_at FROM decisions d JOIN jobs j ON j.id = d.job_id"
        )
        if status == "decided" and in_week(at, SUNDAY - weekly.WEEK)
    )
    assert of_use == {f"items_decided.use.{use}": n for use, n in uses.items()}
    by_id = {chart.id: chart for chart in charts}
    calls_a_day = Counter(
        f"{dated(c['started_at'])}"
        for c in raw(yard)
        if was_called(c) and in_week(c["started_at"], SUNDAY - weekly.WEEK)
    )
    drawn = {point.at: point.value for point in by_id["calls-by-day"].points}
    assert list(drawn) == [f"2026-10-{day}" for day in range(25, 32)]
    assert drawn == {day: calls_a_day[day] for day in drawn}
    assert sum(p.value for p in by_id["calls-by-provider"].points) == found["calls"].value
    assert sum(p.value for p in by_id["failed_calls-by-kind"].points) == found["failed_calls"].value
    for status in ("decided", "undecided", "failed"):
        assert sum(p.value for p in by_id[f"items_{status}-by-day"].points) == found[f"items_{status}"].value
    for chart in ("cost-by-day", "cost-by-model"):
        assert round(sum(p.value for p in by_id[chart].points), 6) == found["cost"].value


def test_it_says_what_spend_says(yard: SmallYard) -> None:
    jobs = run_several(yard)
    write_odd_calls(yard, jobs["sort"])
    spread(yard, jobs)
    utc = PAPER.model_copy(update={"time_zone": "UTC"})
    days = weekly.day_starts(SUNDAY, utc.zone, weeks=2)
    before, this = ledger.counted(yard.engine, utc.name, days, SUNDAY - 2 * weekly.WEEK)
    first = SUNDAY - 2 * weekly.WEEK
    by_day = {
        f"{first + dt.timedelta(7 * week + int(day))}": counted
        for week, counts in enumerate((before, this))
        for day, counted in counts.groups["day"].items()
        if counted.get("calls")
    }
    spent = {row["day"]: row for row in reports.spend(yard.engine, "day")}
    outside = [day for day in spent if not first <= dt.date.fromisoformat(day) < SUNDAY]
    assert outside == [f"{first - dt.timedelta(1)}"], "in Berlin the first day begins two hours earlier"
    assert {**by_day, outside[0]: None}.keys() == spent.keys()
    for day, counted in by_day.items():
        row = spent[day]
        known = None if counted["unpriced_calls"] and not counted["cost_micro"] else counted["cost_micro"] / 1e6
        assert (row["calls"], row["failed"], row["ambiguous"]) == (
            counted["calls"], counted["failed_calls"], counted["ambiguous_calls"],
        )  # fmt: skip
        assert (row["input_tokens"], row["output_tokens"]) == (counted["input_tokens"], counted["output_tokens"])
        assert (row["unpriced_calls"], row["cost_usd"]) == (counted["unpriced_calls"], known)
    for by, group in (("provider", "provider"), ("model", "model")):
        for row in reports.spend(yard.engine, by):
            weeks = [counts.groups[group].get(row[by], {}) for counts in (before, this)]
            elsewhere = [
                c for c in raw(yard)
                if was_called(c) and c[{"model": "deployment"}.get(by, by)] == row[by]
                and not days[0] <= c["started_at"] < days[-1]
            ]  # fmt: skip
            assert row["calls"] == sum(week.get("calls", 0) for week in weeks) + len(elsewhere)


def test_figures_are_counted_once_and_printed_as_counted(yard: SmallYard) -> None:
    edition = open_edition(yard, "growth", SUNDAY)
    first = gather_growth(yard.engine, PAPER, edition)
    assert {figure.value for figure in first[0]} == {0.0}, "a yard that did nothing says so"
    assert {figure.before for figure in first[0]} == {None}
    assert first[1] == ()
    noon = dt.datetime.combine(SUNDAY - dt.timedelta(2), dt.time(12), BERLIN)
    yard.change(
        "INSERT INTO attempts (purpose, provider, deployment, state, started_at)"
        " VALUES ('ping', 'x', 'x/m', 'answered', %s)",
        noon,
    )
    assert gather_growth(yard.engine, PAPER, edition) == first
    again = open_edition(yard, "growth", SUNDAY, run=2)
    counted = {figure.id: figure.value for figure in gather_growth(yard.engine, PAPER, again)[0]}
    assert counted["calls"] == counted["pings"] == 1


def test_the_papers_own_numbers_are_of_what_was_printed_last(yard: SmallYard) -> None:
    def make(date: dt.date, run: int, forms: list[str], kind: str = "daily", late: bool = False) -> None:
        opened = open_edition(yard, kind, date, run, late)
        pieces = tuple(
            Piece(id=f"a{n:010x}", form=form, headline="H", credits=())  # type: ignore[arg-type]
            for n, form in enumerate(forms)
        )
        made = Edition(
            paper=PAPER.name, title=PAPER.title, language="en", kind=kind, date=date, run=run,  # type: ignore[arg-type]
            pages=(Page(desk="world", title="World", pieces=pieces),),
        )  # fmt: skip
        gathered = [{"n": n} for n in range(5)]
        feeds = [{"feed": "One", "state": "failed"}, {"feed": "Two", "state": "read"}]
        assert editions.store_gathered(yard.engine, opened.id, gathered, feeds, opened.opened_at)
        at = opened.deadline_at + dt.timedelta(minutes=5 if run > 1 else 0)
        assert editions.finish(yard.engine, opened.id, made.model_dump(mode="json"), [], [], at)

    monday, sunday_before = SUNDAY - dt.timedelta(6), SUNDAY - dt.timedelta(7)
    make(sunday_before, 1, ["article", "brief", "headline"])
    make(sunday_before, 2, ["article", "article", "headline"])
    make(monday, 1, ["article", "brief"], late=True)
    make(sunday_before, 1, ["headline"] * 3, kind="weekly")
    make(SUNDAY - dt.timedelta(8), 1, ["brief"])
    make(SUNDAY, 1, ["article"])
    open_edition(yard, "daily", SUNDAY - dt.timedelta(1))
    report = open_edition(yard, "growth", SUNDAY)
    figures = {figure.id: (figure.value, figure.before) for figure in gather_growth(yard.engine, PAPER, report)[0]}
    assert {id_: figures[id_] for id_ in ("editions", "editions_on_time", "articles", "briefs")} == {
        "editions": (3, 1),
        "editions_on_time": (2, 1),
        "articles": (3, 0),
        "briefs": (1, 1),
    }
    assert (figures["sources"], figures["feeds_failed"]) == ((15, 5), (3, 1))


def test_the_reports_step_gets_through_limits_that_fall_one_after_the_other(small_yard: SmallYard) -> None:
    """Of six who may write, five are at one limit or another: the sixth writes."""
    names = "abcdef"
    yard = small_yard.open([vendor(n, tier="standard", quality=0.9 - i / 10) for i, n in enumerate(names)])
    yard.weather(
        {"provider": "a", "kind": "quota"},
        {"provider": "b", "kind": "rate_limit", "retry_after": 600.0},
        {"provider": "c", "kind": "billing", "status": 402},
        {"provider": "d", "kind": "error", "status": 529},
        {"provider": "e", "kind": "deprecated"},
        kind="fixed",
        text="The week in figures.",
    )
    step = PAPER.steps.growth
    item = json.dumps({"sources": [{"id": "g", "sentences": {"g.1": "Calls made: 3."}}]})
    job = yard.submit(
        texts=[item], task="generate", labels=[], strategy=step.strategy, tier=step.tier, prompt=growth.words(PAPER)
    )
    yard.work()
    assert yard.decisions() == [("i1", "decided", "The week in figures.", None)]
    edition = open_edition(yard, "growth", SUNDAY)
    begin(yard, edition, "growth:write", job)
    made = press_reports.making(yard.engine, edition.id)
    answered = [hand.deployment for hand in made.hands if hand.calls > hand.failed]
    assert answered == ["f/m"]
    assert {w.provider for w in made.weather} == set("abcde")
