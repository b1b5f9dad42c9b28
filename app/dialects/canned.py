"""Refusals from the tin: what a provider of a protocol says when it fails in a given way. For drills."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from app.core.values import FailureKind


@dataclass(frozen=True, slots=True)
class Canned:
    """A whole response, to be heard like any other."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def refusal(protocol: str, kind: FailureKind, *, model: str, retry_after_s: int) -> Canned:
    """How ``protocol`` says ``kind``. Raises ``KeyError`` for what no response says (``timeout``, our own kinds)."""
    row = _tins()[protocol][kind.value]
    model_in_json = json.dumps(model)[1:-1]

    def filled(text: str) -> str:
        return text.replace("RETRY_AFTER_S", str(retry_after_s)).replace("MODEL", model_in_json)

    headers = {"content-type": "application/json", **row.get("headers", {})}
    return Canned(row["status"], {name: filled(text) for name, text in headers.items()}, filled(row["body"]).encode())


@cache
def _tins() -> dict[str, dict[str, dict[str, Any]]]:
    return tomllib.loads(files("app.dialects").joinpath("canned.toml").read_text())
