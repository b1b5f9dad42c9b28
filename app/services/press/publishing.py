"""Publishing: an edition that is made goes to every target of its paper, each tried again until it has it.

Everything is set anew out of the ledger at every try: the edition's document, the paper as its file had it when the
edition was opened, and the paper's other editions that the target has, so that no index names one that is not there.
One edition of a paper is published at a time.

The letter carries the edition and waits for nobody; the webhook carries its address, and waits until the folder and the
bucket have it or were given up. A reprint takes the place of what came before it: an earlier printing that some target
still lacks goes there no more.

Warning: a process that dies between a target's yes and the ledger's row asks it again. Folder and bucket are the same
afterwards; the webhook's receiver knows it by its id, the letter's by its Message-ID.
"""

from __future__ import annotations

import datetime as dt
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Engine

from app.ledger import editions, publications
from app.ledger.editions import Opened
from app.ledger.states import EditionState
from app.newspaper.edition import Edition, name_of
from app.newspaper.paper import Paper
from app.newspaper.setting.bundle import Bundle, bundle
from app.newspaper.setting.listed import Listed, listed
from app.publishing import configured
from app.publishing.folder import FolderTarget
from app.publishing.pdf import Unmade, pdf
from app.publishing.target import Target, Untaken

log = structlog.get_logger(__name__)

