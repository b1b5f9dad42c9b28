"""A job has items; chunks of them travel with a plan; asks put a chunk to a seat; attempts are single calls; votes are
what seats said; decisions are verdicts as written down."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from app.ledger.tables.metadata import known_states, metadata, moment

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False, server_default="running"),
    Column("team", Text, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("task", JSONB, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("has_gold", Boolean, nullable=False),
    Column("max_cost_micro", BigInteger),
    Column("cached_ok", Boolean, nullable=False, server_default="false"),
    # The job's own wishes of those who answer, see core.routing; those that are not its own are left out.
    Column("routing", JSONB, nullable=False, server_default="{}"),
    # Of all that is asked beside the item's text; equal for one team: votes of one job are votes in the other.
    Column("question_hash", UUID),
    # Are identical items asked once, and votes of others taken that were cast meanwhile?
    Column("dedupe", Boolean, nullable=False, server_default="true"),
    # Votes so many seconds older than the job count as well.
    Column("reuse_votes_s", Float),
    # Items that go into one call at most; 0 until a trial has found out how many, and what that trial showed.
    Column("pack", SmallInteger, nullable=False, server_default="1"),
    Column("pack_trial", JSONB),
    Column("idempotency_key", Text),
    Column("body_hash", Text, nullable=False),
    # How the recipe of an item is chosen where there are several, see core.choices.
    Column("choice", JSONB),
    moment("deadline_at", nullable=False),
    moment("created_at", default=True),
    moment("finished_at"),
    known_states("jobs"),
    UniqueConstraint("team", "idempotency_key"),
    Index("jobs_choice", "team", "use_case", postgresql_where=text("choice IS NOT NULL")),
    Index("jobs_live", "state", postgresql_where=text("state IN ('running', 'paused')")),
    Index("jobs_question", "team", "question_hash"),
)

items = Table(
    "items",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("custom_id", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("gold", Text),
    Column("state", Text, nullable=False, server_default="ready"),
    Column("chunk_id", BigInteger),
    # The turns of a chat, [[role, content], ...]; text holds them in one piece.
    Column("turns", JSONB),
    # Items of one lane travel together; the empty lane is the ordinary one, see core.routing.
    Column("lane", Text, nullable=False, server_default=""),
    # What was found out about it at the door.
    Column("traits", JSONB),
    # Of the normalised text: equal questions of one task have equal digests.
    Column("digest", UUID),
    # The item before it in the job that asks the same, and how alike they are where they are not identical.
    Column("same_as", BigInteger),
    Column("similarity", REAL),
    known_states("items"),
    UniqueConstraint("job_id", "custom_id"),
    Index("items_ready", "job_id", "n", postgresql_where=text("state = 'ready'")),
    Index("items_digest", "digest", postgresql_where=text("digest IS NOT NULL")),
    Index("items_same_as", "same_as", postgresql_where=text("same_as IS NOT NULL")),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id"), nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("plan", JSONB, nullable=False),
    Column("item_ids", ARRAY(BigInteger), nullable=False),
    Column("lane", Text, nullable=False, server_default=""),
    moment("wake_at"),
    moment("created_at", default=True),
    moment("done_at"),
    known_states("chunks"),
    Index("chunks_live", "job_id", postgresql_where=text("state <> 'done'")),
)

asks = Table(
    "asks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("chunk_id", BigInteger, ForeignKey("chunks.id"), nullable=False),
    Column("wave", SmallInteger, nullable=False),
    Column("seat", SmallInteger, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="sent"),
    Column("item_ids", ARRAY(BigInteger), nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("worker", Text),
    Column("rings", SmallInteger, nullable=False, server_default="1"),
    Column("takes", SmallInteger, nullable=False, server_default="0"),
    # Its calls take longer than they mostly do: who hedges asks somebody else beside it.
    Column("slow", Boolean, nullable=False, server_default="false"),
    moment("lease_until", nullable=False),
    moment("created_at", default=True),
    moment("done_at"),
    Column("pack", SmallInteger, nullable=False, server_default="1"),
    known_states("asks"),
    Index("asks_chunk", "chunk_id"),
    Index("asks_live", "provider", postgresql_where=text("state <> 'done'")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # A ping belongs to no job: its job, chunk, item and seat are null.
    Column("job_id", Text),
    Column("chunk_id", BigInteger),
    Column("item_id", BigInteger),
    Column("seat", SmallInteger),
    Column("try", SmallInteger, nullable=False, server_default="1"),
    Column("purpose", Text, nullable=False, server_default="vote"),
    Column("provider", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("failure_kind", Text),
    Column("status", SmallInteger),
    Column("latency_ms", Integer),
    Column("input_tokens", Integer, nullable=False, server_default="0"),
    Column("cached_tokens", Integer, nullable=False, server_default="0"),
    Column("output_tokens", Integer, nullable=False, server_default="0"),
    Column("reasoning_tokens", Integer, nullable=False, server_default="0"),
    # Null: nobody knows the price, so nobody knows the cost.
    Column("input_price_micro", BigInteger),
    Column("output_price_micro", BigInteger),
    Column("cost_micro", BigInteger, server_default="0"),
    Column("text", Text),
    Column("flags", ARRAY(Text)),
    Column("late", Boolean, nullable=False, server_default="false"),
    Column("reserved_tokens", Integer, nullable=False, server_default="0"),
    # Which key of its provider made the call: the name of its variable or file, never the key.
    Column("key_ref", Text),
    moment("started_at", default=True),
    moment("closed_at"),
    # Of a call that carries several: in the order in which they share its cost. It has no item_id then.
    Column("item_ids", ARRAY(BigInteger)),
    known_states("attempts"),
    UniqueConstraint("item_id", "chunk_id", "seat", "try"),
    Index(
        "attempts_packs",
        *("job_id", "chunk_id", "seat", text("(item_ids[1])"), "try"),
        unique=True,
        postgresql_where=text("item_ids IS NOT NULL"),
    ),
    Index("attempts_open", "provider", postgresql_where=text("state = 'open'")),
    Index("attempts_started", "started_at", postgresql_using="brin"),
)

votes = Table(
    "votes",
    metadata,
    Column("item_id", BigInteger, nullable=False),
    Column("chunk_id", BigInteger, nullable=False),
    Column("seat", SmallInteger, nullable=False),
    Column("attempt_id", BigInteger),
    Column("answer", Text),
    Column("failure_kind", Text),
    Column("tries", SmallInteger, nullable=False),
    Column("flags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("reason", Text),
    moment("cast_at", default=True),
    # Tokens that the question would take, where it was too long for the seat.
    Column("needs", Integer),
    PrimaryKeyConstraint("chunk_id", "item_id", "seat"),
    CheckConstraint("answer IS NULL OR failure_kind IS NULL", name="votes_answer_or_failure"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("item_id", BigInteger, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("chunk_id", BigInteger),
    Column("status", Text, nullable=False),
    Column("answer", Text),
    Column("agreement", Float),
    Column("confidence", Float),
    Column("votes", SmallInteger, nullable=False),
    Column("abstentions", SmallInteger, nullable=False),
    Column("calls", SmallInteger, nullable=False),
    Column("cost_micro", BigInteger),
    Column("latency_ms", BigInteger, nullable=False),
    Column("flags", ARRAY(Text), nullable=False),
    Column("reason", Text),
    Column("ballots", JSONB, nullable=False),
    moment("decided_at", default=True),
    # How many of the calls were packed: those are other items' calls, too.
    Column("packed", SmallInteger, nullable=False, server_default="0"),
    CheckConstraint("status IN ('decided', 'undecided', 'failed')", name="decisions_status_known"),
    CheckConstraint("(status = 'decided') = (answer IS NOT NULL)", name="decisions_answer_iff_decided"),
    Index("decisions_job", "job_id", "item_id"),
    # Reports of a span of time look at the decisions of that span.
    Index("decisions_decided", "decided_at", postgresql_using="brin"),
)

# A decision that a retry has taken back: what was decided before, and when it was withdrawn.
withdrawn = Table(
    "withdrawn_decisions",
    metadata,
    Column("item_id", BigInteger, nullable=False),
    Column("decision", JSONB, nullable=False),
    moment("withdrawn_at", default=True),
    Index("withdrawn_item", "item_id"),
)
