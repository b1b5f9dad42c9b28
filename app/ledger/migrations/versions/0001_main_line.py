"""The main line: jobs, items, chunks, asks, attempts, votes, decisions, health; their guards and views."""

from pathlib import Path

from alembic import op

from app.ledger.states import TRANSITIONS

revision = "0001"
down_revision = None

_GUARDED = ("jobs", "items", "chunks", "asks", "attempts")

# Rows are rewritten once or twice in place: room on the page keeps those updates out of the indexes.
_FILLFACTOR = {"items": 80, "attempts": 70, "asks": 70, "chunks": 70}

_REFUSE = """
CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no transition of % from % to %', TG_TABLE_NAME, OLD.state, NEW.state
        USING ERRCODE = 'check_violation';
END $$
"""

_APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'attempts that are closed stay as they are (%)', OLD.id USING ERRCODE = 'check_violation';
END $$
"""

_VIEWS = """
CREATE VIEW v_attempts AS
SELECT a.id, a.job_id, i.custom_id, a.seat, a.try, a.purpose, a.provider, a.deployment, a.state AS outcome,
       a.failure_kind, a.status, a.latency_ms, a.input_tokens + a.cached_tokens AS input_tokens,
       a.output_tokens + a.reasoning_tokens AS output_tokens, a.cost_micro / 1e6 AS cost_usd,
       a.started_at, a.closed_at, a.flags, a.late, a.text
FROM attempts a LEFT JOIN items i ON i.id = a.item_id;

CREATE VIEW v_decisions AS
SELECT d.job_id, i.n, i.custom_id, d.status, d.answer, i.gold, d.answer = i.gold AS correct, d.agreement,
       d.confidence, d.votes, d.abstentions, d.calls, d.cost_micro / 1e6 AS cost_usd, d.latency_ms, d.flags,
       d.reason, d.decided_at
FROM decisions d JOIN items i ON i.id = d.item_id;

CREATE VIEW v_spend AS
SELECT a.id AS attempt_id, coalesce(j.team, '-') AS team, coalesce(j.use_case, '-') AS use_case,
       coalesce(j.tier, '-') AS tier, coalesce(split_part(j.recipe, '@', 1), a.purpose) AS strategy,
       a.provider, a.deployment AS model, (a.started_at AT TIME ZONE 'UTC')::date AS day, a.state AS outcome,
       a.input_tokens + a.cached_tokens AS input_tokens, a.output_tokens + a.reasoning_tokens AS output_tokens,
       a.cost_micro
FROM attempts a LEFT JOIN jobs j ON j.id = a.job_id;
"""


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text())
    for table, percent in _FILLFACTOR.items():
        op.execute(f"ALTER TABLE {table} SET (fillfactor = {percent})")
    op.execute(_REFUSE)
    op.execute(_APPEND_ONLY)
    for table in _GUARDED:
        allowed = TRANSITIONS[table][1]
        pairs = ", ".join(f"('{old}', '{new}')" for old, new in sorted(allowed))
        op.execute(
            f"CREATE TRIGGER {table}_transition BEFORE UPDATE OF state ON {table} FOR EACH ROW "
            f"WHEN (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN ({pairs})) "
            "EXECUTE FUNCTION refuse_transition()"
        )
    # Once closed, an attempt is history; only an ambiguous one may learn late what it cost.
    op.execute(
        "CREATE TRIGGER attempts_closed BEFORE UPDATE ON attempts FOR EACH ROW "
        "WHEN (OLD.state NOT IN ('open', 'ambiguous') OR (OLD.state = 'ambiguous' AND OLD.late)) "
        "EXECUTE FUNCTION refuse_change()"
    )
    for statement in filter(str.strip, _VIEWS.split(";")):
        op.execute(statement)
