"""A caller's regular expression, matched in time linear in the text.

Python's own matcher backtracks: ``(a+)+b`` on forty letters takes it hours, and it cannot be stopped. So the caller's
pattern is only parsed by it; what it says is then run as an automaton (Thompson 1968, "Regular expression search
algorithm"), whose steps are made on first use and kept. What no automaton can do is refused: backreferences,
lookaround, atomic groups, possessive repeats, word boundaries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MOST_PATTERN = 500
"""Characters of a pattern."""
MOST_ANSWER = 4_000
"""Characters of an answer; a longer one does not match."""
_MOST_STATES = 4_000
_MOST_STEPS_KEPT = 20_000
_MOST_REPEAT = 500

_Test = Callable[[str], bool]


class PatternError(ValueError):
    """The pattern cannot be used; the message says why."""


class Pattern:
    """A pattern that has to match a whole text. Raises ``PatternError``."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_PATTERN:
            raise PatternError(f"the pattern is longer than {MOST_PATTERN} characters")
        try:
            parsed = parser.parse(text, 0)
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(f"the pattern is no regular expression: {str(error)[:200]}") from None
        self._tests: list[_Test | None] = []
        """Of each state: what the next character must be; None: it goes on without one."""
        self._next: list[tuple[int, ...]] = []
        self._final = self._state(None)
        flags = parsed.state.flags
        if flags & re.LOCALE:
            raise PatternError("the pattern's flag L is not possible")
        try:
            first = self._build(list(parsed), flags, self._final, at_start=True, at_end=True)
        except RecursionError:
            raise PatternError("the pattern's groups are nested too deeply") from None
        self._start = self._closure([first])
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, text: str) -> bool:
        if len(text) > MOST_ANSWER:
            return False
        now = self._start
        for character in text:
            key = (now, character)
            step = self._steps.get(key)
            if step is None:
                step = self._step(now, character)
                if len(self._steps) >= _MOST_STEPS_KEPT:
                    self._steps.clear()
                self._steps[key] = step
            if not step:
                return False
            now = step
        return self._final in now

    def _step(self, states: frozenset[int], character: str) -> frozenset[int]:
        passed = [n for s in states if (test := self._tests[s]) is not None and test(character) for n in self._next[s]]
        return self._closure(passed)

    def _closure(self, states: list[int]) -> frozenset[int]:
        """These states and all that are reached from them without a character."""
        seen: set[int] = set()
        todo = list(states)
        while todo:
            state = todo.pop()
            if state not in seen:
                seen.add(state)
                if self._tests[state] is None:
                    todo += self._next[state]
        return frozenset(seen)

    def _state(self, test: _Test | None, *following: int) -> int:
        if len(self._tests) >= _MOST_STATES:
            raise PatternError("the pattern is too large: its counted repeats stand for too many states")
        self._tests.append(test)
        self._next.append(following)
        return len(self._tests) - 1

    def _build(self, parts: list[Any], flags: int, after: int, *, at_start: bool, at_end: bool) -> int:
        """The state from which ``parts`` are matched on the way to ``after``. Built from the end."""
        for place in range(len(parts) - 1, -1, -1):
            first, last = at_start and place == 0, at_end and place == len(parts) - 1
            code, given = parts[place]
            after = self._part(code, given, flags, after, first, last)
        return after

    def _part(self, code: Any, given: Any, flags: int, after: int, first: bool, last: bool) -> int:
        if code in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            return self._state(_test(code, given, flags), after)
        if code is op.SUBPATTERN:
            _, added, removed, inner = given
            return self._build(list(inner), (flags | added) & ~removed, after, at_start=first, at_end=last)
        if code is op.BRANCH:
            ways = [self._build(list(way), flags, after, at_start=first, at_end=last) for way in given[1]]
            return self._state(None, *ways)
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, inner = given
            return self._repeat(least, most, inner, flags, after)
        if code is op.AT and ((first and given in _AT_START) or (last and given in _AT_END)):
            return after  # a whole text is matched in any case
        what = _NAMES.get(code, "an anchor or a word boundary inside" if code is op.AT else str(code).lower())
        raise PatternError(f"the pattern holds {what}, which is not possible here")

    def _repeat(self, least: int, most: Any, inner: Any, flags: int, after: int) -> int:
        endless = most is op.MAXREPEAT
        if least > _MOST_REPEAT or (not endless and most > _MOST_REPEAT):
            raise PatternError(f"the pattern repeats something more than {_MOST_REPEAT} times")
        parts = list(inner)
        if endless:
            loop = self._state(None, after)
            body = self._build(parts, flags, loop, at_start=False, at_end=False)
            self._next[loop] = (body, after)
            after = loop
        else:
            skip = after
            for _ in range(most - least):
                after = self._state(None, self._build(parts, flags, after, at_start=False, at_end=False), skip)
        for _ in range(least):
            after = self._build(parts, flags, after, at_start=False, at_end=False)
        return after


_AT_START = (op.AT_BEGINNING, op.AT_BEGINNING_STRING)
_AT_END = (op.AT_END, op.AT_END_STRING)
_NAMES = {
    op.GROUPREF: "a backreference",
    op.GROUPREF_EXISTS: "a condition on a group",
    op.ASSERT: "a look ahead or behind",
    op.ASSERT_NOT: "a look ahead or behind",
    op.ATOMIC_GROUP: "an atomic group",
    op.POSSESSIVE_REPEAT: "a possessive repeat",
}


def _test(code: Any, given: Any, flags: int) -> _Test:
    """Whether one character is meant: said by Python's own matcher, on a class of one character."""
    inner = _class([(code, given)] if code is not op.IN else given)
    if code is op.ANY:
        inner = "." if not flags & re.DOTALL else r"[\s\S]"
    known = re.compile(inner, flags & (re.IGNORECASE | re.ASCII))
    return lambda character: known.fullmatch(character) is not None


def _class(items: list[Any]) -> str:
    return "[" + "".join(_written(items)) + "]"


def _written(items: list[Any]) -> Iterator[str]:
    for code, given in items:
        if code is op.NEGATE:
            yield "^"
        elif code is op.LITERAL:
            yield _letter(given)
        elif code is op.NOT_LITERAL:
            yield "^" + _letter(given)
        elif code is op.RANGE:
            yield f"{_letter(given[0])}-{_letter(given[1])}"
        elif code is op.CATEGORY:
            yield _CATEGORIES[given]


def _letter(number: int) -> str:
    return f"\\U{number:08x}"


_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D", op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S", op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


@lru_cache(maxsize=64)
def compiled(text: str) -> Pattern:
    """Raises ``PatternError``."""
    return Pattern(text)
