"""Setting: what an edition becomes, and that nothing of what others wrote becomes anything but text."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import feedparser
import html5lib
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pydantic import BaseModel

from app.newspaper.edition import Chart, Credit, Edition, Figure, Page, Piece, Point
from app.newspaper.material import Claim
from app.newspaper.setting import wording
from app.newspaper.setting.atom import atom
from app.newspaper.setting.bundle import Bundle, bundle
from app.newspaper.setting.charts import WIDTH, labels, svg, ticks
from app.newspaper.setting.html import index_page
from app.newspaper.setting.listed import listed, newest_first
from app.newspaper.setting.markdown import escaped
from app.newspaper.setting.text import cleaned, href, plain
from tests.unit import sample_editions as sample

EDITIONS = {
    "daily": sample.daily(),
    "specimen": sample.daily(specimen=True),
    "bulletin": sample.bulletin(),
    "weekly": sample.weekly(),
    "growth": sample.growth(),
    "empty": Edition(paper="p", title="T", language="en", kind="daily", date=sample.DATE),
}
HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</style><style>*{display:none}</style></title><base href=//evil.example>",
    "]]>--><!--<svg onload=alert(1)><desc></desc></svg>",
    "javascript:alert(1)//http://evil.example",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example> www.evil.example a@b.example",
    "# heading\n\n- list\n\n> quote\n\n```\ncode\n```\n| a | b |\n|---|---|\n***\n===\n1. one\n[x]: http://evil.example",
    "===",
    "- 1. + a",
    "1) one",
    "&lt;b&gt; &#60;i&#62; &amp;amp; {{ 7 * 7 }} {% raw %} ${7*7} %s {0}",
    "\u202eevil\u2066\u200f \x00\x0b\x1b[2J\x7f\x85\ufffe\ufdd0\U0001ffff\U000e0041\ud800 text",
    "W" * 300,
    "a\u0301\u0302\u0303" * 40,
    'x" style="position:fixed" onclick="alert(1)" class="',
)
_FIXED = {"kind", "form", "state", "importance"}


def _filled(value: Any, text: str, name: str = "") -> Any:
    """The same with ``text`` in every place where text is free."""
    if isinstance(value, BaseModel):
        return value.model_copy(
            update={field: _filled(getattr(value, field), text, field) for field in type(value).model_fields}
        )
    if isinstance(value, tuple):
        return tuple(_filled(one, text, name) for one in value)
    return text if isinstance(value, str) and name not in _FIXED else value


def _set(edition: Edition) -> Bundle:
    return bundle(edition, sample.paper(), [])


def _parsed(page: str | bytes) -> ElementTree.Element:
    """Strictly: what is no valid HTML raises."""
    text = page if isinstance(page, str) else page.decode()
    tree: ElementTree.Element = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    return tree


def _skeleton(page: str | bytes) -> list[tuple[str, tuple[str, ...]]]:
    """Elements and their attributes; but for a chart's labels, of which short ones fit in more often."""
    return [
        (str(element.tag), tuple(sorted(map(str, element.attrib))))
        for element in _parsed(page).iter()
        if not str(element.tag).endswith("svg}text")
    ]


