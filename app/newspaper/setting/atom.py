"""The paper's own feed: Atom (RFC 4287), an entry an edition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from urllib.parse import urlsplit
from xml.sax.saxutils import escape, quoteattr

from app.newspaper.paper import Paper
from app.newspaper.setting import wording
from app.newspaper.setting.listed import Listed
from app.newspaper.setting.text import href, plain

MOST_ENTRIES = 50
FILE = "atom.xml"


def address(paper: Paper, path: str) -> str:
    """Where a file of the paper's folder can be read: absolute where the paper says where it is published, relative to
    its folder where it does not."""
    base = href(paper.publish.url or "")
    return f"{base.rstrip('/')}/{path}" if base else path


def atom(paper: Paper, editions: Sequence[Listed]) -> bytes:
    """``editions``: the newest first.

    An id is the edition's for good (RFC 4151): a reprint has its first printing's, and a later ``updated``.
    """
    updated = max((one.updated for one in editions), default=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang={quoteattr(paper.language)}>',
        f"  <id>{escape(_tag(paper))}</id>",
        f"  <title>{escape(plain(paper.title))}</title>",
        *([f"  <subtitle>{escape(plain(paper.motto))}</subtitle>"] if plain(paper.motto) else []),
        f"  <updated>{_moment(updated)}</updated>",
        f"  <author><name>{escape(plain(paper.title))}</name></author>",
        "  <generator>Switchyard</generator>",
        f'  <link rel="alternate" type="text/html" href={quoteattr(address(paper, "index.html"))}/>',
    ]
    if href(paper.publish.url or ""):
        lines.append(f'  <link rel="self" type="application/atom+xml" href={quoteattr(address(paper, FILE))}/>')
    for one in editions[:MOST_ENTRIES]:
        lines += _entry(paper, one)
    return ("\n".join([*lines, "</feed>"]) + "\n").encode()


def _entry(paper: Paper, one: Listed) -> list[str]:
    title = f"{wording.long_date(one.date, paper.language)}: {one.headline}"
    if one.kind != "daily":
        title = f"{wording.KIND_NAMES[one.kind]}, {title}"
    marks = "".join(f"[{flag}] " for flag in one.flags)
    return [
        "  <entry>",
        f"    <id>{escape(_tag(paper, one.name))}</id>",
        f"    <title>{escape(marks + title)}</title>",
        f"    <updated>{_moment(one.updated)}</updated>",
        f'    <link rel="alternate" type="text/html" href={quoteattr(address(paper, f"{one.name}/index.html"))}/>',
        f"    <category term={quoteattr(one.kind)} label={quoteattr(wording.KIND_NAMES[one.kind])}/>",
        f"    <summary>{escape(one.summary or one.headline)}</summary>",
        "  </entry>",
    ]


def _tag(paper: Paper, edition: str = "") -> str:
    """The authority is the host where the paper is published; without one, a name that is nobody's (RFC 2606). The
    year is part of the name, not a date of anything: it never changes."""
    authority = urlsplit(href(paper.publish.url or "")).hostname or "paper.invalid"
    return f"tag:{authority},2026:{paper.name}" + (f"/{edition}" if edition else "")


def _moment(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
