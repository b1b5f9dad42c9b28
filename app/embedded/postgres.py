"""One Postgres cluster on a unix socket: made, started, found ready.

Postgres refuses to run as root, so root hands the cluster to the user ``postgres`` or ``nobody``. Where that user
cannot reach the files (a checkout under ``/root``), it is given the capability to pass directories (capabilities(7),
``CAP_DAC_READ_SEARCH`` or ``CAP_DAC_OVERRIDE``) rather than the directories opened to everyone.

Warning: with that capability Postgres can read every file (where only the wider one is to be had, write it, too). It
does so for root, who started it, and for nobody else: the socket's directory is closed to others.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from app.core.errors import ServiceMissing
from app.embedded.state import Process, end, environment, last_words

_SOCKET_DIR_MAX = 100 - len("/.s.PGSQL.5432")
"""A socket's path holds 107 bytes on Linux and 103 on macOS: unix(7), unix(4)."""

_SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "checkpoint_timeout": "10min",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "random_page_cost": "1.1",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

_AS_ROOT = (
    "nothing that runs Postgres without root's rights can reach {path}",
    "Set SWITCHYARD_HOME to a directory others may enter, or install util-linux (setpriv), or run as another user.",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who runs the server. ``prefix`` stands before its command; ``user`` and ``group`` None: as we are."""

    user: int | None = None
    group: int | None = None
    prefix: tuple[str, ...] = ()

    def popen(self) -> dict[str, Any]:
        """Arguments for ``subprocess``."""
        if self.user is None or self.prefix:
            return {}
        return {"user": self.user, "group": self.group, "extra_groups": []}


def server_identity(data: Path, binary: Path) -> Identity:
    """The user to run as: ourselves, or where we are root the cluster's owner, ``postgres`` or ``nobody``.

    Raises ``ServiceMissing`` where that user cannot reach ``binary`` and the directory of ``data``.
    """
    if os.geteuid() != 0:
        return Identity()
    account = _account(data)
    plain = Identity(account.pw_uid, account.pw_gid)
    if _reaches(plain, data.parent, binary):
        return plain
    # Reading is enough, but the containers that Docker makes have only the wider one to give.
    for capability in ("dac_read_search", "dac_override"):
        lifted = Identity(account.pw_uid, account.pw_gid, _setpriv(account, capability))
        if shutil.which("setpriv") and _reaches(lifted, data.parent, binary):
            return lifted
    raise ServiceMissing(_AS_ROOT[0].format(path=data), hint=_AS_ROOT[1])


def make_cluster(binary: Path, data: Path, identity: Identity, log: Path) -> None:
    """``initdb`` beside, then one rename: a cluster is there whole or not at all. Raises ``ServiceMissing``."""
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    _make_private(new, identity)
    command = [
        *(*identity.prefix, str(binary.with_name("initdb")), "-D", str(new), "-U", "switchyard"),
        # Trust: whoever passes the closed directory to the socket is the cluster's user or root.
        *("--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"),
    ]
    with log.open("wb") as out:
        made = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment(os.environ),
            check=False,
            **identity.popen(),
        )
    if made.returncode != 0:
        raise ServiceMissing(f"Postgres's initdb failed: {last_words(log)}", hint=f"See {log}.")
    new.rename(data)


def command(binary: Path, data: Path, sockets: Path, identity: Identity) -> list[str]:
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return [*identity.prefix, str(binary), "-D", str(data), "-k", str(sockets), *settings]


def socket_dir(data: Path, identity: Identity) -> Path:
    """The cluster itself, or where its path is too long for a socket a closed directory for temporary files."""
    if len(os.fsencode(data)) <= _SOCKET_DIR_MAX:
        return data
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"switchyard-{os.geteuid()}-{name}"
    if len(os.fsencode(short)) > _SOCKET_DIR_MAX:
        raise ServiceMissing(f"{data} and {short} are too long for a socket", hint="Set SWITCHYARD_HOME or TMPDIR.")
    if not short.exists():
        _make_private(short, identity)
    # Anyone may have made it before us: a directory for temporary files is everybody's.
    found = short.lstat()
    owner = os.geteuid() if identity.user is None else identity.user
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) != 0o700:
        raise ServiceMissing(f"{short} is not ours alone", hint="Remove it, or set SWITCHYARD_HOME to a shorter path.")
    return short


def url(sockets: Path) -> str:
    """In the form SQLAlchemy takes; without ``+psycopg`` libpq takes it, too."""
    return f"postgresql+psycopg://switchyard@/switchyard?host={quote(str(sockets), safe='/')}"


def clear_pid_file(data: Path) -> None:
    """Remove what a dead server left: its pid may belong to somebody else now, and Postgres would not start.

    A server that does run there (its record is lost) is ended.
    """
    pid_file = data / "postmaster.pid"
    try:
        server = Process.of(int(pid_file.read_text().split("\n", 1)[0]))
        running = psutil.Process(server.pid)
        ours = running.name() == "postgres" and running.cwd() == str(data)
    except FileNotFoundError:
        return
    except (ValueError, psutil.Error):
        ours = False
    if ours:
        end("postgres", server)
    pid_file.unlink(missing_ok=True)


def wait_ready(process: subprocess.Popen[bytes], data: Path, deadline: float) -> bool:
    """True when it takes connections, False when it ended or ``deadline`` (monotonic seconds) has passed.

    The eighth line of ``postmaster.pid`` says so; it is what ``pg_ctl --wait`` reads.
    """
    while process.poll() is None and time.monotonic() < deadline:
        try:
            lines = (data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            lines = []
        if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
            return True
        time.sleep(0.01)
    return False


def ensure_database(url: str) -> None:
    import psycopg  # the watchdog imports this package and must stay small

    server = url.replace("+psycopg", "").replace("/switchyard?", "/postgres?")
    with psycopg.connect(server, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = 'switchyard'").fetchone() is None:
            connection.execute("CREATE DATABASE switchyard")


def _account(data: Path) -> pwd.struct_passwd:
    if data.exists() and (owner := data.stat().st_uid) != 0:
        return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceMissing(
        "Postgres refuses to run as root, and there is no user postgres or nobody here",
        hint="useradd --system postgres, or run as another user.",
    )


def _setpriv(account: pwd.struct_passwd, capability: str) -> tuple[str, ...]:
    return (
        "setpriv",
        # Else access(2), which initdb asks about its own files, overlooks the capability: capabilities(7), securebits.
        "--securebits=+no_setuid_fixup",
        f"--reuid={account.pw_uid}",
        f"--regid={account.pw_gid}",
        "--clear-groups",
        f"--inh-caps=-all,+{capability}",
        f"--ambient-caps=-all,+{capability}",
        "--",
    )


def _reaches(identity: Identity, directory: Path, binary: Path) -> bool:
    probe = subprocess.run(
        [*identity.prefix, "/bin/sh", "-c", 'test -x "$0" && test -x "$1"', str(binary), str(directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd="/",
        env=environment(os.environ),
        check=False,
        **identity.popen(),
    )
    return probe.returncode == 0


def _make_private(directory: Path, identity: Identity) -> None:
    directory.mkdir(mode=0o700)
    if identity.user is not None and identity.group is not None:
        os.chown(directory, identity.user, identity.group, follow_symlinks=False)
