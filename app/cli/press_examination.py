"""What ``switchyard doctor`` looks at where there is a newspaper."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.cli import servers
from app.cli.findings import Finding
from app.core.errors import PaperError

if TYPE_CHECKING:
    from app.newspaper.paper import Feed, Paper
    from app.settings import Settings

_AT_ONCE = 16


def newspaper(found: Settings) -> Iterator[Finding]:
    """Nothing where no newspaper is configured."""
    if found.newspaper is None:
        return
    from app.registry.paperfile import PaperFile

    file = PaperFile(found.newspaper)
    try:
        paper = file.current()
    except PaperError as error:
        lines = str(error).splitlines()
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        yield Finding("newspaper", "wrong", lines[0] + more, error.hint or "")
        return
    yield Finding("newspaper", "ok", f"{paper.title}: {len(paper.desk)} desks, {len(paper.feed)} feeds")
    yield _next(found, paper)
    yield _folder(file.base / paper.publish.folder)
    yield from _targets(found, paper, file.base)
    yield from _feeds(found, paper, file.base)


def _next(found: Settings, paper: Paper) -> Finding:
    from app.newspaper.calendar import coming

    due = coming(paper, dt.datetime.now(dt.UTC), _latest(found, paper))
    if due is None:
        return Finding("next edition", "warn", "none is due, ever", "give newspaper.toml a [daily]")
    at = due.opens_at.astimezone(paper.zone)
    return Finding("next edition", "ok", f"{due.kind} of {due.date}, opened {at:%a %d %b %H:%M} {paper.time_zone}")


def _latest(found: Settings, paper: Paper) -> Mapping[str, dt.date]:
    from sqlalchemy.exc import SQLAlchemyError

    from app.ledger import editions

    if found.database_url is None:
        return {}
    try:
        with servers.engine(found) as engine:
            return editions.latest_dates(engine, paper.name)
    except (SQLAlchemyError, ValueError):
        return {}  # said of Postgres already


def _folder(folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        return Finding("editions", "wrong", f"{there} is a file", "name another publish.folder")
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("editions", "wrong", f"{there} cannot be written", "chown it, or name another publish.folder")
    return Finding("editions", "ok", f"go to {folder}")


def _feeds(found: Settings, paper: Paper, base: Path) -> Iterator[Finding]:
    for feed in paper.feed:
        if feed.path is not None and not os.access(base / feed.path, os.R_OK):
            yield Finding(f"feed {feed.name}", "warn", "its path cannot be read", "mend path in newspaper.toml")
    named = [feed for feed in paper.feed if feed.url is not None]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for feed, said in zip(named, pool.map(lambda feed: _address(found, feed), named), strict=True):
            if said is not None:
                yield Finding(f"feed {feed.name}", "warn", *said)


def _address(found: Settings, feed: Feed) -> tuple[str, str] | None:
    """What is wrong with where it is, and what to do."""
    from app.fetch import why_refused

    host = urlsplit(feed.url or "").hostname or ""
    try:
        addresses: Sequence[str] = sorted({str(each[4][0]) for each in socket.getaddrinfo(host, 443)})
    except (OSError, ValueError):
        return f"{host[:80]} has no address just now", "check its url, and this machine's network"
    refused = [why for each in addresses if (why := why_refused(each, allow_private=found.allow_private_addresses))]
    if refused:
        return f"its address is refused: {refused[0]}", "SWITCHYARD_ALLOW_PRIVATE_ADDRESSES allows inner networks"
    return None


def _targets(found: Settings, paper: Paper, base: Path) -> Iterator[Finding]:
    from app.publishing.configured import targets
    from app.publishing.pdf import INSTALL, maker
    from app.publishing.target import Unready

    known, amiss = targets(paper, base, os.environ, allow_private=found.allow_private_addresses)
    for said in amiss:
        yield Finding("publish", "wrong", said, "set it, or take the table out of newspaper.toml")
    ready = [f"{target.name} ({target.where})" for target in known if not isinstance(target, Unready)]
    yield Finding("publish", "ok", f"goes to {', '.join(ready)}")
    if "pdf" in paper.publish.formats:
        made_by = maker()
        if made_by is None:
            yield Finding("pdf", "warn", "nothing here makes one: editions appear without", INSTALL)
        else:
            yield Finding("pdf", "ok", f"made by {made_by}")
