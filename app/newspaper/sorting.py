"""Which desk a story belongs to, how much it matters, what kind of text it is and what language it is in.

Four jobs of one item a story at most, for the models of the cheap tier, several items a call. What the feed says needs
no vote. What nobody has answered in time is settled without models, as ``sorted_stories`` says.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, cast

from app.newspaper.material import Article, Sorted, Story
from app.newspaper.paper import Paper
from app.newspaper.steps import Heard, Item, Wish

DESK, IMPORTANCE, GENRE, LANGUAGE = "sort:desk", "sort:importance", "sort:genre", "sort:language"
NONE = "none"
OTHER = "other"
OPENING_CHARS = 600

_IMPORTANCE = {
    "front": "changes something for many readers or will be talked of tomorrow; a front page would carry it",
    "major": "real news that readers of its desk would miss if it were left out",
    "minor": "routine, a note, an event of few, or interesting only to some",
}
_GENRE = {
    "news": "reports or explains what happened, is planned or was found, or how something is done",
    "opinion": "argues for a view of its author: a comment, column, editorial, review or letter",
    "advertisement": "wants to sell or to win customers for who wrote it: sponsored text, offers, product promotion",
}
_LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
    "ga": "Irish", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian",
    "nl": "Dutch", "no": "Norwegian", "nb": "Norwegian Bokmål", "nn": "Norwegian Nynorsk", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian", "sr": "Serbian",
    "sv": "Swedish", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
    "zh": "Chinese",
}  # fmt: skip
"""ISO 639-1. A code that is not here stands for itself."""
_MARKED = {
    "opinion": re.compile(
        r"^\W*(?:opinion|comment|commentary|editorial|column|op-ed|letters?|kommentar|meinung)\s*[:|]"
    ),
    "advertisement": re.compile(r"^\W*(?:advertisement|advertorial|sponsored|promoted|anzeige|ad)\s*[:|]"),
}
"""What a headline says of itself."""
_LETTERS = re.compile(r"[^\W\d_]{3,}")


def wishes(
    paper: Paper, stories: Sequence[Story], articles: Mapping[str, Article], due: dt.datetime
) -> tuple[Wish, ...]:
    """The votes that are needed; a step without items is left out. An item is the title, a blank line and the opening
    of the fullest telling; its id is the story's."""
    homeless = [story for story in stories if not _feed_desk(paper, story, articles)]
    unheard = [story for story in stories if not _feed_language(paper, story, articles)]
    wanted: list[tuple[str, Sequence[Story], str, Mapping[str, str]]] = [
        (
            DESK,
            homeless,
            "Which desk of a newspaper does the article belong to, by what it is mainly about?",
            _desks(paper),
        ),
        (IMPORTANCE, stories, "How much does the article matter to the readers of a newspaper?", _IMPORTANCE),
        (GENRE, stories, "What kind of text is the article?", _GENRE),
        (LANGUAGE, unheard, "What language is the article written in?", _names(paper)),
    ]
    step = paper.steps.sort
    return tuple(
        Wish(
            name,
            {
                "task": "classify",
                "labels": list(labels),
                "prompt": _prompt(question, labels),
                "strategy": step.strategy,
                "tier": step.tier,
                "pack": step.pack,
            },
            tuple(Item(story.id, shown(articles[story.id])) for story in asked),
            due,
        )
        for name, asked, question, labels in wanted
        if asked
    )


def shown(article: Article) -> str:
    """What a model sees of an article."""
    text = article.text or article.summary
    opening = text if len(text) <= OPENING_CHARS else text[:OPENING_CHARS].rsplit(" ", 1)[0] + " …"
    return f"{article.title}\n\n{opening}"


def _prompt(question: str, labels: Mapping[str, str]) -> str:
    listed = "\n".join(f"- {label}: {about}" for label, about in labels.items())
    # The braces would have the item put there.
    return f"{question}\n\n{listed}".replace("{text}", "(text)")


def _desks(paper: Paper) -> dict[str, str]:
    return {desk.name: desk.description for desk in paper.desk} | {_nowhere(paper): "none of these desks"}


def _nowhere(paper: Paper) -> str:
    """``none``, unless a desk is called that."""
    names = {desk.name for desk in paper.desk}
    return next(label for label in (NONE, "no-desk", "no desk") if label not in names)


