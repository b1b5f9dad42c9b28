"""Strategies that ask for a further voice only while what has been said leaves room for doubt."""

from __future__ import annotations

from app.core.ballots import Ballot, Verdict
from app.core.plan import Seat
from app.core.posterior import Reckoning, Voice
from app.core.table import Table, Wish


def weighted_vote(table: Table) -> Verdict | Wish:
    """The most probable label, by how often each voice is right (``core.posterior``).

    Voices are asked until it has a posterior of ``threshold``, or until nobody left of the council could overturn it.
    """
    recipe = table.plan.recipe
    votes = table.votes()
    scale = _Scale(table)
    if votes and scale.settled(votes, recipe.council) and not table.open:
        return scale.verdict(votes)
    voices = len(votes) + scale.fewest_more(votes)
    wish = Wish(voices, later=recipe.council - voices)
    if table.may_hope(wish):
        return wish
    # Weights that stand in the recipe say what each is worth by itself: there is no head count beside them.
    enough = 1 if recipe.weights else recipe.quorum
    return scale.verdict(votes, "short_council") if len(votes) >= enough else _lost(table, votes)


def first_ahead(table: Table) -> Verdict | Wish:
    """The label that is first ahead of every other by ``ahead`` voices, or that nobody left could catch up with; after
    a full council the one with the most."""
    recipe = table.plan.recipe
    votes = table.votes()
    most, second, *_ = (*sorted(table.tally(votes).values(), reverse=True), 0, 0)
    lead, left = most - second, recipe.council - len(votes)
    if votes and (lead >= recipe.ahead or lead > left or not left) and not table.open:
        return table.verdict(table.winner(votes), votes)
    out_of_reach = max(0, left - lead) // 2 + 1
    voices = len(votes) + max(1, min(recipe.ahead - lead, out_of_reach))
    wish = Wish(voices, later=recipe.council - voices)
    if table.may_hope(wish):
        return wish
    if len(votes) >= recipe.quorum:
        return table.verdict(table.winner(votes), votes, "short_council")
    return _lost(table, votes)


def _lost(table: Table, votes: list[Ballot]) -> Verdict:
    return table.no_verdict("quorum_lost" if votes else None)


_HAIR = 1e-9
"""Sums of logarithms that ought to be equal differ by less."""


class _Scale:
    """The votes of one table on the scale: who leads, how surely, and what could still change it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._skills = table.plan.skills
        self._reckoning = Reckoning(table.plan.labels)
        recipe = table.plan.recipe
        self._given = dict(zip(recipe.models, recipe.weights, strict=False))
        self._heaviest = max(recipe.weights) if recipe.weights else self._reckoning.heaviest(self._skills)

    def settled(self, votes: list[Ballot], council: int) -> bool:
        return self._is_settled([self._vote(b) for b in votes], council)

    def verdict(self, votes: list[Ballot], *flags: str) -> Verdict:
        shares = self._reckoning.shares([self._vote(b) for b in votes])
        winner = self._leader(shares)
        return self._table.verdict(winner, votes, *flags, confidence=shares[winner])

    def fewest_more(self, votes: list[Ballot]) -> int:
        """How many of those who come next would be enough, if they all named the label that leads."""
        table, council = self._table, self._table.plan.recipe.council
        said = [self._vote(b) for b in votes]
        leader = self._leader(self._reckoning.shares(said)) if said else "?"
        coming = table.called(Wish(council))
        for number, index in enumerate(coming, 1):
            said.append((leader, self._voice(table.plan.seats[index])))
            if self._is_settled(said, council):
                return number
        return max(1, min(len(coming), council - len(votes)))

    def _is_settled(self, votes: list[tuple[str, Voice]], council: int) -> bool:
        if len(votes) >= council:
            return True
        shares = self._reckoning.shares(votes)
        leader = self._leader(shares)
        if shares[leader] >= self._table.plan.recipe.threshold:
            return True
        scores = self._reckoning.scores(votes)
        lead = scores.pop(leader) - max(scores.values())
        return lead > (council - len(votes)) * self._heaviest + _HAIR

    @staticmethod
    def _leader(shares: dict[str, float]) -> str:
        """Equal shares go to the label that the best seat named: it comes first."""
        return max(shares, key=lambda label: round(shares[label], 9))

    def _vote(self, ballot: Ballot) -> tuple[str, Voice]:
        assert ballot.answer is not None
        return ballot.answer, self._voice(self._table.seat(ballot))

    def _voice(self, seat: Seat) -> Voice:
        return Voice(seat.quality, (self._skills or {}).get(seat.deployment), self._given.get(seat.deployment))
