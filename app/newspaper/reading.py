"""What is read out of entries and pages: plain text, addresses that may be printed, articles. Pure.

Nothing of markup goes any further: an article is plain text, and whatever of it could act, hide, turn the direction of
writing or give orders is gone before it is one. Every step is linear in the size of what it reads.
"""

from __future__ import annotations

import hashlib
import html
import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

import lxml.etree
import lxml.html
import nh3
import trafilatura

from app.newspaper.feeds import MOST_CONTENT, Entry
from app.newspaper.material import MOST_SUMMARY, MOST_TEXT, MOST_TITLE, Article
from app.newspaper.paper import Feed
from app.newspaper.ploys import ploys

MOST_PAGE = 2_000_000
"""Bytes of a fetched page that are read."""
_LEAST_PAGE = 100
"""Characters: less is no article."""
_MOST_PAGE_TAGS = 30_000
"""A page of more is no article: what looks for one takes its time with them."""
_MOST_AUTHOR = 100
_MOST_URL = 2_000
_SHORT_SUMMARY = 400
"""Characters of an article's beginning that stand for a summary where its feed gives none."""

# Elements whose text is no text; HTML parsers keep it as such.
_NO_TEXT = frozenset({
    "script", "style", "template", "noscript", "iframe", "object", "embed", "applet", "svg", "math", "head", "title",
    "textarea", "select", "option", "button", "form", "audio", "video", "canvas", "noframes", "xmp", "plaintext",
})  # fmt: skip
_BLOCKS = frozenset({
    "p", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "table", "blockquote", "section", "article",
    "aside", "header", "footer", "nav", "main", "pre", "dl", "dt", "dd", "figure", "figcaption", "hr", "address",
    "center",
})  # fmt: skip
_UNSEEN_STYLE = re.compile(
    r"(?i)display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:;|$|!)"
    r"|font-size\s*:\s*0|(?:left|top|text-indent)\s*:\s*-\d{3,}|clip\s*:\s*rect|color\s*:\s*transparent"
)
_LONG_TAG = re.compile(r"<[^<>]{8000,}")


def clean(text: str, most: int) -> str:
    """One line of plain text, of ``most`` characters at most, cut off at a word's end; in Unicode's NFC.

    Character references are resolved, however often they were escaped, and what then looks like markup is gone; so are
    control, format (zero-width, bidi, tag) and private characters, piles of combining marks, and addresses that may not
    be printed. Letters in fancy dress are plain ones.
    """
    text = _without_markup(text[: 20 * most + 10_000])
    if not text.isascii():
        text = _visible(text)
    text = _without_addresses(" ".join(_CONTROL.sub("", _ESCAPE.sub("", text)).split()))
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    at_word = cut.rfind(" ") if not text[most - 1].isspace() else len(cut)
    return cut[: at_word if at_word > most // 2 else len(cut)].rstrip(" ,;:-–—") + "…"


_SILENT = re.compile(
    r"(?is)<(script|style|iframe|object|template|noscript|svg|math|textarea)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)"
)
_BLOCK = re.compile(r"(?i)</?(?:br|p|div|li|td|th|tr|h[1-6]|blockquote|section)\b[^<>]*>")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[!?][^<>]*>|<[A-Za-z][\w:-]*\s+[\w:-]+\s*=[^<>]*$")


def _without_markup(text: str) -> str:
    for _ in range(4):
        before = text
        text = (
            _TAG.sub("", _BLOCK.sub(" ", _SILENT.sub("", html.unescape(text)))) if "<" in text or "&" in text else text
        )
        if text == before:
            break
    return text


_ESCAPE = re.compile("(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]{0,200}(?:\x07|\x1b\\\\)")
"""What terminals are steered with (ECMA-48)."""
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]+")
# Joiners belong to the writing of Arabic and Indic letters; between others they hide.
_JOINED = re.compile(
    "(?<=[\u0600-\u06ff\u0750-\u077f\u0900-\u0dff])[\u200c\u200d](?=[\u0600-\u06ff\u0750-\u077f\u0900-\u0dff])"
)
_STYLED = re.compile("[\U0001d400-\U0001d7ff\u24b6-\u24e9\uff21-\uff3a\uff41-\uff5a]")
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_MOST_MARKS = 3


