"""A deployment's last day as a strip: one character for each half an hour, the worst state that was in it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.core.health import State

HOURS = 24
SLOTS = 48
_NARROWEST = 64
_UNKNOWN = "unknown"
_BLOCKS = {"healthy": "█", "degraded": "▓", "down": "▒", "out": "░", _UNKNOWN: "·"}
_ASCII = {"healthy": "#", "degraded": "=", "down": "-", "out": "x", _UNKNOWN: "."}
_SGR = {"healthy": "32", "degraded": "33", "down": "31", "out": "35", _UNKNOWN: "90"}
_PLAIN = str.maketrans({"→": "->", "…": "~", "–": "-"})


@dataclass(frozen=True, slots=True)
class Pen:
    """What the terminal at hand can show."""

    blocks: bool
    """Its encoding has block characters; else ASCII stands for them."""
    colour: bool
    columns: int | None
    """Its width; None: it is a file or a pipe, whose lines may be of any length."""

    @classmethod
    def of_stdout(cls) -> Pen:
        """Colour on a terminal only, and not where ``NO_COLOR`` is set (https://no-color.org)."""
        terminal = sys.stdout.isatty()
        try:
            "".join(_BLOCKS.values()).encode(sys.stdout.encoding or "ascii")
            blocks = True
        except UnicodeEncodeError:
            blocks = False
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(blocks, colour, max(_NARROWEST, _columns()) if terminal else None)

    def strip(self, states: Sequence[State | None]) -> str:
        glyphs = _BLOCKS if self.blocks else _ASCII
        return "".join(glyphs[_UNKNOWN if state is None else state.value] for state in states)

    def legend(self) -> str:
        glyphs = _BLOCKS if self.blocks else _ASCII
        named = "  ".join(f"{glyph} {state}" for state, glyph in glyphs.items())
        return f"each mark half an hour, its worst state: {named}"

    def paint(self, text: str, state: str) -> str:
        """A word in the colour of a state."""
        return f"\x1b[{_SGR.get(state, '0')}m{text}\x1b[0m" if self.colour else text

    def paint_strip(self, strip: str) -> str:
        """The runs of a strip in their states' colours: done last, as colours have no width."""
        glyphs = _BLOCKS if self.blocks else _ASCII
        of = {glyph: state for state, glyph in glyphs.items()}
        return re.sub(r"(.)\1*", lambda run: self.paint(run.group(), of[run.group(1)]), strip)

    def line(self, text: str) -> str:
        """Text that this terminal can show."""
        return text if self.blocks else text.translate(_PLAIN).encode("ascii", "replace").decode()


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size((80, 24)).columns
