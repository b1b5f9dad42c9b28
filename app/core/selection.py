"""Selection: who may serve at all (hard constraints, each with a name), and who serves better (a score). Pure.

The constraints are looked at in one order (``CONSTRAINTS``), so that the one met last is the one that took the last
deployment out. The score weighs quality against cost and latency, each of these relative to the dearest and slowest
of those it is compared with; a job's preset gives the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from app.core import pricing
from app.core.routing import Lane, Routing, Wanted
from app.core.values import Deployment, Tier, Usage

CONSTRAINTS = ("privacy", "tier", "models", "excluded", "capabilities", "context", "unpriced", "cost", "latency")

Preset = Literal["balanced", "cost", "quality", "latency"]
_WEIGHTS: dict[str, tuple[float, float, float]] = {
    "balanced": (0.4, 0.3, 0.3),
    "cost": (0.2, 0.6, 0.2),
    "quality": (0.8, 0.1, 0.1),
    "latency": (0.2, 0.2, 0.6),
}
"""Preset → weights of quality, cost and latency."""
_HARD = 6.0
"""How much heavier quality weighs in a hard lane: balanced becomes what the preset quality is."""

ORDINARY_TOKENS = 200.0
"""Of a call, input and output in equal parts, as long as nothing is known of its like."""

_TIER_ORDER = {Tier.CHEAP: 0, Tier.STANDARD: 1, Tier.COMPLEX: 2}


def ordinary_call(tokens: float = ORDINARY_TOKENS) -> Usage:
    """The usage of an ordinary call of so many tokens."""
    return Usage(input_tokens=int(tokens / 2), output_tokens=int(tokens / 2))


def refusals(
    deployment: Deployment, wanted: Wanted, *, latency_ms: float | None = None, cost_micro: float | None = None
) -> Iterator[str]:
    """Every constraint that forbids the deployment to serve, in the order of ``CONSTRAINTS``; none: it may.

    ``private`` takes local deployments of any tier; the other tiers take their own and any above. ``latency_ms``: of
    an ordinary call there; None, it was never measured, which forbids nothing. ``cost_micro``: of an ordinary call;
    None, it is reckoned from the price. An unknown price is no low one.
    """
    models, routing = wanted.recipe.models, wanted.routing
    if wanted.tier is Tier.PRIVATE:
        if not deployment.local:
            yield "privacy"
    elif not models and _TIER_ORDER[deployment.tier] < _TIER_ORDER[wanted.tier]:
        yield "tier"
    if models and deployment.name not in models:
        yield "models"
    if routing.exclude and (deployment.provider in routing.exclude or deployment.name in routing.exclude):
        yield "excluded"
    if not wanted.needs <= deployment.capabilities:
        yield "capabilities"
    if deployment.context_window < wanted.min_context:
        yield "context"
    price, most = deployment.price, routing.max_call_micro
    if price is None:
        if wanted.priced or most is not None:
            yield "unpriced"
    elif most is not None:
        cost = pricing.cost_micro(ordinary_call(), price) if cost_micro is None else cost_micro
        if cost > most:
            yield "cost"
    if routing.max_latency_ms is not None and latency_ms is not None and latency_ms > routing.max_latency_ms:
        yield "latency"


def eligible(
    deployment: Deployment, wanted: Wanted, *, latency_ms: float | None = None, cost_micro: float | None = None
) -> str | None:
    """None if the deployment may serve, else the first constraint that forbids it; as ``refusals``."""
    return next(refusals(deployment, wanted, latency_ms=latency_ms, cost_micro=cost_micro), None)


def specialist(deployment: Deployment, wanted: Wanted) -> bool:
    """Is the items' domain one of its capabilities?"""
    return bool(wanted.lane.domain) and wanted.lane.domain in deployment.capabilities


def graded(routing: Routing, lane: Lane) -> bool:
    """Does the score decide who comes first, or does it only break ties? It does for a hard lane, and for a preset that
    puts one of the three above the others."""
    return lane.hard or routing.optimise not in ("", "balanced")


def weights(routing: Routing, lane: Lane) -> tuple[float, float, float]:
    """Of quality, cost and latency; they sum to 1."""
    quality, cost, latency = _WEIGHTS[routing.optimise or "balanced"]
    if lane.hard:
        quality *= _HARD
    whole = quality + cost + latency
    return quality / whole, cost / whole, latency / whole


def score(
    quality: float,
    cost_micro: float | None,
    latency_ms: float,
    *,
    dearest: float,
    slowest: float,
    weighed: tuple[float, float, float],
) -> float:
    """From -0.6 to 0.8 or so; more is better. An unknown cost counts as the dearest."""
    for_quality, for_cost, for_latency = weighed
    cost = dearest if cost_micro is None else cost_micro
    return for_quality * quality - for_cost * cost / dearest - for_latency * latency_ms / slowest
