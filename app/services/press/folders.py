"""Feeds that are files: one file, or a folder of them. Whatever is wrong with one is a line of the report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from app.newspaper.feeds import MOST_BYTES, Entry, FeedRead
from app.newspaper.files import KINDS, read_file

MOST_FILES = 500
_MOST_NAMES = 20_000
"""Of a folder's names that are looked at."""


def read_path(path: Path) -> FeedRead:
    """A file's entries, or those of a folder's files, by their names; folders in it are not looked into. A link that
    leads out of the folder is not followed."""
    try:
        if path.is_dir():
            return _folder(path)
        if path.is_file():
            return read_file(path.name, _bytes(path))
    except OSError as error:
        return FeedRead((), (f"cannot be read: {error.strerror or type(error).__name__}",), known=False)
    return FeedRead((), ("there is no such file or folder",), known=False)


def _folder(folder: Path) -> FeedRead:
    home = folder.resolve()
    names = sorted(name for _, name in zip(range(_MOST_NAMES), (p.name for p in folder.iterdir()), strict=False))
    files = [folder / name for name in names if not name.startswith(".") and Path(name).suffix.lower() in KINDS]
    entries: list[Entry] = []
    faults = Counter[str]()
    for file in files[:MOST_FILES]:
        try:
            if not file.resolve().is_relative_to(home):
                faults["a link out of the folder, and not followed"] += 1
            elif file.is_file():
                read = read_file(file.name, _bytes(file))
                entries += read.entries
                faults.update(read.faults)
        except OSError:
            faults["cannot be read"] += 1
    said = [f"a file: {fault}" if count == 1 else f"{count} files: {fault}" for fault, count in faults.items()]
    if len(files) > MOST_FILES:
        said.append(f"more than {MOST_FILES} files: the rest was left out")
    if not files:
        said.append("holds no file that can be read (.txt, .md, .html, .xml, .json)")
    return FeedRead(tuple(entries), tuple(said))


def _bytes(path: Path) -> bytes:
    """A little more than is read of a feed, so that it is seen to be too large."""
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
