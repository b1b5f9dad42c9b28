"""What setting hands to publishing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Letter:
    """The edition by mail."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """One edition, set. ``name``: its folder.

    ``files``: path within that folder → content: ``index.html``, ``edition.md``, ``edition.json`` … ``front``: path
    within the paper's folder → content: ``index.html`` (all editions), ``atom.xml``; these replace those of before.
    """

    name: str
    files: Mapping[str, bytes]
    front: Mapping[str, bytes]
    letter: Letter
    digest: str = field(default="")
    """SHA-256 of the edition's JSON, hexadecimal: the same edition is the same bytes."""
