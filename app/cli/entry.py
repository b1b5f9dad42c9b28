"""The console script: the commands put together, and errors turned into a sentence and an exit code.

The modules of commands import what they need inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys

import typer

from app.cli import (
    alerts,
    choice,
    demo,
    drill,
    fleet,
    hear,
    jobs,
    outcomes,
    press,
    receipt,
    replay,
    run,
    simulate,
    submit,
)  # fmt: skip
from app.core.errors import ServiceMissing, SwitchyardError, UsageError

_WRONG, _MISSING = 2, 3


def application() -> typer.Typer:
    app = typer.Typer(
        name="switchyard",
        help="Bulk answers from a fleet of unreliable large language model providers.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in (
        demo,
        press,
        run,
        submit,
        jobs,
        choice,
        outcomes,
        receipt,
        replay,
        fleet,
        alerts,
        drill,
        simulate,
        hear,
    ):
        module.register(app)
    return app


def main() -> None:
    """Run one command and leave with its exit code. A mistake of the caller is a sentence, never a traceback."""
    try:
        application()()
    except SwitchyardError as error:
        _leave(error)
    except Exception as error:
        known = _known(error)
        if known is None:
            raise
        _leave(known)
    finally:
        _flush()


def _leave(error: SwitchyardError) -> None:
    from app.cli.output import say

    say(f"switchyard: {error}")
    if error.hint:
        say(f"  hint: {error.hint}")
    sys.exit(_MISSING if isinstance(error, ServiceMissing) else _WRONG)


def _known(error: Exception) -> SwitchyardError | None:
    """Foreign exceptions that have a plain meaning at this door. Their own text may hold data, so little is kept."""
    from redis.exceptions import RedisError
    from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

    if isinstance(error, DBAPIError) and type(error.orig).__name__ == "UndefinedTable":
        return ServiceMissing("this database holds no ledger yet", hint="run switchyard migrate")
    if isinstance(error, (OperationalError, InterfaceError)):
        said = str(error.orig).strip().splitlines()
        return ServiceMissing(
            f"Postgres does not answer: {said[0] if said else type(error.orig).__name__}",
            hint="check SWITCHYARD_DATABASE_URL, or start a yard with switchyard up",
        )
    if isinstance(error, (ArgumentError, NoSuchModuleError)):
        return UsageError("SWITCHYARD_DATABASE_URL is not a database URL")
    if isinstance(error, UnicodeEncodeError):
        return UsageError("an argument is not UTF-8 text")
    if isinstance(error, RedisError):
        return ServiceMissing(
            f"Redis does not answer ({type(error).__name__})",
            hint="check SWITCHYARD_REDIS_URL, or start a yard with switchyard up",
        )
    return None


def _flush() -> None:
    """What is still buffered, before Python does it and complains where nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
