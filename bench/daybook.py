"""A played day, read from the ledger and the simulator's books, and held against its script (``bench.sky``).

Every check gives sentences, one a violation. Moments are seconds since 1970, all from one machine's clock.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.matrix import GROWS_LOAD
from app.core.values import FailureKind
from bench import sky
from bench.harness import LABELS, Rig

MOST_LOAD = 10
"""Calls that a provider sees from the moment it begins to fail, until only probes and pings come."""
_BREAKER_S = 30.0
_UNDER_WAY_S = 1.5
"""A call leaves within a margin of 1 s after it was granted, and some more until the books have it."""
_RETRY_SHARE, _RETRY_FLOOR, _MINUTE_S = 0.1, 60, 60.0
_OURS = frozenset({"breaker_open", "quota_exhausted", "rate_limit", "auth", "model_not_found"})
"""What a vote without a call says where a door of ours was shut."""

_ATTEMPTS = """
SELECT a.id, a.job_id, a.chunk_id, a.item_id, a.seat, a.try AS number, a.purpose, a.provider, a.deployment, a.state,
       a.failure_kind, extract(epoch FROM a.started_at)::float8 AS started, extract(epoch FROM a.closed_at)::float8 AS closed,
       a.text, coalesce(a.flags, '{}') AS flags, a.key_ref, extract(epoch FROM k.created_at)::float8 AS asked
FROM attempts a LEFT JOIN asks k ON k.chunk_id = a.chunk_id AND k.seat = a.seat AND a.item_id = ANY(k.item_ids)
WHERE a.state <> 'unsent' ORDER BY a.id
"""  # noqa: E501
_FELL_BACK = """
SELECT DISTINCT a.item_id FROM attempts a JOIN votes v ON v.chunk_id = a.chunk_id AND v.item_id = a.item_id
WHERE a.purpose <> 'ping' AND a.state <> 'unsent' AND v.seat <> a.seat AND v.failure_kind IS NOT NULL
  AND v.cast_at <= a.started_at
