"""Strategies that begin low and climb where what they hear is not good enough."""

from __future__ import annotations

from app.core.ballots import Ballot, Verdict, seat_of, sureness
from app.core.plan import VERIFIER
from app.core.recipe import AGREEMENT, JUDGED
from app.core.table import Table, Wish

CHEAP, STRONG = 0, 1
"""Rungs of the ladder."""
ESCALATED = "escalated"


def cheap_first(table: Table) -> Verdict | Wish:
    """A cheap answer where it passes the check, else a strong one.

    ``check``: two cheap models agree; or one keeps the output contract (and the caller's pattern); or a judge accepts
    it with a confidence of ``threshold``. What cannot be read passes no check, and an unreadable judge has accepted
    nothing. The strong answer has only the output contract to keep: there is nobody above it to climb to. Where no
    strong one is left there is no verdict: what was not accepted is not made an answer by an outage.
    """
    votes = table.votes()
    if table.votes(rung=STRONG):
        strong = [b for b in table.trusted(votes) if table.seat(b).rung == STRONG]
        if not strong:
            return table.no_verdict("suspicious")
        # What two models differ about are voices; what was not accepted is none.
        heard = votes if table.plan.recipe.check == AGREEMENT else strong
        return table.verdict(strong[0].answer, heard, ESCALATED)
    low = table.votes(rung=CHEAP)
    wish = _still_to_hear(table, low)
    if wish is not None and (table.open or table.missing(wish)):
        return wish
    if wish is None and _accepted(table, low):
        return table.verdict(low[0].answer, low)
    climb = Wish(1, rung=STRONG)
    return climb if table.may_hope(climb) else table.no_verdict("not_accepted" if low else None)


def specialist(table: Table) -> Verdict | Wish:
    """One answer, of one who knows the items' domain; where there is none, or none answers, of the strongest."""
    votes = table.votes()
    if votes:
        flags = ("no_specialist",) if table.seat(votes[0]).rung else ()
        return table.verdict(votes[0].answer, votes, *flags)
    wish = Wish(1)
    return wish if table.may_hope(wish) else table.no_verdict()


def _still_to_hear(table: Table, low: list[Ballot]) -> Wish | None:
    """Who has to speak before it is known whether the cheap answers pass; None: it is known."""
    check = table.plan.recipe.check
    if any(b.is_abstention and table.seat(b).rung == CHEAP and table.seat(b).role != VERIFIER for b in table.ballots):
        return None
    voices = 2 if check == AGREEMENT else 1
    if len(low) < voices:
        return Wish(voices, rung=CHEAP, later=1)
    if (
        check == JUDGED
        and table.trusted(low)
        and not any(table.seat(b).role == VERIFIER and not b.failure for b in table.ballots)
    ):
        return Wish(1, VERIFIER, later=1, apart=frozenset({table.seat(low[0]).family}))
    return None


def _accepted(table: Table, low: list[Ballot]) -> bool:
    recipe = table.plan.recipe
    if recipe.check == AGREEMENT:
        return len(low) == 2 and low[0].answer == low[1].answer
    if recipe.check == JUDGED and table.trusted(low):
        threshold = recipe.threshold if table.plan.threshold is None else table.plan.threshold
        said = [b.answer for b in table.votes(VERIFIER)]
        return any(seat_of(vote) == low[0].seat and sureness(vote) >= threshold for vote in said)
    return bool(low) and recipe.check != JUDGED
