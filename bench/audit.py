"""The ledger against the provider's books, after Jepsen's ``total-queue``: nothing lost, nothing twice, to the unit.

Every function returns sentences, one a violation; an empty list is the proof. The books are the simulator's rows, the
key between the two is the request reference ``sy-<attempt id>``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.harness import Rig

_SHOWN = 5
# A ping whose process was killed stays open for ten minutes before it is called ambiguous.
_UNKNOWN = ("ambiguous", "open")

_ATTEMPTS = """
SELECT id, state, late, purpose, deployment, input_tokens + cached_tokens, output_tokens + reasoning_tokens, cost_micro
FROM attempts WHERE NOT 'drill' = ANY(coalesce(flags, '{}'))
"""

# An item at a deployment, after a call that was answered there and read. A restated question follows an abstention.
_ASKED_AGAIN = """
WITH calls AS MATERIALIZED (
    SELECT id, deployment, unnest(coalesce(item_ids, ARRAY[item_id])) AS item_id
    FROM attempts WHERE purpose = 'vote' AND state <> 'unsent'
), answered AS MATERIALIZED (
    SELECT v.item_id, b.deployment, min(b.id) AS id
    FROM votes v JOIN attempts b ON b.id = v.attempt_id AND b.state = 'answered'
    WHERE v.answer IS NOT NULL GROUP BY 1, 2
)
SELECT c.item_id, c.deployment, count(*)
FROM calls c JOIN answered a ON a.item_id = c.item_id AND a.deployment = c.deployment AND a.id < c.id GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Balance:
    """Ledger and books side by side. Ambiguous calls that the provider did answer are ``possibly_paid``."""

    attempts: int
    calls: int
    billed: int
    ambiguous: int
    possibly_paid: int
    book_tokens: int
    ledger_tokens: int
    book_micro: int
    ledger_micro: int
    violations: tuple[str, ...]
    illegible: int = 0
    """Answers that were billed and arrived in pieces: what they cost stands in the provider's books only."""


def decisions(rig: Rig, job: str, items: int) -> list[str]:
    """Exactly one decision an item, and nothing left under way."""
    found = []
    total, distinct, strangers = rig.query(
        "SELECT count(*), count(DISTINCT d.item_id), count(*) FILTER (WHERE i.id IS NULL) FROM decisions d "
        "LEFT JOIN items i ON i.id = d.item_id AND i.job_id = d.job_id WHERE d.job_id = %s",
        (job,),
    )[0]
    if (total, distinct) != (items, items):
        found.append(f"{items} items, but {total} decisions of {distinct} items")
    if strangers:
        found.append(f"{strangers} decisions of no item of the job")
    for what, sql in (
        ("items not decided", "SELECT count(*) FROM items WHERE job_id = %s AND state <> 'decided'"),
        ("chunks not done", "SELECT count(*) FROM chunks WHERE job_id = %s AND state <> 'done'"),
        ("attempts still open", "SELECT count(*) FROM attempts WHERE job_id = %s AND state = 'open'"),
        (
            "decisions that saw another number of votes than there are",
            "SELECT count(*) FROM decisions d JOIN items i ON i.id = d.item_id WHERE d.job_id = %s AND d.votes <> "
            "(SELECT count(*) FROM votes v WHERE v.item_id = coalesce(i.same_as, i.id) AND v.chunk_id = d.chunk_id "
            "AND v.answer IS NOT NULL)",
        ),
    ):
        count = rig.one(sql, (job,))
        if count:
            found.append(f"{count} {what}")
    return found


def paid_twice(rig: Rig) -> list[str]:
    """No seat asked twice under one number, no deployment asked again about an item it has answered."""
    twice = rig.query(
        "SELECT unnest(coalesce(item_ids, ARRAY[item_id])), chunk_id, seat, try, count(*) FROM attempts "
        "WHERE job_id IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
    )
    again = rig.query(_ASKED_AGAIN)
    return [
        *(f"item {row[0]}, seat {row[2]}, try {row[3]}: {row[4]} attempts" for row in twice[:_SHOWN]),
        *(f"item {row[0]} asked again at {row[1]}, which had answered" for row in again[:_SHOWN]),
    ]


def balance(rig: Rig, calls: Sequence[dict[str, Any]]) -> Balance:
    """Every call in the ledger, every closed attempt equal to the provider's row, tokens and money to the unit.

    Calls that a drill struck were never made: one in the books would be a violation.
    """
    violations: list[str] = []
    attempts = {f"sy-{row[0]}": row for row in rig.query(_ATTEMPTS)}
    seen = Counter(call["request_ref"] for call in calls)
    violations += [f"{ref}: {n} calls in the books" for ref, n in seen.items() if n > 1]
    violations += [f"{ref!r} is in the books, not in the ledger" for ref in seen if ref not in attempts]
    booked = {call["request_ref"]: call for call in calls}
    possibly_paid = tokens = micro = illegible = 0
    unpriced: set[str] = set()
    unread: set[str] = set()
    for ref, (_, state, late, _, deployment, prompt, completion, cost) in attempts.items():
        call = booked.get(ref)
        if state == "unsent" and call is not None:
            violations.append(f"{ref}: unsent, but in the books with status {call['status']}")
        if state in _UNKNOWN and not late:
            possibly_paid += call is not None and call["status"] == 200
            continue
        tokens += prompt + completion
        if cost is None:  # at an unknown price there is nothing to hold against the bill
            unpriced.add(ref)
        micro += cost or 0
        if call is None:
            if state == "answered":
                violations.append(f"{ref}: answered by {deployment}, which has no such call")
            continue
        if state == "failed" and not prompt and (call["unreadable"] or call["client_gone"]):
            illegible += call["status"] == 200
            unread.add(ref)
            continue
        theirs = (call["prompt_tokens"], call["completion_tokens"], call["money_micro"])
        if (prompt, completion, theirs[2] if cost is None else cost) != theirs:
            violations.append(f"{ref} ({state}): ledger {(prompt, completion, cost)}, books {theirs}")
    settled = [c for c in calls if c["request_ref"] not in unread and not _open(attempts.get(c["request_ref"]))]
    return Balance(
        attempts=len(attempts),
        calls=len(calls),
        billed=sum(1 for call in calls if call["money_micro"] or call["prompt_tokens"]),
        ambiguous=sum(1 for row in attempts.values() if row[1] == "ambiguous"),
        possibly_paid=possibly_paid,
        book_tokens=sum(c["prompt_tokens"] + c["completion_tokens"] for c in settled),
        ledger_tokens=tokens,
        book_micro=sum(c["money_micro"] for c in settled if c["request_ref"] not in unpriced),
        ledger_micro=micro,
        violations=tuple(violations),
        illegible=illegible,
    )


def _open(attempt: Any) -> bool:
    """Is it one of which the ledger does not know the end?"""
    return attempt is not None and attempt[1] in _UNKNOWN and not attempt[2]


def replayed(rig: Rig, job: str) -> list[str]:
    """Every decision replays from the ledger to the same bytes."""
    from app.services import replaying

    checked, differences = replaying.verify(rig.engine, job)
    found = [str(difference) for difference in differences[:_SHOWN]]
    if checked != rig.decided(job):
        found.append(f"replay looked at {checked} decisions of {rig.decided(job)}")
    return found
