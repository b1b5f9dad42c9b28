"""The growth report's figures: what they are called, how they are shown, and that sentences say no other number."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.newspaper import growth
from app.newspaper.edition import Edition, Figure, Narrative
from app.newspaper.evidence import facts
from app.newspaper.growth import Counts
from app.newspaper.material import Claim
from app.newspaper.paper import Paper
from app.newspaper.setting.html import edition_page

WEEK = Counts(
    {
        "jobs": 3, "items_decided": 90, "items_undecided": 6, "items_failed": 4, "items_asked": 80,
        "items_first_wave": 60, "items_fell_back": 8, "calls": 12345, "pings": 12, "failed_calls": 1234,
        "ambiguous_calls": 1, "input_tokens": 1_000_000, "output_tokens": 20_000, "cost_micro": 1_234_567,
        "unpriced_calls": 5, "p50_ms": 340, "p95_ms": 2450, "editions": 7, "editions_on_time": 6, "articles": 40,
        "briefs": 3, "sources": 500, "feeds_failed": 2,
    },
    {
        "provider": {f"p{n}": {"calls": n, "cost_micro": 0 if n == 3 else n, "unpriced_calls": n == 3}
                     for n in range(12)},
        "kind": {"rate_limit": {"calls": 4, "failed_calls": 4}},
        "day": {"0": {"calls": 5, "cost_micro": 100}, "6": {"calls": 7, "items_failed": 2}},
        "use": {"news / desks": {"items_decided": 88}},
    },
)  # fmt: skip
BEFORE = Counts({**WEEK.totals, "calls": 11002, "items_decided": 80, "p95_ms": None, "cost_micro": 1_000_000})
NOTHING = Counts({})
PAPER = Paper.model_validate(
    {
        "title": "The Specimen",
        "desk": [{"name": "world", "title": "World", "description": "the world"}],
        "feed": [{"name": "One", "url": "https://example.com/feed"}],
    }
)


def shown(figures: tuple[Figure, ...]) -> dict[str, str]:
    return {figure.id: figure.shown for figure in figures}


def test_figures_are_shown_as_people_write_them() -> None:
    found = shown(growth.figures(WEEK, BEFORE))
    assert {id_: found[id_] for id_ in ("calls", "cost", "p50_ms", "p95_ms", "decided_share", "fallback_share")} == {
        "calls": "12,345",
        "cost": "$1.23",
        "p50_ms": "340 ms",
        "p95_ms": "2.5 s",
        "decided_share": "90.0%",
        "fallback_share": "10.0%",
    }
    assert found["failed_calls.kind.rate_limit"] == "4"
    assert found["items_decided.use.news / desks"] == "88"


def test_the_largest_of_a_group_have_figures_and_an_unknown_cost_has_none() -> None:
    ids = [id_ for id_ in shown(growth.figures(WEEK, BEFORE)) if ".provider." in id_]
    assert [id_ for id_ in ids if id_.startswith("calls")] == [f"calls.provider.p{n}" for n in range(11, 3, -1)]
    few = Counts(WEEK.totals, {"provider": {"p3": WEEK.groups["provider"]["p3"]}})
    assert [id_ for id_ in shown(growth.figures(few, BEFORE)) if ".provider." in id_] == ["calls.provider.p3"]


def test_a_cost_that_nobody_knows_is_left_out_and_its_calls_are_counted() -> None:
    unpriced = Counts({"calls": 4, "cost_micro": 0, "unpriced_calls": 4})
    found = shown(growth.figures(unpriced, NOTHING))
    assert "cost" not in found
    assert found["unpriced_calls"] == "4"
    assert {"decided_share", "p50_ms", "failed_share"} & found.keys() == {"failed_share"}, "shares of nothing are none"


@pytest.mark.parametrize(
    ("usd", "words"),
    [(0, "$0.00"), (0.5, "$0.50"), (0.000012, "$0.000012"), (0.0421, "$0.0421"), (1234.5, "$1,234.50")],
)
def test_money_has_the_digits_that_it_needs(usd: float, words: str) -> None:
    assert shown(growth.figures(Counts({"calls": 1, "cost_micro": round(usd * 1e6)}), NOTHING))["cost"] == words


def test_each_figure_is_a_sentence_with_the_week_before_and_the_change() -> None:
    figures = growth.figures(WEEK, BEFORE)
    told = growth.dossier(figures)
    (source,) = told.sources
    assert list(source.sentences) == [f"g.{n}" for n in range(1, len(figures) + 1)]
    by_id = dict(zip((figure.id for figure in figures), source.sentences.values(), strict=True))
    assert by_id["calls"] == "Calls made: 12,345, up 12.2% from 11,002 the week before."
    assert by_id["decided_share"] == (
        "Share of items that were decided: 90.0%, up 1.1 percentage points from 88.9% the week before."
    )
    assert by_id["failed_share"].endswith("10.0%, down 1.2 percentage points from 11.2% the week before.")
    assert by_id["p95_ms"] == "Time within which 95 of 100 answers came: 2.5 s."
    assert by_id["jobs"] == "Jobs submitted: 3, the same as the week before."
    assert by_id["calls.provider.p9"] == "Calls to p9: 9, against 0 the week before."
    assert by_id["failed_calls.kind.rate_limit"] == "Calls that failed with rate limit: 4, against 0 the week before."
    tenfold = growth.figures(WEEK, Counts({**BEFORE.totals, "calls": 7, "cost_micro": 4321}))
    assert growth.dossier(tenfold).sentence("g.8") == "Calls made: 12,345, up from 7 the week before."
    assert {f.id: f.before_shown for f in tenfold}["cost"] == "$0.004321", "a small sum is not shown as nothing"
    first = growth.dossier(growth.figures(WEEK, NOTHING)).sources[0].sentences
    assert not any("before" in sentence for sentence in first.values()), "there was no week before"


@given(
    counts=st.dictionaries(st.sampled_from(sorted(WEEK.totals)), st.integers(0, 10**12), max_size=30),
    before=st.dictionaries(st.sampled_from(sorted(WEEK.totals)), st.integers(0, 10**12), max_size=30),
)
def test_whatever_was_counted_becomes_finite_figures_and_sentences(counts: Any, before: Any) -> None:
    figures = growth.figures(Counts(counts), Counts(before))
    assert len({figure.id for figure in figures}) == len(figures)
    for figure, sentence in zip(figures, growth.dossier(figures).sources[0].sentences.values(), strict=True):
        assert sentence.startswith(f"{figure.name}: {figure.shown}")
        assert not re.search(r"\b(?:nan|inf|None)\b|-\d", sentence)
        if figure.id in counts and figure.id not in ("p50_ms", "p95_ms"):
            assert figure.value == counts[figure.id]
            assert int(figure.shown.replace(",", "")) == counts[figure.id]


@pytest.mark.parametrize(
    ("cited", "text", "wrong"),
    [
        (["calls"], "The yard made 12,345 calls, up 12.2% from 11,002 the week before.", ""),
        (["calls"], "Calls rose from 11,002 to 12,345.", ""),
        (["calls"], "The yard made 12,346 calls.", "12,346"),
        (["calls"], "The yard made over 13,000 calls.", "13,000"),
        (["jobs"], "The yard made 12,345 calls.", "12,345"),
        (["decided_share"], "It decided 90 percent of its items, 1.1 percentage points more than before.", ""),
        (["decided_share"], "It decided 91 percent of its items.", "91"),
        (["cost"], "The calls cost $1.23, against $1.00 a week earlier.", ""),
        (["cost"], "The calls cost $2.23.", "2.23"),
        (["p50_ms", "p95_ms"], "Half of the answers came within 340 ms, and 95 of 100 within 2.5 s.", ""),
        (["editions", "editions_on_time"], "It shipped seven editions, six of them on time.", ""),
        (["failed_calls.kind.rate_limit"], "Rate limits failed five calls.", "five"),
    ],
)
def test_what_a_writer_says_of_the_figures_is_let_through_only_if_it_is_so(
    cited: list[str], text: str, wrong: str
) -> None:
    figures = growth.figures(WEEK, BEFORE)
    ids = {figure.id: growth.citation(n) for n, figure in enumerate(figures, 1)}
    found = facts.faults(Claim(text=text, cites=tuple(ids[id_] for id_ in cited)), growth.dossier(figures))
    assert [fault.kind for fault in found] == (["number"] if wrong else [])
    assert all(wrong in fault.what for fault in found)


def test_the_printed_report_leads_from_a_sentence_to_its_figure() -> None:
    figures = growth.figures(WEEK, BEFORE)
    n = [figure.id for figure in figures].index("calls") + 1
    claim = Claim(text="The yard made 12,345 calls.", cites=(growth.citation(n),))
    edition = Edition(
        paper="paper",
        title="The Specimen",
        language="en",
        kind="growth",
        date=dt.date(2026, 11, 1),
        narrative=Narrative(headline="More calls", sentences=(claim,)),
        figures=figures,
        charts=growth.charts(WEEK, dt.date(2026, 10, 25), "UTC"),
    )
    page = edition_page(edition, PAPER)
    assert f'<a href="#f{n}" dir="auto">Calls made</a>' in page
    assert f'<tr id="f{n}"><th scope="row"><bdi>Calls made</bdi></th><td class="n"><bdi>12,345</bdi></td>' in page


def test_charts_have_every_day_and_empty_ones_are_left_out() -> None:
    charts = {chart.id: chart for chart in growth.charts(WEEK, dt.date(2026, 10, 25), "Europe/Berlin")}
    assert [(p.at, p.value) for p in charts["calls-by-day"].points] == [
        ("2026-10-25", 5), *((f"2026-10-{day}", 0) for day in range(26, 31)), ("2026-10-31", 7),
    ]  # fmt: skip
    assert charts["cost-by-day"].points[0].value == 0.0001
    assert charts["cost-by-day"].note.endswith("Calls of unknown cost, which are not in it: 5.")
    assert charts["failed_calls-by-kind"].points[0].at == "rate limit"
    assert "items_undecided-by-day" not in charts
    assert growth.charts(NOTHING, dt.date(2026, 10, 25), "UTC") == ()


def test_the_prompts_words_hold_no_figure() -> None:
    assert "The Specimen" in growth.words(PAPER)
    assert re.findall(r"\d+", growth.words(PAPER)) == []
