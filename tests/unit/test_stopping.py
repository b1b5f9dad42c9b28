"""A yard that is told to stop while it starts."""

from __future__ import annotations

import signal
import sys

import pytest

from app.cli.run import _stopped_by_signals


class _Dying:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_is_heeded_also_where_python_drops_what_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: dropped.append(found.exc_type))
    with _stopped_by_signals() as heed:
        heed()
        _Dying()
        assert dropped == [KeyboardInterrupt]
        with pytest.raises(KeyboardInterrupt):
            heed()
