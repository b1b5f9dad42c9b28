"""Where a command reads its input from: a file, or ``-`` for stdin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.cli.output import say
from app.core.errors import UsageError


@contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """Raises ``UsageError`` where it cannot be read."""
    if file == "-":
        if sys.stdin.isatty():
            say("reading from the terminal; end with Ctrl-D")
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb", buffering=1 << 20)  # noqa: SIM115 - closed below
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise UsageError(f"{file}: cannot be read ({reason})") from None
    with stream:
        try:
            yield stream
        except IsADirectoryError:
            raise UsageError(f"{file}: this is a directory") from None
