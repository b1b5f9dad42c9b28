"""Cutting an item down to a context window: documents from the middle, chats from the oldest turn.

Only what the producer handed in as the item is cut, never an instruction: neither the task's nor a system turn of a
chat. Sizes are our guess of tokens (``core.pricing``), corrected by what a provider has counted so far.

A document keeps its beginning and its end, where titles, abstracts and conclusions stand, and what models attend to
best (Liu et al. 2023, "Lost in the Middle"). A chat keeps its latest turns, since the question is in the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.pricing import MESSAGE_OVERHEAD_TOKENS, guess_tokens

Turns = tuple[tuple[str, str], ...]
"""(role, content), oldest first; roles are system, user and assistant."""

TRIMMED = "trimmed"
"""Flag of an answer to an item that was cut to fit."""
LEAST_TOKENS = 64
"""An item cut to less than this says nothing any more: then it is too long, and not to be cut."""
_BYTES_A_TOKEN = 3
_LEAST_WINDOW = 1000
"""Tokens; smaller numbers in a refusal are statuses and the like."""
_GAP = "\n[… {left_out} characters left out …]\n"
_STATED = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+|\d{3,9})(?![\d.]|,\d)")


def flat(turns: Sequence[tuple[str, str]]) -> str:
    """A chat in one piece: its instructions, then who said what (unless one alone speaks)."""
    conversation = any(role == "assistant" for role, _ in turns)
    parts = [content for role, content in turns if role == "system"]
    for role, content in turns:
        if role != "system":
            parts.append(f"{role.capitalize()}: {content}" if conversation else content)
    return "\n\n".join(parts)


def cut_text(text: str, tokens: int) -> str | None:
    """``text`` with its middle left out so that it is guessed at ``tokens`` or less; None: too little would be left."""
    if guess_tokens(text) <= tokens:
        return text
    room = (tokens - 1) * _BYTES_A_TOKEN - len(_GAP.format(left_out=len(text)).encode())
    if tokens < LEAST_TOKENS or room <= 0:
        return None
    raw = text.encode()
    head = raw[: room // 2].decode(errors="ignore")
    tail = raw[len(raw) - (room - room // 2) :].decode(errors="ignore")
    return head + _GAP.format(left_out=len(text) - len(head) - len(tail)) + tail


def cut_turns(turns: Turns, tokens: int) -> Turns | None:
    """``turns`` without the oldest ones, system turns and the last one kept; None: too little would be left.

    Where the last turn alone is too long, its middle is left out.
    """
    if count_turns(turns) <= tokens:
        return turns
    kept = [turn for turn in turns[:-1] if turn[0] == "system"]
    recent = [turn for turn in turns[:-1] if turn[0] != "system"]
    while recent and count_turns((*kept, *recent, turns[-1])) > tokens:
        recent.pop(0)
    role, last = turns[-1]
    if not recent:
        around = count_turns(tuple(kept)) + MESSAGE_OVERHEAD_TOKENS
        cut = cut_text(last, tokens - around)
        return None if cut is None else (*kept, (role, cut))
    # A chat that begins with an answer nobody asked for is refused by some vendors.
    while recent and recent[0][0] == "assistant":
        recent.pop(0)
    return (*kept, *recent, turns[-1])


def count_turns(turns: Turns) -> int:
    return sum(guess_tokens(content) + MESSAGE_OVERHEAD_TOKENS for _, content in turns)


def stated_share(message: str) -> float | None:
    """How much of the question fits, 0 to 1, where a refusal names the window and what the question took.

    "maximum context length is 8192 tokens … your messages resulted in 9000 tokens" is 8192/9000.
    """
    numbers = sorted({n for found in _STATED.findall(message) if (n := int(found.replace(",", ""))) >= _LEAST_WINDOW})
    if len(numbers) < 2 or numbers[-1] > 100 * numbers[-2]:
        return None
    return numbers[-2] / numbers[-1]
