"""Bars and lines as SVG, to be read with the eye and with a screen reader.

Presentation attributes only (a page with a strict policy allows no inline styles) and no colour but ``currentColor``,
so that a chart follows the page it stands in. Bars begin at zero, always; a line's axis may not, and then says so.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from xml.sax.saxutils import escape, quoteattr

from app.newspaper.edition import Chart, Point
from app.newspaper.setting.text import cut, plain
from app.newspaper.setting.wording import MONTHS

WIDTH = 360.0
_HEIGHT = 216.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 350.0, 26.0, 190.0
_SIZE = 11.0
_EM = 0.58
"""The width of a letter in units of its size, about: a digit of most faces, and more than most letters."""
_ROW = 34.0
_MOST_POINTS = 400
_LARGEST = 1e300
_QUIET = 'opacity="0.72"'


def svg(chart: Chart, anchor: str = "chart") -> str:
    """One ``<svg>``, well-formed XML. ``anchor`` begins its ids, and is unique in its document.

    Bars of days stand; bars of names lie, each with its name above it, so that no two names collide. What cannot be
    drawn is left out: values that are no number or are beyond 1e300, and points after the first 400.
    """
    points = [point for point in chart.points if abs(point.value) <= _LARGEST][:_MOST_POINTS]
    days = bool(points) and all(_day(point.at) is not None for point in points)
    if not points:
        height, drawn = 48.0, [_text(WIDTH / 2, 28, "No values.", "middle")]
    elif chart.form == "bars" and not days:
        height, drawn = _lying(points, plain(chart.unit))
    else:
        height, drawn = _HEIGHT, _standing(chart, points)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}"'
        f' height="{height:g}" role="img" aria-labelledby={quoteattr(f"{anchor}-title {anchor}-text")}'
        f' fill="currentColor" font-size="{_SIZE:g}">'
    )
    title = f"<title id={quoteattr(f'{anchor}-title')}>{escape(plain(chart.title) or 'Chart')}</title>"
    text = f"<desc id={quoteattr(f'{anchor}-text')}>{escape(_said(chart, points))}</desc>"
    return "\n".join([head, title, text, *drawn, "</svg>"])


def short(value: float, digits: int = 4) -> str:
    """In few characters: ``1,250``, ``12.5k``, ``3.2M``, ``4e-9``."""
    size = abs(value)
    if size < 1 / _LARGEST:
        return "0"
    if size >= 1e15 or size < 1e-4:
        mantissa, _, power = f"{value:.{digits - 2}g}".partition("e")
        return f"{mantissa}e{int(power)}"
    for least, unit, letter in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= least:
            return f"{value / unit:.{digits}g}{letter}"
    return f"{value:,.{digits}g}" if size < 1e3 else f"{value:,.{max(digits - 4, 0)}f}"


def labels(marks: list[float]) -> list[str]:
    """Short, and no two the same."""
    for digits in range(4, 17):
        said = [short(mark, digits) for mark in marks]
        if len(set(said)) == len(set(marks)):
            break
    return said


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round values (1, 2 or 5 times a power of ten apart) from at most ``low`` to at least ``high``.

    In decimals: a difference of floats may overflow, and sums of a tenth drift.
    """
    bottom, top = Decimal(low), Decimal(high)
    if bottom == top:
        pad = abs(bottom) / 2 or Decimal(1)
        bottom, top = (Decimal(0), top + pad) if bottom >= 0 else (bottom - pad, Decimal(0))
    rough = (top - bottom) / 4
    power = Decimal(10) ** rough.adjusted()
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first, last = math.floor(bottom / step), math.ceil(top / step)
    return [float(step * n) for n in range(first, last + 1)]


def _standing(chart: Chart, points: list[Point]) -> list[str]:
    """A line, or bars side by side, over days (or names)."""
    values = [point.value if abs(point.value) > 1 / _LARGEST else 0.0 for point in points]
    low, high = min(values), max(values)
    if chart.form == "bars" or 0 < low < high * 0.6 or (low < 0 and high > low * 0.6):
        low, high = min(low, 0.0), max(high, 0.0)
    marks = ticks(low, high)
    bottom, top = Decimal(marks[0]), Decimal(marks[-1])

    def y(value: float) -> float:
        return round(_BOTTOM - float((Decimal(value) - bottom) / (top - bottom)) * (_BOTTOM - _TOP), 2)

    slot = (_RIGHT - _LEFT) / len(points)
    xs = [round(_LEFT + slot * (n + 0.5), 2) for n in range(len(points))]
    drawn = [_axis(said, y(mark), zero=mark == 0) for mark, said in zip(marks, labels(marks), strict=True)]
    if chart.form == "bars":
        width = round(max(slot * 0.68, 0.4), 2)
        drawn += [
            f'<rect x="{x - width / 2:.2f}" y="{min(y(value), y(0)):.2f}" width="{width}"'
            f' height="{abs(y(value) - y(0)):.2f}"/>'
            for x, value in zip(xs, values, strict=True)
        ]
    else:
        if len(points) > 1:
            path = " ".join(f"{x},{y(value)}" for x, value in zip(xs, values, strict=True))
            drawn.append(
                f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="2"'
                ' stroke-linejoin="round" stroke-linecap="round"/>'
            )
        seen = list(zip(xs, values, strict=True)) if len(points) <= 14 else [(xs[-1], values[-1])]
        drawn += [f'<circle cx="{x}" cy="{y(value)}" r="2.6"/>' for x, value in seen]
    drawn += _heads(chart, points, from_zero=marks[0] <= 0 <= marks[-1])
    return drawn + _names_below(points, xs, slot)


