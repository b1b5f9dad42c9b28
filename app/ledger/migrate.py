"""Brings a database to the newest schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

# Any number, as long as nobody else uses it: two releases at once must not both migrate.
_LOCK = 7_702_551


def upgrade(database_url: str) -> None:
    """Run the migrations that are missing. Safe to call at every start, by several processes at once."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