def _visible(text: str) -> str:
    kept = {match.start() for match in _JOINED.finditer(text)}
    seen, marks = [], 0
    for at, c in enumerate(text):
        kind = unicodedata.category(c)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if kind in ("Cf", "Cs", "Co") and at not in kept:
            continue
        if c in _BLANK_LETTERS or _selects_variation(c) or ord(c) & 0xFFFE == 0xFFFE or marks > _MOST_MARKS:
            continue
        seen.append(unicodedata.normalize("NFKC", c) if _STYLED.match(c) else c)
    return unicodedata.normalize("NFC", "".join(seen))


def _selects_variation(c: str) -> bool:
    """They can carry any message, unseen, behind any letter."""
    return "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef" or "\u180b" <= c <= "\u180f"


_ADDRESS = re.compile(
    r"(?i)\bhttps?:/{1,3}[^\s<>\"')\]]+|\b(?:file|javascript|vbscript|blob|jar|view-source|gopher|dict|ldap):[^\s]+"
    r"|\bdata:[\w.+-]+/[\w.+-]+[;,]\S*"
)


def _without_addresses(text: str) -> str:
    """Addresses that may be printed stay."""
    if ":" not in text:
        return text
    kept = _ADDRESS.sub(lambda found: found.group() if printable_url(found.group().rstrip(".,;:!?")) else "", text)
    return kept if kept == text else " ".join(kept.split())


def text_of(markup: str) -> str:
    """Markup as plain paragraphs, divided by blank lines. What a browser would not show is gone."""
    if "<" not in markup:
        return _paragraphs(re.split(r"\n\s*\n", markup))
    tree = _tree(markup[:MOST_CONTENT])
    if tree is None:
        return ""
    # libxml2 bounds the depth, which nh3 by itself pays for with its square; nh3 reads as browsers do.
    cleaned = nh3.clean(
        lxml.html.tostring(tree, encoding="unicode"),
        tags={*_BLOCKS, "br"},
        attributes={},
        clean_content_tags=set(_NO_TEXT),
    )
    again = _tree(cleaned)
    return "" if again is None else _paragraphs(_pieces(again))


def _tree(markup: str | bytes, encoding: str | None = None) -> lxml.html.HtmlElement | None:
    """Parsed, without what is not shown; None: there is nothing."""
    if isinstance(markup, str):
        markup, encoding = _LONG_TAG.sub("<cut", _NOT_XML.sub("", markup)).encode("utf-8", "replace"), "utf-8"
    parser = lxml.html.HTMLParser(encoding=encoding, remove_comments=True, remove_pis=True, no_network=True)
    try:
        tree = lxml.html.document_fromstring(markup, parser=parser)
    except (lxml.etree.LxmlError, ValueError, AssertionError):
        return None
    for element in list(tree.iter()):
        if element is not tree and element.getparent() is not None and _unseen(element):
            element.drop_tree()
    return tree


_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _unseen(element: lxml.html.HtmlElement) -> bool:
    if not isinstance(element.tag, str) or (element.tag in _NO_TEXT and element.tag != "head"):
        return True
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or _UNSEEN_STYLE.search(element.get("style") or "") is not None
    )


def _pieces(tree: lxml.html.HtmlElement) -> list[str]:
    """The texts between blocks. Two line breaks part paragraphs, one is a blank."""
    pieces: list[list[str]] = [[]]
    breaks = 0
    for event, element in lxml.etree.iterwalk(tree, events=("start", "end")):
        if event == "start":
            if element.tag in _BLOCKS:
                pieces.append([])
            if element.tag == "br":
                breaks += 1
                pieces[-1].append(" ")
                if breaks > 1:
                    pieces.append([])
        elif element.tag in _BLOCKS:
            pieces.append([])
        said = element.text if event == "start" else element.tail
        if said and said.strip():
            breaks = 0
        pieces[-1].append(said or "")
    return ["".join(piece) for piece in pieces]


