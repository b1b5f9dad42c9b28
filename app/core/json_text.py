"""JSON in the midst of prose: the values that stand in a text, wherever they begin."""

from __future__ import annotations

import json
import re
from typing import Any


def json_values(text: str, openers: str, decoder: json.JSONDecoder, most_starts: int) -> list[Any]:
    """The JSON values that begin with one of ``openers``, outermost only, at most ``most_starts`` places tried."""
    values: list[Any] = []
    places = re.compile(f"[{re.escape(openers)}]")
    at = 0
    for _ in range(most_starts):
        start = places.search(text, at)
        if start is None:
            break
        try:
            value, at = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            at = start.end()
        else:
            values.append(value)
    return values