def _names(paper: Paper) -> dict[str, str]:
    names = {_LANGUAGES.get(code, code): f"written in {_LANGUAGES.get(code, code)}" for code in paper.languages}
    return names | {OTHER: "any other language"}


def sorted_stories(
    paper: Paper, stories: Sequence[Story], articles: Mapping[str, Article], heard: Mapping[str, Heard]
) -> tuple[Story, ...]:
    """The stories with what is known of them, in their order. Where there is no answer:

    - desk: the feed's; else the one whose title and description share most words with the article; else empty, and the
      first desk where no story was answered: headlines in the wrong place are better than none;
    - importance: front where three feeds tell it, major where two do or where it stands first in its feed, else minor
      (``articles`` is in the order of the feeds);
    - genre: what the headline calls itself (``Opinion:``), else news;
    - language: the feed's, else empty.
    """
    nowhere = _nowhere(paper)
    codes = {_LANGUAGES.get(code, code): code for code in paper.languages} | {OTHER: OTHER}
    by_words = _desk_by_words(paper)
    desks = heard[DESK].answers.values() if DESK in heard else ()
    last = "" if any(answer.text is not None for answer in desks) else paper.desk[0].name
    leading = _leading(articles.values())

    def said(step: str, story: Story, labels: Iterable[str]) -> str:
        answer = heard[step].answers.get(story.id) if step in heard else None
        return answer.text if answer is not None and answer.text is not None and answer.text in labels else ""

    def one(story: Story) -> Story:
        article = articles[story.id]
        desk = _feed_desk(paper, story, articles)
        if not desk:
            desk = said(DESK, story, _desks(paper)) or by_words(article) or last
        importance = said(IMPORTANCE, story, _IMPORTANCE) or _by_sources(story, articles, leading)
        genre = said(GENRE, story, _GENRE) or _by_headline(article.title)
        language = _feed_language(paper, story, articles) or codes.get(said(LANGUAGE, story, codes), "")
        return story.model_copy(
            update={
                "sorted": Sorted(
                    desk="" if desk == nowhere else desk,
                    importance=cast(Literal["front", "major", "minor"], importance),
                    genre=cast(Literal["news", "opinion", "advertisement"], genre),
                    language=language,
                )
            }
        )

    return tuple(one(story) for story in stories)


def _feed_desk(paper: Paper, story: Story, articles: Mapping[str, Article]) -> str:
    """Of the fullest telling whose feed belongs to a desk."""
    names = {desk.name for desk in paper.desk}
    return next((articles[name].desk for name in story.articles if articles[name].desk in names), "")


def _feed_language(paper: Paper, story: Story, articles: Mapping[str, Article]) -> str:
    """Of the fullest telling, as its feed says: one of the paper's, ``other``, or empty where it does not say."""
    said = re.split(r"[-_]", articles[story.id].language.strip().lower())[0]
    return said if said in paper.languages else OTHER if said else ""


def _leading(articles: Iterable[Article]) -> frozenset[str]:
    """The first of each feed."""
    first: dict[str, str] = {}
    for article in articles:
        first.setdefault(article.feed, article.id)
    return frozenset(first.values())


def _by_sources(story: Story, articles: Mapping[str, Article], leading: frozenset[str]) -> str:
    feeds = len({articles[name].feed for name in story.articles})
    if feeds >= 3:
        return "front"
    return "major" if feeds == 2 or leading.intersection(story.articles) else "minor"


def _by_headline(title: str) -> str:
    return next((genre for genre, marked in _MARKED.items() if marked.match(title.lower())), "news")


def _desk_by_words(paper: Paper) -> Callable[[Article], str]:
    """A desk's words count the more, the fewer desks have them; what stands in the title counts twice."""
    words = {desk.name: _stems(f"{desk.name} {desk.title} {desk.description}") for desk in paper.desk}
    held_by = Counter(stem for stems in words.values() for stem in stems)

    def desk_of(article: Article) -> str:
        counts = Counter(_stems(article.title)) + Counter(_stems(shown(article)))
        score = {name: sum(counts[stem] / held_by[stem] for stem in stems) for name, stems in words.items()}
        best = max(words, key=lambda name: score[name])
        return best if score[best] >= 1 else ""

    return desk_of


def _stems(text: str) -> set[str]:
    """Words of four letters and more, cut so that most endings do not count."""
    return {word[:6].rstrip("s") for word in _LETTERS.findall(text.lower()) if len(word) > 3}
