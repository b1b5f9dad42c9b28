"""The fleet on one page: of each deployment its health, its last day, its calls and what is left of its limits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.cli.output import duration, one_line, put, safe
from app.cli.strip import HOURS, SLOTS, Pen

if TYPE_CHECKING:
    from app.core.accuracy import Record
    from app.core.health import Spell, Traffic
    from app.gates.limits import RuleUsage, ScopeUsage
    from app.ledger.health import Lately
    from app.services.fleetview import Seen
    from app.yard import Yard

_WIDE = 140
"""Columns from which strip and limits have room beside the rest."""
_LIMITS = 30
"""Columns kept for the limits there, however long the names are."""
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Sight:
    """One deployment with its last day. ``now`` is Postgres' clock, ``now_ms`` that of Redis."""

    seen: Seen
    spells: Sequence[Spell]
    lately: Lately | None
    within_s: float
    now: dt.datetime
    now_ms: int
    learned: Mapping[str, Record] = field(default_factory=dict)
    """Kind of task → how often it was right, as far as that is known."""

    @property
    def name(self) -> str:
        return self.seen.deployment.name

    @property
    def state(self) -> str:
        return self.seen.health.state.value if self.seen.health else "unknown"

    @property
    def reason(self) -> str | None:
        return self.seen.health.reason if self.seen.health else "not checked yet"

    @property
    def ready_s(self) -> float:
        """Until the gates let a small call through; infinite where they never do."""
        return self.seen.opens_s

    @property
    def opens_s(self) -> float:
        """Until an open breaker lets a probe through."""
        return max(0.0, (self.seen.breaker.until_ms - self.now_ms) / 1000)

    @property
    def traffic(self) -> Traffic | None:
        return self.lately.traffic if self.lately is not None and self.lately.traffic.calls else None

    def strip(self, pen: Pen) -> str:
        from app.core.health import by_slot

        return pen.strip(by_slot(self.spells, self.now - dt.timedelta(hours=HOURS), self.now, SLOTS))


def sights(yard: Yard) -> list[Sight]:
    """The whole fleet, in the order of the fleet file."""
    from app.ledger import health, skills

    seen = yard.view.look()
    within_s = yard.settings.health_every_s
    now, spells = health.history(yard.engine, HOURS * 3600)
    lately = health.lately(yard.engine, {s.deployment.name: s.deployment for s in seen}, within_s)
    now_ms = yard.gates.now_ms()
    names = [s.deployment.name for s in seen]
    learned = skills.pools(yard.engine) if yard.settings.learn else {}
    return [
        Sight(s, spells.get(name, ()), lately.get(name), within_s, now, now_ms, learned.get(name, {}))
        for s, name in zip(seen, names, strict=True)
    ]


def as_json(sight: Sight) -> dict[str, Any]:
    """``error_rate``, ``p95_ms``: of the live calls within the last ``within_s`` seconds; null without any.

    ``ready_s``: seconds until the gates let a small call through; null where they never do. ``slow_start``: share of
    the capacity that the breaker lets be in flight: 1 is all of it, 0 nothing but a probe. ``history``: the states of
    the last 24 hours; the first of them may have begun earlier.
    """
    seen, traffic = sight.seen, sight.traffic
    return {
        "deployment": sight.name,
        "provider": seen.deployment.provider,
        "tier": seen.deployment.tier.value,
        "family": seen.deployment.family,
        "quality": seen.deployment.quality,
        "learned": [_learned(kind, record, seen.deployment.quality) for kind, record in sight.learned.items()],
        "health": sight.state,
        "reason": sight.reason,
        "leaning": seen.health.leaning if seen.health else None,
        "since": seen.health.since.isoformat() if seen.health else None,
        "checked_at": seen.health.checked_at.isoformat() if seen.health else None,
        "breaker": seen.breaker.state,
        "slow_start": seen.breaker.share,
        "within_s": sight.within_s,
        "calls": traffic.calls if traffic else 0,
        "error_rate": round(traffic.error_rate, 4) if traffic else None,
        "p95_ms": round(traffic.p95_ms) if traffic and traffic.p95_ms is not None else None,
        "latency_ms": seen.pulse.latency_ms or (seen.health.latency_ms if seen.health else None),
        "ready_s": None if sight.ready_s == float("inf") else round(sight.ready_s, 3),
        "limits": [_limit(usage, rule) for usage in seen.usage for rule in usage.rules if rule.limit is not None],
        "history": [
            {"from": s.begin.isoformat(), "to": s.end.isoformat(), "state": s.state.value, "reason": s.reason}
            for s in sight.spells
        ],
    }