"""
_REFUSED = """
SELECT v.item_id, k.deployment, v.failure_kind, extract(epoch FROM v.cast_at)::float8, v.reason
FROM votes v JOIN asks k ON k.chunk_id = v.chunk_id AND k.seat = v.seat AND v.item_id = ANY(k.item_ids)
WHERE v.attempt_id IS NULL AND v.failure_kind IS NOT NULL
"""


_NOTICES = """
SELECT name, subject, firing, extract(epoch FROM created_at)::float8 AS at FROM alert_notices
WHERE sink = 'log' ORDER BY id
"""
_HEALTH = "SELECT deployment, state, extract(epoch FROM at)::float8 AS at FROM health_history ORDER BY at"


@dataclass(frozen=True, slots=True)
class Struck:
    """A call that a spell befell, with the attempt that the ledger has of it."""

    spell: sky.Spell
    arrived: float
    attempt: Any

    @property
    def ping(self) -> bool:
        return bool(self.attempt.purpose == "ping")


@dataclass(slots=True)
class Book:
    spells: Sequence[sky.Spell]
    began: float
    hour_s: float
    jobs: Mapping[str, int]
    calls: list[dict[str, Any]]
    attempts: dict[str, Any]
    """By the reference that the books have of the call."""
    struck: dict[sky.Spell, list[Struck]]
    stray: list[str]
    """Calls refused by a limit that the script did not touch."""
    fell_back: set[int]
    refused: list[Any]
    """Votes without a call: (item, deployment, failure kind, when, reason)."""
    decisions: list[Any]
    health: list[Any]
    notices: list[Any]

    def at(self, hour: float) -> float:
        return self.began + hour * self.hour_s


def read(
    rig: Rig, calls: list[dict[str, Any]], spells: Sequence[sky.Spell], *, began: float, hour_s: float,
    jobs: Mapping[str, int],
) -> Book:  # fmt: skip
    attempts = {f"sy-{row.id}": row for row in rig.query(_ATTEMPTS)}
    places = {(s.provider, "limit:rpm" if s.kind == "limits" else s.kind): s for s in spells}
    struck: dict[sky.Spell, list[Struck]] = {spell: [] for spell in spells}
    stray = []
    for call in sorted(calls, key=lambda c: c["arrived_at"]):
        spell = places.get((call["provider"], call["effect"]))
        attempt = attempts.get(call["request_ref"])
        if spell is not None and attempt is not None:
            struck[spell].append(Struck(spell, call["arrived_at"], attempt))
        elif call["effect"].startswith("limit:") or (call["effect"] and call["effect"] != "cold_start"):
            stray.append(f"{call['provider']} refused a call that the script had not touched: {call['effect']}")
    return Book(
        spells, began, hour_s, jobs, calls, attempts, struck, stray,
        fell_back={row[0] for row in rig.query(_FELL_BACK)},
        refused=rig.query(_REFUSED),
        decisions=rig.query("SELECT item_id, job_id, status, answer, votes, reason, flags FROM decisions"),
        health=rig.query(_HEALTH),
        notices=rig.query(_NOTICES),
    )  # fmt: skip


def violations(book: Book) -> list[str]:
    return [
        *book.stray,
        *_heard(book),
        *_verdicts(book),
        *_load(book),
        *_to_out(book),
        *_held(book),
        *_returned(book),
        *_fallback(book),
        *_retries(book),
        *_alerts(book),
    ]


def report(book: Book) -> dict[str, Any]:
    """What was seen, in numbers."""
    spells = []
    for spell, struck in book.struck.items():
        live = [s for s in struck if not s.ping]
        load, probes = _split(struck) if spell.whole else (None, None)
        heard = Counter(s.attempt.failure_kind or s.attempt.state for s in struck)
        back = _back(book, spell)
        spells.append({
            "provider": spell.provider, "kind": spell.kind, "hours": f"{spell.from_h:g}-{spell.to_h:g}",
            "struck": len(live), "pings": len(struck) - len(live), "load": None if load is None else len(load),
            "probes": None if probes is None else len(probes),
            "back_s": None if back is None or not spell.whole else round(back - book.at(spell.to_h), 1),
            "heard": ", ".join(f"{kind} {n}" for kind, n in heard.most_common()),
        })  # fmt: skip
    fired = Counter((n.name, n.subject) for n in book.notices if n.firing)
    recovered = Counter((n.name, n.subject) for n in book.notices if not n.firing)
    low, high, by_struck, by_refused = _implied(book)
    count = sum(book.jobs.values())
    used, allowed, retries = _fullest_minute(book)
    return {
        "decisions": dict(Counter(d.status for d in book.decisions)),
        "spells": spells,
        "struck": dict(Counter(s.spell.heard for of_it in book.struck.values() for s in of_it if s.spell.heard)),
        "fallback": {
            "seen": len(book.fell_back), "items": count, "rate": len(book.fell_back) / count,
            "low": len(low) / count, "high": len(high) / count, "struck": len(by_struck),
            "refused": len(by_refused - by_struck),
            "starved": len({item for item, *_, reason in book.refused if _for_retries(reason)}),
        },
        "to_out": sum(len(late) for _, late in _late(book)),
        "retries": {"calls": retries, "used": used, "allowed": allowed},
        "alerts": [
            {"alert": " ".join(key), "fired": fired[key], "recovered": recovered[key],
             "hours": " ".join(f"{'+' if n.firing else '-'}{(n.at - book.began) / book.hour_s:.1f}"
                               for n in book.notices if (n.name, n.subject) == key)}
            for key in sorted(fired)
        ],
    }  # fmt: skip


# What was made of it


def _heard(book: Book) -> Iterator[str]:
    """Every call that was struck is heard as what it was; every kind of the day came."""
    for spell, struck in book.struck.items():
        if not struck and spell.kind not in ("latency", "limits"):
            yield f"{spell.provider}: nothing met the {spell.kind} of hour {spell.from_h:g}"
        wrong = Counter(
            s.attempt.failure_kind or s.attempt.state for s in struck
            if spell.heard is not None and (spell.whole or not s.ping)  # a ping asks for two letters, and may get them
        )  # fmt: skip
        for kind, n in wrong.items():
            if kind != spell.heard:
                yield f"{spell.provider}, {spell.kind}: {n} calls heard as {kind}, not {spell.heard}"
    if not any(c["effect"] == "cold_start" for c in book.calls):
        yield "nothing met the cold start"
    if not any("cold_start" in a.flags for a in book.attempts.values() if a.provider == "ollama"):
        yield "the cold start was not flagged"


def _verdicts(book: Book) -> Iterator[str]:
    """Nobody is undecided; who failed asked where the request was called wrong, and nobody else; no thought leaks."""
    rejected = {
        s.attempt.item_id for spell, struck in book.struck.items() for s in struck
        if spell.heard is FailureKind.INVALID_REQUEST
    }  # fmt: skip
    failed = {d.item_id for d in book.decisions if d.status == "failed"}
    undecided = [d for d in book.decisions if d.status == "undecided"]
    yield from (f"item {d.item_id} is undecided: {d.reason}" for d in undecided[:5])
    if failed - rejected:
        yield f"{len(failed - rejected)} items failed that nobody called invalid"
    enough = {d.item_id for d in book.decisions if d.status == "decided" and d.votes >= 2}
    if rejected - failed - enough:
        yield f"{len(rejected - failed - enough)} items were called invalid and decided on less than a quorum"
    strange = {d.answer for d in book.decisions if d.status == "decided"} - set(LABELS)
    yield from (f"an answer that is no label: {answer!r}" for answer in sorted(strange)[:5])
    if not any("reasoning_leak" in d.flags for d in book.decisions):
        yield "no item is flagged for the reasoning that leaked"


# Where calls went


def _split(struck: Sequence[Struck]) -> tuple[list[Struck], list[Struck]]:
    """The calls of the time until the breaker had opened, and its probes after that."""
    live = [s for s in struck if not s.ping]
    until = live[0].arrived + 0.8 * _BREAKER_S if live else 0.0
    return [s for s in live if s.arrived < until], [s for s in live if s.arrived >= until]


def _load(book: Book) -> Iterator[str]:
    """Who fails wholly is left alone within ten calls, and then probed no more often than the breaker allows."""
    for spell, struck in book.struck.items():
        if not spell.whole:
            continue
        load, probes = _split(struck)
        most = sky.CONCURRENCY if spell.shuts else MOST_LOAD
        if len(load) > most:
            yield f"{spell.provider}, {spell.kind}: {len(load)} calls until it was left alone, more than {most}"
        last = load[-1].arrived if load else 0.0
        for probe in probes:
            if probe.arrived - last < _BREAKER_S - _UNDER_WAY_S:
                yield f"{spell.provider}, {spell.kind}: a probe {probe.arrived - last:.1f} s after the call before"
            last = probe.arrived


def _out(book: Book) -> Iterator[tuple[str, float, float]]:
    """(deployment, from, until) of each time that one was out."""
    since: dict[str, float] = {}
    for change in book.health:
        if change.state == "out":
            since[change.deployment] = change.at
        elif change.deployment in since:
            yield change.deployment, since.pop(change.deployment), change.at
    for name, at in since.items():
        yield name, at, float("inf")


def _late(book: Book) -> Iterator[tuple[str, list[float]]]:
    """Calls, pings apart, that reached a deployment while it was out: seconds after it had gone out."""
    for name, since, until in _out(book):
        arrived = [
            call["arrived_at"] - since for call in book.calls
            if f"{call['provider']}/{call['model']}" == name and since < call["arrived_at"] < until
            and call["request_ref"] in book.attempts and book.attempts[call["request_ref"]].purpose != "ping"
        ]  # fmt: skip
        yield name, arrived


def _to_out(book: Book) -> Iterator[str]:
    """Nobody is called while out, but by calls that were on their way: no more than fly at once, and at once."""
    for name, after in _late(book):
        if len(after) > sky.CONCURRENCY or any(s > _UNDER_WAY_S for s in after):
            yield f"{name}: {len(after)} calls while it was out, the last after {max(after):.1f} s"


def _held(book: Book) -> Iterator[str]:
    """Who says when to come back is left alone until then, but for what was on its way."""
    for spell, struck in book.struck.items():
        patience = spell.params.get("retry_after") if spell.kind == "rate_limit" else None
        by_key: dict[str | None, list[float]] = defaultdict(list)
        for s in struck if patience else ():
            by_key[s.attempt.key_ref].append(s.arrived)
        for key, refusals in by_key.items():
            early = 0
            first = refusals[0]
            for at in refusals:
                if at - first > float(patience or 0) - 0.1:
                    first, early = at, 0
                elif at - first > 0:
                    early += 1
                if early > sky.CONCURRENCY:
                    yield f"{spell.provider} ({key}) was asked {early} times before the time it had named"
                    break
    revoked = [s for spell, struck in book.struck.items() if spell.kind == "revoked_key" for s in struck if not s.ping]
    if len(revoked) > MOST_LOAD:
        yield f"a revoked key was used {len(revoked)} times"


def _back(book: Book, spell: sky.Spell) -> float | None:
    """When a question was first answered after the spell."""
    over = book.at(spell.to_h)
    return min(
        (a.closed for a in book.attempts.values()
         if a.provider == spell.provider and a.purpose != "ping" and a.state == "answered" and a.started > over),
        default=None,
    )  # fmt: skip


def _returned(book: Book) -> Iterator[str]:
    for spell in book.spells:
        if spell.returns and _back(book, spell) is None:
            yield f"{spell.provider} answered no question again after the {spell.kind} of hour {spell.from_h:g}"


# What it meant for the items


def _implied(book: Book) -> tuple[set[int], set[int], set[int], set[int]]:
    """The items that must have been asked elsewhere, those that may have been, and of these the ones by a struck call
    and the ones by a door that was shut.

    Struck: the last call of a seat was. Whether the item then needs a call elsewhere is the strategy's to say: where it
    was decided by a full council it must have had one, as a wave holds no voice too many; where it failed for good it
    has none.
    """
    last: dict[tuple[int, int, int], Any] = {}
    for attempt in book.attempts.values():
        if attempt.purpose != "ping":
            key = (attempt.chunk_id, attempt.item_id, attempt.seat)
            if key not in last or attempt.number > last[key].number:
                last[key] = attempt
    by_ref = {s.attempt.id for struck in book.struck.values() for s in struck}
    struck = {a.item_id for a in last.values() if a.id in by_ref and a.state == "failed"}
    refused = {item for item, *_ in book.refused}
    full = {d.item_id for d in book.decisions if d.status == "decided" and "short_council" not in d.flags}
    return (struck | refused) & full, struck | refused, struck, refused


def _for_retries(reason: str | None) -> bool:
    """The retry budget is the whole fleet's: a seat that it keeps waiting for too long is given up, whosever it is."""
    return "(retries)" in (reason or "")


