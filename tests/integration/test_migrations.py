"""The tables as the code knows them are the tables that the migrations make."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from app.ledger.tables import metadata


def test_migrations_make_the_tables_that_the_code_knows(ledger: Engine) -> None:
    with ledger.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_comparison_sees_a_difference(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE health DROP COLUMN leaning")
    with ledger.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert [change[0] for change in compare_metadata(context, metadata)] == ["add_column"]
