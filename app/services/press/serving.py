"""Who of a fleet can serve a step of an edition: the paper says what it wishes, the fleet has what it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.errors import UsageError
from app.core.values import Deployment
from app.services.jobspec import spec_of
from app.services.suitability import able

_OTHERS = 3
"""Families that have to be left beside the writers, for a check by others."""
_LOWER = {"complex": ("complex", "standard", "cheap"), "standard": ("standard", "cheap")}


_ONE_VOICE = "single-query"


def served(fields: Mapping[str, Any], fleet: Sequence[Deployment]) -> dict[str, Any]:
    """A job's fields as the fleet can serve them: without its checkers excluded where too few others are left, in the
    highest tier below the one wished that it has, and by one voice where there is none to vote with it. Raises
    ``UsageError`` where nobody is left."""
    refused: UsageError | None = None
    for strategy in (fields["strategy"], _ONE_VOICE):
        for tier in _LOWER.get(fields["tier"], (fields["tier"],)):
            for exclude in (list(fields.get("exclude", ())), []):
                tried = {**fields, "strategy": strategy, "tier": tier, "exclude": exclude}
                try:
                    found = able(fleet, spec_of(tried).wanted, None)
                except UsageError as error:
                    refused = error
                    continue
                if not exclude or len({each.family for each in found}) >= _OTHERS:
                    return tried
    assert refused is not None
    raise refused
