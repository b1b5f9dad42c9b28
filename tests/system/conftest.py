"""A yard that the quiet tests of this floor share; those that kill things bring their own, in a home of theirs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.harness import Rig, items, provider

ITEMS = items(300)


@pytest.fixture(scope="package")
def yard() -> Iterator[Rig]:
    """Two workers, six families; answers come from the gold labels of ``ITEMS``, one in five wrong."""
    providers = [provider(f"y{n}", concurrency=8, quality=0.5 + n / 20) for n in range(6)]
    with Rig(providers, gold=ITEMS, error_rate={"default": 0.2}, workers=2, latency_ms=50.0, seed=7) as rig:
        yield rig


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for a yard. Not pytest's tmp_path: its parents are closed to the user that root hands Postgres to."""
    path = Path(tempfile.mkdtemp(prefix="switchyard-home-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)