def _fallback(book: Book) -> Iterator[str]:
    """Nobody fell back but by the script, and everybody did whom the script leaves no other way."""
    low, high, _, _ = _implied(book)
    if book.fell_back - high:
        yield f"{len(book.fell_back - high)} items fell back though nothing of the script had met them"
    alone = sorted(low - book.fell_back)
    if alone:
        yield f"{len(alone)} items lost a voice and were asked of nobody else: {alone[:5]}"
    begins: dict[str, float] = {}
    for spell in book.spells:
        name = sky.deployment(spell.provider)
        begins[name] = min(begins.get(name, float("inf")), book.at(spell.from_h))
    for item, name, kind, at, reason in book.refused:
        if _for_retries(reason):
            continue
        if kind not in _OURS:
            yield f"item {item} was refused for {name}: {kind}"
        elif at < begins.get(name, float("inf")) and kind != "quota_exhausted":
            yield f"item {item} was refused for {name} ({kind}: {reason}) before anything had befallen it"


def _fullest_minute(book: Book) -> tuple[int, int, int]:
    """Retries and what they may be in the minute where they come nearest to it (or beyond), and retries in all.

    A retry: a call after one for the same item that failed by trouble that may come over a whole fleet, as far as
    whoever made it could know: at its own seat, or at another in the minute before the seat was asked. All others are
    first calls, pings too.
    """
    failed: dict[tuple[int, int], list[Any]] = defaultdict(list)
    for a in book.attempts.values():
        if a.item_id is not None and a.failure_kind in GROWS_LOAD:
            failed[a.chunk_id, a.item_id].append(a)
    first: list[float] = []
    retries: list[float] = []
    for a in book.attempts.values():
        again = any(
            (b.seat == a.seat and b.number < a.number) or a.asked - _MINUTE_S < (b.closed or 0.0) < a.asked
            for b in failed.get((a.chunk_id, a.item_id), ())
        )
        (retries if again else first).append(a.started)
    first.sort()
    retries.sort()
    fullest = (0, _RETRY_FLOOR)
    for place, at in enumerate(retries):
        used = place + 1 - bisect_left(retries, at - _MINUTE_S)
        mine = bisect_left(first, at) - bisect_left(first, at - _MINUTE_S)
        allowed = int(mine * _RETRY_SHARE) + _RETRY_FLOOR
        if used / allowed > fullest[0] / fullest[1]:
            fullest = (used, allowed)
    return *fullest, len(retries)


