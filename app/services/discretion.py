"""Discretion: what of an ask's items may be put to its deployment, and the last look at a question before it is sent.

The door has put items with personal data into lanes of local deployments. This is the second lock, at the only way out:
whatever the lane, no question that holds personal data is sent to a deployment that is not local, be it in the item, in
the job's own words, or in what another model said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from app.core import privacy
from app.core.redaction import Redaction, redaction
from app.core.values import Deployment, Request, TaskKind, Tier
from app.ledger.journal import Casting, TakenAsk, TakenItem
from app.services.screening import parts

REDACTED = "redacted"
"""Flag of an answer to an item that left without its personal data."""
_MARK = re.compile(r"[0-9a-f]{8}")
"""What our own wording sets between texts (``injection.mark``): by chance it has the shape of a number."""


@dataclass(frozen=True, slots=True)
class Discretion:
    """Of one ask at one deployment. ``redactions``: item id → what it left without."""

    ask: TakenAsk
    deployment: Deployment
    redactions: dict[int, Redaction] = field(default_factory=dict)

    @classmethod
    def of(cls, ask: TakenAsk, deployment: Deployment) -> Discretion:
        """Items that are to be redacted come out of it so: nothing that words a question sees more of them."""
        if deployment.local or ask.terms.routing.privacy != "redact" or ask.terms.lane.private:
            return cls(ask, deployment)
        made = {item.id: redaction(parts(item.text, item.turns)) for item in ask.items}
        kept = {item_id: one for item_id, one in made.items() if one.values}
        items = tuple(_hidden(item, kept[item.id]) if item.id in kept else item for item in ask.items)
        return cls(replace(ask, items=items), deployment, kept)

    @property
    def barred(self) -> bool:
        """Are all of its items to stay in the house, and is this deployment not in it?"""
        terms = self.ask.terms
        return (terms.lane.private or terms.tier is Tier.PRIVATE) and not self.deployment.local

    def betrays(self, request: Request) -> str | None:
        """The kinds of personal data that a question holds which must not go there; None: it may be sent."""
        if self.deployment.local:
            return None
        found: list[privacy.Span] = []
        for message in request.messages:
            for span in _found(message.content):
                if _MARK.fullmatch(message.content[span.start : span.end]) is None:
                    found.append(span)
        return ", ".join(privacy.kinds(found)) if found else None

    def cast(self, casting: Casting) -> Casting:
        """What is said of an item, with its own data in the place of the placeholders."""
        made = self.redactions.get(casting.item_id)
        if made is None or casting.answer is None:
            return casting
        in_json = self.ask.task.kind is TaskKind.EXTRACT
        answer = made.restore(casting.answer, in_json=in_json)
        return replace(casting, answer=answer, flags=(*casting.flags, REDACTED))


def _found(text: str) -> tuple[privacy.Span, ...]:
    """What a message holds. The job's own words come with every item, and are looked at once."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else privacy.find(text)


_remembered = lru_cache(maxsize=512)(privacy.find)
_LONGEST_REMEMBERED = 8_000


def _hidden(item: TakenItem, made: Redaction) -> TakenItem:
    turns = None if item.turns is None else tuple((role, made.hide(content)) for role, content in item.turns)
    said = tuple(
        replace(one, answer=None if one.answer is None else made.hide(one.answer), reason=made.hide(one.reason))
        for one in item.said
    )
    return replace(item, text=made.hide(item.text), turns=turns, said=said)
