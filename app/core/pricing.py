"""Tokens before the call, money after it. Money is integer micro-dollars, never a float."""

from __future__ import annotations

from typing import overload

from app.core.values import Message, Price, Usage

_MILLION = 1_000_000
MESSAGE_OVERHEAD_TOKENS = 4


@overload
def cost_micro(usage: Usage, price: Price) -> int: ...
@overload
def cost_micro(usage: Usage, price: Price | None) -> int | None: ...
def cost_micro(usage: Usage, price: Price | None) -> int | None:
    """Micro-dollars for one call, rounded half up once, on the sum; None where the price is unknown.

    Cached input is billed at its own price where one is known, else as input; reasoning is billed as output. A call
    of which no token was counted costs nothing at any price, known or not.
    """
    if price is None:
        return None if usage.total else 0
    cached_price = price.input_micro if price.cached_input_micro is None else price.cached_input_micro
    inputs = usage.input_tokens * price.input_micro + usage.cached_tokens * cached_price
    outputs = (usage.output_tokens + usage.reasoning_tokens) * price.output_micro
    return (inputs + outputs + _MILLION // 2) // _MILLION


def estimate_input_tokens(messages: tuple[Message, ...]) -> int:
    """A first guess, before ``usage`` has taught better: a token for every three bytes of UTF-8.

    English runs at about four characters a token, code and other scripts at fewer; a guess that is too high
    only waits a little longer, one that is too low overruns a limit.
    """
    return sum(guess_tokens(m.content) + MESSAGE_OVERHEAD_TOKENS for m in messages)


def guess_tokens(text: str) -> int:
    return len(text.encode()) // 3 + 1
