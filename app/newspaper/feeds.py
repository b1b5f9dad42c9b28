"""Feeds as bytes into entries: RSS, Atom (feedparser) and JSON Feed 1.1 (https://www.jsonfeed.org/version/1.1/).

A feed is the work of strangers. Before the parser sees it, it is decoded once, capped, and loses its document type with
every entity declared there (XML 1.0, 2.8: nothing of a feed depends on it but attacks do) and references to characters
that XML does not know, over which feedparser falls. feedparser's own driver is not used: it opens a body that happens
to be a path, and its look for entities and for mail addresses takes quadratic time.

The time is linear in the size: about two seconds for the largest feed. Markup in what comes out is as it was:
``reading`` makes text of it.
"""

from __future__ import annotations

import calendar
import codecs
import datetime as dt
import io
import re
import xml.sax
import xml.sax.handler
import xml.sax.xmlreader
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from feedparser import api as feedparser
from feedparser.encodings import convert_to_utf8
from feedparser.exceptions import CharacterEncodingOverride, CharacterEncodingUnknown

MOST_BYTES = 5_000_000
MOST_ENTRIES = 1_000
MOST_TAGS = 200_000
MOST_DEPTH = 200
MOST_TAG = 8_000
"""Characters of one tag with its attributes. The parser's time grows with the square of a tag's attributes."""
MOST_CONTENT = 300_000
"""Characters of an entry's markup that are kept."""
_MOST_AUTHOR = 300
_EARLIEST, _LATEST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the feed has it: titles and texts may hold markup and anything else. ``url`` is no address that
    has been looked at. ``published``: aware, in UTC; None where none is given or it is no date of our times."""

    title: str = ""
    url: str = ""
    summary: str = ""
    content: str = ""
    author: str = ""
    published: dt.datetime | None = None
    language: str = ""


@dataclass(frozen=True, slots=True)
class FeedRead:
    """``faults``: a line each, for people, without any text out of the feed. ``known``: it is a feed at all."""

    entries: tuple[Entry, ...]
    faults: tuple[str, ...] = ()
    known: bool = True


def read_feed(raw: bytes, headers: Mapping[str, str]) -> FeedRead:
    """Whatever can be read of it. ``headers``: content-type and content-language as they were served, and
    content-location: the address that relative links start from. Never raises."""
    faults = []
    if len(raw) > MOST_BYTES:
        raw = raw[:MOST_BYTES]
        faults.append(f"larger than {MOST_BYTES:,} bytes: the rest was left out")
    if not raw.strip(b"\xef\xbb\xbf\0 \t\r\n"):
        return FeedRead((), ("empty",), known=False)
    served = {name.lower(): value for name, value in headers.items()}
    try:
        read = _json_feed(raw) if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else _xml_feed(raw, served)
    except Exception as error:  # feedparser falls over what nobody thought of; the night goes on
        return FeedRead((), (*faults, f"cannot be read ({type(error).__name__})"), known=False)
    return FeedRead(read.entries, (*faults, *read.faults), read.known)


class _EnoughError(Exception):
    """The feed is longer than is read."""


class _Bounded:
    """Over feedparser's handlers of elements: stops at the caps, and reads authors without its search for mail
    addresses."""

    entries: list[Any]
    depth: int
    tags = 0

    def unknown_starttag(self, tag: str, attrs: list[tuple[str, str]]) -> Any:
        self.tags += 1
        if self.tags > MOST_TAGS:
            raise _EnoughError(f"more than {MOST_TAGS:,} tags: the rest was left out")
        if self.depth > MOST_DEPTH:
            raise _EnoughError(f"nested deeper than {MOST_DEPTH} elements: the rest was left out")
        return super().unknown_starttag(tag, attrs)  # type: ignore[misc]

    def _start_item(self, attrs: dict[str, str]) -> None:
        if len(self.entries) >= MOST_ENTRIES:
            raise _EnoughError(f"more than {MOST_ENTRIES:,} entries: the rest was left out")
        super()._start_item(attrs)  # type: ignore[misc]

    _start_entry = _start_item

    def _sync_author_detail(self, key: str = "author") -> None:
        context = self._get_context()  # type: ignore[attr-defined]
        name = str(context.get(key) or "")
        if len(name) > _MOST_AUTHOR:
            context[key] = name[:_MOST_AUTHOR]
        super()._sync_author_detail(key)  # type: ignore[misc]


class _Strict(_Bounded, feedparser.StrictFeedParser):  # type: ignore[misc]
    pass


class _Loose(_Bounded, feedparser.LooseFeedParser):  # type: ignore[misc]
    pass


def _xml_feed(raw: bytes, headers: dict[str, str]) -> FeedRead:
    text, faults = _decoded(raw, headers)
    body, declared = _without_prolog(_IMPOSSIBLE.sub("", text))
    if declared:
        faults.append("declares a document type with entities: they were left out")
    if re.match(r"(?i)<html\b", body):
        return FeedRead((), ("a web page, not a feed",), known=False)
    body, cut = _TOO_LONG_TAG.subn("<cut", _CHARACTER.sub(_possible, body))
    if cut:
        faults.append(f"tags of more than {MOST_TAG:,} characters were left out")
    parser, fault = _parsed(body, headers)
    if fault:
        faults.append(fault)
    if not parser.entries and not parser.version:
        return FeedRead((), (*faults, "neither RSS nor Atom"), known=False)
    language = str(parser.feeddata.get("language") or "")
    return FeedRead(tuple(_entry(entry, language) for entry in parser.entries), tuple(faults))


_BYTE_ORDERS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(r"""(?i)\bcharset\s*=\s*["']?([\w.:-]{1,40})""")


