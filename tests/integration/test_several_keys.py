"""Several keys of one provider: their limits add up, a refused one stands aside, a replaced one is not missed."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.gates.limits import Gates
from app.services.admission import Admission, Admitted
from tests.integration.small_yard import SmallYard, vendor

SINGLE = {"strategy": "single-query"}
KEYS = {"KEY_ONE": "first-key-of-this-test", "KEY_TWO": "second-key-of-this-test"}


def mark(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    return {"api_key_env": list(KEYS), "limits_per": "key"}


def by_key(yard: SmallYard) -> Counter[tuple[str, int]]:
    names = {mark(key): name for name, key in KEYS.items()}
    return Counter((names.get(call["key"], "?"), call["status"]) for call in yard.sim.calls())


def test_two_keys_are_used_to_the_sum_of_their_limits(small_yard: SmallYard, keyed: dict[str, Any]) -> None:
    yard = small_yard.open([vendor("x", rpd=10, **keyed)], gate_margin_s=1.0)
    yard.submit(25, **SINGLE)
    yard.work()
    assert by_key(yard) == {("KEY_ONE", 200): 10, ("KEY_TWO", 200): 10}
    assert [row[1] for row in yard.decisions()] == ["decided"] * 20
    assert yard.rows("SELECT key_ref, count(*) FROM attempts GROUP BY 1 ORDER BY 1") == [
        ("KEY_ONE", 10),
        ("KEY_TWO", 10),
    ]
    yard.books_agree()


def test_a_lost_redis_remembers_what_each_key_has_used(small_yard: SmallYard, keyed: dict[str, Any]) -> None:
    yard = small_yard.open([vendor("x", rpd=10, **keyed)], gate_margin_s=0.2)
    yard.submit(15, **SINGLE)
    yard.work()
    before = by_key(yard)
    yard.yard.redis.flushdb()
    assert isinstance(yard.yard.gates, Gates)
    yard.submit(15, **SINGLE)
    yard.work()
    assert sum(before.values()) == 15
    assert by_key(yard) == {("KEY_ONE", 200): 10, ("KEY_TWO", 200): 10}


def test_keys_that_share_the_accounts_limits_add_nothing(small_yard: SmallYard, keyed: dict[str, Any]) -> None:
    yard = small_yard.open([vendor("x", rpd=10, **{**keyed, "limits_per": "account"})])
    yard.submit(25, **SINGLE)
    yard.work()
    assert sum(by_key(yard).values()) == 10


def test_a_revoked_key_stands_aside_and_comes_back(small_yard: SmallYard, keyed: dict[str, Any]) -> None:
    yard = small_yard.open([vendor("x", **keyed)])
    yard.weather({"provider": "x", "kind": "revoked_key", "key": mark(KEYS["KEY_ONE"])})
    yard.submit(60, **SINGLE)
    yard.work()
    assert [row[1] for row in yard.decisions()] == ["decided"] * 60
    calls = by_key(yard)
    assert calls["KEY_TWO", 200] == 60
    # What was under way with it when it was refused, and no more.
    assert 1 <= calls["KEY_ONE", 401] <= 25
    assert yard.rows("SELECT provider, key_ref, state FROM key_health") == [("x", "KEY_ONE", "out")]
    assert yard.rows("SELECT state FROM health") == [("healthy",)]

    refused = calls["KEY_ONE", 401]
    assert yard.yard.redis.delete("gate:{provider:x#KEY_ONE}:hold") == 1, "held for those who have not seen it yet"
    yard.yard.monitor.check(everyone=True)
    assert by_key(yard)["KEY_ONE", 401] == refused + 1
    assert yard.rows("SELECT state FROM key_health") == [("out",)]
    yard.weather()
    yard.yard.monitor.check(everyone=True)
    assert yard.rows("SELECT state FROM key_health") == [("healthy",)]
    yard.submit(60, **SINGLE)
    yard.work()
    assert by_key(yard)["KEY_ONE", 200] > 1


def test_the_last_key_takes_its_deployment_out(small_yard: SmallYard, keyed: dict[str, Any]) -> None:
    yard = small_yard.open([vendor("x", **keyed), vendor("y")])
    yard.weather({"provider": "x", "kind": "auth"})
    yard.submit(60, **SINGLE)
    yard.work()
    assert [row[1] for row in yard.decisions()] == ["decided"] * 60
    assert dict(yard.rows("SELECT deployment, state FROM health")) == {"x/m": "out", "y/m": "healthy"}
    calls = len([call for call in yard.sim.calls() if call["provider"] == "x"])
    assert calls <= 50
    yard.submit(60, **SINGLE)
    yard.work()
    assert len([call for call in yard.sim.calls() if call["provider"] == "x"]) == calls
    assert [row[1] for row in yard.decisions()] == ["decided"] * 120


def test_a_key_is_replaced_without_loss(small_yard: SmallYard, tmp_path: Path) -> None:
    """The file holds the new key; a worker has read the old one, which the provider refuses by now."""
    path = tmp_path / "key"
    path.write_text("old-key-of-this-test\n")
    yard = small_yard.open([vendor("x", api_key_file=str(path))])
    yard.submit(10, **SINGLE)
    asks = yard.dispatch()
    yard.weather({"provider": "x", "kind": "revoked_key", "key": mark("old-key-of-this-test")})
    start = yard.yard.wire.start

    def replaced(*args: Any) -> None:
        path.write_text("new-key-of-this-test\n")
        start(*args)

    yard.yard.wire.start = replaced  # type: ignore[method-assign]  # the moment in which a person replaces the key
    yard.follow(asks)
    assert [row[1] for row in yard.decisions()] == ["decided"] * 10
    assert yard.rows("SELECT state FROM health") == [("healthy",)]
    assert Counter((call["key"], call["status"]) for call in yard.sim.calls()) == {
        (mark("old-key-of-this-test"), 401): 10,
        (mark("new-key-of-this-test"), 200): 10,
    }
    stored = yard.rows("SELECT text, key_ref FROM attempts")
    assert not any("of-this-test" in str(row) for row in stored)


def test_a_key_replaced_while_an_ask_waits_is_used_from_the_next_call_on(small_yard: SmallYard, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old-key-of-this-test\n")
    yard = small_yard.open([vendor("x", api_key_file=str(path), concurrency=1)])
    yard.submit(4, **SINGLE)
    asks = yard.dispatch()
    admit = Admission.admit
    # An editor may empty the file first.
    texts = iter(["old-key-of-this-test\n", "", "new-key-of-this-test\n", "new-key-of-this-test\n"])

    def admitted(*args: Any, **kwargs: Any) -> Any:
        found = admit(*args, **kwargs)
        if isinstance(found, Admitted):
            path.write_text(next(texts))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Admission, "admit", admitted)
        yard.follow(asks)
    assert [row[1] for row in yard.decisions()] == ["decided"] * 4
    assert Counter((call["key"], call["status"]) for call in yard.sim.calls()) == {
        (mark("old-key-of-this-test"), 200): 3,
        (mark("new-key-of-this-test"), 200): 1,
    }


def test_a_ping_tries_the_other_key_before_a_provider_is_out(small_yard: SmallYard, keyed: dict[str, Any]) -> None:
    """Nothing was called yet, so nobody has noticed that the first key is revoked."""
    yard = small_yard.open([vendor("x", **keyed)], healthy=False)
    yard.weather({"provider": "x", "kind": "revoked_key", "key": mark(KEYS["KEY_ONE"])})
    yard.yard.monitor.check()
    assert yard.rows("SELECT state FROM health") == [("healthy",)]
    assert yard.rows("SELECT key_ref, state FROM key_health") == [("KEY_ONE", "out")]
    yard.weather({"provider": "x", "kind": "auth"})
    yard.yard.monitor.check(everyone=True)
    assert yard.rows("SELECT state FROM health") == [("out",)]


def test_a_ping_under_way_while_its_key_is_replaced_says_nothing_of_health(
    small_yard: SmallYard, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_text("old-key-of-this-test\n")
    yard = small_yard.open([vendor("x", api_key_file=str(path))])
    yard.weather({"provider": "x", "kind": "revoked_key", "key": mark("old-key-of-this-test")})
    start = yard.yard.wire.start

    def replaced(*args: Any) -> None:
        path.write_text("new-key-of-this-test\n")
        start(*args)

    yard.yard.wire.start = replaced  # type: ignore[method-assign]  # the moment in which a person replaces the key
    yard.yard.monitor.check(everyone=True)
    assert [call["status"] for call in yard.sim.calls()] == [401, 200]
    assert yard.rows("SELECT state FROM health_history WHERE state <> 'healthy'") == []