def _heads(chart: Chart, points: list[Point], *, from_zero: bool) -> list[str]:
    """Above the drawing: its unit at the left, its latest value at the right."""
    latest = short(points[-1].value)
    unit = plain(chart.unit)
    room = int((WIDTH - 16) / (_SIZE * _EM)) - len(latest) - len("latest ")
    left = unit if from_zero else f"{unit}, not from zero".removeprefix(", ")
    drawn = [_text(WIDTH - 4, 12, f"latest {latest}", "end")]
    return [_text(4, 12, cut(left, max(room, 1)), "start"), *drawn] if left else drawn


def _names_below(points: list[Point], xs: list[float], slot: float) -> list[str]:
    """As many of the names as stand side by side without touching: evenly from the right, the last one always."""
    names = [_name(point.at, 14) for point in points]
    halves = [len(name) * _SIZE * _EM / 2 for name in names]
    every = max(1, math.ceil((2 * max(halves) + 8) / slot))
    drawn: list[str] = []
    free = WIDTH
    for n in range(len(points) - 1, -1, -every):
        x = min(max(xs[n], halves[n]), WIDTH - halves[n])
        if x + halves[n] <= free:
            drawn.append(_text(round(x, 2), _BOTTOM + 17, names[n], "middle"))
            free = x - halves[n] - 4
    return drawn[::-1]


def _lying(points: list[Point], unit: str) -> tuple[float, list[str]]:
    """(height, drawing): a row a name, its bar beneath it, its value at the right."""
    values = [Decimal(point.value) for point in points]
    low, high = min(*values, Decimal(0)), max(*values, Decimal(0))
    span = (high - low) or Decimal(1)
    left, right = 4.0, WIDTH - 4.0

    def x(value: Decimal) -> float:
        return round(left + float((value - low) / span) * (right - left), 2)

    drawn = []
    for n, (point, value) in enumerate(zip(points, values, strict=True)):
        top = n * _ROW + 4
        shown = f"{short(point.value)} {cut(unit, 12)}".strip()
        room = int((right - left) / (_SIZE * _EM)) - len(shown) - 2
        drawn.append(_text(left, top + 11, cut(plain(point.at), max(room, 4)), "start"))
        drawn.append(_text(right, top + 11, shown, "end"))
        start, end = sorted((x(Decimal(0)), x(value)))
        drawn.append(f'<rect x="{start:.2f}" y="{top + 16:.2f}" width="{end - start:.2f}" height="9"/>')
        drawn.append(
            f'<line x1="{x(Decimal(0))}" y1="{top + 14:g}" x2="{x(Decimal(0))}" y2="{top + 27:g}"'
            ' stroke="currentColor" stroke-width="1"/>'
        )
    return len(points) * _ROW + 4, drawn


def _axis(said: str, y: float, *, zero: bool) -> str:
    weight = 'stroke-width="1.2"' if zero else 'stroke-width="0.6" opacity="0.35"'
    line = f'<line x1="{_LEFT:g}" y1="{y}" x2="{_RIGHT:g}" y2="{y}" stroke="currentColor" {weight}/>'
    return line + "\n" + _text(_LEFT - 5, round(y + 3.8, 2), said, "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {_QUIET}>{escape(text)}</text>'


def _said(chart: Chart, points: list[Point]) -> str:
    """The whole chart in words: every point."""
    if not points:
        return "No values."
    unit = f" {plain(chart.unit)}" if plain(chart.unit) else ""
    each = "; ".join(f"{plain(point.at)}: {point.value:,.10g}{unit}" for point in points)
    return f"{'A line' if chart.form == 'line' else 'Bars'} of {len(points)}: {each}."


def _day(at: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(at)
    except ValueError:
        return None


def _name(at: str, most: int) -> str:
    day = _day(at)
    return f"{day.day} {MONTHS[day.month - 1][:3]}" if day is not None else cut(plain(at), most)
