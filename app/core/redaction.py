"""An item without its personal data, and answers with it again. Pure.

Each value has one placeholder, ``[EMAIL_1]``, numbered in the order in which the values come in the item: the same item
gives the same words, whoever words it, whenever. Nothing of it is stored; it is made from the item each time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.core.privacy import find

_SHORTEST = 4
"""Characters of a value that is looked for where nothing beside it says what it is. Shorter ones are parts of words."""

MOST_VALUES = 100
"""Different values of one item: each is looked for in all of it. An item with more stays at home."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """``values``: (what stands in the item, its placeholder), in the order of their coming."""

    values: tuple[tuple[str, str], ...]

    def hide(self, text: str) -> str:
        """``text`` with placeholders for every value of the item, wherever it stands."""
        known = dict(self.values)
        parts: list[str] = []
        last = 0
        for span in find(text):
            if placeholder := known.get(text[span.start : span.end]):
                parts += (text[last : span.start], placeholder)
                last = span.end
        hidden = "".join((*parts, text[last:]))
        for value, placeholder in sorted(self.values, key=lambda pair: -len(pair[0])):
            if len(value) >= _SHORTEST and value in hidden:
                hidden = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", lambda _, p=placeholder: p, hidden)  # type: ignore[misc]
        return hidden

    def restore(self, text: str, *, in_json: bool = False) -> str:
        """``text`` with the values for their placeholders; ``in_json``: it is JSON, and they stand in its strings."""
        if not self.values or "_" not in text:
            return text
        values = {placeholder.upper(): value for value, placeholder in self.values}

        def value_of(match: re.Match[str]) -> str:
            value = values.get(match.group().replace("\\", "").upper())
            if value is None:
                return match.group()
            return json.dumps(value, ensure_ascii=False)[1:-1] if in_json else value

        return _PLACEHOLDER.sub(value_of, text)


_PLACEHOLDER = re.compile(r"\\?\[[A-Z]{2,12}(?:\\?_[A-Z]{2,4})?\\?_\d{1,6}\\?\]", re.IGNORECASE)
"""As it was given out, and as Markdown escapes it."""


def redaction(parts: Iterable[str]) -> Redaction:
    """Of an item in its parts (its text; the turns of a chat). A placeholder that the item itself holds is not used."""
    texts = list(parts)
    taken = {match.group().upper() for text in texts for match in _PLACEHOLDER.finditer(text)}
    numbers: dict[str, int] = {}
    values: dict[str, str] = {}
    for text in texts:
        for span in find(text):
            value = text[span.start : span.end]
            if value in values:
                continue
            name = span.kind.upper().replace("-", "_")
            placeholder = ""
            while not placeholder or placeholder in taken:
                numbers[name] = numbers.get(name, 0) + 1
                placeholder = f"[{name}_{numbers[name]}]"
            values[value] = placeholder
    return Redaction(tuple(values.items()))


def redactable(parts: Iterable[str]) -> bool:
    """Is nothing left to be found once the item is redacted, and are its values few enough to be looked for?"""
    texts = list(parts)
    made = redaction(texts)
    return len(made.values) <= MOST_VALUES and not any(find(made.hide(text)) for text in texts)
