"""Strategies that end with a judge or a verifier. Who cannot be read has chosen nothing and accepted nothing.

An answer that addresses its reader (``core.injection``) cannot win by a judge's favour: only where another voice gives
the same one.
"""

from __future__ import annotations

from app.core.ballots import Ballot, Verdict, accepts, seat_of
from app.core.injection import SUSPICIOUS
from app.core.plan import JUDGE, THINKER, VERIFIER, WORKER
from app.core.table import Table, Wish


def best_of_n(table: Table) -> Verdict | Wish:
    """The council answers, then a judge picks one of the answers. No judge, or none that can be read: the tally."""
    council = table.plan.recipe.council
    votes = table.votes()
    wish = Wish(council, later=1)
    if len(votes) < council and table.may_hope(wish):
        return wish
    return _by_a_judge(table, votes)


def vote_then_judge(table: Table) -> Verdict | Wish:
    """The answer with the most voices where it has ``quorum``; where the whole council finds none, a judge decides
    between the answers that were given."""
    recipe = table.plan.recipe
    votes = table.votes()
    tally = table.tally(table.trusted(votes))
    leading = max(tally.values(), default=0)
    if leading >= recipe.quorum and not table.open:
        return table.verdict(table.winner(table.trusted(votes)), votes)
    voices = min(recipe.council, len(votes) + max(1, recipe.quorum - leading))
    wish = Wish(voices, later=recipe.council - voices + 1)
    if len(votes) < recipe.council and table.may_hope(wish):
        return wish
    return _by_a_judge(table, votes)


def _by_a_judge(table: Table, votes: list[Ballot]) -> Verdict | Wish:
    """One of the answers given: the judge's choice among those that may win, else the one with the most voices."""
    trusted = table.trusted(votes)
    if not trusted:
        return table.untrusted()
    short = ("short_council",) if len(votes) < table.plan.recipe.council else ()
    if len(table.tally(trusted)) == 1:
        return table.verdict(trusted[0].answer, votes, *short)
    choices = table.votes(JUDGE)
    judge = Wish(1, JUDGE, apart=table.families(votes))
    if not choices and table.may_hope(judge):
        return judge
    chosen = next((b for b in trusted if choices and b.seat == seat_of(choices[0].answer)), None)
    if chosen is not None:
        return table.verdict(chosen.answer, votes, *short)
    return table.verdict(table.winner(trusted), votes, "unjudged", *short)


def thinker_worker_verifier(table: Table) -> Verdict | Wish:
    """One thinks the item over, one answers, one checks the answer. What is rejected is answered anew by the next
    worker, who is told why, for ``rounds`` answers at most."""
    works = sorted(table.votes(WORKER), key=lambda b: b.seat)
    notes = table.votes(THINKER)
    thinking = Wish(1, THINKER, later=2)
    if not notes and not works and table.may_hope(thinking):
        return thinking
    flags = () if notes else ("unplanned",)
    checks = {seat_of(b.answer): b for b in table.votes(VERIFIER)}
    # A second worker has read the first one's answer: that it says the same is no other voice's word for it.
    shown = [b for b in works if SUSPICIOUS not in b.flags]
    accepted = next((b for b in shown if b.seat in checks and accepts(checks[b.seat].answer)), None)
    if accepted is not None:
        return table.verdict(accepted.answer, [accepted], *flags)
    waiting = [b for b in shown if b.seat not in checks]
    if waiting:
        last = waiting[-1]
        check = Wish(len(checks) + 1, VERIFIER, apart=table.families([last]))
        return check if table.may_hope(check) else table.verdict(last.answer, [last], "unverified", *flags)
    work_again = Wish(len(works) + 1, WORKER, later=1)
    if len(works) < table.plan.recipe.rounds and table.may_hope(work_again):
        return work_again
    return table.no_verdict("rejected", exhausted=True) if checks else table.untrusted()