def _paragraphs(pieces: list[str]) -> str:
    """Cleaned and capped."""
    found, room = [], MOST_TEXT
    for piece in pieces:
        if piece.strip() and room > 2 and (paragraph := clean(piece, room)) and not _FURNITURE.fullmatch(paragraph):
            found.append(paragraph)
            room -= len(paragraph) + 2
    return "\n\n".join(found)


# What feeds hang on every entry.
_FURNITURE = re.compile(
    r"(?i)the post .{0,300} (?:appeared first|first appeared) on .{0,100}|(?:continue reading|read more"
    r"|read the rest)\b.{0,80}"
    r"|\W{1,20}|advertisement"
)


def article_text(page: bytes) -> str:
    """The article of a fetched page as plain paragraphs; empty where none is found."""
    page = page[:MOST_PAGE]
    if not page.strip() or page.count(b"<") > _MOST_PAGE_TAGS:
        return ""
    try:
        tree = _tree(_LONG_TAG_BYTES.sub(b"<cut", page.replace(b"\0", b"")))
        found = None
        if tree is not None:
            found = trafilatura.extract(tree, fast=True, include_comments=False, include_tables=False)
    except Exception:  # of a library that reads whatever the net holds
        return ""
    text = _paragraphs((found or "").split("\n"))
    return text if len(text) >= _LEAST_PAGE else ""


_LONG_TAG_BYTES = re.compile(rb"<[^<>]{8000,}")

_INNER_NAMES = frozenset({
    "local", "internal", "localhost", "localdomain", "lan", "home", "corp", "intranet", "private", "invalid", "onion",
    "arpa",
})  # fmt: skip
# Names of public zones that lead inside: ``127.0.0.1.nip.io``.
_LEADS_INSIDE = ("nip.io", "sslip.io", "xip.io", "localtest.me", "lvh.me", "vcap.me", "lacolhost.com", "traefik.me")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_TRACKING = re.compile(r"(?i)(?:utm_\w*|fbclid|gclid|dclid|msclkid|mc_cid|mc_eid|igshid)(?:=|$)")
_REACHABLE_INNER = frozenset({"168.63.129.16"})  # Azure's, of its machines; public by its number


def printable_url(url: str) -> str:
    """The address as it may be printed and fetched; empty where it may not be.

    http or https, with a name of the public kind or a public IP address, without user or password; no blank, control
    character, quote or angle bracket is in what comes out, and nothing that only tells who clicked.
    """
    url = url.strip()
    if not url or len(url) > _MOST_URL or re.search(r"[\s\x00-\x20\x7f-\x9f\\]", url) or not url.isprintable():
        return ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if (
        parts.scheme.lower() not in ("http", "https")
        or "@" in parts.netloc
        or not url[len(parts.scheme) :].startswith("://")
    ):
        return ""
    if not (host := _public_host(host)) or port == 0:
        return ""
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme.lower()]:
        host = f"{host}:{port}"
    query = "&".join(each for each in parts.query.split("&") if not _TRACKING.match(each))
    made = f"{parts.scheme.lower()}://{host}{quote(parts.path, safe=_PATH)}"
    made += f"?{quote(query, safe=_PATH + '?')}" if query else ""
    made += f"#{quote(parts.fragment, safe=_PATH + '?')}" if parts.fragment else ""
    return made if len(made) <= _MOST_URL else ""


_PATH = "/%:@!$&()*+,;=~-._"


def _public_host(host: str) -> str:
    """As it is asked for in the DNS; empty: inner, or none at all."""
    if "%" in host:
        return ""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return _public_name(host)
    if not ip.is_global or ip.is_multicast or str(ip) in _REACHABLE_INNER:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        # An IPv4 address in disguise: mapped, 6to4, Teredo, NAT64.
        disguised = ip.ipv4_mapped or ip.sixtofour or ip.teredo or ip in ipaddress.ip_network("64:ff9b::/96")
        return "" if disguised else f"[{ip}]"
    return str(ip)


