"""Editions in a real folder: killed at every step, read while they are replaced, and lured out by links."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.newspaper.setting.bundle import Bundle, Letter
from app.publishing import folder as room
from app.publishing.folder import MARKER, FolderTarget
from app.publishing.target import Untaken

DAY = "2026-11-20"


def bundled(run: int, name: str = DAY, front: str = "") -> Bundle:
    """Run 2 has a chart more and a chart less than run 1."""
    text = f"{name} run {run}"
    files = {"index.html": text, "edition.json": text, f"charts/run-{run}.svg": text, "charts/both.svg": text}
    fronts = {"index.html": f"{name} run {run}{front}", "atom.xml": f"{name} run {run}{front}"}
    return Bundle(name, _bytes(files), _bytes(fronts), Letter("", "", ""))


def _bytes(texts: dict[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in texts.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def target(folder: Path) -> FolderTarget:
    return FolderTarget(folder, "paper")


def said(untaken: Untaken | None) -> str:
    assert untaken is not None
    assert not untaken.final
    return untaken.said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "editions"


def test_an_edition_its_reprint_and_the_next_day(folder: Path) -> None:
    assert target(folder).publish(bundled(1), "m") is None
    assert contents(folder / DAY) == dict(bundled(1).files)
    assert target(folder).publish(bundled(2), "m") is None
    assert contents(folder / DAY) == dict(bundled(2).files), "nothing of the run before is left"
    assert target(folder).publish(bundled(1, "2026-11-21"), "m") is None
    assert contents(folder / DAY) == dict(bundled(2).files), "earlier editions are kept"
    assert (folder / "index.html").read_text() == "2026-11-21 run 1"
    assert entries(folder) == [MARKER, DAY, "2026-11-21", "atom.xml", "index.html"]


def test_the_same_again_touches_nothing(folder: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        found = [folder, *folder.rglob("*")]
        return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

    assert target(folder).publish(bundled(1), "m") is None
    before = state()
    assert target(folder).publish(bundled(1), "m") is None
    assert state() == before


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where the system has one: for who is killed, unlike for who loses power, what was written
    is written, and hundreds of runs wait for no disk."""
    shared = Path("/dev/shm")
    if not (shared.is_dir() and os.access(shared, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared, prefix="switchyard-") as path:
        yield Path(path)


def dies_at(moment: int, work: Callable[..., object], *arguments: object) -> bool:
    """Do ``work`` in a process that is killed with SIGKILL at that line of the folder's module; False where it was
    through before."""
    child = os.fork()
    if child == 0:
        left = moment

        def line(frame, event, _):  # type: ignore[no-untyped-def]
            nonlocal left
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return line

        def call(frame, *_):  # type: ignore[no-untyped-def]
            return line if frame.f_code.co_filename == room.__file__ else None

        sys.settrace(call)
        code = 9
        try:
            code = 0 if work(*arguments) is None else 9
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_killed_at_any_line_it_is_the_old_or_the_new(memory: Path) -> None:
    folder = memory / "editions"
    old, new = bundled(1), bundled(2)
    assert target(folder).publish(bundled(1, "2026-11-19"), "m") is None
    moment, seen = 1, set()
    while True:
        assert target(folder).publish(old, "m") is None
        if not dies_at(moment, target(folder).publish, new, "m"):
            break
        edition = contents(folder / DAY)
        assert edition in (dict(old.files), dict(new.files)), f"at line {moment}"
        fronts = [(folder / path).read_bytes() for path in ("index.html", "atom.xml")]
        for content, path in zip(fronts, ("index.html", "atom.xml"), strict=True):
            assert content in (old.front[path], new.front[path])
            assert content == old.front[path] or edition == dict(new.files), "an index before its edition"
        assert contents(folder / "2026-11-19") == dict(bundled(1, "2026-11-19").files)
        seen.add((edition == dict(new.files), fronts[1] == new.front["atom.xml"], fronts[0] == new.front["index.html"]))
        moment += 1
        assert target(folder).publish(new, "m") is None
        assert contents(folder / DAY) == dict(new.files)
        assert entries(folder) == [MARKER, "2026-11-19", DAY, "atom.xml", "index.html"], "leftovers"
    assert moment > 100, "it was killed often"
    assert {(False, False, False), (True, False, False), (True, True, True)} <= seen


def test_killed_at_the_very_first_edition_it_is_there_or_not(memory: Path) -> None:
    moment = 1
    while dies_at(moment, target(folder := memory / f"{moment}").publish, bundled(1), "m"):
        if (folder / "index.html").exists():
            assert (folder / DAY).exists()
        if (folder / DAY).exists():
            assert contents(folder / DAY) == dict(bundled(1).files)
        assert target(folder).publish(bundled(1), "m") is None
        assert contents(folder / DAY) == dict(bundled(1).files)
        moment += 3
    assert moment > 100


@pytest.fixture(params=["exchange", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The second as on a file system that knows no exchange."""
    if request.param == "one by one":
        monkeypatch.setattr(room, "_call", None)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_reader_finds_a_page_at_every_moment_of_a_reprint(folder: Path) -> None:
    assert target(folder).publish(bundled(1), "m") is None
    pages = {bundle.files["index.html"] for bundle in (bundled(1), bundled(2))}
    over, wrong, read = threading.Event(), [], 0

    def reader() -> None:
        nonlocal read
        while not over.is_set():
            try:
                if (folder / DAY / "index.html").read_bytes() not in pages:
                    wrong.append("a page that was never written")
                read += 1
            except FileNotFoundError:
                wrong.append("no page")

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        for n in range(40):
            assert target(folder).publish(bundled(2 - n % 2), "m") is None
    finally:
        over.set()
        thread.join()
    assert not wrong
    assert read > 40
    assert contents(folder / DAY) == dict(bundled(1).files)


PUBLISHER = """
import sys
from pathlib import Path
from tests.integration.test_folder_target import bundled, target
sys.stdin.readline()
for n in range(int(sys.argv[2])):
    untaken = target(Path(sys.argv[1])).publish(bundled(n % 2 + 1, sys.argv[3]), "m")
    assert untaken is None, untaken
"""


def test_publishers_of_the_same_and_of_other_editions_at_once(folder: Path) -> None:
    days = [DAY, DAY, DAY, "2026-11-21"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(folder), "10", day],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for day in days
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    for day in set(days):
        assert contents(folder / day) == dict(bundled(2, day).files)
    assert not (folder / ".switchyard-new").exists()


def test_a_folder_of_somebody_else_is_left_alone_until_it_is_handed_over(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("mine")
    assert "is not empty and was not made by switchyard press" in said(target(folder).publish(bundled(1), "m"))
    assert entries(folder) == ["thesis.tex"]
    (folder / MARKER).touch()
    assert target(folder).publish(bundled(1), "m") is None
    assert (folder / "thesis.tex").read_text() == "mine"
    other = FolderTarget(folder, "another").publish(bundled(1), "m")
    assert "belongs to the paper 'paper'" in said(other)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "outside"
    place.mkdir()
    (place / "index.html").write_text("theirs")
    yield place
    assert contents(place) == {"index.html": b"theirs"}, "something was written through a link"


@pytest.mark.parametrize("what", [DAY, f"{DAY}/charts", "index.html", "atom.xml", MARKER])
def test_no_link_leads_out(folder: Path, outside: Path, what: str) -> None:
    assert target(folder).publish(bundled(1), "m") is None
    place = folder / what
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(outside if place.suffix == "" and what != MARKER else outside / "index.html")
    untaken = target(folder).publish(bundled(2), "m")
    if what == f"{DAY}/charts":
        assert untaken is None, "the edition is replaced as a whole, with the link in it"
        assert contents(folder / DAY) == dict(bundled(2).files)
    else:
        assert "move it away" in said(untaken) or "remove it" in said(untaken)
        place.unlink()
        (folder / MARKER).touch()
        assert target(folder).publish(bundled(2), "m") is None


def test_a_link_within_an_edition_is_not_followed_file_by_file(
    folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_call", None)
    assert target(folder).publish(bundled(1), "m") is None
    shutil.rmtree(folder / DAY / "charts")
    (folder / DAY / "charts").symlink_to(outside)
    assert "remove it" in said(target(folder).publish(bundled(2), "m"))


def test_what_was_left_as_a_link_is_cleared_and_not_followed(folder: Path, outside: Path) -> None:
    assert target(folder).publish(bundled(1), "m") is None
    (folder / ".switchyard-new").symlink_to(outside)
    assert target(folder).publish(bundled(2), "m") is None


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "disk")
    assert target(folder).publish(bundled(1), "m") is None
    assert contents(tmp_path / "disk" / DAY) == dict(bundled(1).files)


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(folder: Path) -> None:
    assert target(folder).publish(bundled(1), "m") is None
    (folder / DAY / "edition.json").unlink()
    os.mkfifo(folder / DAY / "edition.json")
    assert target(folder).publish(bundled(1), "m") is None
    assert contents(folder / DAY) == dict(bundled(1).files)


def in_a_process(work: Callable[[], Untaken | None], before: Callable[[], None]) -> str:
    """What ``work`` is answered in a process of its own, after ``before``."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before()
            untaken = work()
            os.write(writing, (untaken.said if untaken else "taken").encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found = answer.read().decode()
    os.waitpid(child, 0)
    return found


def test_a_folder_that_may_not_be_written_to() -> None:
    with tempfile.TemporaryDirectory() as temporary:  # pytest's own are closed to other users
        place = Path(temporary)
        place.chmod(0o711)
        folder = place / "editions"
        assert target(folder).publish(bundled(1), "m") is None
        folder.chmod(0o555)

        def other() -> None:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)

        found = in_a_process(lambda: target(folder).publish(bundled(2), "m"), other)
        assert found == f"the folder {folder} may not be written to by this process"
        folder.chmod(0o755)
        assert contents(folder / DAY) == dict(bundled(1).files)


def test_a_file_that_the_system_does_not_take_leaves_the_old_edition(folder: Path) -> None:
    import resource

    assert target(folder).publish(bundled(1), "m") is None
    large = bundled(2)
    large = Bundle(DAY, {**large.files, "edition.pdf": b"x" * 100_000}, large.front, large.letter)
    found = in_a_process(
        lambda: target(folder).publish(large, "m"),
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert found == f"the folder {folder} takes no file of this size"
    assert contents(folder / DAY) == dict(bundled(1).files)
    assert entries(folder) == [MARKER, DAY, "atom.xml", "index.html"]


def test_a_full_disk_leaves_the_old_edition(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted by this user")
    try:
        folder = disk / "editions"
        assert target(folder).publish(bundled(1), "m") is None
        large = bundled(2)
        large = Bundle(DAY, {**large.files, "edition.pdf": b"x" * 200_000}, large.front, large.letter)
        assert said(target(folder).publish(large, "m")) == f"the folder {folder} is on a full disk"
        assert contents(folder / DAY) == dict(bundled(1).files)
        assert entries(folder) == [MARKER, DAY, "atom.xml", "index.html"]
        assert target(folder).publish(bundled(2), "m") is None
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "editions").write_text("")
    assert "remove it" in said(target(tmp_path / "editions").publish(bundled(1), "m"))


def test_a_path_that_leads_out_is_refused_for_good(folder: Path) -> None:
    untaken = target(folder).publish(Bundle(DAY, {"../../x": b""}, {}, Letter("", "", "")), "m")
    assert untaken is not None and untaken.final
    assert not folder.exists()