def _text(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


@pytest.mark.parametrize("name", EDITIONS)
def test_every_page_is_valid_and_fetches_and_runs_nothing(name: str) -> None:
    made = _set(EDITIONS[name])
    for page in (made.files["index.html"], made.front["index.html"], made.letter.html):
        tree = _parsed(page)
        tags = {str(element.tag) for element in tree.iter()}
        assert not tags & {"script", "img", "iframe", "object", "embed", "form", "input", "audio", "video", "base"}
        ids = [element.get("id") for element in tree.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        for element in tree.iter():
            assert not [key for key in element.attrib if str(key).startswith("on")]
            target = element.get("href")
            if target is not None and target.startswith("#"):
                assert target[1:] in ids
            elif element.tag == "a" and target is not None and "//" in target:
                assert target.startswith(("https://", "http://"))
                assert page is made.letter.html or element.get("rel") == "noopener noreferrer nofollow ugc"
            for key in ("aria-labelledby", "aria-describedby"):
                assert set((element.get(key) or "").split()) <= set(ids)


@pytest.mark.parametrize("name", EDITIONS)
def test_the_policy_allows_the_one_style_sheet_and_no_other(name: str) -> None:
    made = _set(EDITIONS[name])
    for page in (made.files["index.html"], made.front["index.html"]):
        tree = _parsed(page)
        (style,) = tree.iter("style")
        digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
        metas = {
            meta.get("http-equiv") or meta.get("name") or "": meta.get("content") or "" for meta in tree.iter("meta")
        }
        assert metas["Content-Security-Policy"] == (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
        )
        assert metas["referrer"] == "no-referrer"
        assert not [element for element in tree.iter() if element.get("style")]
        assert not re.search(r"url\(|@import|expression", style.text or "")


@pytest.mark.parametrize("name", EDITIONS)
def test_one_heading_of_the_first_rank_and_no_rank_skipped(name: str) -> None:
    made = _set(EDITIONS[name])
    for page in (made.files["index.html"], made.front["index.html"]):
        ranks = [int(e.tag[1]) for e in _parsed(page).iter() if re.fullmatch("h[1-6]", str(e.tag))]
        assert ranks[0] == 1 and ranks.count(1) == 1
        assert all(rank <= before + 1 for before, rank in pairwise(ranks))


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("name", ["daily", "bulletin", "growth"])
def test_hostile_text_stays_text_in_every_place(name: str, hostile: str) -> None:
    """Of two editions, one of words and one of attacks, the pages have the same elements and the same attributes."""
    bad, good = _set(_filled(EDITIONS[name], hostile)), _set(_filled(EDITIONS[name], "word"))
    assert _skeleton(bad.files["index.html"]) == _skeleton(good.files["index.html"])
    assert _skeleton(bad.front["index.html"]) == _skeleton(good.front["index.html"])
    assert _skeleton(bad.letter.html) == _skeleton(good.letter.html)
    assert _tokens(bad.files["edition.md"]) == _tokens(good.files["edition.md"])
    assert [e.tag for e in ElementTree.fromstring(bad.front["atom.xml"]).iter()] == [
        e.tag for e in ElementTree.fromstring(good.front["atom.xml"]).iter()
    ]
    page = bad.files["index.html"].decode()
    assert "javascript:" not in "".join(e.get("href") or "" for e in _parsed(page).iter())
    for said in (page, bad.letter.text, bad.letter.subject, bad.letter.html, bad.files["edition.md"].decode()):
        assert not re.search(
            "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0001-\U000e007f]", said
        )
    assert "\n" not in bad.letter.subject
    if hostile.startswith("&lt;"):
        assert "{{ 7 * 7 }}" in page and "&amp;lt;b&amp;gt;" in page
    assert Edition.model_validate_json(bad.files["edition.json"]) == cleaned(_filled(EDITIONS[name], hostile))


def _tokens(markdown: bytes) -> list[tuple[str, str]]:
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown.decode())
    flat = [token for block in tokens for token in (block, *(block.children or ()))]
    return [(token.type, token.tag) for token in flat if token.type not in ("text", "text_special")]


@given(st.text(max_size=80))
@example("a\n# b")
def test_escaped_markdown_is_the_text_itself(text: str) -> None:
    text = plain(text)
    for before in ("", "- ", "1. ", "> ", "# "):
        inlines = [token for token in MarkdownIt("commonmark").parse(before + escaped(text)) if token.type == "inline"]
        children = [child for inline in inlines for child in inline.children or ()]
        assert {child.type for child in children} <= {"text", "text_special"}
        assert "".join(child.content for child in children).replace("\u2060", "") == text


def test_what_dialects_link_of_themselves_is_broken() -> None:
    for text in ("https://evil.example", "see www.evil.example", "a@evil.example", "mailto:a@evil.example"):
        assert not re.search(r"://\w|www\.\w|@\w|mailto:\w", escaped(text))


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://a.example/b?c=d&e=f#g", "https://a.example/b?c=d&e=f#g"),
        ("HTTP://A.Example", "http://a.example"),
        ("https://a.example?x", "https://a.example?x"),
        ('https://a.example:8443/ä "x', ""),
        ("https://a.example:8443/ä\"x'<>", "https://a.example:8443/%C3%A4%22x'%3C%3E"),
        ("https://münchen.example/100%", "https://xn--mnchen-3ya.example/100%25"),
        ("https://[2001:db8::1]/x[1]", "https://[2001:db8::1]/x%5B1%5D"),
        ("javascript:alert(1)", ""),
        ("javascript://a.example/%0aalert(1)", ""),
        ("file://a.example/x", ""),
        ("\x01javascript:alert(1)", ""),
        ("java\nscript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("file:///etc/passwd", ""),
        ("//a.example", ""),
        ("https:///path", ""),
        ("https://user:secret@a.example/", ""),
        ("https://a.example\\@evil.example/", ""),
        ("https://a.example:99999/", ""),
        ("https://[::1", ""),
        ("https://a..example/", ""),
        ("https://a.example/" + "x" * 2_000, ""),
        ("mailto:a@a.example", ""),
        ("", ""),
    ],
)
def test_addresses_of_others(url: str, link: str) -> None:
    assert href(url) == link


