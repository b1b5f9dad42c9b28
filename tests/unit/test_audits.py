"""The audit of a baseline: asked once beside the others, waited for, and nothing hangs on what it says."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.ballots import Ask, Ballot, Verdict
from app.core.plan import AUDIT, Plan, Seat
from app.core.recipe import parse
from app.core.routing import Lane, Routing, Wanted
from app.core.seating import seat_chunk
from app.core.strategies import decide
from app.core.tracks import Track
from app.core.values import Deployment, FailureKind, Tier

_COUNCIL = tuple(Seat(f"p{n}/m", f"F{n}", 0.5) for n in range(4))
_AUDIT = Seat("dear/m", "F0", 0.9, AUDIT)

answers = st.sampled_from(("x", "y", None))


def heard(seat: int, answer: str | None) -> Ballot:
    return Ballot(seat, answer) if answer else Ballot(seat, failure=FailureKind.TIMEOUT)


def play(plan: Plan, said: list[str | None]) -> tuple[Verdict, list[int]]:
    table: list[Ballot] = []
    asked: list[int] = []
    while not isinstance(move := decide(plan, table), Verdict):
        if not move:
            plan = plan.ended("nobody_left")
        asked += sorted(ask.seat for ask in move)
        table += [heard(ask.seat, said[ask.seat]) for ask in sorted(move, key=lambda a: a.seat)]
    return move, asked


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(("single-query", "majority-vote", "majority-vote(council=3, full=true)", "ranked-fallback")),
    st.lists(answers, min_size=5, max_size=5),
)
def test_the_verdict_is_that_of_a_table_without_the_audit(recipe: str, said: list[str | None]) -> None:
    plain = Plan(parse(recipe), _COUNCIL)
    audited = replace(plain, seats=(*_COUNCIL, _AUDIT))
    (verdict, asked), (truth, without) = play(audited, said), play(plain, said)
    assert verdict.to_bytes() == truth.to_bytes()
    assert sorted(asked) == sorted([*without, 4]), "the baseline is asked once, the others as ever"


def test_a_verdict_waits_for_the_audit_that_is_under_way() -> None:
    plan = Plan(parse("single-query"), (_COUNCIL[0], _AUDIT))
    assert decide(plan, []) == {Ask(0, 3), Ask(1, 1)}
    assert decide(plan, [Ballot(0, "x"), Ballot(1, open=True)]) == frozenset()
    assert isinstance(decide(plan, [Ballot(0, "x"), heard(1, None)]), Verdict)


def test_only_the_audited_lane_seats_the_baseline_and_never_where_the_item_may_not_go() -> None:
    def track(name: str, tier: Tier, *, local: bool = False) -> Track:
        provider, _, model = name.partition("/")
        return Track(Deployment(provider, model, tier, model, 8_000, 1_000, local=local), pace=1.0)

    def seats(tier: Tier, lane: Lane) -> list[str]:
        tracks = [
            track("a/small", Tier.CHEAP),
            track("home/small", Tier.CHEAP, local=True),
            track("b/big", Tier.COMPLEX),
        ]
        wanted = Wanted(tier, parse("single-query"), routing=Routing(baseline="b/big", audit=0.1), lane=lane)
        chunk = seat_chunk(tracks, wanted, available=9, chunk_size=9, horizon_s=20.0, seed=0)
        assert chunk is not None
        return [s.deployment for s in chunk.plan.seats if s.role == AUDIT]

    assert seats(Tier.CHEAP, Lane()) == []
    assert seats(Tier.CHEAP, Lane(audit=True)) == ["b/big"]
    assert seats(Tier.PRIVATE, Lane(audit=True)) == []
    assert Lane.parse(str(Lane(audit=True, private=True))) == Lane(audit=True, private=True)
