"""Weather: prices that may be unknown, keys, learned limits, the history of health, alerts."""

from alembic import op

revision = "0002"
down_revision = "0001"

_CHANGES = """
ALTER TABLE jobs ADD COLUMN cached_ok boolean NOT NULL DEFAULT false;

-- Which key of its provider a call was made with: the name of its variable or file, never the key.
ALTER TABLE attempts ADD COLUMN key_ref text;
-- NULL: nobody knows the price, so nobody knows the cost. Never zero for unknown.
ALTER TABLE attempts ALTER COLUMN input_price_micro DROP NOT NULL;
ALTER TABLE attempts ALTER COLUMN output_price_micro DROP NOT NULL;
ALTER TABLE attempts ALTER COLUMN cost_micro DROP NOT NULL;
ALTER TABLE decisions ALTER COLUMN cost_micro DROP NOT NULL;

-- Tokens that a question would take, where it was too long for its seat.
ALTER TABLE votes ADD COLUMN needs integer;
-- The turns of a chat, [[role, content], ...]; text holds them in one piece.
ALTER TABLE items ADD COLUMN turns jsonb;

ALTER TABLE health DROP CONSTRAINT health_state_known;
ALTER TABLE health ADD CONSTRAINT health_state_known CHECK (state IN ('healthy', 'degraded', 'down', 'out'));
-- The state that the last looks pointed to, and how many of them in a row: a state changes when they suffice.
ALTER TABLE health ADD COLUMN leaning text;
ALTER TABLE health ADD COLUMN streak smallint NOT NULL DEFAULT 0;

CREATE TABLE health_history (
    deployment text NOT NULL,
    state text NOT NULL,
    reason text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX health_history_at ON health_history (deployment, at);
INSERT INTO health_history (deployment, state, reason, at) SELECT deployment, state, reason, since FROM health;

-- Keys that a provider refused: out until a ping with them succeeds.
CREATE TABLE key_health (
    provider text NOT NULL,
    key_ref text NOT NULL,
    state text NOT NULL,
    reason text,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, key_ref),
    CONSTRAINT key_health_state_known CHECK (state IN ('healthy', 'out'))
);

-- What a scope's provider showed to allow, where that is not what the fleet file says.
CREATE TABLE learned_limits (
    scope text NOT NULL,
    rule text NOT NULL,
    value bigint NOT NULL,
    why text NOT NULL,
    learned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (scope, rule)
);

CREATE TABLE alerts (
    name text NOT NULL,
    subject text NOT NULL,
    firing boolean NOT NULL,
    value double precision,
    threshold double precision,
    message text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, subject)
);

-- One row for each change of an alert and each sink that is to hear of it.
CREATE TABLE alert_notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    subject text NOT NULL,
    firing boolean NOT NULL,
    value double precision,
    threshold double precision,
    message text NOT NULL,
    sink text NOT NULL,
    tries smallint NOT NULL DEFAULT 0,
    error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
);
CREATE INDEX alert_notices_waiting ON alert_notices (next_at) WHERE sent_at IS NULL;
"""


def upgrade() -> None:
    op.execute(_CHANGES)
