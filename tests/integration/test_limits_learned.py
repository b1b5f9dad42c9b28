"""Limits that teach themselves, from the responses of live traffic to the gates of every process."""

from __future__ import annotations

from collections import Counter

from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}


def test_headers_that_state_a_lower_limit_are_kept_to(small_yard: SmallYard) -> None:
    """A provider that is named like a vendor speaks with its headers: groq's -tokens are the minute's."""
    yard = small_yard.open([vendor("groq", tpm=100_000, concurrency=1)])
    yard.weather({"provider": "groq", "kind": "header_limits", "tpm": 4_000})
    yard.submit(1, **SINGLE)
    yard.work()
    assert yard.rows("SELECT scope, rule, value FROM learned_limits") == [("provider:groq", "tpm", 4_000)]
    [rule] = [r for u in yard.worker().view.look()[0].usage for r in u.rules if r.rule == "tpm" and r.limit is not None]
    assert (rule.limit, rule.configured) == (4_000, 100_000)


def test_headers_never_raise_a_limit_unless_told_to(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("groq", tpm=50_000), vendor("cerebras", tpm=50_000, learn_upwards=True)])
    for name in ("groq", "cerebras"):
        yard.weather({"provider": name, "kind": "header_limits", "tpm": 90_000})
        yard.mark("down", "groq/m", "cerebras/m")
        yard.change("UPDATE health SET state = 'healthy' WHERE deployment = %s", f"{name}/m")
        yard.submit(1, **SINGLE)
        yard.work()
    limits = {
        seen.deployment.provider: {r.rule: r.limit for u in seen.usage for r in u.rules if r.limit is not None}["tpm"]
        for seen in yard.yard.view.look()
    }
    assert limits == {"groq": 50_000, "cerebras": 90_000}


def test_a_limit_that_was_lowered_in_silence_is_met_by_a_few_refusals(small_yard: SmallYard) -> None:
    """NVIDIA's manners: no header, and a 429 that names nothing. 600 a minute by the file, 60 in truth."""
    yard = small_yard.open([vendor("nvidia-nim", rpm=600)], gate_margin_s=1.0)
    yard.weather({"provider": "nvidia-nim", "kind": "limits", "rpm": 60})
    yard.submit(90, deadline_s=20, **SINGLE)
    yard.work()
    learned = yard.rows("SELECT scope, rule, value FROM learned_limits")
    assert [row[:2] for row in learned] == [("provider:nvidia-nim", "rpm")]
    # Halved with each refusal that the half before did not spare us: three of them within seconds.
    assert learned[0][2] <= 150
    statuses = Counter(call["status"] for call in yard.sim.calls())
    assert statuses[200] == 60
    assert 1 <= statuses[429] <= 30


def test_a_learned_limit_outlives_redis(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("groq", tpm=100_000)], gate_margin_s=0.2)
    yard.weather({"provider": "groq", "kind": "header_limits", "tpm": 4_000})
    yard.submit(1, **SINGLE)
    yard.work()
    yard.yard.redis.flushdb()
    yard.weather()
    yard.yard.warmer.warm_fleet(yard.yard.fleet.current())
    assert {r.limit for u in yard.yard.view.look()[0].usage for r in u.rules if r.rule == "tpm"} == {4_000, None}


def test_a_seat_that_became_too_slow_is_given_up_to_those_who_are_free(small_yard: SmallYard) -> None:
    """The limit is learned once the chunk is on its track: its seat would now take ten minutes."""
    yard = small_yard.open([vendor("x", rpm=600, quality=0.9)], horizon_s=2.0)
    yard.submit(10, **SINGLE)
    asks = yard.dispatch()
    yard.yard.gates.learn("provider:x", "rpm", 1, 600.0)
    yard.write_fleet([vendor("x", rpm=600, quality=0.9), vendor("y")])
    yard.healthy("y/m")
    yard.open_gates()
    yard.follow(asks)
    yard.work()
    assert [row[1] for row in yard.decisions()] == ["decided"] * 10
    assert Counter(call["provider"] for call in yard.sim.calls()) == {"x": 1, "y": 9}
    assert yard.rows("SELECT DISTINCT failure_kind, tries FROM votes WHERE failure_kind IS NOT NULL") == [
        ("rate_limit", 0)
    ]
