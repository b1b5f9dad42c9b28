"""The audit of a job: which of its items are put to the baseline, too, so that its receipt can say what was saved."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from app.core.errors import UsageError
from app.core.routing import Lane, Routing
from app.core.values import Deployment
from app.ledger.door import Row

AUDIT_SHARE = 0.02
"""Of the items, where a job names a baseline and no share."""


def audited(rows: Iterable[Row], routing: Routing) -> Iterator[Row]:
    """The rows, those of the audit in a lane of their own; drawn by a hash of their ids before anybody has answered."""
    if not routing.baseline:
        yield from rows
        return
    for row in rows:
        drawn = hashlib.blake2b(f"audit\0{row.custom_id}".encode(), digest_size=8).digest()
        if int.from_bytes(drawn) < routing.audit * 2**64:
            yield replace(row, lane=str(replace(Lane.parse(row.lane), audit=True)))
        else:
            yield row


def check_baseline(deployments: Iterable[Deployment], routing: Routing) -> None:
    """Raises ``UsageError`` for a baseline that is not in the fleet, or of which nobody knows the price."""
    if not routing.baseline:
        return
    known = {d.name: d for d in deployments}
    found = known.get(routing.baseline)
    if found is None:
        near = difflib.get_close_matches(routing.baseline, known, n=1)
        raise UsageError(
            f"the baseline {routing.baseline[:100]!r} is not in the fleet",
            hint=f"did you mean {near[0]!r}?" if near else "switchyard fleet lists provider/model",
        )
    if found.price is None:
        raise UsageError(
            f"nobody knows the price of the baseline {found.name}: no saving could be measured",
            hint="state input_price and output_price in the fleet file",
        )
