"""The newspaper: editions, what they are made from, and where they went."""

from alembic import op

revision = "0004"
down_revision = "0003"

_CHANGES = """
-- One row an edition and its reprints: whoever opens it first has opened it, the others find it there. ``settings``:
-- the paper as its file had it then. ``document``: the edition as printed, once it is made. ``figures``: the yard's own
-- numbers that it was printed with, counted once.
CREATE TABLE editions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    paper text NOT NULL,
    kind text NOT NULL CONSTRAINT editions_kind_known CHECK (kind IN ('daily', 'weekly', 'growth')),
    date date NOT NULL,
    run smallint NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'open'
        CONSTRAINT editions_state_known CHECK (state IN ('open', 'made', 'published')),
    settings jsonb NOT NULL,
    base text NOT NULL,
    specimen boolean NOT NULL DEFAULT false,
    late boolean NOT NULL DEFAULT false,
    opened_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    gathered_at timestamptz,
    made_at timestamptz,
    published_at timestamptz,
    document jsonb,
    figures jsonb,
    CONSTRAINT editions_once UNIQUE (paper, kind, date, run)
);
CREATE INDEX editions_unfinished ON editions (id) WHERE state <> 'published';

-- What was gathered for it, in the order of its feeds.
CREATE TABLE edition_articles (
    edition_id bigint NOT NULL REFERENCES editions (id),
    n integer NOT NULL,
    body jsonb NOT NULL,
    PRIMARY KEY (edition_id, n)
);

-- What became of each feed, in the order of the paper's file.
CREATE TABLE edition_feeds (
    edition_id bigint NOT NULL REFERENCES editions (id),
    n integer NOT NULL,
    report jsonb NOT NULL,
    PRIMARY KEY (edition_id, n)
);

-- The jobs that make it. ``job_id`` null: the step was passed over, and ``said`` tells why. Once it is closed, what the
-- job says later changes nothing: ``answers`` is what the making goes on with.
CREATE TABLE edition_steps (
    edition_id bigint NOT NULL REFERENCES editions (id),
    step text NOT NULL,
    job_id text REFERENCES jobs (id),
    due_at timestamptz NOT NULL,
    begun_at timestamptz NOT NULL,
    closed_at timestamptz,
    answers jsonb,
    said text NOT NULL DEFAULT '',
    PRIMARY KEY (edition_id, step)
);

-- What has been printed: an article that ran is no news the next day.
CREATE TABLE printed_articles (
    paper text NOT NULL,
    article text NOT NULL,
    edition_id bigint NOT NULL REFERENCES editions (id),
    PRIMARY KEY (paper, article)
);

-- Where an edition went, a row a target: tried again until it is taken or given up. ``place``: where that was when it
-- was taken, for people, without what is secret of it.
CREATE TABLE publications (
    edition_id bigint NOT NULL REFERENCES editions (id),
    target text NOT NULL,
    place text,
    tries smallint NOT NULL DEFAULT 0,
    said text,
    given_up boolean NOT NULL DEFAULT false,
    next_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    PRIMARY KEY (edition_id, target)
);

-- The last good answer of a feed or page, for conditional requests and for nights when it cannot be had.
CREATE TABLE feed_answers (
    url text PRIMARY KEY,
    etag text,
    last_modified text,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A report of a week looks at the decisions of that week, and at no others.
CREATE INDEX decisions_decided ON decisions USING brin (decided_at);

CREATE TRIGGER editions_transition BEFORE UPDATE OF state ON editions FOR EACH ROW
WHEN (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (('open', 'made'), ('made', 'published')))
EXECUTE FUNCTION refuse_transition();
"""


def upgrade() -> None:
    op.execute(_CHANGES)
