"""What the making of an edition wishes of the yard, and what it has heard of it. Each step is a job of the yard.

A wish is made anew at every look, out of what is known by then; the same wish is the same job. It may be ignored where
its job is there already.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a step's job. ``text`` is all that a model sees of it, and data to the model."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A job that ought to be in the yard.

    ``step``: its name within the edition, ``write:world``. ``spec``: fields of ``JobSpec`` (task, labels, schema,
    prompt, strategy, tier, pack, exclude …) without those that the press room gives every job (team, use case,
    deadline, key, budget, privacy). ``due``: when the making goes on without it.
    """

    step: str
    spec: Mapping[str, Any]
    items: tuple[Item, ...]
    due: dt.datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """One item's decision. ``text`` None: undecided or failed, ``reason`` says why. ``by``: the deployments whose
    answers it rests on."""

    text: str | None
    reason: str = ""
    by: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What the yard has said so far in one step. ``finished``: nothing more will come."""

    job: str
    finished: bool
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By item id; those that have no decision yet are not in it."""
    made: Mapping[str, str] = field(default_factory=dict)
    """The texts of the job's items by id, as they were put: what is read out of an answer may need them."""

    def over(self, due: dt.datetime, now: dt.datetime) -> bool:
        """Is it to be waited for no longer?"""
        return self.finished or now >= due


@dataclass(frozen=True, slots=True)
class Four:
    """When each step of writing is waited for no longer."""

    write: dt.datetime
    check: dt.datetime
    rewrite: dt.datetime
    recheck: dt.datetime


@dataclass(frozen=True, slots=True)
class Dues:
    """When the making of an edition goes on with what there is. At ``ship`` it is printed, whatever there is."""

    merge: dt.datetime
    sort: dt.datetime
    desks: Four
    lead: Four
    ship: dt.datetime
