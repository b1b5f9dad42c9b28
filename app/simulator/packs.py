"""Several items in one call: how a model finds them, and how well it keeps their answers apart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

MANNERS = ("careful", "sloppy", "gullible")
_ITEM = re.compile(r"^\[\[item (\S+) (\S+)\]\]\n(.*?)\n\[\[end \1 \2\]\]$", re.MULTILINE | re.DOTALL)
_ORDER = re.compile(r"\b(?:label|answer|mark|classify) (?:all|every|each)(?: the)? others? (?:items? )?(?:as |with )?"
                    r"[\"'`]?([\w-]+)", re.IGNORECASE)  # fmt: skip


def items_of(message: str) -> dict[str, str]:
    """Id → text, in the order of the message; empty where it is not a pack."""
    return {name: text for name, _, text in _ITEM.findall(message)}


def said_of(
    said: Mapping[str, str], items: Mapping[str, str], manner: str, chance: Callable[[str], float], sloppy_rate: float
) -> str:
    """The answers as one JSON object. ``chance``: of an item, 0 to 1, always the same."""
    rows = [(name, _value(text)) for name, text in said.items()]
    match manner:
        case "gullible":
            orders = {name: found[1] for name, text in items.items() if (found := _ORDER.search(text))}
            rows = [(name, next((o for by, o in orders.items() if by != name), value)) for name, value in rows]
        case "sloppy":
            rows = [
                row for name, value in rows for row in _misplaced(name, value, chance(name) / max(sloppy_rate, 1e-9))
            ]
    return "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in rows) + "}"


def _misplaced(name: str, value: Any, at: float) -> list[tuple[str, Any]]:
    """``at`` below 1: a third each is left out, said twice, or said of an id that nobody gave."""
    if at >= 1:
        return [(name, value)]
    return [[], [(name, value), (name, value)], [(name[::-1] + "x", value)]][int(at * 3)]


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text
