"""What `switchyard fleet` draws: strips, widths, colours, and one deployment in full."""

from __future__ import annotations

import datetime as dt
import io
import re
import sys
import time

import pytest

from app.cli.fleet_detail import detail_json, put_detail
from app.cli.fleet_list import Sight, as_json, put_list
from app.cli.strip import Pen
from app.core.health import Spell, State, Traffic
from app.core.values import Deployment, Limits, Tier
from app.gates.breaker import BreakerView
from app.gates.limits import RuleUsage, ScopeUsage
from app.gates.pulse import Pulse
from app.gates.terms import Learned
from app.ledger.health import Health, Lately
from app.services.fleetview import Seen

NOW = dt.datetime(2026, 11, 20, 12, 0, 10, tzinfo=dt.UTC)
NOW_MS = 1_000_000
WIDE, NARROW, PIPE = Pen(True, False, 160), Pen(True, False, 80), Pen(True, False, None)
CLOSED = BreakerView("closed", 0, 0)


def ago(hours: float) -> dt.datetime:
    return NOW - dt.timedelta(hours=hours)


def spells(*states: tuple[float, State, str | None]) -> list[Spell]:
    """From (hours ago, state, reason), each until the next."""
    ends = [*(ago(hours) for hours, _, _ in states), NOW][1:]
    return [Spell(ago(hours), end, state, why) for (hours, state, why), end in zip(states, ends, strict=True)]


def sight(
    model: str = "m",
    *of: tuple[float, State, str | None],
    breaker: BreakerView = CLOSED,
    traffic: Traffic | None = None,
    used: int = 12,
    leaning: State | None = None,
    learned: Learned | None = None,
) -> Sight:
    deployment = Deployment("groq", model, Tier.CHEAP, "llama-3.1-8b", 131072, 8192, limits=Limits(rpm=30))
    health = None
    if of:
        hours, state, why = of[-1]
        health = Health(state, why, 400, ago(hours), ago(0.01), leaning, 1 if leaning else 0)
    rules = (
        RuleUsage("rpm", used, 30, 31_000, 60, learned),
        RuleUsage("tpm", 0, None, 0),
        RuleUsage("rpd", 140, 14_400, 40_320_000),
    )
    usage = (ScopeUsage("provider:groq", True, rules, 0, 0, 0.0),)
    lately = Lately(traffic, True, True, 410) if traffic else None
    seen = Seen(deployment, health, breaker, Pulse(410.0, 210.0, samples=130), (usage,))
    return Sight(seen, spells(*of), lately, 300.0, NOW, NOW_MS)


FLEET = [
    sight("llama-3.1-8b-instant", (30, State.HEALTHY, None), traffic=Traffic(120, 0, 812.0, 1.1, 0.01)),
    sight(
        "qwen3-32b",
        (30, State.HEALTHY, None),
        (9, State.DOWN, "timeout: no answer within 20 s"),
        (6.2, State.HEALTHY, None),
        (0.7, State.DEGRADED, "17 of 120 calls failed (14%)"),
        breaker=BreakerView("closed", 0, 4, 0.2),
        traffic=Traffic(120, 17, 4100.0, 3.4, 0.07),
        leaning=State.HEALTHY,
    ),
    sight("gone", (3, State.OUT, "model_not_found: no such"), breaker=BreakerView("open", NOW_MS + 86_400_000, 0, 0.0)),
    sight("half", (3, State.HEALTHY, None), breaker=BreakerView("half_open", NOW_MS - 5, 9, 0.0)),
    sight("a-model-with-a-name-that-is-much-longer-than-anybody-would-like"),
]  # fmt: skip
FAILURES = [
    {"closed_at": NOW, "purpose": "vote", "failure_kind": "timeout", "status": None, "latency_ms": 60000,
     "text": "late"},
    {"closed_at": ago(1), "purpose": "ping", "failure_kind": "server_error", "status": 500, "latency_ms": 9,
     "text": "\x1b[31mInternal\nerror"},
]  # fmt: skip


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [64, 80, 100, 140, 160, 240])
def test_no_line_is_longer_than_the_terminal(capsys: pytest.CaptureFixture[str], columns: int) -> None:
    put_list(FLEET, Pen(True, False, columns))
    put_detail(FLEET[1], FAILURES, Pen(True, False, columns))
    assert [line for line in lines(capsys) if len(line) > columns] == []


def test_a_strip_shows_the_worst_of_each_half_hour(capsys: pytest.CaptureFixture[str]) -> None:
    put_list(FLEET[1:2], WIDE)
    strip = lines(capsys)[1].split()[2]
    assert strip == "█" * 30 + "▒" * 6 + "█" * 10 + "▓" * 2
    put_list(FLEET[2:3], WIDE)
    assert lines(capsys)[1].split()[2] == "·" * 42 + "░" * 6


