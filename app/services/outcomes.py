"""Outcomes: what became of answers, days later too. From the command line, a file, or another service's message.

``accepted`` and ``rejected`` judge the answer that the item has; a label says which one is true. ``rejected`` says of a
label only that it is not that one. Where a job's own labels are called accepted or rejected, the words are labels.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Engine

from app.core.errors import InputError, UsageError
from app.core.task import Task
from app.core.values import TaskKind
from app.ledger import outcomes as ledger
from app.ledger.outcomes import Outcome
from app.services import intake
from app.services.rows import Columns

WORDS = ("accepted", "rejected")
MAX_MESSAGE_OUTCOMES = 50_000
_MOST_NAMED = 10
_FORM = "a file of outcomes has the columns (or keys) custom_id and outcome"

_Id = Annotated[str, Field(min_length=1, max_length=256)]
_Word = Annotated[str, Field(min_length=1, max_length=100_000)]


class _One(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    custom_id: _Id
    outcome: _Word


class OutcomeMessage(BaseModel):
    """The keyword arguments of ``switchyard.outcome``: one item's outcome, or a list of them, of one job."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    job: _Id
    custom_id: _Id | None = None
    outcome: _Word | None = None
    outcomes: list[_One] = Field(default=[], max_length=MAX_MESSAGE_OUTCOMES)

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        single = self.custom_id is not None and self.outcome is not None
        if single == bool(self.outcomes) or (self.custom_id is None) != (self.outcome is None):
            raise ValueError("give custom_id and outcome, or a list of them as outcomes")
        return self

    def rows(self) -> Iterator[tuple[int, str, str]]:
        if self.custom_id is not None and self.outcome is not None:
            yield 1, self.custom_id, self.outcome
        for number, one in enumerate(self.outcomes, 1):
            yield number, one.custom_id, one.outcome


@dataclass(frozen=True, slots=True)
class Outcomes:
    engine: Engine

    def say(self, job_id: str, custom_id: str, word: str, *, door: str = "command") -> int:
        """One item's outcome. Raises ``NotFound`` or ``InputError``, with the nearest that is known."""
        return self._write(job_id, [(0, custom_id, word)], door)

    def read(self, job_id: str, stream: BinaryIO, name: str = "-") -> int:
        """A file of them, CSV or JSON lines: all or none. Raises ``InputError`` that names the wrong lines."""
        wrong: list[tuple[int, str]] = []
        columns = Columns(text="outcome", id="custom_id")

        def rows() -> Iterator[tuple[int, str, str]]:
            for row in intake.read(stream, columns, name=name, on_bad=lambda line, why: wrong.append((line, why))):
                yield row.line, row.custom_id, row.text

        try:
            return self._write(job_id, rows(), "file", wrong)
        except InputError as error:
            if "--" in (error.hint or ""):  # of options that are not this command's
                raise InputError(str(error), hint=_FORM) from None
            raise

    def take(self, kwargs: Any) -> int:
        """Those of another service's message: all or none. Raises ``UsageError`` in one line."""
        try:
            message = OutcomeMessage.model_validate(kwargs)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part)[:40] for part in first["loc"])
            said = first["msg"].removeprefix("Value error, ").removeprefix("Input ").replace("should", "must", 1)
            raise UsageError(f"{where!r}: {said}" if where else said) from None
        return self._write(message.job, message.rows(), "message")

    def _write(
        self, job_id: str, rows: Iterable[tuple[int, str, str]], door: str, wrong: list[tuple[int, str]] | None = None
    ) -> int:
        task = ledger.task_of(self.engine, job_id)
        wrong = [] if wrong is None else wrong

        def read() -> Iterator[Outcome]:
            for line, custom_id, word in rows:
                try:
                    _check_id(custom_id)
                    yield meant(task, line, custom_id, word)
                except InputError as error:
                    wrong.append((line, f"{error}; {error.hint}" if error.hint else str(error)))
            if wrong:
                raise _refused(wrong, len(wrong))

        written = ledger.write(self.engine, job_id, read(), door)
        if written.wrong:
            raise _refused(written.bad, written.wrong)
        if not written.outcomes:
            raise InputError("the input holds no outcomes", hint=_FORM)
        return written.outcomes


def meant(task: Task, line: int, custom_id: str, word: str) -> Outcome:
    """What a word says of an answer to this task. Raises ``InputError``, with the nearest label in its hint."""
    if task.kind is TaskKind.CLASSIFY and word in task.labels:
        return Outcome(line, custom_id, "label", word)
    if word in WORDS:
        return Outcome(line, custom_id, word)
    if task.kind is TaskKind.EXTRACT:
        read = task.read(word)
        if read.answer is not None:
            return Outcome(line, custom_id, "label", read.answer)
        raise InputError(f"{word[:80]!r} is neither accepted nor rejected, nor what the schema asks for")
    known = (*WORDS, *(task.labels if task.kind is TaskKind.CLASSIFY else ()))
    near = difflib.get_close_matches(word, known, n=1) or [k for k in known if k.lower() == word.lower()]
    what = "neither accepted nor rejected" + (", nor one of the job's labels" if len(known) > 2 else "")
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known[:12])}"
    raise InputError(f"{word[:80]!r} is {what}", hint=hint)


def _check_id(custom_id: str) -> None:
    """What the ledger cannot hold is no item's id. Raises ``InputError``."""
    try:
        custom_id.encode()
    except UnicodeEncodeError:
        raise InputError("the id holds half of a surrogate pair, which is no character") from None
    if "\0" in custom_id:
        raise InputError("the id holds a NUL character")


def _refused(wrong: Iterable[tuple[int, str]], count: int) -> InputError:
    named = sorted(wrong)[:_MOST_NAMED]
    if count == 1 and named[0][0] == 0:
        return InputError(named[0][1])
    lines = "; ".join(f"line {line}: {why}" for line, why in named)
    more = f"; and {count - len(named)} more" if count > len(named) else ""
    return InputError(f"{lines}{more}", hint="nothing was written: correct the lines and give the whole file again")
