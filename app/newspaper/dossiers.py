"""From a story's articles, or from printed pieces, to numbered sentences that a writer may cite. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.core import injection
from app.newspaper.edition import Piece
from app.newspaper.material import Article, Dossier, Source, Story
from app.newspaper.sentences import sentences

MOST_CHARS = 12_000


def tellers(story: Story, articles: Mapping[str, Article]) -> tuple[Article, ...]:
    """The story's articles that are there; the first is source 1 and the first credit, and so on."""
    return tuple(articles[id] for id in story.articles if id in articles)


def dossier(story: Story, articles: Mapping[str, Article], most_chars: int = MOST_CHARS) -> Dossier:
    """Of all who tell the story: sources ``1``, ``2`` …, their sentences ``1.1`` … from the start of each text.

    ``most_chars`` of sentences in all: short texts stand whole, long ones share what is left evenly. A sentence that
    tries to instruct its reader is left out.
    """
    told = tellers(story, articles)
    lines = [_lines_of(article) for article in told]
    shares = _shares([sum(map(len, own)) for own in lines], most_chars)
    return Dossier(
        id=story.id,
        sources=tuple(
            Source(
                id=str(number),
                name=article.feed,
                title=article.title,
                url=article.url,
                published=article.published,
                sentences={f"{number}.{n}": line for n, line in enumerate(_within(own, share), 1)},
            )
            for number, (article, own, share) in enumerate(zip(told, lines, shares, strict=True), 1)
        ),
    )


def of_pieces(pieces: Iterable[Piece], id: str = "front") -> Dossier:
    """Of what was printed: a source is a piece, its sentences those of its article, or of the summary it stands for."""
    return Dossier(
        id=id,
        sources=tuple(
            Source(
                id=piece.id,
                name=", ".join(dict.fromkeys(credit.name for credit in piece.credits)),
                title=piece.headline,
                sentences={f"{piece.id}.{n}": line for n, line in enumerate(_printed(piece), 1)},
            )
            for piece in pieces
        ),
    )


def _lines_of(article: Article) -> list[str]:
    text = article.text
    if len(article.summary) > len(text):  # The feed had no article, only what it says of it.
        text = f"{article.summary}\n\n{text}"
    return [line for line in sentences(text) if not injection.suspicions(line)]


def _printed(piece: Piece) -> list[str]:
    return [claim.text for claim in piece.sentences] if piece.form == "article" else sentences(piece.summary)


def _shares(lengths: Sequence[int], most: int) -> list[int]:
    """What each may have: the shortest are served first, and what they leave is shared by the others."""
    shares = [0] * len(lengths)
    left = most
    waiting = sorted(range(len(lengths)), key=lambda place: lengths[place])
    for served, place in enumerate(waiting):
        shares[place] = min(lengths[place], left // (len(waiting) - served))
        left -= shares[place]
    return shares


def _within(lines: Sequence[str], share: int) -> list[str]:
    taken: list[str] = []
    for line in lines:
        share -= len(line)
        if share < 0 and taken:
            break
        taken.append(line)
        if share < 0:
            break
    return taken