def _retries(book: Book) -> Iterator[str]:
    used, allowed, _ = _fullest_minute(book)
    if used > allowed:
        yield f"{used} retries within a minute, {allowed} allowed"


# What was told


def _alerts(book: Book) -> Iterator[str]:
    """Each alert of the script fired and recovered as often as it says, and no other."""
    must, may = sky.alerts(book.spells)
    fired = Counter((n.name, n.subject) for n in book.notices if n.firing)
    recovered = Counter((n.name, n.subject) for n in book.notices if not n.firing)
    for key in sorted(must | may | fired):
        if not must[key] <= fired[key] <= must[key] + may[key]:
            most = f" to {must[key] + may[key]}" if may[key] else ""
            yield f"alert {' '.join(key)} fired {fired[key]} times, not {must[key]}{most}"
        if recovered[key] != fired[key]:
            yield f"alert {' '.join(key)} fired {fired[key]} times and recovered {recovered[key]} times"


def told(book: Book, logs: str) -> list[str]:
    """Each notice of the ledger stands in a log once."""
    said: Counter[tuple[str, str, bool]] = Counter()
    for line in logs.splitlines():
        if '"alert.firing"' in line or '"alert.recovered"' in line:
            words = json.loads(line)
            said[words["alert"], words["subject"], words["action"] == "alert.firing"] += 1
    wanted = Counter((n.name, n.subject, n.firing) for n in book.notices)
    return [f"notice {key}: {wanted[key]} in the ledger, {said[key]} in the logs" for key in said | wanted
            if said[key] != wanted[key]]  # fmt: skip