def test_a_wide_terminal_has_one_row_each_and_a_narrow_one_puts_the_strip_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_list(FLEET[:1], WIDE)
    head, row = lines(capsys)
    assert re.split(r"  +", row)[:3] == ["groq/llama-3.1-8b-instant", "healthy", "█" * 48]
    assert re.split(r"  +", row)[3:] == ["0.0%", "812 ms", "closed", "now", "rpm 18/30", "rpd 14,260/14,400"]
    assert head.index("LAST 24 H") == row.index("█")
    put_list(FLEET[:1], NARROW)
    head, row, below = lines(capsys)
    assert re.split(r"  +", row) == ["groq/llama-3.1-8b-instant", "healthy", "0.0%", "812 ms", "closed", "now"]
    assert below == "  " + "█" * 48 + "  rpm 18/30  rpd 14,260/14,400"


def test_the_breaker_and_the_reason_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    put_list(FLEET, PIPE)
    text = capsys.readouterr().out
    assert "slow 20%" in text
    assert "probing" in text
    assert "shut" in text
    assert "\n  17 of 120 calls failed (14%)\n" in text
    assert "\n  not checked yet\n" in text


def test_colour_changes_nothing_but_the_colour(capsys: pytest.CaptureFixture[str]) -> None:
    for plain, coloured in ((WIDE, Pen(True, True, 160)), (NARROW, Pen(True, True, 80))):
        put_list(FLEET, plain)
        put_detail(FLEET[1], FAILURES, plain)
        without = capsys.readouterr().out
        put_list(FLEET, coloured)
        put_detail(FLEET[1], FAILURES, coloured)
        painted = capsys.readouterr().out
        assert "\x1b[" not in without
        assert "\x1b[33m▓▓\x1b[0m" in painted
        assert re.sub(r"\x1b\[\d+m", "", painted) == without


def test_a_terminal_without_blocks_gets_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    put_list(FLEET, Pen(False, False, 80))
    put_detail(FLEET[1], FAILURES, Pen(False, False, 80))
    text = capsys.readouterr().out
    assert text.isascii()
    assert "#" * 30 + "-" * 6 + "#" * 10 + "==" in text
    assert Pen(False, False, 80).legend().isascii()


@pytest.mark.parametrize(
    ("encoding", "blocks"), [("utf-8", True), ("ascii", False), ("latin-1", False), ("cp437", True)]
)
def test_the_encoding_decides(monkeypatch: pytest.MonkeyPatch, encoding: str, blocks: bool) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    pen = Pen.of_stdout()
    assert (pen.blocks, pen.colour, pen.columns) == (blocks, False, None)


def test_one_in_full(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    put_detail(FLEET[1], FAILURES, WIDE)
    text = capsys.readouterr().out
    assert text.startswith("groq/qwen3-32b  cheap, family llama-3.1-8b, context 131,072, output 8,192\n")
    assert "health     degraded for 42 min: 17 of 120 calls failed (14%)\n" in text
    assert "1 of 2 looks say healthy\n" in text
    assert "breaker    slow 20%, 4 of the last 20 calls failed; next call now\n" in text
    assert "calls      120 in the last 5 min, 14.2% failed\n" in text
    assert "p95 4,100 ms (3.4 times the usual), mean 410 ms, 210 tokens a call\n" in text
    assert "limits     provider    rpm 12/30  resets in 31 s\n" in text
    changes = [line.split("  ", 2)[2] for line in text.splitlines() if " → " in line]
    assert changes == [
        "healthy → degraded  17 of 120 calls failed (14%)",
        "down → healthy",
        "healthy → down  timeout: no answer within 20 s",
    ], "newest first, and not how the day before began"
    assert re.search(r"  ping  server_error 500  \\x1b\[31mInternal error\n", text), "a provider's text is not obeyed"


def test_a_learned_limit_stands_beside_the_configured_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    noon_ms = int(NOW.timestamp() * 1000)
    shown = sight("m", (1, State.HEALTHY, None), learned=Learned(30, noon_ms + 3_600_000, noon_ms, inferred=True))
    put_detail(shown, [], PIPE)
    told = "rpm 12/30 (file says 60; 30 learned from refusals 12:00, until 13:00)  resets in 31 s"
    assert f"limits     provider    {told}\n" in capsys.readouterr().out
    limit = as_json(shown)["limits"][0]
    assert (limit["limit"], limit["configured"]) == (30, 60)
    assert limit["learned"] == {
        "value": 30, "why": "refusals", "at": "2026-11-20T12:00:10+00:00", "until": "2026-11-20T13:00:10+00:00",
    }  # fmt: skip


def test_json_holds_what_the_page_shows() -> None:
    row = as_json(FLEET[1])
    assert (row["health"], row["error_rate"], row["p95_ms"], row["slow_start"]) == ("degraded", 0.1417, 4100, 0.2)
    assert [(s["state"], s["reason"]) for s in row["history"]][1] == ("down", "timeout: no answer within 20 s")
    assert [s["to"] for s in row["history"]][:-1] == [s["from"] for s in row["history"]][1:]
    unknown = as_json(FLEET[4])
    assert (unknown["health"], unknown["error_rate"], unknown["history"]) == ("unknown", None, [])
    assert detail_json(FLEET[1], FAILURES)["failures"][1]["failure_kind"] == "server_error"
