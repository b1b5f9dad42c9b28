"""Live averages and percentiles against a real Redis."""

from __future__ import annotations

import random
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.gates.pulse import Pulse, Pulses


def test_averages_are_of_the_last_few_hundred_calls(redis_client: redis.Redis) -> None:
    pulses = Pulses(redis_client)
    assert pulses.estimates(["a"], "classify") == {"a": Pulse()}
    pulses.observe(
        "a",
        "classify",
        latencies_ms=[500] * 10,
        outputs=[40] * 10,
        tokens_sum=1_000,
        input_tokens_sum=900,
        guessed_input_sum=600,
    )
    seen = Pulse(500.0, 100.0, 1.5, None, 10, pytest.approx(500, rel=0.09))
    assert pulses.estimates(["a", "b"], "classify") == {"a": seen, "b": Pulse()}
    assert pulses.estimates(["a"], "generate") == {"a": seen}, "a kind not seen is told from all"
    for _ in range(100):
        pulses.observe("a", "classify", latencies_ms=[100] * 25, outputs=[8] * 25, tokens_sum=250)
    now = pulses.estimates(["a"], "classify")["a"]
    assert now.latency_ms == pytest.approx(100, rel=0.02)
    assert now.tokens_per_call == pytest.approx(10, rel=0.02)
    assert 100 <= now.samples <= 200
    assert now.output_p95 == 8
    with pytest.raises(ValueError, match="no calls"):
        pulses.observe("a", "classify", latencies_ms=[], tokens_sum=0)


def test_outputs_are_told_by_the_very_kind_once_twenty_were_seen(redis_client: redis.Redis) -> None:
    pulses = Pulses(redis_client)
    pulses.observe("a", "classify", latencies_ms=[1] * 19, outputs=[3] * 19, tokens_sum=1)
    assert pulses.estimates(["a"], "classify")["a"].output_p95 is None
    pulses.observe("a", "classify", latencies_ms=[1], outputs=[3], tokens_sum=1)
    assert pulses.estimates(["a"], "classify")["a"].output_p95 == 3
    assert pulses.estimates(["a"], "generate")["a"].output_p95 is None, "a label says nothing about an essay"
    pulses.observe("a", "generate", latencies_ms=[1] * 20, tokens_sum=1)
    assert pulses.estimates(["a"], "generate")["a"].output_p95 is None, "nothing was said about outputs"


def test_one_long_answer_in_a_hundred_is_not_what_is_reserved(redis_client: redis.Redis) -> None:
    pulses = Pulses(redis_client)
    for _ in range(20):
        pulses.observe("a", "classify", latencies_ms=[1] * 10, outputs=[5] * 9 + [6], tokens_sum=1)
    pulses.observe("a", "classify", latencies_ms=[1], outputs=[4_000], tokens_sum=1)
    assert pulses.estimates(["a"], "classify")["a"].output_p95 == 6
    for _ in range(8):
        pulses.observe("a", "classify", latencies_ms=[1] * 50, outputs=[900] * 50, tokens_sum=1)
    p95 = pulses.estimates(["a"], "classify")["a"].output_p95
    assert p95 is not None
    assert 900 <= p95 <= 981, "longer answers are reserved for soon"


def test_its_memory_is_bounded(redis_client: redis.Redis) -> None:
    pulses, chance = Pulses(redis_client), random.Random(7)
    for _ in range(300):
        outputs = [chance.randrange(131_072) for _ in range(25)]
        pulses.observe("a", "generate", latencies_ms=outputs, outputs=outputs, tokens_sum=1)
    assert redis_client.hlen("gate:{pulse:a}:generate") < 250


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 200_000), min_size=20, max_size=200))
def test_the_percentile_is_the_true_one_rounded_up_by_no_more_than_a_step(
    redis_client: redis.Redis, outputs: list[int]
) -> None:
    pulses, name = Pulses(redis_client), uuid4().hex
    pulses.observe(name, "generate", latencies_ms=outputs, outputs=outputs, tokens_sum=1)
    true = sorted(outputs)[-(-95 * len(outputs) // 100) - 1]
    told = pulses.estimates([name], "generate")[name]
    assert told.output_p95 is not None
    assert true <= max(1, told.output_p95) + 1
    assert told.output_p95 <= max(1, true * 1.09)
    assert told.latency_p95_ms == told.output_p95
