"""Consensus: how far free texts agree, and the strategy that goes by it.

Two texts are as alike as the words they share (Dice's coefficient over their words, with repetitions, in any order).
It is a measure of wording, not of meaning, so what words carry little of is looked at apart: texts with different
numbers, or of which only one denies, are at most half alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

from app.core.ballots import Ballot, Verdict
from app.core.plan import SYNTHESISER
from app.core.table import Table, Wish

REVIEW = "flag_for_review"
_AT_ODDS = 0.5
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?")
_DENIALS = frozenset({"not", "no", "never", "none", "cannot", "nor", "without", "nicht", "kein", "keine", "nie"})


def likeness(one: str, other: str) -> float:
    """From 0 to 1; the same either way round, 1 for texts of the same words."""
    if one == other:
        return 1.0
    first, second = _words(one), _words(other)
    total = first.total() + second.total()
    if not total:
        return 0.0
    shared = 2 * (first & second).total() / total
    return min(shared, _AT_ODDS) if _at_odds(first, second) else shared


def agreement(answers: list[str], *, exact: bool = False) -> float:
    """The mean likeness of the pairs; of fewer than two answers 0: nobody has agreed with anybody.

    ``exact``: answers of a closed form are the same or not, so it is the share of the most frequent one.
    """
    if len(answers) < 2:
        return 0.0
    if exact:
        return max(Counter(answers).values()) / len(answers)
    pairs = [likeness(one, other) for one, other in combinations(sorted(answers), 2)]
    return sum(pairs) / len(pairs)


def consensus(table: Table) -> Verdict | Wish:
    """The council answers. Where it agrees, the most complete of the answers that agree; where it does not, one strong
    deployment writes an answer from all of them, and somebody is to look at it."""
    recipe = table.plan.recipe
    votes = table.votes()
    wish = Wish(recipe.council, later=1)
    if len(votes) < recipe.council and table.may_hope(wish):
        return wish
    trusted = table.trusted(votes)
    if not trusted:
        return table.untrusted()
    agreed = Agreed([b.answer or "" for b in votes], recipe.threshold, exact=table.plan.exact is True)
    best = _most_complete(agreed, trusted)
    short = ("short_council",) if len(votes) < recipe.council else ()
    if best is not None or recipe.council == 1:
        return agreed.verdict(table, (best or votes[0]).answer, votes, *short)
    written = table.votes(SYNTHESISER)
    synthesis = Wish(1, SYNTHESISER)
    if not written and len(votes) > 1 and table.may_hope(synthesis):
        return synthesis
    if written:
        return agreed.verdict(table, written[0].answer, votes, REVIEW, *short)
    # The one that the others are most like; of equals the best seat's.
    nearest = max(trusted, key=lambda b: agreed.with_others(b.answer or ""))
    return agreed.verdict(table, nearest.answer, votes, REVIEW, "unsynthesised", *short)


class Agreed:
    """How far the answers of a table agree. ``exact``: as in ``agreement``."""

    def __init__(self, answers: list[str], threshold: float, *, exact: bool) -> None:
        self.answers, self.threshold, self.exact = answers, threshold, exact
        self.score = agreement(answers, exact=exact)

    @property
    def reached(self) -> bool:
        return len(self.answers) > 1 and self.score >= self.threshold

    def with_others(self, answer: str) -> float:
        """The mean likeness of one of the answers to the others."""
        if self.exact:
            return self.answers.count(answer) / len(self.answers)
        others = len(self.answers) - 1
        return (sum(likeness(answer, one) for one in self.answers) - 1.0) / others if others else 0.0

    def verdict(self, table: Table, answer: str | None, votes: list[Ballot], *flags: str) -> Verdict:
        """Where answers are free text, the agreement is their mean likeness, and those count as the same that are as
        like as was asked."""
        if self.exact or len(votes) < 2:
            return table.verdict(answer, votes, *flags)
        same = sum(1 for one in self.answers if likeness(one, answer or "") >= self.threshold)
        return replace(table.verdict(answer, votes, *flags, same=same), agreement=round(self.score, 4))


def _most_complete(agreed: Agreed, trusted: list[Ballot]) -> Ballot | None:
    """The longest of the answers that are, in the mean, as like the others as is asked; ``trusted`` best first."""
    agreeing = [b for b in trusted if agreed.reached and agreed.with_others(b.answer or "") >= agreed.threshold]
    return max(agreeing, key=lambda b: _words(b.answer or "").total(), default=None)


@lru_cache(maxsize=1024)
def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _at_odds(first: Counter[str], second: Counter[str]) -> bool:
    numbers = [{word for word in words if word[0].isdigit()} for words in (first, second)]
    denies = [any(word in _DENIALS or word.endswith(("n't", "n’t")) for word in words) for words in (first, second)]
    return denies[0] != denies[1] or not (numbers[0] <= numbers[1] or numbers[1] <= numbers[0])
