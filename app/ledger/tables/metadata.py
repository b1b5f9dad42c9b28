"""The one metadata of the ledger, and the columns that many tables have."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    MetaData,
    text,
)

from app.ledger.states import TRANSITIONS

metadata = MetaData()


def known_states(table: str) -> CheckConstraint:
    """``state`` is one of those that ``app.ledger.states`` lists for the table."""
    words = ", ".join(f"'{state.value}'" for state in TRANSITIONS[table][0])
    return CheckConstraint(f"state IN ({words})", name=f"{table}_state_known")


def moment(name: str, *, default: bool = False, nullable: bool = True) -> Column[object]:
    """A time with its zone; with ``default`` that of the insert."""
    return Column(
        name,
        DateTime(timezone=True),
        nullable=nullable and not default,
        server_default=text("clock_timestamp()") if default else None,
    )
