"""The four steps of whatever is written: write, check, rewrite, recheck. Pure: a fold over what the yard has said.

A statement is printed if it passes the mechanical check and a second model has said that its sources support it, in
``check`` or in ``recheck``. One that fails is put to a single rewrite, with the reason. One that nobody judged in time
is judged in ``recheck``, and else not printed. Each step is waited for until it is finished or due. What follows is a
function of the answers and of ``now >= due``: once every step that is needed is over, the outcome stays the same at
every later look, as long as a step that is over says nothing more (the ledger closes it at its due moment).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.newspaper import checking, drafts
from app.newspaper.evidence.facts import Evidence, Fault
from app.newspaper.material import Claim, Dossier, Draft
from app.newspaper.paper import Step
from app.newspaper.steps import Answer, Four, Heard, Item, Wish

SUMMARY = 2
"""Its number; 1 is the headline's, and the sentences' begin with 3."""
UNCHECKED = "nobody could check it in time"
_EXCLUDED = 200
_NONE = Heard("", True)


@dataclass(frozen=True, slots=True)
class Lost:
    """A statement that was not printed: its number, and the kind of its fault in words for readers."""

    n: int
    why: str
    step: str
    job: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left of one draft. ``headline`` and ``summary``: None where they were refused; ``written`` False: there
    never was a draft. ``of``: sentences that it had."""

    headline: Claim | None = None
    summary: Claim | None = None
    sentences: tuple[Claim, ...] = ()
    of: int = 0
    lost: tuple[Lost, ...] = ()
    written: bool = False
    checked: bool = False
    """Has a second model said anything of it?"""
    writer: str = ""
    checkers: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written. ``name`` of the steps' second half or first (``step_name`` makes the whole name);
    ``summary`` False: the drafts' summaries are neither checked nor kept."""

    step_name: Callable[[str], str]
    dossiers: tuple[Dossier, ...]
    words: str
    language: str
    style: str
    length: int
    write: Step
    check: Step
    summary: bool = True


@dataclass(frozen=True, slots=True)
class Revised:
    """``outcomes`` by dossier; None while it is still being made."""

    wishes: tuple[Wish, ...] = ()
    outcomes: Mapping[str, Outcome] | None = None


def revise(order: Order, heard: Mapping[str, Heard], dues: Four, now: dt.datetime) -> Revised:
    """The next wish, or what has come of it all. Never waits past ``dues.recheck``."""
    if not order.dossiers:
        return Revised(outcomes={})
    rooms = {dossier.id: _Room(order, dossier) for dossier in order.dossiers}
    for stage, due in zip(("write", "check", "rewrite", "recheck"), _moments(dues), strict=True):
        name = order.step_name(stage)
        items = tuple(Item(id, text) for id, room in rooms.items() if (text := room.item(stage)) is not None)
        said = heard.get(name)
        if not items:
            said = said or _NONE
        elif said is None and now < due:
            by = sorted({by for room in rooms.values() for by in room.writers})
            return Revised((Wish(name, _spec(order, stage, by), items, due),))
        if said is not None:
            if not said.over(due, now):
                return Revised()
            for id, room in rooms.items():
                room.hear(stage, said.answers.get(id), name, said.job, said.made.get(id))
    return Revised(outcomes={id: room.outcome() for id, room in rooms.items()})


def _moments(dues: Four) -> tuple[dt.datetime, ...]:
    return dues.write, dues.check, dues.rewrite, dues.recheck


def _spec(order: Order, stage: str, writers: Sequence[str]) -> dict[str, Any]:
    writing = stage in ("write", "rewrite")
    step = order.write if writing else order.check
    spec: dict[str, Any] = {
        "task": "extract",
        "schema": drafts.SCHEMA if writing else checking.SCHEMA,
        "strategy": step.strategy,
        "tier": step.tier,
        "pack": step.pack,
    }
    if writing:
        spec["prompt"] = drafts.prompt(
            order.words, language=order.language, style=order.style, length=order.length, again=stage == "rewrite"
        )
    else:
        spec["prompt"] = checking.PROMPT
        spec["exclude"] = list(writers)[:_EXCLUDED]
    return spec


class _Version:
    """One draft, its mechanical faults, and what the second model has said of it: number → (supported, why)."""

    def __init__(self, draft: Draft, evidence: Evidence, summary: bool) -> None:
        numbered = {1: draft.headline, SUMMARY: draft.summary, **dict(enumerate(draft.sentences, 3))}
        self.claims = {n: c for n, c in numbered.items() if n != SUMMARY or (summary and c.text)}
        self.faults: dict[int, tuple[Fault, ...]] = {n: evidence.faults(c) for n, c in self.claims.items()}
        self.verdicts: dict[int, tuple[bool, str]] = {}

    def unjudged(self) -> dict[int, Claim]:
        return {n: c for n, c in self.claims.items() if not self.faults[n] and n not in self.verdicts}

    def good(self, n: int) -> bool:
        return n in self.claims and not self.faults[n] and self.verdicts.get(n, (False, ""))[0]

    def refused(self) -> dict[int, str]:
        """What is wrong in itself, with why for the writer."""
        return {
            n: "; ".join(f.said for f in self.faults[n]) or f"a second reader: {self.verdicts[n][1] or 'not supported'}"
            for n in self.claims
            if self.faults[n] or (n in self.verdicts and not self.verdicts[n][0])
        }

    def kind(self, n: int) -> str:
        """Why it is not printed, for readers; no word of it."""
        if self.faults[n]:
            return self.faults[n][0].told
        return "its sources do not support it" if n in self.verdicts else UNCHECKED

    @property
    def body(self) -> tuple[Claim, ...]:
        return tuple(c for n, c in self.claims.items() if n > SUMMARY and self.good(n))


