"""Which of a provider's keys are out: refused, and not used until a ping with them succeeds.

A key is known here by its name (``key_ref``: the variable or file it stands in), never by itself.
"""

from __future__ import annotations

from sqlalchemy import Engine


def out(engine: Engine) -> dict[str, dict[str, str]]:
    """Provider → name of each key that is out → why."""
    with engine.begin() as connection:
        rows = connection.exec_driver_sql(
            "SELECT provider, key_ref, coalesce(reason, '') FROM key_health WHERE state = 'out'"
        )
        found: dict[str, dict[str, str]] = {}
        for provider, ref, reason in rows:
            found.setdefault(provider, {})[ref] = reason
        return found


def put_out(engine: Engine, provider: str, ref: str, reason: str) -> bool:
    """True where it was not out before."""
    with engine.begin() as connection:
        return bool(
            connection.exec_driver_sql(
                "INSERT INTO key_health AS k (provider, key_ref, state, reason) VALUES (%s, %s, 'out', %s)"
                " ON CONFLICT (provider, key_ref) DO UPDATE SET state = 'out', reason = excluded.reason,"
                " since = clock_timestamp() WHERE k.state <> 'out'",
                (provider, ref, reason),
            ).rowcount
        )


def take_back(engine: Engine, provider: str, ref: str) -> bool:
    """It works (again). True where it was out."""
    with engine.begin() as connection:
        return bool(
            connection.exec_driver_sql(
                "UPDATE key_health SET state = 'healthy', reason = NULL, since = clock_timestamp()"
                " WHERE provider = %s AND key_ref = %s AND state = 'out'",
                (provider, ref),
            ).rowcount
        )
