"""The newsroom's first half on real articles: ``python -m bench.news [--seed N] [--each N] [--answers KIND] [--json]``.

Merging: doubles of every kind are planted among 932 articles (``bench.planted_news``), once with the dates that the
articles have and once with all of them on one day, which is far harder. Reported without votes, with the votes of an
oracle, of one voter that errs in one case of five, and of the majority of three such. Precision and recall are of pairs
and of planted doubles: precision is the share of the pairs in one story that belong there, recall the share of the
doubles that are in one story with the article they tell again. Aim: 0.99, and 0.95 for doubles of at least a third.

Sorting: the same articles through a whole yard with simulated models, as the wish for desks has it: majority of three,
ten items a call. The desks are the most frequent topics; an article is right on a desk that is one of its topics.
``--answers journalist``: the models go by the words of the desks' descriptions; ``gold``: they know the truth and miss
it in one case of five. ``--no-yard`` leaves this part out.

The articles stand beside the repository (``SWITCHYARD_SHARED_DATA``, else ``../shared/data``).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

from app.ledger.door import Row
from app.newspaper import merging, sorting
from app.newspaper.material import Article, Story
from app.newspaper.paper import Paper
from app.newspaper.steps import Answer, Heard
from bench.harness import ROOT, Rig, provider
from bench.planted_news import FULL, KINDS, ONE_DAY, Night, collection, night

ERRS = 0.2
_PATIENCE_S = 300.0
_DESKS = {
    "content-strategy": "writing, editing, publishing, governance and life cycle of web content, editors and pages",
    "product-and-project-management": "products, projects, teams, agile, scrum, roadmaps, sprints and delivery",
    "user-experience": "user experience, UX, usability tests, personas, journeys and needs of users",
    "mobile": "mobile apps, phones, tablets, smartphones, text messages, responsive sites",
    "design": "design, designers, web design system, prototypes, visual style, components",
    "accessibility": "accessibility, Section 508, people with disabilities, screen readers, captions",
    "customer-experience": "customer experience, CX, customers, contact centers, surveys, satisfaction and feedback",
    "analytics": "analytics, metrics, measuring, web traffic, visits, data about visitors, performance",
    "social-media": "social media, Facebook, Twitter, hashtags, posts, followers, campaigns",
    "software-engineering": "software, developers, code, engineering, cloud, infrastructure, APIs, releases",
    "research": "research, interviews, studies, participants, findings",
    "emerging-tech": "emerging technology, artificial intelligence, robots, automation, blockchain, virtual reality",
}
"""What is told of the twelve most frequent topics."""
_DECISIONS = "SELECT i.custom_id, d.answer FROM decisions d JOIN items i ON i.id = d.item_id WHERE d.job_id = %s"
_CALLS = "SELECT count(*), count(item_ids) FROM attempts WHERE job_id = %s AND state <> 'unsent'"

Voter = Callable[[bool], bool]
"""Truth → vote."""


def merging_of(told: Night, seed: int) -> dict[str, Any]:
    began = time.perf_counter()
    pairs = merging.doubtful(told.articles)
    seconds = time.perf_counter() - began
    dice = random.Random(seed)

    def errs(truth: bool) -> bool:
        return truth != (dice.random() < ERRS)

    def three(truth: bool) -> bool:
        return sum(errs(truth) for _ in range(3)) >= 2

    voters: dict[str, Voter | None] = {
        "no votes": None,
        "oracle": lambda truth: truth,
        "one voter, errs 20 %": errs,
        "three voters, each errs 20 %": three,
    }
    return {
        "articles": len(told.articles),
        "doubles": len(told.copied),
        "seconds": round(seconds, 2),
        "doubtful_pairs": len(pairs),
        "of_them_the_same": sum(told.same(*pair) for pair in pairs),
        "by": {name: _scores(told, pairs, voter) for name, voter in voters.items()},
    }


def _scores(told: Night, pairs: tuple[tuple[str, str], ...], voter: Voter | None) -> dict[str, Any]:
    heard = None
    if voter is not None:
        said = {pair: merging.SAME if voter(told.same(*pair)) else merging.DIFFERENT for pair in pairs}
        heard = Heard("bench", True, {f"{one}+{other}": Answer(text) for (one, other), text in said.items()})
    stories = merging.merged(told.articles, heard)
    together = [told.same(*pair) for story in stories for pair in combinations(story.articles, 2)]
    story_of = {name: story.id for story in stories for name in story.articles}
    found = {
        kind: [story_of[copy] == story_of[of] for copy, of in told.copied.items() if told.kinds[copy] == kind]
        for kind in KINDS
    }
    full = [hit for kind in FULL for hit in found[kind]]
    return {
        "precision": round(sum(together) / max(1, len(together)), 4),
        "recall": round(sum(full) / max(1, len(full)), 4),
        "false_pairs": len(together) - sum(together),
        "recall_by_kind": {kind: round(sum(hits) / max(1, len(hits)), 3) for kind, hits in found.items()},
    }


def sorting_of(rows: list[dict[str, Any]], answers: str, seed: int, count: int | None) -> dict[str, Any]:
    told = night(rows, seed, each=0, one_day=True)
    articles = {article.id: article for article in told.articles[:count]}
    stories = tuple(Story(id=name, articles=(name,)) for name in articles)
    paper = _paper(told)
    desks = {desk.name for desk in paper.desk}
    right = {name: desks.intersection(told.topics[name]) or {""} for name in articles}
    wish = sorting.wishes(paper, stories, articles, ONE_DAY)[0]
    assert wish.step == sorting.DESK
    items = [
        Row(n, item.id, item.text, next((topic for topic in told.topics[item.id] if topic in desks), sorting.NONE))
        for n, item in enumerate(wish.items, 1)
    ]
    fleet = [provider(f"p{n}", concurrency=16, quality=0.4 + n / 20) for n in range(1, 4)]
    weather = (
        f'[answers]\nkind = "journalist"\nerror_rate = {{ default = {ERRS} }}\n' if answers == "journalist" else ""
    )
    gold = items if answers == "gold" else ()
    with Rig(fleet, gold=gold, error_rate={"default": ERRS}, weather=weather, latency_ms=50.0, seed=seed) as rig:
        began = time.perf_counter()
        spec = wish.spec
        job = rig.submit(
            items, strategy=spec["strategy"], labels=spec["labels"], prompt=spec["prompt"], pack=spec["pack"]
        )
        rig.wait(job, _PATIENCE_S)
        seconds = time.perf_counter() - began
        said = {name: Answer(text) for name, text in rig.query(_DECISIONS, (job,))}
        calls, packed = rig.query(_CALLS, (job,))[0]
    heard = {wish.step: Heard(job, True, said)}
    return {
        "answers": answers,
        "items": len(items),
        "desks": sorted(desks),
        "undecided": sum(answer.text is None for answer in said.values()),
        "calls_an_item": round(calls / len(items), 3),
        "packed_calls": round(packed / max(1, calls), 3),
        "seconds": round(seconds, 1),
        **_accuracy(paper, stories, articles, heard, right, ""),
        **_accuracy(paper, stories, articles, {}, right, "_without_models"),
    }


def _accuracy(
    paper: Paper,
    stories: tuple[Story, ...],
    articles: dict[str, Article],
    heard: dict[str, Heard],
    right: dict[str, set[str]],
    suffix: str,
) -> dict[str, float]:
    """Of the articles that have one of the topics, and of all (those without one are right on no desk)."""
    found = {story.id: story.sorted.desk for story in sorting.sorted_stories(paper, stories, articles, heard)}
    hits = {name: found[name] in wanted for name, wanted in right.items()}
    topical = [hits[name] for name, wanted in right.items() if wanted != {""}]
    return {
        f"accuracy{suffix}": round(sum(topical) / max(1, len(topical)), 4),
        f"accuracy_of_all{suffix}": round(sum(hits.values()) / max(1, len(hits)), 4),
    }


def _paper(told: Night) -> Paper:
    frequent = Counter(topic for topics in told.topics.values() for topic in topics).most_common(len(_DESKS))
    desks = [
        {"name": topic, "title": topic, "description": _DESKS.get(topic, topic.replace("-", " "))}
        for topic, _ in frequent
    ]
    return Paper.model_validate(
        {"title": "Digital Government", "desk": desks, "feed": [{"name": "digital.gov", "path": "feed"}]}
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.news", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--each", type=int, default=30, help="planted doubles of each kind")
    parser.add_argument("--answers", choices=("gold", "journalist"), default="journalist")
    parser.add_argument("--items", type=int, help="articles to sort; left out: all")
    parser.add_argument("--no-yard", action="store_true", help="merging only")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    folder = Path(os.environ.get("SWITCHYARD_SHARED_DATA", ROOT.parent / "shared" / "data"))
    try:
        rows = collection(folder)
    except FileNotFoundError as error:
        sys.stderr.write(f"{error.filename} is missing: set SWITCHYARD_SHARED_DATA to the folder of the shared data\n")
        return 3
    result: dict[str, Any] = {
        "merging": {
            "own dates": merging_of(night(rows, args.seed, each=args.each, one_day=False), args.seed),
            "one day": merging_of(night(rows, args.seed, each=args.each, one_day=True), args.seed),
        }
    }
    if not args.no_yard:
        result["sorting"] = sorting_of(rows, args.answers, args.seed, args.items)
    sys.stdout.write(json.dumps(result, indent=None if args.json else 2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
