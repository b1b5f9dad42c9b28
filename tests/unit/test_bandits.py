"""The bandit: it earns more than chance, never gives an arm up, forgets, and knows its odds."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.bandits import FLOOR, HALF_LIFE_DAYS, Arm, Pick, again, pick, utility
from app.core.policies import Logged, value_of

arms = st.builds(
    Arm.faded,
    st.floats(0, 500, allow_nan=False),
    st.floats(0, 500, allow_nan=False),
    st.none() | st.floats(0, 1e4, allow_nan=False),
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from("pqrst"), arms, min_size=1, max_size=5), st.integers(0, 2**40), st.booleans())
def test_odds_add_up_keep_the_floor_and_come_again_from_what_was_written(
    known: dict[str, Arm], seed: int, frozen: bool
) -> None:
    made = pick(known, seed, frozen=frozen)
    assert sum(made.propensities.values()) == pytest.approx(1.0, abs=1e-4)
    assert made.propensities[made.arm] > 0
    if not frozen and len(known) > 1:
        assert min(made.propensities.values()) >= FLOOR / len(known) - 1e-6
    written = json.loads(json.dumps(made.to_json()))
    assert again(written).to_json() == made.to_json()


def test_frozen_is_the_best_for_sure() -> None:
    known = {"a": Arm(80, 20, 10.0), "b": Arm(95, 5, 10.0)}
    made = pick(known, 1, frozen=True)
    assert (made.arm, made.propensities) == ("b", {"a": 0.0, "b": 1.0})


def test_a_right_answer_is_worth_ten_times_the_dearest_and_an_unknown_cost_counts_as_that() -> None:
    known = {"cheap": Arm(0, 0, 10.0), "dear": Arm(0, 0, 100.0), "unknown": Arm(0, 0, None)}
    assert utility(known, "cheap", 0.9) == pytest.approx(0.89)
    assert utility(known, "dear", 0.9) == utility(known, "unknown", 0.9) == pytest.approx(0.8)


class Run:
    """Chunks of five items, one arm each; what is learned fades from step to step."""

    def __init__(self, rates: dict[str, float], seed: int, days_a_step: float = 0.0) -> None:
        self.rates, self.rng, self.days = rates, random.Random(seed), days_a_step
        self.known = {name: Arm(0.0, 0.0, 1.0) for name in sorted(rates)}
        self.picks: list[Pick] = []
        self.log: list[Logged] = []

    def go(self, steps: int) -> Run:
        for _ in range(steps):
            made = pick(self.known, self.rng.getrandbits(32))
            right = sum(self.rng.random() < self.rates[made.arm] for _ in range(5))
            keep = 0.5 ** (self.days / HALF_LIFE_DAYS)
            self.known = {
                name: Arm.faded(
                    keep * arm.right + right * (name == made.arm),
                    keep * arm.wrong + (5 - right) * (name == made.arm),
                    1.0,
                )
                for name, arm in self.known.items()
            }
            self.picks.append(made)
            self.log.append(Logged(made.arm, made.propensities, right, 5))
        return self

    def share(self, name: str, last: int) -> float:
        return Counter(p.arm for p in self.picks[-last:])[name] / last


def test_it_earns_more_than_an_even_split() -> None:
    rates = {"a": 0.6, "b": 0.7, "c": 0.9}
    regret = [sum(0.9 - rates[p.arm] for p in Run(rates, seed).go(150).picks) for seed in range(8)]
    even = 150 * (0.3 + 0.2) / 3
    assert max(regret) < even
    assert sum(regret) / len(regret) < 0.4 * even


def test_it_follows_a_drift_because_it_forgets() -> None:
    for seed in range(4):
        run = Run({"a": 0.9, "b": 0.7}, seed, days_a_step=0.5).go(150)
        assert run.share("a", 50) > 0.6
        run.rates = {"a": 0.5, "b": 0.8}
        assert run.go(150).share("b", 50) > 0.6


def test_the_floor_is_what_is_really_drawn() -> None:
    known = {"a": Arm(1_000, 10, 1.0), "b": Arm(10, 1_000, 1.0)}
    worse = sum(pick(known, seed).arm == "b" for seed in range(600)) / 600
    assert abs(worse - FLOOR / 2) < 0.03


# Off-policy


def test_each_estimate_finds_the_truth_in_the_bandits_own_log() -> None:
    rates = {"a": 0.55, "b": 0.7, "c": 0.85}
    found: dict[str, dict[str, list[float]]] = {name: {"ips": [], "snips": [], "dr": []} for name in rates}
    covered: Counter[str] = Counter()
    runs = 20
    for seed in range(runs):
        log = Run(rates, seed).go(80).log
        for name, truth in rates.items():
            value = value_of(name, log)
            for kind, estimate in (("ips", value.ips), ("snips", value.snips), ("dr", value.dr)):
                if estimate is not None:
                    found[name][kind].append(estimate.value)
                    covered[kind] += estimate.low <= truth <= estimate.high
    for name, truth in rates.items():
        for kind, values in found[name].items():
            mean = sum(values) / len(values)
            spread = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
            slack = 4 * spread / len(values) ** 0.5 + (0.03 if kind == "snips" else 0.01)
            assert abs(mean - truth) <= slack, (name, kind, mean)
    assert covered["dr"] >= 0.8 * 3 * runs
    assert covered["ips"] >= 0.75 * 3 * runs


def test_doubly_robust_is_no_wider_than_weighing_alone() -> None:
    log = Run({"a": 0.6, "b": 0.8}, 3).go(200).log
    value = value_of("b", log)
    assert value.ips is not None and value.dr is not None
    assert value.dr.high - value.dr.low <= value.ips.high - value.ips.low


def test_of_an_arm_that_was_never_chosen_nobody_knows() -> None:
    log = [Logged("a", {"a": 1.0, "b": 0.0}, 3.0, 5)]
    assert value_of("b", log).ips is None
    only = value_of("a", log)
    assert only.ips is not None
    assert only.ips.value == pytest.approx(0.6)
