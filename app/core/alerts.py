"""Alerts: what is measured, held against thresholds, and told once for each change of state.

Pure: ``conditions`` judges the facts of one look, ``changes`` compares them with what stands already. An alert fires
above its threshold and recovers at four fifths of it, so that a value at the edge does not flap; a rate needs a least
number of samples, so that one failure of three calls is no alarm. What can no longer be measured has recovered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby


class Alert(StrEnum):
    P95_LATENCY = "p95_latency"  # subject: a deployment
    ERROR_RATE = "error_rate"  # a deployment
    FALLBACK_RATE = "fallback_rate"  # the fleet
    COST = "cost"  # a job
    QUALITY = "quality"  # a job
    PROVIDER_OUT = "provider_out"  # a provider
    MODEL_OUT = "model_out"  # a deployment
    KEY_OUT = "key_out"  # a provider and one of its keys, by its name
    QUOTA = "quota"  # a scope and its rule
    STALLED = "stalled"  # the yard
    GUARANTEE = "guarantee"  # a job


FLEET, YARD = "fleet", "yard"
WINDOW_S = 300.0
"""Rates, latency and quality are those of the last five minutes, unless told otherwise."""
_RECOVERS_AT = 0.8
"""Share of a threshold under which an alert recovers."""
_LEAST_BAD = 3
"""Calls or items that went wrong, before their share is called a rate: one or two may always go wrong."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Above these an alert fires (``quality``: below). Shares are 0 to 1, times seconds."""

    p95_latency_s: float = 5.0
    error_rate: float = 0.01
    fallback_rate: float = 0.05
    cost: float = 1.0
    """What a job will cost at its present pace, over what it may cost."""
    quality: float = 0.7
    quota: float = 0.9
    stalled_s: float = 600.0
    least_samples: int = 20


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one deployment. ``timed``: those behind ``p95_ms``; ``failed`` of ``ended``: by its own fault."""

    deployment: str
    timed: int
    p95_ms: float | None
    ended: int
    failed: int


@dataclass(frozen=True, slots=True)
class Fallback:
    """``fell_back``: items that needed a call elsewhere after a seat had failed them."""

    items: int
    fell_back: int


@dataclass(frozen=True, slots=True)
class Cost:
    """``mean_micro``: what an item cost lately, in micro-dollars, over ``decided`` items of known cost."""

    job_id: str
    decided: int
    mean_micro: float
    items: int
    max_micro: int


@dataclass(frozen=True, slots=True)
class Quality:
    """``mean``: the share of right answers where the truth is known (``gold``), else the mean agreement."""

    job_id: str
    judged: int
    mean: float
    gold: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A deployment's health as the monitor wrote it down."""

    deployment: str
    state: str
    reason: str | None = None

    @property
    def provider(self) -> str:
        return self.deployment.partition("/")[0]


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """``key``: the name of its variable or file."""

    provider: str
    key: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """One long-lived limit of a scope: ``provider:groq``, ``rpd``."""

    scope: str
    rule: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Drift:
    """A job whose audits broke its promise: ``lost`` of ``audited``, where ``level`` of them was to agree."""

    job_id: str
    against: str
    level: float
    audited: int
    lost: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What one look has measured. ``blind``: not every quota could be read, so that one missing has not recovered.

    ``idle_s``: how long nothing has been decided while there was work; None where there is no work.
    """

    calls: tuple[Calls, ...] = ()
    fallback: Fallback = Fallback(0, 0)
    costs: tuple[Cost, ...] = ()
    qualities: tuple[Quality, ...] = ()
    health: tuple[Standing, ...] = ()
    keys: tuple[RefusedKey, ...] = ()
    quotas: tuple[Quota, ...] = ()
    blind: bool = False
    idle_s: float | None = None
    drifts: tuple[Drift, ...] = ()


class Level(StrEnum):
    BAD = "bad"  # over the threshold: fires
    EDGE = "edge"  # between the two lines, or too few samples to begin an alarm on: what stands, stands
    GOOD = "good"  # recovers


@dataclass(frozen=True, slots=True)
class Condition:
    name: Alert
    subject: str
    level: Level
    value: float
    threshold: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of state. ``firing`` False: it has recovered; ``value`` is None where nothing is measured any more."""

    name: str
    subject: str
    firing: bool
    value: float | None
    threshold: float | None
    message: str

    @property
    def title(self) -> str:
        return f"{'firing' if self.firing else 'recovered'}: {self.name} {self.subject}"