@given(st.text(max_size=60))
def test_an_address_is_http_and_ascii_or_nothing(tail: str) -> None:
    for url in (tail, f"https://{tail}", f"https://a.example/{tail}"):
        safe = href(url)
        assert not safe or re.fullmatch(r"https?://[^\s\"<>\\^`{|}\x00-\x20\x7f-\U0010ffff]+", safe)
        assert href(safe) == safe


def test_a_sentence_names_its_sources_and_the_lead_its_stories() -> None:
    tree = _parsed(_set(EDITIONS["daily"]).files["index.html"])
    by_id = {element.get("id"): element for element in tree.iter() if element.get("id")}
    marks = [
        (e.get("href") or "", e.get("aria-label") or "", e.text)
        for e in by_id["d1-a1"].iter("a")
        if e.get("aria-label")
    ]
    assert marks[0] == ("#d1-a1-s1", "Source 1: The Tidewater Post", "1")
    assert ("#d1-a1-s2", "Source 2: Northern Wire", "2") in marks
    assert "Ferries rerouted" in _text(by_id["d1-a1-s2"])
    lead = next(e for e in tree.iter("section") if e.get("aria-labelledby") == "lead-t")
    told = [(e.get("href"), e.get("aria-label")) for e in lead.iter("a") if e.get("aria-label")]
    assert told[0] == ("#d1-a1", f"Story 1: {sample.NARRATIVE and EDITIONS['daily'].pages[0].pieces[0].headline}")
    assert told[-1][0] == "#d4-a1"


def test_citations_of_what_is_not_printed_leave_no_mark() -> None:
    piece = sample.daily().pages[0].pieces[0]
    odd = piece.model_copy(
        update={"sentences": (piece.sentences[0].model_copy(update={"cites": ("9.1", "", ".", "x.1")}),)}
    )
    edition = sample.daily(pages=(sample.daily().pages[0].model_copy(update={"pieces": (odd,)}),))
    tree = _parsed(_set(edition).files["index.html"])
    article = next(tree.iter("article"))
    assert not list(article.iter("sup"))
    lead = next(e for e in tree.iter("section") if e.get("aria-labelledby") == "lead-t")
    assert {e.get("href") for e in lead.iter("a")} == {"#d1-a1"}


def test_what_a_reader_must_know_is_said_everywhere() -> None:
    made = _set(sample.daily(specimen=True, late=True, run=3))
    page = _text(_parsed(made.files["index.html"]))
    for said in (page, made.files["edition.md"].decode(), made.letter.html):
        assert "simulated models" in said and "Late edition" in said and "Reprint 3" in said
    assert "simulated models" in " ".join(made.letter.text.split())
    assert made.letter.subject.startswith(
        "[Specimen] [Late edition] [Reprint 3] The Harbour Lantern, Friday, 20 November"
    )
    assert "Specimen" in _text(_parsed(made.front["index.html"]))
    assert "[Specimen]" in made.front["atom.xml"].decode()
    for said in (page, made.files["edition.md"].decode(), " ".join(made.letter.text.split()), made.letter.html):
        assert "In brief: the source’s own words" in said
        assert "a sentence could not be supported by its source" in said
    assert "Opinion Leave the night boat alone" in page


def test_a_bulletin_is_headlines_and_where_they_were_found() -> None:
    tree = _parsed(_set(EDITIONS["bulletin"]).files["index.html"])
    assert not list(tree.iter("article"))
    lines = [_text(li) for ul in tree.iter("div") if ul.get("class") == "headlines" for li in ul.iter("li")]
    assert len(lines) == 14
    assert "Three republics agree on one gauge for the Kestrel line Northern Wire wire.example" in lines


