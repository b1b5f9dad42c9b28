"""The edition as Markdown (CommonMark 0.31). What a source said can form no link, image, heading, list or HTML there.

Backslashes before punctuation hold in every dialect; the addresses that some dialects link of themselves are broken by
an invisible word joiner.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.newspaper.edition import Credit, Edition, Page, Piece
from app.newspaper.material import Claim
from app.newspaper.setting import wording
from app.newspaper.setting.text import href

_JOINER = "\u2060"
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$]|&(?=#?\w+;))")
# What begins a list, a heading's underline or a rule at the beginning of a line.
_BEGINNING = re.compile(r"^(\d{0,9})([-+=.)])")
_LINKED = re.compile(r"(?i)(://|\bwww\.|@|\bmailto:|\bxmpp:)")


def escaped(text: str) -> str:
    """The text itself and nothing else, wherever in a line it stands. ``text`` is one line."""
    text = _SPECIAL.sub(r"\\\1", text)
    text = _BEGINNING.sub(r"\1\\\2", text)
    return _LINKED.sub(rf"\1{_JOINER}", text)


def link(text: str, url: str) -> str:
    """A link to the address, or the text alone where it may not be linked."""
    safe = href(url)
    return f"[{escaped(text)}](<{safe}>)" if safe else escaped(text)


def markdown(edition: Edition) -> str:
    """``edition``: cleaned."""
    _, date = wording.edition_names(edition)
    lines = [f"# {escaped(edition.title)}", ""]
    if edition.motto:
        lines += [f"*{escaped(edition.motto)}*", ""]
    flags = wording.flags(edition)
    lines += [f"{escaped(date)} · {wording.numbered(edition)}", ""]
    lines += [f"**{' · '.join(flags)}**", ""] if flags else []
    lines += [f"> {text}\n" for text in wording.notices(edition)]
    if edition.narrative is not None:
        lines += [f"## {escaped(edition.narrative.headline)}", "", *_body(edition.narrative.sentences, ())]
    lines += [line for page in edition.pages if page.pieces for line in _page(page)]
    lines += [wording.nothing(edition), ""] if wording.nothing(edition) else []
    lines += _figures(edition)
    lines += _colophon(edition)
    return "\n".join(lines).rstrip() + "\n"


def _page(page: Page) -> list[str]:
    lines = [f"## {escaped(page.title)}", ""]
    for piece in page.pieces:
        if piece.form == "headline":
            lines += [f"- **{escaped(piece.headline)}** ({', '.join(map(_credit, piece.credits))})"]
    lines += [""] if any(piece.form == "headline" for piece in page.pieces) else []
    return lines + [line for piece in page.pieces if piece.form != "headline" for line in _piece(piece)]


def _piece(piece: Piece) -> list[str]:
    lines = [f"### {'Opinion: ' if piece.opinion else ''}{escaped(piece.headline)}", ""]
    if piece.form == "brief":
        note = f" ({escaped(piece.note)})" if piece.note else ""
        lines += [f"*{wording.brief_mark(piece)}{note}*", ""]
    lines += (
        [f"**{escaped(piece.summary)}**" if piece.sentences else escaped(piece.summary), ""] if piece.summary else []
    )
    lines += _body(piece.sentences, piece.credits)
    lines += [f"Source{'s' if len(piece.credits) > 1 else ''}:", ""] if piece.credits else []
    return [*lines, *(f"{n}. {_credit(credit)}" for n, credit in enumerate(piece.credits, 1)), ""]


def _body(sentences: Sequence[Claim], credits: Sequence[Credit]) -> list[str]:
    """Sentences in paragraphs; after each the numbers of its sources."""
    lines: list[str] = []
    for paragraph in wording.paragraphs(sentences):
        said = []
        for claim in paragraph:
            numbers = wording.cited(claim, len(credits))
            said.append(escaped(claim.text) + (f" \\[{', '.join(map(str, numbers))}\\]" if numbers else ""))
        lines += [" ".join(said), ""]
    return lines


def _credit(credit: Credit) -> str:
    title = f", “{link(credit.title, credit.url)}”" if credit.title else ""
    return f"{escaped(credit.name) if title else link(credit.name, credit.url)}{title}"


def _figures(edition: Edition) -> list[str]:
    lines = ["## The numbers", ""] if edition.figures or edition.charts else []
    if edition.figures:
        lines += ["| figure | this time | the time before |", "|---|---:|---:|"]
        lines += [
            f"| {escaped(figure.name)} | {escaped(figure.shown)} | {escaped(wording.before(figure))} |"
            for figure in edition.figures
        ]
        lines.append("")
    for chart in edition.charts:
        lines += [f"### {escaped(chart.title)}", ""]
        lines += [
            f"- {escaped(point.at)}: {point.value:,.10g} {escaped(chart.unit)}".rstrip() for point in chart.points
        ]
        lines += ["", escaped(chart.note), ""] if chart.note else [""]
    return lines


def _colophon(edition: Edition) -> list[str]:
    colophon = edition.colophon
    lines = ["## Colophon", "", wording.sums(colophon), ""]
    tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = [
        (
            "Who did what",
            ("model", "step", "calls", "failed", "tokens in", "tokens out", "cost"),
            [
                (
                    hand.deployment, hand.step, wording.count(hand.calls), wording.count(hand.failed),
                    wording.count(hand.input_tokens), wording.count(hand.output_tokens), wording.money(hand.cost_usd),
                )
                for hand in colophon.hands
            ],
        ),
        ("Not printed", ("what", "why", "step", "job"), [(d.what, d.why, d.step, d.job) for d in colophon.dropped]),
        ("Weather of the night", ("provider", "failure", "times"), [
            (weather.provider, weather.kind, wording.count(weather.count)) for weather in colophon.weather
        ]),
        ("Feeds", ("feed", "state", "articles", "said"), [
            (feed.feed, wording.STATE_NAMES[feed.state], wording.count(feed.articles), feed.said)
            for feed in colophon.feeds
        ]),
        ("Steps", ("step", "job", "items", "decided", "said"), [
            (step.step, step.job, wording.count(step.items), wording.count(step.decided), step.said)
            for step in colophon.steps
        ]),
    ]  # fmt: skip
    for title, heads, rows in tables:
        if rows:
            lines += [f"### {title}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
            lines += [f"| {' | '.join(map(escaped, row))} |" for row in rows]
            lines.append("")
    return lines