class _Room:
    """One dossier on its way through the four steps."""

    def __init__(self, order: Order, dossier: Dossier) -> None:
        self._order, self._dossier = order, dossier
        self.first: _Version | None = None
        self.second: _Version | None = None
        self.writers: list[str] = []
        self._wrote = ["", ""]
        self._checkers: list[str] = []
        self._steps: list[tuple[str, str]] = []

    @cached_property
    def _evidence(self) -> Evidence:
        return Evidence(self._dossier, self._order.language)

    def item(self, stage: str) -> str | None:
        """What is to be asked of it in this step; None: nothing."""
        if stage == "write":
            return drafts.item_of(self._dossier)
        if self.first is None:
            return None
        if stage == "rewrite":
            wrong = self.first.refused()
            return (
                drafts.item_of(self._dossier, [self._rejected(n, why) for n, why in wrong.items()]) if wrong else None
            )
        claims = (self.second or self.first).unjudged()
        return checking.item_of(claims, self._dossier) if claims else None

    def _rejected(self, n: int, why: str) -> drafts.Rejected:
        assert self.first is not None
        hidden = any(fault.kind == "instruction" for fault in self.first.faults[n])
        return drafts.Rejected("" if hidden else self.first.claims[n].text, why)

    def hear(self, stage: str, answer: Answer | None, step: str, job: str, made: str | None) -> None:
        if answer is None or answer.text is None or (stage != "write" and self.first is None):
            return
        if stage in ("write", "rewrite"):
            draft = drafts.read(answer.text, self._dossier)
            self.writers.extend(answer.by)
            if draft is None:
                return
            version = _Version(draft, self._evidence, self._order.summary)
            self._wrote[stage == "rewrite"] = answer.by[0] if answer.by else ""
            if stage == "write":
                self.first = version
            else:
                self.second = version
                self._carry_over()
        else:
            version = self.second or self.first  # type: ignore[assignment]
            asked = checking.put(version.unjudged(), self._dossier, made)
            said = checking.verdicts(answer.text, max(asked, default=0))
            version.verdicts.update({n: said[n] for n in asked})
            self._checkers.extend(answer.by)
        self._steps.append((step, job))

    def _carry_over(self) -> None:
        """What was judged in the first draft, and stands in the second unchanged, is not asked of anybody again."""
        assert self.first is not None and self.second is not None
        known: dict[Claim, tuple[bool, str]] = {}
        for n, claim in self.first.claims.items():
            if n in self.first.verdicts and known.get(claim, (True, ""))[0]:
                known[claim] = self.first.verdicts[n]  # what is denied anywhere is denied
        for n, claim in self.second.claims.items():
            if not self.second.faults[n] and claim in known:
                self.second.verdicts[n] = known[claim]

    def outcome(self) -> Outcome:
        """The version of which more can be printed; a headline or summary that failed there may come of the other."""
        if self.first is None:
            return Outcome()
        versions = [self.first] if self.second is None else [self.second, self.first]
        taken = max(versions, key=lambda version: (version.good(1), len(version.body)))
        others = [taken, *(version for version in versions if version is not taken)]
        headline = next((v.claims[1] for v in others if v.good(1)), None)
        summary = next((v.claims[SUMMARY] for v in others if v.good(SUMMARY)), None)
        step, job = self._steps[-1]
        lost = [Lost(n, why, step, job) for n, why in self._lost(taken, headline, summary)]
        return Outcome(
            headline=headline,
            summary=summary,
            sentences=taken.body,
            of=sum(n > SUMMARY for n in taken.claims),
            lost=tuple(lost),
            written=True,
            checked=any(version.verdicts for version in versions),
            writer=self._wrote[taken is self.second],
            checkers=tuple(dict.fromkeys(self._checkers)),
            jobs=tuple(dict.fromkeys(job for _, job in self._steps if job)),
        )

    def _lost(self, taken: _Version, headline: Claim | None, summary: Claim | None) -> Iterator[tuple[int, str]]:
        kept = {1: headline is not None, SUMMARY: summary is not None}
        for n in taken.claims:
            if not kept.get(n, taken.good(n)):
                yield n, taken.kind(n)
        if taken is self.second and self.first is not None:
            # What was refused and then left out of the rewrite was dropped as well.
            refused = [n for n in self.first.refused() if n > SUMMARY]
            left_out = (len(self.first.claims) - len(taken.claims)) if len(taken.claims) < len(self.first.claims) else 0
            yield from ((n, self.first.kind(n)) for n in refused[:left_out])