def test_the_colophon_says_who_did_what_and_what_was_dropped() -> None:
    tree = _parsed(_set(EDITIONS["daily"]).files["index.html"])
    said = _text(next(e for e in tree.iter("section") if e.get("id") == "colophon"))
    assert (
        "180 calls, 412 votes, 456,111 tokens read and 25,125 written, $0.12, and 40 calls whose price is unknown."
        in said
    )
    assert "Begun2026-11-20 05:00 CET" in said and "Due2026-11-20 06:00 CET" in said
    for dropped in sample.COLOPHON.dropped:
        assert dropped.what in said and dropped.why in said and dropped.job in said
    for feed in sample.COLOPHON.feeds:
        assert feed.feed in said and feed.said in said
    for hand in sample.COLOPHON.hands:
        assert hand.deployment in said
    assert "rate limit" in said
    tables = list(tree.iter("table"))
    assert tables and all(table.find("caption") is not None for table in tables)
    assert all(cell.get("scope") in ("row", "col") for cell in tree.iter("th"))


def test_a_paper_in_another_language_marks_what_is_english() -> None:
    made = _set(sample.daily(language="fa"))
    tree = _parsed(made.files["index.html"])
    root = tree if tree.tag == "html" else next(tree.iter("html"))
    assert (root.get("lang"), root.get("dir")) == ("fa", "rtl")
    colophon = next(e for e in tree.iter("section") if e.get("id") == "colophon")
    assert (colophon.get("lang"), colophon.get("dir")) == ("en", "ltr")
    assert "2026-11-20" in _text(tree) and "Friday" not in _text(tree)


