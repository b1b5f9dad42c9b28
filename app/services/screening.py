"""Screening: what each item is like is found out at the door, row by row, and with it the lane in which it travels.

An item in which personal data or a secret is found is private: only local deployments may see it, whatever the job's
tier and options say. Where the job wants it redacted, it leaves without what was found; what cannot be redacted whole
stays private. Counts are kept, never the data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from app.core import privacy
from app.core.classifying import Classifier, classifier
from app.core.errors import UsageError
from app.core.redaction import redactable
from app.core.routing import Lane, Wanted
from app.core.selection import eligible
from app.core.values import Deployment, Tier
from app.ledger.door import Row
from app.services.jobspec import JobSpec
from app.services.rows import count

_NAMES_SHOWN = 3


@dataclass(slots=True)
class Screened:
    """Items with personal data: those that stay (``private``), those that leave without it (``redacted``), and kind →
    how many of both hold it."""

    private: int = 0
    redacted: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {"private": self.private, "redacted": self.redacted, "kinds": dict(sorted(self.kinds.items()))}


@dataclass(frozen=True, slots=True)
class Screen:
    """Of one job. ``closed``: none of its items leaves the house anyway."""

    classifier: Classifier
    closed: bool
    redact: bool

    @classmethod
    def of(cls, spec: JobSpec, serving: Iterable[Deployment]) -> Screen:
        made = classifier(
            spec.task_of_items,
            Tier(spec.tier),
            spec.routing,
            deadline_s=spec.deadline_s,
            max_cost_usd=spec.max_cost_usd,
            widest=max((d.context_window for d in serving), default=0),
        )
        return cls(made, spec.tier == "private", spec.privacy == "redact")

    def rows(self, rows: Iterable[Row], seen: Screened) -> Iterator[Row]:
        """Each row with its lane and traits; what was found is added to ``seen``."""
        ordinary = str(self.classifier.lane())
        for row in rows:
            spans = _found(row)
            said = None if row.turns is None else row.turns[-1][1]
            if spans:
                yield self._sensitive(row, privacy.kinds(spans), said, seen)
            elif traits := self.classifier.of(row.text, said):
                lane = str(self.classifier.lane_of(traits))
                yield replace(row, lane=lane, traits=orjson.dumps(traits).decode())
            elif ordinary:
                yield replace(row, lane=ordinary)
            else:
                yield row

    def _sensitive(self, row: Row, kinds: dict[str, int], said: str | None, seen: Screened) -> Row:
        seen.kinds.update(kinds.keys())
        traits: dict[str, Any] = {"privacy": kinds}
        if self.closed or (self.redact and redactable(parts(row.text, row.turns))):
            if not self.closed:
                seen.redacted += 1
                traits["redacted"] = True
            traits |= self.classifier.of(row.text, said) or {}
            lane = self.classifier.lane_of(traits)
        else:
            seen.private += 1
            lane = Lane(private=True)
        return replace(row, lane=str(lane), traits=orjson.dumps(traits).decode())


def parts(text: str, turns: Sequence[tuple[str, str]] | None) -> list[str]:
    """Everything of an item that may be sent: its text, and each turn of a chat."""
    return [text, *(content for _, content in turns or ())]


def _found(row: Row) -> tuple[privacy.Span, ...]:
    spans = privacy.find(row.text)
    if row.turns is not None and not spans:
        spans = tuple(span for _, content in row.turns for span in privacy.find(content))
    return spans


def check_words(spec: JobSpec) -> None:
    """The job's own words go to every deployment with every item. Raises ``UsageError`` where they hold personal data
    or a secret, and the job is not one for local deployments only."""
    if spec.tier == "private":
        return
    schema = "" if spec.schema_ is None else json.dumps(spec.schema_, ensure_ascii=False)
    for what, text in (("prompt", spec.prompt or ""), ("labels", "\n".join(spec.labels)), ("schema", schema)):
        if spans := privacy.find(text):
            kinds = ", ".join(privacy.kinds(spans))
            raise UsageError(
                f"the job's {what} hold{'' if what == 'labels' else 's'} what looks like personal data or a secret"
                f" ({kinds}), and would be sent with every item",
                hint=f"take it out of the {what}, or submit with --tier private (local deployments only)",
            )


def warning(seen: Screened, deployments: Iterable[Deployment], wanted: Wanted) -> str | None:
    """What the producer ought to know of items that stay: how many, of what kinds, and whether anybody may see them."""
    if not seen.private and not seen.redacted:
        return None
    kinds = ", ".join(f"{number:,} with {kind}" for kind, number in seen.kinds.most_common())
    items = seen.private + seen.redacted
    told = f"{count(items, 'item')} hold{'s' * (items == 1)} personal data or secrets ({kinds})"
    if seen.redacted:
        told += f"; {seen.redacted:,} leave{'s' * (seen.redacted == 1)} with placeholders in its place"
    if not seen.private:
        return told
    home = [d.name for d in deployments if eligible(d, at_home(wanted)) is None]
    if home:
        more = f" and {len(home) - _NAMES_SHOWN} more" if len(home) > _NAMES_SHOWN else ""
        names = ", ".join(home[:_NAMES_SHOWN]) + more
        return f"{told}; {seen.private:,} are asked of local deployments only: {names}"
    return (
        f"{told}; no local deployment may serve the {seen.private:,} that must not leave: they will be undecided,"
        " reason privacy. Mark a provider that runs on your own machines with local = true"
        + (", take the data out, or submit with --privacy redact" if not seen.redacted else ", or take the data out")
    )


def at_home(wanted: Wanted) -> Wanted:
    """As wanted, of those who may see private items."""
    return replace(wanted, tier=Tier.PRIVATE, lane=replace(wanted.lane, private=True), min_context=0)
