"""Editions in a folder, whole or not at all.

An edition is written beside its place, synced, and put there in one step; one of before changes places with it
(``renameat2`` with ``RENAME_EXCHANGE``, Linux; ``renameatx_np`` with ``RENAME_SWAP``, macOS), so that a reader finds
the old or the new at any moment. The front files follow, each by a rename of its own. A process that is killed leaves
each as it was or as it shall be, and ``.switchyard-new``, which the next one clears away.

Everything is opened relative to the folder, component by component, and no symbolic link within it is followed. The
folder itself may be one.

Warning: where the file system knows no exchange (some network shares), an edition of before is replaced file by file,
``index.html`` last: nothing is missing in between, but a process killed right then leaves some files of each until the
next try.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from app.newspaper.setting.bundle import Bundle
from app.publishing.target import Untaken, in_order, misplaced

MARKER = ".switchyard-paper"
"""Whose folder it is; the lock of those who write to it, too."""
_NEW = ".switchyard-new"
_PATIENCE_S, _LOOK_EVERY_S = 30.0, 0.02
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV)


class _RefusedError(Exception):
    """This folder is not written to; the text says why."""


class FolderTarget:
    """``paper``: its name in the ledger. A folder belongs to one paper."""

    name = "folder"

    def __init__(self, folder: Path, paper: str) -> None:
        self._folder = folder
        self._paper = paper

    @property
    def where(self) -> str:
        return str(self._folder)

    def holds(self, name: str) -> bool:
        """Is that edition there?"""
        return (self._folder / name / "index.html").is_file()

    def publish(self, bundle: Bundle, message_id: str) -> Untaken | None:
        wrong = misplaced(bundle)
        if wrong is not None:
            return Untaken(wrong, final=True)
        try:
            with self._held() as top:
                _clear(top)
                _put(top, bundle)
        except _RefusedError as error:
            return Untaken(f"the folder {self._folder} {error}")
        except OSError as error:
            return Untaken(f"the folder {self._folder} {_why(error)}")
        return None

    @contextmanager
    def _held(self) -> Iterator[int]:
        """The folder, made where it is missing, ours, and nobody else's for the length of the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        top = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _kind(top, MARKER) is None and _entries(top):
                raise _RefusedError(
                    "is not empty and was not made by switchyard press; name another one as publish.folder, or hand it "
                    f"over by an empty file {MARKER} in it"
                )
            marker = os.open(MARKER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=top)
            try:
                _lock(marker)
                owner = os.read(marker, 200).decode(errors="replace").strip()
                if owner and owner != self._paper:
                    raise _RefusedError(f"belongs to the paper {owner!r}; name another one as publish.folder")
                if not owner:
                    os.write(marker, f"{self._paper}\n".encode())
                    os.fsync(marker)
                yield top
            finally:
                os.close(marker)
        finally:
            os.close(top)