def test_the_same_edition_is_the_same_bytes_in_any_process() -> None:
    script = (
        "import hashlib; from tests.unit import sample_editions as s; from app.newspaper.setting.bundle import bundle;"
        "b = [bundle(e, s.paper(), []) for e in (s.daily(), s.weekly(), s.growth(), s.bulletin())];"
        "made = repr([(dict(x.files), dict(x.front), x.letter, x.digest) for x in b]);"
        "print(hashlib.sha256(made.encode()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    made = _set(EDITIONS["daily"])
    assert made.digest == hashlib.sha256(made.files["edition.json"]).hexdigest()
    assert Edition.model_validate(json.loads(made.files["edition.json"])) == EDITIONS["daily"]


def test_a_story_of_the_week_leads_to_the_edition_in_which_it_stands() -> None:
    url = "https://lantern.example/paper/2026-11-19/index.html"
    credits = (Credit(name="The Harbour Lantern", title="Edition of 2026-11-19", url=url),)
    pages = (Page(desk="town", title="Town", pieces=(Piece(id="a1", form="headline", headline="H", credits=credits),)),)
    tree = _parsed(_set(sample.daily(kind="weekly", pages=pages)).files["index.html"])
    assert (url, "Edition of 2026-11-19") in [(e.get("href"), _text(e)) for e in tree.iter("a")]
    assert "Who wrote and checked what" not in _text(tree)


def test_the_paper_says_which_formats_are_made() -> None:
    paper = sample.paper(publish={"formats": ("html",)})
    made = bundle(EDITIONS["daily"], paper, [])
    assert set(made.files) == {"index.html", "edition.json"} and set(made.front) == {"index.html"}
    page = made.files["index.html"].decode()
    assert "edition.md" not in page and "atom.xml" not in page and "edition.pdf" not in page
    assert "Read it as a page" not in made.letter.html
    printed = bundle(EDITIONS["daily"], sample.paper(publish={"formats": ("html", "pdf")}), [])
    assert 'href="edition.pdf"' in printed.files["index.html"].decode()


# The index and the feed


def test_the_index_lists_the_newest_first_by_month_and_a_reprint_in_place_of_its_first() -> None:
    days = [dt.date(2026, 10, 31), dt.date(2026, 11, 19), dt.date(2026, 11, 1)]
    earlier = [listed(sample.daily(date=day)) for day in days] + [listed(sample.daily())]
    editions = newest_first(tuple(earlier), listed(sample.daily(run=2)), None)
    assert [one.name for one in editions] == ["2026-11-20", "2026-11-19", "2026-11-01", "2026-10-31"]
    assert editions[0].flags == ("Reprint 2",)
    assert newest_first(tuple(editions), listed(sample.daily()), 2) == editions[:2]
    tree = _parsed(index_page(sample.paper(), editions))
    assert [_text(h) for h in tree.iter("h2")] == ["November 2026", "October 2026"]
    links = [a.get("href") for h in tree.iter("h3") for a in h.iter("a")]
    assert links == [f"{one.name}/index.html" for one in editions]


def test_listed_of_a_bulletin_and_of_nothing() -> None:
    one = listed(EDITIONS["bulletin"])
    assert one.headline.startswith("Marrow Sound") and one.summary.startswith("Three republics")
    assert one.flags == ("Bulletin", "Late edition")
    assert listed(EDITIONS["empty"]).headline == "Nothing was printed"


@pytest.mark.parametrize(
    ("kind", "feeds", "said"),
    [
        ("weekly", (), "there was no daily edition from 13 November to 19 November 2026."),
        ("daily", ("failed", "failed"), "none of the feeds could be read."),
        ("daily", ("failed", "read"), "there was nothing new in the feeds."),
    ],
)
def test_an_edition_with_nothing_in_it_says_why_wherever_it_is_read(
    kind: str, feeds: tuple[str, ...], said: str
) -> None:
    reports = tuple({"feed": f"F{n}", "state": state, "articles": 0, "said": ""} for n, state in enumerate(feeds))
    edition = Edition.model_validate(
        {
            "paper": "p",
            "title": "T",
            "language": "en",
            "kind": kind,
            "date": "2026-11-20",
            "colophon": {"feeds": reports},
        }
    )
    made = bundle(edition, sample.paper(), ())
    set_ = [made.files[name].decode() for name in ("index.html", "edition.md")]
    for text in (*set_, made.letter.text, made.letter.html):
        assert f"Nothing was printed: {said}" in " ".join(text.split())
    assert not any(wording.nothing(each) for name, each in EDITIONS.items() if name != "empty")


_ATOM = "{http://www.w3.org/2005/Atom}"


def _check_atom(document: bytes) -> list[ElementTree.Element]:
    """RFC 4287: 4.1.1 and 4.1.2 (what must stand once), 3.3 (dates), 4.2.6 (ids), 4.2.7 (links)."""
    feed = ElementTree.fromstring(document)
    entries = feed.findall(f"{_ATOM}entry")
    assert feed.tag == f"{_ATOM}feed" and feed.find(f"{_ATOM}author/{_ATOM}name") is not None
    for one in (feed, *entries):
        for name in ("id", "title", "updated"):
            assert len(one.findall(_ATOM + name)) == 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one.findtext(f"{_ATOM}updated") or "")
        assert re.fullmatch(r"tag:[a-z0-9.-]+,\d{4}:[a-z0-9/-]+", one.findtext(f"{_ATOM}id") or "")
        alternates = [link for link in one.findall(f"{_ATOM}link") if link.get("rel") == "alternate"]
        assert len(alternates) == 1
        assert len(one.findall(f"{_ATOM}summary")) <= 1
    ids = [one.findtext(f"{_ATOM}id") for one in (feed, *entries)]
    assert len(ids) == len(set(ids))
    parsed = feedparser.parse(document)
    assert not parsed.bozo, parsed.get("bozo_exception")
    assert parsed.version == "atom10" and len(parsed.entries) == len(entries)
    return entries


def test_the_feed_is_valid_and_its_links_are_absolute_where_the_paper_says_where_it_is() -> None:
    made = bundle(EDITIONS["daily"], sample.paper(), [listed(EDITIONS["weekly"]), listed(EDITIONS["growth"])])
    entries = _check_atom(made.front["atom.xml"])
    assert [entry.findtext(f"{_ATOM}id") for entry in entries] == [
        f"tag:lantern.example,2026:lantern/2026-11-20{kind}" for kind in ("-weekly", "-growth", "")
    ]
    links = [link.get("href") or "" for link in ElementTree.fromstring(made.front["atom.xml"]).iter(f"{_ATOM}link")]
    assert all(link.startswith("https://lantern.example/paper/") for link in links)
    assert "https://lantern.example/paper/2026-11-20/index.html" in links
    bare = bundle(EDITIONS["daily"], sample.paper(publish={}), [])
    (entry,) = _check_atom(bare.front["atom.xml"])
    link = entry.find(f"{_ATOM}link")
    assert link is not None and link.get("href") == "2026-11-20/index.html"


