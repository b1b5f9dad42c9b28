"""Advisory locks of Postgres that are held over many transactions, or not had at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

# A machine that is gone without a word is found out in a minute and a half; the system's own default is two hours. Over
# a Unix socket there is no such machine, and the settings do nothing.
_KEEPALIVE = "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"


@contextmanager
def alone(engine: Engine, what: str, key: str) -> Iterator[bool]:
    """Does nobody else hold this lock? Held for the length of the block, and let go with the connection.

    Warning: a process that hangs holds it as long as it hangs. It spares work; no decision may rest on it.
    """
    with engine.connect() as connection:
        connection.exec_driver_sql(_KEEPALIVE)
        named = (what, key)
        held = bool(
            connection.exec_driver_sql("SELECT pg_try_advisory_lock(hashtext(%s), hashtext(%s))", named).scalar_one()
        )
        connection.commit()
        try:
            yield held
        finally:
            if held:
                connection.exec_driver_sql("SELECT pg_advisory_unlock(hashtext(%s), hashtext(%s))", named)
                connection.commit()
