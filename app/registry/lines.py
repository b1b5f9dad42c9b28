"""On which line of a TOML file does a key stand? ``tomllib`` does not tell.

Scans headers and ``key =`` lines of text that has already parsed. It does not look inside inline
tables: what stands in them is found on the line of the key that holds them.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

Place = tuple[str | int, ...]
"""``("provider", 0, "model", 1, "rpm")``: keys and positions from the root."""

_KEY = re.compile(r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+|[ \t.])+(?==)""")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)


class Lines:
    """The places of one file. The scan is made on the first question: a good file never pays for it."""

    def __init__(self, text: str) -> None:
        self._text: str | None = text
        self._at: dict[Place, int] = {}
        self._last: dict[Place, int] = {}  # array of tables -> position of its latest element

    def find(self, place: Place) -> int:
        """The line (from 1) of a place, else of the nearest thing around it, else 1."""
        if self._text is not None:
            self._scan(self._text)
            self._text = None
        for end in range(len(place), 0, -1):
            if (line := self._at.get(place[:end])) is not None:
                return line
        return 1

    def _scan(self, text: str) -> None:
        table: Place = ()
        pos, line = 0, 1
        while pos < len(text):
            end = text.find("\n", pos)
            end = len(text) if end < 0 else end
            head = text[pos:end].strip()
            if head.startswith("["):
                table = self._header(head, line)
            elif head and not head.startswith("#"):
                start = pos + len(text[pos:end]) - len(text[pos:end].lstrip())
                if key := _KEY.match(text, start, end):
                    self._note(table, key.group(), line)
                    end = _value_end(text, key.end())
            line += text.count("\n", pos, end) + 1
            pos = end + 1

    def _header(self, head: str, line: int) -> Place:
        try:
            node: Any = tomllib.loads(head)
        except ValueError:
            return ()
        place: Place = ()
        while isinstance(node, dict) and node:
            key, node = next(iter(node.items()))
            place = (*place, key)
            if isinstance(node, list):
                self._last[place] = self._last.get(place, -1) + 1
            self._at.setdefault(place, line)
            if place in self._last:
                place = (*place, self._last[place])
        self._at.setdefault(place, line)
        return place

    def _note(self, table: Place, key: str, line: int) -> None:
        try:
            node: Any = tomllib.loads(f"{key}=0")
        except ValueError:
            return
        place = table
        while isinstance(node, dict):
            name, node = next(iter(node.items()))
            place = (*place, name)
            self._at.setdefault(place, line)


def _value_end(text: str, pos: int) -> int:
    """Where the line break after a value stands: outside strings, comments and brackets."""
    depth = 0
    while token := _TOKEN.search(text, pos):
        mark = token.group()
        if mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
        elif mark == "\n" and depth <= 0:
            return token.start()
        pos = token.end()
    return len(text)
