"""The picture of ``switchyard tune``: accuracy against cost, every candidate a dot, the frontier a line."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from app.core.recipe import parse

if TYPE_CHECKING:
    from app.core.tuning import Found, Tuned

_Scale = Callable[[float], float]
_WIDTH, _HEIGHT = 860, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 78, 60
_STYLE = """
svg { background: #fff; color: #1b1f24; font: 13px system-ui, sans-serif }
.axis { stroke: #b6bcc4 } .tick, .name { fill: currentColor } .quiet { fill: #66707a }
.dot { fill: #9aa6b2; opacity: .55 } .front { fill: #0b6bcb } .best { fill: #c2410c }
.line { fill: none; stroke: #0b6bcb; stroke-width: 2 } .error { stroke: #0b6bcb; opacity: .35 }
@media (prefers-color-scheme: dark) {
  svg { background: #14171a; color: #e7eaee } .axis { stroke: #4a525b } .quiet { fill: #9aa6b2 }
  .dot { fill: #66707a } .front { fill: #58a6ff } .line, .error { stroke: #58a6ff } .best { fill: #fb923c }
}
"""


def drawn(tuned: Tuned, job: str) -> str:
    """An SVG document of its own: no script, nothing fetched, readable in the dark."""
    unit = "USD for 1,000 items" if tuned.by_cost else "calls an item"
    prices = [_price(c, tuned.by_cost) for c in tuned.candidates]
    heights = [c.held_out.accuracy or 0.0 for c in tuned.candidates]
    right, (low, high) = max(prices) * 1.06 or 1.0, _span(heights)

    def x(price: float) -> float:
        return _LEFT + price / right * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _HEIGHT - _BOTTOM - (share - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    title = f"Recipes for job {job}: accuracy on {tuned.held_out:,} held-out items against cost"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title>',
        f'<desc id="d">{escape(_description(tuned))}</desc><style>{_STYLE}</style>',
        f'<text class="name" x="{_LEFT}" y="24" font-size="16">{escape(title)}</text>',
        f'<text class="quiet" x="{_LEFT}" y="44">found on {tuned.cases:,} other items; bars are 95 % intervals</text>',
        *_axes(x, y, right, low, high, unit),
    ]
    for candidate, price, share in zip(tuned.candidates, prices, heights, strict=True):
        if not candidate.frontier and not candidate.best:
            parts.append(_dot(x(price), y(share), "dot", 3, candidate))
    front = [c for c in tuned.candidates if c.frontier]
    points = " ".join(f"{x(_price(c, tuned.by_cost)):.1f},{y(c.held_out.accuracy or 0.0):.1f}" for c in front)
    parts.append(f'<polyline class="line" points="{points}"/>')
    for candidate in [*front, *(c for c in tuned.candidates if c.best)]:
        across = x(_price(candidate, tuned.by_cost))
        bottom, top = candidate.held_out.interval or (0.0, 0.0)
        parts.append(
            f'<line class="error" x1="{across:.1f}" x2="{across:.1f}" y1="{y(max(bottom, low)):.1f}" '
            f'y2="{y(min(top, high)):.1f}"/>'
        )
        mark = "best" if candidate.best else "front"
        parts.append(_dot(across, y(candidate.held_out.accuracy or 0.0), mark, 6, candidate))
    for candidate in front:
        across, up = x(_price(candidate, tuned.by_cost)), y(candidate.held_out.accuracy or 0.0)
        if not candidate.best:
            parts.append(
                f'<text class="quiet" x="{across + 9:.1f}" y="{up + 18:.1f}">{escape(_short(candidate))}</text>'
            )
    best = tuned.best
    at = x(_price(best, tuned.by_cost))
    anchor = "end" if at > _WIDTH / 2 else "start"
    parts.append(
        f'<text class="best" x="{at + (-10 if anchor == "end" else 10):.1f}" '
        f'y="{y(best.held_out.accuracy or 0.0) - 12:.1f}" text-anchor="{anchor}">best: '
        f"{escape(best.recipe.partition('@')[0])}, {best.held_out.accuracy or 0.0:.1%}</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def _axes(x: _Scale, y: _Scale, right: float, low: float, high: float, unit: str) -> list[str]:
    floor, ceiling = _HEIGHT - _BOTTOM, _TOP
    lines = [
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>',
        f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{ceiling}" y2="{floor}"/>',
        f'<text class="quiet" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 14}" text-anchor="end">{unit}</text>',
        f'<text class="quiet" x="{_LEFT - 8}" y="{_TOP - 20}" text-anchor="end">right</text>',
    ]
    for value in _ticks(0.0, right):
        lines.append(f'<text class="tick" x="{x(value):.1f}" y="{floor + 20}" text-anchor="middle">{value:g}</text>')
    for value in _ticks(low, high):
        lines.append(f'<text class="tick" x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0%}</text>')
    return lines


def _dot(x: float, y: float, kind: str, radius: int, candidate: Found) -> str:
    at = candidate.held_out
    said = f"{candidate.recipe}: {at.accuracy or 0.0:.1%} right, {at.calls:.2f} calls an item"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(said)}</title></circle>'


def _short(candidate: Found) -> str:
    """``single-query small-8b``: the strategy, and its model where there is one."""
    recipe = parse(candidate.recipe)
    models = [name.rpartition("/")[2] for name in recipe.models]
    return f"{recipe.strategy} {models[0] if len(models) == 1 else f'of {len(models)}'}"


def _price(candidate: Found, by_cost: bool) -> float:
    at = candidate.held_out
    return (at.cost_micro or 0.0) / 1000 if by_cost else at.calls


def _span(shares: list[float]) -> tuple[float, float]:
    """Five points of room below and above, within nothing and all."""
    return max(0.0, math.floor(min(shares) * 20 - 1) / 20), min(1.0, math.ceil(max(shares) * 20 + 1) / 20)


def _ticks(low: float, high: float) -> list[float]:
    """About six round numbers between the two."""
    rough = (high - low) / 6
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _description(tuned: Tuned) -> str:
    told = [f"{c.recipe}: {c.held_out.accuracy or 0.0:.1%} at {c.held_out.calls:.2f} calls" for c in tuned.frontier]
    return "The frontier, cheapest first: " + "; ".join(told) + f". Best: {tuned.best.recipe}."