def test_a_reprint_keeps_its_id_and_is_newer() -> None:
    later = sample.COLOPHON.model_copy(update={"made_at": dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)})
    first = _check_atom(_set(sample.daily()).front["atom.xml"])[0]
    second = _check_atom(_set(sample.daily(run=2, colophon=later)).front["atom.xml"])[0]
    assert first.findtext(f"{_ATOM}id") == second.findtext(f"{_ATOM}id")
    assert (first.findtext(f"{_ATOM}updated") or "") < (second.findtext(f"{_ATOM}updated") or "")


def test_a_feed_of_no_editions_is_a_feed() -> None:
    assert _check_atom(atom(sample.paper(), ())) == []


# The letter


@pytest.mark.parametrize("name", EDITIONS)
def test_the_letter_is_wrapped_and_breaks_no_address(name: str) -> None:
    made = _set(EDITIONS[name])
    for line in made.letter.text.splitlines():
        assert len(line) <= 72 or line.strip().startswith("http")
    for page in EDITIONS[name].pages:
        for piece in page.pieces:
            for credit in piece.credits:
                assert credit.url in made.letter.text
    tags = {str(element.tag) for element in _parsed(made.letter.html).iter()}
    assert not tags & {"link", "style"}
    assert len(made.letter.subject) <= 150


# Charts


def _chart(form: str, points: list[tuple[str, float]], **more: str) -> Chart:
    return Chart.model_validate(
        {"id": "c", "title": "T", "form": form, "points": [Point(at=at, value=value) for at, value in points], **more}
    )


_DATES = st.integers(1, 60).flatmap(
    lambda n: st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=n, max_size=n).map(
        lambda values: [(str(dt.date(2026, 1, 1) + dt.timedelta(days=d)), value) for d, value in enumerate(values)]
    )
)
_NAMES = st.lists(st.tuples(st.text(max_size=40), st.floats()), max_size=60)


