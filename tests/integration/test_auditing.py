"""A job's baseline through the yard: a random slice is put to it as well, and the receipt says what was saved."""

from __future__ import annotations

import pytest

from app.core.errors import UsageError
from app.ledger import receipts
from app.services import replaying
from tests.integration.small_yard import SmallYard, vendor


@pytest.fixture
def yard(small_yard: SmallYard) -> SmallYard:
    return small_yard.open([vendor("x"), vendor("y"), vendor("dear", tier="complex", quality=0.9)])


def test_a_slice_is_put_to_the_baseline_and_nothing_hangs_on_it(yard: SmallYard) -> None:
    job = yard.submit(200, strategy="single-query", baseline="dear/m", audit=0.2)
    yard.work()
    audited = yard.value("SELECT count(*) FROM items WHERE lane = 'audit'")
    assert 20 <= audited <= 60
    calls = dict(yard.rows("SELECT purpose, count(*) FROM attempts GROUP BY 1"))
    assert calls == {"vote": 200, "audit": audited}
    assert yard.rows("SELECT DISTINCT deployment FROM attempts WHERE purpose = 'audit'") == [("dear/m",)]
    assert yard.rows("SELECT DISTINCT status, votes FROM decisions") == [("decided", 1)]
    yard.books_agree()
    assert replaying.verify(yard.engine, job) == (200, [])
    said = receipts.receipt(yard.engine, job).to_json()
    assert said["saving"]["audited"] == audited
    mean = yard.value("SELECT avg(cost_micro)::float8 FROM attempts WHERE purpose = 'audit'")
    assert said["saving"]["would_have_cost_usd"] == pytest.approx(mean * 200 / 1e6)
    assert said["cost_usd"] == pytest.approx(float(yard.value("SELECT sum(cost_micro) FROM attempts")) / 1e6)


def test_a_baseline_that_fails_holds_nobody_up(yard: SmallYard) -> None:
    yard.weather({"provider": "dear", "kind": "error", "status": 500}, kind="fixed", text="a")
    job = yard.submit(40, strategy="single-query", baseline="dear/m", audit=0.5)
    yard.work()
    assert yard.rows("SELECT DISTINCT status FROM decisions") == [("decided",)]
    saving = receipts.receipt(yard.engine, job).to_json()["saving"]
    assert "0 items were audited" in saving["why"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"baseline": "deer/m"}, "not in the fleet"),
        ({"audit": 0.1}, "name one"),
    ],
)
def test_a_baseline_that_cannot_be_asked_is_refused_at_the_door(
    yard: SmallYard, spec: dict[str, object], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        yard.submit(5, **spec)
    assert yard.value("SELECT count(*) FROM jobs") == 0


def test_a_baseline_of_unknown_price_is_refused(small_yard: SmallYard) -> None:
    yard = small_yard.open([vendor("x"), vendor("dear", priced=False)])
    with pytest.raises(UsageError, match="nobody knows the price"):
        yard.submit(5, strategy="single-query", baseline="dear/m")
