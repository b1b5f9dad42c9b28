"""What setting hands to publishing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.newspaper.edition import Edition
from app.newspaper.paper import Paper
from app.newspaper.setting.atom import FILE, atom
from app.newspaper.setting.html import edition_page, index_page
from app.newspaper.setting.letter import Letter, letter
from app.newspaper.setting.listed import Listed, newest_first
from app.newspaper.setting.listed import listed as line_of
from app.newspaper.setting.markdown import markdown
from app.newspaper.setting.text import cleaned

__all__ = ["Bundle", "Letter", "Listed", "bundle"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One edition, set. ``name``: its folder.

    ``files``: path within that folder → content: ``index.html``, ``edition.md``, ``edition.json`` … ``front``: path
    within the paper's folder → content: ``index.html`` (all editions), ``atom.xml``; these replace those of before.
    """

    name: str
    files: Mapping[str, bytes]
    front: Mapping[str, bytes]
    letter: Letter
    digest: str = field(default="")
    """SHA-256 of the edition's JSON, hexadecimal: the same edition is the same bytes."""


def bundle(edition: Edition, paper: Paper, listed: Sequence[Listed]) -> Bundle:
    """The edition in all its forms. ``listed``: the paper's other editions, in any order; this one may be among them.

    ``publish.formats`` says whether Markdown and Atom are made. HTML always is: PDF and the index need it. Where it
    names PDF the page leads to ``edition.pdf``, which whoever publishes adds.
    """
    own = cleaned(edition)
    document = own.model_dump_json(indent=1).encode() + b"\n"
    editions = newest_first(tuple(listed), line_of(own), paper.publish.keep)
    files = {"index.html": edition_page(own, paper).encode(), "edition.json": document}
    if "markdown" in paper.publish.formats:
        files["edition.md"] = markdown(own).encode()
    front = {"index.html": index_page(paper, editions).encode()}
    if "atom" in paper.publish.formats:
        front[FILE] = atom(paper, editions)
    return Bundle(own.name, files, front, letter(own, paper), hashlib.sha256(document).hexdigest())
