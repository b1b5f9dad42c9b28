"""One deployment with everything that is known of it: its health and why, its calls, its limits, what changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from app.cli.fleet_list import Sight, as_json, breaker_in_words, cut, next_call, quality_in_words
from app.cli.output import duration, one_line, put, safe
from app.cli.strip import HOURS, Pen

if TYPE_CHECKING:
    from app.core.health import Spell
    from app.gates.limits import RuleUsage
    from app.yard import Yard

_LABEL = 11
_MOST_CHANGES = 8


def failures_of(yard: Yard, sight: Sight) -> list[dict[str, Any]]:
    from app.ledger import health

    return health.last_failures(yard.engine, sight.name)


def detail_json(sight: Sight, failures: list[dict[str, Any]]) -> dict[str, Any]:
    """As a row of the list, and more of what the fleet file and the averages say."""
    deployment, pulse = sight.seen.deployment, sight.seen.pulse
    return {
        **as_json(sight),
        "context_window": deployment.context_window,
        "max_output": deployment.max_output,
        "timeout_s": deployment.timeout_s,
        "local": deployment.local,
        "capabilities": sorted(deployment.capabilities),
        "streak": sight.seen.health.streak if sight.seen.health else 0,
        "mean_latency_ms": round(pulse.latency_ms) if pulse.samples else None,
        "tokens_per_call": round(pulse.tokens_per_call) if pulse.samples else None,
        "failures": [
            {**row, "closed_at": row["closed_at"].isoformat(), "text": one_line(row["text"] or "", 300)}
            for row in failures
        ],
    }


def put_detail(sight: Sight, failures: list[dict[str, Any]], pen: Pen) -> None:
    """Labelled lines, then the changes of its last day and its last failures, newest first."""
    put(pen.line(cut(f"{safe(sight.name)}  {_described(sight)}", pen.columns)) + "\n")
    for label, text in _lines(sight):
        head = sight.state if label == "health" else ""
        told = pen.line(cut(text, pen.columns and pen.columns - _LABEL - len(head)))
        put(f"{label.ljust(_LABEL)}{pen.paint(head, sight.state) if head else ''}{told}".rstrip() + "\n")
    put("last 24 h".ljust(_LABEL) + pen.paint_strip(sight.strip(pen)) + "\n")
    put(("changes" if sight.spells else "changes    none yet") + "\n")
    for line in list(_changes(sight))[:_MOST_CHANGES]:
        put(pen.line(cut("  " + line, pen.columns)) + "\n")
    put(("failures" if failures else "failures   none in the last 24 h") + "\n")
    for row in failures:
        status = f" {row['status']}" if row["status"] else ""
        said = one_line(row["text"] or "", 300)
        line = f"  {_clock(row['closed_at'])}  {row['purpose']:<6}{row['failure_kind']}{status}  {said}"
        put(pen.line(cut(line.rstrip(), pen.columns)) + "\n")


def _described(sight: Sight) -> str:
    d = sight.seen.deployment
    words = [d.tier.value, f"family {safe(d.family)}", f"context {d.context_window:,}", f"output {d.max_output:,}"]
    return ", ".join([*words, "local"] if d.local else words)


def _lines(sight: Sight) -> Iterator[tuple[str, str]]:
    seen, traffic = sight.seen, sight.traffic
    if seen.health is None:
        yield "health", ": not checked yet"
    else:
        held_s = (sight.now - seen.health.since).total_seconds()
        why = f": {one_line(sight.reason, 300)}" if sight.reason else ""
        yield "health", f" for {duration(held_s)}{why}"
        looked_s = (sight.now - seen.health.checked_at).total_seconds()
        leaning = f"; {seen.health.streak} of 2 looks say {seen.health.leaning}" if seen.health.leaning else ""
        yield "", f"last looked at {duration(looked_s)} ago{leaning}"
    failures = f", {seen.breaker.failures} of the last 20 calls failed" if seen.breaker.failures else ""
    yield "breaker", f"{breaker_in_words(sight)}{failures}; next call {next_call(sight)}"
    within = f"in the last {duration(sight.within_s)}"
    yield (
        "calls",
        f"none {within}" if traffic is None else f"{traffic.calls:,} {within}, {traffic.error_rate:.1%} failed",
    )
    speed = []
    if traffic is not None and traffic.p95_ms is not None:
        usual = f" ({traffic.times_usual:.1f} times the usual)" if traffic.times_usual else ""
        speed.append(f"p95 {traffic.p95_ms:,.0f} ms{usual}")
    if seen.pulse.samples:
        speed.append(f"mean {seen.pulse.latency_ms:,.0f} ms, {seen.pulse.tokens_per_call:,.0f} tokens a call")
    if speed:
        yield "", ", ".join(speed)
    if sight.learned:
        yield "quality", quality_in_words(sight)
    for n, limit in enumerate(list(_limits(sight)) or ["none named"]):
        yield "" if n else "limits", limit


def _limits(sight: Sight) -> Iterator[str]:
    for usage in sight.seen.usage:
        scope = usage.name.partition(":")[0]
        yield from (f"{scope:<12}{_limit(rule)}" for rule in usage.rules if rule.limit is not None)
        if usage.hold_ms:
            yield f"{scope:<12}asked us to stay away for {duration(usage.hold_ms / 1000)}"


def _limit(rule: RuleUsage) -> str:
    """``rpm 12/30  resets in 31 s``, and behind it what the file says where the provider showed something else."""
    assert rule.limit is not None
    resets = f"  resets in {duration(rule.resets_ms / 1000)}" if rule.resets_ms and rule.used else ""
    learned = ""
    if rule.learned is not None:
        told = "none" if rule.configured is None else f"{rule.configured:,}"
        why = "learned from refusals" if rule.learned.inferred else "stated by the provider"
        since, until = (_clock(_moment(ms))[:5] for ms in (rule.learned.at_ms, rule.learned.until_ms))
        learned = f" (file says {told}; {rule.learned.value:,} {why} {since}, until {until})"
    return f"{rule.rule} {rule.used:,}/{rule.limit:,}{learned}{resets}"


def _changes(sight: Sight) -> Iterator[str]:
    """Newest first. Of a state that began before the day only what it was."""
    begin = sight.now - dt.timedelta(hours=HOURS)
    changes: list[tuple[Spell | None, Spell]] = [(None, spell) for spell in sight.spells[:1]]
    changes += pairwise(sight.spells)
    for before, spell in reversed(changes):
        if spell.begin < begin:
            continue
        came = f"{before.state} → {spell.state}" if before else f"first seen {spell.state}"
        why = f"  {one_line(spell.reason, 300)}" if spell.reason else ""
        yield f"{_clock(spell.begin)}  {came}{why}"


def _moment(ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC)


def _clock(moment: dt.datetime) -> str:
    """In the time of this machine."""
    return moment.astimezone().strftime("%H:%M:%S")
