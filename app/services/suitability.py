"""Suitability: which deployments of the fleet may serve a job, why the others may not, and what would help.

Words around ``app.core.selection``. Each deployment that may not serve is named with every constraint that forbids it;
where none is left, the constraint that took the last one out is named, and the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from app.core import pricing
from app.core.errors import UsageError
from app.core.routing import Wanted
from app.core.seating import serving
from app.core.selection import CONSTRAINTS, ordinary_call, refusals
from app.core.tracks import Track
from app.core.values import Deployment, Tier

Latencies = Mapping[str, float | None]
"""Deployment → ms of an ordinary call; what was never measured is left out, or None."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """The fleet as a job's constraints leave it. ``refused``: deployment → what forbids it, in the order looked at."""

    serving: tuple[Deployment, ...]
    refused: dict[str, tuple[str, ...]]

    @property
    def last(self) -> str:
        """The constraint that took the last deployment out; ``fleet`` where there was none."""
        met = [names[0] for names in self.refused.values()]
        return max(met, key=CONSTRAINTS.index, default="fleet")


def sift(deployments: Iterable[Deployment], wanted: Wanted, latencies: Latencies | None = None) -> Sifted:
    serves, refused = [], {}
    for deployment in deployments:
        latency_ms = (latencies or {}).get(deployment.name)
        if names := tuple(refusals(deployment, wanted, latency_ms=latency_ms)):
            refused[deployment.name] = names
        else:
            serves.append(deployment)
    return Sifted(tuple(serves), refused)


def able(deployments: Iterable[Deployment], wanted: Wanted, latencies: Latencies | None = None) -> list[Deployment]:
    """Those that may serve. Raises ``UsageError`` that names the constraint which leaves none, or too few voices, or
    the excluded or pinned one that the fleet does not know."""
    fleet = list(deployments)
    _check_names(fleet, wanted)
    sifted = sift(fleet, wanted, latencies)
    if not sifted.serving:
        why, hint = _emptied(sifted, fleet, wanted, latencies or {})
        raise UsageError(f"no deployment of the fleet may serve this job: {why}", hint=hint)
    families = len({d.family for d in sifted.serving})
    if wanted.recipe.shape.tallied and families < wanted.recipe.quorum:
        unpriced = sum("unpriced" in names for names in sifted.refused.values())
        raise UsageError(
            f"a quorum of {wanted.recipe.quorum} needs as many model families, and the fleet has {families} "
            f"for tier {wanted.tier.value}" + (f", without the {unpriced} of unknown price" if unpriced else ""),
            hint="the same family at two vendors is one voice; choose a smaller --council, or single-query",
        )
    return list(sifted.serving)


def first_asked(able: Iterable[Deployment], wanted: Wanted) -> list[str]:
    """The names of those that are seated; the others may be called in where these have failed."""
    return [track.deployment.name for track in serving([Track(d, pace=1.0) for d in able], wanted)]


def _check_names(fleet: list[Deployment], wanted: Wanted) -> None:
    names = {d.name for d in fleet}
    for given, known, what in (
        (wanted.routing.exclude, names | {d.provider for d in fleet}, "provider or deployment"),
        (wanted.recipe.models, names, "deployment"),
    ):
        for name in given:
            if name not in known:
                near = get_close_matches(name, sorted(known), n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else "switchyard fleet lists them"
                raise UsageError(f"the fleet has no {what} {name[:200]!r}", hint=hint)


def _emptied(sifted: Sifted, fleet: list[Deployment], wanted: Wanted, latencies: Latencies) -> tuple[str, str | None]:
    """Why nobody is left, and what would help."""
    last = sifted.last
    near = [d for d in fleet if sifted.refused[d.name] == (last,)]  # this constraint alone keeps them out
    match last:
        case "privacy":
            return "privacy: tier private takes local deployments only, and none is marked local = true", None
        case "tier":
            best = max((d.tier for d in near), key=list(Tier).index, default=None)
            hint = None if best is None else f"the highest tier that has one is {best.value}: --tier {best.value}"
            return f"tier: none is {wanted.tier.value} or above", hint
        case "models":
            return "models: the recipe pins others than those that may serve", "name more of them in models="
        case "excluded":
            words = ", ".join(wanted.routing.exclude)
            return f"excluded: those that otherwise might are excluded ({words})", "take one of them out of --exclude"
        case "capabilities":
            return f"capabilities: none of the right tier can {', '.join(sorted(wanted.needs))}", None
        case "context":
            return f"context: none has a window of {wanted.min_context} tokens", None
        case "unpriced":
            options = _options_in_need_of_a_price(wanted)
            hint = f"state input_price and output_price in the fleet file (0 where it is free), or leave {options} out"
            why = "it has a budget" if wanted.priced else "its calls have a limit of cost"
            return f"unpriced: {why} ({options}), and nobody knows a price of those that otherwise might", hint
        case "cost":
            least = min((pricing.cost_micro(ordinary_call(), d.price) or 0 for d in near), default=None)
            limit = f"cost: an ordinary call costs more than --max-call-cost {_usd(wanted.routing.max_call_micro)}"
            hint = None if least is None else f"the cheapest of those that otherwise might takes about {_usd(least)}"
            return f"{limit} at each of those that otherwise might", hint
        case "latency":
            fastest = min((latencies.get(d.name) or 0.0 for d in near), default=None)
            most = (wanted.routing.max_latency_ms or 0) / 1000
            hint = None if fastest is None else f"the fastest takes about {fastest / 1000:.2f} s: raise --max-latency"
            return f"latency: a call takes longer than --max-latency {most:g} at each of those that might", hint
    return "the fleet file names no model", None


def _options_in_need_of_a_price(wanted: Wanted) -> str:
    both = (wanted.priced, "--max-cost"), (wanted.routing.max_call_micro is not None, "--max-call-cost")
    return " and ".join(option for given, option in both if given)


def _usd(micro: float | None) -> str:
    return f"{(micro or 0) / 1e6:.6f}".rstrip("0").rstrip(".")
