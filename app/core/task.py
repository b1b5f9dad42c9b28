"""The task of a job: what is asked of every item, and what counts as an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.core import contract
from app.core.pattern import compiled
from app.core.values import TaskKind

NO_MATCH = "answer does not match the pattern"


@dataclass(frozen=True, slots=True)
class Task:
    """``labels`` for classify, ``schema`` (JSON Schema) for extract; ``prompt`` replaces the standing instruction.

    ``pattern``: a regular expression that an answer has to match as a whole (``core.pattern``), else it is an
    abstention. ``rubric``: what a judge holds an answer to, where one is asked.
    """

    kind: TaskKind
    labels: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    prompt: str | None = None
    pattern: str | None = None
    rubric: str | None = None

    def read(self, text: str) -> contract.Parsed:
        """The answer in a model's words, or an abstention with its reason."""
        parsed = self._parsed(text)
        if self.pattern is None or parsed.answer is None or compiled(self.pattern).matches(parsed.answer):
            return parsed
        return contract.Parsed(None, parsed.flags, NO_MATCH)

    def _parsed(self, text: str) -> contract.Parsed:
        match self.kind:
            case TaskKind.CLASSIFY:
                return contract.classify(text, self.labels)
            case TaskKind.EXTRACT:
                return contract.extract(text, self.schema)
            case TaskKind.GENERATE:
                return contract.generate(text)

    def to_json(self) -> dict[str, Any]:
        """What a task of before did not have is written only where it is used: its text is part of digests."""
        rest = {"pattern": self.pattern, "rubric": self.rubric}
        return {
            "kind": self.kind.value,
            "labels": list(self.labels),
            "schema": self.schema,
            "prompt": self.prompt,
            **{key: value for key, value in rest.items() if value is not None},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Task:
        return cls(
            TaskKind(data["kind"]),
            tuple(data["labels"]),
            data["schema"],
            data["prompt"],
            data.get("pattern"),
            data.get("rubric"),
        )
