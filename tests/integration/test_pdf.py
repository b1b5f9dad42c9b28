"""Pages as PDF by a real Chromium."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from app.publishing.pdf import Unmade, by_chromium, by_weasyprint, maker, pdf
from tests.integration.receivers import http_receiver
from tests.integration.small_yard import until

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
chromium = pytest.mark.skipif(not BROWSER, reason="no Chromium on PATH")

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>The Test</title>
<style>h1 {{ break-after: page }} @media screen {{ .print {{ display: none }} }}</style></head>
<body><h1>Bridge reopens</h1><p>Zweite Seite – größer</p><p class="print">printed only</p>{more}</body></html>"""


def page(more: str = "") -> bytes:
    return PAGE.format(more=more).encode()


def words(made: bytes) -> str:
    """The text of Chromium's PDFs: glyphs through their fonts' ToUnicode maps (ISO 32000-1, 9.10.3)."""
    objects = dict(re.findall(rb"(?m)^(\d+) 0 obj\n(.*?)\nendobj", made, re.DOTALL))

    def stream(number: bytes) -> str:
        raw = re.search(rb"stream\r?\n(.*)\n?endstream", objects[number], re.DOTALL)
        assert raw is not None
        return zlib.decompress(raw[1]).decode("latin-1")

    def glyphs(font: bytes) -> dict[str, str]:
        found = re.search(rb"/ToUnicode (\d+)", objects[font])
        assert found is not None
        table, cmap = {}, stream(found[1])
        for block in re.findall(r"beginbfchar\n(.*?)endbfchar", cmap, re.DOTALL):
            table |= {a: chr(int(b, 16)) for a, b in re.findall(r"<(\w+)> <(\w{4})>", block)}
        for block in re.findall(r"beginbfrange\n(.*?)endbfrange", cmap, re.DOTALL):
            for first, last, start in re.findall(r"<(\w+)> <(\w+)> <(\w+)>", block):
                for n in range(int(last, 16) - int(first, 16) + 1):
                    table[f"{int(first, 16) + n:04X}"] = chr(int(start, 16) + n)
        return table

    said = []
    for content in objects.values():
        if b"/Type /Page\n" not in content:
            continue
        fonts = {name.decode(): glyphs(n) for name, n in re.findall(rb"/(F\d+) (\d+) 0 R", content)}
        source = re.search(rb"/Contents (\d+)", content)
        assert source is not None
        table: dict[str, str] = {}
        for font, text in re.findall(r"/(F\d+) [\d.]+ Tf|<([0-9A-F]+)> Tj", stream(source[1])):
            table = fonts[font] if font else table
            said.append("".join(table.get(text[i : i + 4], "?") for i in range(0, len(text), 4)))
    return " ".join(part for part in said if part)


def made_of(html: bytes) -> bytes:
    made = by_chromium(html, BROWSER)
    assert isinstance(made, bytes), made
    return made


@chromium
def test_a_page_is_printed_as_it_is_and_nothing_besides() -> None:
    assert maker() == BROWSER
    made = pdf(page())
    assert isinstance(made, bytes)
    assert made.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\n", made)) == 2
    assert words(made).replace(" ", "") == "BridgereopensZweiteSeite–größerprintedonly", "kerning parts words"
    assert b"HeadlessChrome" not in made and b"CreationDate" not in made
    assert made == made_of(page()), "the same page is the same PDF"


@chromium
@pytest.mark.parametrize(
    "more",
    [
        "<script>document.body.append('SCRIPTED')</script>",
        "<p id=p>.</p><img src=x onerror=\"document.body.append('SCRIPTED')\">",
        '<svg><script>document.documentElement.append("SCRIPTED")</script></svg>',
    ],
)
def test_no_script_runs(more: str) -> None:
    assert "SCRIPTED" not in words(made_of(page(more)))