def _decoded(raw: bytes, headers: dict[str, str]) -> tuple[str, list[str]]:
    """By feedparser's rules, but that the marks of UTF-16 and UTF-32 come first, and without RFC 3023's ASCII for
    text/xml that names no charset: RFC 7303 has done away with it. Undecodable bytes become U+FFFD."""
    for mark, encoding in _BYTE_ORDERS:
        if raw.startswith(mark):
            return raw.decode(encoding, "replace"), []
    result: dict[str, Any] = {}
    charset = _CHARSET.search(headers.get("content-type", ""))
    served = {"content-type": f"application/xml; charset={charset.group(1)}"} if charset else {}
    try:
        data = convert_to_utf8(served, raw, result)
    except Exception:  # an encoding's name that is no text, or a codec that is none of text
        data, result = raw, {"bozo_exception": CharacterEncodingUnknown()}
    faults = []
    wrong = result.get("bozo_exception")
    if isinstance(wrong, CharacterEncodingUnknown):
        faults.append("its character encoding is unknown")
    elif isinstance(wrong, CharacterEncodingOverride) and served:
        faults.append("its character encoding is not the one it is served with")
    elif isinstance(wrong, CharacterEncodingOverride):
        faults.append("its character encoding is not the one it declares")
    return data.decode("utf-8", "replace"), faults


def _without_prolog(text: str) -> tuple[str, bool]:
    """The document from its first element on, and whether a document type declared something before it."""
    at, declared = 0, False
    while (at := text.find("<", at)) >= 0:
        if text.startswith("<!--", at):
            at = _after(text, "-->", at + 4)
        elif text.startswith("<?", at):
            at = _after(text, ">", at)
        elif text.startswith("<!", at):
            at, inner = _after_declaration(text, at + 2)
            declared |= inner
        elif text[at + 1 : at + 2].isalpha() or text[at + 1 : at + 2] == "_":
            return text[at:], declared
        else:
            at += 1
    return "", declared


def _after(text: str, end: str, at: int) -> int:
    found = text.find(end, at)
    return len(text) if found < 0 else found + len(end)


_IN_DECLARATION = re.compile(r"[\"'\[\]>]|<!--")


def _after_declaration(text: str, at: int) -> tuple[int, bool]:
    """Behind a declaration with its inner subset, and whether it has one."""
    depth, inner = 0, False
    while found := _IN_DECLARATION.search(text, at):
        match mark := found.group():
            case '"' | "'":
                # An apostrophe that is never closed is none of a literal.
                closing = text.find(mark, found.end())
                at = found.end() if closing < 0 else closing + 1
                if closing < 0:
                    return _after(text, ">", at), inner
            case "<!--":
                at = _after(text, "-->", found.end())
            case "[":
                depth, inner, at = depth + 1, True, found.end()
            case "]":
                depth, at = max(0, depth - 1), found.end()
            case _:
                at = found.end()
                if depth == 0:
                    return at, inner
    return len(text), inner


_IMPOSSIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CHARACTER = re.compile(r"&#(?:([0-9]+)|[xX]([0-9a-fA-F]+));?")
_TOO_LONG_TAG = re.compile(rf"<[A-Za-z_][^<>]{{{MOST_TAG},}}")


def _possible(reference: re.Match[str]) -> str:
    """A character reference, or nothing where XML knows no such character (XML 1.0, 2.2)."""
    decimal, hexadecimal = reference.groups()
    digits, base = (decimal, 10) if decimal else (hexadecimal, 16)
    digits = digits.lstrip("0")
    code = int(digits, base) if 0 < len(digits) <= 7 else 0
    valid = code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code <= 0x10FFFF
    return reference.group() if valid else ""


