"""What is watched: the health of deployments and keys, the limits they showed, and alerts."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)

from app.ledger.tables.metadata import metadata, moment

# What the health monitor knows of each deployment. Redis may forget; this does not. ``leaning``, ``streak``: the state
# that the last looks pointed to, and how many of them in a row: a state changes when they suffice.
health = Table(
    "health",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("latency_ms", Integer),
    moment("since", default=True),
    moment("checked_at", default=True),
    Column("leaning", Text),
    Column("streak", SmallInteger, nullable=False, server_default="0"),
    CheckConstraint("state IN ('healthy', 'degraded', 'down', 'out')", name="health_state_known"),
)

# Each change of a deployment's health.
health_history = Table(
    "health_history",
    metadata,
    Column("deployment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    moment("at", default=True),
    Index("health_history_at", "deployment", "at"),
)

# Keys that a provider refused: out until a ping with them succeeds.
key_health = Table(
    "key_health",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("key_ref", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    moment("since", default=True),
    CheckConstraint("state IN ('healthy', 'out')", name="key_health_state_known"),
)

# What a scope's provider showed to allow, where that is not what the fleet file says.
learned_limits = Table(
    "learned_limits",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    moment("learned_at", default=True),
    moment("expires_at", nullable=False),
)

# The state of each alert that ever fired, and the notices of its changes, one for each sink.
alerts = Table(
    "alerts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("firing", Boolean, nullable=False),
    Column("value", Float),
    Column("threshold", Float),
    Column("message", Text, nullable=False),
    moment("since", default=True),
)

alert_notices = Table(
    "alert_notices",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("firing", Boolean, nullable=False),
    Column("value", Float),
    Column("threshold", Float),
    Column("message", Text, nullable=False),
    Column("sink", Text, nullable=False),
    Column("tries", SmallInteger, nullable=False, server_default="0"),
    Column("error", Text),
    moment("created_at", default=True),
    moment("next_at", default=True),
    moment("sent_at"),
    Index("alert_notices_waiting", "next_at", postgresql_where=text("sent_at IS NULL")),
)
