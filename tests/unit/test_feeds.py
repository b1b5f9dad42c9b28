"""Feeds into entries: 75 real and broken ones, and whatever else bytes can be."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import time
from pathlib import Path

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.newspaper.feeds import MOST_ENTRIES, Entry, FeedRead, read_feed

_SHARED = Path(os.environ.get("SWITCHYARD_SHARED_DATA", "../shared/data")) / "news" / "feeds"
FILES = sorted(path for path in _SHARED.glob("*") if path.suffix in (".xml", ".atom")) if _SHARED.is_dir() else []

RSS = (
    '<rss version="2.0"><channel><title>F</title><language>en-GB</language><item><title>One</title>'
    "<link>/one</link><description>&lt;p&gt;It rained.&lt;/p&gt;</description><author>Ann</author>"
    "<pubDate>Thu, 19 Nov 2026 05:00:00 +0100</pubDate></item></channel></rss>"
)


def only(read: FeedRead) -> Entry:
    (entry,) = read.entries
    return entry


@pytest.mark.skipif(not FILES, reason="the shared feed files are not there")
def test_the_shared_feed_files_are_all_there() -> None:
    assert len(FILES) == 75


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_real_feed_loses_no_entry_and_each_fault_is_a_line(path: Path) -> None:
    raw = path.read_bytes()
    read = read_feed(raw, {})
    alone = feedparser.parse(io.BytesIO(raw))
    assert len(read.entries) == len(alone.entries)
    dates = [entry.get("published_parsed") or entry.get("updated_parsed") for entry in alone.entries]
    assert [entry.published is not None for entry in read.entries] == [date is not None for date in dates]
    titles = [entry.get("title", "") for entry in alone.entries]
    assert [entry.title for entry in read.entries] == titles
    for fault in read.faults:
        assert fault.isprintable()
        assert len(fault) < 120
        assert not any(title and title in fault for title in titles)


def test_an_entry_of_each_format() -> None:
    at = dt.datetime(2026, 11, 19, 4, tzinfo=dt.UTC)
    atom = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><entry><title>One</title><link href="/one"/>'
        '<summary type="html">&lt;p&gt;It rained.&lt;/p&gt;</summary><author><name>Ann</name></author>'
        "<updated>2026-11-19T05:00:00+01:00</updated></entry></feed>"
    )
    item = {
        "title": "One",
        "url": "https://f.example/one",
        "summary": "It <rained>.",
        "content_html": "<p>It rained.</p>",
    }
    item |= {"date_published": "2026-11-19T05:00:00+01:00"}
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "language": "en",
        "authors": [{"name": "Ann"}],
        "items": [item],
    }
    where = {"Content-Location": "https://f.example/feed"}
    for raw in (RSS, atom):
        read = read_feed(raw.encode(), where)
        assert read.faults == ()
        assert only(read) == Entry("One", "https://f.example/one", "<p>It rained.</p>", "", "Ann", at, "en")
    read = read_feed(json.dumps(feed).encode(), {})
    assert read.faults == ()
    assert only(read) == Entry(
        "One", "https://f.example/one", "It &lt;rained&gt;.", "<p>It rained.</p>", "Ann", at, "en"
    )


@pytest.mark.parametrize("date", ["Thu, 19 Nov 0001 05:00:00 GMT", "9999-12-31T23:59:59Z", "1969-01-01", "soon", ""])
def test_a_date_of_no_time_of_ours_is_none(date: str) -> None:
    assert only(read_feed(RSS.replace("Thu, 19 Nov 2026 05:00:00 +0100", date).encode(), {})).published is None


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page, not a feed"),
        (b"{}", "JSON, but no JSON feed: it has no items"),
        (b"{", "no well-formed JSON"),
        (b"[" * 100_000, "neither RSS nor Atom"),
        (b'{"items":' + b"[" * 100_000, "no well-formed JSON"),
    ],
)
def test_what_is_no_feed_is_said_to_be_none(raw: bytes, fault: str) -> None:
    read = read_feed(raw, {})
    assert not read.known
    assert read.faults[-1] == fault


def test_a_body_that_is_a_path_is_not_opened(tmp_path: Path) -> None:
    inner = tmp_path / "feed.xml"
    inner.write_text(RSS)
    assert read_feed(str(inner).encode(), {}).entries == ()


def test_text_xml_without_a_charset_is_what_its_declaration_says() -> None:
    raw = ('<?xml version="1.0" encoding="iso-8859-1"?>' + RSS.replace("One", "Año")).encode("iso-8859-1")
    for headers in ({}, {"content-type": "text/xml"}, {"content-type": "text/html; charset=iso-8859-1"}):
        read = read_feed(raw, headers)
        assert (only(read).title, read.faults) == ("Año", ())
    wrong = read_feed(RSS.replace("One", "Año").encode(), {"content-type": "text/xml; charset=us-ascii"})
    assert (only(wrong).title, wrong.faults) == ("Año", ("its character encoding is not the one it is served with",))


def test_a_feed_cut_off_or_ill_formed_is_read_as_far_as_it_goes() -> None:
    cut = RSS[: RSS.index("<author>")]
    read = read_feed(cut.encode(), {})
    assert only(read).title == "One"
    assert read.faults == ("no well-formed XML: read as far as it can be",)
    assert only(read_feed(RSS.replace("It rained", "It rained &nbsp; & <br> poured").encode(), {})).summary


@pytest.mark.parametrize("reference", ["&#0;", "&#xD800;", "&#99999999999;", "&#x110000;", "&#" + "9" * 5000 + ";"])
def test_references_to_no_character_cost_the_reference_alone(reference: str) -> None:
    assert only(read_feed(RSS.replace("One", f"On{reference}e").encode(), {})).title == "One"


_HEAD, _TAIL = b'<rss version="2.0"><channel><item><title>a</title>', b"</item></channel></rss>"


@pytest.mark.parametrize(
    "raw",
    [
        b"<rss><channel>" + b"<item><title>x</title></item>" * 100_000,
        b"<a>" * 1_000_000,
        b"<" * 2_000_000,
        b"<a " * 700_000,
        b"\n" * 2_000_000 + b"<!ENTITY",
        b"<!DOCTYPE " * 200_000,
        b"<!--" * 500_000,
        _HEAD + b"<author>" + b"a." * 1_000_000 + b"</author>" + _TAIL,
        _HEAD + b"<x " + b" ".join(b'a%d="1"' % n for n in range(150_000)) + b"/>" + _TAIL,
        _HEAD + b"<description>" + b"&#1" * 500_000 + b"</description>" + _TAIL,
        b'<rss xml:base="http://a/' + b"a/" * 3_000 + b'"><channel>' + b"<item><link>b</link></item>" * 1000 + _TAIL,
        b"x" * 20_000_000,
    ],
    ids=["entries", "depth", "brackets", "open tags", "newlines", "doctypes", "comments", "author", "attributes",
         "references", "base", "size"],
)  # fmt: skip
def test_no_feed_takes_more_than_its_size_allows(raw: bytes) -> None:
    began = time.process_time()
    read = read_feed(raw, {})
    assert time.process_time() - began < 4
    assert len(read.entries) <= MOST_ENTRIES


_PIECES = st.sampled_from([
    b"<rss>", b"<channel>", b"<item>", b"</item>", b"<title>", b"</title>", b"<link>",
    b"<feed xmlns='http://www.w3.org/2005/Atom'>",
    b"<entry>", b"<content type='xhtml'>", b"<div>", b"</div>", b"<content type='application/octet-stream'>",
    b"<!DOCTYPE x [",
    b"<!ENTITY a 'b'>", b"]>", b"&a;", b"&#x41;", b"<![CDATA[", b"]]>", b"<?xml version='1.0' encoding='utf-7'?>",
    b"<georss:point>",
    b"<pubDate>", b"1 2 3 4", b"<enclosure url='x'/>", b"<x:y>", b"<media:content>", b"<itunes:image href='a'/>",
    b"{", b'"items":[{',
])  # fmt: skip


@given(st.lists(st.one_of(_PIECES, st.binary(max_size=20))).map(b"".join))
def test_no_bytes_whatever_make_it_raise(raw: bytes) -> None:
    read = read_feed(raw, {"content-type": "application/xml; charset=zip"})
    assert all(fault.isprintable() for fault in read.faults)
    assert all(entry.published is None or entry.published.tzinfo == dt.UTC for entry in read.entries)
    assert read.known or not read.entries


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["items", "title", "url", "authors", "author", "name", "content_html", "date_published",
        "language", "version"]),
        inner, max_size=5,
    ),
)  # fmt: skip


@given(_JSON)
def test_no_json_whatever_makes_it_raise(document: object) -> None:
    read = read_feed(json.dumps(document).encode("utf-8", "replace"), {})
    assert all(isinstance(entry.title, str) and isinstance(entry.url, str) for entry in read.entries)