PDF = "edition.pdf"
_PLACES = ("folder", "bucket")
_FIRST_RETRY_S, _LONGEST_RETRY_S = 60.0, 3600.0
_GIVEN_UP = dt.timedelta(hours=24)
_ENOUGH_S = 120.0
_REPRINTED = "a reprint took its place"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one try. ``said`` None: the target has it."""

    target: str
    where: str
    said: str | None = None
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """``published``: every target has the edition, or was given up. ``busy``: another process is publishing an edition
    of the paper, so that nothing was tried."""

    published: bool
    sent: tuple[Sent, ...] = ()
    busy: bool = False


def message_id(opened: Opened) -> str:
    """The same at every try, of every process."""
    return f"{opened.paper}-{opened.kind}-{opened.date}-{opened.run}"


def retry_at(tries: int, made_at: dt.datetime, now: dt.datetime, *, final: bool = False) -> dt.datetime | None:
    """After so many tries: in a minute, doubled each time, an hour at most; None: given up, a day after it was made."""
    again = now + dt.timedelta(seconds=min(_FIRST_RETRY_S * 2 ** min(tries - 1, 10), _LONGEST_RETRY_S))
    return None if final or again > made_at + _GIVEN_UP else again


@dataclass(slots=True)
class _Set:
    """The edition in all its forms, the PDF made once."""

    edition: Edition
    paper: Paper
    printed: bytes | Unmade | None = None

    def bundle(self, before: Sequence[Listed], *, whole: bool) -> Bundle:
        """``whole``: with the PDF, where the paper has one. Without what it is made with, an edition has none, and no
        page speaks of it."""
        made = bundle(self.edition, self.paper, before)
        if not whole or "pdf" not in self.paper.publish.formats:
            return made
        if self.printed is None:
            self.printed = pdf(made.files["index.html"])
            if isinstance(self.printed, Unmade):
                log.warning("an edition has no PDF", action="press.no_pdf", error=self.printed.said)
        if isinstance(self.printed, Unmade):
            return bundle(self.edition, _without_pdf(self.paper), before)
        return replace(made, files={**made.files, PDF: self.printed})


def _without_pdf(paper: Paper) -> Paper:
    formats = tuple(each for each in paper.publish.formats if each != "pdf")
    return paper.model_copy(update={"publish": paper.publish.model_copy(update={"formats": formats})})


def readable(documents: Iterable[Mapping[str, Any]]) -> Iterator[Edition]:
    """Editions of other dates. One that another version wrote, in a form that is unknown here, is left out: it keeps no
    later one from appearing."""
    for document in documents:
        try:
            yield Edition.model_validate(document)
        except ValidationError:
            said = f"{document.get('paper')} of {document.get('date')}"
            log.error("an earlier edition cannot be read, and is left out", action="press.unreadable", of=said)


def _words(opened: Opened, target: str, where: str) -> dict[str, Any]:
    return {"edition": opened.id, "message": message_id(opened), "target": target, "where": where}


class Publisher:
    """``environ``: what the names in a paper's settings are looked up in, whenever something is published.

    ``allow_private``: addresses of inner networks, and plain http. ``enough_s``: when what is left is put off until the
    next look; a relay that hangs may have a hundred letters to take.
    """

    def __init__(
        self, engine: Engine, environ: Mapping[str, str], *, allow_private: bool = False, enough_s: float = _ENOUGH_S
    ) -> None:
        self._engine = engine
        self._enough_s = enough_s
        self._environ = environ
        self._allow_private = allow_private

    def amiss(self, paper: Paper, base: Path) -> list[str]:
        """A sentence for each target that could not be reached as things stand. None holds a secret."""
        return self._targets(paper, base)[1]

    def publish(self, opened: Opened, now: dt.datetime) -> Published:
        """Try every target that is due."""
        with publications.publishing(self._engine, opened.paper) as alone:
            if not alone:
                return Published(published=False, busy=True)
            current = editions.edition(self._engine, opened.id)
            sent = self._sent(current, now) if current.state == EditionState.MADE else []
            state = editions.edition(self._engine, opened.id).state
            return Published(state == EditionState.PUBLISHED, tuple(sent))

    def _sent(self, opened: Opened, now: dt.datetime) -> list[Sent]:
        tries = dict(publications.targets_due(self._engine, opened.id, now))
        if not tries:
            return []
        if publications.reprinted(self._engine, opened):
            return [self._given_up(opened, name, _REPRINTED, now) for name in tries]
        document = editions.document(self._engine, opened.id)
        assert document is not None, "an edition that is made has its document"
        paper = Paper.model_validate(opened.settings)
        try:
            work = _Set(Edition.model_validate(document), paper)
        except ValidationError:
            unread = Untaken("this version of Switchyard cannot read the edition")
            return [self._put_off(opened, name, "", unread, count, now) for name, count in tries.items()]
        found, _ = self._targets(paper, Path(opened.base))
        until = time.monotonic() + self._enough_s
        sent: list[Sent] = []
        for target in found:
            if target.name not in tries or (target.name == "webhook" and self._comes_later(opened)):
                continue
            if sent and time.monotonic() > until:
                break
            untaken = self._try(opened, target, work)
            sent.append(self._written(opened, target, untaken, tries[target.name], now))
        unknown = tries.keys() - {target.name for target in found}
        return sent + [self._given_up(opened, name, "the paper names no such target", now) for name in unknown]

    def _try(self, opened: Opened, target: Target, work: _Set) -> Untaken | None:
        try:
            place = target.name in _PLACES
            before = self._before(opened, target, work.paper.publish.keep) if place else []
            return target.publish(work.bundle(before, whole=place), message_id(opened))
        except Exception as error:
            # A fault of ours at one target keeps the edition from no other. Its text may hold what it was at work on.
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            log.error("publishing failed", action="press.fault", edition=opened.id, target=target.name, error=said)
            return Untaken(f"publishing failed: {said}")

    def _before(self, opened: Opened, target: Target, keep: int | None) -> list[Listed]:
        """The paper's other editions that are at the target now: a folder says so itself, whoever moved it or took one
        out of it; of a bucket the ledger knows which one it was."""
        found = publications.there(self._engine, opened, target.name)
        if isinstance(target, FolderTarget):
            ids = [each.id for each in found if target.holds(name_of(each.kind, each.date))]
        else:
            ids = [each.id for each in found if each.place == target.where]
        return [listed(each) for each in readable(publications.lines(self._engine, ids[:keep]))]

    def _comes_later(self, opened: Opened) -> bool:
        state = publications.publish_state(self._engine, opened.id)
        return any(target in _PLACES and not (done or given_up) for target, _, _, given_up, done in state)

    def _written(self, opened: Opened, target: Target, untaken: Untaken | None, tries: int, now: dt.datetime) -> Sent:
        if untaken is not None:
            return self._put_off(opened, target.name, target.where, untaken, tries, now)
        publications.published(self._engine, opened.id, target.name, target.where, now)
        log.info("an edition is out", action="press.published", **_words(opened, target.name, target.where))
        return Sent(target.name, target.where)

    def _put_off(self, opened: Opened, name: str, where: str, untaken: Untaken, tries: int, now: dt.datetime) -> Sent:
        # The folder is the paper itself: what is wrong with it, somebody may set right.
        final = untaken.final and name != "folder"
        again = retry_at(tries + 1, opened.made_at or now, now, final=final)
        if again is None:
            return self._given_up(opened, name, untaken.said, now, where)
        publications.unpublished(self._engine, opened.id, name, untaken.said, again, now)
        words = _words(opened, name, where)
        log.warning("an edition was not taken; it is tried again", action="press.retry", error=untaken.said, **words)
        return Sent(name, where, untaken.said)

    def _given_up(self, opened: Opened, name: str, said: str, now: dt.datetime, where: str = "") -> Sent:
        publications.unpublished(self._engine, opened.id, name, said, None, now)
        log.error("an edition was never taken", action="press.given_up", edition=opened.id, target=name, error=said)
        return Sent(name, where, said, given_up=True)

    def _targets(self, paper: Paper, base: Path) -> tuple[list[Target], list[str]]:
        return configured.targets(paper, base, self._environ, allow_private=self._allow_private)
