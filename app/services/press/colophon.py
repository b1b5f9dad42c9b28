"""How an edition was made, told from the ledger: who was called for what, what failed, what it cost, what was dropped.

The ids in it are the ledger's: ``switchyard explain JOB ITEM`` tells of each how it came about.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from app.ledger import press_reports
from app.ledger.editions import Opened
from app.newspaper.edition import Colophon, Dropped, StepLine
from app.newspaper.material import FeedReport


def colophon(
    engine: Engine,
    edition: Opened,
    feeds: Sequence[FeedReport],
    dropped: Sequence[Dropped],
    said: Mapping[str, str],
    made_at: dt.datetime,
) -> Colophon:
    """``said``: step → ``in time``, ``at its deadline``, ``not needed`` …, instead of what the ledger says of it. Steps
    that have no row there (gathering) come first, the others in the order in which they were begun.
    """
    made = press_reports.making(engine, edition.id)
    known = {line.step for line in made.steps}
    steps = [StepLine(step=step, said=words) for step, words in said.items() if step not in known]
    steps += [line.model_copy(update={"said": said.get(line.step, line.said)}) for line in made.steps]
    return Colophon(
        steps=tuple(steps),
        hands=made.hands,
        weather=made.weather,
        feeds=tuple(feeds),
        dropped=tuple(dropped),
        calls=made.calls,
        votes=made.votes,
        input_tokens=made.input_tokens,
        output_tokens=made.output_tokens,
        cost_usd=made.cost_micro / 1e6,
        unpriced_calls=made.unpriced,
        opened_at=edition.opened_at,
        made_at=made_at,
        deadline_at=edition.deadline_at,
    )
