"""Recorded responses of real vendors, which every dialect is held against. They are not part of this repository."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.values import Answer, Failure, Finish


def recorded(wire: str) -> Iterator[dict[str, Any]]:
    """The cases of one protocol, less those whose meaning is open. Skips the test where the data is not there."""
    shared = os.environ.get("SWITCHYARD_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data"
    path = Path(shared) / "wire_cases.jsonl"
    if not path.is_file():
        pytest.skip(f"no recorded responses at {path}")
    with path.open() as lines:
        for case in map(json.loads, lines):
            if case["wire"] == wire and "ambiguous" not in case["tags"]:
                yield case


def misnamed(wire: str, hear: Callable[..., Answer | Failure]) -> dict[str, str]:
    """Case id → what we call it, where the data calls it otherwise."""
    misses = {}
    for case in recorded(wire):
        kind = kind_of(hear(case["status"], case["headers"], case["body"].encode()))
        if kind not in {case["kind"], *(case.get("alt_kinds") or ())}:
            misses[case["id"]] = kind
    return misses


def kind_of(heard: Answer | Failure) -> str:
    """In the words of the data."""
    if isinstance(heard, Failure):
        return heard.kind.value
    if heard.finish is Finish.LENGTH:
        return "truncated"
    return "reasoning_leak" if heard.flags else "success"
