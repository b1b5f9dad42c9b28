"""The task of a job: what is asked of every item, and what counts as an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.core import contract
from app.core.values import TaskKind


@dataclass(frozen=True, slots=True)
class Task:
    """``labels`` for classify, ``schema`` (JSON Schema) for extract; ``prompt`` replaces the standing instruction."""

    kind: TaskKind
    labels: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    prompt: str | None = None

    def read(self, text: str) -> contract.Parsed:
        """The answer in a model's words, or an abstention with its reason."""
        match self.kind:
            case TaskKind.CLASSIFY:
                return contract.classify(text, self.labels)
            case TaskKind.EXTRACT:
                return contract.extract(text, self.schema)
            case TaskKind.GENERATE:
                return contract.generate(text)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "labels": list(self.labels), "schema": self.schema, "prompt": self.prompt}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Task:
        return cls(TaskKind(data["kind"]), tuple(data["labels"]), data["schema"], data["prompt"])
