"""Strategies: how answers become a verdict. Pure: no clock, no randomness, no I/O, no fleet.

    decide(plan, ballots) -> Verdict | frozenset[Ask]        (an empty set: wait)

A strategy looks at the table and either gives the verdict or wishes for voices; the table subtracts what is
already there, so a bell that rings twice asks nothing twice. A seat that failed or abstained is vacant, and the
next on the bench is called in. Ties go by seat rank, never by arrival.

A wave is heard to its end before the next is asked: whom to call in, with how many tries, and whether at all hangs
on what the open seats may still say (a family taken, a vendor out, the budget used up). So the same answers give
the same moves, and the same bytes, in any order. The price is that a replacement waits for the slowest of its wave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.core.ballots import Ask, Ballot, Verdict
from app.core.climbing import cheap_first, specialist
from app.core.consensus import consensus
from app.core.guarantee import NEVER, score
from app.core.judged import best_of_n, thinker_worker_verifier, vote_then_judge
from app.core.plan import AUDIT, CACHE, STRONG, SYNTHESISER, Plan
from app.core.table import Table, Wish
from app.core.weighing import first_ahead, weighted_vote


def decide(plan: Plan, ballots: Iterable[Ballot]) -> Verdict | frozenset[Ask]:
    """The next move for one item."""
    laid = tuple(sorted(ballots, key=lambda b: b.seat))
    if not any(seat.role == AUDIT for seat in plan.seats):
        return _move(plan, Table(plan, laid))
    audits = tuple(b for b in laid if plan.seats[b.seat].role == AUDIT)
    move = _move(plan, Table(plan, tuple(b for b in laid if b not in audits)))
    return _audited(plan, audits, move)


def _move(plan: Plan, table: Table) -> Verdict | frozenset[Ask]:
    remembered = table.votes(CACHE)
    if remembered:
        return table.verdict(remembered[0].answer, remembered)
    move = _SWITCH[plan.recipe.strategy](table)
    if isinstance(move, Verdict):
        return move
    return frozenset() if table.open else table.missing(move)


def _audited(plan: Plan, audits: tuple[Ballot, ...], move: Verdict | frozenset[Ask]) -> Verdict | frozenset[Ask]:
    """The baseline is asked once, beside whom the strategy asks first; a verdict waits for it and hangs in nothing on
    it."""
    if not audits and plan.closed is None:
        seat = next(n for n, s in enumerate(plan.seats) if s.role == AUDIT)
        return (frozenset() if isinstance(move, Verdict) else move) | {Ask(seat, 1)}
    return frozenset() if isinstance(move, Verdict) and any(b.open for b in audits) else move


def first_answer(table: Table, at_most: int | None = None) -> Verdict | Wish:
    """One voice; where it fails or abstains the next, down the ranking (at most so many that were really called)."""
    votes = table.votes()
    if votes:
        return table.verdict(votes[0].answer, votes)
    called = sum(1 for b in table.ballots if b.tries)  # a refusal of our own is no call: the vendor was not tried
    if at_most is not None and called >= at_most and not table.open:
        return table.no_verdict(exhausted=True)
    wish = Wish(1, later=0 if at_most is None else max(0, at_most - called - 1))
    return wish if table.may_hope(wish) else table.no_verdict()


def ranked_fallback(table: Table) -> Verdict | Wish:
    """The best that answers, of at most ``council`` that were really called."""
    return first_answer(table, at_most=table.plan.recipe.council)


def hedged_answer(table: Table) -> Verdict | Wish:
    """One voice; where it takes longer than it mostly does a second beside it, and whoever answers first has answered.

    At most ``council`` are asked at a time. Which of them is first is the world's to say, and stands in the ballots.
    """
    votes = table.votes()
    if votes:
        return table.verdict(votes[0].answer, votes[:1])
    slow = sum(1 for b in table.ballots if b.open)
    wish = Wish(min(1 + slow, table.plan.recipe.council))
    return wish if slow or table.may_hope(wish) else table.no_verdict()


def majority_vote(table: Table) -> Verdict | Wish:
    """The label with the most voices. A further voice is asked only while it could still matter.

    Voices are asked until one label has ``quorum``, or ``council`` have spoken. With a quorum above half the
    council nobody left could overturn it, so the label is that of the full council.
    """
    recipe = table.plan.recipe
    votes = table.votes()
    tally = table.tally(votes)
    leading = max(tally.values(), default=0)
    voices = recipe.council if recipe.full else min(recipe.council, len(votes) + recipe.quorum - leading)
    wish = Wish(voices, later=recipe.council - voices)
    settled = leading >= recipe.quorum or len(votes) >= recipe.council
    if settled and not table.open:
        return table.verdict(table.winner(votes), votes)
    if table.may_hope(wish):
        return wish
    if len(votes) >= recipe.quorum:
        return table.verdict(table.winner(votes), votes, "short_council")
    return table.no_verdict("quorum_lost" if votes else None)


def synthesize_best(table: Table) -> Verdict | Wish:
    """The council answers, then one strong deployment writes the answer from what they said."""
    written = table.votes(SYNTHESISER)
    if written:
        voices = table.votes()
        short = ("short_council",) if len(voices) < table.plan.recipe.council else ()
        return table.verdict(written[0].answer, voices, *short)
    wish = Wish(table.plan.recipe.council, later=1)
    votes = table.votes()
    if len(votes) < wish.voices and table.may_hope(wish):
        return wish
    if not votes:
        return table.no_verdict()
    synthesis = Wish(1, SYNTHESISER)
    if table.may_hope(synthesis):
        return synthesis
    return table.verdict(table.winner(votes), votes, "unsynthesised")


def guaranteed(table: Table) -> Verdict | Wish:
    """The cheap answer where its score reaches the plan's threshold, else the strong model's.

    Without a threshold the item is audited: it is put to both, and the strong answer stands. A plan that ``waits`` has
    its threshold still to come, from the audit of its block: the cheap voices are heard meanwhile.
    """
    plan, voices, strong = table.plan, table.votes(), table.votes(STRONG)
    if table.open:
        return Wish(0)
    if strong:
        return table.verdict(strong[0].answer, voices)
    # A short council accepts nothing, in an audit or out of it: what the audit proves is so of the others, too.
    cheap = Wish(plan.recipe.council, later=1)
    if plan.threshold is not None and len(voices) >= plan.recipe.council:
        best = table.winner(voices)
        if score(table.tally(voices)[best], plan.recipe.council) >= plan.threshold:
            return table.verdict(best, voices)
    if plan.threshold != NEVER and table.missing(cheap):
        return cheap
    if plan.waits and plan.threshold is None and plan.closed is None:
        return Wish(0)
    decides = Wish(1, STRONG)
    return decides if table.may_hope(decides) else table.no_verdict("strong_lost")


_SWITCH: dict[str, Callable[[Table], Verdict | Wish]] = {
    "single-query": first_answer,
    "majority-vote": majority_vote,
    "synthesize-best": synthesize_best,
    "ranked-fallback": ranked_fallback,
    "first-answer": hedged_answer,
    "best-of-n": best_of_n,
    "vote-then-judge": vote_then_judge,
    "consensus": consensus,
    "thinker-worker-verifier": thinker_worker_verifier,
    "guaranteed": guaranteed,
    "cheap-first": cheap_first,
    "weighted-vote": weighted_vote,
    "first-ahead": first_ahead,
    "specialist": specialist,
}
"""One case a strategy. A new one is a case here, a row of ``recipe.SHAPES``, at most one function, its histories."""