def _lock(marker: int) -> None:
    """The kernel takes it back from a process that dies."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise _RefusedError(f"has been held by another process for {_PATIENCE_S:g} s") from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def _put(top: int, bundle: Bundle) -> None:
    """What is there already is left as it is. All that takes room on the disk comes before anything is replaced."""
    same = _same(top, bundle)
    front = [path for path in in_order(bundle.front) if _content(top, path) != bundle.front[path]]
    if same and not front:
        return
    os.mkdir(_NEW, dir_fd=top)
    try:
        with _opened(top, (_NEW,)) as new:
            if not same:
                _write_tree(new, "edition", bundle.files)
            for n, path in enumerate(front):
                _write(new, f"front-{n}", bundle.front[path])
            if not same:
                _place(top, new, bundle)
                os.fsync(top)
            for n, path in enumerate(front):
                *folders, file = path.split("/")
                with _opened(top, folders, make=True) as there:
                    os.rename(f"front-{n}", file, src_dir_fd=new, dst_dir_fd=there)
                    os.fsync(there)
    finally:
        with suppress(OSError):  # what is left is cleared next time
            _clear(top)


def _place(top: int, new: int, bundle: Bundle) -> None:
    kind = _kind(top, bundle.name)
    if kind is None:
        os.rename("edition", bundle.name, src_dir_fd=new, dst_dir_fd=top)
        return
    if kind != stat.S_IFDIR:
        raise _RefusedError(f"holds something else than a folder at {bundle.name}; move it away")
    if not _exchange(new, "edition", top, bundle.name):
        _replace_each(top, new, bundle)


def _replace_each(top: int, new: int, bundle: Bundle) -> None:
    with _opened(new, ("edition",)) as source, _opened(top, (bundle.name,)) as there:
        for path in in_order(bundle.files):
            *folders, file = path.split("/")
            with _opened(source, folders) as a, _opened(there, folders, make=True) as b:
                os.rename(file, file, src_dir_fd=a, dst_dir_fd=b)
                os.fsync(b)
        for path in set(_paths(there)) - set(bundle.files):
            *folders, file = path.split("/")
            with _opened(there, folders) as b:
                os.unlink(file, dir_fd=b)


def _same(top: int, bundle: Bundle) -> bool:
    if _kind(top, bundle.name) != stat.S_IFDIR:
        return False
    with _opened(top, (bundle.name,)) as there:
        return set(_paths(there)) == set(bundle.files) and all(
            _content(there, path) == content for path, content in bundle.files.items()
        )


def _entries(folder: int) -> list[str]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]


def _paths(folder: int, prefix: str = "") -> Iterator[str]:
    for entry in _entries(folder):
        if _kind(folder, entry) == stat.S_IFDIR:
            with _opened(folder, (entry,)) as inner:
                yield from _paths(inner, f"{prefix}{entry}/")
        else:
            yield prefix + entry


def _content(folder: int, path: str) -> bytes | None:
    """None where there is no such file. A symbolic link is an error, whatever it points to."""
    *folders, file = path.split("/")
    try:
        with _opened(folder, folders) as there, os.fdopen(_open_file(there, file), "rb") as found:
            return found.read()
    except FileNotFoundError:
        return None


def _open_file(folder: int, name: str) -> int:
    # Not blocking: a named pipe would wait for its other end.
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)


def _write_tree(parent: int, name: str, files: Mapping[str, bytes]) -> None:
    os.mkdir(name, dir_fd=parent)
    with _opened(parent, (name,)) as root:
        for path, content in files.items():
            *folders, file = path.split("/")
            with _opened(root, folders, make=True) as there:
                _write(there, file, content)
                os.fsync(there)
        os.fsync(root)


def _write(folder: int, name: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _opened(folder: int, parts: list[str] | tuple[str, ...], *, make: bool = False) -> Iterator[int]:
    """A folder within a folder, through no symbolic link."""
    found = os.dup(folder)
    try:
        for part in parts:
            if make and _kind(found, part) is None:
                os.mkdir(part, dir_fd=found)
                os.fsync(found)
            inner = os.open(part, _DIRECTORY, dir_fd=found)
            os.close(found)
            found = inner
        yield found
    finally:
        os.close(found)


def _kind(folder: int, name: str) -> int | None:
    """The type of an entry as ``stat.S_IFMT`` has it, of a link its own; None where there is none."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None


def _clear(top: int) -> None:
    """What a process that was killed has left."""
    match _kind(top, _NEW):
        case None:
            return
        case stat.S_IFDIR:
            shutil.rmtree(_NEW, dir_fd=top)
        case _:
            os.unlink(_NEW, dir_fd=top)


def _exchange_call() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """Both take the same arguments, and 2 for an exchange (renameat2(2); macOS, rename(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    return getattr(libc, "renameat2", None) or getattr(libc, "renameatx_np", None)


_RENAME_EXCHANGE = 2
_call = _exchange_call()


def _exchange(a: int, name_a: str, b: int, name_b: str) -> bool:
    """Two entries change places in one step; False where the system cannot."""
    if _call is None:
        return False
    if _call(a, name_a.encode(), b, name_b.encode(), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code))


_SAID = {
    errno.ENOSPC: "is on a full disk",
    errno.EDQUOT: "is over its disk quota",
    errno.EACCES: "may not be written to by this process",
    errno.EPERM: "may not be written to by this process",
    errno.EROFS: "is on a file system that is read-only",
    errno.ELOOP: "holds a symbolic link where a file or folder of an edition belongs; remove it",
    errno.ENOTDIR: "holds a file or a symbolic link where a folder belongs; remove it",
    errno.EEXIST: "holds a file where a folder belongs; remove it",
    errno.EISDIR: "holds a folder where a file belongs; remove it",
    errno.EFBIG: "takes no file of this size",
}


def _why(error: OSError) -> str:
    return _SAID.get(error.errno or 0) or f"cannot be written to: {os.strerror(error.errno or 0)}"
