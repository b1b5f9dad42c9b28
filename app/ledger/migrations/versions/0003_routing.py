"""Routing, votes that count, learning: terms and lanes."""

from alembic import op

revision = "0003"
down_revision = "0002"

_CHANGES = """
-- The job's own wishes of those who answer; those that are not its own are left out.
ALTER TABLE jobs ADD COLUMN routing jsonb NOT NULL DEFAULT '{}';

-- Items of one lane travel together; the empty lane is the ordinary one.
ALTER TABLE items ADD COLUMN lane text NOT NULL DEFAULT '';
-- What was found out about it at the door.
ALTER TABLE items ADD COLUMN traits jsonb;
-- Of the normalised text: equal questions of one task have equal digests.
ALTER TABLE items ADD COLUMN digest uuid;

ALTER TABLE chunks ADD COLUMN lane text NOT NULL DEFAULT '';

-- Packs: items that go into one call at most; 0 until a trial has found out how many.
ALTER TABLE jobs ADD COLUMN pack smallint NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN pack_trial jsonb;
ALTER TABLE asks ADD COLUMN pack smallint NOT NULL DEFAULT 1;
-- A call that carries several items has them here, in the order in which they share its cost, and no item_id.
ALTER TABLE attempts ADD COLUMN item_ids bigint[];
CREATE UNIQUE INDEX attempts_packs ON attempts (job_id, chunk_id, seat, (item_ids[1]), try)
    WHERE item_ids IS NOT NULL;
-- How many of the calls were packed: those are other items' calls, too.
ALTER TABLE decisions ADD COLUMN packed smallint NOT NULL DEFAULT 0;
-- Its calls take longer than they mostly do: who hedges asks somebody else beside it.
ALTER TABLE asks ADD COLUMN slow boolean NOT NULL DEFAULT false;
"""

_SAMENESS = """
-- Of all that is asked beside the item's text; equal for one team: votes of one job are votes in the other.
ALTER TABLE jobs ADD COLUMN question_hash uuid;
-- Are identical items asked once, and votes of others taken that were cast meanwhile?
ALTER TABLE jobs ADD COLUMN dedupe boolean NOT NULL DEFAULT true;
-- Votes so many seconds older than the job count as well.
ALTER TABLE jobs ADD COLUMN reuse_votes_s double precision;
CREATE INDEX jobs_question ON jobs (team, question_hash);

-- The item before it in the job that asks the same, and how alike they are where they are not identical.
ALTER TABLE items ADD COLUMN same_as bigint;
ALTER TABLE items ADD COLUMN similarity real;
CREATE INDEX items_digest ON items (digest) WHERE digest IS NOT NULL;
CREATE INDEX items_same_as ON items (same_as) WHERE same_as IS NOT NULL;
ALTER TABLE items DROP CONSTRAINT items_state_known;
ALTER TABLE items ADD CONSTRAINT items_state_known CHECK (state IN ('ready', 'planned', 'decided', 'double'));
DROP TRIGGER items_transition ON items;
CREATE TRIGGER items_transition BEFORE UPDATE OF state ON items FOR EACH ROW
WHEN (OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (
    ('ready', 'planned'), ('ready', 'decided'), ('planned', 'decided'), ('decided', 'ready'),
    ('ready', 'double'), ('double', 'decided'), ('decided', 'double')))
EXECUTE FUNCTION refuse_transition();
"""

_CHOICES = """
-- How the recipe of an item is chosen where the job has several: an experiment, a bandit, a guarantee. The state that
-- changes with it (a winner, a stop) stands in it, too.
ALTER TABLE jobs ADD COLUMN choice jsonb;
CREATE INDEX jobs_choice ON jobs (team, use_case) WHERE choice IS NOT NULL;

-- A guarantee's blocks: what their audit heard, by votes for the cheap answer, and what was ruled for the rest of them.
CREATE TABLE guarantee_blocks (
    job_id text NOT NULL REFERENCES jobs (id),
    block smallint NOT NULL,
    heard integer[] NOT NULL,
    differ integer[] NOT NULL,
    threshold double precision NOT NULL,
    audited integer NOT NULL,
    lost integer NOT NULL,
    bound integer NOT NULL,
    stopped boolean NOT NULL,
    ruled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, block)
);

-- Bandits that are turned off: their best arm is taken, and nothing is explored.
CREATE TABLE frozen_bandits (
    team text NOT NULL,
    use_case text NOT NULL,
    frozen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team, use_case)
);
"""


def upgrade() -> None:
    op.execute(_CHANGES)
    op.execute(_SAMENESS)
    op.execute(_CHOICES)