_GONE = {
    Alert.P95_LATENCY: "no calls of late",
    Alert.ERROR_RATE: "no calls of late",
    Alert.FALLBACK_RATE: "no items of late",
    Alert.COST: "the job has ended, or decided nothing of late",
    Alert.QUALITY: "the job decided nothing of late",
    Alert.PROVIDER_OUT: "answers again, or is no longer in the fleet file",
    Alert.MODEL_OUT: "answers again, or is no longer in the fleet file",
    Alert.KEY_OUT: "the key is taken again",
    Alert.QUOTA: "the limit is no longer in the fleet file",
    Alert.STALLED: "something was decided, or there is no more work",
    Alert.GUARANTEE: "the job has ended",
}


def conditions(facts: Facts, thresholds: Thresholds) -> list[Condition]:
    """Every subject that could be measured, good and bad. At most one condition for each name and subject."""
    return [
        *_calls(facts.calls, thresholds),
        *_fallback(facts.fallback, thresholds),
        *_costs(facts.costs, thresholds),
        *_qualities(facts.qualities, thresholds),
        *_health(facts.health),
        *_keys(facts.keys, facts.health),
        *_quotas(facts.quotas, thresholds),
        *_idle(facts.idle_s, thresholds),
        *_drifts(facts.drifts),
    ]


def unmeasured(facts: Facts) -> frozenset[Alert]:
    """The alerts this look could say nothing about."""
    return frozenset({Alert.QUOTA}) if facts.blind else frozenset()


def changes(
    firing: Iterable[tuple[str, str]], found: Iterable[Condition], unmeasured: frozenset[Alert] = frozenset()
) -> list[Notice]:
    """``firing``: (name, subject) of the alerts that stand. A notice for each that begins or ends, and no other."""
    standing = set(firing)
    by_key: Mapping[tuple[str, str], Condition] = {(c.name.value, c.subject): c for c in found}
    notices = [
        Notice(c.name.value, c.subject, c.level is Level.BAD, c.value, c.threshold, c.message)
        for key, c in by_key.items()
        if c.level is (Level.GOOD if key in standing else Level.BAD)
    ]
    left_alone = {alert.value for alert in unmeasured}
    notices += [
        Notice(name, subject, False, None, None, _GONE[Alert(name)] if name in _GONE else "no longer watched")
        for name, subject in sorted(standing - by_key.keys())
        if name not in left_alone
    ]
    return notices


def _level(value: float, threshold: float, *, enough: bool = True) -> Level:
    if value > threshold:
        return Level.BAD if enough else Level.EDGE
    return Level.GOOD if value <= threshold * _RECOVERS_AT else Level.EDGE


def _calls(calls: Iterable[Calls], thresholds: Thresholds) -> Iterator[Condition]:
    least = thresholds.least_samples
    for c in calls:
        if c.p95_ms is not None and c.timed:
            p95_s, limit_s = c.p95_ms / 1000, thresholds.p95_latency_s
            level = _level(p95_s, limit_s, enough=c.timed >= least)
            said = f"{c.deployment}: p95 latency {p95_s:.1f} s over {c.timed} calls (threshold {limit_s:g} s)"
            yield Condition(Alert.P95_LATENCY, c.deployment, level, p95_s, limit_s, said)
        if c.ended:
            rate, limit = c.failed / c.ended, thresholds.error_rate
            level = _level(rate, limit, enough=c.ended >= least and c.failed >= _LEAST_BAD)
            said = f"{c.deployment}: {c.failed} of {c.ended} calls failed, {rate:.1%} (threshold {limit:.1%})"
            yield Condition(Alert.ERROR_RATE, c.deployment, level, rate, limit, said)


def _fallback(seen: Fallback, thresholds: Thresholds) -> Iterator[Condition]:
    if seen.items:
        rate, limit = seen.fell_back / seen.items, thresholds.fallback_rate
        enough = seen.items >= thresholds.least_samples and seen.fell_back >= _LEAST_BAD
        said = (
            f"{seen.fell_back} of {seen.items} items had to be asked elsewhere after a failure, {rate:.1%}"
            f" (threshold {limit:.1%})"
        )
        yield Condition(Alert.FALLBACK_RATE, FLEET, _level(rate, limit, enough=enough), rate, limit, said)


