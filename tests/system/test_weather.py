"""A day of weather in half a minute. ``make weather`` is the same in five, with what needs a minute besides."""

from __future__ import annotations

from app.core.values import FailureKind
from bench import sky, weather


def test_every_failure_kind_comes_and_everything_goes_as_scripted() -> None:
    result = weather.run(0.5)
    print(weather.table(result))
    assert result["violations"] == []
    assert set(result["decisions"]) == {"decided", "failed"}
    assert result["decisions"]["failed"] <= result["struck"][FailureKind.INVALID_REQUEST]
    of_providers = set(FailureKind) - {
        FailureKind.BREAKER_OPEN, FailureKind.BUDGET, FailureKind.OVERDUE, FailureKind.AMBIGUOUS, FailureKind.PRIVACY,
    }  # fmt: skip
    assert {kind for kind, calls in result["struck"].items() if calls} == of_providers
    assert max(row["load"] or 0 for row in result["spells"]) <= 10
    assert result["tokens"][0] == result["tokens"][1]
    assert result["micro"][0] == result["micro"][1]
    assert {row["provider"] for row in result["spells"]} == {row["name"] for row in sky.fleet(1)}
