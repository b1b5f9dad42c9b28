"""What ``switchyard doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """``missing``: a service is not there. ``wrong``: must be mended. ``warn``: should be."""

    what: str
    state: Literal["ok", "warn", "wrong", "missing"]
    said: str
    advice: str = ""
