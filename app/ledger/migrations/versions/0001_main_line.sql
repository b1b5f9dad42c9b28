-- The tables of 0001 as they were: later migrations change them, this file never.

CREATE TABLE attempts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    job_id TEXT,
    chunk_id BIGINT,
    item_id BIGINT,
    seat SMALLINT,
    try SMALLINT DEFAULT '1' NOT NULL,
    purpose TEXT DEFAULT 'vote' NOT NULL,
    provider TEXT NOT NULL,
    deployment TEXT NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    failure_kind TEXT,
    status SMALLINT,
    latency_ms INTEGER,
    input_tokens INTEGER DEFAULT '0' NOT NULL,
    cached_tokens INTEGER DEFAULT '0' NOT NULL,
    output_tokens INTEGER DEFAULT '0' NOT NULL,
    reasoning_tokens INTEGER DEFAULT '0' NOT NULL,
    input_price_micro BIGINT NOT NULL,
    output_price_micro BIGINT NOT NULL,
    cost_micro BIGINT DEFAULT '0' NOT NULL,
    text TEXT,
    flags TEXT[],
    late BOOLEAN DEFAULT 'false' NOT NULL,
    reserved_tokens INTEGER DEFAULT '0' NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT attempts_state_known CHECK (state IN ('open', 'answered', 'failed', 'ambiguous', 'unsent')),
    UNIQUE (item_id, chunk_id, seat, try)
);

CREATE INDEX attempts_open ON attempts (provider) WHERE state = 'open';

CREATE INDEX attempts_started ON attempts USING brin (started_at);

CREATE TABLE decisions (
    item_id BIGSERIAL NOT NULL,
    job_id TEXT NOT NULL,
    chunk_id BIGINT,
    status TEXT NOT NULL,
    answer TEXT,
    agreement FLOAT,
    confidence FLOAT,
    votes SMALLINT NOT NULL,
    abstentions SMALLINT NOT NULL,
    calls SMALLINT NOT NULL,
    cost_micro BIGINT NOT NULL,
    latency_ms BIGINT NOT NULL,
    flags TEXT[] NOT NULL,
    reason TEXT,
    ballots JSONB NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (item_id),
    CONSTRAINT decisions_status_known CHECK (status IN ('decided', 'undecided', 'failed')),
    CONSTRAINT decisions_answer_iff_decided CHECK ((status = 'decided') = (answer IS NOT NULL))
);

CREATE INDEX decisions_job ON decisions (job_id, item_id);

CREATE TABLE health (
    deployment TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    latency_ms INTEGER,
    since TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    checked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (deployment),
    CONSTRAINT health_state_known CHECK (state IN ('healthy', 'down', 'out'))
);

CREATE TABLE jobs (
    id TEXT NOT NULL,
    state TEXT DEFAULT 'running' NOT NULL,
    team TEXT NOT NULL,
    use_case TEXT NOT NULL,
    tier TEXT NOT NULL,
    recipe TEXT NOT NULL,
    task JSONB NOT NULL,
    priority INTEGER NOT NULL,
    items BIGINT NOT NULL,
    has_gold BOOLEAN NOT NULL,
    max_cost_micro BIGINT,
    idempotency_key TEXT,
    body_hash TEXT NOT NULL,
    deadline_at TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT jobs_state_known CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    UNIQUE (team, idempotency_key)
);

CREATE INDEX jobs_live ON jobs (state) WHERE state IN ('running', 'paused');

CREATE TABLE votes (
    item_id BIGINT NOT NULL,
    chunk_id BIGINT NOT NULL,
    seat SMALLINT NOT NULL,
    attempt_id BIGINT,
    answer TEXT,
    failure_kind TEXT,
    tries SMALLINT NOT NULL,
    flags TEXT[] DEFAULT '{}' NOT NULL,
    reason TEXT,
    cast_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    PRIMARY KEY (chunk_id, item_id, seat),
    CONSTRAINT votes_answer_or_failure CHECK (answer IS NULL OR failure_kind IS NULL)
);

CREATE TABLE withdrawn_decisions (
    item_id BIGINT NOT NULL,
    decision JSONB NOT NULL,
    withdrawn_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL
);

CREATE INDEX withdrawn_item ON withdrawn_decisions (item_id);

CREATE TABLE chunks (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    job_id TEXT NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    plan JSONB NOT NULL,
    item_ids BIGINT[] NOT NULL,
    wake_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT chunks_state_known CHECK (state IN ('open', 'parked', 'done')),
    FOREIGN KEY(job_id) REFERENCES jobs (id)
);

CREATE INDEX chunks_live ON chunks (job_id) WHERE state <> 'done';

CREATE TABLE items (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    job_id TEXT NOT NULL,
    n BIGINT NOT NULL,
    custom_id TEXT NOT NULL,
    text TEXT NOT NULL,
    gold TEXT,
    state TEXT DEFAULT 'ready' NOT NULL,
    chunk_id BIGINT,
    PRIMARY KEY (id),
    CONSTRAINT items_state_known CHECK (state IN ('ready', 'planned', 'decided')),
    UNIQUE (job_id, custom_id),
    FOREIGN KEY(job_id) REFERENCES jobs (id)
);

CREATE INDEX items_ready ON items (job_id, n) WHERE state = 'ready';

CREATE TABLE asks (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    chunk_id BIGINT NOT NULL,
    wave SMALLINT NOT NULL,
    seat SMALLINT NOT NULL,
    deployment TEXT NOT NULL,
    provider TEXT NOT NULL,
    state TEXT DEFAULT 'sent' NOT NULL,
    item_ids BIGINT[] NOT NULL,
    tries SMALLINT NOT NULL,
    worker TEXT,
    rings SMALLINT DEFAULT '1' NOT NULL,
    takes SMALLINT DEFAULT '0' NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT asks_state_known CHECK (state IN ('sent', 'running', 'done')),
    FOREIGN KEY(chunk_id) REFERENCES chunks (id)
);

CREATE INDEX asks_chunk ON asks (chunk_id);

CREATE INDEX asks_live ON asks (provider) WHERE state <> 'done';