@chromium
def test_nothing_is_loaded_from_the_network_or_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<p>HUNTER")
    with http_receiver() as server:
        for url in (server.url, f"http://localhost:{server.port}", secret.as_uri()):
            loads = f"""<img src="{url}/a"><iframe src="{url}"></iframe><object data="{url}"></object>
            <embed src="{url}"><link rel="stylesheet" href="{url}/b"><style>@import "{url}/c";
            body {{ background: url({url}/d) }}</style>
            <link rel="preload" as="image" href="{url}/e"><link rel="prefetch" href="{url}/f">"""
            assert "HUNTER" not in words(made_of(page(loads)))
        assert server.got == []


@pytest.mark.parametrize("how", ['http-equiv="refresh"', "http-equiv=' Refr&#101;sh '", "x HTTP-EQUIV=REFRESH"])
def test_a_page_that_leads_elsewhere_is_not_printed(how: str) -> None:
    made = pdf(page(f'<meta {how} content="0;url=file:///etc/passwd">'))
    assert made == Unmade("the PDF was not printed: the page leads elsewhere by itself (http-equiv=refresh)")


@chromium
def test_a_picture_within_the_page_is_printed() -> None:
    picture = (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'%3E%3Crect width='9' height='9'/%3E%3C/svg%3E"
    )
    assert made_of(page(f'<img src="{picture}">')) != made_of(page())


def children(marker: str) -> list[str]:
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes()
        except OSError:
            continue
        if marker.encode() in line:
            found.append(line.decode(errors="replace"))
    return found


def test_a_browser_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\nsleep 61.{tmp_path.name.__hash__() % 9973} &\nsleep 61.{id(tmp_path) % 9973}\n")
    browser.chmod(0o755)
    began = time.monotonic()
    made = by_chromium(page(), str(browser), time_s=0.5)
    assert made == Unmade(f"the PDF was not printed within 0.5 s by {browser}; see that it starts")
    assert time.monotonic() - began < 10
    until(lambda: not children(f"61.{id(tmp_path) % 9973}"))
    until(lambda: not children(f"61.{tmp_path.name.__hash__() % 9973}"))


@pytest.mark.parametrize("script", ["exit 3", "printf x > /dev/null", "kill -9 $$"])
def test_a_browser_that_fails_is_a_sentence(tmp_path: Path, script: str) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\n{script}\n")
    browser.chmod(0o755)
    made = by_chromium(page(), str(browser))
    assert isinstance(made, Unmade)
    assert "pip install 'switchyard[pdf]'" in made.said


def test_a_browser_sees_nothing_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f"#!/bin/sh\nenv > {seen}\n")
    browser.chmod(0o755)
    by_chromium(page(), str(browser))
    assert "hunter2" not in seen.read_text()


def test_without_anything_to_print_with_the_line_to_install_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("weasyprint") is not None:
        pytest.skip("weasyprint is installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert maker() is None
    assert pdf(page()) == Unmade(
        "the PDF wants a browser or weasyprint: install Chromium, or pip install 'switchyard[pdf]'"
    )


def test_weasyprint_prints_where_it_is_installed_and_loads_nothing() -> None:
    pytest.importorskip("weasyprint", reason="the extra pdf is not installed")
    with http_receiver() as server:
        made = by_weasyprint(page(f'<img src="{server.url}/a"><link rel="stylesheet" href="{server.url}/b">'))
        assert isinstance(made, bytes) and made.startswith(b"%PDF")
        assert server.got == []


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    code = (
        "import sys; from app.publishing.pdf import by_chromium\n"
        "print(by_chromium(b'<p>x', sys.argv[1], 30) is not None)"
    )
    browser = BROWSER or "/bin/false"
    subprocess.run([sys.executable, "-c", code, browser], env={"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin",
                   "PYTHONPATH": ":".join(sys.path)}, check=True, capture_output=True)  # fmt: skip
    assert list(tmp_path.iterdir()) == []
