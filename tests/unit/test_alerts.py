"""What fires, what recovers, and that each change is told once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.alerts import (
    FLEET,
    YARD,
    Alert,
    Calls,
    Condition,
    Cost,
    Facts,
    Fallback,
    Level,
    Notice,
    Quality,
    Quota,
    RefusedKey,
    Standing,
    Thresholds,
    changes,
    conditions,
    unmeasured,
)

T = Thresholds()
GONE = "model_not_found: no such model"


def levels(facts: Facts) -> dict[tuple[str, str], str]:
    return {(c.name.value, c.subject): c.level.value for c in conditions(facts, T)}


def calls(*, timed: int = 0, p95_s: float = 0.0, ended: int = 0, failed: int = 0) -> Facts:
    return Facts(calls=(Calls("x/m", timed, p95_s * 1000 if timed else None, ended, failed),))


def test_the_thresholds_are_those_of_the_issue() -> None:
    assert (T.p95_latency_s, T.error_rate, T.fallback_rate, T.cost) == (5.0, 0.01, 0.05, 1.0)
    assert (T.quality, T.quota, T.stalled_s) == (0.7, 0.9, 600.0)


@pytest.mark.parametrize(
    ("facts", "name", "subject", "level"),
    [
        (calls(timed=20, p95_s=5.1), Alert.P95_LATENCY, "x/m", Level.BAD),
        (calls(timed=20, p95_s=5.0), Alert.P95_LATENCY, "x/m", Level.EDGE),
        (calls(timed=20, p95_s=4.1), Alert.P95_LATENCY, "x/m", Level.EDGE),
        (calls(timed=20, p95_s=4.0), Alert.P95_LATENCY, "x/m", Level.GOOD),
        (calls(timed=19, p95_s=60), Alert.P95_LATENCY, "x/m", Level.EDGE),
        (calls(timed=1, p95_s=0.1), Alert.P95_LATENCY, "x/m", Level.GOOD),
        (calls(ended=3, failed=1), Alert.ERROR_RATE, "x/m", Level.EDGE),
        (calls(ended=3, failed=3), Alert.ERROR_RATE, "x/m", Level.EDGE),
        (calls(ended=20, failed=2), Alert.ERROR_RATE, "x/m", Level.EDGE),
        (calls(ended=20, failed=3), Alert.ERROR_RATE, "x/m", Level.BAD),
        (calls(ended=300, failed=3), Alert.ERROR_RATE, "x/m", Level.EDGE),
        (calls(ended=1000, failed=8), Alert.ERROR_RATE, "x/m", Level.GOOD),
        (calls(ended=1000, failed=9), Alert.ERROR_RATE, "x/m", Level.EDGE),
        (Facts(fallback=Fallback(100, 6)), Alert.FALLBACK_RATE, FLEET, Level.BAD),
        (Facts(fallback=Fallback(100, 5)), Alert.FALLBACK_RATE, FLEET, Level.EDGE),
        (Facts(fallback=Fallback(100, 4)), Alert.FALLBACK_RATE, FLEET, Level.GOOD),
        (Facts(fallback=Fallback(10, 9)), Alert.FALLBACK_RATE, FLEET, Level.EDGE),
        (Facts(costs=(Cost("j", 20, 11_000.0, 100, 1_000_000),)), Alert.COST, "j", Level.BAD),
        (Facts(costs=(Cost("j", 19, 11_000.0, 100, 1_000_000),)), Alert.COST, "j", Level.EDGE),
        (Facts(costs=(Cost("j", 20, 8_000.0, 100, 1_000_000),)), Alert.COST, "j", Level.GOOD),
        (Facts(costs=(Cost("j", 20, 8_000.0, 100, 0),)), Alert.COST, "j", Level.BAD),
        (Facts(qualities=(Quality("j", 20, 0.69, True),)), Alert.QUALITY, "j", Level.BAD),
        (Facts(qualities=(Quality("j", 19, 0.1, True),)), Alert.QUALITY, "j", Level.EDGE),
        (Facts(qualities=(Quality("j", 20, 0.7, False),)), Alert.QUALITY, "j", Level.EDGE),
        (Facts(qualities=(Quality("j", 20, 0.77, False),)), Alert.QUALITY, "j", Level.GOOD),
        (Facts(quotas=(Quota("provider:x", "rpd", 91, 100),)), Alert.QUOTA, "provider:x rpd", Level.BAD),
        (Facts(quotas=(Quota("provider:x", "rpd", 80, 100),)), Alert.QUOTA, "provider:x rpd", Level.EDGE),
        (Facts(quotas=(Quota("provider:x", "rpd", 0, 100),)), Alert.QUOTA, "provider:x rpd", Level.GOOD),
        (Facts(quotas=(Quota("provider:x", "rpd", 0, 0),)), Alert.QUOTA, "provider:x rpd", Level.GOOD),
        (Facts(idle_s=601), Alert.STALLED, YARD, Level.BAD),
        (Facts(idle_s=599), Alert.STALLED, YARD, Level.GOOD),
        (Facts(idle_s=float("inf")), Alert.STALLED, YARD, Level.BAD),
    ],
)
def test_what_each_measure_means(facts: Facts, name: Alert, subject: str, level: Level) -> None:
    assert levels(facts)[name.value, subject] == level.value


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("x/a", "healthy", None), ("x/b", "down", "timeout: ...")], set()),
        ([("x/a", "degraded", None), ("x/b", "down", "timeout: ...")], set()),
        ([("x/a", "down", "timeout"), ("x/b", "down", "timeout")], {("provider_out", "x")}),
        ([("x/a", "out", "auth: bad key"), ("x/b", "healthy", None)], {("provider_out", "x")}),
        ([("x/a", "out", "billing: unpaid"), ("x/b", "out", "billing: unpaid")], {("provider_out", "x")}),
        ([("x/a", "out", None), ("y/b", "healthy", None)], {("provider_out", "x")}),
        ([("x/a", "out", GONE), ("x/b", "healthy", None)], {("model_out", "x/a")}),
        ([("x/a", "out", GONE)], {("model_out", "x/a")}),
        ([("x/a", "out", GONE), ("x/b", "out", "auth: no")], {("model_out", "x/a"), ("provider_out", "x")}),
        ([("x/a", "out", GONE), ("x/b", "down", "timeout")], {("model_out", "x/a"), ("provider_out", "x")}),
        ([("x/a", "down", None), ("x-y/b", "healthy", None), ("x/c", "down", None)], {("provider_out", "x")}),
    ],
)
def test_a_provider_is_told_once_whatever_became_of_its_models(
    states: list[tuple[str, str, str | None]], expected: set[tuple[str, str]]
) -> None:
    found = levels(Facts(health=tuple(Standing(*row) for row in states)))
    assert found == dict.fromkeys(expected, "bad")


def test_one_key_of_several_is_told_by_itself_the_last_one_with_its_provider() -> None:
    key = RefusedKey("x", "X_KEY_2", "auth: revoked")
    alone = Facts(health=(Standing("x/m", "healthy"),), keys=(key,))
    told = changes([], conditions(alone, T))
    assert [(n.name, n.subject, n.firing) for n in told] == [("key_out", "x X_KEY_2", True)]
    last = Facts(health=(Standing("x/m", "out", "auth: revoked"),), keys=(key, RefusedKey("x", "X_KEY_1")))
    told = changes([("key_out", "x X_KEY_2")], conditions(last, T))
    assert [(n.name, n.subject, n.firing) for n in told] == [("provider_out", "x", True)]
    assert [(n.name, n.firing) for n in changes([("key_out", "x X_KEY_2")], [])] == [("key_out", False)]


def condition(level: Level, value: float = 1.0) -> Condition:
    return Condition(Alert.COST, "j", level, value, 1.0, "said")


def test_a_change_is_told_once_and_a_value_at_the_edge_changes_nothing() -> None:
    key = ("cost", "j")
    assert changes([], [condition(Level.BAD)]) == [Notice("cost", "j", True, 1.0, 1.0, "said")]
    assert changes([key], [condition(Level.BAD)]) == []
    assert changes([key], [condition(Level.EDGE)]) == []
    assert changes([], [condition(Level.EDGE)]) == []
    assert changes([], [condition(Level.GOOD)]) == []
    assert changes([key], [condition(Level.GOOD)]) == [Notice("cost", "j", False, 1.0, 1.0, "said")]


def test_what_is_measured_no_more_has_recovered_unless_nobody_could_measure() -> None:
    (gone,) = changes([("quota", "x rpd")], [])
    assert (gone.name, gone.subject, gone.firing, gone.value) == ("quota", "x rpd", False, None)
    blind = Facts(blind=True)
    assert changes([("quota", "x rpd")], conditions(blind, T), unmeasured(blind)) == []
    assert unmeasured(Facts()) == frozenset()
    assert [n.firing for n in changes([("an alert of an older version", "x")], [])] == [False]


_looks = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from(list(Alert)), st.sampled_from(["a", "b"])),
        st.sampled_from(list(Level)),
        max_size=6,
    ),
    max_size=30,
)


@given(_looks, st.frozensets(st.sampled_from(list(Alert))))
def test_never_two_equal_notices_in_a_row_and_silence_where_nothing_changes(
    looks: list[dict[tuple[Alert, str], Level]], blind: frozenset[Alert]
) -> None:
    firing: set[tuple[str, str]] = set()
    last: dict[tuple[str, str], bool] = {}
    for look in looks:
        found = [Condition(name, subject, level, 1.0, 1.0, "") for (name, subject), level in look.items()]
        told = changes(firing, found, blind)
        assert len({(n.name, n.subject) for n in told}) == len(told)
        for notice in told:
            key = (notice.name, notice.subject)
            assert last.get(key, False) is not notice.firing
            last[key] = notice.firing
            (firing.add if notice.firing else firing.discard)(key)
        assert changes(firing, found, blind) == [], "the same look again says nothing"
        bad = {(name.value, subject) for (name, subject), level in look.items() if level is Level.BAD}
        assert bad <= firing


@given(st.lists(st.floats(min_value=4.05, max_value=20), max_size=50))
def test_a_value_that_stays_above_its_recovery_line_is_told_once_at_most(values: list[float]) -> None:
    firing: set[tuple[str, str]] = set()
    told = []
    for value in values:
        new = changes(firing, conditions(calls(timed=50, p95_s=value), T))
        told += new
        firing |= {(n.name, n.subject) for n in new if n.firing}
    assert len(told) == (1 if any(v > 5 for v in values) else 0)
