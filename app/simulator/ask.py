"""A call and its answer in no vendor's words: what the protocols translate to and from."""

from __future__ import annotations

from dataclasses import dataclass

_BIT = 16
"""Characters of one piece of a streamed answer: four of the simulator's tokens."""


class BadRequest(Exception):
    """The body is not what the protocol wants."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Ask:
    model: str
    messages: tuple[tuple[str, str], ...]
    """(role, text), in order; a system prompt that stands apart comes first, as ``system``."""
    max_tokens: int | None = None
    json_key: str | None = None
    """Set where JSON is demanded: the key to answer under."""
    stop: tuple[str, ...] = ()
    stream: bool = False
    count_stream: bool = False
    """A stream is to end with its usage, where the protocol leaves that to the caller."""
    array: bool = False
    """A stream is to be one JSON array, where the protocol has that beside events."""
    show_thoughts: bool = True
    """False: thoughts are counted and not told, where the protocol leaves that to the caller."""

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
    stopped: str | None = None
    """The stop sequence that ended it; the text ends before it."""
    filtered: bool = False
    """A content filter took the text away."""
    cached_tokens: int = 0
    """Part of ``prompt_tokens``."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def apart_tokens(self) -> int:
        """The reasoning tokens, but only where the reasoning did not leak into the text."""
        return 0 if self.reasoning_tokens and not self.reasoning else self.reasoning_tokens


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one answer from the next: its place in the books, and its moment in epoch seconds."""

    number: int
    wall: float


def tokens(characters: int) -> int:
    return -(-characters // 4)


def bits(text: str) -> list[str]:
    """The pieces in which a text is streamed."""
    return [text[start : start + _BIT] for start in range(0, len(text), _BIT)]


def compose(ask: Ask, thoughts: str, text: str, *, leak: bool = False, unclosed: bool = False) -> Reply:
    """Put thoughts and answer together, within the call's max_tokens, thoughts first.

    ``leak`` leaves the thoughts in the text, between ``<think>`` and ``</think>``; ``unclosed`` without the latter.
    """
    if leak:
        thoughts = f"<think>\n{thoughts}\n" + ("" if unclosed else "</think>\n\n")
    stopped = None
    if ask.stop:
        text, stopped = _stop(text, ask.stop)
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
        stopped=None if cut else stopped,
    )


def _stop(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """The text up to the first stop sequence in it, and which that was."""
    found = [(place, stop) for stop in stops if stop and (place := text.find(stop)) >= 0]
    if not found:
        return text, None
    place, stop = min(found)
    return text[:place], stop