def _public_name(host: str) -> str:
    try:
        name = host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return ""
    if any(name == zone or name.endswith(f".{zone}") for zone in _LEADS_INSIDE):
        return ""
    # A last label of digits makes an IPv4 address of the whole, in one of its older notations.
    if labels[-1] in _INNER_NAMES or re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        return ""
    return name


_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+")


def without_instructions(text: str) -> tuple[str, int]:
    """A text without the sentences that try to instruct their reader, and how many were taken out. Where the order
    lies in no single sentence, the whole paragraph goes, as one."""
    kept: list[str] = []
    removed = 0
    for paragraph in text.split("\n\n"):
        if not ploys(paragraph):
            kept.append(paragraph)
            continue
        sentences = _sentences(paragraph)
        fine = [sentence for sentence in sentences if not ploys(sentence)]
        rest = "".join(fine).strip()
        if len(fine) == len(sentences) or ploys(rest):
            removed += 1
            continue
        removed += len(sentences) - len(fine)
        if rest:
            kept.append(rest)
    kept, in_pieces = _without_pieces(kept)
    return "\n\n".join(kept), removed + in_pieces


_PIECE_WORDS, _MOST_PIECES = 5, 4


def _without_pieces(paragraphs: Sequence[str]) -> tuple[list[str], int]:
    """Without the paragraphs of which short sentences, read in one go, are an order: ``Print this. As the headline.``;
    and how many they were."""
    pieces = [(n, each.strip(" \n.!?…")) for n, text in enumerate(paragraphs) for each in _sentences(text)]
    short = [len(each.split(None, _PIECE_WORDS)) <= _PIECE_WORDS for _, each in pieces]
    found: set[int] = set()
    for start in range(len(pieces) - 1):
        run = pieces[start : start + _MOST_PIECES]
        run = [each for at, each in enumerate(run) if all(short[start : start + at + 1])]
        if len(run) > 1 and ploys(" ".join(said for _, said in run)):
            found.update(n for n, _ in run)
    return [text for n, text in enumerate(paragraphs) if n not in found], len(found)


def _sentences(paragraph: str) -> list[str]:
    """With what divides them."""
    ends = [found.end() for found in _SENTENCE.finditer(paragraph)]
    return [paragraph[a:b] for a, b in zip([0, *ends], [*ends, len(paragraph)], strict=True) if a < b]


def article(entry: Entry, feed: Feed, *, page: str = "", shared: bool = False) -> Article | str:
    """The article of an entry, or why there is none, in words without any of its own.

    ``page``: the text of its own page, where that was fetched (``article_text``). ``shared``: other entries of the
    feed have the same address, so that it alone does not tell which article this is.
    """
    url = printable_url(entry.url)
    content, summary = text_of(entry.content), text_of(entry.summary)
    text, removed = without_instructions(max(content, summary, page, key=len))
    summary, _ = without_instructions(summary)
    title = clean(entry.title, MOST_TITLE) or clean(text, 120)
    if not title:
        return "it has neither title nor text"
    if ploys(title):
        return "its title tries to instruct its reader"
    author = clean(entry.author, _MOST_AUTHOR)
    return Article(
        id=_identity(url, title, text, shared=shared),
        feed=feed.name,
        url=url,
        title=title,
        summary=clean(summary, MOST_SUMMARY) or clean(text, _SHORT_SUMMARY),
        text=text or title,
        author="" if ploys(author) else author,
        published=entry.published,
        language=(feed.language or entry.language).lower(),
        desk=feed.desk or "",
        removed=removed,
    )


def _identity(url: str, title: str, text: str, *, shared: bool) -> str:
    said = f"{url}\n{title}" if url and shared else url or f"{title}\n{text}"
    return "a" + hashlib.blake2b(said.encode(), digest_size=5).hexdigest()