def _costs(costs: Iterable[Cost], thresholds: Thresholds) -> Iterator[Condition]:
    for c in costs:
        projected = c.mean_micro * c.items
        ratio = projected / max(1, c.max_micro)
        level = _level(ratio, thresholds.cost, enough=c.decided >= thresholds.least_samples)
        said = (
            f"job {c.job_id} will cost about ${projected / 1e6:,.2f} at its present pace; it may cost"
            f" ${c.max_micro / 1e6:,.2f}"
        )
        yield Condition(Alert.COST, c.job_id, level, ratio, thresholds.cost, said)


def _qualities(qualities: Iterable[Quality], thresholds: Thresholds) -> Iterator[Condition]:
    for q in qualities:
        # What is missing to 1 is what goes over its threshold, so that one rule of recovery serves all.
        level = _level(1 - q.mean, 1 - thresholds.quality, enough=q.judged >= thresholds.least_samples)
        what = "of the answers are right" if q.gold else "mean agreement"
        said = f"job {q.job_id}: {q.mean:.0%} {what}, over {q.judged} items (threshold {thresholds.quality:.0%})"
        yield Condition(Alert.QUALITY, q.job_id, level, q.mean, thresholds.quality, said)


def _health(standings: Iterable[Standing]) -> Iterator[Condition]:
    """A key or a bill is its provider's trouble and told once for all its models; a model that is gone is its own.

    A provider is out, too, when none of its deployments answers.
    """
    ordered = sorted(standings, key=lambda s: s.deployment)
    for provider, group in groupby(ordered, key=lambda s: s.provider):
        mine = list(group)
        account = [s for s in mine if s.state == "out" and not _model_gone(s)]
        lost = [s for s in mine if s.state in ("down", "out")]
        gone = [s for s in mine if s.state == "out" and _model_gone(s)]
        bad = account or (lost if len(lost) == len(mine) and len(gone) < len(mine) else [])
        if bad:
            why = next((s.reason for s in bad if s.reason), "no reason known")
            said = f"{provider}: {len(lost)} of {len(mine)} deployments are down or out: {why}"
            yield Condition(Alert.PROVIDER_OUT, provider, Level.BAD, len(lost), None, said)
        for s in gone:
            said = f"{s.deployment} is out: {s.reason}"
            yield Condition(Alert.MODEL_OUT, s.deployment, Level.BAD, 1, None, said)


def _keys(keys: Iterable[RefusedKey], standings: Iterable[Standing]) -> Iterator[Condition]:
    """One of several keys is worth an alert of its own; the only one, or the last, is the provider's."""
    providers_out = {s.provider for s in standings if s.state == "out" and not _model_gone(s)}
    for k in keys:
        level = Level.EDGE if k.provider in providers_out else Level.BAD
        said = f"{k.provider} refuses its key {k.key}: {k.reason or 'no reason known'}"
        yield Condition(Alert.KEY_OUT, f"{k.provider} {k.key}", level, 1, None, said)


def _model_gone(standing: Standing) -> bool:
    return (standing.reason or "").startswith("model_not_found")


def _quotas(quotas: Iterable[Quota], thresholds: Thresholds) -> Iterator[Condition]:
    for q in quotas:
        share = q.used / max(1, q.limit)
        said = f"{q.scope}: {q.used:,} of {q.limit:,} used ({q.rule}), {share:.0%} (threshold {thresholds.quota:.0%})"
        level = _level(share, thresholds.quota)
        yield Condition(Alert.QUOTA, f"{q.scope} {q.rule}", level, share, thresholds.quota, said)


def _idle(idle_s: float | None, thresholds: Thresholds) -> Iterator[Condition]:
    if idle_s is not None:
        said = f"nothing was decided for {idle_s / 60:.0f} minutes, and there is work"
        level = Level.BAD if idle_s > thresholds.stalled_s else Level.GOOD
        yield Condition(Alert.STALLED, YARD, level, idle_s, thresholds.stalled_s, said)


def _drifts(drifts: Iterable[Drift]) -> Iterator[Condition]:
    for d in drifts:
        said = (
            f"job {d.job_id}: {d.lost} of {d.audited} audited items differ from {d.against}, {d.level:.1%} agreement is"
            " promised; the rest goes to it alone"
        )
        yield Condition(Alert.GUARANTEE, d.job_id, Level.BAD, d.lost / max(1, d.audited), 1 - d.level, said)
