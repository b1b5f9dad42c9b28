"""Accuracy: what is counted, what of it is weighed, and that weights cannot be bought."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.accuracy import (
    EASY_SHARE,
    JOB_CAP,
    OWN_PRIOR,
    POOL_CAP,
    POOL_PRIOR,
    TEAM_CAP,
    Answered,
    Evidence,
    Known,
    pooled,
    records,
    wilson,
)

counts = st.floats(0, 1e6)


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    pairs = [(n, n * draw(st.floats(0, 1))) for n in draw(st.tuples(counts, counts, counts, counts))]
    return Evidence(*(value for pair in pairs for value in pair))


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_an_interval_holds_its_share_and_narrows(n: int, share: float) -> None:
    low, high = wilson(share * n, n)
    assert 0.0 <= low <= high <= 1.0
    if n:
        assert low - 1e-9 <= share <= high + 1e-9
        wide = wilson(share * n / 2, n / 2)
        assert high - low <= wide[1] - wide[0] + 1e-9


def test_wilson_against_the_table() -> None:
    """Values as R's ``prop.test(..., correct = FALSE)`` gives them."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775328), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


@given(evidence(), st.floats(0, 1), st.floats(0.1, 100))
def test_what_is_weighed_is_a_share(seen: Evidence, prior: float, weight: float) -> None:
    for found in (seen.quality(prior, weight), seen.voice(prior, weight)):
        assert -1e-9 <= found <= 1 + 1e-9
    assert Evidence().quality(prior, weight) == pytest.approx(prior)
    assert seen.capped(50.0).questions <= 50.0 + 1e-6


@settings(max_examples=200)
@given(evidence(), st.floats(0, 1), st.floats(0, 1e9), st.floats(0, 1))
def test_a_flood_of_easy_questions_moves_a_vote_by_a_fifth_of_the_way_at_most(
    before: Evidence, prior: float, flood: float, share: float
) -> None:
    """Threat: whoever may submit floods questions that everybody (or the one model asked) gets right."""
    hard = Evidence(
        known_hard=before.known_hard,
        known_hard_right=before.known_hard_right,
        agreed_hard=before.agreed_hard,
        agreed_hard_right=before.agreed_hard_right,
    )
    easy = Evidence(known_easy=flood, known_easy_right=flood * share, agreed_easy=flood, agreed_easy_right=flood)
    without, flooded = hard.voice(prior, OWN_PRIOR), (hard + easy).voice(prior, OWN_PRIOR)
    assert flooded - without <= EASY_SHARE * (1 - without) + 1e-6
    assert without - flooded <= EASY_SHARE * without + 1e-6


@settings(max_examples=200)
@given(evidence(), st.lists(evidence(), max_size=30), evidence(), st.floats(0, 1))
def test_another_team_moves_what_we_rest_on_by_a_fifth_all_of_them_by_half(
    own: Evidence, others: list[Evidence], attacker: Evidence, prior: float
) -> None:
    """Threat: a team lies in its outcomes, or many teams that are one person do."""
    one, many = pooled([attacker]), pooled([*others, attacker])
    fifth = TEAM_CAP / (POOL_PRIOR + TEAM_CAP)
    half = POOL_CAP / (POOL_PRIOR + POOL_CAP)
    for name in ("quality", "voice"):
        before = getattr(Known(prior), name)
        assert abs(getattr(Known(prior, one), name) - before) <= fifth + 1e-6
        assert abs(getattr(Known(prior, many), name) - before) <= half + 1e-6
        alone, beside = getattr(Known(prior, own=own), name), getattr(Known(prior, many, own), name)
        assert abs(beside - alone) <= half + 1e-6
    assert fifth == pytest.approx(0.2)
    assert half == pytest.approx(0.5)


def _said(n: int, right: float, dice: random.Random, **more: object) -> Iterable[Answered]:
    for _ in range(n):
        true = dice.choice("ab")
        said = true if dice.random() < right else ("b" if true == "a" else "a")
        yield Answered("m", said, "job", {true: 1.0}, "gold", **more)  # type: ignore[arg-type]


def test_counts_by_source_and_label() -> None:
    found = records(
        [
            Answered("m", "a", "j", {"a": 1.0}, "gold", hard=True),
            Answered("m", "a", "j", {"b": 1.0}, "outcomes", hard=True),
            Answered("m", "b", "j", {"a": 0.75, "b": 0.25}),
            Answered("m", "a", "j", {"b": 0.6, "c": 0.4}, refused=True),
        ]
    )
    whole = found["m", ""]
    assert whole.counts == {"gold": [1.0, 1.0], "outcomes": [2.0, 0.0], "agreement": [1.0, 0.25]}
    assert (whole.source, whole.n, whole.right) == ("outcomes+gold", 3.0, 1.0)
    assert found["m", "a"].counts == {"gold": [1.0, 1.0], "agreement": [0.75, 0.0]}
    assert found["m", "b"].counts == {"outcomes": [1.0, 0.0], "agreement": [0.25, 0.25]}
    assert ("m", "c") not in found
    assert whole.evidence == Evidence(
        known_hard=2, known_hard_right=1, known_easy=1, known_easy_right=0, agreed_easy=1, agreed_easy_right=0.25
    )


def test_where_nothing_is_known_agreement_speaks() -> None:
    record = records([Answered("m", "a", "j", {"a": 0.9}), Answered("m", "b", "j", {"a": 0.5})])["m", ""]
    assert record.source == "agreement"
    assert record.accuracy == pytest.approx(0.45)
    assert record.interval[0] < 0.45 < record.interval[1]


def test_one_job_counts_as_so_many_questions_at_most_and_another_beside_it() -> None:
    dice = random.Random(5)
    said = list(_said(5_000, 0.9, dice, hard=True))
    one = records(said)
    assert one["m", ""].evidence.questions == pytest.approx(JOB_CAP)
    assert one["m", ""].n == 5_000, "what is told is not capped"
    assert one["m", "a"].evidence.questions + one["m", "b"].evidence.questions == pytest.approx(JOB_CAP)
    other = [Answered(a.voter, a.answer, "other", a.chances, a.source, a.hard) for a in said]
    assert records([*said, *other])["m", ""].evidence.questions == pytest.approx(2 * JOB_CAP)


def test_with_evidence_the_prior_fades() -> None:
    dice = random.Random(6)
    record = records(_said(2_000, 0.9, dice, hard=True))["m", ""]
    known = Known(0.3, own=record.evidence)
    assert 0.75 < known.voice < 0.9
    assert known.quality == pytest.approx(known.voice)


def test_a_label_leans_on_the_whole() -> None:
    known = Known(
        0.5,
        own=Evidence(known_hard=100, known_hard_right=80),
        labels={"a": Evidence(known_hard=5, known_hard_right=0), "b": Evidence(known_hard=300, known_hard_right=30)},
    )
    assert known.voice > known.voice_of("a") > known.voice_of("b")
    assert known.voice_of("unseen") == known.voice
    assert known.voice_of("b") < 0.2
