"""Money: whole micro-dollars, rounded once; tokens: a first guess on the safe side."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.pricing import MESSAGE_OVERHEAD_TOKENS, cost_micro, estimate_input_tokens
from app.core.values import Message, Price, Usage

counts = st.integers(0, 10**7)
usages = st.builds(Usage, counts, counts, counts, counts)
prices = st.builds(Price, st.integers(0, 10**9), st.integers(0, 10**9))


@pytest.mark.parametrize(
    ("usage", "price", "micro"),
    [
        (Usage(1_000_000, 0, 0, 0), Price(50_000, 80_000), 50_000),
        (Usage(0, 1_000_000, 0, 0), Price(50_000, 80_000), 50_000),
        (Usage(0, 0, 600_000, 400_000), Price(50_000, 80_000), 80_000),
        (Usage(10, 0, 0, 0), Price(50_000, 0), 1),  # half a micro-dollar goes up
        (Usage(9, 0, 0, 0), Price(50_000, 0), 0),
        (Usage(5, 0, 5, 0), Price(50_000, 50_000), 1),  # rounded on the sum, not on its parts
        (Usage(10**9, 0, 10**9, 0), Price(0, 0), 0),
        (Usage(1_000_000, 1_000_000, 0, 0), Price(50_000, 80_000, 5_000), 55_000),
        (Usage(0, 1_000_000, 0, 0), Price(50_000, 80_000, 0), 0),  # cached for nothing is not "as input"
    ],
)
def test_costs(usage: Usage, price: Price, micro: int) -> None:
    assert cost_micro(usage, price) == micro


def test_an_unknown_price_makes_an_unknown_cost_but_of_no_tokens_none() -> None:
    assert cost_micro(Usage(1, 0, 0, 0), None) is None and cost_micro(Usage(0, 0, 0, 1), None) is None
    assert cost_micro(Usage(), None) == 0


@given(usages, prices)
def test_money_is_exact_to_half_a_micro_dollar(usage: Usage, price: Price) -> None:
    exact = Fraction(
        (usage.input_tokens + usage.cached_tokens) * price.input_micro
        + (usage.output_tokens + usage.reasoning_tokens) * price.output_micro,
        1_000_000,
    )
    cost = cost_micro(usage, price)
    assert isinstance(cost, int)
    assert -Fraction(1, 2) <= exact - cost < Fraction(1, 2)


@given(usages, usages, prices)
def test_more_tokens_never_cost_less(usage: Usage, more: Usage, price: Price) -> None:
    both = Usage(
        usage.input_tokens + more.input_tokens,
        usage.cached_tokens + more.cached_tokens,
        usage.output_tokens + more.output_tokens,
        usage.reasoning_tokens + more.reasoning_tokens,
    )
    assert cost_micro(both, price) >= cost_micro(usage, price)
    assert both.total == usage.total + more.total


@given(st.lists(st.text(), max_size=5))
def test_the_first_guess_grows_with_the_bytes(texts: list[str]) -> None:
    guess = estimate_input_tokens(tuple(Message("user", text) for text in texts))
    size = sum(len(text.encode()) for text in texts)
    assert guess >= size // 3
    assert guess <= size // 3 + len(texts) * (MESSAGE_OVERHEAD_TOKENS + 1)


def test_english_is_guessed_too_high_rather_than_too_low() -> None:
    # 44 characters, nine words and a full stop: ten tokens or eleven in any vendor's vocabulary.
    pangram = "The quick brown fox jumps over the lazy dog."
    assert 11 <= estimate_input_tokens((Message("user", pangram),)) <= 22
