"""Selection: every constraint by its name, what is said where none is left, and what the score weighs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import selection
from app.core.errors import UsageError
from app.core.recipe import parse
from app.core.routing import Lane, Routing, Wanted
from app.core.selection import CONSTRAINTS, Preset, eligible, refusals
from app.core.values import Deployment, Price, Tier
from app.services.jobspec import spec_of
from app.services.suitability import able, first_asked, sift

CHEAP = Price(50_000, 50_000)
"""An ordinary call of 200 tokens costs 10 micro-dollars."""


def deployment(name: str = "p/m", tier: Tier = Tier.CHEAP, **more: Any) -> Deployment:
    provider, _, model = name.partition("/")
    return replace(Deployment(provider, model, tier, name, context_window=8_000, max_output=1_000), **more)


def wanted(recipe: str = "single-query", tier: Tier = Tier.CHEAP, lane: Lane | None = None, **routing: Any) -> Wanted:
    return Wanted(tier, parse(recipe), routing=Routing(**routing), lane=lane or Lane())


@pytest.mark.parametrize(
    ("wish", "why_not"),
    [
        (wanted(exclude=("p",)), "excluded"),
        (wanted(exclude=("p/m",)), "excluded"),
        (wanted(exclude=("p/other", "q")), None),
        (wanted(max_call_micro=10), None),
        (wanted(max_call_micro=9), "cost"),
        (wanted(max_latency_ms=800), None),
        (wanted(max_latency_ms=799), "latency"),
        (wanted("single-query(models=p/n)"), "models"),
        (wanted("single-query(models=p/m)", Tier.COMPLEX), None),
    ],
)
def test_a_wish_that_forbids_is_named(wish: Wanted, why_not: str | None) -> None:
    assert eligible(deployment(price=CHEAP), wish, latency_ms=800.0) == why_not


def test_what_was_learned_of_a_call_is_believed_before_its_price() -> None:
    wish = wanted(max_call_micro=100)
    assert eligible(deployment(price=CHEAP), wish, cost_micro=101.0) == "cost"
    assert eligible(deployment(price=Price(10_000_000, 10_000_000)), wish, cost_micro=99.0) is None


def test_an_unknown_price_is_no_low_one_and_an_unknown_latency_no_long_one() -> None:
    assert eligible(deployment(), wanted(max_call_micro=1_000_000)) == "unpriced"
    assert eligible(deployment(), wanted(max_latency_ms=1)) is None


deployments = st.builds(
    deployment,
    st.sampled_from(["a/1", "a/2", "b/1", "c/1"]),
    st.sampled_from([Tier.CHEAP, Tier.STANDARD, Tier.COMPLEX]),
    price=st.sampled_from([None, CHEAP, Price(0, 0), Price(9_000_000, 9_000_000)]),
    local=st.booleans(),
    capabilities=st.frozensets(st.sampled_from(["json", "code"])),
    quality=st.floats(0, 1),
)
wishes = st.builds(
    Wanted,
    st.sampled_from(Tier),
    st.sampled_from([parse("single-query"), parse("majority-vote"), parse("single-query(models=a/1+c/1)")]),
    st.frozensets(st.sampled_from(["json"])),
    st.sampled_from([0, 8_000, 8_001]),
    st.booleans(),
    st.builds(
        Routing,
        st.sampled_from([(), ("a",), ("b/1", "c")]),
        st.sampled_from([None, 500]),
        st.sampled_from([None, 0, 100]),
    ),
)


@given(deployments, wishes, st.sampled_from([None, 100.0, 900.0]))
def test_constraints_are_met_in_their_order_and_none_means_that_every_one_holds(
    offered: Deployment, wish: Wanted, latency_ms: float | None
) -> None:
    names = list(refusals(offered, wish, latency_ms=latency_ms))
    assert names == sorted(set(names), key=CONSTRAINTS.index)
    assert eligible(offered, wish, latency_ms=latency_ms) == (names[0] if names else None)
    if names:
        return
    assert offered.local or wish.tier is not Tier.PRIVATE
    assert not {offered.provider, offered.name} & set(wish.routing.exclude)
    assert wish.needs <= offered.capabilities and offered.context_window >= wish.min_context
    assert not wish.recipe.models or offered.name in wish.recipe.models
    assert offered.price is not None or not (wish.priced or wish.routing.max_call_micro is not None)


@given(st.lists(deployments, max_size=6, unique_by=lambda d: d.name), wishes)
def test_whoever_may_not_serve_is_named_with_a_reason(fleet: list[Deployment], wish: Wanted) -> None:
    sifted = sift(fleet, wish)
    assert {d.name for d in sifted.serving} | set(sifted.refused) == {d.name for d in fleet}
    assert all(sifted.refused.values())
    assert set(first_asked(sifted.serving, wish)) <= {d.name for d in sifted.serving}


# What is said where nobody is left

FLEET = [
    deployment("a/small", price=CHEAP),
    deployment("a/large", Tier.STANDARD, price=Price(5_000_000, 5_000_000)),
    deployment("b/free", price=None),
]


@pytest.mark.parametrize(
    ("wish", "sentence", "hint"),
    [
        (wanted(tier=Tier.COMPLEX), "tier: none is complex or above", "--tier standard"),
        (wanted(tier=Tier.PRIVATE), "privacy: tier private takes local", None),
        (wanted(exclude=("a", "b")), "excluded: those that otherwise might are excluded (a, b)", "out of --exclude"),
        (wanted(max_call_micro=9), "cost: an ordinary call costs more than --max-call-cost 0.000009", "about 0.00001"),
        (wanted(max_call_micro=9, exclude=("a",)), "unpriced: its calls have a limit of cost", "--max-call-cost out"),
        (wanted(max_latency_ms=100), "latency: a call takes longer than --max-latency 0.1", "takes about 0.30 s"),
        (replace(wanted(), needs=frozenset({"json"})), "capabilities: none of the right tier can json", None),
        (replace(wanted(), min_context=9_000), "context: none has a window of 9000 tokens", None),
    ],
)
def test_the_constraint_that_empties_the_list_is_named_with_the_way_out(
    wish: Wanted, sentence: str, hint: str | None
) -> None:
    latencies = {"a/small": 400.0, "a/large": 300.0, "b/free": 900.0}
    with pytest.raises(UsageError) as caught:
        able(FLEET, wish, latencies)
    assert sentence in str(caught.value)
    assert (caught.value.hint is None) if hint is None else (hint in (caught.value.hint or ""))


def test_names_that_the_fleet_does_not_know_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no provider or deployment 'a/smal'") as caught:
        able(FLEET, wanted(exclude=("a/smal",)))
    assert caught.value.hint == "did you mean 'a/small'?"
    with pytest.raises(UsageError, match="no deployment 'b/fre'") as caught:
        able(FLEET, wanted("single-query(models=b/fre)"))
    assert caught.value.hint == "did you mean 'b/free'?"
    with pytest.raises(UsageError) as caught:
        able(FLEET, wanted(exclude=("xyzzy",)))
    assert caught.value.hint == "switchyard fleet lists them"


# What a job says

JOB = {"task": "generate"}


def test_a_jobs_wishes_survive_the_ledger_and_the_plainest_are_nothing() -> None:
    assert spec_of(JOB).routing == spec_of({**JOB, "optimise": "balanced", "exclude": []}).routing == Routing()
    assert Routing().to_json() == {}
    said = {"exclude": ["q", "p/m", "q"], "max_latency_s": 1.5, "max_call_cost_usd": 0, "optimise": "cost",
            "balance": "least-busy"}  # fmt: skip
    found = spec_of({**JOB, **said}).routing
    assert found == Routing(("p/m", "q"), 1_500, 0, "cost", "least-busy", found.privacy)
    assert Routing.from_json(orjson.loads(orjson.dumps(found.to_json()))) == found, "that calls be free is a wish, too"
    assert spec_of({**JOB, **said}).wanted.routing == found


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"exclude": "groq"}, "'exclude': must be a valid list"),
        ({"exclude": [""]}, "'exclude.0'"),
        ({"max_latency_s": float("nan")}, "'max_latency_s'"),
        ({"max_call_cost_usd": -0.1}, "'max_call_cost_usd'"),
        ({"balance": "robin"}, "must be 'soonest-free', 'round-robin'"),
        ({"optimize": "cost"}, "did you mean 'optimise'?"),
    ],
)
def test_a_wish_that_is_none_is_refused_in_one_line(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec_of({**JOB, **wrong})
    assert says in str(caught.value) and "\n" not in str(caught.value)


# The score

lanes = st.builds(Lane, hard=st.booleans(), domain=st.sampled_from(["", "code"]))


@given(st.sampled_from(["", *get_args(Preset)]), lanes)
def test_weights_sum_to_one_and_a_hard_lane_weighs_quality_more(preset: str, lane: Lane) -> None:
    wish = wanted(optimise=preset, lane=lane)
    weighed = selection.weights(wish.routing, wish.lane)
    assert sum(weighed) == pytest.approx(1)
    easy = selection.weights(Routing(optimise=preset), Lane())
    assert weighed[0] > easy[0] if lane.hard else weighed == easy


def test_a_preset_weighs_most_what_it_is_called_after() -> None:
    for at, preset in enumerate(("quality", "cost", "latency")):
        weighed = selection.weights(Routing(optimise=preset), Lane())
        assert max(weighed) == weighed[at]
    assert (
        selection.weights(Routing(), Lane())
        == selection.weights(Routing(optimise="balanced"), Lane())
        == (0.4, 0.3, 0.3)
    )


@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e5), st.floats(1, 1e5),
    st.sampled_from(get_args(Preset)),
)  # fmt: skip
def test_better_cheaper_and_faster_never_scores_worse(
    q1: float, q2: float, c1: float, c2: float, l1: float, l2: float, preset: str
) -> None:
    weighed = selection.weights(Routing(optimise=preset), Lane())

    def score(quality: float, cost: float | None, latency: float) -> float:
        return selection.score(quality, cost, latency, dearest=1e6, slowest=1e5, weighed=weighed)

    assert score(max(q1, q2), min(c1, c2), min(l1, l2)) >= score(min(q1, q2), max(c1, c2), max(l1, l2))
    assert score(q1, None, l1) <= score(q1, c1, l1)
