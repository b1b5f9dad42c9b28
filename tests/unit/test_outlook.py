"""What a job waits for, from what is known of those who may serve it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from app.core.outlook import MOVING_S, Standing, outlook

STANDINGS = st.lists(
    st.builds(
        Standing,
        st.sampled_from("abcdef"),
        st.just("why"),
        st.floats(0, 1e6) | st.just(math.inf),
        st.booleans(),
    ),
    max_size=8,
)


@given(STANDINGS)
def test_a_job_waits_for_the_first_that_opens(standings: list[Standing]) -> None:
    found = outlook(standings)
    first = min((s.opens_s for s in standings), default=math.inf)
    if first <= MOVING_S:
        assert found is None
        return
    assert found is not None
    assert found.opens_s == first
    assert sorted(found.waiting, key=repr) == sorted(standings, key=repr)
    assert found.hopeless_within_s <= found.opens_s
    assert (found.to_json()["opens_s"] is None) == math.isinf(first)


def test_only_what_is_sure_takes_hope_away() -> None:
    quota, breaker = Standing("a", "quota", 5000.0, sure=True), Standing("b", "breaker", 9000.0)
    assert outlook([quota]).hopeless_within_s == 5000.0  # type: ignore[union-attr]
    assert outlook([quota, breaker]).hopeless_within_s == 0.0  # type: ignore[union-attr]


def test_nobody_at_all_is_no_hope() -> None:
    found = outlook([])
    assert found is not None
    assert found.opens_s == found.hopeless_within_s == math.inf
