"""A page as PDF: by the system's Chromium, else by weasyprint where the extra ``pdf`` is installed.

The page is data: no script of it runs, nothing is loaded for it, neither from the network nor from a file, whatever it
says; styles within it and ``data:`` images hold. One that leads elsewhere by itself is not printed. There is nothing in
the PDF besides it: no header, no footer, and neither the moment nor the browser's name, so that the same page is the
same PDF.

Warning: Chromium cannot keep its sandbox up as root, so that there, and only there, it runs with ``--no-sandbox``. Run
the yard as another user.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

INSTALL = "install Chromium, or pip install 'switchyard[pdf]'"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIME_S = 60.0
# Before everything else of the page; a policy of the page's own can only take more away (CSP level 3, 4.2).
_POLICY = (
    b'<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src \'none\';'
    b" style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
)
# Scripts are off by the profile: the switch that turns them off for everything stops the printing, too.
_PREFERENCES = {"profile": {"default_content_setting_values": {"javascript": 2}}}
_STAMP = re.compile(rb"/(?:Creator|CreationDate|ModDate) ?\((?:\\.|[^\\()])*\)")


@dataclass(frozen=True, slots=True)
class Unmade:
    """No PDF, and why in one sentence with what to do."""

    said: str


def maker() -> str | None:
    """What PDFs are made with here, for people; None: nothing."""
    return _browser() or ("weasyprint" if _weasyprint() else None)


def _browser() -> str | None:
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def _weasyprint() -> bool:
    return importlib.util.find_spec("weasyprint") is not None


def pdf(html: bytes) -> bytes | Unmade:
    """``html``: one page in UTF-8, whole in itself. Within a minute."""
    if _leads_away(html):
        return Unmade("the PDF was not printed: the page leads elsewhere by itself (http-equiv=refresh)")
    browser = _browser()
    if browser is not None:
        return by_chromium(html, browser)
    if _weasyprint():
        return by_weasyprint(html)
    return Unmade(f"the PDF wants a browser or weasyprint: {INSTALL}")


class _Metas(HTMLParser):
    """Is there a refresh? It is no loading, so that no policy forbids it."""

    found = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = dict(attrs).get("http-equiv") if tag == "meta" else None
        self.found |= kind is not None and kind.strip().lower() == "refresh"


def _leads_away(html: bytes) -> bool:
    metas = _Metas()
    metas.feed(html.decode(errors="replace"))
    return metas.found


def by_chromium(html: bytes, browser: str, time_s: float = _TIME_S) -> bytes | Unmade:
    """In a process group of its own, with a profile of its own and without this process's environment."""
    with tempfile.TemporaryDirectory(prefix="switchyard-pdf-", ignore_cleanup_errors=True) as temporary:
        home = Path(temporary)
        page, printed = home / "page.html", home / "page.pdf"
        page.write_bytes(_POLICY + html)
        (home / "profile" / "Default").mkdir(parents=True)
        (home / "profile" / "Default" / "Preferences").write_text(json.dumps(_PREFERENCES))
        flags = [*_FLAGS, "--no-sandbox"] if os.geteuid() == 0 else [*_FLAGS]
        process = subprocess.Popen(
            [browser, *flags, f"--user-data-dir={home / 'profile'}", f"--print-to-pdf={printed}", page.as_uri()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        try:
            code = process.wait(time_s)
        except subprocess.TimeoutExpired:
            return Unmade(f"the PDF was not printed within {time_s:g} s by {browser}; see that it starts")
        finally:
            _end(process)
        made = printed.read_bytes() if printed.is_file() else b""
    if not made.startswith(b"%PDF"):
        return Unmade(f"the PDF was not printed: {browser} ended with {code}; see that it starts, or {INSTALL}")
    return _unstamped(made)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The browser and its helpers: those that outlive it belong to its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def by_weasyprint(html: bytes) -> bytes | Unmade:
    from weasyprint import HTML

    try:
        made: bytes = HTML(string=html.decode(), url_fetcher=_Nothing()).write_pdf()
    except Exception as error:  # any fault of a page in a renderer of this size; the edition appears without its PDF
        return Unmade(f"the PDF was not printed: weasyprint failed with {type(error).__name__}")
    return made


class _Nothing:
    """Loads nothing. weasyprint calls it, and newer ones ask it whether a page fails over what it lacks."""

    _fail_on_errors = False

    def __call__(self, url: str, *_: object, **__: object) -> dict[str, object]:
        raise ValueError("nothing is loaded for a page")


def _unstamped(made: bytes) -> bytes:
    """Blanks of the same length, so that every offset in the file holds."""
    return _STAMP.sub(lambda found: b" " * len(found[0]), made, count=3)