@given(st.sampled_from(["line", "bars"]), _DATES | _NAMES, st.text(max_size=40))
@example("line", [("2026-01-01", 1.7e308), ("2026-01-02", -1.7e308)], "")
@example("bars", [("2026-01-01", 5e-324)], "")
@example("line", [("2026-01-01", 1.0), ("2026-01-02", 1.0000000000000002)], "x")
@example("bars", [("a", -1e300), ("b", 1e300)], "x")
@example("line", [], "")
@example("bars", [("2026-01-01", 100.0), ("2026-01-02", 98.0)], "")
@example("bars", [("2026-01-01", -100.0), ("2026-01-02", -98.0)], "")
def test_a_chart_is_wellformed_and_within_its_frame(form: str, points: list[tuple[str, float]], unit: str) -> None:
    drawn = ElementTree.fromstring(svg(_chart(form, points, unit=unit), "c1"))
    _, _, width, height = map(float, (drawn.get("viewBox") or "").split())
    assert width == WIDTH and drawn.get("role") == "img"
    ids = {element.get("id") for element in drawn.iter()} - {None}
    assert set((drawn.get("aria-labelledby") or "").split()) == ids
    for element in drawn.iter():
        assert not {"style", "class", "href"} & set(element.attrib)
        assert element.get("fill") in (None, "none", "currentColor")
        for names, most in ((("x", "x1", "x2", "cx"), width), (("y", "y1", "y2", "cy"), height)):
            assert all(0 <= float(element.get(name) or 0) <= most for name in names)
        for pair in (element.get("points") or "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= width and 0 <= y <= height
        if element.tag.endswith("rect"):
            assert float(element.get("x") or 0) + float(element.get("width") or 0) <= width + 0.01
            assert float(element.get("y") or 0) + float(element.get("height") or 0) <= height + 0.01


@given(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_axes_have_few_marks_around_all_values_and_no_two_alike(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    if high - low < 1e-290 or (high - low) < abs(high) * 1e-12:
        return
    marks = ticks(low, high)
    assert 3 <= len(marks) <= 8 and marks[0] <= low and marks[-1] >= high
    assert len(set(labels(marks))) == len(marks)


def _bars(chart: Chart) -> list[tuple[float, float]]:
    """(y, height) of each bar."""
    drawn = ElementTree.fromstring(svg(chart))
    return [(float(e.get("y") or 0), float(e.get("height") or 0)) for e in drawn.iter() if e.tag.endswith("rect")]


def test_bars_begin_at_zero_and_are_as_long_as_they_say() -> None:
    days = [("2026-01-01", 100.0), ("2026-01-02", 98.0), ("2026-01-03", 50.0)]
    (_, full), (_, almost), (_, half) = _bars(_chart("bars", days))
    assert half == pytest.approx(full / 2, abs=0.02) and almost == pytest.approx(full * 0.98, abs=0.02)
    (up, _), (down, depth) = _bars(_chart("bars", [("2026-01-01", 5.0), ("2026-01-02", -5.0)]))
    assert up < down and depth > 0


def test_a_line_that_does_not_begin_at_zero_says_so() -> None:
    near = svg(_chart("line", [("2026-01-01", 99.0), ("2026-01-02", 100.0)], unit="items"))
    assert "items, not from zero" in near
    assert "not from zero" not in svg(_chart("line", [("2026-01-01", 1.0), ("2026-01-02", 100.0)], unit="items"))


@pytest.mark.parametrize("count", [1, 2, 7, 14, 30, 60])
def test_names_below_do_not_touch_and_the_last_is_there(count: int) -> None:
    days = [(str(dt.date(2026, 10, 1) + dt.timedelta(days=n)), float(n)) for n in range(count)]
    drawn = ElementTree.fromstring(svg(_chart("bars", days)))
    names = [e for e in drawn.iter() if e.tag.endswith("text") and re.fullmatch(r"\d+ [A-Z][a-z]{2}", e.text or "")]
    spans = [
        (float(e.get("x") or 0) - len(e.text or "") * 3, float(e.get("x") or 0) + len(e.text or "") * 3) for e in names
    ]
    assert all(end < start for (_, end), (start, _) in pairwise(spans))
    last = dt.date.fromisoformat(days[-1][0])
    assert names[-1].text == f"{last.day} {wording.MONTHS[last.month - 1][:3]}"


# Words


@pytest.mark.parametrize(
    ("shown", "value", "before", "said"),
    [
        ("48,213", 48213, 44870, "44,870"),
        ("87.4 %", 0.874, 0.861, "86.1 %"),
        ("$3.41", 3.4127, 1204.5, "$1,204.50"),
        ("512 ms", 512, 498, "498 ms"),
        ("-12", -12, 3, "3"),
        ("3", 3, -12, "-12"),
        ("1.2M", 1_204_000, 980_000, "1.0M"),
        ("about a dozen", 12, 11.5, "11.5"),
    ],
)
def test_the_figure_before_is_shown_as_this_one_is(shown: str, value: float, before: float, said: str) -> None:
    assert wording.before(Figure(id="f", name="F", value=value, shown=shown, before=before)) == said


def test_an_edition_has_a_number_within_its_year_whatever_was_made_before() -> None:
    assert wording.number_of("daily", dt.date(2026, 11, 20)) == "No. 324 of 2026"
    assert wording.number_of("weekly", dt.date(2027, 1, 1)) == "Week 53 of 2026"


@pytest.mark.parametrize(
    ("usd", "said"),
    [(0, "$0.00"), (0.1162, "$0.12"), (1234.5, "$1,234.50"), (0.000421, "$0.000421"), (None, "unknown")],
)
def test_money(usd: float | None, said: str) -> None:
    assert wording.money(usd) == said


@given(st.integers(0, 40))
def test_paragraphs_keep_every_sentence_in_order(count: int) -> None:
    claims = [sample.NARRATIVE.sentences[0].model_copy(update={"text": str(n)}) for n in range(count)]
    parts = wording.paragraphs(claims)
    assert [claim for part in parts for claim in part] == claims
    assert all(1 <= len(part) <= 4 for part in parts)


@given(st.integers(2, 20))
def test_a_paragraph_does_not_tear_apart_what_is_said_of_one_source(stories: int) -> None:
    claims = [Claim(text=f"{n}.{m}", cites=(f"a{n}.{m}",)) for n in range(stories) for m in (1, 2)]
    parts = wording.paragraphs(claims)
    assert [claim for part in parts for claim in part] == claims
    assert all(len(part) in (2, 4) for part in parts)


def test_wrapped_text_of_a_piece_without_anything_else() -> None:
    piece = Piece(id="a1", form="headline", headline="Only a headline", credits=())
    edition = sample.daily(pages=(sample.daily().pages[0].model_copy(update={"pieces": (piece,)}),), narrative=None)
    made = _set(edition)
    assert "* Only a headline" in made.letter.text
    assert "Only a headline" in textwrap.dedent(made.files["edition.md"].decode())