def _learned(kind: str, record: Record, prior: float) -> dict[str, Any]:
    """``quality``: what a team that has seen nothing of it itself rests on."""
    from app.core.accuracy import POOL_PRIOR

    low, high = record.interval
    return {
        "kind": kind,
        "quality": round(record.evidence.quality(prior, POOL_PRIOR), 4),
        "accuracy": None if record.accuracy is None else round(record.accuracy, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "n": round(record.n, 2),
        "source": record.source,
    }


def quality_in_words(sight: Sight) -> str:
    """``0.50``, or with what was seen of it: ``0.50, 81% of 240 classify``."""
    words = [f"{sight.seen.deployment.quality:.2f}"]
    for kind, record in sight.learned.items():
        if record.accuracy is not None:
            words.append(f"{record.accuracy:.0%} of {record.n:,.0f} {kind}")
    return ", ".join(words)


def _limit(usage: ScopeUsage, rule: RuleUsage) -> dict[str, Any]:
    assert rule.limit is not None
    learned = None
    if rule.learned is not None:
        since, until = (
            dt.datetime.fromtimestamp(ms / 1000, dt.UTC) for ms in (rule.learned.at_ms, rule.learned.until_ms)
        )
        learned = {
            "value": rule.learned.value,
            "why": "refusals" if rule.learned.inferred else "stated",
            "at": since.isoformat(),
            "until": until.isoformat(),
        }
    return {
        "scope": usage.name,
        "rule": rule.rule,
        "limit": rule.limit,
        "used": rule.used,
        "left": max(0, rule.limit - rule.used),
        "resets_s": round(rule.resets_ms / 1000, 1),
        "configured": rule.configured,
        "learned": learned,
    }


def breaker_in_words(sight: Sight) -> str:
    """``closed``, ``open 25 s``, ``probing``, or what slow start allows: ``slow 20%``; ``shut`` for who is out."""
    breaker = sight.seen.breaker
    if sight.state == "out":
        return "shut"
    if breaker.state == "open":
        return f"open {duration(sight.opens_s)}"
    if breaker.state == "half_open":
        return "probing"
    return "closed" if breaker.share >= 1 else f"slow {breaker.share:.0%}"


def next_call(sight: Sight) -> str:
    if not sight.seen.usable:
        return "–"
    return duration(sight.ready_s) if sight.ready_s else "now"


def put_list(found: Sequence[Sight], pen: Pen) -> None:
    """A row each on a wide terminal, in a file or a pipe; on a narrow one the strip and the limits go below."""
    header = ["DEPLOYMENT", "HEALTH", "ERRORS", "P95", "BREAKER", "NEXT CALL"]
    rows = [_facts(sight) for sight in found]
    if any(sight.learned for sight in found):
        header.append("QUALITY")
        rows = [[*row, quality_in_words(sight)] for row, sight in zip(rows, found, strict=True)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    wide = pen.columns is None or pen.columns >= _WIDE
    limits_at = SLOTS + 2 * len(_GAP)
    spare = (pen.columns or 0) - sum(widths[1:]) - len(_GAP) * (len(widths) - 1)
    if wide:
        if pen.columns is not None:
            widths[0] = min(widths[0], spare - SLOTS - _LIMITS - 2 * len(_GAP))
        header = [*header[:2], "LAST 24 H", *header[2:], "LIMITS LEFT"]
        widths[2:2] = [SLOTS]
        limits_at = sum(widths) + len(_GAP) * len(widths)
    else:
        widths[0] = min(widths[0], spare)
    titles = [name.ljust(width) for name, width in zip(header, [*widths, 0], strict=False)]
    put(_GAP.join(titles).rstrip() + "\n")
    for sight, facts in zip(found, rows, strict=True):
        name, health, *others = [
            pen.line(cut(text, width)).ljust(width)
            for text, width in zip(facts, (widths[:2] + widths[3:]) if wide else widths, strict=True)
        ]
        health = pen.paint(health, sight.state)
        strip = pen.paint_strip(sight.strip(pen))
        limits = pen.line(cut(_limits_left(sight), pen.columns and pen.columns - limits_at))
        if wide:
            put(_GAP.join([name, health, strip, *others, limits]).rstrip() + "\n")
        else:
            put(_GAP.join([name, health, *others]).rstrip() + "\n")
            put(_GAP.join(["", strip, limits]).rstrip() + "\n")
        if sight.reason:
            put(pen.line(cut(_GAP + one_line(sight.reason, 300), pen.columns)) + "\n")


def _facts(sight: Sight) -> list[str]:
    traffic = sight.traffic
    errors = f"{traffic.error_rate:.1%}" if traffic else "–"
    p95 = f"{traffic.p95_ms:,.0f} ms" if traffic and traffic.p95_ms is not None else "–"
    return [safe(sight.name), sight.state, errors, p95, breaker_in_words(sight), next_call(sight)]


def _limits_left(sight: Sight) -> str:
    rules = [rule for usage in sight.seen.usage for rule in usage.rules if rule.limit is not None]
    return _GAP.join(f"{r.rule} {max(0, r.limit - r.used):,}/{r.limit:,}" for r in rules if r.limit is not None)


def cut(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else text[: max(0, most - 1)] + "…"
