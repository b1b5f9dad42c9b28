"""The ledger's tables. A job has items; chunks of them travel with a plan; asks put a chunk to a seat; attempts are
single calls; votes are what seats said; decisions are verdicts as written down.

Ids of rows are ``bigint``; a job's id is text that people can read. Money is ``bigint`` micro-dollars. Tokens lie
in four disjoint buckets whose sum is what the provider counted.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from app.ledger.states import TRANSITIONS

metadata = MetaData()


def _known_states(table: str) -> CheckConstraint:
    words = ", ".join(f"'{state.value}'" for state in TRANSITIONS[table][0])
    return CheckConstraint(f"state IN ({words})", name=f"{table}_state_known")


def _moment(name: str, *, default: bool = False, nullable: bool = True) -> Column[object]:
    return Column(
        name,
        DateTime(timezone=True),
        nullable=nullable and not default,
        server_default=text("clock_timestamp()") if default else None,
    )


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
    _moment("deadline_at", nullable=False),
    _moment("created_at", default=True),
    _moment("finished_at"),
    _known_states("jobs"),
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
    _known_states("items"),
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
    _moment("wake_at"),
    _moment("created_at", default=True),
    _moment("done_at"),
    _known_states("chunks"),
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
    _moment("lease_until", nullable=False),
    _moment("created_at", default=True),
    _moment("done_at"),
    Column("pack", SmallInteger, nullable=False, server_default="1"),
    _known_states("asks"),
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
    _moment("started_at", default=True),
    _moment("closed_at"),
    # Of a call that carries several: in the order in which they share its cost. It has no item_id then.
    Column("item_ids", ARRAY(BigInteger)),
    _known_states("attempts"),
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
    _moment("cast_at", default=True),
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
    _moment("decided_at", default=True),
    # How many of the calls were packed: those are other items' calls, too.
    Column("packed", SmallInteger, nullable=False, server_default="0"),
    CheckConstraint("status IN ('decided', 'undecided', 'failed')", name="decisions_status_known"),
    CheckConstraint("(status = 'decided') = (answer IS NOT NULL)", name="decisions_answer_iff_decided"),
    Index("decisions_job", "job_id", "item_id"),
)

# A decision that a retry has taken back: what was decided before, and when it was withdrawn.
withdrawn = Table(
    "withdrawn_decisions",
    metadata,
    Column("item_id", BigInteger, nullable=False),
    Column("decision", JSONB, nullable=False),
    _moment("withdrawn_at", default=True),
    Index("withdrawn_item", "item_id"),
)

# What the health monitor knows of each deployment. Redis may forget; this does not. ``leaning``, ``streak``: the state
# that the last looks pointed to, and how many of them in a row: a state changes when they suffice.
health = Table(
    "health",
    metadata,
    Column("deployment", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("latency_ms", Integer),
    _moment("since", default=True),
    _moment("checked_at", default=True),
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
    _moment("at", default=True),
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
    _moment("since", default=True),
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
    _moment("learned_at", default=True),
    _moment("expires_at", nullable=False),
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
    _moment("since", default=True),
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
    _moment("created_at", default=True),
    _moment("next_at", default=True),
    _moment("sent_at"),
    Index("alert_notices_waiting", "next_at", postgresql_where=text("sent_at IS NULL")),
)

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
    _moment("ruled_at", default=True),
)

# Bandits that are turned off.
frozen_bandits = Table(
    "frozen_bandits",
    metadata,
    Column("team", Text, primary_key=True),
    Column("use_case", Text, primary_key=True),
    _moment("frozen_at", default=True),
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
    _moment("at", default=True),
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
    _moment("learned_at", default=True),
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
    _moment("learned_at", default=True),
)

# When a use case was last learned from, and from how much.
schooled = Table(
    "schooled",
    metadata,
    Column("team", Text, primary_key=True),
    Column("use_case", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    _moment("learned_at", nullable=False),
    Column("votes", Integer, nullable=False),
)
