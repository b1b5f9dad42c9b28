"""Files that somebody put into a folder, as entries: text, Markdown, HTML, and feeds. Pure."""

from __future__ import annotations

import codecs
import re
from pathlib import PurePath

from app.newspaper.feeds import Entry, FeedRead, escaped, moment_of, read_feed

TEXTS = frozenset({".txt", ".text", ".md", ".markdown"})
PAGES = frozenset({".html", ".htm", ".xhtml"})
FEEDS = frozenset({".xml", ".rss", ".atom", ".rdf", ".json"})
KINDS = TEXTS | PAGES | FEEDS


def read_file(name: str, raw: bytes) -> FeedRead:
    """What a file holds, by the end of its name: one entry, or a feed's. An unknown end: a feed. Never raises.

    The title is the first heading or line. A block of ``title:`` and ``date:`` at the top of Markdown, as static sites
    have it, is heard.
    """
    kind = PurePath(name).suffix.lower()
    if kind not in TEXTS | PAGES:
        return read_feed(raw, {})
    text = _decoded(raw)
    if text is None:
        return FeedRead((), ("no text: it is binary",), known=False)
    if not text.strip():
        return FeedRead((), ("empty",), known=False)
    if kind in PAGES:
        return FeedRead((_page(text),))
    return FeedRead((_markdown(text) if kind in (".md", ".markdown") else _plain(text),))


def _decoded(raw: bytes) -> str | None:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace")
    if b"\0" in raw:
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    controls = sum(c < " " and c not in "\t\n\r\f" for c in text[:10_000])
    return None if controls > len(text[:10_000]) // 20 else text.replace("\r\n", "\n")


def _plain(text: str) -> Entry:
    title, _, rest = text.strip().partition("\n")
    return Entry(title=escaped(title), content=escaped(rest.strip()))


_FRONT = re.compile(r"---\n(.{0,10000}?)\n---(?:\n|$)", re.DOTALL)
_MARKS = (
    (re.compile(r"^(?:```|~~~).*$", re.MULTILINE), ""),
    (re.compile(r"!\[[^\]\n]{0,300}\]\([^)\n]{0,2000}\)"), ""),
    (re.compile(r"\[([^\]\n]{1,500})\]\([^)\n]{0,2000}\)"), r"\1"),
    (re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?)", re.MULTILINE), ""),
    (re.compile(r"^[ \t]{0,8}[*+-][ \t]+", re.MULTILINE), "\n"),
    (re.compile(r"\*\*|__|`"), ""),
    (re.compile(r"(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)"), ""),
)


def _markdown(text: str) -> Entry:
    text = text.lstrip()
    front = _FRONT.match(text)
    said = front.group(1) if front else ""
    text = text[front.end() :].lstrip() if front else text
    title = _said("title", said)
    if not title:
        title, _, text = text.partition("\n")
    for mark, instead in _MARKS:
        title, text = mark.sub(instead, title), mark.sub(instead, text)
    return Entry(title=escaped(title.strip()), content=escaped(text.strip()), published=moment_of(_said("date", said)))


def _said(key: str, front: str) -> str:
    found = re.search(rf"(?m)^{key}:[ \t]*(.*)$", front)
    return found.group(1).strip().strip("\"'") if found else ""


_TITLE = re.compile(r"(?is)<(h1|title)\b[^<>]{0,1000}>(.{1,1000}?)</\1")


def _page(text: str) -> Entry:
    titles = {found.group(1).lower(): found.group(2) for found in _TITLE.finditer(text[:100_000])}
    return Entry(title=titles.get("h1") or titles.get("title") or "", content=text)
