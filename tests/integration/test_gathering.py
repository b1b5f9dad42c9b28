"""Gathering against a real server and a real ledger: every feed by itself, and always something to show."""

from __future__ import annotations

import datetime as dt
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import Engine, create_engine
from werkzeug import Request, Response

from app.fetch import Fetcher
from app.ledger import feed_answers
from app.ledger.feed_answers import PAGE
from app.newspaper.material import FeedReport
from app.newspaper.paper import Paper
from app.services.press.gathering import MOST_PAGES, Gathered, Gatherer, feed_fetcher

OPENED = dt.datetime(2026, 11, 20, 4, tzinfo=dt.UTC)
LONG = "The port was closed for two days by a storm, its authority said on Thursday morning. " * 10


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def httpserver() -> Iterator[HTTPServer]:
    """In place of the plugin's, which answers one after the other."""
    with HTTPServer(threaded=True) as server:
        yield server


def paper(*feeds: dict[str, Any], **more: Any) -> Paper:
    desk = {"name": "world", "title": "World", "description": "Everything."}
    return Paper.model_validate({"title": "T", "languages": ["en"], "desk": [desk], "feed": feeds, **more})


def item(n: int, text: str = LONG, at: dt.datetime = OPENED, link: str | None = None) -> str:
    link = link if link is not None else f"https://news.example/{n}"
    return (
        f"<item><title>Story {n}</title><link>{link}</link><description>{text} ({n})</description>"
        f"<pubDate>{at:%a, %d %b %Y %H:%M:%S} +0000</pubDate></item>"
    )


def rss(*items: str) -> str:
    return f'<rss version="2.0"><channel><title>F</title>{"".join(items)}</channel></rss>'


def fetcher(**more: Any) -> Fetcher:
    """As in the press room, but that loopback may be called; names of the tests lead there."""
    return Fetcher(
        allow_private=True, allow_http=True, redirects=5, max_bytes=200_000,
        **{"timeout_s": 5, "resolve": lambda host, port: ["127.0.0.1"], **more},
    )  # fmt: skip


def gathered(engine: Engine, of: Paper, base: Path = Path(), within_s: float = 60, **more: Any) -> Gathered:
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=within_s)
    return Gatherer(engine, fetcher(**more), pages=fetcher(**more)).gather(of, base, OPENED, until)


def report(found: Gathered) -> FeedReport:
    (report,) = found.reports
    return report


def test_an_answer_is_kept_and_asked_for_again_only_where_it_has_changed(
    engine: Engine, httpserver: HTTPServer
) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Response:
        asked.append(request)
        if request.headers.get("If-None-Match") == 'W/"7"':
            return Response(status=304)
        return Response(rss(item(1)), headers={"ETag": 'W/"7"', "Last-Modified": "Thu, 19 Nov 2026 00:00:00 GMT"})

    httpserver.expect_request("/feed").respond_with_handler(answer)
    of = paper({"name": "A", "url": httpserver.url_for("/feed")})
    first, second = gathered(engine, of), gathered(engine, of)
    assert (report(first).state, report(second).state) == ("read", "unchanged")
    assert first.articles == second.articles
    assert [article.title for article in first.articles] == ["Story 1"]
    assert "If-None-Match" not in asked[0].headers
    assert asked[1].headers["If-Modified-Since"] == "Thu, 19 Nov 2026 00:00:00 GMT"


@pytest.mark.parametrize("trouble", ["status", "page", "empty", "loop", "bomb", "large", "inner"])
def test_a_feed_that_cannot_be_had_is_what_it_said_last(engine: Engine, httpserver: HTTPServer, trouble: str) -> None:
    url = httpserver.url_for("/feed")
    of = paper({"name": "A", "url": url})
    answers = {
        "status": Response(rss(item(2)), status=500),
        "page": Response("<!doctype html><html><body>We will be back</body></html>"),
        "empty": Response(""),
        "loop": Response(status=302, headers={"Location": "/feed"}),
        "bomb": Response(gzip.compress(b" " * 30_000_000), headers={"Content-Encoding": "gzip"}),
        "large": Response(rss(item(2)) + " " * 200_000),
        "inner": Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data"}),
    }
    httpserver.expect_request("/feed").respond_with_response(answers[trouble])
    failed = gathered(engine, of)
    assert report(failed).state == "failed"
    assert failed.articles == ()
    httpserver.clear()
    httpserver.expect_request("/feed").respond_with_data(rss(item(1)))
    assert report(gathered(engine, of)).state == "read"
    httpserver.clear()
    httpserver.expect_request("/feed").respond_with_response(answers[trouble])
    kept = gathered(engine, of)
    assert (report(kept).state, report(kept).articles) == ("kept", 1)
    assert "what it said a minute ago was taken" in report(kept).said
    assert "Story" not in report(kept).said
    assert "/feed" not in report(kept).said


