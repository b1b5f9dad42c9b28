"""What became of answers, what was learned from it, and what was ruled by it."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
)

from app.ledger.tables.metadata import metadata, moment

# A guarantee's blocks: what their audit heard, by votes for the cheap answer, and what was ruled for the rest of them.
guarantee_blocks = Table(
    "guarantee_blocks",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("block", SmallInteger, primary_key=True),
    Column("heard", ARRAY(Integer), nullable=False),
    Column("differ", ARRAY(Integer), nullable=False),
    Column("threshold", Float, nullable=False),
    Column("audited", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("bound", Integer, nullable=False),
    Column("stopped", Boolean, nullable=False),
    moment("ruled_at", default=True),
)

# Bandits that are turned off.
frozen_bandits = Table(
    "frozen_bandits",
    metadata,
    Column("team", Text, primary_key=True),
    Column("use_case", Text, primary_key=True),
    moment("frozen_at", default=True),
)

# What was said of an item's answer, however late. The last one counts, the others are kept.
outcomes = Table(
    "outcomes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("item_id", BigInteger, ForeignKey("items.id"), nullable=False),
    Column("said", Text, nullable=False),
    # The answer that was accepted or rejected, or the true label.
    Column("answer", Text, nullable=False),
    Column("door", Text, nullable=False),
    moment("at", default=True),
    CheckConstraint("said IN ('accepted', 'rejected', 'label')", name="outcomes_said_known"),
    Index("outcomes_item", "item_id", "id"),
    Index("outcomes_job", "job_id", "id"),
)

# How often a deployment was right for a use case, by the true label ('': all); '*' is every team and use case.
skills = Table(
    "skills",
    metadata,
    Column("team", Text, primary_key=True),
    Column("use_case", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("deployment", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    # Questions, and those answered rightly, by where that is known from.
    Column("outcomes", Float, nullable=False),
    Column("outcomes_right", Float, nullable=False),
    Column("gold", Float, nullable=False),
    Column("gold_right", Float, nullable=False),
    Column("agreement", Float, nullable=False),
    Column("agreement_right", Float, nullable=False),
    # What of it may be weighed, see core.accuracy.Evidence.
    Column("evidence", ARRAY(Float), nullable=False),
    Column("n", Float, nullable=False),
    Column("accuracy", Float),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
    moment("learned_at", default=True),
)

# Deployments that were wrong together, as core.kinship measures it.
kinship = Table(
    "kinship",
    metadata,
    Column("team", Text, primary_key=True),
    Column("use_case", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("first", Text, primary_key=True),
    Column("second", Text, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("either", Integer, nullable=False),
    Column("same", Integer, nullable=False),
    Column("kinship", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("clones", Boolean, nullable=False),
    moment("learned_at", default=True),
)

# When a use case was last learned from, and from how much.
schooled = Table(
    "schooled",
    metadata,
    Column("team", Text, primary_key=True),
    Column("use_case", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    moment("learned_at", nullable=False),
    Column("votes", Integer, nullable=False),
)
