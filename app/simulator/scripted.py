"""Models that follow a script, and how a model tells that it is asked to judge or to check.

    [answers]
    kind = "scripted"
    text = "what is said where no line fits"

    [[answers.line]]
    model = "m"                  # whoever says it; left out: any model
    role = "judge"               # voice | judge | verifier | thinker | synthesiser; left out: any
    has = "the bridge"           # text that stands in the call; left out: any
    says = "{key:I am the best}" # {key:TEXT} the key of the candidate that holds TEXT, {mark} the verifier's mark

The first line that fits is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.simulator.ask import Ask
from app.simulator.weather import WeatherError, refuse_unknown

ROLES = ("voice", "judge", "verifier", "thinker", "synthesiser")
_CANDIDATE = re.compile(r"^Candidate (\w+)[^\n:]*:\n(\".*\")$", re.MULTILINE)
_CHECKED = re.compile(r"^The answer:\n(\".*\")$", re.MULTILINE)
_MARK = re.compile(r"\breply with exactly: ACCEPT (\w+)( followed by how sure)?")
_KEY = re.compile(r"\{key:([^{}]*)\}")
_WRITES, _PICKS, _NOTES = "Write the answer now.", "Answer with the key of the best candidate", "Write the notes now."


def role_of(ask: Ask) -> str:
    """What the last message asks for."""
    last = ask.last_user
    for role, words in (("judge", _PICKS), ("synthesiser", _WRITES), ("thinker", _NOTES)):
        if words in last:
            return role
    return "verifier" if _MARK.search(last) else "voice"


def candidates(ask: Ask) -> dict[str, str]:
    """Key → answer, as a judge is shown them."""
    return {key: json.loads(answer) for key, answer in _CANDIDATE.findall(ask.last_user)}


def in_its_role(ask: Ask, own: str) -> str:
    """What a model says whose ``own`` answer as a voice would be that: a judge picks the candidate that says the same,
    a verifier accepts it."""
    match role_of(ask):
        case "judge":
            return next((key for key, answer in candidates(ask).items() if answer == own), "NONE")
        case "verifier":
            return verdict(ask, "" if checked(ask) == own else f"it should be {own}")
        case "thinker":
            return f"It looks like {own} to me."
        case _:
            return own


def checked(ask: Ask) -> str:
    """The answer that a verifier is shown; empty where there is none."""
    found = _CHECKED.search(ask.last_user)
    return str(json.loads(found[1])) if found else ""


def verdict(ask: Ask, why: str) -> str:
    """A verifier's words: ``why`` the answer does not hold, empty where it does."""
    mark, sure = _mark(ask)
    return f"REJECT {mark}: {why}" if why else f"ACCEPT {mark}{sure}"


def _mark(ask: Ask) -> tuple[str, str]:
    """The verifier's mark, and how sure it says to be where it is asked to."""
    found = _MARK.search(ask.last_user)
    return (found[1], " 0.95" if found[2] else "") if found else ("", "")


@dataclass(frozen=True, slots=True)
class Line:
    says: str
    model: str = ""
    role: str = ""
    has: str = ""

    def fits(self, ask: Ask, role: str) -> bool:
        return (
            self.model in ("", ask.model)
            and self.role in ("", role)
            and any(self.has in text for _, text in ask.messages)
        )


class Scripted:
    def __init__(self, lines: Sequence[Line], text: str) -> None:
        self._lines = tuple(lines)
        self._text = text

    def text(self, ask: Ask) -> str:
        role = role_of(ask)
        says = next((line.says for line in self._lines if line.fits(ask, role)), self._text)
        shown = candidates(ask) if "{key:" in says else {}
        said = _KEY.sub(lambda found: next((key for key, text in shown.items() if found[1] in text), "none"), says)
        return said.replace("{mark}", _mark(ask)[0])


def read_script(data: Mapping[str, Any]) -> Scripted:
    """From the parsed ``[answers]`` table. Raises ``WeatherError``."""
    lines = []
    for number, row in enumerate(data.get("line", ()), 1):
        refuse_unknown(row, ("says", "model", "role", "has"), f"answers (scripted), line {number}")
        if row.get("role", "voice") not in ROLES:
            raise WeatherError(f"answers (scripted), line {number}: role must be one of {', '.join(ROLES)}")
        if "says" not in row:
            raise WeatherError(f"answers (scripted), line {number}: says is missing")
        lines.append(Line(**{key: str(value) for key, value in row.items()}))
    return Scripted(lines, str(data.get("text", "This is a simulated answer.")))
