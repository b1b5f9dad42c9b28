"""A request's messages as the turns that a vendor takes. Every message's text stays as it is, and in its order."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.values import Message
from app.dialects.manners import Manners

SYSTEM = ("system", "developer")
_BETWEEN = "\n\n"


def in_line(messages: tuple[Message, ...], manners: Manners) -> Sequence[Message]:
    """For protocols whose system messages stand among the others.

    Where there is no system role its text opens the next turn of the user: a server that knows no such role mostly
    wants the roles to alternate as well.
    """
    if manners.system and not manners.merges:
        return messages
    if not manners.system:
        messages = tuple(Message("user", m.content) if m.role in SYSTEM else m for m in messages)
    return [Message(role, _BETWEEN.join(texts)) for role, texts in runs(messages)]


def apart(messages: tuple[Message, ...], manners: Manners) -> tuple[list[str], list[Message]]:
    """For protocols whose system text stands beside the conversation: (system texts, turns).

    A conversation may not be empty: where all is system, the last of it is the question.
    """
    if not manners.system:
        return [], [Message("user", m.content) if m.role in SYSTEM else m for m in messages]
    system = [m.content for m in messages if m.role in SYSTEM]
    turns = [m for m in messages if m.role not in SYSTEM]
    if system and not turns:
        turns = [Message("user", system.pop())]
    return system, turns


def runs(turns: Sequence[Message]) -> list[tuple[str, list[str]]]:
    """(role, texts) for each run of turns of one role."""
    found: list[tuple[str, list[str]]] = []
    for turn in turns:
        if not found or found[-1][0] != turn.role:
            found.append((turn.role, []))
        found[-1][1].append(turn.content)
    return found