def _parsed(body: str, headers: dict[str, str]) -> tuple[Any, str]:
    """feedparser's parser after it has read what it could, and what was wrong. What is no XML is read loosely."""
    base = headers.get("content-location", "")
    language = headers.get("content-language")
    strict = _unmeddling(_Strict(base, language, "utf-8"))
    reader = xml.sax.make_parser()  # noqa: S317 - a document without a type declares no entities
    reader.setFeature(xml.sax.handler.feature_namespaces, True)
    reader.setFeature(xml.sax.handler.feature_external_ges, False)
    reader.setFeature(xml.sax.handler.feature_external_pes, False)
    reader.setContentHandler(strict)
    reader.setErrorHandler(strict)
    source = xml.sax.xmlreader.InputSource()
    source.setByteStream(io.BytesIO(body.encode("utf-8", "replace")))
    source.setEncoding("utf-8")
    try:
        reader.parse(source)
    except _EnoughError as enough:
        return strict, str(enough)
    except Exception:  # no XML, or more than feedparser can take: the loose parser is the answer to both
        strict.exc = strict.exc or ValueError()
    if strict.exc is None:
        return strict, ""
    loose = _unmeddling(_Loose(base, language, "utf-8", {}))
    try:
        loose.feed(body)
    except _EnoughError as enough:
        return loose, str(enough)
    except Exception as error:  # what it has read until then is there
        return loose, f"no well-formed XML, and read only up to a fault ({type(error).__name__})"
    return loose, "no well-formed XML: read as far as it can be"


def _unmeddling(parser: Any) -> Any:
    """Markup is looked at later, with better tools."""
    parser.resolve_relative_uris = False
    parser.sanitize_html = False
    return parser


def _entry(entry: Any, language: str) -> Entry:
    contents = [str(each.get("value") or "") for each in entry.get("content") or () if _is_text(each.get("type"))]
    said = (entry.get("title_detail") or {}).get("language") or (entry.get("summary_detail") or {}).get("language")
    return Entry(
        title=_text(entry.get("title")),
        url=_text(entry.get("link")) or _linked(entry.get("links") or ()),
        summary=_text(entry.get("summary")),
        content=max(contents, key=len, default="")[:MOST_CONTENT],
        author=_text(entry.get("author")),
        # dict's own: feedparser's would take the one for the other, with a warning.
        published=_moment(dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")),
        language=_language(_text(said) or language),
    )


def _is_text(kind: Any) -> bool:
    return not kind or "html" in str(kind) or str(kind).startswith("text/")


def _linked(links: Any) -> str:
    return next((_text(link.get("href")) for link in links if link.get("rel", "alternate") == "alternate"), "")


def _text(value: Any) -> str:
    return value[:MOST_CONTENT] if isinstance(value, str) else ""


def _language(value: str) -> str:
    """``en-GB`` is ``en``; what is no language (RFC 5646) is empty."""
    found = re.match(r"[a-zA-Z]{2,3}(?![a-zA-Z])", value.strip())
    return found.group().lower() if found else ""


def _moment(parsed: Any) -> dt.datetime | None:
    try:
        return _sensible(dt.datetime.fromtimestamp(calendar.timegm(parsed), dt.UTC)) if parsed else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _sensible(moment: dt.datetime) -> dt.datetime | None:
    return moment if _EARLIEST <= moment < _LATEST else None


def _json_feed(raw: bytes) -> FeedRead:
    try:
        document = orjson.loads(raw.decode("utf-8-sig", "replace"))
    except (orjson.JSONDecodeError, RecursionError):
        return FeedRead((), ("no well-formed JSON",), known=False)
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        return FeedRead((), ("JSON, but no JSON feed: it has no items",), known=False)
    faults = []
    if not str(document.get("version") or "").startswith("https://jsonfeed.org/version/"):
        faults.append("does not say that it is a JSON feed")
    if wrong := sum(not isinstance(item, dict) for item in items):
        faults.append(f"{wrong} of its items are no objects")
    if len(items) > MOST_ENTRIES:
        faults.append(f"more than {MOST_ENTRIES:,} entries: the rest was left out")
    language = _text(document.get("language"))
    author = _authors(document)
    entries = [_json_entry(item, language, author) for item in items[:MOST_ENTRIES] if isinstance(item, dict)]
    return FeedRead(tuple(entries), tuple(faults))


def _json_entry(item: dict[str, Any], language: str, author: str) -> Entry:
    plain = _text(item.get("content_text"))
    return Entry(
        title=_text(item.get("title")),
        url=_text(item.get("url")) or _text(item.get("external_url")),
        summary=escaped(_text(item.get("summary"))),
        content=_text(item.get("content_html")) or escaped(plain),
        author=_authors(item) or author,
        published=moment_of(item.get("date_published")) or moment_of(item.get("date_modified")),
        language=_language(_text(item.get("language")) or language),
    )


def escaped(plain: str) -> str:
    """Plain text as markup, its paragraphs kept."""
    safe = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"\n\s*\n", "<p>", safe)


def _authors(of: dict[str, Any]) -> str:
    """``author`` is that of version 1."""
    found = of.get("authors") if isinstance(of.get("authors"), list) else [of.get("author")]
    names = [_text(each.get("name")) for each in found or () if isinstance(each, dict)]
    return ", ".join(name for name in names if name)[:_MOST_AUTHOR]


def moment_of(value: Any) -> dt.datetime | None:
    """RFC 3339; without an offset it is UTC."""
    try:
        moment = dt.datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        if moment is None:
            return None
        return _sensible(moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    except (ValueError, OverflowError):
        return None
