"""The newspaper: editions, what they were made from, and where they went."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.ledger.tables.metadata import known_states, metadata, moment

# One row an edition and its reprints: whoever opens it first has opened it, the others find it there. ``settings``:
# the paper as its file had it then. ``document``: the edition as printed, once it is made.
editions = Table(
    "editions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("paper", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("date", Date, nullable=False),
    Column("run", SmallInteger, nullable=False, server_default="1"),
    Column("state", Text, nullable=False, server_default="open"),
    Column("settings", JSONB, nullable=False),
    Column("base", Text, nullable=False),
    Column("specimen", Boolean, nullable=False, server_default="false"),
    Column("late", Boolean, nullable=False, server_default="false"),
    moment("opened_at", nullable=False),
    moment("deadline_at", nullable=False),
    moment("gathered_at"),
    moment("made_at"),
    moment("published_at"),
    Column("document", JSONB),
    # The yard's own numbers that it was printed with: figures and charts, counted once.
    Column("figures", JSONB),
    UniqueConstraint("paper", "kind", "date", "run", name="editions_once"),
    CheckConstraint("kind IN ('daily', 'weekly', 'growth')", name="editions_kind_known"),
    known_states("editions"),
    Index("editions_unfinished", "id", postgresql_where=text("state <> 'published'")),
)

# What was gathered for it, in the order of its feeds.
edition_articles = Table(
    "edition_articles",
    metadata,
    Column("edition_id", BigInteger, ForeignKey("editions.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("body", JSONB, nullable=False),
)

# What became of each feed, in the order of the paper's file.
edition_feeds = Table(
    "edition_feeds",
    metadata,
    Column("edition_id", BigInteger, ForeignKey("editions.id"), primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("report", JSONB, nullable=False),
)

# The jobs that make it. ``job_id`` null: the step was passed over, and ``said`` tells why. Once it is closed, what the
# job says later changes nothing: ``answers`` is what the making goes on with.
edition_steps = Table(
    "edition_steps",
    metadata,
    Column("edition_id", BigInteger, ForeignKey("editions.id"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id")),
    moment("due_at", nullable=False),
    moment("begun_at", nullable=False),
    moment("closed_at"),
    Column("answers", JSONB),
    Column("said", Text, nullable=False, server_default=""),
)

# What has been printed: an article that ran is no news the next day.
printed_articles = Table(
    "printed_articles",
    metadata,
    Column("paper", Text, primary_key=True),
    Column("article", Text, primary_key=True),
    Column("edition_id", BigInteger, ForeignKey("editions.id"), nullable=False),
)

# Where an edition went, a row a target: tried again until it is taken or given up. ``place``: where that was when it
# was taken, for people, without what is secret of it.
publications = Table(
    "publications",
    metadata,
    Column("edition_id", BigInteger, ForeignKey("editions.id"), primary_key=True),
    Column("target", Text, primary_key=True),
    Column("place", Text),
    Column("tries", SmallInteger, nullable=False, server_default="0"),
    Column("said", Text),
    Column("given_up", Boolean, nullable=False, server_default="false"),
    moment("next_at", default=True),
    moment("done_at"),
)

# The last good answer of each feed, for conditional requests and for nights when it cannot be had. ``url`` of an
# article's page likewise.
feed_answers = Table(
    "feed_answers",
    metadata,
    Column("url", Text, primary_key=True),
    Column("etag", Text),
    Column("last_modified", Text),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    moment("fetched_at", default=True),
    moment("checked_at", default=True),
)