def test_feeds_are_had_at_the_same_time_and_none_holds_up_the_others(engine: Engine, httpserver: HTTPServer) -> None:
    together = threading.Barrier(4)

    def answer(request: Request) -> Response:
        together.wait(20)
        return Response(rss(item(int(request.path[-1]))))

    feeds = [{"name": f"F{n}", "url": httpserver.url_for(f"/{n}")} for n in range(4)]
    for n in range(4):
        httpserver.expect_request(f"/{n}").respond_with_handler(answer)
    found = gathered(engine, paper(*feeds, {"name": "Gone", "url": "http://127.0.0.1:9/"}))
    assert [each.state for each in found.reports] == ["read"] * 4 + ["failed"]
    assert [article.title for article in found.articles] == [f"Story {n}" for n in range(4)]


def test_a_slow_server_costs_no_more_than_the_time_for_gathering(engine: Engine, httpserver: HTTPServer) -> None:
    let_go = threading.Event()

    def slow(request: Request) -> Response:
        let_go.wait(20)
        return Response(rss(item(1)))

    httpserver.expect_request("/slow").respond_with_handler(slow)
    httpserver.expect_request("/quick").respond_with_data(rss(item(2)))
    feeds = [{"name": name, "url": httpserver.url_for(f"/{name}")} for name in ("slow", "quick")]
    began = time.monotonic()
    try:
        found = gathered(engine, paper(*feeds), within_s=1.5, timeout_s=15)
    finally:
        let_go.set()
    assert time.monotonic() - began < 8
    assert [each.state for each in found.reports] == ["failed", "read"]
    assert found.reports[0].said == "it did not answer in the time there was for it"
    assert gathered(engine, paper(feeds[1]), within_s=-1).reports[0].state == "kept"


def test_feeds_that_hang_leave_the_others_their_time(engine: Engine, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/quick").respond_with_data(rss(item(1)))
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections and never says a word
        hanging = [{"name": f"H{n}", "url": f"http://127.0.0.1:{mute.getsockname()[1]}/{n}"} for n in range(2)]
        of = paper(*hanging, {"name": "quick", "url": httpserver.url_for("/quick")})
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=4)
        found = Gatherer(engine, fetcher(timeout_s=15), most_at_once=2).gather(of, Path(), OPENED, until)
    assert [each.state for each in found.reports] == ["failed", "failed", "read"]


def test_the_newest_come_first_and_old_ones_and_doubles_are_left_out(engine: Engine, httpserver: HTTPServer) -> None:
    hour = dt.timedelta(hours=1)
    far = item(5, at=OPENED + 90 * hour)
    undated = item(6).replace("<pubDate>", "<x>").replace("</pubDate>", "</x>")
    old = item(9, at=OPENED - 40 * hour)
    one = rss(undated, item(1, at=OPENED - 5 * hour), far, old, item(2, at=OPENED - hour), item(3, at=OPENED + hour))
    httpserver.expect_request("/one").respond_with_data(one)
    httpserver.expect_request("/two").respond_with_data(rss(item(2), item(7)))
    feeds = [{"name": name, "url": httpserver.url_for(f"/{name}"), "most": 4} for name in ("one", "two")]
    found = gathered(engine, paper(*feeds))
    assert [article.title[-1] for article in found.articles] == ["3", "2", "1", "6", "7"]
    assert [(each.articles, each.said) for each in found.reports] == [
        (4, "1 too old; 1 beyond the 4 that are taken"),
        (1, "1 there already"),
    ]
    assert found.articles[3].published is None


def test_entries_that_share_an_address_are_all_told(engine: Engine, httpserver: HTTPServer) -> None:
    home = "https://news.example/"
    httpserver.expect_request("/one").respond_with_data(rss(item(1, link=home), item(2, link=home)))
    found = gathered(engine, paper({"name": "A", "url": httpserver.url_for("/one")}))
    assert len({article.id for article in found.articles}) == 2
    assert {article.url for article in found.articles} == {home}


def test_pages_of_short_entries_are_fetched_once_and_kept(engine: Engine, httpserver: HTTPServer) -> None:
    here = f"http://pages.example:{httpserver.port}"
    parts = "".join(f"<p>{LONG} Part {n}.</p>" for n in range(5))
    page = f"<html><body><article><h1>Storm</h1>{parts}</article></body></html>"
    entries = [item(n, text="Short.", link=f"{here}/page/{n}") for n in range(MOST_PAGES + 3)]
    httpserver.expect_request("/feed").respond_with_data(rss(*entries, item(99)))
    for n in range(MOST_PAGES + 3):
        found_here = Response(page.replace("Storm", f"Storm {n}")) if n != 1 else Response(status=403)
        httpserver.expect_request(f"/page/{n}").respond_with_response(found_here)
    of = paper({"name": "A", "url": f"{here}/feed"})
    found = gathered(engine, of)
    assert [len(article.text) > 3_000 for article in found.articles[:MOST_PAGES]] == [n != 1 for n in range(MOST_PAGES)]
    assert all(article.text.startswith("Short.") for article in found.articles[MOST_PAGES:-1])
    assert found.articles[0].summary == "Short. (0)"
    fetched = [request.path for request, _ in httpserver.log]
    assert len(fetched) == 1 + MOST_PAGES
    assert gathered(engine, of).articles == found.articles
    assert len(httpserver.log) == len(fetched) + 2  # the feed, and the page that was not had
    without = paper({"name": "A", "url": f"{here}/feed", "articles": False})
    assert all(len(article.text) < 1_000 for article in gathered(engine, without).articles)
    assert len(httpserver.log) == len(fetched) + 3


