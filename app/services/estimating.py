"""What a job will take, before a call is made: calls, tokens, money, and when the fleet's limits let it be done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.core import forecast, packing, pricing, prompts, rehearsal
from app.core.recipe import Recipe
from app.core.routing import Wanted
from app.core.sameness import digest
from app.core.seating import serving
from app.core.task import Task
from app.core.tracks import Track
from app.core.values import Deployment, Price, TaskKind, Usage
from app.ledger.door import Row

# Output tokens of one call, few and many: a label; some fields; a text. What is really used stands in the receipts.
_OUTPUT_TOKENS = {TaskKind.CLASSIFY: (4, 40), TaskKind.EXTRACT: (40, 400), TaskKind.GENERATE: (100, 1000)}
_THOUGHT_TOKENS = (200, 2000)
_MOST_REMEMBERED = 500_000
"""Digests that are held: about 40 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Ranges are (low, high): early agreement and short answers to full councils and long ones; retries left out.

    ``finish_s``: seconds by the limits of the whole fleet, all of it healthy and nobody else using it; infinite where
    it never can. ``cost_usd``: None where no price is known. ``unpriced``: deployments of unknown price among the
    ``deployments``; calls to them come on top of the cost. ``identical``: items that ask the same as one before them.
    """

    items: int
    calls: tuple[int, int]
    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    cost_usd: tuple[float, float] | None
    finish_s: tuple[float, float]
    deployments: int
    unpriced: int
    identical: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def calls_an_item(recipe: Recipe) -> tuple[int, int]:
    """The fewest and the most calls a strategy makes for an item when every call succeeds: its voices agree, or no two
    of them do."""
    return rehearsal.calls(recipe)


def estimate(
    able: Sequence[Deployment], wanted: Wanted, task: Task, rows: Iterable[Row], *, dedupe: bool = False
) -> Estimate:
    """Reads all rows once, holding none. ``able``: the deployments that may serve. ``dedupe``: identical items are
    asked once (those are known by 64 bits of their digests, as far as ``_MOST_REMEMBERED`` goes)."""
    seated = [track.deployment for track in serving([Track(d, pace=1.0) for d in able], wanted)]
    total, items, alone, text_tokens = 0, 0, 0, 0
    seen: set[int] = set()
    for row in rows:
        total += 1
        if dedupe:
            mark = int(digest(row.text, row.turns)[:16], 16)
            if mark in seen:
                continue
            if len(seen) < _MOST_REMEMBERED:
                seen.add(mark)
        items += 1
        tokens = len(row.text.encode()) // 3 + 1
        text_tokens += tokens
        alone += tokens > packing.LONGEST_TOKENS
    questions = items if wanted.pack == 1 else alone - (alone - items) // wanted.pack
    places = max(1, (task.prompt or "").count("{text}"))
    around = pricing.estimate_input_tokens(prompts.ask(task, "", seated[0]).messages)
    once = questions * around + text_tokens * places
    few, many = calls_an_item(wanted.recipe)
    strong = [d for d in able if d.name == wanted.recipe.against]
    if strong:  # the cheap voices of every item, and the strong one of none but the audited, or of all
        few = wanted.recipe.council
    out_few, out_many = _OUTPUT_TOKENS[task.kind]
    if wanted.pack > 1:
        once += (items - alone) * packing.TOKENS_AROUND
        out_few, out_many = out_few + packing.TOKENS_AROUND // 2, out_many + packing.TOKENS_AROUND // 2
    thinking = sum(d.reasoning for d in seated) / len(seated)
    out = (
        round(few * (items * out_few + questions * thinking * _THOUGHT_TOKENS[0])),
        round(many * (items * out_many + questions * thinking * _THOUGHT_TOKENS[1])),
    )
    inputs = (once * few, once * many)
    # The cheapest seats at the least, the dearest at the most: an item's calls go to different deployments.
    prices = [d.price for d in seated if d.price is not None]
    asked = [*prices, *(d.price for d in strong if d.price is not None)]
    cheap, dear = _mean(prices, few, dearest=False), _mean(asked, many, dearest=True)
    per_call = max(1.0, (inputs[1] + out[1]) / max(1, questions * many))
    per_call_low = max(1.0, (inputs[0] + out[0]) / max(1, questions * few))
    return Estimate(
        items=total,
        calls=(questions * few, questions * many),
        input_tokens=inputs,
        output_tokens=out,
        cost_usd=(_usd(inputs[0], out[0], cheap), _usd(inputs[1], out[1], dear)) if cheap and dear else None,
        finish_s=(
            forecast.finish_s(seated, questions, few, per_call_low),
            forecast.finish_s(seated, questions, _voices_to_find(seated, many), per_call),
        ),
        deployments=len(seated),
        unpriced=len(seated) - len(prices),
        identical=total - items,
    )


def _voices_to_find(seated: Sequence[Deployment], many: int) -> int:
    """No item gets more voices than there are families."""
    return min(many, len({d.family for d in seated}))


def _mean(prices: Iterable[Price], count: int, *, dearest: bool) -> Price | None:
    """The mean of the ``count`` lowest (or highest) prices; None of no price."""
    ranked = sorted(prices, key=lambda p: p.input_micro + p.output_micro, reverse=dearest)[:count]
    if not ranked:
        return None
    return Price(sum(p.input_micro for p in ranked) // len(ranked), sum(p.output_micro for p in ranked) // len(ranked))


def _usd(input_tokens: int, output_tokens: int, price: Price) -> float:
    return pricing.cost_micro(Usage(input_tokens=input_tokens, output_tokens=output_tokens), price) / 1e6
