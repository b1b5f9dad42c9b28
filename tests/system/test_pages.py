"""The pages in a real browser: nothing that axe finds, nothing on the console, nothing fetched, nothing cut off."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from app.newspaper.setting.bundle import bundle
from app.newspaper.setting.listed import listed
from tests.unit import sample_editions as sample

PAGES = ("daily", "specimen", "bulletin", "weekly", "growth", "persian", "long", "index")
_LONG = "Donaudampfschifffahrtsgesellschaftskapitän" * 7


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    with sync_playwright() as playwright:
        path = found or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium on PATH; playwright install chromium brings one")
        started = playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each page as it is published: an edition in its folder, the index above."""
    home = tmp_path_factory.mktemp("paper")
    piece = sample.daily().pages[0].pieces[0]
    long = piece.model_copy(
        update={
            "headline": _LONG,
            "summary": _LONG,
            "credits": tuple(one.model_copy(update={"name": _LONG, "title": _LONG}) for one in piece.credits),
            "writer": _LONG,
        }
    )
    pages = (sample.daily().pages[0].model_copy(update={"title": _LONG, "pieces": (long,)}),)
    editions = {
        "daily": sample.daily(),
        "specimen": sample.daily(specimen=True, late=True, run=2),
        "bulletin": sample.bulletin(),
        "weekly": sample.weekly(),
        "growth": sample.growth(),
        "persian": sample.daily(language="fa"),
        "long": sample.daily(title=_LONG, motto=_LONG, pages=pages),
    }
    earlier = [listed(sample.daily(date=sample.DATE - dt.timedelta(days=n))) for n in range(1, 40)]
    for name, edition in editions.items():
        made = bundle(edition, sample.paper(), earlier)
        (home / name).mkdir()
        for path, content in made.files.items():
            (home / name / path).write_bytes(content)
        for path, content in made.front.items():
            (home / path).write_bytes(content)
    (home / "index").mkdir()
    shutil.copy(home / "index.html", home / "index" / "index.html")
    return home


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An open page; whatever it says on its console, or fetches besides itself, fails the test."""
    context = browser.new_context()
    opened = context.new_page()
    said: list[str] = []
    fetched: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: fetched.append(request.url))
    yield opened
    context.close()
    assert not said
    assert [url for url in fetched if not url.startswith("data:")] == fetched[:1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(page: Page, folder: Path, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto((folder / name / "index.html").as_uri())
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_screen(page: Page, folder: Path, name: str) -> None:
    page.goto((folder / name / "index.html").as_uri())
    for width in (320, 768, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_is_read_by_keyboard(page: Page, folder: Path) -> None:
    page.goto((folder / "daily" / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the news"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Story 1: Marrow Sound")
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#d1-a1"


def test_the_style_sheet_is_applied_and_follows_the_scheme(page: Page, folder: Path) -> None:
    """The policy's digest is that of the style sheet: else the page were black on white in the dark."""
    colours = set()
    page.goto((folder / "daily" / "index.html").as_uri())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    page.emulate_media(color_scheme="dark", media="print")
    colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == {"rgb(255, 254, 251)", "rgb(21, 20, 18)", "rgb(255, 255, 255)"}


def test_printed_it_is_a_few_pages_that_begin_with_the_news(page: Page, folder: Path) -> None:
    page.goto((folder / "daily" / "index.html").as_uri())
    document = page.pdf(prefer_css_page_size=True, print_background=True)
    assert document.startswith(b"%PDF-")
    assert 3 <= document.count(b"/Type /Page\n") + document.count(b"/Type /Page ") <= 7
