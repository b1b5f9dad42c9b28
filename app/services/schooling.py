"""Schooling: what votes, true labels and outcomes teach about deployments, worked out anew where there is news.

Bounded: of a use case the latest jobs, of a job the latest items (``ledger.skills``), and of a look so many seconds;
what is left over is first in the next one. So a job of any size keeps a worker as long as some thousand items would.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from app.core import dawid_skene, kinship
from app.core.accuracy import LEAST_VOICES, Answered, Record, pooled, records
from app.core.dawid_skene import OPEN_ANSWERS, Belief, Question
from app.core.kinship import Kin
from app.core.values import TaskKind
from app.ledger import skills as ledger
from app.ledger.skills import Course, Heard

log = structlog.get_logger(__name__)

_BUDGET_S = 20.0
"""Of one look: no use case is begun after so long."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the votes of one use case teach. ``votes``: how many there were."""

    records: dict[tuple[str, str], Record]
    kin: list[Kin]
    votes: int


@dataclass(frozen=True, slots=True)
class Schooling:
    engine: Engine
    budget_s: float = _BUDGET_S

    def learn(self) -> list[Course]:
        """Learn from whatever has news; returns what was learned anew. Only one process learns at a time."""
        done: list[Course] = []
        with ledger.learning(self.engine) as mine:
            if not mine:
                return []
            ends = time.monotonic() + self.budget_s
            for course in ledger.news(self.engine):
                if time.monotonic() > ends:
                    break
                at = ledger.now(self.engine)
                lesson = learned_from(
                    [
                        heard
                        for job in ledger.jobs_of(self.engine, course)
                        for heard in ledger.votes_of(self.engine, job)
                    ],
                    TaskKind(course.kind),
                )
                ledger.write(self.engine, course, lesson.records, lesson.kin, lesson.votes, at)
                done.append(course)
            for kind in sorted({course.kind for course in done}):
                self._pool(kind)
        return done

    def _pool(self, kind: str) -> None:
        pool = {}
        for deployment, teams in ledger.teams_of(self.engine, kind).items():
            whole = Record({}, pooled(record.evidence for record in teams.values()))
            for record in teams.values():
                whole.add(record.counts)
            pool[deployment] = whole
        ledger.write_pool(self.engine, kind, pool)


def learned_from(heard: Sequence[Heard], kind: TaskKind) -> Lesson:
    """The lesson of votes of one kind of task, newest job first. Questions of different tasks are not alike."""
    answers: list[Answered] = []
    kin: dict[tuple[str, str], Kin] = {}
    by_task: dict[str, list[Heard]] = {}
    for vote in heard:
        by_task.setdefault(vote.task, []).append(vote)
    for votes in by_task.values():
        asked = _Asked.of(votes)
        if kind is TaskKind.GENERATE:
            answers += asked.judged()
            continue
        found = asked.measured()
        answers += asked.believed([(k.first, k.second) for k in found if k.clones])
        for k in found:
            kin[k.first, k.second] = _more(kin.get((k.first, k.second)), k)
    return Lesson(records(answers, by_label=kind is TaskKind.CLASSIFY), [kin[pair] for pair in sorted(kin)], len(heard))


def _more(before: Kin | None, k: Kin) -> Kin:
    """Two measurements of one pair, of tasks of their own. The fewer labels, the more coincides by chance."""
    if before is None:
        return k
    return Kin(
        k.first, k.second, before.n + k.n, before.first_wrong + k.first_wrong, before.second_wrong + k.second_wrong,
        before.either + k.either, before.same + k.same, min(before.labels, k.labels),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    """The questions of one task, each once: equal texts are one question, and a voter's latest word on it counts."""

    labels: tuple[str, ...]
    questions: list[Question]
    sources: list[str]
    jobs: Sequence[Mapping[str, str]]
    """Of each question: voter → the job in which it said so."""

    @classmethod
    def of(cls, votes: Iterable[Heard]) -> _Asked:
        said: dict[str, dict[str, Heard]] = {}
        truths: dict[str, Heard] = {}
        labels: tuple[str, ...] = ()
        for vote in votes:
            labels = vote.labels
            said.setdefault(vote.question, {}).setdefault(vote.deployment, vote)
            told = truths.get(vote.question)
            if vote.source is not None and (told is None or (told.source == "gold" and vote.source == "outcomes")):
                truths[vote.question] = vote
        questions, sources, jobs = [], [], []
        for name, of_voters in said.items():
            told = truths.get(name)
            truth = told.truth if told is not None else None
            if labels and truth not in labels:
                truth = None
            barred = told.barred if told is not None and truth is None else None
            said_by = of_voters.items() if labels else list(of_voters.items())[: OPEN_ANSWERS - 1]
            of_labels = {v: h.answer for v, h in said_by if not labels or h.answer in labels}
            questions.append(Question(of_labels, truth, barred))
            sources.append((told.source or "agreement") if told is not None and truth is not None else "agreement")
            jobs.append({voter: h.job for voter, h in of_voters.items()})
        return cls(labels, questions, sources, jobs)

    def measured(self) -> list[Kin]:
        """How far its voters are kin."""
        first = self._infer(self.questions)
        return kinship.measure(self.questions, first.accuracy, len(self.labels) or OPEN_ANSWERS)

    def believed(self, clones: Sequence[tuple[str, str]]) -> Iterable[Answered]:
        """Every vote with what is likely to be true; clones have been heard as one voice."""
        voices = kinship.one_voice({voter: voter for q in self.questions for voter in q.votes}, clones)
        heard = [_merged(q, voices) for q in self.questions]
        belief = self._infer(heard)
        enough = len({voice for q in heard for voice in q.votes}) >= LEAST_VOICES
        rows = zip(self.questions, heard, belief.truths, self.sources, self.jobs, strict=True)
        for question, merged, truth, source, jobs in rows:
            hard = len(set(question.votes.values())) > 1
            for voter, answer in question.votes.items():
                refused = answer == question.barred
                known = refused or source != "agreement"
                if known or len(merged.votes) > 1:  # else it is one voice that nobody has judged
                    yield Answered(voter, answer, jobs[voter], truth, source, hard, refused, known or enough)

    def _infer(self, questions: Sequence[Question]) -> Belief:
        return dawid_skene.infer(questions, self.labels)

    def judged(self) -> Iterable[Answered]:
        """Of free texts, those that were judged themselves: that one is accepted says nothing of another."""
        for question, source, jobs in zip(self.questions, self.sources, self.jobs, strict=True):
            for voter, answer in question.votes.items():
                if answer == question.truth:
                    yield Answered(voter, answer, jobs[voter], {answer: 1.0}, source)
                elif answer == question.barred:
                    yield Answered(voter, answer, jobs[voter], {}, "outcomes", refused=True)


def _merged(question: Question, voices: Mapping[str, str]) -> Question:
    """The question as heard of voices: of several that are one, the first by name speaks."""
    votes: dict[str, str] = {}
    for voter in sorted(question.votes):
        votes.setdefault(voices[voter], question.votes[voter])
    return Question(votes, question.truth, question.barred)
