"""Simulated journalists who lie, in a whole yard: what gets into print, even where every checker believes them."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import servers
from app.ledger import editions
from app.newspaper.edition import Edition
from app.registry.paperfile import PaperFile
from app.specimen.stage import Specimen

SHARE = 0.3
"""Of the sentences written."""
CAUGHT = 0.95
PATIENCE_S = 150.0


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's tmp_path: its parents are closed to the user that root hands Postgres to. The stage takes this
    process's environment over."""
    before = dict(os.environ)
    path = Path(tempfile.mkdtemp(prefix="switchyard-lies-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)
    os.environ.clear()
    os.environ.update(before)


def printed(edition: Edition) -> set[str]:
    """Every sentence and headline that a reader sees, without full stops, which headlines lose."""
    pieces = [piece for page in edition.pages for piece in page.pieces]
    said = {text for piece in pieces for text in (piece.headline, piece.summary, *(c.text for c in piece.sentences))}
    if edition.narrative is not None:
        said |= {edition.narrative.headline, *(claim.text for claim in edition.narrative.sentences)}
    return {text.removesuffix(".") for text in said}


@pytest.mark.parametrize("gullible", [False, True])
def test_lies_are_caught_before_print(home: Path, gullible: bool) -> None:
    stage = Specimen(home)
    answers: dict[str, Any] = {"lies": {"default": SHARE}, "gullible": {"default": gullible}}
    stage.weather["answers"] |= answers
    with stage, servers.yard() as yard:
        file = PaperFile(stage.paper)
        paper = file.current()
        today = dt.datetime.now(paper.zone).date()
        opened = yard.press.open_now(paper, file.base, "daily", today)
        until = time.monotonic() + PATIENCE_S
        while editions.edition(yard.engine, opened).state != "published":
            assert time.monotonic() < until, "the edition was never published"
            time.sleep(0.2)  # the ledger rings no bell for those who only look
        edition = Edition.model_validate(editions.document(yard.engine, opened))
        told = stage.lies()
    assert edition.specimen
    forms = Counter(piece.form for page in edition.pages for piece in page.pieces)
    assert forms["article"] >= 10, "lies cost sentences and now and then an article, not the paper"
    kinds = Counter(lie["kind"] for lie in told)
    assert min(kinds[kind] for kind in ("number", "quote", "name")) >= 5, kinds
    seen = printed(edition)
    through = [lie for lie in told if lie["text"].removesuffix(".") in seen]
    assert not [lie for lie in through if lie["kind"] in ("number", "quote")]
    assert len(through) <= (1 - CAUGHT) * len(told), through
    assert {lie["was"].removesuffix(".") for lie in told} & seen, "and what was true of it is printed after all"