def test_pages_are_called_at_public_addresses_only(engine: Engine, httpserver: HTTPServer) -> None:
    """A feed of the house may stand on an inner address; what its entries link to may not."""
    here = f"http://localtest.example:{httpserver.port}"
    links = [f"{here}/page", f"http://127.0.0.1:{httpserver.port}/page", "file:///etc/passwd"]
    httpserver.expect_request("/feed").respond_with_data(
        rss(*(item(n, "Short.", link=url) for n, url in enumerate(links)))
    )
    of = paper({"name": "A", "url": httpserver.url_for("/feed")})
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    found = Gatherer(engine, feed_fetcher(allow_private=True)).gather(of, Path(), OPENED, until)
    assert [article.url for article in found.articles] == [f"{here}/page", "", ""]
    assert [request.path for request, _ in httpserver.log] == ["/feed"]


def test_an_entry_cannot_write_over_what_another_feed_said(engine: Engine, httpserver: HTTPServer) -> None:
    here = f"http://feeds.example:{httpserver.port}"
    httpserver.expect_request("/b").respond_with_data(rss(item(1)), headers={"ETag": '"1"'})
    httpserver.expect_request("/a").respond_with_data(rss(item(2, "Short.", link=f"{here}/b")))
    of = paper({"name": "B", "url": f"{here}/b"}, {"name": "A", "url": f"{here}/a"})
    gathered(engine, of)
    stored = feed_answers.get(engine, f"{here}/b")
    assert stored is not None
    assert (stored.etag, stored.body) == ('"1"', rss(item(1)).encode())
    assert feed_answers.get(engine, f"{PAGE}{here}/b") is not None


def test_pages_are_forgotten_and_feeds_are_not(engine: Engine) -> None:
    for url in ("https://a.example/", f"{PAGE}https://a.example/"):
        feed_answers.put(engine, url, etag=None, last_modified=None, headers={}, body=b"\0x", at=OPENED)
    assert feed_answers.forget_pages(engine, OPENED) == 0
    assert feed_answers.forget_pages(engine, OPENED + dt.timedelta(days=1)) == 1
    assert feed_answers.get(engine, f"{PAGE}https://a.example/") is None
    feed_answers.touch(engine, "https://a.example/", OPENED + dt.timedelta(hours=1))
    kept = feed_answers.get(engine, "https://a.example/")
    assert kept is not None
    assert (kept.body, kept.checked_at - kept.fetched_at) == (b"\0x", dt.timedelta(hours=1))


def test_a_folder_is_read_by_its_files_names(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "b.txt").write_text("A plain note\n\nIt rained.\n\nIt stopped.")
    (folder / "a.md").write_text(
        '---\ntitle: "Of *ships*"\ndate: 2026-11-19\n---\n# Ships\n\n- **One** [came](http://x.example).'
    )
    (folder / "c.html").write_text("<title>no</title><h1>A page</h1><p>Said.<script>x()</script></p>")
    (folder / "d.xml").write_text(rss(item(4)))
    (folder / "e.json").write_text(
        '{"version":"https://jsonfeed.org/version/1.1","items":[{"title":"Five","content_text":"x"}]}'
    )
    (folder / "f.txt").write_bytes(b"\x7fELF\0\0\0")
    (folder / "g.txt").write_bytes("Latin é".encode("latin-1"))
    (folder / "ignored.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.txt").write_text("hidden")
    (folder / "under.txt").mkdir()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (folder / "h.txt").symlink_to(secret)
    found = gathered(engine, paper({"name": "N", "path": "notes"}, {"name": "M", "path": "missing"}), tmp_path)
    titles = {article.title: article for article in found.articles}
    assert set(titles) == {"Of ships", "A plain note", "A page", "Story 4", "Five", "Latin é"}
    assert titles["A plain note"].text == "It rained.\n\nIt stopped."
    assert titles["Of ships"].text == "Ships\n\nOne came."
    assert titles["Of ships"].published == dt.datetime(2026, 11, 19, tzinfo=dt.UTC)
    assert titles["A page"].text.endswith("Said.")
    assert [(each.state, each.said) for each in found.reports] == [
        ("read", "a file: no text: it is binary; a file: a link out of the folder, and not followed"),
        ("failed", "there is no such file or folder"),
    ]


def test_a_feed_file_needs_no_network(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_text(rss(item(1, "Short.")))
    found = gathered(engine, paper({"name": "F", "path": "feed.xml"}), tmp_path, resolve=_nobody)
    assert [article.text for article in found.articles] == ["Short. (1)"]
    assert report(found).said == ""


def _nobody(host: str, port: int) -> list[str]:
    raise AssertionError("a name was looked up")
