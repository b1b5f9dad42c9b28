"""A call and its answer in no vendor's words: what the protocols translate to and from."""

from __future__ import annotations

from dataclasses import dataclass


class BadRequest(Exception):
    """The body is not what the protocol wants."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Ask:
    model: str
    messages: tuple[tuple[str, str], ...]
    """(role, text), in order."""
    max_tokens: int | None = None
    json_key: str | None = None
    """Set where JSON is demanded: the key to answer under."""

    @property
    def last_user(self) -> str:
        return next((text for role, text in reversed(self.messages) if role == "user"), "")

    @property
    def prompt_tokens(self) -> int:
        """The simulator's own tokenizer: a token is four characters, and every message costs four more."""
        return tokens(sum(len(text) for _, text in self.messages)) + 4 * len(self.messages)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said and how many tokens that was. ``completion_tokens`` includes ``reasoning_tokens``."""

    text: str
    reasoning: str
    """Given apart from the text; empty where it leaked into the text or there was none."""
    cut: bool
    """Ended by max_tokens."""
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int


def tokens(characters: int) -> int:
    return -(-characters // 4)


def compose(ask: Ask, thoughts: str, text: str, *, leak: bool = False, unclosed: bool = False) -> Reply:
    """Put thoughts and answer together, within the call's max_tokens, thoughts first.

    ``leak`` leaves the thoughts in the text, between ``<think>`` and ``</think>``; ``unclosed`` without the latter.
    """
    if leak:
        thoughts = f"<think>\n{thoughts}\n" + ("" if unclosed else "</think>\n\n")
    room = ask.max_tokens
    thinking, saying = tokens(len(thoughts)), max(1, tokens(len(text)))
    cut = room is not None and thinking + saying > room
    if room is not None and cut:
        thinking = min(thinking, room)
        thoughts = thoughts[: 4 * thinking]
        saying = room - thinking
        text = text[: 4 * saying]
    return Reply(
        text=thoughts + text if leak else text,
        reasoning="" if leak else thoughts,
        cut=cut,
        prompt_tokens=ask.prompt_tokens,
        completion_tokens=thinking + saying,
        reasoning_tokens=thinking,
    )
