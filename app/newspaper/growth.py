"""The weekly growth report: the yard's own numbers of a week and the one before, as figures, charts and sentences.

What is counted is defined in ``app.ledger.growth``, each number by one expression. Here it gets its names, its shares
and its words; nothing is estimated, and what cannot be known is left out or said to be unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.newspaper.edition import Chart, Figure, Point
from app.newspaper.material import Dossier, Source
from app.newspaper.paper import Paper
from app.newspaper.weekly import DAYS

Unit = Literal["count", "usd", "share", "ms"]
Counted = Mapping[str, float | None]
"""What was counted, by the names in ``app.ledger.growth``; money in micro-dollars, times in milliseconds."""

MOST_OF_A_GROUP = 8
"""Providers, models … that have figures of their own; charts show as many."""


@dataclass(frozen=True, slots=True)
class Counts:
    """One week. ``groups``: ``day`` (0 to 6), ``provider``, ``model``, ``use`` (team / use case), ``kind`` (of
    failures) → what there was of it → counted."""

    totals: Counted
    groups: Mapping[str, Mapping[str, Counted]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not any(self.totals.values())


_FIGURES: tuple[tuple[str, str, Unit], ...] = (
    ("jobs", "Jobs submitted", "count"),
    ("items_decided", "Items decided", "count"),
    ("items_undecided", "Items left undecided", "count"),
    ("items_failed", "Items failed", "count"),
    ("decided_share", "Share of items that were decided", "share"),
    ("first_wave_share", "Share of decided items settled by the first models asked", "share"),
    ("fallback_share", "Share of decided items that fell back on another model after a failure", "share"),
    ("calls", "Calls made", "count"),
    ("pings", "Health checks among the calls", "count"),
    ("failed_calls", "Calls that failed", "count"),
    ("failed_share", "Share of calls that failed", "share"),
    ("ambiguous_calls", "Calls whose end nobody knows", "count"),
    ("input_tokens", "Tokens sent", "count"),
    ("output_tokens", "Tokens received", "count"),
    ("cost", "Known cost of the calls", "usd"),
    ("unpriced_calls", "Calls of unknown cost", "count"),
    ("p50_ms", "Time within which half of the answers came", "ms"),
    ("p95_ms", "Time within which 95 of 100 answers came", "ms"),
    ("editions", "Editions of this paper shipped", "count"),
    ("editions_on_time", "Editions of this paper shipped on time", "count"),
    ("articles", "Articles printed", "count"),
    ("briefs", "Briefs printed", "count"),
    ("sources", "Entries read from the paper's sources", "count"),
    ("feeds_failed", "Times that one of the paper's feeds could not be read", "count"),
)
_OF_GROUPS: tuple[tuple[str, str, str], ...] = (
    ("calls", "provider", "Calls to {}"),
    ("cost", "provider", "Known cost of the calls to {}"),
    ("cost", "model", "Known cost of the calls to the model {}"),
    ("items_decided", "use", "Items decided for {}"),
    ("failed_calls", "kind", "Calls that failed with {}"),
)
_SOURCE = "g"
_UNITS: dict[str, Unit] = {name: unit for name, _, unit in _FIGURES}


def figures(this: Counts, before: Counts) -> tuple[Figure, ...]:
    """Those of the week; a number that there is none of (a share of nothing) has no figure.

    ``id``: what is counted, ``calls``; of groups with the group and its member, ``calls.provider.groq``. ``before`` is
    None where the yard did nothing in the week before.
    """
    was = {} if before.empty else _values(before.totals)
    found = [_figure(id_, name, value, was.get(id_)) for id_, name, value in _named(_values(this.totals))]
    for what, group, words in _OF_GROUPS:
        members = {member: _values(counted)[what] for member, counted in this.groups.get(group, {}).items()}
        for member, value in _largest(members):
            past = _values(before.groups.get(group, {}).get(member, {}))[what]
            name = words.format(_plain(member) if group == "kind" else member)
            found.append(_figure(f"{what}.{group}.{member}", name, value, None if before.empty else past))
    return tuple(found)


def charts(this: Counts, first: dt.date, zone: str) -> tuple[Chart, ...]:
    """Of the week that begins on ``first``; one that would be empty is left out. ``zone``: by whose clock days end."""
    note = f"From the yard's ledger. A day ends at midnight in {zone}."
    unpriced = _values(this.totals)["unpriced_calls"] or 0
    dear = note if not unpriced else f"{note} Calls of unknown cost, which are not in it: {_shown(unpriced, 'count')}."
    days = (
        ("calls", "Calls a day", "line", "", note),
        ("cost", "Known cost a day", "line", "USD", dear),
        ("items_decided", "Items decided a day", "bars", "", note),
        ("items_undecided", "Items left undecided a day", "bars", "", note),
        ("items_failed", "Items failed a day", "bars", "", note),
    )
    found = []
    for what, title, form, unit, words in days:
        of_days = [_values(this.groups.get("day", {}).get(str(n), {}))[what] or 0 for n in range(DAYS)]
        points = [Point(at=f"{first + dt.timedelta(n)}", value=value) for n, value in enumerate(of_days)]
        found.append(Chart(id=f"{what}-by-day", title=title, form=form, unit=unit, points=tuple(points), note=words))  # type: ignore[arg-type]
    members = (
        ("calls", "provider", "Calls by provider", "", note),
        ("cost", "model", "Known cost by model", "USD", dear),
        ("items_decided", "use", "Items decided by team and use case", "", note),
        ("failed_calls", "kind", "Failed calls by kind", "", note),
    )
    for what, group, title, unit, words in members:
        of_members = {member: _values(counted)[what] for member, counted in this.groups.get(group, {}).items()}
        bars = [Point(at=_plain(at) if group == "kind" else at, value=value) for at, value in _largest(of_members)]
        found.append(
            Chart(id=f"{what}-by-{group}", title=title, form="bars", unit=unit, points=tuple(bars), note=words)
        )
    return tuple(chart for chart in found if any(point.value for point in chart.points))


def dossier(figures: Sequence[Figure]) -> Dossier:
    """Each figure as a sentence to cite. What it changed by is in it, so that a writer need not reckon."""
    sentences = {citation(n): _sentence(figure) for n, figure in enumerate(figures, 1)}
    return Dossier(
        id="growth",
        sources=(Source(id=_SOURCE, name="the yard's ledger", title="The week in figures", sentences=sentences),),
    )


def citation(n: int) -> str:
    """Of the ``n``-th figure, from 1: ``g.1``."""
    return f"{_SOURCE}.{n}"


def words(paper: Paper) -> str:
    """What is to be written, for the prompt of its job."""
    return (
        f"You write the weekly growth report of {paper.title} out of the figures in the item: they are of the system"
        " that makes the paper, of the week that has ended, and in brackets of the week before. With a headline, tell a"
        " reader who runs it how much was done, how reliably, how fast and at what cost, and what changed most. Copy"
        " each number as it stands: do not add, divide or round any, and give no reasons that are not in the figures."
    )


def _values(counted: Counted) -> dict[str, float | None]:
    """By the ids of ``_FIGURES``; None: there is no such number."""
    items = sum(counted.get(f"items_{status}") or 0 for status in ("decided", "undecided", "failed"))
    cost, unpriced = counted.get("cost_micro") or 0, counted.get("unpriced_calls") or 0
    reckoned = {
        "decided_share": _share(counted.get("items_decided"), items),
        "first_wave_share": _share(counted.get("items_first_wave"), counted.get("items_asked")),
        "fallback_share": _share(counted.get("items_fell_back"), counted.get("items_asked")),
        "failed_share": _share(counted.get("failed_calls"), counted.get("calls")),
        "cost": None if unpriced and not cost else cost / 1e6,
        "p50_ms": counted.get("p50_ms"),
        "p95_ms": counted.get("p95_ms"),
    }
    return {id_: reckoned[id_] if id_ in reckoned else counted.get(id_) or 0 for id_, _, _ in _FIGURES}


def _share(part: float | None, whole: float | None) -> float | None:
    return (part or 0) / whole if whole else None


def _named(values: Mapping[str, float | None]) -> list[tuple[str, str, float]]:
    found = ((id_, name, values[id_]) for id_, name, _ in _FIGURES)
    return [(id_, name, value) for id_, name, value in found if value is not None]


def _largest(members: Mapping[str, float | None]) -> list[tuple[str, float]]:
    known = [(member, value) for member, value in members.items() if value]
    return sorted(known, key=lambda one: (-one[1], one[0]))[:MOST_OF_A_GROUP]


def _plain(kind: str) -> str:
    return kind.replace("_", " ")


def _figure(id_: str, name: str, value: float, before: float | None) -> Figure:
    unit = _unit(id_)
    was = "" if before is None else _shown(before, unit)
    return Figure(id=id_, name=name, value=value, shown=_shown(value, unit), before=before, before_shown=was)


def _unit(id_: str) -> Unit:
    return _UNITS[id_.partition(".")[0]]


def _shown(value: float, unit: Unit) -> str:
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "ms":
        return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:,.1f} s"
    # Calls cost fractions of a cent: as many digits as the ledger has, where two would hide them.
    return f"${value:,.2f}" if value >= 1 or round(value, 2) == value else f"${value:.6f}".rstrip("0")


def _sentence(figure: Figure) -> str:
    """``Calls made: 12,345, up 12.2% from 11,002 the week before.`` Each number stands among the words that a writer
    would put around it, for that is how numbers that changed places are found out."""
    said = f"{figure.name}: {figure.shown}"
    if figure.before is None:
        return f"{said}."
    if figure.before_shown == figure.shown:
        return f"{said}, the same as the week before."
    change = _change(figure.value, figure.before, _unit(figure.id))
    against = f"{change} from" if change else "against"
    return f"{said}, {against} {figure.before_shown} the week before."


def _change(value: float, before: float, unit: Unit) -> str:
    """``up 12.5%``, of a share in percentage points, ``up`` alone beyond tenfold; empty where it is too small to tell,
    or there is nothing to compare."""
    by = value - before
    size = f"{abs(by) * 100:.1f} percentage points" if unit == "share" else f"{abs(by) / before:.1%}" if before else ""
    if not size or size.startswith("0.0"):
        return ""
    way = "up" if by > 0 else "down"
    return way if unit != "share" and by > 9 * before else f"{way} {size}"
